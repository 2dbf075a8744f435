"""Steady pictures: each one blended with the one before, brought along by the content's own motion (OpenCV's DIS).

Flat parts of a moving thing look the same where they were and where they come from, and there the network draws strokes
that lie still in the picture. So a pixel may come from either place, where the content is alike at both; the strokes
decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colors import Pixels
from .library import need_cv2

__all__ = ["Steady"]

Floats = NDArray[np.float32]

_SIDE = 640  # longer side, in pixels, at which motion is looked for
_ALIKE = 0.06  # difference of brightness, in [0, 1], at which a pixel hardly counts as the one it came from
_STILL = 0.03  # the same of colors around a pixel, for one that is taken to stand still
_AROUND = 5.0  # pixels (of the smaller picture, standard deviation) around, in which strokes are compared
_SURE = 0.01  # how much nearer, in [0, 1], the strokes of one place must be for that place to be taken
_ROUND = 1.0  # pixels (of the smaller picture) by which the way there and back may miss
_SEEN = 0.3  # share of the picture that must be found again; below, the scene is taken as a new one


class Steady:
    """Blends `strength` (0 to 1) of the last result into each one where the content shows the same thing.

    Where the content is new, hidden or changes its light nothing is blended. `state` is all that the next frame needs.
    """

    def __init__(self, strength: float) -> None:
        self._strength, self._cv2 = strength, need_cv2()
        self._flow, self._way_back = (
            self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST) for _ in range(2)
        )
        self._flow.setFinestScale(1)  # "fast" at the scale of "medium": as good, in less time
        self._content: NDArray[np.uint8] | None = None
        self._shown: Floats | None = None

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """For `restore`."""
        if self._content is None or self._shown is None:
            return {}
        return {"content": self._content, "shown": self._shown}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another one stopped."""
        if "content" in state:
            self._content, self._shown = state["content"], state["shown"]

    def blend(self, content: Pixels, painted: Pixels, new_scene: bool) -> Pixels:
        """The picture to be shown for `painted`, both `(H, W, 3 | 4)`, of the same type."""
        most = np.float32(np.iinfo(painted.dtype).max)
        now = np.divide(painted[:, :, :3], most, dtype=np.float32)
        small = self._small(content)
        if not new_scene and self._content is not None and self._shown is not None:
            gray, before = (self._cv2.cvtColor(each, self._cv2.COLOR_RGB2GRAY) for each in (small, self._content))
            flow, trust = self._motion(gray, before)
            if float((trust > 0.5).mean()) >= _SEEN:
                stays = self._staying(now, self._shown, flow, self._still(small, self._content))
                now = self._mixed(now, self._shown, flow, trust, stays)
        self._content, self._shown = small, now
        out, scaled = painted.copy(), now * most
        out[:, :, :3] = np.clip(np.rint(scaled, out=scaled), 0, most, out=scaled)
        return out

    def _mixed(self, now: Floats, shown: Floats, flow: Floats, trust: Floats, stays: Floats) -> Floats:
        """`now` with a share of `shown`: of the same place where it `stays`, else of the one that `flow` names."""
        cv2, (height, width) = self._cv2, now.shape[:2]
        factor = np.array((width / flow.shape[1], height / flow.shape[0]), np.float32)
        moved = self._brought(shown, cv2.resize(flow * factor, (width, height)), cv2.INTER_CUBIC)
        weight = (self._strength * np.maximum(trust, stays)).astype(np.float32)
        for share, other in ((stays, shown), (1 - weight, now)):
            share = cv2.resize(share, (width, height))
            moved = cv2.blendLinear(other, moved, share, 1 - share)
        return np.asarray(moved)

    def _brought(self, picture: NDArray[Any], flow: Floats, how: int) -> NDArray[Any]:
        """A picture at the places that `flow` names."""
        return np.asarray(self._cv2.remap(picture, *_there(flow), how, borderMode=self._cv2.BORDER_REPLICATE))

    def _staying(self, now: Floats, shown: Floats, flow: Floats, still: Floats) -> Floats:
        """Where strokes lie still, as far as the content may: `(h, w)` in [0, 1]."""
        size = flow.shape[1::-1]
        now, shown = (self._cv2.resize(each, size, interpolation=self._cv2.INTER_AREA) for each in (now, shown))
        moved = self._brought(shown, flow, self._cv2.INTER_LINEAR)
        nearer = self._strokes_away(now, moved) - self._strokes_away(now, shown)
        found: Floats = still / (1 + np.exp(np.clip(-nearer / _SURE, -30, 30)))
        return found

    def _strokes_away(self, one: Floats, other: Floats) -> Floats:
        """How far two paintings are apart around each pixel."""
        away = one - other
        away = _summed(np.square(away, out=away))
        found: Floats = np.sqrt(self._cv2.GaussianBlur(away, (0, 0), _AROUND))
        return found

    def _still(self, content: NDArray[np.uint8], before: NDArray[np.uint8]) -> Floats:
        """How far each pixel, and what is around it, is as it was: `(h, w)` in [0, 1]."""
        cv2 = self._cv2
        red, green, blue = cv2.split(cv2.absdiff(content, before))
        away = cv2.dilate(cv2.max(cv2.max(red, green), blue), np.ones((3, 3), np.uint8))
        away = cv2.GaussianBlur(away.astype(np.float32) / 255, (0, 0), _AROUND)
        found: Floats = np.exp(-np.square(away / _STILL))
        return found

    def _motion(self, gray: NDArray[np.uint8], before: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Where each pixel was, `(h, w, 2)`, and how far that is to be trusted, `(h, w)` in [0, 1]."""
        cv2 = self._cv2
        # the way back only says where a way is to be trusted: a quarter of the time is enough. OpenCV 5.0 dies of a
        # side below 32 at that scale
        self._way_back.setFinestScale(2 if min(gray.shape) >= 64 else 1)
        flow, back = self._flow.calc(gray, before, None), self._way_back.calc(before, gray, None)
        height, width = gray.shape
        old = self._brought(before, flow, cv2.INTER_LINEAR)
        again = self._brought(back, flow, cv2.INTER_LINEAR)
        there = _there(flow)
        away = cv2.GaussianBlur(gray.astype(np.float32) - old.astype(np.float32), (0, 0), 1.5) / 255
        missed = _summed(np.square(flow + again))
        reach = _ROUND**2 + 0.01 * (_summed(np.square(flow)) + _summed(np.square(again)))
        inside = (there[0] >= 0) & (there[0] <= width - 1) & (there[1] >= 0) & (there[1] <= height - 1)
        trust = np.exp(-np.square(away / _ALIKE)) * (missed < reach) * inside
        return flow, cv2.GaussianBlur(trust.astype(np.float32), (0, 0), 1.0)

    def _small(self, content: Pixels) -> NDArray[np.uint8]:
        cv2 = self._cv2
        rgb = content[:, :, :3]
        if rgb.dtype == np.uint16:
            rgb = (rgb >> 8).astype(np.uint8)
        factor = min(1.0, _SIDE / max(rgb.shape[:2]))
        size = (max(16, round(rgb.shape[1] * factor)), max(16, round(rgb.shape[0] * factor)))
        small: NDArray[np.uint8] = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA)
        return small


def _there(flow: Floats) -> tuple[Floats, Floats]:
    """The columns and the lines of the places that a flow names."""
    height, width = flow.shape[:2]
    columns, lines = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return columns + flow[:, :, 0], lines[:, None] + flow[:, :, 1]


def _summed(values: Floats) -> Floats:
    """Over the last axis, which is short: a tenth of the time of NumPy's `sum`, in the same order."""
    first, *others = np.moveaxis(values, 2, 0)
    return reduce(np.add, others, first)
