"""Pictures on the device, the views that are cut of them, runs by the clock, and CUDA graphs where there is CUDA."""

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import TINY, trainer

from adainkit.look.color import luma
from training import data
from training.config import ConfigError, Stage, load_config
from training.data import Batches, find_pictures
from training.feeds import LoaderFeed, StoreFeed
from training.losses import psnr
from training.schedule import Schedule
from training.store import Store
from training.views import View, draw_colors, recolor

pytestmark = pytest.mark.usefixtures("no_curves")

CPU = torch.device("cpu")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Smooth, so that two ways of scaling agree, and without a symmetry."""
    x, y = np.meshgrid(np.linspace(0, 1, 150), np.linspace(0, 1, 110))
    waves = [np.sin(9 * x + 4 * y), np.cos(7 * y - 2 * x), np.sin(5 * x * y + 6 * y)]
    path = tmp_path / "smooth.png"
    Image.fromarray((np.stack(waves, 2) * 120 + 128).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("colors", [None, ((0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.5, 0.0, 0.2))])
@pytest.mark.parametrize("box", [(10, 20, 74, 84), (0, 0, 110, 110), (30, 40, 50, 60)])
def test_crops_on_the_device_are_those_of_the_workers(picture: Path, box, colors) -> None:
    store = Store([picture], 110, 32, CPU)
    for flip in (False, True):
        for turns in range(4):
            view = View(box, flip, turns, colors)
            found = store.crops(store.table([(0, view)], 48), 48)
            assert found.shape == (1, 3, 48, 48)
            assert found.is_contiguous(memory_format=torch.channels_last)
            with Image.open(picture) as opened:
                expected = data._cut(opened.convert("RGB"), view, 48).float() / 255
            assert psnr(found, expected[None]).item() > 38, (flip, turns)


def test_a_store_keeps_what_can_be_read_and_shrinks_without_aliasing(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    checks = np.indices((128, 128)).sum(0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).convert("RGB").save(tmp_path / "checks.png")
    store = Store([tmp_path / "broken.png", tmp_path / "checks.png", picture], 128, 16, CPU)
    assert store.broken == [str(tmp_path / "broken.png")]
    assert store.sizes == [(128, 128), (150, 110)]
    shrunk = store.crops(store.table([(0, View((0, 0, 128, 128)))], 40), 40)
    assert (shrunk - 0.5).abs().max() < 0.05, "a checkerboard of single pixels is gray from afar"
    with pytest.raises(OSError, match="none of 1 pictures"):
        Store([tmp_path / "broken.png"], 128, 16, CPU)


def test_colors_are_drawn_as_they_are_asked_for() -> None:
    rng = random.Random(0)
    assert draw_colors(rng) is None
    pixels = torch.rand(1, 40, 40, 3) * 0.2 + 0.4

    def mapped(**shares: float) -> torch.Tensor:
        return recolor(pixels, torch.tensor([draw_colors(rng, **shares)]))

    for _ in range(8):
        hued = mapped(hue=1.0)
        torch.testing.assert_close(hued.sum(3), pixels.sum(3))
        assert not torch.equal(hued, pixels)
        gray = recolor(torch.full((1, 2, 2, 3), 0.3), torch.tensor([draw_colors(rng, hue=1.0)]))
        torch.testing.assert_close(gray, torch.full_like(gray, 0.3))
        dark = mapped(dark=1.0) / pixels
        assert 1 / 8 - 1e-4 < dark.min() <= dark.max() < 0.5 + 1e-4
    inverted = mapped(invert=1.0).permute(0, 3, 1, 2)
    before = pixels.permute(0, 3, 1, 2)
    torch.testing.assert_close(luma(inverted), 1 - luma(before))
    torch.testing.assert_close(inverted - luma(inverted), before - luma(before))
    both = mapped(hue=1.0, invert=1.0)
    assert both.shape == pixels.shape
    assert sum(draw_colors(rng, hue=0.25) is not None for _ in range(400)) == pytest.approx(100, abs=40)


def test_a_feed_of_the_device_is_a_function_of_the_step_and_follows_the_stages(pictures) -> None:
    config = load_config(None, {**TINY, "style_turn": True, "style_hue_share": 0.5, "content_dark_share": 0.5})
    content, style = (find_pictures(folder) for folder in pictures)
    one, two = (StoreFeed(config, Batches(config, content, style), content, style, CPU) for _ in range(2))
    feeds = list(one.feeds(0, Schedule(config)))
    assert len(feeds) == 8
    assert [feed.key for feed in feeds] == [(32, 3)] * 4 + [(48, 2)] * 4
    assert {Path(name).name for name in feeds[0].broken} == {"c013.jpg", "s013.jpg"}
    later = next(two.feeds(5, Schedule(config)))
    assert all(torch.equal(later.inputs[name], feeds[5].inputs[name]) for name in ("content", "style"))
    for feed, side in ((feeds[0], 32), (feeds[5], 48)):
        for found in feed.render(feed.inputs):
            assert found.shape[1:] == (3, side, side)
            assert 0 <= found.min() <= found.max() <= 1


def test_workers_take_a_stage_with_the_step(pictures) -> None:
    config = load_config(None, TINY)
    batches = Batches(config, *(find_pictures(folder) for folder in pictures))
    assert torch.equal(batches[2].content, batches[2, 0].content)
    assert batches[2, 1].content.shape == (2, 3, 48, 48)
    taken = iter(LoaderFeed(config, batches, CPU).feeds(3, Schedule(config)))
    assert torch.equal(next(taken).inputs["content"], batches[3].content)


def test_a_run_on_data_of_the_device_goes_on_bit_for_bit(teacher: Path, pictures, tmp_path: Path) -> None:
    settings = {"data_on_device": "always", "look_shift": 2, "style_turn": True}
    whole = trainer(teacher, pictures, tmp_path / "whole", **settings)
    whole.run()
    part = trainer(teacher, pictures, tmp_path / "part", **settings)
    for feed, _ in zip(part.feed.feeds(0, part.schedule), range(5), strict=False):
        part._step(feed)
    part.checkpoint()
    rest = trainer(teacher, pictures, tmp_path / "part", **settings)
    rest.run()
    assert all(torch.equal(v, rest.model.state_dict()[k]) for k, v in whole.model.state_dict().items())


def test_the_clock_takes_the_place_of_steps() -> None:
    now = [0.0]
    stages = (Stage(30, 32, 2), Stage(10, 48, 1))
    config = load_config(None, {**TINY, "stages": [vars(s) for s in stages], "minutes": 2.0, "warmup_steps": 4})
    schedule = Schedule(config, before=20.0, clock=lambda: now[0])
    schedule.closing(10.0)  # 20 s are kept back: 100 s for 40 steps
    assert schedule.place(7) == pytest.approx(8)
    assert not schedule.over(10**9)
    assert schedule.rate(0) == 1
    now[0] = 54.9
    assert schedule.stage(0) == 0
    now[0] = 55.1
    assert schedule.stage(0) == 1
    assert schedule.rate(0) == pytest.approx((100 - 75.1) / 50)
    now[0] = 80.1
    assert schedule.over(3)
    assert not schedule.over(0), "a first step there is"
    slow = Schedule(config, setup=60.0, clock=lambda: now[0])
    slow.closing(10.0)
    assert (slow.seconds, slow.place(0)) == (60, 0)
    now[0] += 20
    assert slow.place(5) == pytest.approx(20), "half of what the set-up left"
    by_steps = Schedule(load_config(None, TINY), clock=lambda: now[0])
    assert (by_steps.stage(3), by_steps.stage(4), by_steps.over(7), by_steps.over(8)) == (0, 1, False, True)


def test_a_run_by_the_clock_ends_in_time_with_a_model_and_tells_its_pace(
    teacher: Path, pictures, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("training.train._LOG_EVERY", 1)
    monkeypatch.setattr("training.train._LOG_SECONDS", 0.0)
    for place, extra in (
        ("store", {"data_on_device": "always", "checkpoint_minutes": 0.01}),
        ("loader", {"workers": 0}),
    ):
        started, out = time.monotonic(), tmp_path / place
        run = trainer(teacher, pictures, out, minutes=0.02, sample_every=10**6, **extra)
        run.run()
        assert run.schedule.seconds >= 0.6
        assert time.monotonic() - started < 300  # 1.2 s, and a loaded machine
        assert (out / "model.safetensors").is_file()
        rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        told = [row for row in rows if "loss" in row]
        assert all(row["steps_per_second"] > 0 and 0 <= row["waiting_share"] <= 1 for row in told)
        assert told[-1]["pictures_per_second"] > told[-1]["steps_per_second"]
        crops = {feed.key for feed in [next(run.feed.feeds(0, run.schedule))]}
        assert crops == ({(48, 2)} if place == "store" else {(2, 3, 48, 48)}), "the last stage's crops"


def test_a_run_by_the_clock_is_of_one_process(teacher: Path, pictures, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("training.processes.Processes.of_environment", classmethod(lambda cls: cls(0, 2, 0)))
    monkeypatch.setattr("training.processes.Processes.join", lambda self, device: None)
    with pytest.raises(ConfigError, match="a single process"):
        trainer(teacher, pictures, tmp_path / "run", minutes=1.0)


@pytest.mark.cuda
@pytest.mark.parametrize("more", [{}, {"decoder": "canvas2 mod8 merge shuffle4 rgb", "code": 8, "noise_weight": 0.1}])
def test_recorded_steps_are_the_same_as_others(
    teacher: Path, pictures, tmp_path: Path, more: dict[str, object]
) -> None:
    """With what is drawn at random inside of a step, too: noise, and a place on the canvas."""
    found = {}
    for graphs in (False, True):
        settings = {"device": "cuda", "cuda_graphs": graphs, "stages": [{"steps": 12, "crop": 32, "batch": 4}], **more}
        run = trainer(teacher, pictures, tmp_path / str(graphs), look_shift=2, reconstruction_share=0.25, **settings)
        assert isinstance(run.feed, StoreFeed)
        run.run()
        if graphs:
            assert run.engine.graphs is not None
            assert run.engine.graphs.usable
            assert run.engine.graphs._recorded
        found[graphs] = {k: v.cpu() for k, v in run.average.items()}
    for name, value in found[False].items():
        torch.testing.assert_close(found[True][name], value, rtol=1e-2, atol=1e-3)


@pytest.mark.cuda
def test_a_step_on_the_gpu_that_is_not_finite_changes_nothing(teacher: Path, pictures, tmp_path: Path) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", device="cuda", content_weight=float("inf"))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    for feed, _ in zip(run.feed.feeds(0, run.schedule), range(8), strict=False):
        run._step(feed)
    assert run.skipped == 8
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
