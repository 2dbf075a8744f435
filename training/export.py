"""Make a trained model part of the package: `python -m training.export RUN/model.safetensors --style DIR`.

Writes adainkit/weights/NAME.safetensors, its presets (adainkit/presets/NAME.safetensors: statistics of the pictures
that a listing names) and training/MODEL_CARD.md, once all three are computed: presets belong to an encoder.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from adainkit.atomic import write_atomically
from adainkit.errors import AdaINKitError, ModelError
from adainkit.net.model import AdaINModel
from adainkit.store.weights import models
from adainkit.style import Preset, Style, write_presets
from adainkit.stylizer import Stylizer

from .report import FIGURES, targets

__all__ = ["compute_presets", "main", "model_card", "read_evaluation"]

log = logging.getLogger("adainkit.training")
HERE = Path(__file__).parent
WHEEL_LIMIT = 8_000_000  # bytes: what the wheel may carry for a model


def compute_presets(model: AdaINModel, folder: Path, listing: Path) -> dict[Preset, Style]:
    """The styles that `listing` names, encoded at their own size from the pictures in `folder`, with what its manifest
    says of them."""
    manifest = folder.parent / "MANIFEST.csv"
    licenses: dict[str, str] = {}
    if manifest.is_file():
        with open(manifest, newline="", encoding="utf-8") as file:
            licenses = {Path(row["file"]).name: row["licence"].strip() for row in csv.DictReader(file)}
    found = {}
    with Stylizer(model, device="cpu") as stylizer:
        for row in yaml.safe_load(listing.read_text(encoding="utf-8")):
            if set(row) != {"name", "file", "description"}:
                raise ValueError(f"{listing}: each preset has a name, a file and a description, got {row}")
            preset = Preset(row["name"], row["description"], licenses.get(row["file"], ""))
            found[preset] = stylizer.encode_style(folder / row["file"], style_size=None)
    return found


def model_card(model: AdaINModel, size: int, presets: Sequence[Preset]) -> str:
    """The model's card in Markdown, from its metadata alone."""
    facts, config = model.metadata, model.config
    recipe: dict[str, Any] = json.loads(facts.get("recipe", "{}"))
    parameters = sum(p.numel() for p in model.parameters())
    rows = [f"| {key} | `{json.dumps(value)}` |" for key, value in recipe.items()]
    return "\n".join(
        [
            f"# Model card: `{config.name}`",
            "",
            "Made by `python -m training.export`; do not edit by hand.",
            "",
            f"{parameters:,} parameters, {size:,} bytes in half precision. License: {facts.get('license', 'unknown')}.",
            f"AdaIN at {len(config.levels)} levels: "
            + ", ".join(f"{level.channels} channels at stride {level.stride}" for level in config.levels)
            + ".",
            "",
            "```",
            f"encoder  {config.encoder}",
            f"decoder  {config.decoder}",
            f"gain cap {config.gain_cap}",
            *([f"code     {config.code}"] if config.code else []),
            *(["palette  the style's, by look.color.palette_map"] if config.palette else []),
            "```",
            "",
            "## Figures",
            "",
            *_figures(
                "Validation crops (pictures held out of training, 256 px)"
                if json.loads(facts.get("validation_held_out", "true"))
                else "Crops of training pictures, 256 px",
                facts.get("validation"),
            ),
            *_figures("Thirty-six held-out pairs at 320 px, alpha 1", facts.get("judged")),
            *_evaluation(facts.get("evaluation")),
            "Content and style are distances in the loss network's features (lower is better), as the training losses",
            "define them; ssim is structural similarity of luma with the content; psnr_alpha_0 is what alpha 0 gives",
            "back, in dB.",
            "",
            "## Training",
            "",
            f"{facts.get('steps', 'unknown')} steps in {int(facts.get('training_seconds', 0)) / 60:.0f} minutes. "
            f"Data: sha256 of names and contents, content `{facts.get('content_manifest_sha256', 'unknown')}`, "
            f"style `{facts.get('style_manifest_sha256', 'unknown')}`.",
            "",
            "| setting | value |",
            "| --- | --- |",
            *rows,
            "",
            *([facts["notes"], ""] if "notes" in facts else []),
            "## Presets",
            "",
            "Channel statistics of these pictures; the pictures themselves are not part of the package.",
            "",
            "| name | what it does | picture |",
            "| --- | --- | --- |",
            *(f"| {p.name} | {p.description} | {p.source} |" for p in presets),
            "",
        ]
    )


