"""Seconds of a picture in the browser's page beside Python's: `python -m benchmarks.browser SITE`.

SITE is a folder that `adainkit export lite --to browser` wrote. In a headless Chromium by Playwright; from the bytes of
a PNG file to those of another, each time a new picture, in a preset.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from adainkit.stylizer import Stylizer

from .cases import sample_picture
from .report import environment, table
from .static_site import ISOLATED, serving_files
from .timing import interleave, spread

__all__ = ["CHROMIUM", "main", "run"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
STYLE = "iris"
_PAINT = """async ([data, size, style]) => {
  const { ask } = await import("./page/place.js");
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const url = (path) => new URL(path, document.baseURI);
  const begin = performance.now();
  const body = new FormData();
  body.set("picture", new Blob([bytes], { type: "image/png" }), "picture.png");
  const { id } = await (await ask(url("v1/pictures"), { method: "POST", body })).json();
  const look = JSON.stringify({ styles: [{ name: style, weight: 1 }], controls: {}, size });
  const answer = await ask(url(`v1/pictures/${id}/preview`), { method: "POST", body: look });
  if (!answer.ok) throw new Error(await answer.text());
  await answer.blob();
  return (performance.now() - begin) / 1000;
}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    if CHROMIUM is None:
        raise SystemExit("no Chromium is on the PATH; install it")
    torch.set_num_threads(1)
    facts = environment(torch.device("cpu"), "wall")
    rows = []
    for side in args.sizes:
        results = run(args.site, side, args.rounds)
        rows += [[f"{side} px, {name}", f"{spread(values):.2f}"] for name, values in results.items()]
    print(table(["where", "what"], [[name, str(value)] for name, value in facts.items()]))
    print(table(["what", "seconds"], rows))
    return 0


def run(site: Path, side: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round: the page in one thread and in as many as it takes, and Python in one thread."""
    stream = io.BytesIO()
    sample_picture(side, side).save(stream, "PNG")
    found = {}
    for name, headers in (("browser, 1 thread", {}), ("browser, threads", ISOLATED)):
        with _page(site, headers) as page:
            told = page.locator("#here").inner_text().rpartition(": ")[2]
            given = [base64.b64encode(stream.getvalue()).decode(), side, STYLE]
            seconds = [float(page.evaluate(_PAINT, given)) for _ in range(rounds + 1)]
            found[f"{name}: {told}"] = seconds[1:]
    return found | interleave(
        {f"Python, 1 thread: {dtype}": _python(stream, dtype) for dtype in ("float32", "auto")}, rounds
    )


def _python(stream: io.BytesIO, dtype: str) -> Callable[[], object]:
    stylizer = Stylizer("lite", device="cpu", dtype=dtype, cache=None)

    def paint() -> None:
        stylizer.stylize(Image.open(io.BytesIO(stream.getvalue())), STYLE).save(io.BytesIO(), "PNG")

    return paint


@contextmanager
def _page(site: Path, headers: dict[str, str]) -> Iterator[Any]:
    """The page, ready, without a graphics card."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, serving_files(site, headers) as (address, _):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(locale="en-US", service_workers="block")
        page = context.new_page()
        page.goto(f"{address}?engine=wasm")
        page.locator("#here[data-state=ready]").wait_for(timeout=60_000)
        yield page
        chromium.close()


if __name__ == "__main__":
    sys.exit(main())
