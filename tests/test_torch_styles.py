"""adainkit.torch: random styles as a transform and as a data set, the same ones wherever they are made."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from command_line import noise
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import adainkit
from adainkit.errors import ImageError, StyleError
from adainkit.torch import RandomStyle, StylizedDataset
from adainkit.torch.pool import StylePool

PRESETS = ["calanque", "ukiyo-e", "ember"]


@pytest.fixture(autouse=True)
def _names() -> None:
    global PRESETS
    PRESETS = list(adainkit.styles("lite"))[:3]


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_a_picture_is_the_one_that_stylize_makes(pictures: torch.Tensor):
    transform = RandomStyle(PRESETS[:1], p=1, alpha=0.7)
    with adainkit.Stylizer("lite", device="cpu") as stylizer:
        expected = stylizer.stylize(pictures[0], PRESETS[0], alpha=0.7)
    assert torch.equal(transform(pictures[0]), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: (x * 255).round().to(torch.uint8),
        lambda x: x.half(),
        lambda x: tv_tensors.Image(x),
        lambda x: tv_tensors.Video(torch.stack([x, x])),
        lambda x: x[:1],
        lambda x: Image.fromarray((x.movedim(0, -1).numpy() * 255).astype(np.uint8)),
        lambda x: Image.fromarray((x[0].numpy() * 255).astype(np.uint8)),
    ],
    ids=["float", "uint8", "half", "Image", "Video", "gray", "PIL", "gray PIL"],
)
def test_type_size_and_dtype_stay(pictures: torch.Tensor, make: Callable[[torch.Tensor], object]):
    given = make(pictures[0])
    made = RandomStyle(PRESETS, p=1)(given)
    assert type(made) is type(given)
    if isinstance(given, torch.Tensor):
        assert (made.dtype, made.shape) == (given.dtype, given.shape)
        assert not torch.equal(made, given)
    else:
        assert (made.mode, made.size) == (given.mode, given.size)


def test_of_a_sample_only_pictures_change(pictures: torch.Tensor):
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[1, 2, 3, 4]]), format="XYXY", canvas_size=(24, 32))
    mask = tv_tensors.Mask(torch.zeros(24, 32, dtype=torch.uint8))
    sample = {
        "image": tv_tensors.Image(pictures[0]),
        "boxes": boxes,
        "mask": mask,
        "label": torch.tensor(3),
        "name": "a",
    }
    made = v2.Compose([RandomStyle(PRESETS, p=1), v2.Identity()])(sample)
    assert not torch.equal(made["image"], sample["image"])
    assert all(made[name] is sample[name] for name in ("boxes", "mask", "label", "name"))


def test_points_and_what_else_is_no_picture_stay(pictures: torch.Tensor):
    class Points(tv_tensors.TVTensor):
        """As torchvision's `KeyPoints`, which not every release has."""

    points = torch.Tensor._make_subclass(Points, torch.rand(1, 8, 8))
    image, kept = RandomStyle(PRESETS, p=1)(tv_tensors.Image(pictures[0]), points)
    assert kept is points
    assert not torch.equal(image, pictures[0])


@pytest.mark.parametrize("mode", ["P", "CMYK", "1", "I;16", "I", "LA", "RGBA", "YCbCr"])
def test_a_pil_image_keeps_its_mode(mode: str):
    color = Image.effect_noise((32, 24), 60).convert("RGB")
    given = color.convert("L").convert("I").convert(mode) if mode == "I;16" else color.convert(mode)
    made = RandomStyle(PRESETS, p=1)(given)
    assert (made.mode, made.size) == (mode, given.size)
    if mode.startswith("I"):
        assert 5_000 < np.asarray(made).mean() < 60_000


def test_two_pictures_of_a_sample_have_one_style(pictures: torch.Tensor):
    image = tv_tensors.Image(pictures[0])
    one, other = RandomStyle(PRESETS, p=1, alpha=(0.2, 0.8))(image, image)
    assert torch.equal(one, other)


