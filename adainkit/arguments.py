"""What the `adainkit` command understands: its commands, their options and ranges. Nothing heavy: `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from .jobs import FORMATS, split_weight

__all__ = ["parse_arguments"]

_EXAMPLES = {
    "stylize": (
        "adainkit stylize photo.jpg painting.jpg -o out.png\n"
        "adainkit stylize holiday/ --style wave.jpg:0.7 --style PRESET:0.3 -o painted/ --alpha 0.8"
    ),
    "styles": "adainkit styles",
    "models": "adainkit models --json",
    "download": "adainkit download vgg19\nadainkit download vgg19 --from ~/Downloads",
    "doctor": "adainkit doctor",
    "demo": "adainkit demo -o demo",
    "gimp": "adainkit gimp install\nadainkit gimp install --dir ~/.config/GIMP/3.0\nadainkit gimp doctor",
    "train": "adainkit train --config lite --content photos/ --style paintings/ --teacher vgg.safetensors --out run/",
}


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked: `command`, its options by name, `debug`, and `usage_error(message)`, which exits with 2.

    `SystemExit` for wrong usage, `--help` and `--version`.
    """
    if arguments[:1] == ["train"]:  # the rest is not ours to parse, --help included
        return argparse.Namespace(command="train", rest=list(arguments[1:]), debug=False)
    args, rest = _parser().parse_known_args(arguments)
    # argparse ends a list of pictures at the first option: `photo.jpg -o out.png painting.jpg` leaves one over
    if args.command != "stylize" or any(text.startswith("-") for text in rest):
        if rest:
            args.usage_error(f"unrecognized arguments: {' '.join(rest)}")
    else:
        args.pictures += rest
    return args


def _parser() -> argparse.ArgumentParser:
    description = "Any picture in the style of any other, offline. `adainkit COMMAND --help` tells more."
    parser = argparse.ArgumentParser("adainkit", description=description, allow_abbrev=False)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        title = "examples" if "\n" in _EXAMPLES[name] else "example"
        sub: argparse.ArgumentParser = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{title}:\n  " + _EXAMPLES[name].replace("\n", "\n  "),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(usage_error=sub.error)
        sub.add_argument("--debug", action="store_true", help="show where an error comes from, and what is done")
        return sub

    _stylize_arguments(command("stylize", "paint pictures in the style of others or of presets"))
    styles = command("styles", "list the presets")
    styles.add_argument("--model", default="lite", help="whose presets (default: lite)")
    models = command("models", "list the models")
    download = command("download", "fetch a model once, for all later runs")
    download.add_argument("name", metavar="NAME", help="a name that `adainkit models` lists")
    download.add_argument("--from", dest="source", metavar="DIR", help="take the published files from this folder")
    download.add_argument("--no-verify", action="store_true", help="accept files with other checksums")
    doctor = command("doctor", "tell what this installation can, what is missing and how to mend it")
    demo = command("demo", "draw a landscape and paint it in three presets")
    demo.add_argument("-o", "--output", metavar="DIR", default="adainkit-demo", help="folder (default: adainkit-demo)")
    gimp = command("gimp", "put the filter into GIMP 3, take it out, or find what is wrong with it")
    gimp.add_argument("action", choices=("install", "uninstall", "doctor"), help="what to do")
    gimp.add_argument("--dir", metavar="DIR", help="GIMP's folder, .../GIMP/3.x (default: all that there are)")
    for sub in (styles, models, doctor, demo, gimp):
        sub.add_argument("--json", action="store_true", help="print one JSON document")
    command("train", "train a model of your own: what follows goes to training.train")
    return parser


def _stylize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    forms = (
        "CONTENT... STYLE",
        "CONTENT... --style STYLE[:WEIGHT] [--style ...]",
        "CONTENT... --region MASK=STYLE [--region ...]",
    )
    parser.usage = "\n       ".join(f"adainkit stylize {form} [-o OUT] [options]" for form in forms)
    add(
        "pictures",
        nargs="+",
        metavar="CONTENT",
        help="files, folders (and all below), patterns like *.jpg",
    )
    add("-o", "--output", metavar="OUT", help="file for one picture, else folder (default: a new name beside CONTENT)")
    add(
        "--style",
        action="append",
        type=_style_share,
        metavar="STYLE[:WEIGHT]",
        help="a picture, a saved style or a preset; several are mixed by their weights (default 1)",
    )
    add(
        "--region",
        action="append",
        type=_region,
        metavar="MASK=STYLE",
        help="a style of its own where the gray picture MASK is white; what no region covers stays",
    )
    add(
        "--alpha",
        type=_alphas,
        default=1.0,
        metavar="A|A,B,...",
        help="strength, from 0 (content) to 1 (style, default); or one for each AdaIN level, finest first",
    )
    add("--preserve-color", choices=("none", "luma", "match"), default="none", help="keep the content's colors")
    add("--color-strength", type=_fraction, default=1.0, metavar="0-1", help="how much of that (default: 1)")
    add("--scale", type=_scale, default=1.0, metavar="N", help="strokes N times as bold, from 1 (default)")
    add("--detail", type=_fraction, default=0.0, metavar="0-1", help="the content's fine structure: text, faces")
    add(
        "--style-size",
        type=_count,
        default=512,
        metavar="N|none",
        help="its shorter side; less: finer strokes",
    )
    add("--mask", metavar="FILE", help="gray picture: white is stylized, black stays")
    add("--model", default="lite", help="a name of `adainkit models`, or a file (default: lite)")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    add("--dtype", choices=("auto", "float32", "float16", "bfloat16"), default="auto", help="precision")
    add(
        "--tile",
        type=_tile,
        default="auto",
        metavar="N|none|auto",
        help="pixels a side worked on at once (default: auto, what memory allows); the result is the same",
    )
    add("--format", type=_format, choices=FORMATS, help="default: as OUT, else as CONTENT")
    add("--quality", type=_quality, metavar="1-100", help="of JPEG, WebP and AVIF (default: visually lossless)")
    add("--overwrite", action="store_true", help="replace files that exist (never a content or a style)")
    add("--max-pixels", type=_count, default=1 << 28, metavar="N|none", help="refuse larger pictures (default: 2^28)")
    add("--json", action="store_true", help="print one JSON object a line: input, output, seconds, error")


class _Version(argparse.Action):
    """Looks the version up when it is asked for: reading the package's metadata takes time."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from . import __version__

        sys.stdout.write(f"adainkit {__version__}\n")
        parser.exit()


def _fraction(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")


def _alphas(text: str) -> float | list[float]:
    found = [_fraction(part) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def _scale(text: str) -> float:
    with suppress(ValueError):
        if 1 <= (value := float(text)) <= 64:
            return value
    raise argparse.ArgumentTypeError(f"expected a number from 1 to 64, got {text!r}")


def _region(text: str) -> tuple[str, str]:
    mask, _, style = text.partition("=")
    if not mask or not style:
        raise argparse.ArgumentTypeError(f"expected MASK=STYLE, like sky.png=ukiyo-e, got {text!r}")
    return mask, style


def _count(text: str) -> int | None:
    if text.lower() == "none":
        return None
    with suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, or none, got {text!r}")


def _tile(text: str) -> int | str | None:
    return text.lower() if text.lower() == "auto" else _count(text)


def _quality(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (value := int(text)) <= 100:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 100, got {text!r}")


def _format(text: str) -> str:
    return text.lower().lstrip(".")


def _style_share(text: str) -> tuple[str, float]:
    try:
        return split_weight(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
