"""The stylizer without torch: it needs none, and gives what the one with torch gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_runtimes import ENGINES, picture

from adainkit import AdaINKitError, ImageError, Style, StyleError, Stylizer
from adainkit.engine.bands import measured_bands
from adainkit.look.masks import resize
from adainkit.runtimes import arrays
from adainkit.runtimes.lean import LeanStyle, LeanStylizer
from adainkit.runtimes.pictures import opened
from adainkit.store.weights import resolve
from adainkit.style import PALETTE

pytest.importorskip("onnx")

WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import numpy as np
from PIL import Image
from adainkit.runtimes.lean import LeanStyle, LeanStylizer

photo, mask, engine, out = sys.argv[1:]
stylizer = LeanStylizer(runtime=engine)
blend = LeanStyle.blend([(LeanStyle.preset("iris"), 0.7), (stylizer.encode_style(mask), 0.3)])
stylizer.stylize(photo, blend, alpha=0.8, preserve_color="match", mask=mask, tile=64).save(out)
assert not any(name.partition(".")[0] == "torch" for name in sys.modules)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_it_runs_where_there_is_no_torch(engine: str, tmp_path: Path) -> None:
    photo, mask, out = (tmp_path / name for name in ("photo.png", "mask.png", "out.png"))
    Image.fromarray(picture(90, 118, 1)).save(photo)
    Image.fromarray(picture(70, 64, 2)).convert("L").save(mask)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(photo), str(mask), engine, str(out)]
    subprocess.run(command, check=True, timeout=300, cwd=Path(__file__).parent.parent)
    stylizer = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    blend = Style.blend([(Style.preset("iris"), 0.7), (stylizer.encode_style(mask), 0.3)])
    expected = stylizer.stylize(photo, blend, alpha=0.8, preserve_color="match", mask=mask)
    assert abs(np.asarray(Image.open(out)).astype(int) - np.asarray(expected)).max() <= 1


@pytest.fixture(scope="module")
def both() -> tuple[Stylizer, LeanStylizer]:
    """The same model with and without torch."""
    plain = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    return plain, LeanStylizer(resolve("lite"))


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": [0.2, 0.0, 1.0]},
        {},  # its colors are the style's
        {"alpha": 0.0},
        {"alpha": 0.5},
        {"color_strength": 0.0},
        {"color_strength": 0.5},
        {"mask": np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1)), "alpha": 0.7},
        {"preserve_color": "luma", "color_strength": 0.7},
        {"mask": np.pad(np.ones((3, 3), np.float32), 9)},  # of fewer cells than a region needs
        {"mask": np.ones((4, 4), np.float32), "preserve_color": "match"},
    ],
    ids=str,
)
def test_controls_and_masks_are_those_of_the_stylizer(
    both: tuple[Stylizer, LeanStylizer], options: dict[str, object]
) -> None:
    plain, lean = both
    for image in (picture(61, 83), np.dstack([picture(61, 83, 1), picture(61, 83, 2)[:, :, :1] // 100 * 127])):
        expected = plain.stylize(image, "ember", **options).astype(int)
        assert abs(lean.stylize(image, "ember", **options).astype(int) - expected).max() <= 1
        assert abs(lean.stylize(image, "ember", tile=32, **options).astype(int) - expected).max() <= 1


def test_a_large_picture_is_measured_where_the_library_measures_it(both: tuple[Stylizer, LeanStylizer]) -> None:
    plain, lean = both
    own = np.repeat(np.repeat(picture(21, 25), 50, 0), 50, 1)  # 1.3 megapixels
    image = np.full_like(own, 255)
    rows, columns = (measured_bands(side) for side in own.shape[:2])
    assert len(rows) == len(columns) == 16
    for row, column in product(rows, columns):
        image[row, column] = own[row, column]
    assert abs(lean.stylize(image, "ember").astype(int) - plain.stylize(image, "ember")).max() <= 1


def test_styles_with_and_without_colors(both: tuple[Stylizer, LeanStylizer], tmp_path: Path) -> None:
    plain, lean = both
    image, (ember, iris) = picture(61, 83), (Style.preset("ember"), Style.preset("iris"))
    old = Style(tensors={name: v for name, v in ember.tensors.items() if name not in PALETTE}, digest=ember.digest)
    path = old.save(tmp_path / "old.safetensors")
    mine, theirs = LeanStyle.load(path), LeanStyle.preset("iris")
    assert mine.palette is None
    assert theirs.palette is not None
    found = lean.stylize(image, path)
    assert abs(found.astype(int) - plain.stylize(image, old)).max() <= 1
    assert (found == lean.stylize(image, "ember", color_strength=0)).all()
    assert abs(found.astype(int) - lean.stylize(image, "ember")).max() > 5
    for other, others in ((old, mine), (ember, LeanStyle.preset("ember"))):
        mixed = LeanStyle.blend([(theirs, 0.3), (others, 0.7)])
        assert (mixed.palette is None) == (other is old)
        expected = plain.stylize(image, Style.blend([(iris, 0.3), (other, 0.7)]))
        assert abs(lean.stylize(image, mixed).astype(int) - expected).max() <= 1


def test_a_style_of_a_clear_picture_and_a_model_without_palettes(
    both: tuple[Stylizer, LeanStylizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, lean = both
    clear = np.dstack([picture(600, 520, 3), np.repeat(picture(600, 13)[:, :, :1], 40, 1)[:, :520] // 100 * 127])
    own, theirs = lean.encode_style(clear), plain.encode_style(clear)
    for name in PALETTE:
        assert np.allclose(own.tensors[name], theirs.tensors[name], atol=1e-5)
    image = picture(61, 83)
    bare = lean.stylize(image, own, color_strength=0)
    monkeypatch.setattr(lean, "config", replace(lean.config, palette=False))
    assert (lean.stylize(image, own) == bare).all()
    assert lean.encode_style(clear).palette is None


def test_kinds_of_pictures_and_of_styles(both: tuple[Stylizer, LeanStylizer], tmp_path: Path) -> None:
    plain, lean = both
    deep = picture(40, 52).astype(np.uint16) * 257
    for image in (
        deep,
        deep / np.float32(65535),
        picture(40, 52)[:, :, 0],
        picture(5, 3),
        Image.fromarray(picture(20, 30)),
    ):
        expected, found = plain.stylize(image, "iris"), lean.stylize(image, "iris")
        assert type(found) is type(expected)
        scale = (
            65535
            if getattr(image, "dtype", None) == np.uint16
            else 1
            if image is not deep and getattr(image, "dtype", None) == np.float32
            else 255
        )
        assert abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64)).max() <= scale / 200
    path = plain.encode_style(picture(600, 700, 3)).save(tmp_path / "style.safetensors")
    own, theirs = lean.encode_style(picture(600, 700, 3)), LeanStyle.load(path)
    for name, values in theirs.tensors.items():
        assert np.allclose(own.tensors[name], values, rtol=1e-4, atol=1e-4)
    with pytest.raises(StyleError, match="no preset is called 'nothing'"):
        lean.stylize(deep, "nothing")
    with pytest.raises(StyleError, match="another encoder"):
        lean.as_style(LeanStyle(theirs.tensors, "0" * 64))


def test_resizing_is_that_of_the_library() -> None:
    import torch

    x = np.random.default_rng(0).random((1, 3, 37, 50)).astype(np.float32)
    for size in ((20, 31), (74, 50), (37, 10), (1, 1)):
        assert np.allclose(arrays.resized(x, size), resize(torch.from_numpy(x), size).numpy(), atol=1e-5)


def test_what_it_cannot_do_is_told(tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((9, 9), 30000, np.uint16)).save(deep)
    for source, words in ((deep, "deeper than 8 bits"), (b"bytes", "got bytes")):
        with pytest.raises(ImageError, match=words):
            opened(source)
    with pytest.raises(StyleError, match="no style to blend"):
        LeanStyle.blend([])
    with pytest.raises(AdaINKitError, match="precision must be float32"):
        LeanStylizer(precision="fp32")
