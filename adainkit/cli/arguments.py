"""What the `adainkit` command understands: its commands, and their options. Nothing heavy: `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, NoReturn

from ..formats import FORMATS
from ..look.controls import CONTROLS, Control
from ..serve.settings import Settings, value_of
from . import export, values
from .guesses import meant

__all__ = ["UsageError", "parse_arguments"]

_START = """first steps:
  adainkit photo.jpg ukiyo-e              one of the presets; adainkit styles lists them
  adainkit photo.jpg painting.jpg         any picture is a style
  adainkit photos/ ukiyo-e -o painted/    a folder"""
_EXAMPLES = {
    "stylize": (
        "adainkit stylize photo.jpg\n"
        "adainkit stylize photo.jpg painting.jpg -o out.png\n"
        "cat photo.jpg | adainkit stylize - ukiyo-e -o - > out.jpg\n"
        "adainkit stylize holiday/ --style wave.jpg:0.7 --style PRESET:0.3 -o painted/ --alpha 0.8\n"
        "adainkit stylize photos/ --random-style paintings/ --seed 1 -o augmented/ --manifest run.jsonl"
    ),
    "grid": (
        "adainkit grid photos/*.jpg --style wave.jpg --style PRESET -o sheet.png\n"
        "adainkit grid photo.jpg PRESET --alphas 0,0.25,0.5,0.75,1\n"
        "adainkit grid photo.jpg --style a.jpg --style b.jpg --style c.jpg --style d.jpg --interpolate 5\n"
        "adainkit grid photo.jpg"
    ),
    "film": (
        "adainkit film clip.mp4 painting.jpg\n"
        "adainkit film clip.mov PRESET -o painted.mov --steady 0.8 --codec prores\n"
        "adainkit film clip.mp4 --style a.jpg@0 --style b.jpg@12.5 --alpha 0@0,1@3 -o painted.mp4\n"
        "adainkit film clip.mp4 PRESET --preview 5 -o sheet.jpg\n"
        "adainkit film frames/%05d.png PRESET --fps 24 -o painted.webm"
    ),
    "cluster": (
        "adainkit cluster photos/ --random-style paintings/ -o painted/ --manifest run.jsonl\n"
        "adainkit cluster s3://bucket/photos PRESET -o s3://bucket/painted --manifest run.jsonl --address auto\n"
        "adainkit cluster train/ --random-style art/ -o out/ --manifest run.jsonl --resize 256 --crop 224 --to tar"
    ),
    "info": "adainkit info out.jpg",
    "export": "adainkit export lite --to onnx -o lite-onnx/",
    "model3d": (
        "adainkit model3d duck.glb painting.jpg -o painted.glb\n"
        "adainkit model3d scene.gltf PRESET -o painted/scene.gltf --emissive --alpha 0.8"
    ),
    "styles": "adainkit styles",
    "models": "adainkit models --json",
    "download": "adainkit download vgg19\nadainkit download vgg19 --from ~/Downloads",
    "doctor": "adainkit doctor",
    "demo": "adainkit demo -o demo",
    "gimp": "adainkit gimp install\nadainkit gimp install --dir ~/.config/GIMP/3.0\nadainkit gimp doctor",
    "krita": "adainkit krita install\nadainkit krita install --dir ~/.local/share/krita\nadainkit krita doctor",
    "comfyui": "adainkit comfyui install ~/ComfyUI\nadainkit comfyui uninstall ~/ComfyUI",
    "serve": "adainkit serve\nadainkit serve --host 0.0.0.0 --tokens tokens.txt --hosts paint.example",
    "app": "adainkit app",
    "train": "adainkit train --config lite --content photos/ --style paintings/ --teacher vgg.safetensors --out run/",
}


class UsageError(Exception):
    """Wrong usage: its text is the whole line for a terminal, `message` what is wrong."""

    def __init__(self, program: str, message: str) -> None:
        super().__init__(f"{program}: error: {message}; `{program} --help` tells more")
        self.message = message


class _Parser(argparse.ArgumentParser):
    """One that says in one line what is wrong: its caller writes it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog, message)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked: `command`, its options by name, `debug`, and `usage_error(message)`, which raises `UsageError`.

    `UsageError` for wrong usage, `SystemExit` for `--help` and `--version`, and, with the help, where nothing is given.
    """
    parser, names = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(2)
    try:
        arguments = meant(arguments, names)
    except ValueError as error:
        parser.error(str(error))
    if arguments[:1] == ["train"]:  # the rest is not ours to parse, --help included
        return argparse.Namespace(command="train", rest=list(arguments[1:]), debug=False)
    args, rest = parser.parse_known_args(arguments)
    # argparse ends a list of pictures at the first option: `photo.jpg -o out.png painting.jpg` leaves one over
    if args.command not in ("stylize", "cluster", "grid") or any(text.startswith("-") for text in rest):
        if rest:
            flags = [text for text in rest if text.startswith("-")] or rest
            args.usage_error(f"unrecognized arguments: {' '.join(flags)}")
    else:
        args.pictures += rest
    return args


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """The parser, and the names of the commands."""
    description = "Any picture in the style of any other, offline. `adainkit COMMAND --help` tells more."
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser("adainkit", description=description, epilog=_START, allow_abbrev=False, formatter_class=form)
    parser.usage = "adainkit COMMAND ...\n       adainkit CONTENT... STYLE [-o OUT] [options of stylize]"
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(
        dest="command", title="commands", metavar="COMMAND", required=True, prog="adainkit"
    )

    def command(name: str, text: str) -> argparse.ArgumentParser:
        title = "examples" if "\n" in _EXAMPLES[name] else "example"
        sub: argparse.ArgumentParser = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{title}:\n  " + _EXAMPLES[name].replace("\n", "\n  "),
            allow_abbrev=False,
            formatter_class=form,
        )
        sub.set_defaults(usage_error=sub.error)
        sub.add_argument("--debug", action="store_true", help="show where an error comes from, and what is done")
        return sub

    _stylize_arguments(command("stylize", "paint pictures in the style of others or of presets"))
    cluster = command("cluster", "paint folders and data sets on a Ray cluster, as `stylize` does on one machine")
    _stylize_arguments(cluster, "cluster")
    _cluster_arguments(cluster)
    _grid_arguments(command("grid", "paint pictures in many styles, strengths or blends, on one sheet with labels"))
    info = command("info", "tell what a picture is, and the settings that a result was made with")
    info.add_argument("pictures", nargs="+", metavar="FILE", help="picture files")
    _film_arguments(command("film", "paint a film, with its sound: video files, animations, numbered pictures"))
    export.add_arguments(command("export", "write a model as ONNX, as OpenVINO, or as a page that runs in browsers"))
    _model3d_arguments(command("model3d", "paint a 3D model: the textures of its colors, without seams"))
    styles = command("styles", "list the presets")
    styles.add_argument("--model", default="lite", help="whose presets (default: lite)")
    models = command("models", "list the models")
    download = command("download", "fetch a model once, for all later runs")
    download.add_argument("name", metavar="NAME", help="a name that `adainkit models` lists")
    download.add_argument("--from", dest="source", metavar="DIR", help="take the published files from this folder")
    download.add_argument("--no-verify", action="store_true", help="accept files with other checksums")
    doctor = command("doctor", "tell what this installation can, what is missing and how to repair it")
    demo = command("demo", "draw a landscape and paint it in three presets")
    demo.add_argument("-o", "--output", metavar="DIR", default="adainkit-demo", help="folder (default: adainkit-demo)")
    gimp = command("gimp", "put the filter into GIMP 3, take it out, or find what is wrong with it")
    gimp.add_argument("action", choices=("install", "uninstall", "doctor"), help="what to do")
    gimp.add_argument("--dir", metavar="DIR", help="GIMP's folder, .../GIMP/3.x (default: all that there are)")
    krita = command("krita", "put the filter into Krita, take it out, or find what is wrong with it")
    krita.add_argument("action", choices=("install", "uninstall", "doctor"), help="what to do")
    krita.add_argument("--dir", metavar="DIR", help="Krita's resource folder (default: all that there are)")
    comfyui = command("comfyui", "put the node pack into a ComfyUI, upgrade it there, or take it out")
    comfyui.add_argument("action", choices=("install", "uninstall"), help="what to do")
    comfyui.add_argument("path", metavar="PATH", help="ComfyUI's folder, or its custom_nodes")
    for sub in (info, styles, models, doctor, demo, comfyui, gimp, krita):
        sub.add_argument("--json", action="store_true", help="print one JSON document")
    _serve_arguments(command("serve", "serve pictures over HTTP, with a web page: docs/service.md"))
    _serve_arguments(command("app", "open the web page in a browser, for this user alone"), "device", "model")
    command("train", "train a model of your own: what follows goes to training.train")
    return parser, commands.choices


def _stylize_arguments(parser: argparse.ArgumentParser, name: str = "stylize") -> None:
    add = parser.add_argument
    forms = (
        "CONTENT... STYLE",
        "CONTENT... --style STYLE[:WEIGHT] [--style ...]",
        "CONTENT... --region MASK=STYLE [--region ...]",
        "CONTENT... --random-style DIR",
        "CONTENT",
    )
    parser.usage = "\n       ".join(f"adainkit {name} {form} [-o OUT] [options]" for form in forms)
    add(
        "pictures",
        nargs="+",
        metavar="CONTENT",
        help="files, folders (and all below), patterns like *.jpg; - is standard input",
    )
    out = "file for one picture, else folder; - is standard output (default: a new name beside CONTENT)"
    add("-o", "--output", metavar="OUT", help=out)
    add(
        "-s",
        "--style",
        action="append",
        type=values.style_share,
        metavar="STYLE[:WEIGHT]",
        help="a picture, a folder of them, a saved style or a preset; several are mixed by their weights (default 1)",
    )
    add(
        "--region",
        action="append",
        type=values.region,
        metavar="MASK=STYLE",
        help="a style of its own where the gray picture MASK is white; what no region covers stays",
    )
    _look_arguments(parser, "alpha")
    add("--mask", metavar="FILE", help="gray picture: white is stylized, black stays")
    _machine_arguments(parser)
    add(
        "--tile",
        type=values.tile,
        default="auto",
        metavar="N|none|auto",
        help="pixels a side worked on at once (default: auto, what memory allows); the result is the same",
    )
    longest = "scale a larger picture down first, so that its longer side has N pixels"
    add("--max-size", type=values.positive, metavar="N", help=longest)
    add("--format", type=values.extension, choices=FORMATS, help="default: as OUT, else as CONTENT")
    add("--quality", type=values.quality, metavar="1-100", help="of JPEG, WebP and AVIF (default: visually lossless)")
    add("--strip", action="store_true", help="leave out EXIF, XMP, IPTC and texts (the color profile stays)")
    add("--no-record", action="store_true", help="leave the settings out, which `adainkit info` reads from a result")
    add("--overwrite", action="store_true", help="replace files that exist (never a content or a style)")
    add("--json", action="store_true", help="print one JSON object a line: input, output, style, seconds, error")
    _data_set_arguments(parser)


def _data_set_arguments(parser: argparse.ArgumentParser) -> None:
    batch = parser.add_argument_group("folders and data sets")
    batch.add_argument(
        "--manifest",
        metavar="FILE",
        help="add a JSON line for each picture as it ends; the same command again then does what is not done yet",
    )
    batch.add_argument(
        "--random-style", metavar="DIR", help="a random picture of this folder for each CONTENT, always the same one"
    )
    batch.add_argument("--seed", type=int, default=0, metavar="N", help="of the random choice (default: 0)")
    batch.add_argument(
        "--styles-per-image",
        type=values.positive,
        default=1,
        metavar="K",
        help="styles for each CONTENT (default: 1)",
    )
    for name, text in (
        ("resize", "scale each CONTENT first, its shorter side to N pixels"),
        ("crop", "then cut the middle N x N pixels out of it"),
    ):
        batch.add_argument(f"--{name}", type=values.positive, metavar="N", help=text)


def _cluster_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "cluster", "CONTENT, OUT and DIR may be URIs, as s3://bucket/folder, and hold shards: .tar, .parquet"
    )
    add = group.add_argument
    add("--address", default="", help="auto, or HOST:PORT of the head (default: RAY_ADDRESS, else this machine alone)")
    add("--actors", type=values.positive, default=0, metavar="N", help="workers (default: all that there is room for)")
    add("--cpus-per-actor", type=values.within(1, 1024), default=1.0, metavar="N", help="cores of each (default: 1)")
    add("--gpus-per-actor", type=values.within(0, 64), default=0.0, metavar="N", help="GPUs of each, or a share (0)")
    add("--memory-per-actor", type=values.bytes_of, default=0, metavar="SIZE", help="like 2G (default: a fair share)")
    add("--batch", type=values.positive, default=1, metavar="N", help="pictures of one size at once (default: 1)")
    add(
        "--window", type=values.positive, default=0, metavar="N", help="pictures that a worker has at once (default: 8)"
    )
    add("--wait", type=values.positive, default=600, metavar="S", help="seconds for a worker to start (default: 600)")
    add(
        "--to",
        choices=("same", "tree", "tar", "parquet"),
        default="same",
        help="files, or shards (default: as CONTENT)",
    )
    add("--shard-size", type=values.positive, default=1000, metavar="N", help="pictures of a new shard (default: 1000)")


def _grid_arguments(parser: argparse.ArgumentParser) -> None:
    forms = (
        "CONTENT... STYLE",
        "CONTENT... --style STYLE [--style ...]",
        "CONTENT... STYLE --alphas A,B,...",
        "CONTENT... --style STYLE --style STYLE [...] --interpolate N",
        "CONTENT",
    )
    parser.usage = "\n       ".join(f"adainkit grid {form} [-o OUT] [options]" for form in forms)
    add = parser.add_argument
    add(
        "pictures", nargs="+", metavar="CONTENT", help="a row each: files, folders (and all below), patterns like *.jpg"
    )
    add("-o", "--output", metavar="OUT", default="adainkit-grid.png", help="file (default: adainkit-grid.png)")
    add(
        "-s",
        "--style",
        action="append",
        type=values.style_share,
        metavar="STYLE",
        help="a column each: a picture, a folder of them, a saved style or a preset (default: all presets)",
    )
    kinds = parser.add_mutually_exclusive_group()
    _add_control(kinds, CONTROLS["alpha"], help="as in stylize (default: 1)")
    kinds.add_argument(
        "--alphas", type=values.fractions, metavar="A,B,...", help="a column for each strength, of one style"
    )
    add(
        "--interpolate",
        type=values.steps,
        metavar="N",
        help="N steps between two styles, or N x N between four, on one CONTENT",
    )
    add("--size", type=values.positive, default=256, metavar="N", help="longer side of a cell (default: 256 pixels)")
    _look_arguments(parser)
    _machine_arguments(parser)
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    add("--json", action="store_true", help="print one JSON document")


def _model3d_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "adainkit model3d MODEL STYLE -o OUT [options]"
    add = parser.add_argument
    add("model_file", metavar="MODEL", help=".glb, .gltf or .obj, with the files that it names beside it")
    add("style", metavar="STYLE", help="a picture, a saved style or a preset")
    add("-o", "--output", metavar="OUT", required=True, help="of the same type; of several files, in another folder")
    add("--emissive", action="store_true", help="paint what the model emits, too")
    _look_arguments(parser, "alpha")
    _machine_arguments(parser, pixels=26)
    add("--overwrite", action="store_true", help="replace what exists")
    add("--json", action="store_true", help="print one JSON document")


def _film_arguments(parser: argparse.ArgumentParser) -> None:
    forms = ("FILM STYLE", "FILM --style STYLE[:WEIGHT][@SECONDS] [--style ...]")
    parser.usage = "\n       ".join(f"adainkit film {form} [-o OUT] [options]" for form in forms)
    add = parser.add_argument
    add("source", metavar="FILM", help="a video file, an animated GIF, PNG or WebP, or pictures like frames/%%05d.png")
    add("given_style", nargs="?", metavar="STYLE", help="a picture, a saved style or a preset")
    out = "mp4, mov, mkv, webm, gif, png, webp or frames/%%05d.png (default: a new name beside FILM)"
    add("-o", "--output", metavar="OUT", help=out)
    add(
        "--style",
        action="append",
        type=values.style_at,
        metavar="STYLE[:WEIGHT][@SECONDS]",
        help="several of one time are mixed by their weights; the film fades from one time to the next",
    )
    add(
        "--alpha",
        type=values.alphas_over_time,
        default=CONTROLS["alpha"].default,
        metavar="A|A,B,...|A@S,B@S,...",
        help=f"{CONTROLS['alpha'].help}; or strengths at seconds, like 0@0,1@3",
    )
    _look_arguments(parser)
    add("--mask", metavar="FILE", help="gray picture or film: white is stylized, black stays")
    add(
        "--statistics",
        choices=("scene", "clip", "frame"),
        default="scene",
        help="what the tone is measured over (default: scene; cuts are found)",
    )
    add("--live", action="store_true", help="measure as the frames come: one pass over the film, not three")
    add(
        "--steady",
        nargs="?",
        type=values.fraction,
        const=0.8,
        default=0.0,
        metavar="0-1",
        help="keep so much of the last frame along the motion (alone: 0.8; needs OpenCV)",
    )
    add("--keep-noise", action="store_true", help="paint the camera's noise, too, which flickers where nothing moves")
    add("--from", dest="start", type=values.seconds, default=0.0, metavar="S", help="begin at this second")
    add("--to", dest="stop", type=values.seconds, metavar="S", help="end at this second")
    add("--preview", type=values.positive, metavar="N", help="paint N frames only, as one sheet in the picture OUT")
    add("--resume", action="store_true", help="go on where a run that was stopped or killed has come to")
    _encoder_arguments(parser)
    _machine_arguments(parser, pixels=26)
    add(
        "--max-frames",
        type=values.count,
        default=1 << 20,
        metavar="N|none",
        help="refuse longer films (default: 2^20)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    add("--json", action="store_true", help="print one JSON document")


def _encoder_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("encoding").add_argument
    add("--codec", metavar="NAME", help="h264, h265, vp9, av1, prores, ffv1 (default: what suits OUT and FILM)")
    add("--crf", type=int, metavar="N", help="quality: less is better and larger")
    add("--preset", metavar="NAME", help="of the encoder: slower is smaller")
    add("--fps", type=values.rate, metavar="N", help="of numbered pictures: 24, 30000/1001 (default: 25)")
    add("--no-sound", action="store_true", help="leave the sound out")
    add("--strip", action="store_true", help="leave out titles, places, dates and attached files (of video files)")


def _serve_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """A flag for each setting of the service, or for those that are named; without one, its environment variable."""
    if not names:
        parser.epilog = f"{parser.epilog}\n\nEach setting may also be an environment variable: ADAINKIT_SERVE_PORT."
    for each in fields(Settings):
        if names and each.name not in names:
            continue
        facts: dict[str, Any] = {"default": None, "help": f"{each.metadata['help']}{_default(each.default)}"}
        if isinstance(each.default, bool):
            facts["action"] = argparse.BooleanOptionalAction
        else:
            facts |= {"type": partial(_setting, each.name), "metavar": each.name.upper()}
        parser.add_argument(f"--{each.name.replace('_', '-')}", **facts)


def _default(value: object) -> str:
    return f" (default: {value:g})" if isinstance(value, float) else f" (default: {value})" if value else ""


def _setting(name: str, text: str) -> Any:
    try:
        return value_of(name, text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _look_arguments(parser: argparse.ArgumentParser, *more: str) -> None:
    for control in CONTROLS.values():
        if control.name != "alpha" or "alpha" in more:  # `grid` has more to say about it
            _add_control(parser, control)


def _add_control(parser: argparse._ActionsContainer, control: Control, help: str = "") -> None:
    facts: dict[str, Any] = {"default": control.default, "help": help or control.help}
    if control.kind == "choice":
        facts |= {"choices": control.choices, "nargs": "?", "const": control.alone}
    elif control.kind == "pixels":
        facts |= {"type": values.count, "metavar": "N|none"}
    elif control.by_level:
        facts |= {"type": values.alphas, "metavar": "A|A,B,..."}
    else:
        span = f"{control.low:g}-{control.high:g}" if control.high == 1 else "N"
        facts |= {"type": values.within(control.low, control.high), "metavar": span}
    parser.add_argument(f"--{control.name.replace('_', '-')}", **facts)


def _machine_arguments(parser: argparse.ArgumentParser, pixels: int = 28) -> None:
    add = parser.add_argument
    add("--model", default="lite", help="a name of `adainkit models`, or a file (default: lite)")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    add("--dtype", choices=("auto", "mixed", "float32", "float16", "bfloat16"), default="auto", help="precision")
    runtimes = ("auto", "torch", "openvino", "onnxruntime", "tensorrt")
    add("--runtime", choices=runtimes, default="auto", help="what computes (default: torch, or what is faster on CPUs)")
    add(
        "--max-pixels",
        type=values.count,
        default=1 << pixels,
        metavar="N|none",
        help=f"refuse larger pictures (default: 2^{pixels})",
    )


class _Version(argparse.Action):
    """Looks the version up when it is asked for: reading the package's metadata takes time."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from .. import __version__

        sys.stdout.write(f"adainkit {__version__}\n")
        parser.exit()
