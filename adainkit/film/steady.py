"""Steady pictures: each one blended with the one before, brought along by the content's own motion (OpenCV's DIS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colors import Pixels
from .library import need_cv2

__all__ = ["Steady"]

Floats = NDArray[np.float32]

_SIDE = 640  # longer side, in pixels, at which motion is looked for
_ALIKE = 0.06  # difference of brightness, in [0, 1], at which a pixel hardly counts as the one it came from
_ROUND = 1.0  # pixels (of the smaller picture) by which the way there and back may miss
_SEEN = 0.3  # share of the picture that must be found again; below, the scene is taken as a new one


class Steady:
    """Blends `strength` (0 to 1) of the last result into each one where the content shows the same thing.

    Where the content is new, hidden or changes its light nothing is blended. `state` is all that the next frame needs.
    """

    def __init__(self, strength: float) -> None:
        self._strength, self._cv2 = strength, need_cv2()
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._gray: NDArray[np.uint8] | None = None
        self._shown: Floats | None = None

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """For `restore`."""
        if self._gray is None or self._shown is None:
            return {}
        return {"gray": self._gray, "shown": self._shown}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another one stopped."""
        if "gray" in state:
            self._gray, self._shown = state["gray"], state["shown"]

    def blend(self, content: Pixels, painted: Pixels, new_scene: bool) -> Pixels:
        """The picture to be shown for `painted`, both `(H, W, 3 | 4)`, of the same type."""
        most = float(np.iinfo(painted.dtype).max)
        now = painted[:, :, :3].astype(np.float32) / most
        gray = self._small_gray(content)
        if not new_scene and self._gray is not None and self._shown is not None:
            flow, trust = self._motion(gray, self._gray)
            if float((trust > 0.5).mean()) >= _SEEN:
                now = self._mixed(now, flow, trust)
        self._gray, self._shown = gray, now
        out = painted.copy()
        out[:, :, :3] = (now * most).round().clip(0, most).astype(painted.dtype)
        return out

    def _mixed(self, now: Floats, flow: Floats, trust: Floats) -> Floats:
        cv2, (height, width) = self._cv2, now.shape[:2]
        factor = (width / flow.shape[1], height / flow.shape[0])
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * np.array(factor, np.float32)
        weight = cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None] * self._strength
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        before = cv2.remap(
            self._shown, x + flow[:, :, 0], y + flow[:, :, 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        mixed: Floats = now + weight * (before - now)
        return mixed

    def _motion(self, gray: NDArray[np.uint8], before: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Where each pixel was, `(h, w, 2)`, and how far that is to be trusted, `(h, w)` in [0, 1]."""
        cv2 = self._cv2
        flow, back = self._flow.calc(gray, before, None), self._flow.calc(before, gray, None)
        height, width = gray.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        there = (x + flow[:, :, 0], y + flow[:, :, 1])
        old = cv2.remap(before, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        again = cv2.remap(back, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        away = cv2.GaussianBlur(gray.astype(np.float32) - old.astype(np.float32), (0, 0), 1.5) / 255
        missed = np.square(flow + again).sum(2)
        reach = _ROUND**2 + 0.01 * (np.square(flow).sum(2) + np.square(again).sum(2))
        inside = (there[0] >= 0) & (there[0] <= width - 1) & (there[1] >= 0) & (there[1] <= height - 1)
        trust = np.exp(-np.square(away / _ALIKE)) * (missed < reach) * inside
        return flow, cv2.GaussianBlur(trust.astype(np.float32), (0, 0), 1.0)

    def _small_gray(self, content: Pixels) -> NDArray[np.uint8]:
        cv2 = self._cv2
        rgb = content[:, :, :3]
        if rgb.dtype == np.uint16:
            rgb = (rgb >> 8).astype(np.uint8)
        gray = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
        factor = min(1.0, _SIDE / max(gray.shape))
        size = (max(16, round(gray.shape[1] * factor)), max(16, round(gray.shape[0] * factor)))
        small: NDArray[np.uint8] = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        return small
