"""Python is as careful as the command: nothing is lost to a slip, and one bad picture takes no other along."""

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import noise
from PIL import Image

import adainkit
from adainkit import BatchError, ImageError, Stylizer
from adainkit.engine import memory
from adainkit.images import open_image, save_image


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer("lite", device="cpu", dtype="float32", cache=None)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return noise(tmp_path / "photo.png", 1, (48, 36))


# ---- files


@pytest.mark.parametrize("overwrite", [None, False])
def test_what_is_read_is_not_replaced_by_a_slip(stylizer: Stylizer, photo: Path, overwrite: Any) -> None:
    style, mask = noise(photo.with_name("style.png"), 2), photo.with_name("mask.png")
    Image.new("L", (4, 4), 255).save(mask)
    (photo.parent / "link.png").symlink_to(photo)
    before = {path: path.read_bytes() for path in (photo, style, mask)}
    for target in (photo, photo.parent / "link.png", style, mask):
        with pytest.raises(ImageError, match="would replace a picture that is read here"):
            stylizer.stylize_file(photo, target, str(style), mask=mask, overwrite=overwrite)
    with pytest.raises(ImageError, match="is read here"):
        stylizer.stylize_file(photo, mask, None, regions=[(mask, [str(style), "ember"])], overwrite=overwrite)
    assert {path: path.read_bytes() for path in before} == before
    assert stylizer.stylize_file(photo, photo, "ember", overwrite=True) == photo
    assert photo.read_bytes() != before[photo]


def test_what_exists_is_replaced_for_one_release_with_a_warning(stylizer: Stylizer, photo: Path) -> None:
    target = photo.with_name("out.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stylizer.stylize_file(photo, target, "ember")  # a new name: nothing to say
        stylizer.stylize_file(photo, target, "iris", overwrite=True)
    first = target.read_bytes()
    with pytest.raises(ImageError, match="exists already"):
        stylizer.stylize_file(photo, target, "ember", overwrite=False)
    assert target.read_bytes() == first
    with pytest.warns(FutureWarning, match="the next release refuses that: pass overwrite=True"):
        stylizer.stylize_file(photo, target, "ember")
    assert target.read_bytes() != first


def test_bytes_and_file_objects_in_and_out(stylizer: Stylizer, photo: Path, tmp_path: Path) -> None:
    deep = (np.random.default_rng(0).random((20, 30, 3)) * 65535).astype(np.uint16)
    save_image(deep, tmp_path / "deep.png")
    expected = stylizer.stylize_file(tmp_path / "deep.png", tmp_path / "out.png", "ember").read_bytes()
    data = (tmp_path / "deep.png").read_bytes()
    for source in (data, io.BytesIO(data), (tmp_path / "deep.png").open("rb")):
        target = io.BytesIO()
        stylizer.stylize_file(source, target, "ember", format="png")
        assert target.getvalue() == expected  # with its 16 bits
    with (tmp_path / "named.png").open("wb") as file:  # whose name has an extension
        assert stylizer.stylize_file(data, file, "ember") == tmp_path / "named.png"
    assert (tmp_path / "named.png").read_bytes() == expected
    with pytest.raises(ImageError, match="name its format"):
        save_image(deep, io.BytesIO())
    nothing = io.BytesIO()
    with pytest.raises(ImageError):
        stylizer.stylize_file(b"no picture", nothing, "ember", format="tif")
    assert nothing.getvalue() == b""


def test_max_size_in_python(stylizer: Stylizer, photo: Path) -> None:
    out = stylizer.stylize_file(photo, photo.with_name("out.png"), "ember", max_size=24)
    assert Image.open(out).size == (24, 18)
    small = open_image(photo)
    same = stylizer.stylize_file(photo, photo.with_name("same.png"), "ember", max_size=48)
    assert Image.open(same).size == (small.width, small.height)
    with pytest.raises(ImageError, match="max_size must be 1"):
        stylizer.stylize_file(photo, photo.with_name("no.png"), "ember", max_size=0)


# ---- batches


def test_a_batch_goes_on_after_a_bad_file(stylizer: Stylizer, photo: Path) -> None:
    broken = photo.with_name("broken.png")
    broken.write_bytes(photo.read_bytes()[:60])
    images: list[Any] = [photo, broken, photo.with_name("missing.png"), noise(photo.with_name("b.png"), 3, (20, 20))]
    seen: list[int] = []
    results = stylizer.stylize_batch(
        images, "ember", return_errors=True, progress=lambda stage, done, total: seen.append(done)
    )
    assert [isinstance(result, ImageError) for result in results] == [False, True, True, False]
    assert "broken.png" in str(results[1])
    assert "missing.png" in str(results[2])
    assert np.array_equal(np.asarray(results[3]), np.asarray(stylizer.stylize(images[3], "ember")))
    assert seen[-1] == 4
    with pytest.raises(BatchError, match=r"2 of 4 pictures failed, first number 2: .*broken\.png") as raised:
        stylizer.stylize_batch(images, "ember")
    assert list(raised.value.errors) == [1, 2]
    assert np.array_equal(np.asarray(raised.value.results[0]), np.asarray(results[0]))
    assert isinstance(raised.value, ImageError)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.float32), (4, np.uint16)])
