"""The service's page in a real browser: what a person does there, and what must never happen."""

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chromium import launched, playing
from PIL import Image
from service import serving

from adainkit import styles
from adainkit.serve import Settings

PAGE = Path(__file__).parent.parent / "adainkit" / "serve" / "page"
TILE = 224  # the longest side of a preview in the gallery
PATIENCE = 60_000  # milliseconds, for a slow machine; nothing waits so long where all is well


# --- the files, without a browser ------------------------------------------------------------------------------------


def test_nothing_in_the_page_points_to_another_host() -> None:
    for file in PAGE.iterdir():
        addresses = set(re.findall(r"(?:https?|wss?):?//[^\s\"')]+|[\"'(]//[^\s\"')]+", file.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, f"{file.name} points to {addresses}"


def test_everything_that_is_named_is_there_and_nothing_is_inline() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    named = set(re.findall(r"(?:href|src)=\"page/([^\"]+)\"", html))
    for file in PAGE.glob("*.js"):
        named |= set(re.findall(r"from \"\./([^\"]+)\"", file.read_text("utf-8")))
    assert named == {file.name for file in PAGE.iterdir()} - {"index.html"}
    assert not re.search(r"<style|style=|<script>|\son\w+=|javascript:", html)


def test_both_languages_say_everything() -> None:
    tables = re.findall(r"const (en|zh) = \{(.*?)\n\};", (PAGE / "strings.js").read_text("utf-8"), re.S)
    english, chinese = (dict(re.findall(r'^  "?([\w.]+)"?: "(.*)",$', text, re.M)) for _, text in tables)
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
        assert key in ("language", "value.scale") or text != chinese[key], key
    used = set()
    for file in PAGE.iterdir():
        used |= set(re.findall(r"(?:data-[tl]=|\bt\()\"([\w.]+)\"", file.read_text("utf-8")))
    assert used <= english.keys(), used - english.keys()


def test_every_preset_has_a_chinese_name() -> None:
    table = re.search(r"const presets = \{(.*?)\n\};", (PAGE / "strings.js").read_text("utf-8"), re.S)
    assert table is not None
    assert set(re.findall(r"^  \"?([\w-]+)\"?: \[", table[1], re.M)) == set(styles())


# --- in the browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playing() as playwright, launched(playwright) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    torch.set_num_threads(1)  # two threads that wait for each other on a busy computer are far slower
    with serving(Settings(platform="none", rate=1000, burst=1000)) as url:
        yield url


class Visit:
    """A page, what it asked for, and what went wrong there."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.faults: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.requests: list[Any] = []
        self.expected: tuple[str, ...] = ()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._request)

    def _request(self, request: Any) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.address, "blob:", self.address.replace("http", "ws"))):
            self.faults.append(f"a request to {request.url}")
        if request.url.endswith("/preview"):
            self.asked.append(request.post_data_json)

    def large(self) -> list[dict[str, Any]]:
        """The previews asked for that were for the stage, not for a tile."""
        return [each for each in self.asked if each["size"] != TILE]

    def enter(self, *, gallery: bool = False) -> None:
        """The page as it begins."""
        if not gallery:
            self.page.route("**/preview", _instead_of_tiles)
            self.page.route("**/thumbnail", _instead_of_tiles)
        self.page.goto(self.address)
        self.page.locator("#tiles .tile").nth(31).wait_for(state="attached")

    def begin(
        self, data: bytes | None = None, name: str = "meadow.png", kind: str = "image/png", *, gallery: bool = False
    ) -> None:
        """A photograph is dropped. Its tiles are painted by the service for tests of the `gallery` alone."""
        self.enter(gallery=gallery)
        self.drop(photograph() if data is None else data, name, kind)
        self.page.locator("#frame.painted").wait_for()

    def drop(self, data: bytes, name: str, kind: str, x: float = 0.3) -> None:
        """A file is dragged over the page and dropped at `x` of its width."""
        self.page.evaluate(DROP, [base64.b64encode(data).decode(), name, kind, x])

    def settled(self) -> None:
        """Until no preview for the stage is on its way."""
        self.page.wait_for_timeout(30)
        self.page.locator("#frame[aria-busy=false]").wait_for()

    def shown(self) -> np.ndarray[Any, Any]:
        """The pixels of the result on the stage."""
        url = self.page.evaluate("document.getElementById('after').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), np.float32)

    def notice(self) -> str:
        self.page.locator(".notice").last.wait_for()
        return str(self.page.locator(".notice").last.inner_text())


def _instead_of_tiles(route: Any) -> None:
    if route.request.method == "GET" or route.request.post_data_json["size"] == TILE:
        route.fulfill(body=photograph(48, 32, "JPEG"), content_type="image/jpeg")
    else:
        route.continue_()


DROP = """([data, name, kind, x]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: kind }));
  const at = { bubbles: true, cancelable: true, dataTransfer, clientX: innerWidth * x, clientY: innerHeight / 2 };
  for (const type of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, at));
}"""


def photograph(width: int = 240, height: int = 160, kind: str = "PNG") -> bytes:
    """A sky, a hill and a field."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    sky = np.stack([0.4 + 0.5 * y, 0.6 + 0.2 * y, 0.9 - 0.1 * y], -1)
    field = np.stack([0.3 + 0.2 * x, 0.5 - 0.2 * y, 0.2 + 0 * x], -1) + 0.1 * np.sin(60 * x + 20 * y)[..., None]
    rgb = np.where((y > 0.5 + 0.15 * np.sin(7 * x))[..., None], field, sky)
    stream = io.BytesIO()
    Image.fromarray((rgb.clip(0, 1) * 255).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


@contextmanager
def visiting(browser: Any, address: str, **options: Any) -> Iterator[Visit]:
    """A visit that ends without a fault: nothing in the console, no request elsewhere."""
    settings = {"viewport": {"width": 1120, "height": 700}, "locale": "en-US", **options}
    context = browser.new_context(**settings)
    try:
        visit = Visit(context.new_page(), address)
        yield visit
        faults = [fault for fault in visit.faults if not any(word in fault for word in visit.expected)]
        assert not faults, faults
    finally:
        context.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    with visiting(browser, address) as visit:
        yield visit


@pytest.mark.slow
def test_a_dropped_photograph_is_shown_in_every_style(visit: Visit) -> None:
    visit.begin(gallery=True)
    visit.page.locator(".tile-box.live:not(.old)").nth(31).wait_for(state="attached")
    assert {each["styles"][0]["name"] for each in visit.asked if each["size"] == TILE} == {
        tile.get_attribute("data-name") for tile in visit.page.locator(".tile").all()
    }
    assert "meadow" in visit.page.locator("#label").inner_text()
    assert "240 × 160" in visit.page.locator("#label").inner_text()
    sent = [request for request in visit.requests if request.url.endswith("/v1/pictures")]
    assert len(sent) == 1, "the photograph is sent once, not for each style"
    headers = visit.page.request.get(visit.address).headers
    assert "unsafe" not in headers["content-security-policy"]


@pytest.mark.slow
def test_a_style_of_the_gallery_is_shown_on_the_stage(visit: Visit) -> None:
    visit.begin()
    visit.settled()
    first = visit.shown()
    visit.page.click(".tile[data-name=coral]")
    visit.settled()
    assert visit.large()[-1]["styles"] == [{"name": "coral", "weight": 1}]
    assert np.abs(visit.shown() - first).mean() > 10
    assert "Coral" in visit.page.locator("#label").inner_text()
    assert visit.page.locator(".tile[aria-pressed=true]").get_attribute("data-name") == "coral"


@pytest.mark.slow
def test_pasting_a_photograph(visit: Visit) -> None:
    visit.enter()
    paste = (
        DROP.split("const at")[0]
        + """
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: dataTransfer, bubbles: true })); }"""
    )
    visit.page.evaluate(paste, [base64.b64encode(photograph(kind="WEBP")).decode(), "copied.webp", "image/webp", 0])
    visit.page.locator("#frame.painted").wait_for()
    assert "copied" in visit.page.locator("#label").inner_text()


@pytest.mark.slow
def test_choosing_a_photograph_and_the_sample(visit: Visit) -> None:
    visit.enter()
    with visit.page.expect_file_chooser() as chooser:
        visit.page.click("#start-open")
    chooser.value.set_files({"name": "chosen.jpg", "mimeType": "image/jpeg", "buffer": photograph(kind="JPEG")})
    visit.page.locator("#frame.painted").wait_for()
    assert "chosen" in visit.page.locator("#label").inner_text()
    visit.page.reload()
    visit.page.click("#sample")
    visit.page.locator("#frame.painted").wait_for()
    assert "1200 × 800" in visit.page.locator("#label").inner_text()


@pytest.mark.slow
def test_the_strength_answers_while_it_is_dragged_and_the_newest_wins(visit: Visit) -> None:
    visit.begin()
    visit.page.locator(".tile-box.live:not(.old)").nth(31).wait_for(state="attached")
    visit.settled()
    before = len(visit.large())
    box = visit.page.locator("#control-alpha").bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] - 10, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    for step in range(30):
        visit.page.mouse.move(box["x"] + box["width"] * (1 - step / 29), box["y"] + box["height"] / 2)
        visit.page.wait_for_timeout(16)
    drafts = visit.large()[before:]
    visit.page.mouse.up()
    visit.settled()
    assert drafts, "something is asked for before the slider is let go"
    assert len(drafts) < 30, "what is out of date is not asked for"
    last = visit.large()[-1]
    assert last["controls"]["alpha"] == 0
    assert last["size"] >= max(draft["size"] for draft in drafts)
    photo = Image.open(io.BytesIO(photograph()))
    height, width, _ = visit.shown().shape
    plain = np.asarray(photo.convert("RGB").resize((width, height)), np.float32)
    assert np.abs(visit.shown() - plain).mean() < 12, "at 0 it is the photograph as the model draws it"
    assert visit.page.locator("#control-alpha").get_attribute("aria-valuetext") == "0 %"


