"""The page that paints in its visitor's browser: in a real one, against what Python computes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import launched, playing
from PIL import Image
from test_page import DROP, judge

from adainkit import AdaINKitError, ModelError, Style, Stylizer
from adainkit.cli.entry import main
from adainkit.engine.bands import measured_bands
from adainkit.runtimes import browser_page, packed, web_package
from adainkit.runtimes.exported import GRAPHS
from adainkit.runtimes.lean import LeanStylizer, with_graphs
from adainkit.runtimes.model_file import read_model
from adainkit.runtimes.web_package import ENGINE_FILES, PACKAGE, VERSION
from adainkit.store.weights import resolve
from benchmarks.static_site import ISOLATED, serving_files

onnx = pytest.importorskip("onnx")
GIVEN = os.environ.get("ADAINKIT_ONNXRUNTIME_WEB")  # the npm package, as a folder or a .tgz
BANDS = "async (given) => (await import('./page/adain.js')).measuredBands(...given)"
MOVE = """(slider, value) => {
  slider.value = value;
  slider.dispatchEvent(new Event("change"));
}"""
PATIENCE = 180_000  # milliseconds, for a slow machine
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
MOST = 3_000_000  # bytes of weights
CLOSE = 2  # of 255


# --- the files, without a browser ------------------------------------------------------------------------------------


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bytes in place of the engine: of these tests none runs it."""
    files = {name: name.encode() for name in ENGINE_FILES}
    monkeypatch.setattr(browser_page, "read_package", lambda source: files)


