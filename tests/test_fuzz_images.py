"""500 mutated files of each kind through the door, of the 10,000 that `fuzz_images.py` does in a night."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fuzz_images import KINDS, fuzz, mutated, seeds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # Pillow's, about what is wrong with the files
def test_mutated_files_end_in_a_picture_or_in_our_error(kind: str, tmp_path: Path) -> None:
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        found = fuzz(kind, 500, 1, tmp_path)
    finally:
        log.disabled = before
    if not found["result"] + found["refused"]:
        pytest.skip(f"{kind} needs a package that is not installed")
    assert found["result"] > 10
    assert found["refused"] > 10


def test_mutations_differ_from_what_they_came_from() -> None:
    import numpy as np

    random = np.random.default_rng(0)
    whole = seeds("PNG")[0]
    assert sum(mutated(whole, random) != whole for _ in range(20)) > 15