def test_chance_is_torchs_own(pictures: torch.Tensor):
    transform = RandomStyle(PRESETS, p=0.5, alpha=(0.2, 0.8))
    torch.manual_seed(1)
    drawn = [transform.make_params([pictures[0]]) for _ in range(400)]
    torch.manual_seed(1)
    assert drawn == [transform.make_params([pictures[0]]) for _ in range(400)]
    styled = [params for params in drawn if params["style"] is not None]
    assert 160 < len(styled) < 240
    assert {params["style"] for params in styled} == {0, 1, 2}
    assert all(0.2 <= params["alpha"] <= 0.8 for params in styled)
    assert max(params["alpha"] for params in styled) - min(params["alpha"] for params in styled) > 0.5


def test_p_0_is_the_picture_itself_and_loads_no_model(pictures: torch.Tensor):
    transform = RandomStyle(PRESETS, p=0)
    picture = pictures[0]
    assert transform(picture) is picture
    assert transform.pool._stylizer is None


@pytest.mark.parametrize(
    "options",
    [{"p": 1.5}, {"p": -1}, {"alpha": 2}, {"alpha": (0.8, 0.2)}, {"styles": []}, {"styles": "no such folder"}],
)
def test_impossible_options_are_errors(options: dict[str, object]):
    with pytest.raises(StyleError):
        RandomStyle(**{"styles": PRESETS, **options})
    with pytest.raises(StyleError):
        StylizedDataset([], **{"styles": PRESETS, **options})


def test_normalized_tensors_are_an_error_that_says_the_range():
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        RandomStyle(PRESETS, p=1)(torch.randn(3, 16, 16))


def test_a_folder_of_styles_is_read_by_name(tmp_path: Path):
    for number in (2, 1):
        noise(tmp_path / f"deep/{number}.png", number)
    noise(tmp_path / "0.png", 0)
    pool = StylePool(tmp_path)
    assert [Path(name).name for name in pool.names] == ["0.png", "1.png", "2.png"]
    first = pool[1]
    assert pool[1] is first
    again = pickle.loads(pickle.dumps(pool))
    assert again._stylizer is None
    assert all(torch.equal(first.tensors[name], again[1].tensors[name]) for name in first.tensors)


def loaded(dataset: StylizedDataset, workers: int, **more: object) -> torch.Tensor:
    return torch.cat([batch[0] for batch in DataLoader(dataset, 2, num_workers=workers, **more)])


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])  # what is spawned imports torch anew
def test_workers_make_what_the_process_itself_makes(pictures: torch.Tensor, context: str, workers: int):
    dataset = StylizedDataset(TensorDataset(pictures, torch.arange(6)), PRESETS, p=0.8, alpha=(0.2, 0.8), seed=3)
    torch.set_num_threads(1)  # as in the workers: sums of more threads may round otherwise
    here = loaded(dataset, 0)
    assert torch.equal(loaded(dataset, workers, multiprocessing_context=context), here)
    assert not torch.equal(here, pictures)
    assert torch.equal(torch.stack([dataset[i][0] for i in (5, 3, -6)]), here[[5, 3, 0]])


def test_an_epoch_has_its_own_styles_and_workers_that_persist_see_it(pictures: torch.Tensor):
    dataset = StylizedDataset(TensorDataset(pictures), PRESETS, alpha=(0.2, 0.8))
    torch.set_num_threads(1)
    first = [dataset.choice(i) for i in range(6)]
    loader = DataLoader(dataset, 2, num_workers=1, persistent_workers=True)
    made = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        made.append(torch.cat([batch[0] for batch in loader]))
    assert torch.equal(made[0], made[2])
    assert not torch.equal(made[0], made[1])
    dataset.set_epoch(1)
    assert [dataset.choice(i) for i in range(6)] != first
    dataset.set_epoch(0)
    assert [dataset.choice(i) for i in range(6)] == first
    assert len({alpha for _, alpha in first}) == 6


class Named(NamedTuple):
    image: torch.Tensor
    label: int


def test_samples_of_other_forms(pictures: torch.Tensor):
    plain = StylizedDataset(list(pictures), PRESETS, transform=lambda x: x.mean())
    assert plain[0].shape == ()
    listed = StylizedDataset([[pictures[0], "label", 5]], PRESETS)
    assert listed[0][1:] == ["label", 5]
    assert len(listed) == 1
    with pytest.raises(IndexError):
        listed[1]
    first = StylizedDataset([Named(pictures[0], 7)], PRESETS)[0]
    assert type(first) is Named
    assert first.label == 7
