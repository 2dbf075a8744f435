"""The pack in a real ComfyUI: set COMFYUI_DIR to a checkout and COMFYUI_PYTHON to a Python that can run it."""

import json
import logging
import os
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_server import ROOT, ComfyServer
from PIL import Image
from safetensors.torch import save_file

import adainkit
from adainkit import AdaINModel, ModelConfig
from adainkit.cli.demo import draw_landscape

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (os.environ.get("COMFYUI_DIR") and os.environ.get("COMFYUI_PYTHON")),
        reason="COMFYUI_DIR and COMFYUI_PYTHON name no ComfyUI",
    ),
]
log = logging.getLogger("comfyui")  # figures: pytest -rP shows them
NODES = {path.stem for path in (ROOT / "comfyui_nodes" / "web" / "docs").glob("*.md")}
PAINT = {
    "alpha": 1.0,
    "preserve_color": "none",
    "color_strength": 1.0,
    "stroke_scale": 1.0,
    "detail": 0.0,
    "tile": 0,
}
MODEL = {"class_type": "AdaINLoadModel", "inputs": {"model": "lite", "allow_download": False, "precision": "auto"}}
STYLE = {"class_type": "AdaINPresetStyle", "inputs": {"preset": "ember"}}


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def probe_image(kind: str = "rgb", count: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> dict[str, Any]:
    return node("ProbeImage", kind=kind, count=count, height=height, width=width, seed=seed)


def painting(image: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """A prompt: an image through AdaIN Apply, and what came out."""
    return {
        "image": image,
        "model": MODEL,
        "style": STYLE,
        "apply": node("AdaINApply", image=["image", 0], model=["model", 0], style=["style", 0], **PAINT | inputs),
        "out": node("ProbeResult", image=["apply", 0], other=["image", 0]),
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What lies in ComfyUI's input folder; example.png stands in for the one that comes with ComfyUI."""
    folder = tmp_path_factory.mktemp("pictures")
    landscape = draw_landscape(768, 768)
    landscape.save(folder / "example.png")
    landscape.resize((320, 240)).save(folder / "photo.png")
    clear = landscape.resize((320, 240)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "clear.png")
    return {f"input/{path.name}": path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: dict[str, Path]) -> Iterator[ComfyServer]:
    folder = tmp_path_factory.mktemp("models")
    config = ModelConfig("other", "conv8 pool conv12 tap", "up conv8 rgb")
    AdaINModel(config).save(folder / "other.safetensors", {"license": "MIT"})
    save_file({"x": next(AdaINModel(config).parameters()).data}, folder / "broken.safetensors")
    extra = {f"models/adain/{path.name}": path for path in folder.iterdir()}
    extra["custom_nodes/probe_nodes.py"] = Path(__file__).with_name("probe_nodes.py")
    with ComfyServer(tmp_path_factory.mktemp("comfyui") / "base", extra=pictures | extra) as running:
        yield running


def facts(server: ComfyServer, prompt: dict[str, Any]) -> list[Any]:
    run = server.run(prompt)
    assert run.status == "success", run.error
    return run.outputs["out"]["facts"]


# ---- the pack from outside


@pytest.mark.parametrize("name", ["adainkit", "Comfy-AdaIN-kit", "adainkit.v0.1"])
def test_pack_loads_under_any_folder_name(tmp_path, pictures, name):
    with ComfyServer(tmp_path / "base", name, extra=pictures) as server:
        found = server.get("/object_info")
        ours = {k for k, v in found.items() if v["python_module"] == f"custom_nodes.{name}"}
        assert ours == NODES, server.log()[-3000:]
        imported = re.search(rf"([\d.]+) seconds: .*custom_nodes.{re.escape(name)}\s*$", server.log(), re.MULTILINE)
        assert imported, "a failed import has a note after its seconds"
        log.warning("imported in %s s", imported[1])
        assert sorted(server.get("/workflow_templates")[name]) == sorted(
            path.stem for path in (ROOT / "example_workflows").glob("*.json")
        )
        told = server.get("/i18n")
        assert told["zh"]["nodeDefs"]["AdaINApply"]["display_name"] == "AdaIN 应用风格"
        assert set(told["en"]["nodeDefs"]) >= NODES
        asked_for = name.split(".")[0]  # by the editor: it cuts a folder's name at its first dot
        for page in NODES:
            text = server.get(f"/extensions/{asked_for}/docs/{page}.md").decode()
            (picture,) = re.findall(r"\]\((\w+\.jpg)\)", text)
            assert picture in server.get(f"/extensions/{asked_for}/docs/{page}/zh.md").decode()
            assert Image.open(BytesIO(server.get(f"/extensions/{asked_for}/docs/{picture}"))).format == "JPEG"
        run = server.run(
            {
                "image": node("LoadImage", image="photo.png"),
                "paint": node("AdaINStylize", image=["image", 0], preset="iris", alpha=1.0, preserve_color="none"),
                "out": node("PreviewImage", images=["paint", 0]),
            }
        )
        assert run.status == "success", run.error


def api_format(graph: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A plain workflow of the editor as the editor itself would queue it."""
    source = {number: [str(origin), slot] for number, origin, slot, *_ in graph["links"]}
    prompt = {}
    for each in graph["nodes"]:
        if each["type"] == "MarkdownNote":
            continue
        values, inputs = list(each["widgets_values"]), {}
        for part in ("required", "optional"):
            for name, (kind, *more) in known[each["type"]]["input"].get(part, {}).items():
                if isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"):
                    inputs[name] = values.pop(0)
                    if (more[0] if more else {}).keys() & {"image_upload", "control_after_generate"}:
                        values.pop(0)
        assert not values, f"{each['type']}: {values} belong to no widget"
        inputs |= {slot["name"]: source[slot["link"]] for slot in each["inputs"] if slot["link"] is not None}
        prompt[str(each["id"])] = {"class_type": each["type"], "inputs": inputs}
    return prompt


@pytest.mark.parametrize("name", ["one_picture", "two_styles_in_regions", "film_as_batch"])
def test_example_workflow_runs_as_shipped(server, name):
    graph = json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))
    run = server.run(api_format(graph, server.get("/object_info")))
    assert run.status == "success", run.error
    (saved,) = [image for output in run.outputs.values() for image in output["images"]]
    picture = Image.open(BytesIO(server.picture(saved)))
    assert picture.size == ((512, 512) if name == "film_as_batch" else (768, 768))
    assert getattr(picture, "n_frames", 1) == (12 if name == "film_as_batch" else 1)
    assert np.asarray(picture.convert("RGB")).std() > 20


# ---- the nodes


def test_every_node_in_one_graph(server):
    prompt = {
        "photo": node("LoadImage", image="photo.png"),
        "clear": node("LoadImage", image="clear.png"),
        "model": MODEL,
        "preset": STYLE,
        "own": node(
            "AdaINEncodeStyle",
            model=["model", 0],
            image=["photo", 0],
            image_2=["clear", 0],
            style_size=128,
            combine="average",
        ),
        "mix": node(
            "AdaINMixStyles",
            style_1=["preset", 0],
            style_2=["own", 0],
            **{f"weight_{i}": 1.0 for i in range(1, 5)},
        ),
        "save": node("AdaINSaveStyle", style=["mix", 0], filename_prefix="tests/mix"),
        "apply": node(
            "AdaINApply",
            image=["photo", 0],
            model=["model", 0],
            style=["mix", 0],
            mask=["clear", 1],
            **PAINT | {"preserve_color": "luma", "stroke_scale": 2.0, "detail": 0.5},
            level_alphas="0.5,1,1",
        ),
        "regions": node(
            "AdaINRegions",
            image=["apply", 0],
            model=["model", 0],
            mask_1=["clear", 1],
            style_1=["own", 0],
            **PAINT,
        ),
        "frames": node("AdaINApplyToFrames", frames=["regions", 0], model=["model", 0], style=["own", 0], **PAINT),
        "simple": node(
            "AdaINStylize",
            image=["frames", 0],
            style_image=["clear", 0],
            preset="iris",
            alpha=0.5,
            preserve_color="match",
        ),
        "out": node("ProbeResult", image=["simple", 0]),
        "look": node("SaveImage", images=["simple", 0], filename_prefix="every"),
    }
    shape, dtype, finite, *_ = facts(server, prompt)
    assert (shape, dtype, finite) == ([1, 240, 320, 3], "torch.float32", True)
    (path,) = (server.base / "output" / "adain_styles" / "tests").iterdir()
    assert len(adainkit.Style.load(path).means) == 3
    listed = server.get("/object_info/AdaINLoadStyle")["AdaINLoadStyle"]["input"]["required"]["file"][1]["options"]
    assert listed == [f"tests{os.sep}{path.name}"]
    prompt = painting(node("LoadImage", image="photo.png"))
    prompt["style"] = node("AdaINLoadStyle", file=listed[0])
    assert facts(server, prompt)[0] == [1, 240, 320, 3]


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [("rgb", [3, 33, 47, 3], "float32"), ("rgba", [3, 33, 47, 4], "float32"), ("half", [3, 33, 47, 3], "float16")],
)
def test_batches_keep_shape_alpha_and_dtype(server, kind, shape, dtype):
    found = facts(server, painting(probe_image(kind, 3, 33, 47)))
    assert found[:3] == [shape, f"torch.{dtype}", True]
    assert found[3] > 0.1


def test_one_pixel_and_masks_of_another_size(server):
    assert facts(server, painting(probe_image(height=1, width=1)))[:3] == [[1, 1, 1, 3], "torch.float32", True]
    prompt = painting(probe_image(count=2), mask=["hole", 0])
    prompt["hole"] = node("SolidMask", value=0.0, width=7, height=300)
    assert facts(server, prompt)[3] == 0, "a mask of zeros stylizes nothing"
    prompt = painting(node("LoadImage", image="photo.png"), mask=["image", 1])
    assert facts(server, prompt)[3] == 0, "as LoadImage's mask of a picture without alpha"
    prompt["image"] = node("LoadImage", image="clear.png")
    assert facts(server, prompt)[3] > 0.1


@pytest.mark.parametrize(
    ("image", "words"),
    [(probe_image("nan"), "NaN"), (probe_image("empty"), "batch of images is empty")],
    ids=["nan", "empty"],
)
def test_broken_images_are_told(server, image, words):
    run = server.run(painting(image))
    assert (run.status, run.node) == ("error", "apply")
    assert "ImageError" in run.error
    assert words in run.error


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gone.safetensors", "gone.safetensors"),
        ("broken.safetensors", "broken.safetensors"),
        ("other.safetensors", "belongs to another encoder"),
        ("vgg19", "allow_download"),
    ],
)
def test_wrong_models_are_told(server, model, words):
    prompt = painting(probe_image())
    prompt["model"] = node("AdaINLoadModel", model=model, allow_download=False, precision="auto")
    run = server.run(prompt)
    assert run.status in ("error", "rejected")
    assert words in run.error


def test_download_that_is_allowed_and_fails_says_how_to_go_on(server):
    prompt = painting(probe_image())
    prompt["model"] = node("AdaINLoadModel", model="vgg19", allow_download=True, precision="auto")
    run = server.run(prompt)
    assert "DownloadError" in run.error
    assert "adainkit download vgg19 --from DIR" in run.error


def test_missing_picture_and_missing_style_are_told(server):
    assert server.run(painting(node("LoadImage", image="gone.png"))).status == "rejected"
    prompt = painting(probe_image())
    prompt["style"] = node("AdaINLoadStyle", file="gone.safetensors")
    assert "gone.safetensors" in server.run(prompt).error
    prompt["style"] = STYLE
    prompt["apply"] = node("AdaINRegions", image=["image", 0], model=["model", 0], **PAINT)
    assert "mask_1" in server.run(prompt).error


# ---- what is not done twice, what stops, what stays small


def test_strength_0_leaves_the_styles_branch_alone(server):
    prompt = painting(probe_image(seed=5), alpha=0.0)
    prompt["style"] = node("AdaINEncodeStyle", model=["model", 0], image=["nan", 0], style_size=64, combine="average")
    prompt["nan"] = probe_image("nan", seed=5)
    assert facts(server, prompt)[2]
    prompt["apply"]["inputs"]["alpha"] = 0.01
    assert server.run(prompt).node == "style"


def test_model_loads_once_and_alpha_costs_a_decoder_pass(server):
    def model_id(seed: int) -> list[Any]:
        loader = {**MODEL, "inputs": MODEL["inputs"] | {"allow_download": bool(seed)}}  # a node that runs again
        return facts(server, {"model": loader, "out": node("ProbeModel", model=["model", 0], seed=seed)})

    assert model_id(0) == model_id(1)
    prompt = painting(probe_image(height=1024, width=1024, seed=7))
    prompt["count"] = node("ProbeEncoder", model=["model", 0], most=0)
    prompt["apply"]["inputs"]["model"] = ["count", 0]
    seconds, passes = [], []
    for alpha in (1.0, 0.9, 0.8, 0.7):
        prompt["apply"]["inputs"]["alpha"] = alpha
        run = server.run(prompt)
        seconds.append(run.seconds)
        passes.append(run.outputs["out"]["facts"][4])
    log.warning("1024 px: %s s at first, and with another alpha %s s", seconds[0], seconds[1:])
    assert passes[0] > 0
    assert passes[1:] == [0, 0, 0]


def test_interrupt_stops_within_a_tile(server):
    prompt = painting(probe_image(count=20, height=768, width=768, seed=9), tile=256)
    run = server.run(prompt, interrupt_after=2.0)
    assert run.status == "interrupted", run
    log.warning("interrupted after %s s", run.latency)
    assert run.latency < 2.0
    assert facts(server, painting(probe_image(seed=10)))[2], "and the server goes on"


def test_memory_that_runs_out_halves_tiles_and_changes_nothing(server):
    image = probe_image(height=300, width=500, seed=11)
    prompt = painting(image)
    prompt["short"] = node("ProbeEncoder", model=["model", 0], most=200 * 200)
    prompt["fresh"] = node("AdaINApplyToFrames", frames=["image", 0], model=["short", 0], style=["style", 0], **PAINT)
    prompt["out"] = node("ProbeResult", image=["fresh", 0])
    try:
        *_, refused = facts(server, prompt)
        assert refused > 0, "there was enough memory after all"
    finally:
        whole = {k: v for k, v in prompt.items() if k != "apply"}
        whole["short"] = node("ProbeEncoder", model=["model", 0], most=0)
        assert server.run(whole).status == "success"
    both = painting(image, tile=0)
    both["short"] = prompt["short"]
    both["tiles"] = node("AdaINApplyToFrames", frames=["image", 0], model=["model", 0], style=["style", 0], **PAINT)
    both["out"] = node("ProbeResult", image=["apply", 0], other=["tiles", 0])
    assert facts(server, both)[3] < 1e-3


def test_64_frames_of_512_px_in_flat_memory(server):
    def peak(count: int) -> float:
        prompt = {
            "image": probe_image(count=count, height=512, width=512, seed=13),
            "model": MODEL,
            "style": STYLE,
            "film": node("AdaINApplyToFrames", frames=["image", 0], model=["model", 0], style=["style", 0], **PAINT),
            "out": node("ProbeResult", image=["film", 0]),
        }
        server.get("/free", {"unload_models": False, "free_memory": True})
        server.reset_peak()
        assert facts(server, prompt)[:3] == [[count, 512, 512, 3], "torch.float32", True]
        return server.peak()

    peak(2)
    small, large = peak(8), peak(64)
    frames = 56 * 512 * 512 * 3 * 4 / 2**20  # MiB of the further frames, in one batch
    log.warning("MiB at most with 8 frames %d, with 64 frames %d", small, large)
    assert large - small < 2.3 * frames, "the batch that comes in and the one that goes out, and nothing for each frame"
