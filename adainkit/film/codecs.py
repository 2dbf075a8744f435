"""What a film is written as: containers, codecs, their pixel formats and their defaults."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FilmError
from .clip import Facts
from .colors import Colors, Pixels, from_rgb
from .library import need_av

__all__ = ["CODECS", "CONTAINERS", "Encoding", "choose_encoding"]

OWN_QUALITY = 90
"""The `quality`, of 1 to 100, of a film whose `crf` is the codec's default here."""


@dataclass(frozen=True)
class _Codec:
    """An encoder: the format for (deep, alpha), its options, the container that keeps its packets as they are, whether
    it takes sides that are odd, and the least and the greatest `crf`. `with_preset`: the options that belong to its own
    preset, and to no other one."""

    encoder: str
    forms: dict[tuple[bool, bool], str]
    options: dict[str, str] = field(default_factory=dict)
    store: str = "nut"
    odd: bool = False
    crf: tuple[int, int] | None = None
    preset: str = ""
    with_preset: tuple[str, ...] = ()
    keeps_form: bool = False


_PLAIN, _ALPHA, _DEEP, _DEEP_ALPHA = (False, False), (False, True), (True, False), (True, True)
_420 = {_PLAIN: "yuv420p", _DEEP: "yuv420p10le"}
CODECS: dict[str, _Codec] = {
    "h264": _Codec(
        "libx264",
        _420,
        # "medium" takes three times as long as "veryfast", nearly half of what the network takes on the same cores, for
        # files that are a tenth smaller with errors (at crf 18) that are half a decibel less. With inter blocks that
        # are not split, and motion that is sought along a diamond, "veryfast" takes two thirds of its time, for
        # paintings of the same size (within 1 %) with the same errors (within a tenth of a decibel).
        # One of x264's routines for AVX-512 (of mb-tree) reads memory that nobody has written, and the same pictures
        # become other bytes in each run: it is left out.
        {
            "crf": "17",
            "preset": "veryfast",
            "partitions": "i8x8,i4x4",
            "motion-est": "dia",
            "x264-params": "cpu-independent=1",
        },
        crf=(0, 51),
        preset="preset",
        with_preset=("partitions", "motion-est"),
    ),
    "h265": _Codec(
        "libx265",
        _420,
        {"crf": "20", "preset": "medium", "x265-params": "log-level=error"},
        crf=(0, 51),
        preset="preset",
    ),
    "vp9": _Codec(
        "libvpx-vp9",
        {**_420, _ALPHA: "yuva420p"},
        {"crf": "24", "b": "0", "cpu-used": "3", "row-mt": "1"},
        "matroska",
        odd=True,
        crf=(0, 63),
        preset="cpu-used",
    ),
    "av1": _Codec(
        "libsvtav1",
        _420,
        {"crf": "26", "preset": "8"},
        crf=(0, 63),
        preset="preset",
    ),
    "prores": _Codec(
        "prores_ks",
        {_PLAIN: "yuv422p10le", _DEEP: "yuv422p10le", _ALPHA: "yuva444p10le", _DEEP_ALPHA: "yuva444p10le"},
        {"vendor": "apl0"},
        "matroska",
        odd=True,
    ),
    "ffv1": _Codec(
        "ffv1",
        {_PLAIN: "yuv444p", _DEEP: "yuv444p16le", _ALPHA: "yuva444p", _DEEP_ALPHA: "yuva444p16le"},
        {"level": "3", "g": "1"},
        "matroska",
        odd=True,
        keeps_form=True,
    ),
}
"""The codecs that films are written with, by the names that `--codec` takes; their encoders' names do as well."""

_MP4 = ("mp4", ("h264", "h265", "av1", "vp9"))
CONTAINERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": ("mov", ("h264", "h265", "prores")),
    ".mkv": ("matroska", ("h264", "h265", "vp9", "av1", "prores", "ffv1")),
    ".webm": ("webm", ("vp9", "av1")),
}
"""By the suffix of a film: FFmpeg's name of its container, and the codecs that it holds, the usual one first."""


