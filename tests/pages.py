"""The pages of README and handbook: their blocks of code, their headings, and small files for the examples in them."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from small_models import encoded, ring_model, ring_texture

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SIZE = (96, 64)
_FENCE = re.compile(r"(?:^<!-- not run: (?P<why>.+?) -->\n)?^```(?P<kind>\w*)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S)
_INDENTED = re.compile(r"(?<=\n\n)(?P<code>(?: {4}[^\n]*\n)+)")
_PROGRAM = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:adainkit|pip|make|python|git|cd|cat) ", re.M)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its line on the page, and why it is not run, if it is not."""

    line: int
    kind: str
    code: str
    why: str


def blocks(text: str) -> list[Block]:
    """All blocks, in the order of the page; an indented one that begins with a program is one of the shell."""
    found = [
        Block(text.count("\n", 0, m.start("code")) + 1, m["kind"], m["code"], m["why"] or "")
        for m in _FENCE.finditer(text)
    ]
    rest = _FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)
    for m in _INDENTED.finditer(rest):
        code = re.sub(r"^ {4}", "", m["code"], flags=re.M)
        kind = "bash" if _PROGRAM.search(code) else "text"
        found.append(Block(rest.count("\n", 0, m.start("code")) + 1, kind, code, ""))
    return sorted(found, key=lambda block: block.line)


def headings(text: str) -> list[str]:
    """The headings of a page with their signs, code left out."""
    return re.findall(r"^#{1,6} .*$", _FENCE.sub("", text), re.M)


def commands(code: str) -> Iterator[str]:
    """The lines of a block of the shell, joined where they end with a backslash."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def make_files(folder: Path) -> None:
    """What the examples name, small."""
    from small_films import make_film  # needs PyAV, as the examples do

    random = np.random.default_rng(0)

    def picture(name: str, source: str = "chelsea", mode: str = "RGB", **options: object) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(getattr(data, source)()).convert(mode).resize(SIZE).save(path, **options)

    for name in ("photo.jpg", "wave.jpg", "photos/cat.jpg", "photos/below/cat.jpg", "scan.tif"):
        picture(name)
    for name in ("data/cats/1.jpg", "train/cats/1.jpg"):
        picture(name)
    for name in ("a.jpg", "photos/cup.jpg", "data/cups/2.jpg"):
        picture(name, "coffee")
    for name in ("painting.jpg", "b.jpg", "paintings/a.jpg"):
        picture(name, "immunohistochemistry")
    for name in ("c.jpg", "paintings/b.jpg"):
        picture(name, "astronaut")
    for name in ("d.jpg", "paintings/c.jpg"):
        picture(name, "rocket")
    for number in range(3):
        picture(f"frames/{number:05}.png", "coffee")
    ramp = Image.linear_gradient("L").resize(SIZE)
    for name, mask in (
        ("sky.png", ramp),
        ("trees.png", ramp.transpose(Image.Transpose.ROTATE_180)),
        ("where.png", ramp),
        ("mask.png", ramp),
    ):
        mask.save(folder / name)
    Image.fromarray(random.integers(0, 65536, SIZE[::-1], dtype=np.uint16)).save(folder / "scan-16-bit.png")
    frames = [Image.fromarray(np.roll(data.coffee(), step, 1)).resize(SIZE) for step in (0, 60)]
    frames[0].save(folder / "anim.gif", save_all=True, append_images=frames[1:], duration=80, loop=0)
    ring_model(folder / "duck.glb")
    ring_model(folder / "scene.gltf", form="data")
    write_obj(folder / "chair.obj")
    clip = make_film(folder / "clip.mp4", 20, rate=Fraction(1, 5), sound=None)  # long enough for --from 1:15
    for name in ("in.mp4", "mask.mp4", "clip.mov"):
        shutil.copy(clip, folder / name)


def write_obj(path: Path) -> None:
    """A triangle with a texture."""
    corners = "".join(f"v {x} {y} 0\n" for x, y in ((0, 0), (1, 0), (0, 1)))
    places = "".join(f"vt {x} {y}\n" for x, y in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9)))
    path.write_text(f"mtllib {path.stem}.mtl\n{corners}{places}usemtl paint\nf 1/1 2/2 3/3\n")
    path.with_suffix(".mtl").write_text(f"newmtl paint\nmap_Kd {path.stem}.png\n")
    path.with_suffix(".png").write_bytes(encoded(ring_texture()))
