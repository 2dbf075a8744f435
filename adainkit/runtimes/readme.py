"""The README of an export: every input, and a whole example in NumPy."""

from __future__ import annotations

from ..net.config import ModelConfig
from ..net.demands import halo
from .arrays import COLORFUL, FREE, GAINS, LOCAL, LOUDEST, MOST, OPPONENT, RIDGE, ROOM, VIVID
from .coders import moves
from .graph import OPSET
from .tensorrt_engine import BATCH, SIDE

__all__ = ["readme"]

_LOAD = {
    "onnx": """import onnxruntime

def load(name):
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs)))""",
    "openvino": """import openvino

core = openvino.Core()  # one for the process: the next signal, say Ctrl-C, finds no stack where several went

def load(name):
    model = core.compile_model(f"{name}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: {port.any_name: values for port, values in model(inputs, share_outputs=False).items()}""",
    "tensorrt": """import tensorrt
import torch

runtime = tensorrt.Runtime(tensorrt.Logger())
TYPES = {tensorrt.float32: torch.float32, tensorrt.float16: torch.float16, tensorrt.int64: torch.int64}

def load(name):
    with open(f"{name}.plan", "rb") as file:
        engine = runtime.deserialize_cuda_engine(file.read())
    context = engine.create_execution_context()
    types = {}
    for index in range(engine.num_io_tensors):
        types[engine.get_tensor_name(index)] = TYPES[engine.get_tensor_dtype(engine.get_tensor_name(index))]

    def run(inputs):
        tensors = {n: torch.from_numpy(inputs[n]).to("cuda", types[n]).contiguous() for n in types if n in inputs}
        for name, x in tensors.items():
            context.set_input_shape(name, tuple(x.shape))
        results = [name for name in types if name not in inputs]
        for name in results:
            tensors[name] = torch.empty(tuple(context.get_tensor_shape(name)), dtype=types[name], device="cuda")
        for name, x in tensors.items():
            context.set_tensor_address(name, x.data_ptr())
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        return {name: tensors[name].float().cpu().numpy() for name in results}
    return run""",
}
_ABOUT = "Three graphs of float32, of any height, width and batch (ONNX opset {opset})"
_ABOUT_PLANS = """Three plans, for the GPU and the release of TensorRT that `model.json` names and for no others.
Convolutions and levels are in float16, all else in float32; pictures have up to {side} x {side} pixels, {batch} at
once"""
_EXAMPLE = """import numpy as np
from PIL import Image
{load}

def read(path):
    return np.asarray(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255

def statistics(kind, levels):
    means = {{f"{{kind}}_mean{{i}}": levels[f"level{{i}}"].mean((2, 3)) for i in range({count})}}
    return means | {{f"{{kind}}_std{{i}}": np.sqrt(levels[f"level{{i}}"].var((2, 3)) + 1e-5) for i in range({count})}}

encoder, maps, decoder = map(load, ("encoder", "maps", "decoder"))
content, style = read("content.png"), read("style.png")
levels = encoder({{"picture": content}})
numbers = statistics("content", levels) | statistics("style", encoder({{"picture": style}}))
numbers["alpha"] = np.full({count}, 1, np.float32)
picture = decoder(levels | maps(numbers){origin})["picture"]
picture = picture[:, :, :content.shape[2], :content.shape[3]].clip(0, 1){palette}
Image.fromarray(np.rint(picture[0].clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)).save("result.png")"""
_PALETTE = """
TURN = np.array([{turn}])  # from RGB to luma, B - Y and R - Y

def colors(x):
    mean, covariance = x[0].mean((1, 2), np.float64), np.cov(x[0].reshape(3, -1), bias=True)
    low = np.linalg.cholesky(TURN @ covariance @ TURN.T + np.eye(3) * {ridge:.7g})
    return mean, covariance, low / np.diag(low), np.diag(low)

def extent(mean, covariance):
    return abs(mean - 0.5) + {room} * np.diag(covariance) ** 0.5

(mean, _, own, spread), (wanted, covariance, theirs, wider) = colors(picture), colors(style)
(middle, _, slopes, _), colorful = colors(content), np.linalg.norm((theirs * wider)[1:, 1:])
back, vivid = np.linalg.inv(TURN), np.array([{vivid}])
whole, tint = (back @ np.diag(factors) @ TURN for factors in (vivid, [1, *vivid[1:]]))
now, then = extent(wanted, covariance), extent(tint @ wanted, whole @ covariance @ whole.T)
share = ((0.5 - now) / np.maximum(then - now, 1e-6)).clip(0, 1).min()
theirs = np.diag(1 + share * (vivid - 1)) @ theirs
moved = back @ theirs * np.minimum(wider / spread, {gains}) @ np.linalg.inv(own) @ TURN
picture = np.einsum("ij,bjhw->bihw", moved, picture - mean[:, None, None])
low = theirs * wider
far = np.einsum("ij,bjhw->bihw", np.linalg.solve(low, TURN)[1:], picture)
less = 1 - 1 / np.sqrt(1 + np.maximum((far * far).sum(1, keepdims=True) - {free:g}, 0) / {most:g} ** 2)
picture -= np.einsum("ij,bjhw->bihw", (back @ low)[:, 1:], far * less)
picture += (wanted + share * (tint @ wanted - wanted))[:, None, None]
hues = {local} * np.einsum("ij,bjhw->bihw", TURN[1:] - slopes[1:, :1] * TURN[0], content - middle[:, None, None])
kept = min(1, colorful / {colorful}) * hues / np.sqrt(1 + (hues * hues).sum(1, keepdims=True) / {loudest} ** 2)
picture += np.einsum("ij,bjhw->bihw", back[:, 1:], kept)"""

