"""The words of which encoders and decoders are written, `"unshuffle conv32 res32 tap"`: a row of one table for each.

A row says everything that the rest of the package needs to know about a layer, so that a new word is a new row (and
its layer in `layers.py`). Checks, strides, halos and memory are derived from it, in `config.py` and `demands.py`.

| word | layer | scale |
| --- | --- | --- |
| `convN` | 3x3 convolution to N channels behind reflection padding, ReLU | 1 |
| `resN` | `x + conv(relu(conv(x)))`, two 3x3 convolutions at N channels | 1 |
| `pool` | 2x2 max-pooling, partial windows at the border count (encoder only, as the next three) | 1/2 |
| `downN` | `convN` with stride 2 | 1/2 |
| `unshuffle` | every 2x2 pixels become channels (an odd side is replicated by one) | 1/2 |
| `tap` | an AdaIN level: the features here are what `Encoder` returns | 1 |
| `up` | nearest x2 (decoder only, as all below) | 2 |
| `smooth` | bilinear x2 | 2 |
| `shuffleN` | 3x3 convolution to 4N channels, ReLU, pixel shuffle to N channels, mean of 2x2 | 2 |
| `modN` | `x + conv(relu(conv(x) * gain + shift))` at N channels, gains and shifts by the style | 1 |
| `canvasK` | `x + gain * conv(field) + shift`, K channels of noise that lies still in the picture | 1 |
| `strokesK` | `x + gain * mix(lead(x) * field) + shift`, K channels of noise, each drawn out in one direction | 1 |
| `merge` | 1x1 convolution to the width of the next finer level, bilinear x2, plus that level's features | 2 |
| `rgb` | 3x3 convolution to 3 channels, in float32 whatever the rest runs in; the last word | 1 |

Every down-scaling rounds up, so that a picture of any size from `ModelConfig.min_size` on keeps all of its border.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import ModelError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WORDS", "Need", "Word", "read_words"]

Need: TypeAlias = Literal["level", "map", "origin"]
Reach: TypeAlias = Callable[[int, int], tuple[int, int]]


def _near(cells: int) -> Reach:
    return lambda low, high: (low - cells, high + cells)


def _same(low: int, high: int) -> tuple[int, int]:
    return low, high


def _layers() -> Any:
    """The modules of torch, when the first one is built: an architecture is read without it."""
    return import_module(".layers", __package__)


@dataclass(frozen=True)
class Word:
    """One row. A word whose name is followed by a number in a configuration, mostly one of channels, is `numbered`."""

    build: Callable[[int, int], nn.Module] | None
    """Makes the layer from the channels in front of it and its number (or, without one, the channels behind it)."""
    reach: Reach = _same
    """What the cells `[low, high)` behind the layer depend on, in cells in front of it."""
    scale: float = 1
    """Cells behind it for each cell in front of it, along one side."""
    channels: Callable[[int, int], int] = lambda before, number: number or before
    """Computes the channels behind the layer from those in front of it and its number, 0 where it has none."""
    numbered: bool = False
    keeps: bool = False
    """Whether the number must be the number of channels in front of it."""
    holds: int = 1
    """How many tensors of the size of its output it holds at once, beside its input and its padded input."""
    encodes: bool = False
    decodes: bool = False
    """Whether the word may stand in an encoder, and in a decoder."""
    needs: tuple[Need, ...] = ()
    """What its layer is called with behind `x`: "level", the features of the next finer level; "map", the `AffineMap`
    of the word's own place (`ModelConfig.places`); "origin", the row and column of the window's first cell in the whole
    picture, in cells in front of the layer. Decoders only."""
    rest: float = 1
    """The gain of its map at alpha 0, where the shift is 0."""
    lift: float = 0
    """What comes to that gain at alpha 1, before what a style asks for."""


WORDS: dict[str, Word] = {
    "conv": Word(
        lambda before, after: _layers().Conv(before, after), _near(1), numbered=True, encodes=True, decodes=True
    ),
    "res": Word(
        lambda before, after: _layers().Residual(after),
        _near(2),
        numbered=True,
        keeps=True,
        holds=2,
        encodes=True,
        decodes=True,
    ),
    "pool": Word(lambda before, after: _layers().Pool(), lambda low, high: (2 * low, 2 * high), 1 / 2, encodes=True),
    "down": Word(  # cell i sees 2i - 1 to 2i + 1
        lambda before, after: _layers().Conv(before, after, stride=2),
        lambda low, high: (2 * low - 1, 2 * high),
        1 / 2,
        numbered=True,
        encodes=True,
    ),
    "unshuffle": Word(
        lambda before, after: _layers().Unshuffle(),
        lambda low, high: (2 * low, 2 * high),
        1 / 2,
        channels=lambda before, number: 4 * before,
        encodes=True,
    ),
    "tap": Word(None, encodes=True),
    "up": Word(lambda before, after: _layers().Up(), lambda low, high: (low // 2, -(-high // 2)), 2, decodes=True),
    "smooth": Word(  # cell 2i sees i - 1 and i, cell 2i + 1 sees i and i + 1
        lambda before, after: _layers().Smooth(), lambda low, high: ((low - 1) // 2, high // 2 + 1), 2, decodes=True
    ),
    "shuffle": Word(  # the mean sees one pixel more at the low end
        lambda before, after: _layers().Shuffle(before, after),
        lambda low, high: ((low - 1) // 2 - 1, -(-high // 2) + 1),
        2,
        numbered=True,
        holds=2,
        decodes=True,
    ),
    "merge": Word(  # its channels are those of the level
        lambda before, after: _layers().Merge(before, after),
        lambda low, high: ((low - 1) // 2, high // 2 + 1),
        2,
        holds=2,
        decodes=True,
        needs=("level",),
    ),
    "mod": Word(
        lambda before, after: _layers().Modulated(after),
        _near(2),
        numbered=True,
        keeps=True,
        holds=2,
        decodes=True,
        needs=("map",),
    ),
    "canvas": Word(
        lambda before, after: _layers().Canvas(before, after),
        numbered=True,
        channels=lambda before, number: before,
        holds=2,
        decodes=True,
        needs=("map", "origin"),
        rest=0,
    ),
    "strokes": Word(
        lambda before, after: _layers().Strokes(before, after),
        numbered=True,
        channels=lambda before, number: before,
        holds=3,
        decodes=True,
        needs=("map", "origin"),
        rest=0,
        lift=1,
    ),
    "rgb": Word(lambda before, after: _layers().Rgb(before), _near(1), channels=lambda before, number: 3, decodes=True),
}


def read_words(text: str) -> Iterator[tuple[str, int]]:
    """The words of an encoder or a decoder: names, and the numbers behind them, 0 where there is none.

    `ModelError` for a word that is not in the table.
    """
    for word in text.split():
        match = re.fullmatch(r"([a-z]+)([1-9]\d*)?", word)
        row = WORDS.get(match[1]) if match else None
        if match is None or row is None or row.numbered != bool(match[2]):
            raise ModelError(f"unknown layer word {word!r}; see the table in adainkit/net/words.py")
        yield match[1], int(match[2] or 0)
