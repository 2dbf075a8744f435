"""The service as its callers meet it: a real server on loopback, real sockets."""

import io
import json
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from service import LOOK, finished, opened, picture, problem, serving
from websockets.sync.client import connect

from adainkit import Style, Stylizer
from adainkit.look.controls import CONTROLS
from adainkit.serve import Settings
from adainkit.serve.guard import CSP


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(platform="none", bytes=4 << 20, pixels=1 << 21, preview=256, files=4, styles=3)) as address:
        yield address


def test_an_answer_is_not_held_back_by_its_socket(url: str) -> None:
    took = []
    with requests.Session() as session:
        for _ in range(20):
            began = time.perf_counter()
            session.get(f"{url}/healthz").raise_for_status()
            took.append(time.perf_counter() - began)
    assert min(took[1:]) < 0.03  # a body that waits for the acknowledgement of its head takes 0.04 s, each time


def test_what_there_is_is_told(url: str) -> None:
    told = requests.get(f"{url}/v1/controls").json()
    assert [control["name"] for control in told["controls"]] == list(CONTROLS)
    assert told["limits"]["preview"] == 256
    assert [model["name"] for model in requests.get(f"{url}/v1/models").json()] == ["lite"]
    first = requests.get(f"{url}/v1/styles").json()[0]
    assert first["kind"] == "preset"
    shown = opened(requests.get(url + first["thumbnail"]))
    assert shown.format == "JPEG"
    assert shown.size == (192, 128)
    assert requests.get(f"{url}/healthz").json() == {"status": "alive"}
    schema = requests.get(f"{url}/v1/openapi.json").json()
    fields = schema["components"]["schemas"]["Body_stylize_v1_stylize_post"]["properties"]
    assert set(CONTROLS) < set(fields)
    assert fields["scale"]["maximum"] == CONTROLS["scale"].high


def test_a_picture_is_painted_as_the_library_paints_it(url: str) -> None:
    data = {"style": ["iris", "ember"], "weight": [3, 1], "alpha": 0.7, "detail": 0.2, "preserve_color": "luma"}
    got = opened(requests.post(f"{url}/v1/stylize", data=data, files={"picture": picture(), "mask": picture(seed=3)}))
    assert got.format == "PNG"
    style = Style.blend([(Style.preset("iris"), 3), (Style.preset("ember"), 1)])
    options: dict[str, Any] = {"alpha": 0.7, "detail": 0.2, "preserve_color": "luma"}
    expected = Stylizer().stylize(picture(), style, mask=picture(seed=3), **options)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))


def test_a_painting_is_a_style_and_so_is_a_saved_one(url: str) -> None:
    painting = picture((80, 60), seed=4)
    asked = {"files": {"picture": ("wave.png", painting)}, "data": {"style_size": 48}}
    saved = requests.post(f"{url}/v1/styles", **asked).json()
    assert (saved["kind"], saved["label"]) == ("saved", "wave")
    file = requests.get(url + saved["file"]).content
    assert len(file) < 8192
    sources = ({"style": saved["name"]}, {}, {"style_size": 48})
    files = ({}, {"style_file": file}, {"style_file": painting})
    results = [
        opened(requests.post(f"{url}/v1/stylize", data=d, files={"picture": picture(), **f})).tobytes()
        for d, f in zip(sources, files, strict=True)
    ]
    assert results[0] == results[1] == results[2]
    assert opened(requests.get(url + saved["thumbnail"])).size == (80, 60)
    again = requests.post(f"{url}/v1/styles", files={"picture": ("wave.safetensors", file)}).json()
    assert opened(requests.get(url + again["thumbnail"])).size == (192, 128)
    assert requests.delete(f"{url}/v1/styles/{saved['name']}").status_code == 204
    assert problem(requests.get(url + saved["file"]))[0] == 404
    assert problem(requests.delete(f"{url}/v1/styles/iris"))[0] == 404


