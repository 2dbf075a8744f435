"""Frames side by side: in order, no more than there is room for, and the same pictures as one after the other."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("av")
from small_films import make_film, picture
from test_stylizer import tiny

from adainkit import Stylizer
from adainkit.film.codecs import choose_encoding
from adainkit.film.crew import Crew
from adainkit.film.source import open_clip


@pytest.fixture(params=[1, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(tiny(), device="cpu", dtype="float32", cache=None)


def test_works_come_in_order_and_go_on_side_by_side(stylizer: Stylizer, threads: int) -> None:
    begun, most, together = 0, 0, threading.Barrier(2)

    def items() -> Iterator[int]:
        nonlocal begun
        for number in range(8):
            begun += 1
            yield number

    def work(number: int) -> tuple[int, int]:
        if crew.size > 1:
            together.wait(30)  # two are here at a time, or this breaks
        return number, torch.get_num_threads()

    with Crew(stylizer) as crew:
        assert crew.size == (1 if threads == 1 else 2)
        for done, (number, share) in enumerate(crew.each(work, items())):
            assert number == done
            assert share == max(1, threads // crew.size)
            most = max(most, begun - done)
        assert most <= crew.size + 1
        assert crew.begin(lambda text: text + "!", "now")() == "now!"
    found: list[int] = []
    after = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    after.start()
    after.join()
    assert found == [threads] == [torch.get_num_threads()]  # nobody else notices


def test_a_thread_that_cannot_be_started_leaves_nobody_waiting(
    stylizer: Stylizer, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if threads == 1:
        pytest.skip("a crew of one has no threads")
    submitted = []
    submit = ThreadPoolExecutor.submit

    def second_fails(pool: ThreadPoolExecutor, *work: Any) -> Any:
        submitted.append(submit(pool, *work))
        if len(submitted) == 2:
            raise RuntimeError("can't start new thread")
        return submitted[-1]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", second_fails)
    crew = Crew(stylizer)
    with pytest.raises(RuntimeError, match="new thread"):
        crew.__enter__()
    assert all(each.done() for each in submitted)
    assert torch.get_num_threads() == threads


def test_an_error_of_a_work_is_the_crews(stylizer: Stylizer, threads: int) -> None:
    def work(number: int) -> int:
        return 6 // number

    with pytest.raises(ZeroDivisionError), Crew(stylizer) as crew:
        list(crew.each(work, [3, 2, 0, 1]))


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnxruntime"])
def test_frames_side_by_side_are_those_of_one_after_the_other(runtime: str, threads: int) -> None:
    if runtime != "torch":
        pytest.importorskip(runtime)
        pytest.importorskip("onnx")
    with Stylizer(tiny(), device="cpu", dtype="float32", cache=None, runtime=runtime) as stylizer:
        style, frames = stylizer.encode_style(picture(0)), [picture(i, 96, 64) for i in range(6)]
        alone = [stylizer.stylize(frame, style) for frame in frames]
        with Crew(stylizer) as crew:
            beside = list(crew.each(lambda frame: crew.stylizer.stylize(frame, style), frames))
            assert (crew.stylizer is stylizer) == (crew.size == 1 or runtime == "torch")
            assert stylizer.side_by_side(crew.size) is crew.stylizer  # made once
        assert all(np.array_equal(a, b) for a, b in zip(alone, beside, strict=True))
        assert crew.stylizer.runtime == runtime
        if crew.stylizer is not stylizer:
            stylizer.to("cpu", "float32")
            with pytest.raises(Exception, match="closed"):
                _ = crew.stylizer.model


def test_another_preset_is_x264s_own(tmp_path: Path) -> None:
    facts = open_clip(make_film(tmp_path / "in.mp4", 3, sound=None)).facts
    ours, theirs = choose_encoding("a.mp4", facts), choose_encoding("a.mp4", facts, preset="medium")
    assert set(ours.options) - set(theirs.options) == {"partitions", "motion-est"}
    assert theirs.options["preset"] == "medium"
    assert theirs.options["crf"] == ours.options["crf"] == "17"
