"""A data set without texture: every picture of a tree of classes in the style of a random painting, on a Ray cluster.

    python examples/stylized_imagenet.py IMAGENET PAINTINGS OUT [--address auto] [--gpus 1] [any flag of adainkit cluster]

IMAGENET is any tree of classes, as ImageFolder reads it: `train/` and `val/`, each with a folder for each class. The
settings are those of Geirhos et al., "ImageNet-trained CNNs are biased towards texture" (ICLR 2019): shorter side 256,
the middle 224 x 224 pixels, one random painting for each picture, full strength, PNG. (There, the network was AdaIN's
own: --model vgg19, after `adainkit download vgg19`. The random choice is adainkit's: the same for ever, of --seed.)
The same command goes on after a stop. Without arguments it makes a tiny tree and does all that with it, on this machine:
with Ray where it is installed, else with the plain command, whose results are the same.
"""

import importlib.util
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
        with_ray = importlib.util.find_spec("ray") is not None and "ray" in sys.modules  # a cluster is there already
        command = "cluster" if with_ray else "stylize"
        code = stylize_tree(command, str(base / "photos"), str(base / "paintings-photos"), str(base / "out"), [])
    raise SystemExit(code) if code else None


def stylize_tree(command: str, contents: str, paintings: str, out: str, more: list[str]) -> int:
    """One command for all of it: a class tree in, the same tree out; OUT.jsonl says what became of each picture."""
    words = [command, contents, "--random-style", paintings, "-o", f"{out}/", "--manifest", f"{out}.jsonl"]
    return adainkit([*words, *PAPER, *more])