@pytest.mark.slow
def test_two_styles_are_mixed(visit: Visit) -> None:
    visit.begin()
    visit.page.click("#slot-b")
    visit.page.click(".tile[data-name=iris]")
    visit.page.locator("#mix").fill("0.25")
    visit.settled()
    assert visit.large()[-1]["styles"] == [
        {"name": "stained-glass", "weight": 0.75},
        {"name": "iris", "weight": 0.25},
    ]
    assert "Stained glass and Iris" in visit.page.locator("#label").inner_text()
    for slot, name in (("1", "stained-glass"), ("2", "iris")):
        assert visit.page.locator(f"[data-slot='{slot}'] .tile").get_attribute("data-name") == name
    visit.page.click("#unmix")
    visit.settled()
    assert len(visit.large()[-1]["styles"]) == 1


@pytest.mark.slow
def test_every_control_of_the_service_is_there_and_is_sent(visit: Visit) -> None:
    visit.begin()
    visit.page.locator("#control-color_strength").fill("0.25")  # of the style's colors
    visit.settled()
    sent = visit.large()[-1]["controls"]
    assert (sent["preserve_color"], sent["color_strength"]) == ("none", 0.25)
    visit.page.check("input[name=control-preserve_color][value=luma]", force=True)
    visit.page.locator("#control-color_strength").fill("0.5")
    visit.page.locator("#control-scale").fill("1")
    visit.page.locator("#control-detail").fill("0.4")
    visit.settled()
    sent = visit.large()[-1]["controls"]
    assert (sent["preserve_color"], sent["color_strength"], sent["detail"]) == ("luma", 0.5, 0.4)
    assert sent["scale"] >= 4
    visit.page.click("#reset")
    visit.settled()
    sent = visit.large()[-1]["controls"]
    assert (sent["preserve_color"], sent["color_strength"], sent["detail"]) == ("none", 1, 0)
    assert visit.page.locator("[data-name=color_strength]").is_visible()


