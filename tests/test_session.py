"""A session: models that stay warm, and one caller after the other."""

import threading
import time
from pathlib import Path

import pytest
from test_stylizer import tiny

from adainkit.errors import AdaINKitError, WeightsError
from adainkit.session import Busy, Limits, Session, Turns


def test_a_model_is_loaded_once_until_its_file_is_another(tmp_path: Path) -> None:
    with Session("cpu", limits=Limits(models=1)) as session:
        path = tiny().save(tmp_path / "own.safetensors")
        first = session.stylizer(str(path))
        assert session.stylizer(str(path)) is first
        assert session.stylizer("lite").cache is first.cache
        with pytest.raises(AdaINKitError, match="closed"):
            first.model  # noqa: B018 - only one is kept
        assert session.stylizer(str(path)) is not first
        with pytest.raises(WeightsError, match="adainkit download vgg19"):
            session.stylizer("vgg19")
        kept = session.stylizer(str(path))
    with pytest.raises(AdaINKitError, match="closed"):
        kept.model  # noqa: B018


def test_turns_come_in_the_order_of_the_callers_and_the_line_has_an_end() -> None:
    turns, order, waited, go_on = Turns(waiting=2, tick=0.01), [], [], threading.Event()

    def caller(number: int) -> None:
        with turns.take(waited.append):
            order.append(number)
            go_on.wait(60)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        while turns.taken <= number:
            time.sleep(0.001)
    with pytest.raises(Busy, match="2 jobs are waiting"), turns.take():
        pass
    while not waited:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    assert set(waited) <= {1, 2}
    assert turns.taken == 0


def test_who_gives_up_leaves_the_line() -> None:
    turns = Turns(tick=0.01)

    def give_up(before: int) -> None:
        raise TimeoutError(before)

    with turns.take():
        with pytest.raises(TimeoutError, match="1"), turns.take(give_up):
            pass
        assert turns.taken == 1
