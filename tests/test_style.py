"""Styles: their files, blends, presets, and the cache that several threads and processes share."""

import json
import os
import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import adainkit
from adainkit import preset_list
from adainkit import style as style_module
from adainkit.errors import StyleError
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.store.style_cache import StyleCache, style_key
from adainkit.style import Preset, Style, interpolate, presets_file, styles, write_presets

CHANNELS = (4, 6)
F32 = torch.float32
DIGEST = "ab" * 32


def make(seed: int = 0, digest: str = DIGEST, name: str = "waves") -> Style:
    g = torch.Generator().manual_seed(seed)
    means = tuple(torch.randn(c, generator=g) for c in CHANNELS)
    stds = tuple(torch.rand(c, generator=g) + 0.1 for c in CHANNELS)
    return Style(means, stds, digest, name, "blue and white")


def assert_same(a: Style, b: Style) -> None:
    assert a.digest == b.digest
    for one, other in ((a.means, b.means), (a.stds, b.stds)):
        assert len(one) == len(other)
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def facts_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make().save(tmp_path / "waves.safetensors")


# ---- files ----


def test_a_saved_style_comes_back_with_its_words(file: Path) -> None:
    again = Style.load(file)
    assert_same(again, make())
    assert (again.name, again.description) == ("waves", "blue and white")
    assert {t.dtype for t in (*again.means, *again.stds)} == {torch.float32}


def test_tensors_that_share_their_memory_are_saved_as_well(tmp_path: Path) -> None:
    memory = torch.rand(6)
    style = Style((memory, memory[::2]), (memory, memory[1:]), DIGEST)
    assert_same(Style.load(style.save(tmp_path / "s.safetensors")), style)


def test_the_longest_file_name_of_a_system_will_do(tmp_path: Path) -> None:
    path = tmp_path / f"{'浪' * 80}.safetensors"  # 252 bytes of 255: the temporary file beside it must not be longer
    assert_same(Style.load(make().save(path)), make())


def test_a_style_file_is_small(file: Path) -> None:
    assert file.stat().st_size < 4096


def test_a_loaded_style_does_not_depend_on_its_file_any_more(file: Path) -> None:
    again = Style.load(file)
    file.write_bytes(b"\xff" * file.stat().st_size)
    assert_same(again, make())


def test_a_style_loaded_or_mixed_in_inference_mode_is_an_ordinary_one(file: Path) -> None:
    with torch.inference_mode():
        found = [Style.load(file), Style.blend([(make(1), 0.5), (make(2), 0.5)])]
    for style in found:
        assert not any(t.is_inference() for t in (*style.means, *style.stds))


def test_a_missing_file_and_a_folder_are_style_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(StyleError, match=str(path)):
            Style.load(path)


