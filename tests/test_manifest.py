"""The manifest: what it holds, what it knows of an earlier run, and what it refuses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adainkit.batch.manifest import Manifest
from adainkit.errors import AdaINKitError

FACTS: dict[str, Any] = {
    "style": {"art.png": 1.0},
    "options": {"alpha": 0.8, "mask": None},
    "seed": None,
    "files": {"art.png": "12ab", "ember": None},
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of two pictures: out/a.png, which is there, and out/b.png, which failed; beside the current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_bytes(b"a picture")
    with Manifest(tmp_path / "run.jsonl", FACTS) as manifest:
        manifest.add("a.png", tmp_path / "out/a.png", seconds=0.12345)
        manifest.add("b.png", tmp_path / "out/b.png", seconds=1, error="b.png: broken")
        manifest.add("c.png", None, seconds=0, error="c.png: no such file")
    return tmp_path / "run.jsonl"


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_all_of_a_picture(file: Path):
    first, second, third = rows(file)
    assert list(first) == ["input", "output", "style", "options", "seed", "files", "folder", "seconds", "error"]
    assert first == {
        "input": "a.png",
        "output": str(file.parent / "out/a.png"),
        **FACTS,
        "folder": "here",
        "seconds": 0.123,
        "error": None,
    }
    assert second["error"] == "b.png: broken"
    assert third["output"] is None


def test_lines_are_there_at_once(tmp_path: Path):
    with Manifest(tmp_path / "new/run.jsonl", FACTS) as manifest:
        for count in (1, 2):
            manifest.add("ü.png", "out.png", seconds=1, style={"x": 1})
            assert len(rows(tmp_path / "new/run.jsonl")) == count
    assert rows(tmp_path / "new/run.jsonl")[0]["input"] == "ü.png"
    assert rows(tmp_path / "new/run.jsonl")[0]["style"] == {"x": 1}


def test_done_is_what_was_made_and_is_still_there(file: Path):
    out = file.parent / "out"
    with Manifest(file, FACTS) as manifest:
        assert manifest.is_done("a.png", out / "a.png")
        assert manifest.is_done("./a.png", out / "../out/a.png")
        assert not manifest.is_done("other.png", out / "a.png")
        assert not manifest.is_done("b.png", out / "b.png")
        assert not manifest.is_done("new.png", out / "new.png")
        (out / "a.png").unlink()
        assert not manifest.is_done("a.png", out / "a.png")


def test_the_last_line_of_a_picture_counts(file: Path):
    target = file.parent / "out/b.png"
    target.write_bytes(b"a picture")
    for error, done in ((None, True), ("failed again", False)):
        with Manifest(file, FACTS) as manifest:
            manifest.add("b.png", target, seconds=1, error=error)
        with Manifest(file, FACTS) as manifest:
            assert manifest.is_done("b.png", target) is done


def test_a_failure_to_make_it_of_another_picture_does_not_undo_it(file: Path):
    target = file.parent / "out/a.png"
    with Manifest(file, FACTS) as manifest:
        manifest.add("a.jpg", target, seconds=0, error="its result would replace what is made of a.png")
        manifest.add("c.jpg", file.parent / "out/c.png", seconds=0, error="broken")
    assert Manifest(file, FACTS).is_done("a.png", target)
    with Manifest(file, FACTS) as manifest:
        manifest.add("a.png", target, seconds=0, error="broken")
    assert not Manifest(file, FACTS).is_done("a.png", target)


def test_a_picture_that_has_changed_since_is_not_done(file: Path):
    source, target = Path("new.png"), file.parent / "out/new.png"
    source.write_bytes(b"one")
    target.write_bytes(b"made of one")
    with Manifest(file, FACTS) as manifest:
        manifest.add(source, target, seconds=1)
    made = target.stat().st_mtime_ns
    for then, done in ((made - 10**9, True), (made, True), (made + 10**9, False)):
        os.utime(source, ns=(then, then))
        assert Manifest(file, FACTS).is_done(source, target) is done
    source.unlink()
    assert Manifest(file, FACTS).is_done(source, target)


def test_names_are_those_of_their_working_folder(file: Path, monkeypatch: pytest.MonkeyPatch):
    tree = file.parent
    for folder in ("one", "two"):
        (tree / folder / "out").mkdir(parents=True)
        (tree / folder / "out/x.png").write_bytes(b"a picture")
    monkeypatch.chdir(tree / "one")
    with Manifest("../run.jsonl", FACTS) as manifest:
        manifest.add("x.png", "out/x.png", seconds=1)
    assert Manifest(file, FACTS).is_done("x.png", "out/x.png")
    monkeypatch.chdir(tree / "two")
    found = Manifest("../run.jsonl", FACTS)
    assert not found.is_done("x.png", "out/x.png")
    assert found.is_done("../one/x.png", tree / "one/out/x.png")
    with Manifest("../run.jsonl", FACTS) as manifest:
        manifest.add("x.png", "out/x.png", seconds=1, error="broken")
    monkeypatch.chdir(tree / "one")
    assert Manifest(file, FACTS).is_done("x.png", "out/x.png")


def test_the_whole_tree_may_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a/out").mkdir(parents=True)
    (tmp_path / "a/out/x.png").write_bytes(b"a picture")
    monkeypatch.chdir(tmp_path / "a")
    with Manifest("run.jsonl", FACTS) as manifest:
        manifest.add("x.png", "out/x.png", seconds=1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.chdir(tmp_path / "b")
    assert Manifest("run.jsonl", FACTS).is_done("x.png", "out/x.png")


def test_manifests_without_digests_and_folders_are_gone_on_with(file: Path):
    """Those of the first version."""
    target = file.parent / "out/a.png"
    old = [{name: value for name, value in row.items() if name not in ("files", "folder")} for row in rows(file)]
    file.write_text("".join(json.dumps(row) + "\n" for row in old))
    assert Manifest(file, FACTS).is_done("a.png", target)
    with pytest.raises(AdaINKitError, match="seed was null, now 1"):
        Manifest(file, {**FACTS, "seed": 1})


@pytest.mark.parametrize("name", ["art.png", "ember"])
def test_other_files_of_the_same_names_are_an_error(file: Path, name: str):
    with pytest.raises(AdaINKitError, match=rf"other options: {name} has changed\."):
        Manifest(file, {**FACTS, "files": {**FACTS["files"], name: "34cd"}})
    Manifest(file, {**FACTS, "files": {**FACTS["files"], "fetched since": "34cd"}})


def test_it_is_made_when_it_is_begun(tmp_path: Path):
    path = tmp_path / "new/run.jsonl"
    manifest = Manifest(path, FACTS)
    assert not manifest.is_done("a.png", "out/a.png")
    assert not path.parent.exists()
    with pytest.raises(AdaINKitError, match="not open"):
        manifest.add("a.png", "out/a.png", seconds=1)
    with manifest:
        assert path.exists()


@pytest.mark.parametrize("kept", [1, 5, 12, 40, -1])
def test_a_torn_last_line_is_as_if_it_were_not_there(file: Path, kept: int):
    whole = file.read_bytes()
    torn = whole.splitlines(keepends=True)[0][:kept]
    file.write_bytes(whole + torn)
    with Manifest(file, FACTS) as manifest:
        assert manifest.is_done("a.png", file.parent / "out/a.png")
        manifest.add("d.png", "out/d.png", seconds=1)
    assert [row["input"] for row in rows(file)] == ["a.png", "b.png", "c.png", "d.png"]
    file.write_bytes(torn)  # and nothing else
    with Manifest(file, FACTS) as manifest:
        assert not manifest.is_done("a.png", file.parent / "out/a.png")
    assert file.read_bytes() == b""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"options": {"alpha": 0.5, "mask": None}}, "alpha was 0.8, now 0.5"),
        ({"options": {"alpha": 0.8, "mask": "m.png"}}, 'mask was null, now "m.png"'),
        ({"options": {"alpha": 0.8, "mask": None, "scale": 2}}, "scale was null, now 2"),
        ({"options": {"mask": None}}, "alpha was 0.8, now null"),
        ({"seed": 1}, "seed was null, now 1"),
        ({"style": {"art.png": 0.5}}, 'style was {"art.png": 1.0}, now {"art.png": 0.5}'),
    ],
)
def test_other_options_are_an_error_that_names_them(file: Path, changed: dict[str, Any], told: str):
    before = file.read_bytes()
    with pytest.raises(AdaINKitError) as caught:
        Manifest(file, {**FACTS, **changed})
    assert told in str(caught.value)
    assert "another file" in str(caught.value)
    assert str(caught.value).count(" was ") == 2  # "was begun", and the one change
    assert file.read_bytes() == before


def test_failures_under_other_options_bind_nobody(tmp_path: Path):
    file = tmp_path / "run.jsonl"
    with Manifest(file, FACTS) as manifest:
        manifest.add("a.png", "out/a.png", seconds=1, error="no such mask")
    Manifest(file, {**FACTS, "seed": 5}).close()


def test_facts_that_json_writes_otherwise_are_the_same(tmp_path: Path):
    facts = {"options": {"alpha": (1.0, 0.5), "mask": Path("m.png")}, "seed": 0}
    with Manifest(tmp_path / "run.jsonl", facts) as manifest:
        manifest.add("a.png", "a.png", seconds=1)
    Manifest(tmp_path / "run.jsonl", facts).close()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"\x89PNG\r\n\x1a\n and so on", "its last line"),
        (b"a text", "its last line"),
        (b'{"name": "somebody"}\n', "line 1"),
        (b'[1, 2]\n{"input": "a', "line 1"),
        (b"\n", "line 1"),
        (b'{"input": "a", "output": 5, "error": null}\n', "line 1"),
    ],
)
def test_what_is_no_manifest_is_left_alone(tmp_path: Path, data: bytes, where: str):
    (tmp_path / "mine").write_bytes(data)
    with pytest.raises(AdaINKitError, match=f"{where} is not that of a manifest"):
        Manifest(tmp_path / "mine", FACTS)
    assert (tmp_path / "mine").read_bytes() == data


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file/run.jsonl"):
        with pytest.raises(AdaINKitError, match=r"cannot be written.*writable folder"), Manifest(path, FACTS):
            pass


def test_a_full_disk_is_an_error_with_the_remedy(tmp_path: Path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with Manifest(tmp_path / "run.jsonl", FACTS) as manifest:
        manifest.close()
        manifest._stream = full.open("ab", buffering=0)
        with pytest.raises(AdaINKitError, match=r"No space left.*same command again"):
            manifest.add("a.png", "a.png", seconds=1)