def test_a_preview_follows_the_slider_and_the_content_is_encoded_once(url: str) -> None:
    sent = requests.post(f"{url}/v1/pictures", files={"picture": picture((400, 300), "JPEG")}).json()
    assert (sent["width"], sent["height"]) == (400, 300)
    address = f"{url}/v1/pictures/{sent['id']}"
    shown = [
        opened(requests.post(f"{address}/preview", json={**LOOK, "size": 128, "format": "png", "controls": controls}))
        for controls in ({"alpha": 0.2}, {"alpha": [0.2, 0.2, 0.2]}, {"alpha": 1.0})
    ]
    assert [each.size for each in shown] == [(128, 96)] * 3
    assert shown[0].tobytes() == shown[1].tobytes() != shown[2].tobytes()
    black = requests.post(f"{url}/v1/pictures", files={"picture": picture_of(0)}).json()["id"]
    kept = opened(requests.post(f"{address}/preview", json={**LOOK, "mask": black, "size": 128, "format": "png"}))
    itself = opened(requests.get(f"{address}/thumbnail", params={"size": 128}))
    assert np.abs(np.asarray(kept, np.float32) - np.asarray(itself, np.float32)).mean() < 4  # but for JPEG
    small = {"picture_id": sent["id"], "style": "iris", "alpha": 0.2, "size": 128, "format": "png"}
    asked = requests.post(f"{url}/v1/stylize", data=small)
    np.testing.assert_allclose(np.asarray(opened(asked)), np.asarray(shown[0]), atol=12)  # made small in other steps
    large = opened(requests.post(f"{address}/preview", json={**LOOK, "size": 4096}))
    assert large.size == (256, 192)
    by_id = requests.post(f"{url}/v1/stylize", data={"picture_id": sent["id"], "style": "iris"})
    assert opened(by_id).size == (400, 300)
    assert requests.delete(address).status_code == 204
    assert problem(requests.post(f"{address}/preview", json=LOOK))[0] == 404


def test_no_field_is_passed_over_in_silence(url: str) -> None:
    described = requests.get(f"{url}/v1/openapi.json").json()["components"]["schemas"]
    asked = [name for name in described if name.startswith("Body_")] + ["PreviewOrder", "Controls", "Share"]
    assert len(asked) == 7
    assert {described[name]["additionalProperties"] for name in asked} == {False}
    sent = {"picture": picture()}
    for address, field in (("styles", "stylesize"), ("pictures", "size"), ("jobs", "filmm")):
        assert (
            f"no field is called '{field}'"
            in problem(requests.post(f"{url}/v1/{address}", data={field: 1}, files=sent))[1]
        )
    held = f"{url}/v1/pictures/{requests.post(f'{url}/v1/pictures', files=sent).json()['id']}/preview"
    assert "(near to it: alpha)" in problem(requests.post(held, json={**LOOK, "controls": {"alfa": 1}}))[1]
    assert "no field is called 'mood'" in problem(requests.post(held, json={**LOOK, "mood": 1}))[1]


def picture_of(gray: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), gray).save(stream, "PNG")
    return stream.getvalue()


def test_facts_of_a_photograph_are_left_out_unless_asked_for(url: str) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "at home", {1: "N"}
    sent = picture(format="JPEG", exif=exif)
    for asked, there in (({}, False), ({"metadata": "true"}, True)):
        answer = requests.post(f"{url}/v1/stylize", data={"style": "iris", **asked}, files={"picture": sent})
        assert bool(opened(answer).getexif()) is there


