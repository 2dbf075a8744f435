"""The classic weights: how the published pair of .pth files becomes one `vgg19` model."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from .config import VGG19
from .model import AdaINModel

__all__ = ["convert_classic", "fold_input_map"]

_Path = str | os.PathLike[str]
# The 3x3 convolutions of the classic `nn.Sequential`s; the encoder's 0 is the 1x1 input map, folded into 2.
_ENCODER_KEYS = (2, 5, 9, 12, 16, 19, 22, 25, 29)
_DECODER_KEYS = (1, 5, 8, 11, 14, 18, 21, 25, 28)


def convert_classic(vgg_path: _Path, decoder_path: _Path) -> AdaINModel:
    """The `vgg19` model from a classic pair of .pth files: normalized VGG-19, and a decoder trained for it.

    The encoder's 1x1 input convolution (RGB in [0, 1] to BGR * 255 - mean) is folded into the first 3x3 one, and what
    follows relu4_1 is dropped. No sum is checked; pickles are read with `weights_only=True`.

    Raises:
        WeightsError: a file isn't a plain state dict, or a tensor is missing or has another shape.
    """
    encoder, decoder = _state_dict(vgg_path), _state_dict(decoder_path)
    with torch.inference_mode(False), torch.no_grad():
        model = AdaINModel(VGG19)
        shapes = {"0.weight": (3, 3, 1, 1), "0.bias": (3,), "2.weight": (64, 3, 3, 3), "2.bias": (64,)}
        matrix, offset, weight, bias = (_tensor(encoder, k, s, vgg_path).double() for k, s in shapes.items())
        encoder["2.weight"], encoder["2.bias"] = fold_input_map(matrix, offset, weight, bias)
        _fill(model.encoder, encoder, _ENCODER_KEYS, vgg_path)
        _fill(model.decoder, decoder, _DECODER_KEYS, decoder_path)
    return model.eval().requires_grad_(False)


def fold_input_map(matrix: Tensor, offset: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """One 3x3 convolution, weight and bias, for a 1x1 convolution (`matrix`, `offset`) and the 3x3 one behind it.

    W(Ax + a) + b = (WA)x + (b + sum Wa): exact, since reflection pads with pixels, never with zeros.
    """
    folded = torch.einsum("omhw,mi->oihw", weight.double(), matrix[:, :, 0, 0].double())
    return folded, bias.double() + torch.einsum("omhw,m->o", weight.double(), offset.double())


def _fill(part: nn.Module, state: dict[str, Tensor], indices: tuple[int, ...], path: _Path) -> None:
    """Copy the convolutions of a classic `nn.Sequential` into ours, in the order in which they run."""
    ours = [tensor for name, tensor in part.named_parameters() if name.endswith(("conv.weight", "conv.bias"))]
    keys = [f"{index}.{kind}" for index in indices for kind in ("weight", "bias")]
    for key, tensor in zip(keys, ours, strict=True):
        tensor.copy_(_tensor(state, key, tuple(tensor.shape), path))


def _state_dict(path: _Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; expected a .pth file with a state dict") from error
    except Exception as error:  # torch.load raises whatever its unpickler meets in a broken file
        told = f"{type(error).__name__}: {str(error)[:200]}"
        raise WeightsError(f"{path}: cannot be read as a plain state dict ({told})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a dict of tensors, got {type(state).__name__} of other things")
    return state


def _tensor(state: dict[str, Tensor], key: str, shape: tuple[int, ...], path: _Path) -> Tensor:
    if key not in state:
        first = list(state)[:4]
        raise WeightsError(f"{path}: tensor {key!r} of shape {shape} is missing; it begins with {first}")
    if tuple(state[key].shape) != shape:
        raise WeightsError(f"{path}: tensor {key!r}: expected shape {shape}, got {tuple(state[key].shape)}")
    return state[key]
