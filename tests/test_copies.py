"""Copies in somebody else's folder: nothing beside them is touched, and no link is followed."""

from pathlib import Path

import pytest

from adainkit.errors import AdaINKitError
from adainkit.install.copies import are_inside, copy_files, refuse_link, remove_files


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Path]:
    names = ("a.py", "inner/b.py", "inner/deep/c.txt")
    for name in names:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(name)
    return {name: tmp_path / "source" / name for name in names}


def test_what_was_copied_goes_and_the_rest_stays(tmp_path: Path, source: dict[str, Path]) -> None:
    folder = tmp_path / "there"
    copy_files(folder, source, executable=["a.py"])
    assert {name: (folder / name).read_text() for name in source} == {name: name for name in source}
    assert (folder / "a.py").stat().st_mode & 0o111
    for compiled in ("__pycache__/a.cpython-311.pyc", "inner/__pycache__/b.cpython-311.pyc"):
        (folder / compiled).parent.mkdir(exist_ok=True)
        (folder / compiled).write_bytes(b"")
    (folder / "inner" / "mine.txt").write_text("mine")
    remove_files(folder, source)
    assert [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))] == ["inner", "inner/mine.txt"]
    (folder / "inner" / "mine.txt").unlink()
    (folder / "inner").rmdir()
    remove_files(folder, source)
    assert not folder.exists()


def test_links_are_refused(tmp_path: Path, source: dict[str, Path]) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "there"
    (mine / "inner").mkdir(parents=True)
    (mine / "inner" / "b.py").write_text("mine")
    folder.symlink_to(mine)
    changes = (lambda: copy_files(folder, source), lambda: remove_files(folder, source))
    for change in (*changes, lambda: refuse_link(folder)):
        with pytest.raises(AdaINKitError, match="is a link to"):
            change()
    folder.unlink()
    folder.mkdir()
    (folder / "inner").symlink_to(mine / "inner")
    for change in changes:
        with pytest.raises(AdaINKitError, match="is a link to"):
            change()
    assert (mine / "inner" / "b.py").read_text() == "mine"
    (folder / "inner").unlink()
    (folder / "a.py").symlink_to(mine / "inner" / "b.py")  # a file that is a link is replaced or removed as a link
    copy_files(folder, source)
    assert not (folder / "a.py").is_symlink()
    assert (mine / "inner" / "b.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("names", "inside"), [(["a", "b/c"], True), (["../a"], False), (["/a"], False), ([3], False), ([""], False)]
)
def test_a_list_names_what_is_below_its_folder(names: list[object], inside: bool) -> None:
    assert are_inside(names) is inside
