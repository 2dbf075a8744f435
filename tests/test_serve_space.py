"""What the service holds for its callers: disk, names, archives, places; each of them has an end."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import requests
from service import LOOK, Endless, called, endless, finished, opened, picture, problem, queue_of, serving, soon

from adainkit.serve import Settings
from adainkit.serve.names import Names
from adainkit.serve.problems import Refusal
from adainkit.serve.space import Space
from adainkit.serve.unpack import unpack

__all__ = ["endless"]
STYLE = {"style": "iris"}
JSON = {"Accept": "application/json"}


def test_the_disk_is_measured_and_what_is_written_counts_at_once(tmp_path: Path) -> None:
    now = 0.0
    space = Space(tmp_path, 100, clock=lambda: now)
    space.write(io.BytesIO(bytes(60)), tmp_path / "a")
    with pytest.raises(Refusal, match="disk space"):
        space.write(io.BytesIO(bytes(60)), tmp_path / "b")
    (tmp_path / "a").unlink()
    space.check(60)  # which is measured before it is refused
    with pytest.raises(Refusal, match="disk space"):
        Space(tmp_path, 100).check(101)
    now = 1.0
    space.check(100)
    Space(tmp_path / "nowhere", 1).check()


def test_whatever_takes_disk_is_refused_where_there_is_none() -> None:
    large = {"files": {"picture": bytes(300_000)}}
    with serving(Settings(platform="none", stored=200_000)) as url:
        assert problem(requests.post(f"{url}/v1/pictures", **large))[0] == 507
        assert problem(requests.post(f"{url}/v1/stylize", data=STYLE, headers=JSON, **large))[0] == 507
        assert problem(requests.post(f"{url}/v1/jobs", data=STYLE, **large))[0] == 507
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.png", bytes(300_000))
        answer = requests.post(f"{url}/v1/jobs", data=STYLE, files={"archive": packed.getvalue()})
        assert problem(answer)[0] == 507
        small: dict[str, Any] = {"files": {"picture": picture((320, 240), "JPEG")}}
        asked = {**STYLE, "format": "bmp"}  # 230 KB
        for address, headers in (("stylize", JSON), ("jobs", {})):
            job = requests.post(f"{url}/v1/{address}", data=asked, headers=headers, **small)
            told = finished(url, job.json())
            assert (told["state"], told["error"]) == ("failed", "the disk space of this service is used up")
        assert soon(lambda: requests.post(f"{url}/v1/pictures", **small).status_code == 201)  # all of it is free again


def test_no_two_pictures_of_a_result_have_one_name() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("sea.jpg", picture((32, 32), "JPEG"))
        archive.writestr("sea.png", picture((32, 32)))
    with serving(Settings(platform="none")) as url:
        sent = {"data": {**STYLE, "format": "png"}, "files": {"archive": packed.getvalue()}}
        told = finished(url, requests.post(f"{url}/v1/jobs", **sent).json())
        result = requests.get(url + told["result"]).content
    assert zipfile.ZipFile(io.BytesIO(result)).namelist() == ["sea.png", "sea-2.png"]


def test_many_names_that_are_alike_take_no_time() -> None:
    names = Names()
    found = [str(names.new(PurePosixPath("a/Sea.png"))) for _ in range(20_000)]
    assert found[:3] == ["a/Sea.png", "a/Sea-2.png", "a/Sea-3.png"]
    assert len(set(found)) == 20_000
    assert str(names.new(PurePosixPath("a/sea.PNG"))) == "a/sea-20001.PNG"


def test_the_list_of_an_archive_is_not_read_where_it_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 100_000
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 5, 5, count * len(entry), 0, 0)  # which says it has five
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_: pytest.fail("entries are looked at"))
    with pytest.raises(Refusal, match="more than 10000 entries"):
        unpack(io.BytesIO(entry * count + end), None)  # type: ignore[arg-type]


def test_neither_jobs_nor_pictures_hold_up_what_others_send(endless: Callable[[], Endless]) -> None:
    with serving(Settings(platform="none")) as url:
        work = endless()
        asked: dict[str, Any] = {"data": STYLE, "files": {"picture": picture()}}
        jobs = [requests.post(f"{url}/v1/stylize", headers=JSON, **asked) for _ in range(3)]
        assert work.begun.wait(20)
        held = [called(url) for _ in range(3)]
        assert soon(lambda: queue_of(url) == 3)
        sent = requests.post(f"{url}/v1/pictures", files={"picture": picture()}, timeout=20)
        assert sent.status_code == 201
        opened(requests.post(f"{url}/v1/pictures/{sent.json()['id']}/preview", json=LOOK, timeout=20))
        for each in held:
            each.close()
        for job in jobs:
            assert requests.delete(url + job.headers["Location"]).status_code == 204
