"""A layer of strokes for a model that was trained without one."""

from __future__ import annotations

import dataclasses

import torch

from adainkit.net.model import AdaINModel

__all__ = ["with_strokes"]

_DIRECTIONS = 6


def with_strokes(model: AdaINModel) -> AdaINModel:
    """A model of the same weights, in whose decoder a `Strokes` layer, nearly silent as yet, stands before the last
    word that doubles the size; the very model if it has strokes, or no style head to open and close them."""
    words, steps = model.config.decoder.split(), model.config.decoding
    if model.decoder.head is None or any(step.name == "strokes" for step in steps):
        return model
    at = max((i for i, step in enumerate(steps) if step.row.scale == 2), default=len(words) - 1)
    decoder = " ".join([*words[:at], f"strokes{_DIRECTIONS}", *words[at:]])
    made = AdaINModel(dataclasses.replace(model.config, decoder=decoder))
    state = made.state_dict()
    for name, value in model.state_dict().items():
        parts = name.split(".")
        if name.startswith("decoder.layers."):
            parts[2] = str(int(parts[2]) + (int(parts[2]) >= at))
        state[".".join(parts)] = value
    before = sum(2 * step.before.channels for step in steps[:at] if "map" in step.row.needs)
    old = state["decoder.head.maps.weight"]
    own = torch.zeros(2 * steps[at].before.channels, old.shape[1])  # open as far as alpha says, in every style alike
    state["decoder.head.maps.weight"] = torch.cat([old[:before], own, old[before:]])
    made.load_state_dict(state)
    made.encoder = model.encoder  # frozen, if it is
    return made
