"""Training of decoders that know the style: what the head follows, and what is drawn at random."""

from pathlib import Path

import pytest
import torch
from small_training import trainer
from torch import Tensor

from training import engine
from training.train import Trainer

KNOWING = {"decoder": "canvas2 mod8 merge shuffle4 rgb", "code": 8}


def followed(run: Trainer) -> list[Tensor]:
    head = run.model.decoder.head
    assert head is not None
    return [head.center.clone(), head.scale.clone()]


@pytest.mark.parametrize("amp", ["none", "float16"])
def test_a_step_without_a_finite_loss_leaves_what_the_head_follows(
    teacher: Path, pictures, tmp_path: Path, amp: str
) -> None:
    run = trainer(teacher, pictures, tmp_path / "run", amp=amp, **KNOWING)
    run.train_step(run.batches[0])
    before, average = ({k: v.clone() for k, v in s.items()} for s in (run.model.state_dict(), run.average))
    with torch.no_grad():
        run.model.encoder.layers[1].conv.weight.fill_(torch.nan)  # the style's own statistics, too
    before["encoder.layers.1.conv.weight"].fill_(torch.nan)
    run.train_step(run.batches[1])
    assert run.skipped == 1
    for name, value in run.model.state_dict().items():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name
    for name, value in run.average.items():
        if name != "encoder.layers.1.conv.weight":
            assert torch.equal(value, average[name]), name


def test_processes_that_see_different_styles_follow_all_of_them(
    teacher: Path, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, one = (trainer(teacher, pictures, tmp_path / "run", **KNOWING) for _ in range(2))
    one.model.load_state_dict(alone.model.state_dict())
    alone.train_step(alone.batches[0])
    shared = []

    def all_reduce(value: Tensor, kind: object = None) -> None:
        """With another process, whose statistics are 3 more."""
        if kind is None and value.ndim == 1 and len(shared) < 2:
            shared.append(value.add_(value + 3))

    monkeypatch.setattr(engine.dist, "all_reduce", all_reduce)
    one.engine.processes = 2
    one.train_step(one.batches[0])
    assert len(shared) == 2
    for ours, theirs in zip(followed(one), followed(alone), strict=True):
        torch.testing.assert_close(ours, theirs + 1.5)


def test_a_step_s_place_on_the_canvas_is_a_function_of_seed_and_step(teacher: Path, pictures, tmp_path: Path) -> None:
    found = []
    for more in (0, 5):
        run = trainer(teacher, pictures, tmp_path / "run", **KNOWING)
        torch.rand(more)  # whatever else was drawn before
        with torch.no_grad():
            run.model.decoder.head.maps.weight.mul_(50)
        found.append(run.train_step(run.batches[0])["loss"])
    assert found[0] == found[1]