_TEXT = """# {name}, as {kind}

{about}. `model.json` has the facts for programs.

**encoder**, from `picture`, `(batch, 3, height, width)`, RGB in [0, 1], sides from {smallest} pixels on (replicate the
border of a smaller one), to the levels:

{levels}

**maps**, from `content_meanI`, `content_stdI`, `style_meanI` and `style_stdI`, `(1 or batch, channels)` of each level I
(the deviation is the root of the variance plus 1e-5), and `alpha`, a strength in [0, 1] for every level, to what the
decoder takes beside the levels: `centerI`, `gainI` and `shiftI`, `(1 or batch, channels, 1, 1)`.

**decoder**, from the levels and the maps{takes_origin}, to `picture`: not clamped, sides multiples of {stride}:
crop it.

A style is its means and deviations, the weighted mean of several styles' is their blend, and `maps` runs once for a
picture. For tiles: cut pictures at multiples of {stride} pixels, see {encode} cells of {stride} pixels more on every
side in the encoder and {decode} in the decoder, cut them off again, and use the statistics of the whole picture: the
result is that of one piece. Gains and shifts may be given for every cell, `(batch, channels, h, w)`, for regions.

{palette}The graphs were run on three pictures of odd sides: they differ from torch by {worst:.1g} at most.

```python
{example}
```
"""
_ABOUT_PALETTE = """**The palette** is behind the graphs: a result of this model is brought to its style's colors at
last, by the last lines of the example. An affine map gives its RGB the mean and covariance of the colors of the style's
picture (`color_mean` and `color_covariance` of the library's style files; one without them has no palette). In luma,
B - Y and R - Y, what each of them is beyond its regression on those before it varies {gains} times as much
as before at most. The style's colors are made vivid before: luma varies {light:g} times as much around its mean and
chroma is {chroma:g} times what it is, or as much of that as leaves {room:g} deviations of each channel within [0, 1].
Chroma that is further from what the style, made vivid so, has at that luma than {free:.3g} of its deviations is drawn
in, to less than {most:g}. Then the hues come back by which things differ, painters' local color: {local:g} of what the
content's chroma is beyond its regression on luma, drawn in to stay below {loudest:g}, is added; less of it, in
proportion, where the deviation of the style's own is below {colorful:g}. At a strength s below 1 each step is s of it
and 1 - s of nothing; the library's s is `color_strength` times the finest level's alpha. The library counts pixels as
far as they are visible and painted; where all are, of a side beyond 256 pixels 16 bands of 16, evenly spread.

"""


def readme(config: ModelConfig, kind: str, worst: float) -> str:
    """The text, in Markdown."""
    levels = [
        f"- `level{i}`, `(batch, {level.channels}, ceil(height / {level.stride}), ceil(width / {level.stride}))`"
        for i, level in enumerate(config.levels)
    ]
    reach, origin = halo(config), moves(config)
    takes = ", and `origin`, row and column of the first cell in the whole picture, two int64" if origin else ""
    turn = ", ".join("[" + ", ".join(f"{x:g}" for x in row) + "]" for row in OPPONENT)
    example = _EXAMPLE.format(
        load=_LOAD[kind],
        count=len(config.levels),
        origin=' | {"origin": np.zeros(2, np.int64)}' if origin else "",
        palette=_PALETTE.format(
            turn=turn,
            ridge=RIDGE,
            gains=GAINS,
            vivid=", ".join(map(str, VIVID)),
            room=ROOM,
            free=FREE,
            most=MOST,
            local=LOCAL,
            colorful=COLORFUL,
            loudest=LOUDEST,
        )
        if config.palette
        else "",
    )
    least, *_, most = map("{:g}".format, GAINS)
    return _TEXT.format(
        name=config.name,
        kind={"onnx": "ONNX", "openvino": "OpenVINO", "tensorrt": "TensorRT"}[kind],
        about=(_ABOUT_PLANS if kind == "tensorrt" else _ABOUT).format(opset=OPSET, side=SIDE, batch=BATCH),
        smallest=config.min_size,
        levels="\n".join(levels),
        takes_origin=takes,
        palette=_ABOUT_PALETTE.format(
            light=VIVID[0],
            chroma=VIVID[1],
            room=ROOM,
            gains=f"{least}, {most} and {most}",
            free=FREE**0.5,
            most=MOST,
            local=LOCAL,
            colorful=COLORFUL,
            loudest=LOUDEST,
        )
        if config.palette
        else "",
        stride=config.stride,
        encode=reach.encode,
        decode=reach.decode,
        worst=worst,
        example=example,
    )