@pytest.mark.parametrize(
    ("data", "files", "words"),
    [
        ({"style": "iris"}, {"picture": b"no picture"}, "picture: not a picture"),
        ({"style": "iris"}, {}, "one picture is expected"),
        ({}, {"picture": picture()}, "a style is missing"),
        ({"style": "iris", "weight": 0}, {"picture": picture()}, "a style is missing"),
        ({"style": "iris", "weight": [1, 2]}, {"picture": picture()}, "2 weights for 1 styles"),
        ({"style": ["iris"] * 4}, {"picture": picture()}, "more than 3 styles"),
        ({"style": "../../presets/lite.safetensors"}, {"picture": picture()}, "no style is called"),
        ({"style": "https://example.com/a.jpg"}, {"picture": picture()}, "no style is called"),
        ({"style": "iris", "alpha": 2}, {"picture": picture()}, "alpha.0: Input should be less than or equal to 1"),
        ({"style": "iris", "alpha": "nan"}, {"picture": picture()}, "alpha"),
        ({"style": "iris", "alpha": [0, 1]}, {"picture": picture()}, "2 alphas for a model of 3"),
        ({"style": "iris", "preserve_color": "x"}, {"picture": picture()}, "preserve_color"),
        ({"style": "iris", "format": "exe"}, {"picture": picture()}, "format: 'exe' is not written"),
        ({"style": "iris", "model": "/etc/passwd"}, {"picture": picture()}, "no model is called"),
        ({"style": "iris"}, {"picture": picture((3000, 1000))}, "3000000 pixels, expected at most 2097152"),
        ({}, {"picture": picture(), "style_file": b"\x10\0\0\0\0\0\0\0{"}, "cannot be read as a style"),
        ({"style": "iris", "Alhpa": 0.5}, {"picture": picture()}, "no field is called 'Alhpa'; near to it: alpha"),
        ({"style": "iris"}, {"picture": picture(), "zzz": b""}, "no field is called 'zzz'; there are picture, "),
    ],
)
def test_what_cannot_be_done_is_told_with_its_remedy(
    url: str, data: dict[str, Any], files: dict[str, bytes], words: str
) -> None:
    status, told = problem(requests.post(f"{url}/v1/stylize", data=data, files=files))
    assert status == 422
    assert words in told
    assert "adainkit-serve-" not in told  # no path of the server's


def test_a_job_paints_many_tells_its_progress_and_packs_them(url: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in (
            ("a/b.jpg", picture(format="JPEG")),
            ("C:/a\\b.jpg", picture()),
            ("no.png", b"no"),
            ("x.txt", b""),
        ):
            archive.writestr(name, data)
    job = requests.post(
        f"{url}/v1/jobs", data={"style": "iris", "format": "webp"}, files={"archive": packed.getvalue()}
    )
    assert job.status_code == 202
    told = finished(url, job.json())
    assert (told["state"], told["progress"]) == ("done", 1.0)
    failed = [each for each in told["pictures"] if "error" in each]
    assert [each["name"] for each in failed] == ["no.png"]
    assert failed[0]["error"].startswith("no.png: not a picture")
    result = requests.get(url + told["result"])
    assert result.headers["Content-Type"] == "application/zip"
    assert sorted(zipfile.ZipFile(io.BytesIO(result.content)).namelist()) == ["C_/a/b.webp", "a/b.webp"]
    assert requests.delete(f"{url}/v1/jobs/{told['id']}").status_code == 204
    assert problem(requests.get(f"{url}/v1/jobs/{told['id']}"))[0] == 404
    accept = {"Accept": "application/json"}
    single = requests.post(f"{url}/v1/stylize", data={"style": "iris"}, files={"picture": picture()}, headers=accept)
    assert single.status_code == 202
    told = finished(url, single.json())
    assert opened(requests.get(url + told["result"])).size == (96, 64)


def test_archives_that_are_traps_are_refused(url: str) -> None:
    def asked(archive: bytes) -> tuple[int, str]:
        return problem(requests.post(f"{url}/v1/jobs", data={"style": "iris"}, files={"archive": archive}))

    def packed(members: dict[str, bytes], **how: Any) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", **how) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return stream.getvalue()

    assert asked(b"PK no archive")[0] == 422
    assert asked(packed({"a.txt": b""}))[1].startswith("the archive holds no picture")
    assert asked(packed({f"{n}.png": b"" for n in range(5)}))[0] == 413
    with serving(Settings(platform="none", unpacked=1 << 20)) as small:
        bomb = packed({"a.png": bytes(2 << 20)}, compression=zipfile.ZIP_DEFLATED)
        assert len(bomb) < 10_000
        answer = requests.post(f"{small}/v1/jobs", data={"style": "iris"}, files={"archive": bomb})
        assert problem(answer)[0] == 413


def test_a_body_that_is_too_large_is_not_read(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = b"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        caller.sendall(head + b"Content-Length: 99999999\r\n\r\n")
        assert caller.recv(12) == b"HTTP/1.1 413"
    part = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
    with socket.create_connection((host, int(port)), timeout=20) as caller:  # which says nothing of its length
        caller.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(part), part))
        sent, answer = 0, b""
        caller.settimeout(0.001)
        while not answer and sent < 64 << 20:
            try:
                caller.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                sent += 1 << 16
            except TimeoutError:
                pass
            except OSError:
                break
            try:
                answer = caller.recv(12)
            except TimeoutError:
                continue
            except OSError:
                break
    assert answer in (b"HTTP/1.1 413", b"")  # the system may drop it with what was not read
    assert sent < 16 << 20