@pytest.mark.parametrize("data", [b"", b"a text about styles\n" * 20, b"\x80\x02}q\x00."])
def test_another_kind_of_file_is_a_style_error(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with pytest.raises(StyleError, match="cannot be read as a style"):
        Style.load(file)


def test_a_truncated_file_is_a_style_error_wherever_it_ends(file: Path) -> None:
    data = file.read_bytes()
    for length in range(0, len(data), 7):
        file.write_bytes(data[:length])
        with pytest.raises(StyleError):
            Style.load(file)


def test_a_flipped_byte_in_the_header_is_never_more_than_a_style_error(file: Path) -> None:
    data = file.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    chance = random.Random(0)
    for index in [*range(8), *(chance.randrange(8, header) for _ in range(150))]:
        file.write_bytes(data[:index] + bytes([data[index] ^ (1 << chance.randrange(8))]) + data[index + 1 :])
        with suppress(StyleError):  # none, where a letter of somebody's words has changed
            Style.load(file)


@pytest.mark.parametrize("name", ["mean1", "std0", "std1"])
def test_a_missing_tensor_is_a_style_error(file: Path, name: str) -> None:
    facts, tensors = facts_of(file), load_file(file)
    del tensors[name]
    if name == "mean1":
        del tensors["mean0"], tensors["std0"]
    save_file(tensors, file, facts)
    with pytest.raises(StyleError, match="is not a style"):
        Style.load(file)


@pytest.mark.parametrize("value", [torch.full((4,), float("nan")), torch.ones(2, 2), torch.ones(4, dtype=torch.int32)])
def test_a_tensor_of_another_kind_is_a_style_error(file: Path, value: torch.Tensor) -> None:
    save_file({**load_file(file), "mean0": value}, file, facts_of(file))
    with pytest.raises(StyleError, match="is not a style"):
        Style.load(file)


def test_a_file_without_the_encoders_digest_is_a_style_error(file: Path) -> None:
    facts = {k: v for k, v in facts_of(file).items() if k != "encoder_sha256"}
    save_file(load_file(file), file, facts)
    with pytest.raises(StyleError, match="is not a style"):
        Style.load(file)


def test_a_newer_format_is_a_style_error_that_says_update(file: Path) -> None:
    save_file(load_file(file), file, {**facts_of(file), "format_version": "3"})
    with pytest.raises(StyleError, match="format 3, expected 1 or 2; update adainkit"):
        Style.load(file)


def test_a_model_file_is_a_style_error_that_says_what_it_is(tmp_path: Path) -> None:
    path = AdaINModel(ModelConfig("x", "conv4 tap", "rgb")).save(tmp_path / "model.safetensors")
    with pytest.raises(StyleError, match="is a model, not a style"):
        Style.load(path)


def test_a_style_that_cannot_be_written_is_a_style_error_and_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(StyleError, match=r"cannot be written \(No space left on device"):
        make(1).save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


# ---- blends ----


def test_a_blend_is_the_weighted_mean_of_means_and_of_stds() -> None:
    a, b = make(1), make(2)
    mixed = Style.blend([(a, 3), (b, 1)])
    for i in range(len(CHANNELS)):
        torch.testing.assert_close(mixed.means[i], 0.75 * a.means[i] + 0.25 * b.means[i])
        torch.testing.assert_close(mixed.stds[i], 0.75 * a.stds[i] + 0.25 * b.stds[i])
    assert mixed.digest == DIGEST


def test_a_blend_takes_pairs_an_iterator_or_a_mapping() -> None:
    a, b = make(1), make(2)
    expected = Style.blend([(a, 0.7), (b, 0.3)])
    assert_same(Style.blend(iter([(a, 0.7), (b, 0.3)])), expected)
    assert_same(Style.blend({a: 0.7, b: 0.3}), expected)


def test_a_blend_of_one_is_that_one_and_weight_0_leaves_a_style_out() -> None:
    a, b = make(1), make(2)
    assert_same(Style.blend([(a, 0.3)]), a)
    assert_same(Style.blend([(a, 2), (b, 0)]), a)


@pytest.mark.parametrize("weights", [(-1, 2), (0, 0), (float("nan"), 1), (float("inf"), 1)])
def test_a_blend_with_impossible_weights_is_a_style_error(weights: tuple[float, float]) -> None:
    with pytest.raises(StyleError, match="weights must be"):
        Style.blend(zip((make(1), make(2)), weights, strict=True))


def test_a_blend_of_nothing_and_one_over_two_encoders_are_style_errors() -> None:
    for nothing in ([], {}):
        with pytest.raises(StyleError, match="at least one"):
            Style.blend(nothing)
    with pytest.raises(StyleError, match="different encoders"):
        Style.blend([(make(1), 1), (make(2, "cd" * 32), 1)])


def test_a_strip_goes_from_one_style_to_the_other_in_even_steps() -> None:
    a, b = make(1, name="a"), make(2, name="b")
    strip = interpolate([a, b], 5)
    assert strip[0] is a
    assert strip[-1] is b
    for step, style in enumerate(strip):
        assert_same(style, Style.blend([(a, 4 - step), (b, step)]))
    assert [style.name for style in strip] == ["a", "a:0.75 + b:0.25", "a:0.5 + b:0.5", "a:0.25 + b:0.75", "b"]
    assert interpolate([a, b], 2) == [a, b]


def test_a_grid_has_the_four_styles_at_its_corners_and_bilinear_shares() -> None:
    corners = [make(seed, name="abcd"[seed]) for seed in range(4)]
    grid = interpolate(corners, 3)
    assert [len(row) for row in grid] == [3, 3, 3]
    assert [grid[0][0], grid[0][2], grid[2][0], grid[2][2]] == corners
    for (row, column), of in {(0, 1): "ab", (1, 0): "ac", (1, 2): "bd", (2, 1): "cd", (1, 1): "abcd"}.items():
        expected = torch.stack([corners["abcd".index(name)].means[0] for name in of]).mean(0)
        torch.testing.assert_close(grid[row][column].means[0], expected)
        assert grid[row][column].name == " + ".join(f"{name}:{1 / len(of):g}" for name in of)
    uneven = interpolate(corners, 5)[1][3].stds[1]  # a quarter down, three quarters to the right
    shares = (0.75 * 0.25, 0.75 * 0.75, 0.25 * 0.25, 0.25 * 0.75)
    torch.testing.assert_close(uneven, sum(w * c.stds[1] for w, c in zip(shares, corners, strict=True)))


def test_impossible_interpolations_are_style_errors() -> None:
    for count in (0, 1, 3, 5):
        with pytest.raises(StyleError, match=f"2 or 4 styles, got {count}"):
            interpolate([make(seed) for seed in range(count)], 3)
    for n in (1, 0, -1, 2.5, True):
        with pytest.raises(StyleError, match="2 or more steps"):
            interpolate([make(1), make(2)], n)  # type: ignore[arg-type]
    with pytest.raises(StyleError, match="different encoders"):
        interpolate([make(1), make(2, "cd" * 32)], 2)
    with pytest.raises(StyleError, match="a blend is of Styles"):
        interpolate(["iris", "ember"], 2)  # type: ignore[list-item]


# ---- presets ----


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Preset, Style]:
    """Two presets of a model named lite, in a folder of the test's own."""
    monkeypatch.setattr(preset_list, "presets_file", lambda model: tmp_path / "presets" / f"{model}.safetensors")
    found = {
        Preset("red-harbor", "evening", "a painting"): make(1, name="red-harbor"),
        Preset("red-harbor-2", "morning", "another painting"): make(2, name="red-harbor-2"),
    }
    write_presets("lite", found)
    return found


