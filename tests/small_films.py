"""Small films that the suite makes itself: moving shapes with sound, subtitles, chapters, any codec and tag."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

WIDE, HIGH = 64, 48
RATE = Fraction(30000, 1001)


def picture(number: int, wide: int = WIDE, high: int = HIGH, scene: int = 0, alpha: bool = False) -> np.ndarray:
    """`(high, wide, 3 | 4)` uint8: a bright square that moves over a slope, of other colors in each scene."""
    y, x = np.mgrid[:high, :wide]
    base = np.stack([x * 255 // wide, y * 255 // high, (x + y) * 255 // (wide + high)], 2).astype(np.uint8)
    base = np.roll(base, scene, 2) // (1 + scene % 2) + np.uint8(30 * (scene % 3))
    left = (3 * number) % (wide - 16)
    base[high // 4 : high // 2, left : left + 12] = (250, 240, 40)
    if not alpha:
        return base
    cover = np.full((high, wide, 1), 255, np.uint8)
    cover[:, wide // 2 :] = 0
    cover[high // 2 :, wide // 2 :] = 128
    return np.concatenate([base, cover], 2)


def make_film(
    path: Path,
    count: int = 12,
    *,
    codec: str = "libx264",
    form: str = "yuv420p",
    rate: Fraction = RATE,
    times: Sequence[int] | None = None,
    base: Fraction | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    sound: str | None = "aac",
    colors: tuple[int, int, int, int] | None = None,
    turned: int = 0,
    aspect: Fraction | None = None,
    chapters: bool = False,
    options: dict[str, str] | None = None,
    **metadata: str,
) -> Path:
    """A film of `count` frames. `times` in units of `base`; `colors`: matrix, range, primaries, curve."""
    options = options or {"libx264": {"crf": "4"}, "libx265": {"x265-params": "log-level=error"}}.get(codec, {})
    with av.open(str(path), "w") as out:
        shown = pictures or [picture(i, alpha=form.startswith("yuva")) for i in range(count)]
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = form
        if base:
            stream.codec_context.time_base = base
        if colors:
            context = stream.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = colors
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("PyAV writes rotations since 17.1")
            stream.set_display_rotation(turned)
        if form.startswith("yuva") and "vp9" in codec:
            stream.metadata["alpha_mode"] = "1"
        voice = out.add_stream(sound, rate=48000) if sound else None
        out.metadata.update({"title": "A small film", **metadata})
        if chapters:
            half = {"start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}, "id": 1}
            out.set_chapters([half, {**half, "id": 2, "start": 200, "end": 400, "metadata": {"title": "Two"}}])
        for number, pixels in enumerate(shown):
            frame = frame_of(pixels, form, colors)
            frame.pts = number if times is None else times[number]
            frame.time_base = base or 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            _sound(out, voice, float(len(shown) / rate))
    return path


def frame_of(pixels: np.ndarray, form: str, colors: tuple[int, int, int, int] | None = None) -> Any:
    names = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
    frame = av.VideoFrame.from_ndarray(pixels, names[pixels.itemsize, pixels.shape[2]])
    matrix = {1: 1, 5: 5, 6: 5, 9: 9}.get(colors[0] if colors else 5, 5)
    range_ = colors[1] if colors and colors[1] else 1
    frame.colorspace = matrix
    return frame.reformat(
        format=form,
        src_colorspace=5 if matrix == 1 else 1,
        src_color_range=2,
        dst_colorspace=matrix,
        dst_color_range=range_,
    )


def _rgb(frame: Any, form: str) -> Any:
    """By its tags, which PyAV 16 does not heed by itself."""
    matrix = {1: 1, 9: 9}.get(int(frame.colorspace), 5)
    full = int(frame.color_range) == 2 or frame.format.name.startswith(("yuvj", "rgb", "bgr", "gbr"))
    range_, other = 2 if full else 1, 5 if matrix == 1 else 1
    return frame.reformat(
        format=form, src_colorspace=matrix, dst_colorspace=other, src_color_range=range_, dst_color_range=2
    )


def _sound(out: Any, stream: Any, seconds: float) -> None:
    layout = stream.codec_context.layout.name
    channels = len(stream.codec_context.layout.channels)
    wave = np.sin(np.arange(int(48000 * seconds)) * 440 * 2 * np.pi / 48000) * 0.3
    planar = stream.codec_context.format.name
    size = stream.codec_context.frame_size or 1024
    for begin in range(0, len(wave), 1024 if size > 1024 else size):
        part = wave[begin : begin + (1024 if size > 1024 else size)].astype(np.float32)
        data = np.repeat(part[None], channels, 0)
        if planar.startswith("s16"):
            data = (data * 32767).astype(np.int16)
        if not planar.endswith("p"):
            data = data.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), planar, layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def look_at(path: Path, form: str = "rgb24") -> dict[str, Any]:
    """What PyAV says of a film: times of frames in seconds, pixels, colors, sound's packets, chapters, texts."""
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        frames = list(film.decode(stream))
        found = {
            "times": [
                frame.pts * Fraction(stream.time_base.numerator, stream.time_base.denominator) for frame in frames
            ],
            "rate": Fraction(stream.average_rate.numerator, stream.average_rate.denominator),
            "codec": context.name,
            "form": frames[0].format.name,
            "size": (frames[0].width, frames[0].height),
            "colors": tuple(
                int(v) for v in (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
            ),
            "aspect": stream.sample_aspect_ratio,
            "rotation": frames[0].rotation,
            "duration": film.duration,
            "metadata": dict(film.metadata),
            "chapters": [(c["start"] * c["time_base"], c["metadata"].get("title")) for c in film.chapters()],
            "streams": [s.type for s in film.streams],
        }
        found["pixels"] = [_rgb(frame, form).to_ndarray() for frame in frames]
    with av.open(str(path)) as film:
        kinds = [s for s in film.streams if s.type == "audio"]
        packets = [(p.pts * p.time_base, bytes(p)) for p in film.demux(kinds) if p.size] if kinds else []
        found["sound"] = packets
    return found
