"""Make docs/browser.jpg: the page that paints in the browser, on a desk and on a phone, with its own sample.

    python docs/make_browser_pictures.py SITE  # a folder that `adainkit export lite --to browser` wrote

Needs Playwright and a Chromium.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.browser import CHROMIUM
from benchmarks.static_site import serving_files

VIEWS = (
    {"viewport": {"width": 1280, "height": 800}},
    {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
)


def shown(page: Page) -> Image.Image:
    """The sample in the mix of two styles, when all tiles are painted."""
    page.click("#sample")
    page.locator("#frame.painted").wait_for()
    page.click("#slot-b")
    page.locator(".tile[data-name=ukiyo-e]").evaluate("each => each.click()")
    page.locator(".tile-box.live:not(.old)").nth(31).wait_for(state="attached")
    page.locator("#frame[aria-busy=false]").wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # fades
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def main(site: Path) -> None:
    """Both views side by side."""
    views = []
    with sync_playwright() as playwright, serving_files(site) as (address, _):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for view in VIEWS:
            page = chromium.new_context(locale="en-US", **view).new_page()
            page.set_default_timeout(180_000)
            page.goto(f"{address}?engine=wasm")
            page.locator("#here[data-state=offline]").wait_for()
            views.append(shown(page))
        chromium.close()
    whole = Image.new("RGB", (sum(view.width for view in views) + 16, 800), "white")
    whole.paste(views[0], (0, 0))
    whole.paste(views[1], (views[0].width + 16, 0))
    whole.save(Path(__file__).parent / "browser.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