@pytest.mark.slow
def test_painting_the_mask_and_taking_it_back(visit: Visit) -> None:
    visit.begin()
    visit.settled()
    visit.page.click("#paint")
    visit.page.locator("#brush-soft").fill("0")
    box = visit.page.locator("#mask").bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5, steps=8)
    visit.page.mouse.up()
    visit.settled()
    assert visit.large()[-1]["mask"]
    shown = visit.shown()
    height, width, _ = shown.shape
    plain = np.asarray(Image.open(io.BytesIO(photograph())).convert("RGB").resize((width, height)), np.float32)
    far = np.abs(shown - plain)
    assert far[:, width * 2 // 3 :].mean() < 4, "where nothing was painted the photograph stays"
    assert far[height // 2, width // 4 : width // 3].mean() > 15, "where it was, the style is"
    visit.page.click("#undo")
    visit.settled()
    assert visit.large()[-1]["mask"] is None
    visit.page.keyboard.press("Control+y")
    visit.settled()
    assert visit.large()[-1]["mask"]
    visit.page.check("input[name=brush-kind][value=erase]", force=True)
    visit.page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    visit.settled()
    visit.expected = ("willReadFrequently",)  # of the test's own look at the mask
    gray = visit.page.evaluate(
        """() => { const c = document.getElementById("mask"); const x = c.getContext("2d");
        return [0.3, 0.2, 0.9].map((part) => x.getImageData(c.width * part, c.height / 2, 1, 1).data[0]); }"""
    )
    assert gray[0] < 10
    assert gray[1] > 245
    assert gray[2] < 10
    visit.page.click("#invert")
    visit.page.click("#clear")
    visit.settled()
    assert visit.large()[-1]["mask"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "ending", "name"), [("png", "png", "PNG"), ("jpeg", "jpg", "JPEG"), ("webp", "webp", "WEBP")]
)
def test_the_download_has_the_full_size(visit: Visit, tmp_path: Path, kind: str, ending: str, name: str) -> None:
    visit.begin(photograph(1500, 1000, "JPEG"), "big one.jpg", "image/jpeg")
    visit.page.check(f"input[name=format][value={kind}]", force=True)
    with visit.page.expect_download() as download:
        visit.page.click("#save")
    assert download.value.suggested_filename == f"big one-stained-glass.{ending}"
    download.value.save_as(tmp_path / "result")
    with Image.open(tmp_path / "result") as result:
        assert (result.size, result.format) == ((1500, 1000), name)
    visit.page.locator("#save").wait_for()


@pytest.mark.slow
def test_the_download_is_masked_mixed_and_can_be_stopped(visit: Visit, tmp_path: Path) -> None:
    visit.begin()
    visit.page.click("#paint")
    box = visit.page.locator("#mask").bounding_box()
    visit.page.mouse.click(box["x"] + 20, box["y"] + box["height"] / 2)
    visit.page.keyboard.press("Escape")
    visit.page.check("input[name=format][value=png]", force=True)
    with visit.page.expect_download() as download:
        visit.page.click("#save")
    download.value.save_as(tmp_path / "result.png")
    far = np.abs(
        np.asarray(Image.open(tmp_path / "result.png"), float) - np.asarray(Image.open(io.BytesIO(photograph())))
    )
    assert far[:, 120:].max() == 0
    assert far[:, :20].max() > 0
    visit.page.route("**/v1/stylize", lambda route: None)  # never answered
    visit.page.click("#save")
    visit.page.click("#stop")
    visit.page.locator("#save").wait_for()


@pytest.mark.slow
def test_a_time_out_is_told_at_once_and_large_pictures_are_jobs(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.expected = ("504",)
    told = json.dumps({"error": "this took longer than 120 s", "remedy": "send a smaller picture"})
    page.route("**/v1/stylize", lambda route: route.fulfill(status=504, body=told, content_type="application/json"))
    visit.begin()
    page.click("#save")
    page.locator("#save").wait_for()
    assert "took longer" in visit.notice()
    assert sum(each.url.endswith("/v1/stylize") for each in visit.requests) == 1
    page.unroute("**/v1/stylize")
    script = Path(__file__).parent.parent / "adainkit" / "serve" / "page" / "place.js"
    text = script.read_text(encoding="utf-8").replace("const LARGE = 12e6", "const LARGE = 1")  # any picture is large
    page.route("**/page/place.js", lambda route: route.fulfill(body=text, content_type="text/javascript"))
    visit.begin()
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "result")
    assert Image.open(tmp_path / "result").size == Image.open(io.BytesIO(photograph())).size
    assert any(each.url.endswith("/result") for each in visit.requests)


@pytest.mark.slow
def test_a_dropped_painting_becomes_a_style_and_is_forgotten(visit: Visit) -> None:
    visit.begin()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    visit.drop(stream.getvalue(), "my carpet.png", "image/png", x=0.9)
    first = visit.page.locator(".tile").first
    visit.page.locator(".tile[aria-label^='my carpet']").wait_for()
    assert first.get_attribute("aria-pressed") == "true"
    visit.settled()
    assert "my carpet" in visit.page.locator("#label").inner_text()
    visit.page.locator(".tile-box").first.hover()
    visit.page.click(".forget")
    visit.page.locator(".tile[aria-label^='my carpet']").wait_for(state="detached")
    visit.settled()
    assert "my carpet" not in visit.page.locator("#label").inner_text()


@pytest.mark.slow
def test_errors_say_what_helps(visit: Visit) -> None:
    visit.begin()
    visit.expected = ("Failed to load resource", "net::ERR_FAILED", "422", "400")
    visit.drop(b"words", "notes.txt", "text/plain")
    assert "notes.txt is neither a picture nor a film" in visit.notice()
    assert "JPEG" in visit.notice()
    visit.drop(b"\x89PNG broken", "broken.png", "image/png")
    visit.page.locator(".notice", has_text="broken.png cannot be read").wait_for()
    assert "meadow" in visit.page.locator("#label").inner_text(), "what was open stays open"
    visit.page.route("**/preview", lambda route: route.abort())
    visit.page.click(".tile[data-name=gull]")
    visit.page.locator(".notice", has_text="does not answer").wait_for()
    visit.page.unroute("**/preview")
    visit.page.locator(".notice", has_text="does not answer").get_by_role("button", name="Try again").click()
    visit.settled()
    assert visit.large()[-1]["styles"][0]["name"] == "gull"


@pytest.mark.slow
def test_a_busy_service_is_asked_again(visit: Visit) -> None:
    visit.expected = ("429",)
    visit.begin()
    visit.settled()
    answers = iter([429])

    def busy(route: Any) -> None:
        if route.request.post_data_json["size"] != TILE and next(answers, None):
            body = json.dumps({"error": "busy", "remedy": "later"})
            route.fulfill(status=429, body=body, headers={"Retry-After": "1"}, content_type="application/json")
        else:
            route.continue_()

    visit.page.route("**/preview", busy)
    visit.page.click(".tile[data-name=venice]")
    visit.page.wait_for_timeout(1500)
    visit.settled()
    assert visit.page.locator(".notice").count() == 0
    assert [each["styles"][0]["name"] for each in visit.large()[-2:]] == ["venice", "venice"]


@pytest.mark.slow
def test_a_picture_that_the_service_forgot_is_sent_again(visit: Visit) -> None:
    visit.expected = ("404",)
    visit.begin()
    visit.settled()
    sent = next(request for request in visit.requests if request.url.endswith("/v1/pictures"))
    name = sent.response().json()["id"]
    assert visit.page.request.delete(f"{visit.address}/v1/pictures/{name}").status == 204
    visit.page.click(".tile[data-name=dusk]")
    visit.settled()
    assert visit.page.locator(".notice").count() == 0
    assert "Dusk" in visit.page.locator("#label").inner_text()


@pytest.mark.slow
def test_all_by_the_keyboard(visit: Visit) -> None:
    visit.enter()
    page = visit.page
    reach(page, "sample")
    page.keyboard.press("Enter")
    page.locator("#frame.painted").wait_for()
    reach(page, "split")
    page.keyboard.press("End")
    assert page.locator("#split").get_attribute("aria-valuenow") == "100"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator("#split").get_attribute("aria-valuenow") == "2"
    reach(page, "paint")
    page.keyboard.press("Space")
    page.locator("#mask").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    visit.settled()
    assert visit.large()[-1]["mask"]
    page.keyboard.press("Control+z")
    visit.settled()
    assert visit.large()[-1]["mask"] is None
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "paint"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('tile')"):
            break
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    visit.settled()
    assert visit.large()[-1]["styles"][0]["name"] == page.locator(".tile").nth(1).get_attribute("data-name")
    reach(page, "control-alpha")
    page.keyboard.press("ArrowLeft")
    visit.settled()
    assert visit.large()[-1]["controls"]["alpha"] == 0.99
    reach(page, "save")
    with page.expect_download():
        page.keyboard.press("Enter")


def reach(page: Any, name: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"Tab does not reach {name}")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser: Any, address: str, scheme: str) -> None:
    size = {"width": 390, "height": 844}
    with visiting(browser, address, viewport=size, is_mobile=True, has_touch=True, color_scheme=scheme) as visit:
        visit.begin()
        page = visit.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.tap("#paint")
        box = page.locator("#mask").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        visit.settled()
        assert visit.large()[-1]["mask"]
        page.tap("#paint")
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, input[type=range]")]
            .filter((each) => each.checkVisibility())
            .map((each) => [each.id || each.className, each.getBoundingClientRect()])
            .filter(([, box]) => box.height < 28 || box.width < 28).map(([name]) => name)"""
        )
        assert small == []
        page.locator("#save").scroll_into_view_if_needed()
        with page.expect_download():
            page.tap("#save")


@pytest.mark.slow
def test_in_chinese_and_back(browser: Any, address: str) -> None:
    with visiting(browser, address, locale="zh-CN") as visit:
        visit.begin()
        page = visit.page
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        assert "彩窗风格" in page.locator("#label").inner_text()
        left = page.evaluate("document.body.innerText.match(/[A-Za-z]{3,}/g)")
        assert set(left) <= {"adainkit", "English", "PNG", "JPEG", "WebP", "meadow"}
        page.click("#language")
        assert "in the style of Stained glass" in page.locator("#label").inner_text()
        page.reload()
        assert page.locator("#start-title").inner_text() == "Your photograph, painted", "the choice is kept"


@pytest.mark.slow
def test_a_token_comes_from_the_address_or_is_asked_for(browser: Any) -> None:
    token = "a-token-of-the-test-0123456789"
    with serving(Settings(platform="none", token=token)) as address:
        with visiting(browser, address) as visit:
            visit.page.goto(f"{address}/#token={token}")
            visit.page.locator("#tiles .tile").nth(31).wait_for(state="attached")
            assert token not in visit.page.url
        with visiting(browser, address) as visit:
            visit.expected = ("401",)
            visit.page.goto(address)
            visit.page.get_by_label("Access token").fill(token)
            visit.page.get_by_role("button", name="Continue").click()
            visit.page.locator("#tiles .tile").nth(31).wait_for(state="attached")


@pytest.mark.slow
def test_the_camera_is_painted_live_and_becomes_a_photograph(visit: Visit) -> None:
    visit.enter()
    visit.page.click("#start-camera")
    visit.page.locator("#label", has_text="frames a second").wait_for()
    visit.page.locator("#frame.painted").wait_for()
    first = visit.shown()
    assert first.std() > 5
    visit.page.click(".tile[data-name=woodcut]")
    visit.page.wait_for_timeout(1500)
    visit.page.click("#save")
    visit.page.locator("#paint").wait_for()
    visit.settled()
    assert visit.large()[-1]["styles"][0]["name"] == "woodcut"
    assert visit.page.locator("#live-before").is_hidden()
    assert visit.page.evaluate("document.getElementById('live-before').srcObject") is None


FILM = """async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [96, 64];
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  for (let i = 0; i < 8; i += 1) {
    context.fillStyle = `hsl(${i * 30} 60% 50%)`;
    context.fillRect(0, 0, 96, 64);
    context.fillStyle = "#fff";
    context.fillRect(i * 10, 20, 20, 20);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  recorder.stop();
  await new Promise((resolve) => { recorder.onstop = resolve; });
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(parts, "walk.webm", { type: "video/webm" }));
  const at = { bubbles: true, cancelable: true, dataTransfer, clientX: 300, clientY: 300 };
  for (const type of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, at));
}"""


@pytest.mark.slow
def test_a_film_is_painted_with_progress(visit: Visit) -> None:
    page = visit.page
    visit.enter()
    page.evaluate(FILM)
    page.locator("#frame.painted, .notice").first.wait_for()
    if not page.request.get(f"{visit.address}/v1/controls").json()["films"]:
        assert "paints no films" in visit.notice()
        return
    assert page.locator("#save").inner_text() == "Paint the film"
    with page.expect_download() as download:
        page.click("#save")
        page.locator("#progress").wait_for()
    assert download.value.suggested_filename.startswith("walk-stained-glass.")


@pytest.mark.slow
def test_a_job_for_a_film_is_followed_stopped_and_fetched(visit: Visit, tmp_path: Path) -> None:
    """The page's part, whatever the service can: the test answers in its place."""
    page = visit.page
    events = [
        {"state": "waiting", "progress": 0},
        {"state": "running", "progress": 0.4},
        {"state": "done", "progress": 1},
    ]
    stream = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
    streams = iter(
        [stream[: stream.index("data", 5)], stream]
    )  # the first ends early: the page asks, then listens again
    deleted: list[str] = []

    def job(route: Any) -> None:
        if route.request.method == "DELETE":
            deleted.append(route.request.url)
            route.fulfill(status=204)
        elif route.request.url.endswith("/events"):
            text = next(streams, None)
            if text is not None:
                route.fulfill(body=text, content_type="text/event-stream")
        elif route.request.url.endswith("/result"):
            route.fulfill(body=b"a film", content_type="video/mp4")
        else:
            route.fulfill(body=json.dumps({"id": "j1", **events[1]}), content_type="application/json")

    def able(route: Any) -> None:
        facts = {**route.fetch().json(), "films": True}
        route.fulfill(body=json.dumps(facts), content_type="application/json")

    page.route("**/v1/controls", able)
    page.route("**/v1/jobs**", job)
    page.route("**/v1/jobs/**", job)
    visit.enter()
    page.evaluate(FILM)
    page.locator("#frame.painted").wait_for()
    assert page.locator("#save").inner_text() == "Paint the film"
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "film")
    assert (tmp_path / "film").read_bytes() == b"a film"
    assert download.value.suggested_filename == "walk-stained-glass.mp4"  # what came, not what was sent
    sent = next(each for each in visit.requests if each.url.endswith("/v1/jobs"))
    assert b"stained-glass" in sent.post_data_buffer
    page.locator("#save").wait_for()
    page.click("#save")
    page.locator("#stop").click()
    page.locator("#save").wait_for()
    assert deleted == [f"{visit.address}/v1/jobs/j1"]


