"""A film from file to file beside the network alone, and the memory of long ones: `python -m benchmarks film`.

Decoding, the network and encoding overlap, but what they compute adds up where the network has all cores already.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adainkit import Stylizer
from adainkit.film.crew import Crew
from adainkit.film.source import open_clip

from .memory import peak
from .report import table
from .timing import CLOCKS, interleave, ratios, spread

__all__ = ["make_clip", "run", "show"]

Pixels = NDArray[np.uint8]
_STYLE = "ukiyo-e"
_RATE = 25


def make_clip(path: Path, frames: int, height: int, width: int) -> Path:
    """A film of so many frames, H.264 at crf 18, that goes over a photograph, pixel by pixel."""
    import av
    from skimage import data

    photo = Image.fromarray(data.astronaut()).resize((width + 256, height + 256), Image.Resampling.BICUBIC)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=_RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            left = abs((2 * number) % 512 - 256)
            frame = av.VideoFrame.from_image(photo.crop((left, left // 2, left + width, left // 2 + height)))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def run(frames: int, height: int, width: int, rounds: int, device: str, clock: str, memory: bool) -> dict[str, Any]:
    """Frames per second of the network alone and of whole films, with and without `steady`; their ratio, round by
    round; and peak memory in MiB of processes with a film of this length and of one four times as long."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = make_clip(Path(folder, "in.mp4"), frames, height, width), Path(folder, "out.mp4")
        stylizer = Stylizer(device=device, cache=None)
        style, shown = stylizer.as_style(_STYLE), [frame.pixels for frame in open_clip(source).frames()]
        statistics = stylizer.content_statistics(shown[:: max(1, frames // 5)])

        def network() -> None:
            """As many frames side by side as in a film."""
            with Crew(stylizer) as crew:
                for _ in crew.each(partial(crew.stylizer.stylize, style=style, content_statistics=statistics), shown):
                    pass

        painting: dict[str, list[float]] = {"film": [], "steady": []}

        def film(way: str, steady: float) -> None:
            began: list[float] = []

            def progress(stage: str, done: int, total: int) -> None:
                if stage == "stylize":
                    began.append(CLOCKS[clock]())

            stylizer.stylize_film(source, target, style, steady=steady, overwrite=True, progress=progress)
            painting[way].append((len(began) - 1) / (began[-1] - began[0]))

        ways = {"network": network, "film": lambda: film("film", 0.0), "steady": lambda: film("steady", 0.8)}
        seconds = interleave(ways, rounds, stylizer.device, clock)
        found: dict[str, Any] = {"frames": frames, "size": f"{width} x {height}", "runtime": stylizer.runtime}
        for way, each in seconds.items():
            found[f"{way} fps"] = spread([frames / s for s in each])
            found[f"{way} to network"] = spread(ratios(seconds["network"], each))
        found |= {f"{way} painting fps": spread(each[1:]) for way, each in painting.items()}
        if memory:
            found["memory"] = {count: _memory(folder, count, height, width, device) for count in (frames, 4 * frames)}
    return found


def _memory(folder: str, frames: int, height: int, width: int, device: str) -> int:
    source = make_clip(Path(folder, f"{frames}.mp4"), frames, height, width)
    command = [sys.executable, "-m", f"{__package__}.film", str(source), f"{source}.out.mp4", device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source}: gave no film ({done.stderr.strip().splitlines()[-1:]})")
    return int(json.loads(done.stdout)["peak"]) >> 20


def show(found: dict[str, Any]) -> str:
    """Two tables."""
    rows = [
        [
            {"network": "the network alone", "film": "a film", "steady": "and --steady"}[way],
            f"{found[f'{way} fps']:.2f}",
            f"{found[f'{way} to network']:.2f}",
            f"{found[f'{way} painting fps']:.2f}" if way != "network" else "",
        ]
        for way in ("network", "film", "steady")
    ]
    text = table([f"{found['size']}, {found['runtime']}", "frames/s", "to the network", "of it painting"], rows)
    if "memory" in found:
        text += "\n\n" + table(["frames", "peak MiB"], [[str(n), str(mib)] for n, mib in found["memory"].items()])
    return text


def _main(argv: Sequence[str]) -> None:
    source, target, device = argv
    with Stylizer(device=device, cache=None) as stylizer:
        stylizer.stylize_film(source, target, _STYLE, steady=0.8)
        print(json.dumps({"peak": peak(stylizer.device)}))


if __name__ == "__main__":
    _main(sys.argv[1:])
