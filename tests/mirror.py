"""A stylizer that gives every picture back as it is: what changes then is not the network's doing."""

from typing import Any

from test_stylizer import tiny

from adainkit import Stylizer


class Mirror(Stylizer):
    """`seen` are the pictures that it was given, `masks` their masks; empty them before a run."""

    def __init__(self) -> None:
        super().__init__(tiny(), device="cpu", dtype="float32", cache=None)
        self.seen: list[Any] = []
        self.masks: list[Any] = []

    def stylize(self, image: Any, style: Any, **options: Any) -> Any:
        self.seen.append(image)
        self.masks.append(options.get("mask"))
        return image