def test_presets_come_back_by_name(presets: dict[Preset, Style]) -> None:
    assert styles("lite") == {p.name: p for p in presets}
    assert list(styles()) == ["red-harbor", "red-harbor-2"]
    for preset, style in presets.items():
        again = Style.preset(preset.name)
        assert_same(again, style)
        assert (again.name, again.description) == (preset.name, preset.description)


def test_an_unknown_preset_is_a_style_error_that_lists_the_known_ones(presets: dict[Preset, Style]) -> None:
    with pytest.raises(StyleError, match="no preset is called 'blue'; there are: red-harbor, red-harbor-2"):
        Style.preset("blue")
    with pytest.raises(StyleError, match="none for the model 'vgg19'"):
        Style.preset("red-harbor", "vgg19")


def test_presets_of_two_encoders_or_of_none_are_a_style_error(presets: dict[Preset, Style]) -> None:
    with pytest.raises(StyleError, match="presets of one encoder expected, got 2"):
        write_presets("lite", {Preset("a", "", ""): make(1), Preset("b", "", ""): make(2, "cd" * 32)})
    with pytest.raises(StyleError, match="got 0"):
        write_presets("lite", {})
    assert list(styles()) == ["red-harbor", "red-harbor-2"]


def test_a_model_without_presets_has_an_empty_list() -> None:
    assert styles("a model without presets") == {}


def test_the_packages_own_presets_belong_to_the_packages_own_encoder() -> None:
    if not presets_file("lite").is_file():
        pytest.skip("the presets are not made yet")
    digest = AdaINModel.load(adainkit.download("lite")).digest
    for name in styles("lite"):
        assert Style.preset(name).digest == digest


# ---- cache ----


def test_what_was_put_is_got_and_nothing_else() -> None:
    cache = StyleCache()
    assert cache.get("a") is None
    cache.put("a", make(1))
    found = cache.get("a")
    assert found is not None
    assert_same(found, make(1))
    assert cache.get("b") is None


def test_the_least_recently_used_style_goes_first() -> None:
    cache = StyleCache(capacity=2)
    cache.put("a", make(1))
    cache.put("b", make(2))
    assert cache.get("a") is not None  # now b is the oldest
    cache.put("c", make(3))
    assert len(cache) == 2
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.get("c") is not None


def test_what_left_the_memory_is_still_on_disk_and_a_new_cache_finds_it(tmp_path: Path) -> None:
    cache = StyleCache(capacity=1, folder=tmp_path / "cache")
    cache.put("a", make(1))
    cache.put("b", make(2))
    for one in (cache, StyleCache(folder=tmp_path / "cache")):
        found = one.get("a")
        assert found is not None
        assert_same(found, make(1))


def test_clear_forgets_everything(tmp_path: Path) -> None:
    cache = StyleCache(folder=tmp_path)
    cache.put("a", make(1))
    cache.clear()
    assert len(cache) == 0
    assert cache.get("a") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"not a style", None])
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, data: bytes | None) -> None:
    StyleCache(folder=tmp_path).put("a", make(1))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3] if data is None else data)
    cache = StyleCache(folder=tmp_path)
    assert cache.get("a") is None
    cache.put("a", make(2))
    found = StyleCache(folder=tmp_path).get("a")
    assert found is not None
    assert_same(found, make(2))


