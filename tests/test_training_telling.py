"""Training for a beginner: what a run says, and what it begins with."""

import json
import logging
from pathlib import Path

import pytest
import torch
from small_training import TINY

from adainkit.net.model import AdaINModel
from adainkit.store.weights import models
from training.config import TrainConfig, load_config
from training.telling import Telling
from training.train import Trainer, main


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(caplog: pytest.LogCaptureFixture, steps: int, minutes: float, lines: bool, until: int) -> list[str]:
    """What a run says that makes two steps a second, for so many seconds."""
    clock = Clock()
    telling = Telling(steps, minutes, 0, lines, clock)
    with caplog.at_level(logging.INFO, "adainkit.training"):
        for second in range(1, until + 1):
            clock.now = float(second)
            telling.at(2 * second, float(second), {"loss": 1.25})
    return [record.getMessage() for record in caplog.records]


def test_a_log_has_lines_from_the_first_minute_and_an_estimate_after_it(caplog: pytest.LogCaptureFixture) -> None:
    found = told(caplog, 36000, 0.0, True, 200)
    assert found[0] == "step 30 of 36000, 2 steps a second, about 5 h 0 min left, loss 1.25"
    assert found[1] == (
        "the 35880 steps that are left take about 4 h 59 min on this machine; --minutes 30 gives a first look"
    )
    assert len(found) == 5  # at 15, 75, 135, 195 s, and the estimate


def test_a_run_by_the_clock_says_how_many_steps_it_has_time_for(caplog: pytest.LogCaptureFixture) -> None:
    assert told(caplog, 1000, 30.0, False, 200) == ["about 3600 steps fit into the 30 min on this machine"]
    caplog.clear()
    assert told(caplog, 1000, 30.0, True, 20) == [
        "step 30, 15 s of 30 min, 2 steps a second, about 30 min left, loss 1.25"
    ]


def test_what_is_gone_and_what_is_left_are_the_whole(caplog: pytest.LogCaptureFixture) -> None:
    assert [line.split(", ")[1::2] for line in told(caplog, 1000, 2.0, True, 119)[::2]] == [
        ["15 s of 2 min", "about 1 min 45 s left"],
        ["1 min 15 s of 2 min", "about 45 s left"],
    ]
    caplog.clear()
    last = told(caplog, 1000, 30.0, True, 1600)[-1]
    assert last == "step 3030, 25 min of 30 min, 2 steps a second, about 4 min 45 s left, loss 1.25"


def test_a_run_begins_with_a_model_by_its_name(
    teacher: Path, pictures: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lite = AdaINModel.load(models()["lite"].path)
    small = {"stages": [{"steps": 1, "crop": 32, "batch": 1}], "scales": [1], "look_shift": 0, "minutes": 0.0}
    small |= {"validation_every": 0, "workers": 0, "amp": "none"}
    config = load_config("first-look", small)
    assert config.init == "lite"
    run = Trainer(config, *pictures, teacher, tmp_path / "run")
    assert torch.equal(run.model.decoder.layers[-1].conv.weight, lite.decoder.layers[-1].conv.weight)
    assert run.config.decoder == lite.config.decoder
    command = ["--config", "first-look", "--init", "nosuch", "--content", str(pictures[0]), "--style", str(pictures[1])]
    command += ["--teacher", str(teacher), "--out", str(tmp_path / "other")]
    with caplog.at_level(logging.ERROR, "adainkit.training"):
        assert main(command) == 1
    assert "'nosuch' is neither an existing file nor the name of a model; there are: lite" in caplog.text


def test_first_look_has_the_architecture_of_lite_and_half_an_hour() -> None:
    config, lite = load_config("first-look"), AdaINModel.load(models()["lite"].path).config
    assert (config.encoder, config.decoder, config.gain_cap) == (lite.encoder, lite.decoder, lite.gain_cap)
    assert config.minutes == 30
    assert config.checkpoint_minutes == 5


def test_a_run_from_before_there_was_init_goes_on(teacher: Path, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    config = TrainConfig(**{**TINY, "stages": [{"steps": 1, "crop": 32, "batch": 1}]})  # type: ignore[arg-type]
    run = Trainer(config, *pictures, teacher, tmp_path / "run")
    assert "init" not in json.loads(json.dumps(run.settings))