def test_the_page_is_whole_and_its_weights_are_small(tmp_path: Path, no_engine: None) -> None:
    written = browser_page.export_page("lite", tmp_path / "site")
    names = {path.relative_to(tmp_path / "site").as_posix() for path in written}
    assert names == set(browser_page.browser_files())
    assert names == {p.relative_to(tmp_path / "site").as_posix() for p in (tmp_path / "site").rglob("*") if p.is_file()}
    weights = [tmp_path / "site" / name for name in (*(f"{graph}.onnx.gz" for graph in GRAPHS), "presets.bin")]
    assert sum(path.stat().st_size for path in weights) <= MOST
    worker = (tmp_path / "site" / "service-worker.js").read_text("utf-8")
    kept = json.loads(re.search(r"^const FILES = (.*);$", worker, re.M)[1])
    assert set(kept) == {"./"} | {name for name in names if not name.startswith("ort/")} - {"service-worker.js"}
    again = browser_page.export_page("lite", tmp_path / "again")
    for one, other in zip(written, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_everything_that_is_named_is_there_and_on_the_same_host() -> None:
    files = browser_page.page_files()
    html = files["index.html"].decode()
    named = set(re.findall(r"(?:href|src)=\"((?:page/)?[\w-]+\.\w+)\"", html))
    manifest = json.loads(files["manifest.webmanifest"])
    named |= {icon["src"] for icon in manifest["icons"]}
    for name, data in files.items():
        if name.endswith(".js"):
            text = data.decode()
            named |= {f"page/{found}" for found in re.findall(r"(?:from |new URL\()\"\./([^\"]+)\"", text)}
        if not name.endswith(".png"):
            addresses = set(re.findall(r"(?:https?|wss?):?//[^\s\"')]+|[\"'(]//[^\s\"')]+", data.decode()))
            assert addresses <= {"http://www.w3.org/2000/svg"}, f"{name} points to {addresses}"
    assert named | {"index.html"} == set(files)
    assert not re.search(r"<style|style=|<script>|\son\w+=|javascript:", html)
    for size in (192, 512):
        assert Image.open(io.BytesIO(files[f"page/icon-{size}.png"])).size == (size, size)


def test_packed_tensors_are_those_of_the_graph_to_half_a_unit() -> None:
    from adainkit.runtimes.engines import here, load_program

    engine = next((name for name in ("onnxruntime", "openvino") if here(name)), None)
    if engine is None:
        pytest.skip("no engine")
    random = np.random.default_rng(1)
    sizes = np.geomspace(1e-3, 10, 32)[:, None, None, None]
    kernel = random.normal(0, 1, (32, 16, 3, 3)).astype(np.float32) * sizes.astype(np.float32)
    matrix = random.normal(0, 1, (80, 64)).astype(np.float32) * np.geomspace(1e-3, 1, 64).astype(np.float32)
    matrix[:, 5] = 0
    tensors = {"kernel": kernel, "first": matrix, "second": matrix[::-1].copy(), "matrix": matrix * 2}
    nodes = [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name in tensors]
    told = [
        onnx.helper.make_tensor_value_info(f"{name}_out", onnx.TensorProto.FLOAT, x.shape)
        for name, x in tensors.items()
    ]
    kept = [onnx.numpy_helper.from_array(x, name) for name, x in tensors.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", [], told, kept),
        opset_imports=[onnx.helper.make_opsetid("", 22)],
        ir_version=10,
    )
    data = gzip.decompress(packed.packed(model))
    onnx.checker.check_model(data, full_check=True)
    found = load_program(engine, data, threads=1)({})
    for (name, x), axes in zip(tensors.items(), ((1, 2, 3), 0, 0, 0), strict=True):
        unit = abs(x).max(axes, keepdims=True) / (2 ** (packed.BITS["first" if name == "second" else name] - 1) - 1)
        assert (abs(found[f"{name}_out"] - x) <= unit * 0.501).all()


def test_packed_weights_change_little(photos: dict[str, np.ndarray[Any, Any]]) -> None:
    config = (model := read_model(resolve("lite"))).config
    made = {name: make(config, model.tensors) for name, make in browser_page._GRAPHS.items()}
    plain = LeanStylizer("lite", threads=1)
    close = with_graphs(plain, {name: gzip.decompress(packed.packed(graph)) for name, graph in made.items()})
    y, x = np.mgrid[0:120, 0:160]
    ramp = np.stack([x * 1.5, y * 2, 0 * x + 90], -1).astype(np.uint8)
    for picture in (ramp, ramp // 8, *(photos[name][:200, 100:340] for name in ("chelsea", "coffee", "rocket"))):
        differences = [
            abs(plain.stylize(picture, style).astype(int) - close.stylize(picture, style))
            for style in ("calanque", "ember", "iris", "ukiyo-e")
        ]
        assert max(each.max() for each in differences) <= CLOSE
        assert max(each.mean() for each in differences) <= 0.1


def test_a_model_that_packing_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_engine: None
) -> None:
    monkeypatch.setattr(packed, "BITS", dict.fromkeys(packed.BITS, 5))
    with pytest.raises(ModelError, match=r"with packed weights results differ by \d+ of 255, 2 is allowed"):
        browser_page.export_page("lite", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_nothing_is_replaced_but_for_overwrite(
    tmp_path: Path, no_engine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, command = tmp_path / "index.html", ["export", "lite", "--to", "browser", "-o", str(tmp_path)]
    mine.write_text("my own")
    assert main(command) == 1
    assert f"{mine}: exists already; pass --overwrite to replace it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert main([*command, "--overwrite", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["outputs"]) == len(browser_page.browser_files())
    assert "my own" not in mine.read_text("utf-8")
    assert not list(tmp_path.glob(".adainkit-*"))
    assert main(["export", "lite", "--to", "onnx", "-o", str(tmp_path / "o"), "--onnxruntime-web", "x"]) == 1
    assert "--onnxruntime-web is for --to browser" in capsys.readouterr().err


def test_a_package_that_is_not_the_right_one_is_refused(tmp_path: Path) -> None:
    for name in web_package._FILES:
        (tmp_path / "package" / "dist" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / "dist" / name).write_bytes(b"another")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    (tmp_path / "damaged.tgz").write_bytes((tmp_path / "other.tgz").read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    changed, unread = f"its files are not those of {PACKAGE} {VERSION}", "cannot be read|is not .* unpacked"
    for source, words in (("package", changed), ("other.tgz", changed), ("damaged.tgz", unread), ("empty", unread)):
        with pytest.raises(AdaINKitError, match=words):
            web_package.read_package(tmp_path / source)
    with pytest.raises(AdaINKitError, match="cannot be read"):
        web_package.read_package(tmp_path / "missing.tgz")


def test_without_npm_or_a_network_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AdaINKitError, match="ADAINKIT_OFFLINE is set: unset it"):
        web_package.read_package()
    monkeypatch.delenv("ADAINKIT_OFFLINE")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AdaINKitError, match=r"npm is not installed.*install Node\.js, or pass the folder or the \.tgz"):
        web_package.read_package()
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\necho "no such host" >&2\nexit 1\n')
    npm.chmod(0o755)
    with pytest.raises(AdaINKitError, match=r"npm could not fetch onnxruntime-web \(no such host\)"):
        web_package.read_package()
    monkeypatch.setattr(web_package, "_PATIENCE", 0.5)
    npm.write_text('#!/bin/sh\necho "waiting for a host" >&2\nexec /bin/sleep 30\n')
    with pytest.raises(AdaINKitError, match=r"npm could not fetch onnxruntime-web \(waiting for a host\)"):
        web_package.read_package()
    npm.write_text("#!/bin/sh\n")
    with pytest.raises(AdaINKitError, match="npm left no package behind"):
        web_package.read_package()


# --- in the browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package: given, or fetched by npm."""
    if GIVEN:
        return Path(GIVEN)
    if shutil.which("npm") is None:
        pytest.skip(f"no npm, and ADAINKIT_ONNXRUNTIME_WEB names no {PACKAGE}")
    folder = tmp_path_factory.mktemp("npm")
    done = subprocess.run(["npm", "pack", f"{PACKAGE}@{VERSION}"], cwd=folder, capture_output=True, timeout=600)
    if done.returncode:
        pytest.skip(f"npm cannot fetch {PACKAGE}, and ADAINKIT_ONNXRUNTIME_WEB names none")
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="session")
def site(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    browser_page.export_page("lite", folder, package=package)
    return folder


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with playing() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    with launched(playwright) as chromium:
        yield chromium


class Visit:
    """The page as a person sees it, and what went wrong there."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._request)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:")) or request.method != "GET":
            self.faults.append(f"{request.method} {request.url}")

    def enter(self, words: str = "?engine=wasm") -> str:
        """Until it is ready and kept; what it says of its engine."""
        self.page.goto(self.address + words)
        self.page.locator("#here[data-state=offline]").wait_for()
        return str(self.page.locator("#here").inner_text())

    def drop(self, data: bytes, name: str = "photo.png", kind: str = "image/png", x: float = 0.3) -> None:
        self.page.evaluate(DROP, [base64.b64encode(data).decode(), name, kind, x])

    def begin(self, data: bytes) -> None:
        self.drop(data)
        self.page.locator("#frame.painted").wait_for()

    def choose(self, style: str) -> None:
        self.page.click(f".tile[data-name={style}]")

    def saved(self, size: str = "full", kind: str = "png") -> np.ndarray[Any, Any]:
        """The download."""
        for radio in (f"[name=format][value={kind}]", f"[name=control-size][value='{size}']"):
            self.page.locator(f"input{radio}").evaluate("each => each.click()")
        with self.page.expect_download() as download:
            self.page.click("#save")
        return np.asarray(Image.open(download.value.path()).convert("RGBA"))

    def notice(self) -> str:
        self.page.locator(".notice").last.wait_for()
        return str(self.page.locator(".notice").last.inner_text())


@contextmanager
def visiting(browser: Any, address: str, **options: Any) -> Iterator[Visit]:
    """A visit that ends without a fault: nothing in the console, nothing sent, nothing asked of another host."""
    context = browser.new_context(viewport={"width": 1120, "height": 700}, locale="en-US", **options)
    try:
        visit = Visit(context.new_page(), address)
        yield visit
        assert not visit.faults, visit.faults
    finally:
        context.close()


@pytest.fixture
def visit(browser: Any, site: Path) -> Iterator[Visit]:
    with serving_files(site) as (address, _), visiting(browser, address) as visit:
        yield visit


def png(picture: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def off(found: np.ndarray[Any, Any], expected: Any) -> int:
    expected = np.asarray(expected)
    assert found.shape[:2] == expected.shape[:2]
    return int(abs(found[..., : expected.shape[2]].astype(int) - expected).max())


@pytest.mark.slow
def test_a_photograph_in_two_presets_is_what_python_paints(
    visit: Visit, photo: np.ndarray[Any, Any], stylizer: Stylizer
) -> None:
    assert visit.enter() == "Ready, offline too: WebAssembly"
    visit.begin(png(photo))
    for style in ("coral", "ukiyo-e"):
        visit.choose(style)
        assert off(visit.saved(), stylizer.stylize(photo, style)) <= CLOSE


@pytest.mark.slow
def test_a_painting_of_ones_own_a_mix_and_the_photographs_colors(
    visit: Visit, photos: dict[str, np.ndarray[Any, Any]], stylizer: Stylizer
) -> None:
    photo, painting = photos["chelsea"][:200, :260], photos["astronaut"][:, ::-1]  # 512 px: no resizing
    large = np.asarray(Image.fromarray(photos["coffee"]).resize((700, 560)))  # of which 512 are looked at
    visit.enter()
    visit.begin(png(photo))
    visit.drop(png(painting), "painting.png", x=0.9)
    visit.page.locator(".tile[aria-pressed=true][data-name^=own]").wait_for()
    own = stylizer.encode_style(painting)
    assert off(visit.saved(), stylizer.stylize(photo, own)) <= CLOSE
    visit.page.click("#slot-b")
    visit.drop(png(large), "large.png", x=0.9)
    visit.page.locator("[data-slot='2'] .tile[data-name^=own]").wait_for()
    visit.page.locator("#mix").fill("0.25")
    visit.page.locator("#control-alpha").fill("0.8")
    blend = Style.blend([(own, 0.75), (stylizer.encode_style(large), 0.25)])
    for color, strength in (("luma", 1), ("match", 1), ("none", 1), ("none", 0.5), ("none", 0)):
        visit.page.locator(f"input[name=control-preserve_color][value={color}]").evaluate("each => each.click()")
        visit.page.locator("#control-color_strength").evaluate(MOVE, strength)
        expected = stylizer.stylize(photo, blend, alpha=0.8, preserve_color=color, color_strength=strength)
        assert off(visit.saved(), expected) <= CLOSE, (color, strength)


@pytest.mark.slow
def test_the_colors_of_large_pictures_are_measured_where_python_does(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}?engine=wasm")
    for length in (1, 256, 257, 512, 1000, 1023, 8001, 90000):
        for stride in (1, 8, 32):
            found = visit.page.evaluate(BANDS, [length, stride])
            assert [slice(*band) for band in found] == measured_bands(length, stride)


@pytest.mark.slow
def test_tiles_transparency_and_small_pictures(
    visit: Visit, photos: dict[str, np.ndarray[Any, Any]], stylizer: Stylizer
) -> None:
    wide = np.hstack([photos["coffee"][100:164], photos["rocket"][200:264], photos["astronaut"][:64]])  # 1752 px
    clear = np.dstack([photos["chelsea"][:90, :120], np.full((90, 120), 255, np.uint8)])
    clear[:, :40, 3] = 0
    visit.enter()
    for picture in (wide, clear, photos["chelsea"][150:155, 200:207]):
        visit.drop(png(picture))
        width = picture.shape[1]
        visit.page.locator("#save-text", has_text=f"{min(width, 1024)} ×").wait_for()
        found, expected = visit.saved(), stylizer.stylize(picture, "stained-glass")
        assert off(found[:, :, :3], np.where(found[:, :, 3:] > 0, expected[:, :, :3], found[:, :, :3])) <= CLOSE
        if picture.shape[2] == 4:
            assert (found[:, :, 3] == picture[:, :, 3]).all()
            assert visit.saved(kind="jpeg")[:, :30].min() > 240  # on white, as the library's
    assert visit.saved("1024").shape == (5, 7, 4)


@pytest.mark.slow
def test_a_mask_and_the_orientation_of_a_camera(visit: Visit, photo: np.ndarray[Any, Any], stylizer: Stylizer) -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo[:160, :240]).save(stream, "PNG", exif=exif)
    upright = np.asarray(Image.fromarray(photo[:160, :240]).transpose(Image.Transpose.ROTATE_270))
    visit.enter()
    visit.begin(stream.getvalue())
    visit.choose("iris")
    assert off(visit.saved(), stylizer.stylize(upright, "iris")) <= CLOSE
    visit.page.click("#paint")
    visit.page.locator("#brush-soft").fill("0")
    box = visit.page.locator("#mask").bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    mask = visit.page.evaluate("document.getElementById('mask').toDataURL()")
    cover = Image.open(io.BytesIO(base64.b64decode(mask.split(",")[1]))).convert("L")
    assert off(visit.saved(), stylizer.stylize(upright, "iris", mask=cover)) <= CLOSE
    assert off(visit.saved()[-20:], upright[-20:]) == 0


@pytest.mark.slow
def test_it_paints_without_a_network_after_the_first_visit(
    browser: Any, site: Path, photo: np.ndarray[Any, Any], stylizer: Stylizer
) -> None:
    with serving_files(site) as (address, asked):
        context = browser.new_context(locale="en-US")
        visit = Visit(context.new_page(), address)
        visit.enter()
        assert "GET /ort/ort-wasm-simd-threaded.wasm" in asked
        assert not any("asyncify" in line for line in asked), "of two engines the one that is needed"
        devtools = context.new_cdp_session(visit.page)
        assert devtools.send("Page.getAppManifest")["errors"] == []
        found = [error["errorId"] for error in devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]]
        assert [error for error in found if error != "in-incognito"] == [], "it can be installed"
    visit.page.reload()
    visit.page.locator("#here[data-state=offline]").wait_for()
    assert visit.page.evaluate("crossOriginIsolated"), "what is kept may use threads"
    visit.begin(png(photo[:120, :150]))
    visit.choose("coral")
    assert off(visit.saved(), stylizer.stylize(photo[:120, :150], "coral")) <= CLOSE
    assert not visit.faults
    context.close()


def soon(visit: Visit, true: str) -> None:
    """Wait until what an expression promises is true."""
    for _ in range(100):
        if visit.page.evaluate(true):
            return
        visit.page.wait_for_timeout(100)
    raise AssertionError(f"not true within 10 s: {true}")


@pytest.mark.slow
def test_a_new_page_takes_the_place_of_the_kept_one(browser: Any, site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    with serving_files(folder) as (address, _), visiting(browser, address) as visit:
        visit.enter()
        worker = folder / "service-worker.js"
        worker.write_text(re.sub(r'VERSION = "\w+"', 'VERSION = "another"', worker.read_text("utf-8")), "utf-8")
        visit.page.goto("about:blank")
        visit.page.wait_for_timeout(200)
        visit.enter()
        soon(visit, "navigator.serviceWorker.getRegistration().then((found) => found.waiting !== null)")
        visit.page.goto("about:blank")  # nobody is there any more who began with the old one
        visit.page.wait_for_timeout(200)
        visit.enter()
        soon(visit, "caches.keys().then((kept) => kept.length === 1)")
        assert visit.page.evaluate("caches.keys()") == ["adainkit / another"]
        kept = visit.page.evaluate(
            "caches.open('adainkit / another').then((c) => c.keys()).then((k) => k.map((r) => r.url))"
        )
        assert sum("/ort/" in url for url in kept) == 3


@pytest.mark.slow
def test_several_threads_where_the_host_allows_them(
    browser: Any, site: Path, photo: np.ndarray[Any, Any], stylizer: Stylizer
) -> None:
    with serving_files(site, ISOLATED) as (address, _), visiting(browser, address) as visit:
        told = visit.enter()
        threads = visit.page.evaluate("Math.min(4, navigator.hardwareConcurrency)")
        assert told.endswith(f"WebAssembly × {threads}" if threads > 1 else "WebAssembly")
        visit.begin(png(photo[:120, :150]))
        visit.choose("coral")
        assert off(visit.saved(), stylizer.stylize(photo[:120, :150], "coral")) <= CLOSE


@pytest.mark.slow
def test_what_goes_wrong_is_told(visit: Visit, photo: np.ndarray[Any, Any]) -> None:
    visit.enter()
    visit.drop(b"\xff\xd8 not a picture", "broken.jpg", "image/jpeg")
    assert "The picture broken.jpg cannot be read." in visit.notice()
    assert "Save it anew as JPEG or PNG" in visit.notice()
    visit.drop(b"words", "words.txt", "text/plain")
    assert "words.txt is no picture." in visit.notice()
    visit.drop(b"film", "film.mp4", "video/mp4")
    assert "adainkit film" in visit.notice()
    visit.begin(png(photo[:60, :80]))
    visit.drop(png(np.zeros((20, 30, 4), np.uint8)), "nothing.png", x=0.9)
    assert "transparent all over" in visit.notice()
    visit.drop(b"\xff\xd8 not a picture", "broken.jpg", "image/jpeg", x=0.9)
    visit.page.locator(".notice", has_text="cannot read the picture").wait_for()
    assert visit.page.locator(".tile").count() == 32


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no engine", "wrong results"])
def test_an_engine_that_is_missing_or_wrong_is_told(browser: Any, site: Path, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    if fault == "no engine":
        (folder / "ort" / "ort.wasm.min.js").unlink()
    else:
        facts = json.loads((folder / "model.json").read_text("utf-8"))
        picture = bytearray(base64.b64decode(facts["check"]["result"]))
        picture[100] ^= 4
        facts["check"]["result"] = base64.b64encode(picture).decode()
        (folder / "model.json").write_text(json.dumps(facts), "utf-8")
    with serving_files(folder) as (address, _):
        context = browser.new_context(locale="en-US")
        visit = Visit(context.new_page(), address)
        visit.page.goto(f"{address}?engine=wasm")
        visit.page.locator("#here[data-state=broken]").wait_for()
        told = visit.page.locator("#here").inner_text()
        assert "does not work" in told
        assert ("results are wrong by" in told) == (fault == "wrong results")
        context.close()


@pytest.mark.slow
def test_stopping_and_going_on(visit: Visit, photos: dict[str, np.ndarray[Any, Any]]) -> None:
    visit.enter()
    visit.begin(png(np.tile(photos["coffee"], (3, 3, 1))))
    visit.page.locator("input[name=control-size][value=full]").evaluate("each => each.click()")
    visit.page.click("#save")
    visit.page.locator("#progress-text", has_text="%").wait_for()
    visit.page.click("#stop")
    visit.page.locator("#save").wait_for()
    assert visit.saved("1024").shape == (683, 1024, 4)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_names_for_screen_readers_and_a_phones_width(
    browser: Any, site: Path, photo: np.ndarray[Any, Any], language: str
) -> None:
    with serving_files(site) as (address, _):
        context = browser.new_context(locale=language, viewport={"width": 390, "height": 780}, color_scheme="dark")
        visit = Visit(context.new_page(), address)
        visit.enter()
        judge(visit.page)
        visit.begin(png(photo))
        judge(visit.page)
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert visit.page.locator("#camera").is_hidden()
        text = visit.page.locator("#here").inner_text()
        assert text.startswith("就绪" if language == "zh-CN" else "Ready")
        assert not visit.faults
        context.close()


@pytest.mark.slow
def test_on_a_graphics_card_that_a_program_plays(
    playwright: Any, site: Path, photo: np.ndarray[Any, Any], stylizer: Stylizer
) -> None:
    with (
        launched(playwright, *WEBGPU) as chromium,
        serving_files(site) as (address, _),
        visiting(chromium, address) as visit,
    ):
        visit.page.goto(address)
        if not visit.page.evaluate("navigator.gpu?.requestAdapter().then(Boolean) ?? false"):
            pytest.skip("this Chromium has no WebGPU")
        assert visit.enter("?engine=webgpu").endswith("WebGPU")
        visit.begin(png(photo[:64, :64]))
        assert off(visit.saved(), stylizer.stylize(photo[:64, :64], "stained-glass")) <= CLOSE