NAMELESS = """() => [...document.querySelectorAll("button, input, [role=slider], [role=application], canvas, img")]
  .filter((each) => each.checkVisibility() && each.getAttribute("alt") !== "")
  .filter((each) => !(each.innerText?.trim() || each.getAttribute("aria-label") || each.getAttribute("alt")
    || [...(each.labels ?? [])].some((label) => label.textContent.trim())))
  .map((each) => each.outerHTML)"""
AXE = os.environ.get("ADAINKIT_AXE", "")
"""A copy of axe.min.js, which judges the page too where it is given."""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_contrast(browser: Any, address: str, scheme: str) -> None:
    with visiting(browser, address, color_scheme=scheme) as visit:
        page = visit.page
        visit.enter()
        judge(page)
        visit.begin()
        page.click("#slot-b")
        page.click(".tile[data-name=iris]")
        page.click("#paint")
        visit.drop(b"words", "notes.txt", "text/plain")
        page.locator(".notice").wait_for()
        page.wait_for_timeout(600)
        judge(page)
        assert page.locator("#live").get_attribute("aria-live") == "polite"
        colors = page.evaluate(
            """() => ["--ink", "--soft", "--accent", "--surface", "--wall", "--raised", "--accent-ink", "--bad"]
            .map((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim())"""
        )
        ink, soft, accent, surface, wall, raised, accent_ink, _ = map(luminance, colors)
        for over in (surface, wall, raised):
            assert contrast(ink, over) > 10
            assert contrast(soft, over) > 4.5
        assert contrast(accent, accent_ink) > 4.5
        assert contrast(accent, wall) > 3


def judge(page: Any) -> None:
    assert page.evaluate(NAMELESS) == []
    names = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(names) == len(set(names))
    if AXE:
        page.evaluate(f"() => {{ {Path(AXE).read_text('utf-8')} }}")
        found = page.evaluate("axe.run().then((result) => result.violations)")
        assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def luminance(color: str) -> float:
    """Of a color as #rrggbb, by WCAG 2."""
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