def test_a_folder_that_cannot_be_written_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    cache = StyleCache(folder=tmp_path / "file" / "cache")
    assert cache.get("a") is None
    cache.put("a", make(1))
    assert cache.get("a") is not None  # from memory


def test_a_folder_that_may_not_be_entered_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    cache = StyleCache(folder=tmp_path)
    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(style_module, "safe_open", refuse)
    monkeypatch.setattr(style_module, "write_atomically", refuse)
    cache.put("b", make(1))
    assert cache.get("a") is None
    assert cache.get("b") is not None


def test_threads_share_one_cache(tmp_path: Path) -> None:
    cache, errors = StyleCache(capacity=3, folder=tmp_path), []

    def work(worker: int) -> None:
        chance = random.Random(worker)
        try:
            for _ in range(60):
                seed = chance.randrange(6)
                found = cache.get(str(seed))
                if found is None:
                    cache.put(str(seed), make(seed))
                else:
                    assert_same(found, make(seed))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cache) == 3


WORKER = """
import json, random, sys
from pathlib import Path
import torch
from adainkit.style import Style, StyleCache

folder, worker = Path(sys.argv[1]), int(sys.argv[2])
chance, hits = random.Random(worker), 0
for _ in range(80):
    seed = chance.randrange(4)
    cache = StyleCache(folder=folder)  # a fresh one: everything goes by the disk
    expected = torch.full((4000,), float(seed))
    found = cache.get(str(seed))
    if found is not None:
        hits += 1
        assert torch.equal(found.means[0], expected), (seed, found.means[0])
    if found is None or chance.random() < 0.5:
        cache.put(str(seed), Style((expected,), (expected,), "digest"))
print(json.dumps(hits))
"""


def test_processes_share_one_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    root = Path(adainkit.__file__).parent.parent
    running = [subprocess.Popen([*command, str(i)], cwd=root, **pipes) for i in range(2)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out) > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{i}.safetensors" for i in range(4)]


# ---- keys ----


def test_equal_pictures_have_one_key_wherever_their_memory_is() -> None:
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = style_key([x], 512, DIGEST, F32)
    assert len(expected) == 64
    assert style_key([x.clone()], 512, DIGEST, F32) == expected
    assert style_key([x.to(memory_format=torch.channels_last)], 512, DIGEST, F32) == expected
    assert style_key([x[:, :1].expand(-1, 3, -1, -1)], 512, DIGEST, F32) == style_key(
        [x[:, [0, 0, 0]]], 512, DIGEST, F32
    )


def test_a_key_differs_by_content_shape_size_and_encoder() -> None:
    x = torch.rand(1, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[0, 2, 3, 7] += 1e-6
    keys = [
        style_key([x], 512, DIGEST, F32),
        style_key([changed], 512, DIGEST, F32),
        style_key([x.view(1, 3, 8, 4)], 512, DIGEST, F32),
        style_key([x.half()], 512, DIGEST, F32),
        style_key([x, torch.ones(1, 1, 4, 8)], 512, DIGEST, F32),
        style_key([x], 256, DIGEST, F32),
        style_key([x], None, DIGEST, F32),
        style_key([x], 512, "cd" * 32, F32),
        style_key([x], 512, DIGEST, torch.bfloat16),
    ]
    assert len(set(keys)) == len(keys)


def test_the_cache_on_disk_keeps_what_was_used_last(tmp_path: Path) -> None:
    folder = tmp_path / "styles"
    style = Style((torch.zeros(50),), (torch.ones(50),), "digest")
    StyleCache(folder=folder).put("probe", style)
    one = StyleCache(folder=folder).size()[1]
    (folder / "probe.safetensors").unlink()
    cache = StyleCache(folder=folder, limit=5 * one)
    for number in range(5):
        cache.put(f"k{number}", style)
        os.utime(folder / f"k{number}.safetensors", (number, number))
    assert StyleCache(folder=folder).get("k0") is not None  # used now
    for number in range(5, 8):
        cache.put(f"k{number}", style)
    count, size = cache.size()
    assert size <= 5 * one
    assert count == len(list(folder.iterdir()))
    left = {path.stem for path in folder.iterdir()}
    assert {"k0", "k7"} <= left
    assert not {"k1", "k2"} & left


def test_a_cache_in_memory_has_no_size_on_disk() -> None:
    assert StyleCache().size() == (0, 0)
