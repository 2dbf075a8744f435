"""`adainkit export`: files that other programs run, with an example that does."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_runtimes import CONFIGS, ENGINES, model_of, picture

from adainkit import AdaINKitError, AdaINModel, ModelError, Stylizer
from adainkit.cli.entry import main
from adainkit.net.head import StyleHead
from adainkit.net.layers import Canvas, Strokes
from adainkit.runtimes import export, head
from adainkit.runtimes.arrays import EPS
from adainkit.store.weights import load_model
from adainkit.style import PALETTE

pytest.importorskip("onnx")
KINDS = {"openvino": "openvino", "onnxruntime": "onnx"}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_example_in_the_readme_is_the_library(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[engine]
    assert main(["export", "lite", "--to", kind, "-o", str(tmp_path / "out"), "--json"]) == 0
    written = [Path(path).name for path in json.loads(capsys.readouterr().out)["outputs"]]
    endings = [".onnx"] if kind == "onnx" else [".xml", ".bin"]
    expected = {f"{name}{end}" for name in ("encoder", "maps", "decoder") for end in endings} | {
        "model.json",
        "README.md",
    }
    assert set(written) == expected == {path.name for path in (tmp_path / "out").iterdir()}
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["encoder_sha256"] == load_model("lite").digest
    assert facts["largest_difference_from_torch"] <= 1e-4
    for name, seed, size in (("content", 1, (75, 58)), ("style", 2, (64, 81))):
        Image.fromarray(picture(*size, seed)).save(tmp_path / "out" / f"{name}.png")
    code = re.search(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert len(code[1].splitlines()) <= 52  # half of them are the palette
    here = Path.cwd()
    os.chdir(tmp_path / "out")
    try:
        exec(compile(code[1], "README.md", "exec"), {})
    finally:
        os.chdir(here)
    found = np.asarray(Image.open(tmp_path / "out" / "result.png"))
    stylizer = Stylizer(dtype="float32", device="cpu", cache=None, runtime="torch")
    assert abs(found.astype(int) - stylizer.stylize(picture(75, 58, 1), picture(64, 81, 2))).max() <= 1


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_architecture_is_exported_whole(config: object, tmp_path: Path) -> None:
    model = model_of(config)  # type: ignore[arg-type]
    assert len(export.export_model(model, "onnx", tmp_path / "new" / "folder")) == 5


def test_a_difference_from_torch_is_refused_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = AdaINModel.decode
    monkeypatch.setattr(AdaINModel, "decode", lambda *args: decode(*args) + 0.01)
    with pytest.raises(ModelError, match=r"differ by 0\.01 from torch's"):
        export.export_model(model_of(CONFIGS[1]), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(AdaINKitError, match="to onnx, openvino or tensorrt, got 'x'"):
        export.export_model(model_of(CONFIGS[1]), "x", tmp_path)


def test_nothing_is_replaced_but_for_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, command = tmp_path / "README.md", ["export", "lite", "--to", "onnx", "-o", str(tmp_path)]
    mine.write_text("my own")
    assert main(command) == 1
    assert f"{mine}: exists already; pass --overwrite to replace it" in capsys.readouterr().err
    model = model_of(CONFIGS[1])
    with pytest.raises(AdaINKitError, match="exists already"):
        export.export_model(model, "onnx", tmp_path, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert mine.read_text() == "my own"
    with pytest.warns(FutureWarning, match=r"README\.md: exists already and is replaced"):
        export.export_model(model, "onnx", tmp_path)
    assert main([*command, "--overwrite"]) == 0
    assert "my own" not in mine.read_text()


def test_constants_are_those_of_the_network() -> None:
    from adainkit.look import color, regions
    from adainkit.net import adain
    from adainkit.runtimes import arrays, layers

    assert (head.BOUND, head.MOST, EPS) == (StyleHead.BOUND, StyleHead.MOST, adain.EPS)
    assert (arrays.LUMA, arrays.RIDGE, arrays.LIVELY) == (color.LUMA, color._RIDGE, color._LIVELY)
    assert (arrays.GAINS, arrays.VIVID, arrays.ROOM) == (color.GAINS, color.VIVID, color._ROOM)
    assert arrays.OPPONENT == color._OPPONENT
    assert (arrays.FREE, arrays.MOST) == (color.ChromaBound.FREE, color.ChromaBound.MOST)
    assert (arrays.LOCAL, arrays.COLORFUL, arrays.LOUDEST) == (color.LOCAL, color.COLORFUL, color.LOUDEST)
    page = (Path(arrays.__file__).parent / "browser/page/colors.js").read_text()
    for line in (
        f"GAINS = [{', '.join(f'{g:g}' for g in color.GAINS)}]",
        f"VIVID = {list(color.VIVID)}",
        f"ROOM = {color._ROOM}",
        f"[FREE, MOST] = [{color.ChromaBound.FREE:g}, {color.ChromaBound.MOST}]",
        f"[LOCAL, COLORFUL, LOUDEST] = [{color.LOCAL}, {color.COLORFUL}, {color.LOUDEST}]",
    ):
        assert f"const {line};" in page
    assert list(arrays.PALETTE) == list(PALETTE)
    assert arrays.FEW_CELLS == regions.FEW_CELLS
    assert layers._PERIOD == Canvas.PERIOD == Strokes.PERIOD
