"""The plug-in's modules for pixels beside a GIMP of mocks: what they do when something goes wrong in the middle."""

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from worker_client import PLUGIN


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Its modules by name, imported with mocks for `gi`."""
    own = ("worker_link", "layers", "painting")
    for name in ("gi", "gi.repository", *own):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    for name in own:
        del sys.modules[name]  # monkeypatch puts it back as it was before
    monkeypatch.syspath_prepend(PLUGIN)
    return {name: importlib.import_module(name) for name in own}


@pytest.fixture
def source() -> MagicMock:
    found = MagicMock(width=64, height=64, eight_bits=True, left=0, top=0)
    found.format = lambda alpha: f"R'G'B'{'A' * alpha} u8"
    found.within = lambda _: (0, 0, 64, 64)
    found.layer.has_alpha.return_value = True
    return found


class Died(Exception):
    pass


def dies_in_the_middle(plugin: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A result whose second strip does not come."""
    monkeypatch.setattr(plugin["layers"], "_STRIP_BYTES", 64 * 4 * 8)
    left = [2]

    def read(count: int) -> bytes:
        left[0] -= 1
        if not left[0]:
            raise Died
        return bytes(count)

    return read


def test_a_layer_that_is_half_written_never_comes_into_the_image(
    plugin: dict[str, Any], source: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    layer = plugin["layers"].Gimp.Layer.new.return_value
    with pytest.raises(Died):
        plugin["layers"].add_layer(source, "name", dies_in_the_middle(plugin, monkeypatch))
    assert layer.get_buffer().set.call_count == 1
    source.image.insert_layer.assert_not_called()
    layer.delete.assert_called_once_with()
    source.image.undo_group_end.assert_called_once_with()


def test_in_place_pixels_and_filters_stay_until_the_whole_result_is_there(
    plugin: dict[str, Any], source: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(Died):
        plugin["layers"].replace_pixels(source, dies_in_the_middle(plugin, monkeypatch))
    source.layer.merge_filters.assert_not_called()
    source.layer.merge_shadow.assert_not_called()
    source.image.undo_group_end.assert_called_once_with()


@pytest.mark.parametrize("filters", [[], ["blur"]])
def test_every_strip_lands_at_its_rows(
    filters: list[str], plugin: dict[str, Any], source: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    layers = plugin["layers"]
    monkeypatch.setattr(layers, "_STRIP_BYTES", 64 * 4 * 24)
    monkeypatch.setattr(layers.Gegl.Rectangle, "new", lambda *rectangle: rectangle)
    source.layer.get_filters.return_value = filters
    source.within = lambda _: (5, 7, 64, 64)
    layers.replace_pixels(source, bytes)
    calls = source.layer.get_shadow_buffer().set.call_args_list
    assert [call.args[0] for call in calls] == [(5, 7, 64, 24), (5, 31, 64, 24), (5, 55, 64, 16)]
    assert [len(call.args[2]) for call in calls] == [64 * 4 * rows for rows in (24, 24, 16)]
    assert source.layer.merge_filters.called == bool(filters)


def test_a_layer_that_is_gone_is_refused_in_a_sentence(plugin: dict[str, Any]):
    layer = MagicMock()
    layer.is_valid.return_value = False
    assert "not there any more" in plugin["layers"].problem(MagicMock(), layer, False)


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".gif", ".avif", ".xcf", ".psd", ".heic", ""])
def test_a_style_that_the_worker_may_not_read_is_loaded_by_gimp(
    suffix: str, plugin: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file, pictures = tmp_path / f"style{suffix}", []
    file.touch()
    monkeypatch.setattr(plugin["painting"], "_load_style", lambda *_: ({"width": 1}, b"pixels"))
    assert plugin["painting"]._style_of_file(str(file), pictures) == {"picture": {"width": 1}}
    assert pictures == [b"pixels"]


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg", ".webp", ".bmp", ".safetensors"])
def test_other_styles_go_by_their_path(suffix: str, plugin: dict[str, Any], tmp_path: Path):
    file = tmp_path / f"style{suffix}"
    file.touch()
    assert plugin["painting"]._style_of_file(str(file), []) == {"file": str(file)}
