"""A `ModelConfig` is a whole architecture, written down in words; VGG-19 and `lite` are two of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import ModelError
from .words import WORDS, Word, read_words

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LITE", "VGG19", "Level", "ModelConfig", "Step"]


@dataclass(frozen=True)
class Level:
    """A place where features are mapped to a style: its number of channels, and how many pixels one of its cells is
    wide."""

    channels: int
    stride: int


@dataclass(frozen=True)
class Step:
    """A word of a configuration in its place: what is in front of the layer, and what is behind it."""

    name: str
    number: int
    before: Level
    after: Level

    @property
    def row(self) -> Word:
        """What the table says about it."""
        return WORDS[self.name]

    def build(self) -> nn.Module:
        """Its layer, with random weights."""
        assert self.row.build is not None, f"{self.name} has no layer"
        return self.row.build(self.before.channels, self.number or self.after.channels)


@dataclass(frozen=True)
class ModelConfig:
    """An architecture: `encoder` and `decoder` as words separated by spaces, see the table in `words.py`.

    It has many methods, since all that follows from the words is asked of it: levels, places, shapes and sizes.

    `gain_cap` bounds AdaIN's gain (`adain.affine_map`); None leaves it free. `code` is how many numbers a style is
    summed up in for the decoder's own places (`head.StyleHead`); 0 where it has none. `palette`: whether a result is
    brought to its style's colors (`look.color.toward`). `ModelError` for an impossible architecture.
    """

    name: str
    encoder: str
    decoder: str
    gain_cap: float | None = None
    code: int = 0
    palette: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"\w[\w .-]*", self.name):
            raise ModelError(
                f"a model's name is of letters, digits, ' ', '.', '-' and '_' (it names files), got {self.name!r}"
            )
        if not self.levels:
            raise self._impossible("the encoder has no AdaIN level; add the word 'tap'")
        if self.encoder.split()[-1] != "tap" or self.decoder.split()[-1:] != ["rgb"]:
            raise self._impossible("the encoder must end with 'tap' and the decoder with 'rgb'")
        if self.encoder.split()[0] == "tap" or self.decoder.split().count("rgb") > 1:
            raise self._impossible("'tap' cannot be the first word, nor 'rgb' any but the last")
        cap = self.gain_cap
        if cap is not None and (isinstance(cap, bool) or not isinstance(cap, (int, float)) or not cap > 0):
            raise self._impossible(f"gain_cap must be None or a number above 0, got {cap!r}")
        own = len(self.places) - len(self.levels)
        if (
            isinstance(self.code, bool)
            or not isinstance(self.code, int)
            or self.code < 0
            or bool(self.code) != bool(own)
        ):
            raise self._impossible(
                f"code must be above 0 where the decoder has words with a map (here {own}), else 0; got {self.code!r}"
            )
        merges, stride = sum("level" in step.row.needs for step in self.decoding), self.decoding[-1].after.stride
        if stride != 1 or merges != len(self.levels) - 1:
            raise self._impossible(
                f"the decoder ends at stride {stride} (expected 1) having merged {merges} levels "
                f"(expected {len(self.levels) - 1})"
            )

    def _impossible(self, why: str) -> ModelError:
        return ModelError(f"model {self.name!r}: {why}")

    @cached_property
    def encoding(self) -> tuple[Step, ...]:
        """The encoder, word by word. `ModelError` for one that has no place there."""
        return tuple(self._walk(self.encoder, Level(3, 1)))

    @cached_property
    def decoding(self) -> tuple[Step, ...]:
        """The decoder, word by word. `ModelError` for one that has no place there."""
        return tuple(self._walk(self.decoder, self.levels[-1], self.levels[:-1]))

    def _walk(self, text: str, here: Level, finer: tuple[Level, ...] | None = None) -> Iterator[Step]:
        """`finer`: the levels that a decoder meets, finest first; None for an encoder."""
        merges = 0
        for name, number in read_words(text):
            row = WORDS[name]
            if not (row.encodes if finer is None else row.decodes):
                raise self._impossible(f"'{name}' has no place in {'an encoder' if finer is None else 'a decoder'}")
            if row.keeps and number != here.channels:
                raise self._impossible(
                    f"'{name}{number}' follows {here.channels} channels; a residual block cannot change their number"
                )
            stride = int(here.stride / row.scale)
            channels = row.channels(here.channels, number)
            if "level" in row.needs:
                merges += 1
                if finer is None or merges > len(finer) or finer[-merges].stride != stride:
                    raise self._impossible(f"'{name}' number {merges} meets no level of stride {stride}")
                channels = finer[-merges].channels
            before, here = here, Level(channels, stride)
            yield Step(name, number, before, here)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The AdaIN levels, finest first."""
        return tuple(step.after for step in self.encoding if step.name == "tap")

    @cached_property
    def places(self) -> tuple[Level, ...]:
        """The places where a style acts, in the order of `Network.modulate`: the levels, then the decoder's own."""
        return (*self.levels, *(step.before for step in self.mapped))

    @property
    def mapped(self) -> tuple[Step, ...]:
        """The decoder's words that have a place of their own."""
        return tuple(step for step in self.decoding if "map" in step.row.needs)

    def level_of(self, place: Level) -> int:
        """The index of the level whose strength counts at a place: the coarsest one that is no coarser, or the
        finest."""
        return max((i for i, level in enumerate(self.levels) if level.stride <= place.stride), default=0)

    @property
    def style_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors of a style of this architecture, by name: each level's channel means and deviations."""
        return {f"{kind}{i}": (level.channels,) for kind in ("mean", "std") for i, level in enumerate(self.levels)}

    @property
    def stride(self) -> int:
        """Pixels to a cell of the coarsest level; output sides are multiples of it, to be cropped to the picture's."""
        return self.levels[-1].stride

    @property
    def min_size(self) -> int:
        """The smallest side in pixels: reflection needs two cells of the coarsest level. Smaller ones are padded."""
        return self.stride + 1

    def to_json(self) -> str:
        """One line of JSON, for a file's metadata."""
        values = asdict(self)
        for name in ("code", "palette"):  # older releases read the files of architectures that they know
            if not values[name]:
                del values[name]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The inverse of `to_json`. `ModelError` for anything else, an unknown key included."""
        try:
            values = json.loads(text)
            unknown = set(values) - {f.name for f in fields(cls)}
            if unknown:
                raise ModelError(
                    f"model configuration has unknown keys {sorted(unknown)}; a newer adainkit may read it"
                )
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"not a model configuration: {text[:200]!r} ({error})") from error


VGG19 = ModelConfig(
    "vgg19",
    "conv64 conv64 pool conv128 conv128 pool conv256 conv256 conv256 conv256 pool conv512 tap",
    "conv256 up conv256 conv256 conv256 conv128 up conv128 conv64 up conv64 rgb",
)
"""The AdaIN paper's network: VGG-19 to relu4_1 and its mirror."""

LITE = ModelConfig(
    "lite",
    "unshuffle conv32 res32 tap down64 res64 tap down128 res128 tap",
    "mod128 mod128 merge mod64 merge mod32 strokes6 shuffle8 rgb",
    gain_cap=8.0,
    code=256,
    palette=True,
)
"""The small network of this project: AdaIN at strides 2, 4 and 8, a decoder that the style modulates, and nothing but
an 8 -> 3 convolution at full resolution.

Without the level at stride 2 (tried for 1,000 steps) alpha 0 gives the content back at 22 dB instead of 25.
"""