def test_a_batch_of_arrays_is_as_its_pictures(stylizer: Stylizer, channels: int, dtype: Any) -> None:
    x = np.random.default_rng(4).random((3, 20, 28, channels))
    x = x.astype(dtype) if dtype == np.float32 else (x * np.iinfo(dtype).max).astype(dtype)
    found = stylizer.stylize(x, "ember")
    assert (found.shape, found.dtype) == ((3, 20, 28, 4 if channels == 4 else 3), x.dtype)
    for one, result in zip(x, found, strict=True):
        expected = stylizer.stylize(one, "ember").astype(np.float64)
        scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
        assert np.abs(result.astype(np.float64) - expected).max() <= 1e-4 * scale + (dtype != np.float32)
    if channels == 4:
        assert np.array_equal(found[..., 3], x[..., 3])
        assert stylizer.preview(x, "ember", size=14).shape == (3, 10, 14, 4)
    if dtype == np.float32:
        tensor = stylizer.stylize(torch.from_numpy(x).movedim(-1, 1), "ember")
        assert np.abs(tensor.movedim(1, -1).numpy() - found).max() < 1e-5


def test_a_batch_of_arrays_has_its_channels_last(stylizer: Stylizer) -> None:
    with pytest.raises(ImageError, match=r"moveaxis\(x, -3, -1\)"):
        stylizer.stylize(np.zeros((2, 3, 20, 28), np.uint8), "ember")
    with pytest.raises(ImageError, match="at least one picture"):
        stylizer.stylize(np.zeros((0, 20, 28, 3), np.uint8), "ember")
    masks = np.zeros((2, 20, 28, 1), np.float32)
    masks[1] = 1
    x = np.random.default_rng(5).integers(0, 256, (2, 20, 28, 3), np.uint8)
    found = stylizer.stylize(x, "ember", mask=masks)
    assert np.array_equal(found[0], x[0])
    assert not np.array_equal(found[1], x[1])


# ---- masks that paint nothing


def test_a_black_mask_is_told_in_strips_as_well(
    stylizer: Stylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    photo, black, white = noise(tmp_path / "a.png", 1, (64, 300)), tmp_path / "black.png", tmp_path / "dot.png"
    Image.new("L", (64, 300), 0).save(black)
    dot = Image.new("L", (64, 300), 0)
    dot.putpixel((3, 3), 255)
    dot.save(white)
    monkeypatch.setattr(memory, "memory_budget", lambda device: 1 << 20)
    monkeypatch.setattr("adainkit.engine.file_to_file.memory_budget", lambda device: 1 << 20)
    with caplog.at_level(logging.WARNING, "adainkit"):
        stylizer.stylize_file(photo, tmp_path / "x.png", "ember", mask=white)
        assert "black all over" not in caplog.text
        stylizer.stylize_file(photo, tmp_path / "y.png", "ember", mask=black)
        assert f"{black} is black all over" in caplog.text
        caplog.clear()
        stylizer.stylize(np.zeros((20, 20, 3), np.uint8), "ember", mask=np.zeros((5, 5), np.float32))
        assert "a mask is black all over" in caplog.text


def test_the_names_are_public() -> None:
    assert adainkit.BatchError is BatchError
    assert issubclass(BatchError, ImageError)
