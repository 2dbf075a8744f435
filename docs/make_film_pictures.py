"""Makes the pictures of docs/film.md: `python docs/make_film_pictures.py`. Needs the extras film, steady and demo.

The clip is made here, too: a camera that goes over two of scikit-image's photographs, with a cut and some noise.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

from adainkit import Stylizer
from adainkit.film.preview import preview_film
from adainkit.images.sheet import Cell, draw_sheet

HERE = Path(__file__).parent
WIDE, HIGH, RATE = 320, 192, Fraction(24)
SCENE = 24  # frames


def make_clip(path: Path) -> Path:
    """Two scenes of a second each."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for number in range(2 * SCENE):
            photo = data.coffee() if number < SCENE else data.chelsea()
            left, top = 3 * (number % SCENE), number % SCENE
            view = photo[40 + top : 40 + top + HIGH, 20 + left : 20 + left + WIDE]
            noisy = (view + random.normal(0, 3, view.shape)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(noisy), "rgb24")
            frame.pts, frame.time_base = number, 1 / RATE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def main() -> None:
    """Make them."""
    with tempfile.TemporaryDirectory() as folder, Stylizer() as stylizer:
        clip = make_clip(Path(folder) / "clip.mp4")
        preview_film(stylizer, clip, HERE / "film-preview.jpg", "ukiyo-e", count=4, quality=85)
        fade = stylizer.stylize_film(clip, Path(folder) / "fade.mkv", {0.2: "ember", 1.6: "ukiyo-e"}, codec="ffv1")
        with av.open(str(fade)) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        cells = [Cell(Image.fromarray(frames[i]), f"{float(i / RATE):.2f} s") for i in (2, 14, 26, 44)]
        draw_sheet([cells]).save(HERE / "film-fade.jpg", quality=88)


if __name__ == "__main__":
    main()
