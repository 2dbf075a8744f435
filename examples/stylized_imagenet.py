"""A data set without texture: every picture of a tree of classes in the style of a random painting, on a Ray cluster.

    python examples/stylized_imagenet.py IMAGENET PAINTINGS OUT [flags of adainkit cluster, as --address auto]

IMAGENET is any tree of classes, as ImageFolder reads it: `train/` and `val/`, each with a folder for each class. The
settings are those of Geirhos et al., "ImageNet-trained CNNs are biased towards texture" (ICLR 2019): shorter side 256,
the middle 224 x 224 pixels, one random painting for each picture, full strength, PNG. (There, the network was AdaIN's
own: --model vgg19, after `adainkit download vgg19`. The random choice is adainkit's: the same for ever, of --seed.)
The same command goes on after a stop. Without arguments it makes a tiny tree, and does all that with it by the plain
command, whose results are the same.
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

from adainkit.cli import main as adainkit

PAPER = ["--resize", "256", "--crop", "224", "--alpha", "1", "--styles-per-image", "1", "--format", "png"]


def main() -> None:
    """Stylize the tree that the arguments name, or a tiny one."""
    if len(sys.argv) >= 4:
        contents, paintings, out, *more = sys.argv[1:]
        code = stylize_tree("cluster", contents, paintings, out, more)
    else:
        base = Path(sys.argv[1] if len(sys.argv) > 1 else "stylized_imagenet-out")
        make_tiny_tree(base)
        code = stylize_tree("stylize", str(base / "photos/classes"), str(base / "photos/art"), str(base / "out"), [])
    if code:
        raise SystemExit(code)


def stylize_tree(command: str, contents: str, paintings: str, out: str, more: list[str]) -> int:
    """One command for all of it: a class tree in, the same tree out; OUT.jsonl says what became of each picture."""
    words = [command, contents, "--random-style", paintings, "-o", f"{out}/", "--manifest", f"{out}.jsonl"]
    return adainkit([*words, *PAPER, *more])


def make_tiny_tree(base: Path) -> None:
    """Two classes in train/, one in val/, and three paintings: pieces of scikit-image's photographs."""
    for place, name in (("train/cat", "chelsea"), ("train/cup", "coffee"), ("val/cat", "cat")):
        photo = Image.fromarray(getattr(data, name)())
        (base / "photos/classes" / place).mkdir(parents=True, exist_ok=True)
        photo.save(base / f"photos/classes/{place}/{name}.png")
    (base / "photos/art").mkdir(exist_ok=True)
    for name in ("astronaut", "immunohistochemistry", "rocket"):
        Image.fromarray(getattr(data, name)()).resize((192, 192)).save(base / f"photos/art/{name}.png")


if __name__ == "__main__":
    main()
