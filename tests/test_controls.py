"""Numbers and words of `stylize`: alpha by level, strength of colors, steady statistics; also as flags."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run
from command_line import noise as noise_file
from PIL import Image
from test_stylizer import noise, tensor, tiny
from torch import Tensor

from adainkit.errors import ImageError, StyleError
from adainkit.look.controls import Controls
from adainkit.net.adain import Moments, moments
from adainkit.style import Style
from adainkit.stylizer import Stylizer


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(noise(60, 80, seed=5))


@pytest.fixture
def content() -> Tensor:
    return tensor(48, 72)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a.png and b.jpg, contents; art.png, a style."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "b.jpg", "art.png")):
        noise_file(name, seed)
    return tmp_path


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# ---- alpha by level ----


def test_equal_alphas_are_one_alpha(stylizer: Stylizer, style: Style, content: Tensor) -> None:
    levels = len(stylizer.model.config.levels)
    one = stylizer.stylize(content, style, alpha=0.6)
    assert torch.equal(stylizer.stylize(content, style, alpha=[0.6] * levels), one)
    assert torch.equal(stylizer.stylize(content, style, alpha=(0.6,)), one)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_of_alpha_0_ignores_that_level_of_the_style(
    stylizer: Stylizer, style: Style, content: Tensor, level: int
) -> None:
    alpha = [1.0, 1.0, 1.0]
    alpha[level] = 0
    mean = f"mean{level}"
    other = Style(tensors={**style.tensors, mean: style.tensors[mean] + 1}, digest=style.digest)
    found = stylizer.stylize(content, style, alpha=alpha)
    assert torch.equal(found, stylizer.stylize(content, other, alpha=alpha))
    assert not torch.equal(found, stylizer.stylize(content, style))
    assert not torch.equal(stylizer.stylize(content, other), stylizer.stylize(content, style))


def test_another_number_of_alphas_is_a_style_error(stylizer: Stylizer, style: Style, content: Tensor) -> None:
    with pytest.raises(StyleError, match="2 alphas for a model of 3 AdaIN levels"):
        stylizer.stylize(content, style, alpha=[0.5, 0.5])
    for alpha in ([], [0.5, 1.5, 1], ["a", 1, 1], "abc", [float("nan")] * 3):
        with pytest.raises(StyleError, match="alpha must be"):
            stylizer.stylize(content, style, alpha=alpha)  # type: ignore[arg-type]


# ---- strength of colors ----


@pytest.mark.parametrize("mode", ["luma", "match"])
def test_the_strength_of_colors_is_a_mean_of_both_ends(
    stylizer: Stylizer, style: Style, content: Tensor, mode: Any
) -> None:
    plain = stylizer.stylize(content, style, color_strength=0)
    kept = stylizer.stylize(content, style, preserve_color=mode)
    assert torch.equal(stylizer.stylize(content, style, preserve_color=mode, color_strength=0), plain)
    half = stylizer.stylize(content, style, preserve_color=mode, color_strength=0.25)
    torch.testing.assert_close(half, 0.75 * plain + 0.25 * kept, atol=1e-6, rtol=0)


def test_controls_are_checked_when_they_are_made() -> None:
    assert Controls((0.1, 1)).alphas(2) == [0.1, 1.0]
    assert Controls().alphas(3) == [1.0, 1.0, 1.0]
    with pytest.raises(StyleError, match="color_strength"):
        Controls(color_strength=2)


# ---- steady statistics ----


def test_statistics_of_several_pictures_are_those_of_their_union(stylizer: Stylizer) -> None:
    frames = [tensor(32, 40, seed=i) for i in (0, 7, 9)]
    found = stylizer.content_statistics([frames[0], torch.cat(frames[1:])])
    for level, statistics in enumerate(found):
        features = torch.cat([stylizer.encode_content(f).features[level].flatten(2) for f in frames], 2)
        whole = moments(features[:, :, None])
        torch.testing.assert_close(statistics.mean, whole.mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(statistics.std, whole.std, atol=1e-5, rtol=1e-4)


def test_a_film_under_the_statistics_of_all_its_frames_is_steady(stylizer: Stylizer, style: Style) -> None:
    """What stands still stays as it is, while something bright goes through the picture."""
    frames = [tensor(48, 160, seed=1) for _ in range(4)]
    for i, frame in enumerate(frames[1:]):
        frame[..., 144 - 8 * i :] = 1
    held = stylizer.content_statistics(frames)

    def flicker(**options: Any) -> float:
        results = [stylizer.stylize(f, style, **options)[..., :24] for f in frames]
        return float(torch.stack([(a - results[0]).abs().mean() for a in results[1:]]).max())

    assert flicker(content_statistics=held) < 0.2 * flicker()


def test_a_picture_under_its_own_statistics_is_as_ever(stylizer: Stylizer, style: Style, content: Tensor) -> None:
    own = stylizer.content_statistics([content])
    assert torch.equal(stylizer.stylize(content, style, content_statistics=own), stylizer.stylize(content, style))
    batch = torch.cat([content, content.flip(3)])
    (a, b) = stylizer.stylize_batch([content, content.flip(3)], style, content_statistics=own)
    torch.testing.assert_close(
        torch.cat([a, b]), stylizer.stylize(batch, style, content_statistics=own), atol=1e-6, rtol=0
    )


def test_held_statistics_count_for_regions_too(stylizer: Stylizer, style: Style, content: Tensor) -> None:
    held = stylizer.content_statistics([content.flip(2) * 0.5])
    mask = np.zeros((48, 72), np.float32)
    mask[:, :36] = 1
    found = stylizer.stylize(content, style, mask=mask, content_statistics=held)
    whole = stylizer.stylize(content, style, content_statistics=held)
    assert torch.equal(found[..., :36], whole[..., :36])


def test_statistics_that_do_not_fit_are_an_image_error(stylizer: Stylizer, style: Style, content: Tensor) -> None:
    other = Stylizer(tiny(), device="cpu", dtype="float32").content_statistics([content])
    with pytest.raises(ImageError, match="content_statistics"):
        stylizer.stylize(content, style, content_statistics=other)
    with pytest.raises(ImageError, match="at least one picture"):
        stylizer.content_statistics([])


def test_held_statistics_are_streamed_too(
    stylizer: Stylizer, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tifffile")
    Image.fromarray(noise(90, 130)).save(tmp_path / "in.tif")
    held: tuple[Moments, ...] = stylizer.content_statistics([noise(60, 60, seed=3)])
    whole = stylizer.stylize(tmp_path / "in.tif", style, content_statistics=held)
    monkeypatch.setenv("ADAINKIT_MEMORY", "1")
    seen = []
    stylizer.stylize_file(
        tmp_path / "in.tif",
        tmp_path / "out.tif",
        style,
        content_statistics=held,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert np.abs(pixels(tmp_path / "out.tif").astype(int) - np.asarray(whole)).max() <= 1
    assert seen[-1][1] == seen[-1][2]
    assert {stage for stage, _, _ in seen} == {"stylize"}


def test_a_working_size_that_memory_cannot_hold_says_so(
    stylizer: Stylizer, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(noise(160, 240)).save(tmp_path / "in.png")
    monkeypatch.setenv("ADAINKIT_MEMORY", "1")
    with pytest.raises(ImageError, match=r"218 x 145 pixels.*larger scale.*ADAINKIT_MEMORY"):
        stylizer.stylize_file(tmp_path / "in.png", tmp_path / "out.png", style, scale=1.1)
    assert not (tmp_path / "out.png").exists()
    stylizer.stylize_file(tmp_path / "in.png", tmp_path / "out.png", style, scale=4)
    assert pixels(tmp_path / "out.png").shape == (160, 240, 3)


# ---- on the command line ----


def test_the_command_takes_every_control(run: Run, here: Path, stylizer: Stylizer) -> None:
    colors = ["--preserve-color", "luma", "--color-strength", "0.5"]
    flags = ["--alpha", "0.2,0.5,1", *colors, "--scale", "2", "--detail", "0.3", "--dtype", "float32"]
    done = run("stylize", "a.png", "art.png", "-o", "out.png", *flags)
    assert done.code == 0, done.err
    expected = stylizer.stylize(
        "a.png", "art.png", alpha=(0.2, 0.5, 1), preserve_color="luma", color_strength=0.5, scale=2, detail=0.3
    )
    assert np.abs(pixels("out.png").astype(int) - np.asarray(expected)).max() <= 1


def test_the_command_takes_regions(run: Run, here: Path, stylizer: Stylizer) -> None:
    left = np.zeros((38, 51), np.uint8)
    left[:, :25] = 255
    Image.fromarray(left).save("left.png")
    Image.fromarray(255 - left).save("right.png")
    regions = ["--region", "left.png=art.png", "--region", "right.png=b.jpg"]
    done = run("stylize", "a.png", *regions, "-o", "out.png", "--dtype", "float32")
    assert done.code == 0, done.err
    expected = stylizer.stylize("a.png", None, regions=[("left.png", "art.png"), ("right.png", "b.jpg")])
    assert np.abs(pixels("out.png").astype(int) - np.asarray(expected)).max() <= 1
    assert run("stylize", "a.png", *regions, "-o", "left.png", "--overwrite").code == 1, "a mask is never a target"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--region", "left.png"], "MASK=STYLE"),
        (["--region", "=art.png"], "MASK=STYLE"),
        (["--style", "art.png", "--region", "a.png=b.jpg"], "exclude each other"),
        (["iris", "--region", "a.png=b.jpg"], "iris: no such file; if it is meant as a STYLE, it excludes --region"),
        (["--scale", "0.5", "--style", "art.png"], "1 to 64"),
        (["--alpha", "0.5,2", "--style", "art.png"], "0 to 1"),
        (["--detail", "7", "--style", "art.png"], "0 to 1"),
    ],
)
def test_wrong_usage_is_told(run: Run, here: Path, flags: list[str], words: str) -> None:
    done = run("stylize", "a.png", *flags)
    assert done.code == 2
    assert words in done.err


def test_a_wrong_number_of_alphas_is_one_line(run: Run, here: Path) -> None:
    done = run("stylize", "a.png", "art.png", "-o", "out.png", "--alpha", "0.5,0.5")
    assert done.code == 1
    assert "2 alphas for a model of 3" in done.err
