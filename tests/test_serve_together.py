"""Requests that are computed together: the same pictures, each with its own end."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from service import opened, picture, problem, serving

from adainkit.errors import Progress
from adainkit.serve import Settings
from adainkit.serve.desk import Alike, Desk, Lane
from adainkit.stylizer import Stylizer

STYLES = ("iris", "ember", "iris", "ukiyo-e")


def test_the_desk_does_at_once_what_is_alike_and_waits_for_it_a_moment() -> None:
    groups: list[list[str]] = []

    def together(items: Sequence[str], progress: Progress) -> list[str]:
        groups.append([*items])
        if "bad" in items:
            raise ValueError("one of them")
        return [item.upper() for item in items]

    async def go() -> None:
        desk = Desk(waiting=9, each=9, batch=3, patience=0.3)
        alone: list[str] = []

        async def one(name: str, key: str, lane: Lane = Lane.WHOLE) -> str:
            def work(_: Progress) -> str:
                alone.append(name)
                return name

            with desk.place("a"):
                return await desk.compute(work, lane, alike=Alike(key, name, together))

        began = time.monotonic()
        assert await one("a", "x") == "a"  # nobody else is on the way
        assert time.monotonic() - began < 0.2
        holds = threading.Event()
        first = asyncio.create_task(desk.compute(lambda _: holds.wait(20), Lane.WHOLE))
        names = [("b", "x"), ("c", "y"), ("d", "x"), ("e", "x"), ("f", "x"), ("g", "y")]
        tasks = [asyncio.create_task(one(name, key)) for name, key in names]
        await asyncio.sleep(0.1)
        holds.set()
        assert await asyncio.gather(*tasks) == ["B", "C", "D", "E", "f", "G"]
        assert (groups, alone) == ([["b", "d", "e"], ["c", "g"]], ["a", "f"])
        assert await asyncio.gather(one("h", "x"), one("bad", "x")) == ["h", "bad"]  # one by one, since it failed
        assert await asyncio.gather(one("i", "x"), one("j", "x", Lane.JOB)) == ["i", "j"]
        await first
        await asyncio.to_thread(desk.close)

    asyncio.run(go())


def test_pictures_of_one_size_are_painted_together_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    real = Stylizer.stylize_batch

    def stylize_batch(stylizer: Stylizer, images: Sequence[Any], styles: Sequence[Any], **options: Any) -> Any:
        counts.append(len(images))
        return real(stylizer, images, styles, **options)

    monkeypatch.setattr(Stylizer, "stylize_batch", stylize_batch)

    def asked(url: str, number: int, **more: Any) -> requests.Response:
        sent = {"picture": picture(seed=number), **more}
        return requests.post(f"{url}/v1/stylize", data={"style": STYLES[number], "alpha": 0.8}, files=sent)

    with serving(Settings(platform="none", batch=4, patience=5.0)) as url, ThreadPoolExecutor(4) as callers:
        together = [np.asarray(opened(each), int) for each in callers.map(lambda n: asked(url, n), range(4))]
        assert counts == [4]
        broken = callers.submit(asked, url, 0, style_file=b"no painting")
        good = callers.submit(asked, url, 1)
        assert problem(broken.result())[0] == 422
        assert opened(good.result()).size == (96, 64)
        counts.clear()
        alone = [np.asarray(opened(asked(url, number)), int) for number in range(4)]
        assert counts == []
    for one, other in zip(together, alone, strict=True):  # equal but for the rounding of half precision
        assert np.abs(one - other).max() <= 3
        assert np.abs(one - other).mean() < 0.2
