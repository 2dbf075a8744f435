"""Flicker: how far a frame is from the one before, brought along by the content's motion; beside the content's own.

The warping error of the literature (Lai et al., ECCV 2018): root mean square, in [0, 1], of a frame less its
predecessor warped by optical flow, over the pixels that both show. The flow is Farneback's, of the content: another one
than `steady` blends with. A pixel is seen in both where the ways there and back agree. A still scene with noise needs
no flow at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adainkit import Stylizer
from adainkit.film.library import need_cv2
from adainkit.film.pictures import is_pattern
from adainkit.film.quiet import Quiet
from adainkit.film.source import open_clip
from adainkit.film.steady import Steady

from .microast import Painter
from .report import table

__all__ = ["WAYS", "read_frames", "run", "show", "still_scene", "warping_error"]

Pixels = NDArray[np.uint8]
WAYS = ("frame", "film", "steady", "microast")
"""Every frame by itself; as films are painted, under the statistics of the clip and without noise; blended along the
motion as well; and every frame by MicroAST, where its weights are given."""
_STEADY = 0.8


def read_frames(path: str | Path, count: int, side: int, start: float = 0.0) -> list[Pixels]:
    """The first `count` frames from second `start` on, scaled to a longer side of `side` pixels."""
    cv2, found = need_cv2(), []
    clip = open_clip(path, start=start)
    factor = min(1.0, side / max(clip.facts.width, clip.facts.height))
    size = (round(clip.facts.width * factor), round(clip.facts.height * factor))
    for frame in clip.frames():
        pixels = np.ascontiguousarray(frame.pixels[:, :, :3])
        found.append(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        if len(found) == count:
            break
    return found


def warping_error(content: Sequence[Pixels], shown: Sequence[Pixels], apart: int = 1) -> float:
    """The mean over all pairs of frames that are `apart`."""
    errors = []
    for before, after in zip(range(len(content) - apart), range(apart, len(content)), strict=True):
        where, seen = _motion(content[after], content[before])
        old = _warped(shown[before], where)
        away = np.square((shown[after].astype(np.float32) - old) / 255).mean(2)
        if seen.any():
            errors.append(float(np.sqrt(away[seen].mean())))
    return float(np.mean(errors))


def still_scene(photo: Pixels, count: int = 6, sigma: float = 3.0) -> list[Pixels]:
    """A scene in which nothing moves but the noise of the camera."""
    random = np.random.default_rng(0)
    noisy = [photo + random.normal(0, sigma, photo.shape) for _ in range(count)]
    return [frame.round().clip(0, 255).astype(np.uint8) for frame in noisy]


def run(
    clips: Sequence[str | Path],
    styles: Sequence[str],
    count: int,
    side: int,
    device: str,
    apart: Sequence[int] = (1, 5),
    microast: Path | None = None,
) -> list[dict[str, Any]]:
    """A row for each clip: its name, the errors of the content, and how many times as large those of each way are, for
    frames 1 and 5 apart: the median over the styles, and the worst. A still scene comes last. `microast`: the folder of
    its weights; the styles must be pictures then."""
    stylizer = Stylizer(device=device, cache=None)
    rivals = {style: Painter(microast, _picture(style)) for style in styles} if microast else {}
    rows = []
    for path in clips:
        name, _, second = str(path).partition("@")
        frames = read_frames(name, count, side, float(second or 0))
        title = Path(name).parent.name if is_pattern(name) else Path(name).stem
        rows.append(
            {"clip": f"{title} from {second} s" if second else title, **_row(stylizer, frames, styles, apart, rivals)}
        )
    from skimage import data

    photo = np.ascontiguousarray(data.chelsea()[:256, :384])
    still = _row(stylizer, still_scene(photo), styles, apart[:1], rivals, moves=False)
    rows.append({"clip": "still, noise 3 of 255", **still})
    return rows


def _picture(path: str) -> Pixels:
    """A style's picture, of 512 pixels as ours takes it."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((512, 512), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _row(
    stylizer: Stylizer,
    frames: list[Pixels],
    styles: Sequence[str],
    apart: Sequence[int],
    rivals: Mapping[str, Painter],
    moves: bool = True,
) -> dict[str, Any]:
    def error(shown: Sequence[Pixels], step: int) -> float:
        return warping_error(frames, shown, step) if moves else _change(shown)

    row: dict[str, Any] = {"frames": len(frames), "size": f"{frames[0].shape[1]} x {frames[0].shape[0]}"}
    own = {step: error(frames, step) for step in apart}
    ratios: dict[tuple[str, int], list[float]] = {}
    for style in styles:
        for way, shown in _shown(stylizer, frames, style, rivals.get(style)).items():
            for step in apart:
                ratios.setdefault((way, step), []).append(error(shown, step) / own[step])
    for step in apart:
        row[f"content E{step}"] = own[step]
        for way in WAYS[: None if rivals else -1]:
            row[f"{way} E{step}"] = float(np.median(ratios[way, step]))
            row[f"{way} E{step} worst"] = float(np.max(ratios[way, step]))
    return row


