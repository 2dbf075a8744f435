"""A folder with a random style for each picture, by a manifest that goes on: python examples/batch.py [OUT].

The command does the same: adainkit stylize photos/ --random-style paintings/ -o painted/ --manifest run.jsonl.
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

from adainkit import Stylizer, styles, stylize_files
from adainkit.batch import Job, Manifest, Outcome, choose, plan_jobs

ALPHA, SEED = 0.9, 0


def main() -> None:
    """Write three sample photographs into OUT/photos (default: batch-out) and stylize them, twice."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "batch-out")
    (out / "photos").mkdir(parents=True, exist_ok=True)
    for name in ("astronaut", "coffee", "rocket"):
        photo = Image.fromarray(getattr(data, name)())
        photo.resize((photo.width // 2, photo.height // 2)).save(out / f"photos/{name}.png")

    with Stylizer("lite") as stylizer:
        for time in ("first", "second"):
            print(f"the {time} time:")
            stylize_folder(stylizer, out / "photos", out / "painted", out / "run.jsonl")


def stylize_folder(stylizer: Stylizer, folder: Path, target: Path, manifest_file: Path) -> None:
    """Each picture of a folder and all below it in a preset of its own; what the manifest says is done is left."""
    presets = list(styles("lite"))
    with Manifest(manifest_file, {"options": {"alpha": ALPHA}, "seed": SEED}) as manifest:
        jobs = plan_jobs(
            [str(folder)],
            str(target),
            style_name="random",
            styles_of=lambda name: choose(presets, name, SEED),
            is_done=manifest.is_done,
        )

        def style_of(job: Job) -> object:
            return stylizer.as_style(job.style)

        def ended(outcome: Outcome) -> None:
            job, error = outcome.job, outcome.error
            told = None if error is None else str(error)
            manifest.add(job.source, job.target, style=job.style, seconds=outcome.seconds, error=told)

        left = [job for job in jobs if not job.done]
        for outcome in stylize_files(stylizer, left, style_of, alpha=ALPHA, ended=ended):
            print(f"  {outcome.job.target}: {outcome.error or outcome.job.style}")
        print(f"  {len(jobs) - len(left)} of {len(jobs)} were done before")


if __name__ == "__main__":
    main()
