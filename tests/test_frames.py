"""Frames of a film: in order, lazily, a few at a time."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_stylizer import tensor, tiny

from adainkit.batch import run_pipeline
from adainkit.batch.pipeline import END
from adainkit.errors import ImageError, StyleError
from adainkit.stylizer import Stylizer


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(tiny(), device="cpu", dtype="float32")


def test_frames_are_what_stylize_gives_in_their_order(stylizer: Stylizer) -> None:
    frames = [tensor(24, 32, seed=i) for i in range(5)]
    style = stylizer.encode_style(tensor(40, 40, seed=9))
    statistics = stylizer.content_statistics(frames)
    options = {"alpha": 0.7, "preserve_color": "luma", "detail": 0.3, "content_statistics": statistics}
    film = stylizer.stylize_frames(iter(frames), style, mask=np.ones((4, 4), np.float32), **options)
    for found, frame in zip(film, frames, strict=True):
        assert torch.equal(found, stylizer.stylize(frame, style, mask=np.ones((4, 4), np.float32), **options))
    pairs = [(np.eye(4, dtype=np.float32), style), (1 - np.eye(4, dtype=np.float32), tensor(40, 40, seed=8))]
    (found,) = stylizer.stylize_frames(frames[:1], None, regions=pairs)
    assert torch.equal(found, stylizer.stylize(frames[0], None, regions=pairs))


def test_a_film_without_an_end_is_taken_frame_by_frame(stylizer: Stylizer) -> None:
    taken: list[str] = []

    def endless() -> Iterator[torch.Tensor]:
        while True:
            taken.append(threading.current_thread().name)
            yield tensor(24, 32, seed=len(taken))

    film = stylizer.stylize_frames(endless(), tensor(40, 40, seed=9))
    assert taken == [], "nothing is taken before it is asked for"
    for count in range(1, 5):
        next(film)
        assert len(taken) <= count + 4
    film.close()
    after = len(taken)
    time.sleep(0.05)
    assert len(taken) == after
    assert threading.main_thread().name not in taken


def test_options_are_checked_at_once_and_a_broken_frame_when_it_is_its_turn(stylizer: Stylizer) -> None:
    style = stylizer.encode_style(tensor(40, 40, seed=9))
    with pytest.raises(StyleError, match="alpha must be"):
        stylizer.stylize_frames([], style, alpha=2)
    with pytest.raises(StyleError, match="exclude each other"):
        stylizer.stylize_frames([], style, regions=[(np.ones((2, 2), np.float32), style)])
    film = stylizer.stylize_frames([tensor(24, 32), "no such file.png", tensor(24, 32)], style)
    assert next(film).shape == (1, 3, 24, 32)
    with pytest.raises(ImageError, match=r"no such file\.png"):
        next(film)
    assert list(stylizer.stylize_frames([], style)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pipeline_keeps_the_order_where_it_is_asked_to(threads: int) -> None:
    def write(number: int, value: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        if number == 4:
            raise ImageError("four")
        return value * 10

    def work(number: int, value: int) -> int | None:
        return value + 1 if number != 5 else None

    found = list(run_pipeline(range(9), lambda n: n, work, write, threads=threads, ordered=True))
    assert [o.job for o in found] == list(range(9))
    assert [o.value for o in found] == [10, 20, 30, 40, None, None, 70, 80, 90]
    assert [str(o.error) for o in found if o.error] == ["four"]


def test_a_pipeline_ends_where_reading_says_so() -> None:
    left = iter(range(3))
    found = run_pipeline(iter(int, 1), lambda _: next(left, END), lambda _, v: v + 1, lambda _, v: v)
    assert [o.value for o in found] == [1, 2, 3]