def _shown(stylizer: Stylizer, frames: list[Pixels], style: str, rival: Painter | None) -> dict[str, list[Pixels]]:
    found = stylizer.as_style(style)
    statistics = stylizer.content_statistics(frames[:: max(1, len(frames) // 5)])
    alone = [stylizer.stylize(frame, found) for frame in frames]
    quiet, calm = Quiet(), Steady(_STEADY)
    seen = [quiet.calm(frame, False) for frame in frames]
    film = [stylizer.stylize(frame, found, content_statistics=statistics) for frame in seen]
    steady = [calm.blend(frame, made, False) for frame, made in zip(seen, film, strict=True)]
    other = {} if rival is None else {"microast": [rival.paint(frame) for frame in frames]}
    return {"frame": alone, "film": film, "steady": steady, **other}


def _change(shown: Sequence[Pixels]) -> float:
    """Of neighbors, without any flow."""
    pairs = pairwise(shown)
    return float(np.mean([np.sqrt(np.square((b.astype(np.float32) - a) / 255).mean()) for a, b in pairs]))


def _motion(now: Pixels, before: Pixels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where each pixel of `now` was, and whether it is seen in both."""
    cv2 = need_cv2()
    a, b = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (now, before))
    there = cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 5, 15, 5, 7, 1.5, 0)
    back = cv2.calcOpticalFlowFarneback(b, a, None, 0.5, 5, 15, 5, 7, 1.5, 0)
    y, x = np.mgrid[: a.shape[0], : a.shape[1]].astype(np.float32)
    where = np.stack([x, y], 2) + there
    missed = np.square(there + _warped(back, where)).sum(2)
    bound = 0.01 * (np.square(there).sum(2) + np.square(_warped(back, where)).sum(2)) + 0.5
    inside = (where >= 0).all(2) & (where[:, :, 0] <= a.shape[1] - 1) & (where[:, :, 1] <= a.shape[0] - 1)
    return where, (missed < bound) & inside


def _warped(picture: NDArray[Any], where: NDArray[np.float32]) -> NDArray[np.float32]:
    cv2 = need_cv2()
    warped: NDArray[np.float32] = cv2.remap(picture.astype(np.float32), where, None, cv2.INTER_LINEAR)
    return warped


def show(rows: Sequence[dict[str, Any]]) -> str:
    """A table: the content's error, and how many times that each way has, median and worst over the styles."""
    ways = [way for way in WAYS if any(f"{way} E1" in row for row in rows)]
    head = ["clip", "frames", "apart", "content", *ways]
    lines = []
    for row in rows:
        for step in (1, 5):
            if f"content E{step}" not in row:
                continue
            found = [f"{row[f'{way} E{step}']:.2f} ({row[f'{way} E{step} worst']:.2f})" for way in ways]
            lines.append([row["clip"], str(row["frames"]), str(step), f"{row[f'content E{step}']:.4f}", *found])
    return table(head, lines)
