"""The command that paints films, as a new user meets it: names that nobody gave, a film that is there, what it says."""

import json
from pathlib import Path

import av
import pytest
from command_line import Run
from small_films import make_film

from adainkit.cli.film_target import default_target, is_finished


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(source: str, *styles: str, **more: bool) -> str:
    facts = {"preview": False, "overwrite": False, "resume": False, **more}
    return default_target(source, styles or ("ember",), **facts).as_posix()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("clip.mp4", "clip-ember.mp4"),
        ("a/My clip.MOV", "a/My clip-ember.mov"),
        ("clip.webm", "clip-ember.webm"),
        ("clip.avi", "clip-ember.mp4"),  # which is not written
        ("wave.gif", "wave-ember.png"),  # as `stylize` has it: 256 colors are few for strokes
        ("wave.webp", "wave-ember.webp"),
    ],
)
def test_a_film_without_a_name_lies_beside_its_source(here: Path, source: str, expected: str) -> None:
    assert named(source) == expected


def test_styles_and_previews_are_in_the_name(here: Path) -> None:
    assert named("clip.mp4", "art/the wave.jpg", "ember", "ember") == "clip-the-wave+ember.mp4"
    assert named("clip.mp4", preview=True) == "clip-ember-preview.jpg"


def test_numbered_pictures_go_into_a_folder_beside_theirs(here: Path) -> None:
    there = here.parent
    assert named("frames/%05d.tif") == (here / "frames-ember/%05d.tif").as_posix()
    assert named("%d.tga") == (there / f"{here.name}-ember/%d.png").as_posix()
    assert named("frames/%05d.tif", preview=True) == (here / "frames-ember-preview.jpg").as_posix()
    (here / "frames-ember").mkdir()
    (here / "frames-ember/00001.tif").touch()
    assert named("frames/%05d.tif") == (here / "frames-ember-2/%05d.tif").as_posix()
    assert named("frames/%05d.tif", resume=True) == (here / "frames-ember/%05d.tif").as_posix()


def test_a_name_that_is_taken_gets_a_number_and_a_run_that_goes_on_finds_its_own(here: Path) -> None:
    for resume in (False, True):
        assert named("clip.mp4", resume=resume) == "clip-ember.mp4"
    Path("clip-ember.mp4").touch()
    assert named("clip.mp4") == "clip-ember-2.mp4"
    assert named("clip.mp4", overwrite=True) == "clip-ember.mp4"
    assert named("clip.mp4", resume=True) == "clip-ember.mp4"  # it is finished
    Path("clip-ember-2.mp4.parts").mkdir()
    assert named("clip.mp4", resume=True) == "clip-ember-2.mp4"
    assert is_finished("clip-ember.mp4")
    assert not is_finished("clip-ember-2.mp4")
    Path("clip-ember-2.mp4").touch()
    assert not is_finished("clip-ember-2.mp4")


def test_a_film_that_is_finished_is_told_and_stays(run: Run, here: Path) -> None:
    make_film(here / "clip.mp4", 2)
    Path("clip-ember.mp4").write_bytes(b"finished")
    for line in ("clip.mp4 ember --resume", "clip.mp4 ember --resume -o clip-ember.mp4"):
        found = run("film", *line.split())
        assert found.code == 0
        assert "clip-ember.mp4  (was finished before" in found.out
        found = run("film", *line.split(), "--json")
        assert json.loads(found.out)["output"] == "clip-ember.mp4"
    assert Path("clip-ember.mp4").read_bytes() == b"finished"
    assert run("film", "clip.mp4", "ember", "-o", "clip-ember.mp4").code == 1


def test_a_picture_is_no_film(run: Run, here: Path) -> None:
    found = run("film", "cat.jpg", "ember")
    assert found.code == 2
    assert "cat.jpg is a picture, not a film; `adainkit stylize cat.jpg STYLE` paints it" in found.err


def test_words_can_be_left_out(run: Run, here: Path) -> None:
    make_film(here / "clip.mkv", 2, comment="at home")

    def words(*more: str) -> set[str]:
        found = run("film", "clip.mkv", "ember", "--overwrite", *more)
        assert found.code == 0
        with av.open("clip-ember.mkv") as film:
            return {name.lower() for name in film.metadata}

    assert {"title", "comment"} <= words()
    assert not {"title", "comment"} & words("--strip")
    found = run("film", "wave.gif", "ember", "--strip")
    assert found.code == 2
    assert "--strip is for video files" in found.err
