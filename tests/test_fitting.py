"""Contents of one size: scaled and cut as torchvision does it, here and by the command."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import noise, runner
from PIL import Image
from torchvision.transforms import v2

from adainkit.batch.fitting import Fit
from adainkit.errors import ImageError
from adainkit.images import open_image


@pytest.mark.parametrize("size", [(51, 38), (38, 51), (40, 40), (97, 33), (3, 90)])
@pytest.mark.parametrize(("resize", "crop"), [(32, None), (None, 24), (32, 28), (64, 56), (20, 40)])
def test_it_is_what_torchvision_does(size: tuple[int, int], resize: int | None, crop: int | None):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(3, size[1], size[0], generator=generator)
    steps = [] if resize is None else [v2.Resize(resize, antialias=True)]
    expected = v2.Compose([*steps, v2.Identity()])(x).clamp(0, 1)
    if crop is not None:
        expected = v2.functional.center_crop(expected, [min(crop, side) for side in expected.shape[1:]])
    made = Fit(None, resize, crop)(open_image(x))
    assert made.rgb.shape[1:] == expected.shape
    assert (made.rgb[0] - expected).abs().max() < 1e-5


def test_alpha_comes_along():
    x = torch.rand(4, 40, 60, generator=torch.Generator().manual_seed(2))
    made = Fit(None, 30, 20)(open_image(x))
    assert made.alpha is not None
    assert made.alpha.shape == (1, 1, 20, 20)
    assert torch.equal(torch.as_tensor(made.raw_alpha), made.alpha)
    array = Fit(None, None, 20)(open_image(np.ascontiguousarray(x.movedim(0, -1).numpy())))
    assert np.shape(array.raw_alpha) == (20, 20, 1)


def test_impossible_sizes_are_errors():
    for resize, crop in ((0, None), (None, -3)):
        with pytest.raises(ImageError, match="1 pixel or more"):
            Fit(None, resize, crop).check()
    with pytest.raises(ImageError, match="exclude each other"):
        Fit(crop=8).check("mask.png")


def test_the_command_fits_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    noise("in/a.png", 1, (70, 50))
    run = runner(capsys, "stylize", after=("--device", "cpu"))
    assert run("in", "ember", "-o", "out/", "--resize", 40, "--crop", 36, "--manifest", "m.jsonl").code == 0
    with Image.open("out/a.png") as made:
        assert made.size == (36, 36)
    again = run("in", "ember", "-o", "out/", "--resize", 48, "--crop", 36, "--manifest", "m.jsonl")
    assert again.code == 1
    assert "resize was 40, now 48" in again.err
