"""What the images are built from is what lets their build succeed."""

import re
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_what_the_wheel_takes_along_is_let_through_and_copied(name: str) -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    text = (ROOT / "deploy" / name).read_text()
    copied = {word for line in re.findall(r"^COPY (?!-)(.+)$", text, re.M) for word in line.split()[:-1]}
    needed = {*built["wheel"]["force-include"], *built["wheel"]["packages"]}
    assert needed <= allowed
    assert needed <= copied
    assert copied <= allowed
