"""What belongs to a model, a scale or a precision is not taken for that of another; batches are opened in turn."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from adainkit import stylizer as stylizer_module
from adainkit.engine.content_statistics import ContentStatistics
from adainkit.engine.two_pass import Executor
from adainkit.errors import ImageError
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel
from adainkit.style import StyleCache
from adainkit.stylizer import Stylizer

TINY = ModelConfig("tiny", "unshuffle conv6 res6 tap down8 tap", "conv8 merge res6 shuffle4 rgb", gain_cap=16.0)


def tiny(seed: int = 0, **options: Any) -> Stylizer:
    torch.manual_seed(seed)
    return Stylizer(AdaINModel(TINY), **{"device": "cpu", "dtype": "float32", "cache": None, **options})


def picture(seed: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_statistics_of_another_model_are_refused() -> None:
    one, other = tiny(0), tiny(1)
    film = one.content_statistics([picture(0), picture(1)])
    assert isinstance(film, ContentStatistics)
    style = other.encode_style(picture(2))
    for use in (other.stylize, other.preview):
        with pytest.raises(ImageError, match="content_statistics are of another model"):
            use(picture(), style, content_statistics=film)
    with pytest.raises(ImageError, match="of another model"):
        other.stylize_batch([picture()], style, content_statistics=film)
    one.stylize(picture(), one.encode_style(picture(2)), content_statistics=film)


def test_statistics_of_another_scale_are_refused() -> None:
    stylizer = tiny()
    style = stylizer.encode_style(picture(2))
    film = stylizer.content_statistics([picture()], scale=2)
    with pytest.raises(ImageError, match="of scale 2, not 1"):
        stylizer.stylize(picture(), style, content_statistics=film)
    with pytest.raises(ImageError, match="of scale 2, not 3"):
        stylizer.preview(picture(), style, content_statistics=film, scale=3)
    stylizer.stylize(picture(), style, content_statistics=film, scale=2)
    stylizer.stylize(stylizer.encode_content(picture(), scale=2), style, content_statistics=film)
    stylizer.preview(picture(), style, content_statistics=film, scale=2)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda film: pickle.loads(pickle.dumps(film))])
def test_the_binding_survives_copies(again: Any) -> None:
    film = again(tiny().content_statistics([picture()], scale=2))
    assert (film.digest, film.scale, len(film)) == (tiny().digest, 2.0, 2)


def test_plain_statistics_are_taken_as_before() -> None:
    stylizer = tiny()
    film = stylizer.content_statistics([picture()])
    style = stylizer.encode_style(picture(2))
    bound, plain = (stylizer.stylize(picture(), style, content_statistics=f) for f in (film, tuple(film)))
    assert np.array_equal(bound, plain)


def test_rounded_weights_write_no_exact_styles_into_the_cache() -> None:
    cache = StyleCache()
    exact = tiny(cache=cache).encode_style(picture())
    assert len(cache) == 1
    rounded = tiny(cache=cache).to(dtype="bfloat16").to(dtype="float32")
    found = rounded.encode_style(picture())
    assert not all(torch.equal(a, b) for a, b in zip(found.means, exact.means, strict=True))
    assert len(cache) == 2
    again = tiny(cache=cache).encode_style(picture())
    assert all(torch.equal(a, b) for a, b in zip(again.means, exact.means, strict=True))


def test_mixed_precision_encodes_styles_exactly_until_it_is_left() -> None:
    cache = StyleCache()
    exact = tiny(cache=cache).encode_style(picture())
    mixed = tiny(cache=cache).to(dtype="mixed")
    assert all(torch.equal(a, b) for a, b in zip(mixed.encode_style(picture()).means, exact.means, strict=True))
    assert len(cache) == 1
    mixed.to(dtype="float32").encode_style(picture())
    assert len(cache) == 2


def test_a_batch_is_opened_as_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stylizer, held, most, open_image = tiny(), 0, 0, stylizer_module.open_image

    class Counted(np.ndarray):
        pass

    def opened(image: Any, **options: Any) -> Any:
        nonlocal held, most
        held += isinstance(image, Counted)
        most = max(most, held)
        return open_image(np.asarray(image), **options)

    close_image = stylizer_module.close_image

    def closed(*args: Any) -> Any:
        nonlocal held
        held -= 1
        return close_image(*args)

    monkeypatch.setattr(stylizer_module, "open_image", opened)
    monkeypatch.setattr(stylizer_module, "close_image", closed)
    sizes = [(24, 32), (20, 20), (24, 36), (17, 19)] * 10
    images = [picture(i, *size).view(Counted) for i, size in enumerate(sizes)]
    style = stylizer.encode_style(picture(99))
    told: list[int] = []
    results = stylizer.stylize_batch(images, style, batch_size=3, progress=lambda _, done, total: told.append(done))
    assert most <= 7
    assert told[-1] == len(images)
    assert told == sorted(told)
    for image, result in zip(images, results, strict=True):
        alone = stylizer.stylize(np.asarray(image), style)
        assert np.abs(alone.astype(int) - result).max() <= 1


def test_memory_that_runs_out_between_levels_is_halved_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AdaINModel(TINY)
    executor = Executor(model, torch.device("cpu"), torch.float32, None)
    rgb = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        want, _ = executor.encode(rgb)
    real, calls = torch.Tensor.to, 0

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal calls
        if args == (torch.float32,) and self.shape[1] == TINY.levels[1].channels and self.shape[0] == 1:
            calls += 1
            if calls == 1:
                raise MemoryError
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", to)
    with torch.no_grad():
        found, _ = Executor(model, torch.device("cpu"), torch.float32, None).encode(rgb)
    assert calls
    for a, b in zip(found, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