def test_the_camera_is_painted_frame_by_frame(url: str) -> None:
    with connect(url.replace("http", "ws") + "/v1/live") as camera:
        camera.send(json.dumps({**LOOK, "size": 64}))
        for seed in range(2):
            camera.send(picture((160, 120), "JPEG", seed))
            shown = Image.open(io.BytesIO(camera.recv(timeout=30)))
            assert shown.size == (64, 48)
        for seed in range(12):  # faster than anything paints: the last one counts
            camera.send(picture((160, 120), "JPEG", seed))
        time.sleep(0.2)
        camera.send(json.dumps({**LOOK, "styles": [{"name": "nothing"}]}))
        frames = 0
        while isinstance(told := camera.recv(timeout=30), bytes):
            frames += 1
        assert frames < 12
        assert "no style is called" in json.loads(told)["error"]
    with connect(url.replace("http", "ws") + "/v1/live") as camera:
        camera.send(b"a frame first")
        assert json.loads(camera.recv(timeout=30))["remedy"]


def test_every_answer_says_what_a_browser_may_do_with_it(url: str) -> None:
    for path in ("/healthz", "/v1/styles", "/v1/nothing", "/"):
        headers = requests.get(url + path).headers
        assert headers["Content-Security-Policy"] == CSP
        assert "script-src 'self';" in CSP
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert problem(requests.get(f"{url}/v1/nothing"))[0] == 404
    assert problem(requests.get(f"{url}/page/../app.py"))[0] == 404
    assert problem(requests.get(f"{url}/page/..%2fapp.py"))[0] == 404
    assert problem(requests.put(f"{url}/v1/styles"))[0] == 405


def test_no_other_page_and_no_other_name_reach_a_service_on_loopback(url: str) -> None:
    port = url.rpartition(":")[2]
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        assert problem(requests.get(f"{url}/v1/styles", headers=headers))[0] == 403
    assert requests.get(f"{url}/v1/styles", headers={"Origin": f"http://127.0.0.1:{port}"}).status_code == 200
    with pytest.raises(Exception, match=r"403|1008"):
        connect(url.replace("http", "ws") + "/v1/live", origin="https://evil.example").recv()


def test_metrics_count_by_route_and_never_by_what_a_caller_wrote(url: str) -> None:
    requests.get(f"{url}/v1/styles/made-up-name/thumbnail")
    text = requests.get(f"{url}/metrics").text
    assert 'adainkit_requests_total{route="/v1/styles/{name}/thumbnail",status="404"}' in text
    assert "made-up-name" not in text
    assert 'adainkit_stage_seconds_count{stage="model"}' in text
    assert "adainkit_megapixels_total" in text


def test_the_page_and_its_files_are_in_the_package(url: str) -> None:
    answer = requests.get(url)
    assert answer.headers["Content-Type"].startswith("text/html")
    folder = Path(__file__).parent.parent / "adainkit" / "serve" / "page"
    for path in folder.glob("*.*"):
        assert requests.get(f"{url}/page/{path.name}").content == path.read_bytes()