def _evaluation(text: str | None) -> list[str]:
    """What `training.evaluate` found, a row for each alpha, and which of the project's targets are met."""
    if text is None:
        return []
    found: dict[str, Any] = json.loads(text)
    names = [name for name in FIGURES if name in found["rows"][0]]
    lines = [f"`training.evaluate`, {found['about']}:", ""]
    lines += ["| alpha | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for row in found["rows"]:
        lines.append(f"| {row['alpha']:g} | " + " | ".join(f"{row[n]:.4g}" if n in row else "" for n in names) + " |")
    return [
        *lines,
        "",
        "Targets: " + "; ".join(found["targets"]) + ".",
        *(
            [f"Not measured, since their networks were not available: {', '.join(found['missing'])}."]
            if found["missing"]
            else []
        ),
        "",
        *(f"- {name}: {meaning}" for name, meaning in FIGURES.items() if name in names),
        "",
    ]


def read_evaluation(report: Path, model: Path) -> dict[str, Any]:
    """What figures.json of `training.evaluate` says of the file `model`: its rows, how they were taken, and which
    targets are met. `ModelError` if it judged other files."""
    found = json.loads(report.read_text(encoding="utf-8"))
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    labels = [label for label, facts in found["models"].items() if facts["sha256"] == digest]
    if not labels:
        raise ModelError(f"{report}: judged {', '.join(found['models'])}, none of which is {model}; evaluate that file")
    rows = [row for row in found["figures"] if row["model"] == labels[0]]
    about = (
        "{pairs} pairs, contents with a shorter side of at most {size} px, on {hardware} ({threads} threads, {dtype})"
    )
    told = about.format(pairs=rows[0]["pairs"], size=found["settings"]["size"], **found["environment"])
    met = targets([{**row, "model": "this"} for row in rows]).replace("this: ", "").splitlines()
    return {"about": told, "rows": rows, "missing": list(found["missing"]), "targets": met}


def _figures(title: str, text: str | None) -> list[str]:
    if text is None:
        return []
    table: Mapping[str, Any] = json.loads(text)
    if not table:
        return []
    rows = table if all(isinstance(v, Mapping) for v in table.values()) else {"": table}
    keys = list(next(iter(rows.values())))
    head = [f"{title}:", "", "| | " + " | ".join(keys) + " |", "| --- |" + " --- |" * len(keys)]
    return [
        *head,
        *(f"| {name} | " + " | ".join(f"{row[k]:.4g}" for k in keys) + " |" for name, row in rows.items()),
        "",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0, or 1 when it failed."""
    parser = argparse.ArgumentParser(prog="training.export", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", type=Path, help="the .safetensors file that a run wrote")
    parser.add_argument("--style", type=Path, required=True, metavar="DIR", help="folder of the presets' pictures")
    parser.add_argument("--presets", type=Path, default=HERE / "presets.yaml", metavar="YAML", help="which pictures")
    parser.add_argument("--judged", type=Path, metavar="JSON", help="figures to record: {name: {figure: value}}")
    parser.add_argument("--evaluation", type=Path, metavar="JSON", help="figures.json of training.evaluate to record")
    parser.add_argument(
        "--notes", default="", help="a paragraph for the model card: what is good and what is wrong with it"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        model = AdaINModel.load(args.model)
        name = model.config.name
        if name not in models() or models()[name].sources:
            embedded = ", ".join(w.name for w in models().values() if not w.sources)
            raise ModelError(f"{args.model} is called {name!r}; the package has a place for: {embedded}")
        extra = {"notes": args.notes} if args.notes else {}
        if args.judged:
            extra["judged"] = json.dumps(json.loads(args.judged.read_text(encoding="utf-8")))
        if args.evaluation:
            extra["evaluation"] = json.dumps(read_evaluation(args.evaluation, args.model))
        with tempfile.TemporaryDirectory() as folder:  # nothing of the package changes before all is there
            draft = model.save(Path(folder) / "model.safetensors", extra)
            model, data = AdaINModel.load(draft), draft.read_bytes()
        if len(data) > WHEEL_LIMIT:
            raise ModelError(f"{args.model} has {len(data)} bytes in half precision; a wheel carries {WHEEL_LIMIT}")
        presets = compute_presets(model, args.style, args.presets)
        card = model_card(model, len(data), list(presets))
        target = write_atomically(models()[name].path, data)
        write_presets(name, presets)
        write_atomically(HERE / "MODEL_CARD.md", card.encode())
    except (AdaINKitError, OSError, KeyError, ValueError) as error:
        log.error("%s", error)
        return 1
    log.info("%s and %d presets are in place", target, len(presets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