@dataclass(frozen=True)
class Encoding:
    """How the pictures of one film are encoded. `padded`: whether a column or a line is added, so that sides are even;
    `drops_alpha`: whether the film shows on black what was transparent."""

    codec: str
    container: str
    form: str
    width: int
    height: int
    rate: Fraction
    colors: Colors
    options: dict[str, str]
    aspect: Fraction | None = None
    drops_alpha: bool = False

    @property
    def store(self) -> str:
        """The container for segments: their packets come out of it as they went in."""
        return CODECS[self.codec].store

    def facts(self) -> dict[str, Any]:
        """What a result depends on."""
        options = " ".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return {"codec": self.codec, "container": self.container, "form": self.form, "encoder": options}

    def add_stream(self, container: Any) -> Any:
        """A new stream of this encoding in an output container of PyAV."""
        if self.codec == "av1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only: it is read once, where the encoder begins
        stream = container.add_stream(CODECS[self.codec].encoder, rate=self.rate, options=dict(self.options))
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.form
        context = stream.codec_context
        context.time_base = 1 / self.rate
        self.colors.tag(context)
        if self.aspect:
            context.sample_aspect_ratio = self.aspect
        if self.codec == "h265" and container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the tag that Apple's players take
        return stream

    def frame(self, pixels: Pixels) -> Any:
        """The pixels, `(H, W, 3 | 4)`, as the encoder wants them."""
        if self.drops_alpha:
            pixels = _on_black(pixels)
        more = (self.height - pixels.shape[0], self.width - pixels.shape[1])
        if any(more):
            pixels = np.pad(pixels, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge")
        return from_rgb(pixels, self.colors, self.form)


def choose_encoding(
    target: str | os.PathLike[str],
    facts: Facts,
    *,
    codec: str | None = None,
    crf: int | None = None,
    quality: int | None = None,
    preset: str | None = None,
) -> Encoding:
    """The encoding for a film of these facts under the name of `target`.

    `quality`, 1 to 100, in the place of a `crf`: 1 is the greatest one of the codec, 90 its default, and between and
    beyond them it goes in a line: to 14 in H.264.
    Without `codec`: H.264, which every player shows; H.265 for more than 8 bits, and in WebM VP9; for an alpha channel
    ProRes 4444 in MOV and VP9 in MKV and WebM. `FilmError` for names and numbers that do not fit.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in CONTAINERS:
        names = ", ".join([*CONTAINERS, ".gif", ".png", ".webp"])
        raise FilmError(f"{target}: expected a film's name, with {names}, or a sequence like frames/%05d.png")
    container, held = CONTAINERS[suffix]
    name = _codec_named(codec, target, held) if codec else _usual(container, held, facts)
    entry = CODECS[name]
    deep, alpha = facts.deep, facts.alpha
    form = entry.forms.get((deep, alpha)) or entry.forms.get((False, alpha)) or entry.forms[deep, False]
    drops = alpha and not form.startswith("yuva")
    if entry.keeps_form and _holds_colors(facts.form, entry.encoder):
        form, drops = facts.form, False
    options = dict(entry.options)
    if name == "prores":
        options["profile"] = "4" if form.startswith("yuva") else "3"
    odd = facts.width % 2 or facts.height % 2
    wide, high = facts.width, facts.height
    if odd and not entry.odd:
        wide, high = wide + wide % 2, high + high % 2
    made = Encoding(name, container, form, wide, high, facts.rate, facts.colors, options, facts.aspect, drops)
    if quality is not None:
        crf = _crf_of(made, entry, crf, quality)
    made = replace(made, options=_tuned(made, entry, crf, preset))
    _try_out(made, target)
    return made


def _holds_colors(form: str, encoder: str) -> bool:
    """Whether an encoder takes a pixel format, and that is not one of grays: a painting has colors."""
    av = need_av()
    if form not in {each.name for each in av.Codec(encoder, "w").video_formats}:
        return False
    return sum(not component.is_alpha for component in av.VideoFormat(form).components) >= 3


def _try_out(made: Encoding, target: str | os.PathLike[str]) -> None:
    """`FilmError` for settings that the encoder does not take: it is opened once."""
    av = need_av()
    with av.open(io.BytesIO(), "w", format=made.store) as container:
        try:
            made.add_stream(container).codec_context.open()
        except (av.error.FFmpegError, ValueError) as error:
            options = ", ".join(f"{name}={value}" for name, value in made.options.items())
            raise FilmError(
                f"{target}: {CODECS[made.codec].encoder} does not take {made.width} x {made.height} pixels of "
                f"{made.form} with {options or 'no options'} ({error}); choose another codec or preset"
            ) from error


def _crf_of(made: Encoding, entry: _Codec, crf: int | None, quality: int) -> int:
    if entry.crf is None or crf is not None or not 1 <= quality <= 100:
        takes = f"{made.codec} takes no quality" if entry.crf is None else "expected a quality from 1 to 100, or a crf"
        raise FilmError(f"{takes}, got {quality}; leave it out")
    own, most = int(entry.options["crf"]), entry.crf[1]
    return round(own + (OWN_QUALITY - quality) / (OWN_QUALITY - 1) * (most - own))


def _tuned(made: Encoding, entry: _Codec, crf: int | None, preset: str | None) -> dict[str, str]:
    options = dict(made.options)
    if crf is not None:
        if entry.crf is None or not entry.crf[0] <= crf <= entry.crf[1]:
            span = "no crf" if entry.crf is None else f"a crf from {entry.crf[0]} to {entry.crf[1]}"
            raise FilmError(f"{made.codec} takes {span}, got {crf}")
        options["crf"] = str(crf)
    if preset is not None:
        if not entry.preset:
            raise FilmError(f"{made.codec} takes no preset, got {preset}")
        options = {name: value for name, value in options.items() if name not in entry.with_preset}
        options[entry.preset] = preset
    return options


def _codec_named(codec: str, target: str | os.PathLike[str], held: tuple[str, ...]) -> str:
    encoders = {entry.encoder: name for name, entry in CODECS.items()}
    name = encoders.get(codec, codec)
    if name not in CODECS:
        raise FilmError(f"codec must be one of {', '.join(CODECS)}, got {codec!r}")
    if name not in held:
        raise FilmError(
            f"{target}: a film of this type holds {', '.join(held)} here, not {name}; write .mkv, or another codec"
        )
    return name


def _usual(container: str, held: tuple[str, ...], facts: Facts) -> str:
    with_alpha = {"mov": "prores", "matroska": "vp9", "webm": "vp9"}
    if facts.alpha and container in with_alpha:
        return with_alpha[container]
    return "h265" if facts.deep and "h265" in held else held[0]


def _on_black(pixels: Pixels) -> Pixels:
    most = np.iinfo(pixels.dtype).max
    shown = pixels[:, :, :3].astype(np.float32) * (pixels[:, :, 3:].astype(np.float32) / most)
    return np.asarray(shown.round().astype(pixels.dtype))
