"""The nodes on stubs of ComfyUI: what they promise about pictures, batches, masks, memory, progress and errors."""

import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from stubs import Host, InterruptProcessingException
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import adainkit

PAINT = {
    "alpha": 1.0,
    "preserve_color": "none",
    "color_strength": 1.0,
    "stroke_scale": 1.0,
    "detail": 0.0,
    "tile": 0,
}


@pytest.fixture
def style(pack: ModuleType) -> tuple[adainkit.Style, ...]:
    return pack.AdaINPresetStyle.execute("ember").args[0]


def apply(pack: ModuleType, image: Tensor, model: Any, style: Any, **inputs: Any) -> Tensor:
    return pack.AdaINApply.execute(image=image, model=model, style=style, **{**PAINT, **inputs}).args[0]


def core(model: Any, image: Tensor, style: Any, **options: Any) -> Tensor:
    """What the library makes of each image by itself."""
    results = [model.stylizer.stylize(one.movedim(-1, -3)[None], style, **options) for one in image]
    return torch.cat(results).movedim(-3, -1)


# ---- pictures


def test_apply_gives_what_the_library_gives_for_every_image(pack, comfy, model, image, style):
    assert torch.equal(apply(pack, image, model, style), core(model, image, style[0]))


def test_every_option_reaches_the_library(pack, comfy, model, image, style):
    given = {"alpha": 0.5, "preserve_color": "luma", "color_strength": 0.5, "detail": 0.4}
    expected = core(model, image, style[0], scale=2.0, **given)
    assert torch.equal(apply(pack, image, model, style, stroke_scale=2.0, tile=64, **given), expected)
    assert not torch.allclose(expected, core(model, image, style[0]), atol=0.02)
    levels = core(model, image, style[0], alpha=[0.0, 0.5, 1.0])
    assert torch.equal(apply(pack, image, model, style, level_alphas="0, 0.5,1"), levels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_alpha_channel_dtype_and_size_stay(pack, comfy, model, image, style, dtype):
    alpha = torch.linspace(0, 1, 47).expand(2, 47, 47)[..., None]
    given = torch.cat([image[:, :47, :47], alpha], -1).to(dtype)
    before = given.clone()
    result = apply(pack, given, model, style)
    assert (result.shape, result.dtype) == (given.shape, dtype)
    assert torch.equal(result[..., 3], given[..., 3])
    assert torch.equal(given, before), "the input was modified"


def test_inputs_may_be_inference_tensors_and_leave_the_range_by_a_little(pack, comfy, model, image, style):
    expected = apply(pack, image.clamp(0, 1), model, style)
    with torch.inference_mode():
        wide = torch.where(image > 0.99, 1.2, torch.where(image < 0.01, -0.2, image))
        result = apply(pack, wide, model, style)
    assert torch.allclose(result, expected, atol=0.05)


def test_one_pixel_is_a_picture(pack, comfy, model, style):
    result = apply(pack, torch.full((1, 1, 1, 3), 0.5), model, style)
    assert result.shape == (1, 1, 1, 3)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (torch.zeros(0, 8, 8, 3), "empty"),
        (torch.zeros(1, 0, 8, 3), "no pixels"),
        (torch.zeros(8, 8, 3), "batch, height, width"),
        (torch.zeros(1, 8, 8, 2), "channels"),
        (torch.full((1, 8, 8, 3), float("nan")), "NaN"),
    ],
)
def test_broken_images_are_named_errors(pack, comfy, model, style, broken, words):
    with pytest.raises(adainkit.ImageError, match=words):
        apply(pack, broken, model, style)
    with pytest.raises(adainkit.ImageError, match=words):
        pack.AdaINEncodeStyle.execute(model=model, image=broken, style_size=512, combine="average")
    with pytest.raises(adainkit.ImageError, match=words):
        pack.AdaINApplyToFrames.execute(frames=broken, model=model, style=style, **PAINT)


# ---- batches


def test_one_style_for_each_image(pack, comfy, model, image, style):
    other = pack.AdaINPresetStyle.execute("rivers").args[0]
    result = apply(pack, image, model, style + other)
    expected = [core(model, image[:1], style[0]), core(model, image[1:], other[0])]
    assert torch.equal(result, torch.cat(expected))
    with pytest.raises(adainkit.ImageError, match="2 styles for 1 images"):
        apply(pack, image[:1], model, style + other)


def test_memory_that_runs_out_halves_the_chunk_and_only_then_fails(pack, comfy, image, style):
    sizes = []

    def stylize(picture: Tensor, style: Any, **options: Any) -> Tensor:
        sizes.append(len(picture))
        if len(picture) > most:
            raise adainkit.OutOfMemoryError("the result does not fit into memory")
        return picture.clone()

    frames = image[:1].expand(7, -1, -1, -1)
    stylizer = SimpleNamespace(device=SimpleNamespace(type="gpu"), stylize=stylize)
    model = SimpleNamespace(on_device=lambda pixels: stylizer)
    most = 2
    assert torch.equal(pack.engine.stylize_images(model, frames, style), frames)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert comfy.emptied == 2
    most = 0
    with pytest.raises(adainkit.OutOfMemoryError):
        pack.engine.stylize_images(model, frames, style)


def test_gpu_chunks_are_bounded_by_pixels(pack, comfy, style):
    sizes = []
    stylizer = SimpleNamespace(
        device=SimpleNamespace(type="gpu"), stylize=lambda p, s, **_: sizes.append(len(p)) or p.clone()
    )
    asked = []
    model = SimpleNamespace(on_device=lambda pixels: asked.append(pixels) or stylizer)
    pack.engine.stylize_images(model, torch.zeros(9, 512, 512, 3), style)
    assert sizes == [4, 4, 1]
    assert asked == [4 * 512 * 512], "room for a whole chunk is asked for"


# ---- masks and regions


def test_masks_of_zeros_and_ones_and_of_another_size(pack, comfy, model, image, style):
    load_images_own = torch.zeros(1, 64, 64)  # of a picture without transparency: stylize nothing
    assert torch.equal(apply(pack, image, model, style, mask=load_images_own), image)
    painted = apply(pack, image, model, style)
    assert torch.equal(apply(pack, image, model, style, mask=torch.ones(1, 5, 7)), painted)
    half = torch.zeros(48, 64)
    half[:, 32:] = 1
    result = apply(pack, image, model, style, mask=half)
    assert torch.equal(result[:, :, :32], image[:, :, :32])
    assert not torch.allclose(result[:, :, 32:], image[:, :, 32:], atol=0.05)


def test_one_mask_for_each_image(pack, comfy, model, image, style):
    masks = torch.stack([torch.zeros(48, 64), torch.ones(48, 64)])
    result = apply(pack, image, model, style, mask=masks)
    assert torch.equal(result[0], image[0])
    assert torch.equal(result[1:], core(model, image[1:], style[0]))
    with pytest.raises(adainkit.ImageError, match="2 masks for 1 images"):
        apply(pack, image[:1], model, style, mask=masks)
    with pytest.raises(adainkit.ImageError, match="MASK"):
        apply(pack, image, model, style, mask=torch.zeros(1, 0, 4))


def test_regions_have_styles_of_their_own(pack, comfy, model, image, style):
    other = pack.AdaINPresetStyle.execute("rivers").args[0]
    left = torch.zeros(1, 48, 64)
    left[:, :, :20] = 1
    right = left.flip(-1)
    pairs = {"mask_1": left, "style_1": style, "mask_3": right, "style_3": other}
    result = pack.AdaINRegions.execute(image=image, model=model, **PAINT, **pairs).args[0]
    regions = [(left[:, None], style[0]), (right[:, None], other[0])]
    assert torch.equal(result, core(model, image, None, regions=regions))
    assert torch.equal(result[:, :, 20:44], image[:, :, 20:44]), "what no mask covers stays"


def test_region_without_its_other_half_says_which(pack, comfy, model, image, style):
    pairs = {"mask_1": torch.ones(1, 4, 4), "style_1": style, "style_2": style}
    with pytest.raises(adainkit.StyleError, match="style_2 has no mask_2"):
        pack.AdaINRegions.execute(image=image, model=model, **PAINT, **pairs)


# ---- what is not done twice


def test_changed_alpha_costs_no_encoder_pass(pack, comfy, model, image, style, monkeypatch):
    encoded = []
    encode = model.stylizer.encode_content
    monkeypatch.setattr(model.stylizer, "encode_content", lambda *a, **k: encoded.append(1) or encode(*a, **k))
    apply(pack, image, model, style)
    assert len(encoded) == 2
    result = apply(pack, image.clone(), model, style, alpha=0.5)
    assert len(encoded) == 2
    assert torch.equal(result, core(model, image, style[0], alpha=0.5))
    apply(pack, image, model, style, stroke_scale=2.0)
    assert len(encoded) > 2, "another scale is another encoding"
    image[0, 0, 0, 0] += 0.01
    encoded.clear()
    apply(pack, image, model, style)
    assert encoded, "another picture is another encoding"


def test_contents_are_kept_in_bounded_memory(pack, comfy, model, image):
    contents, picture = pack.engine.Contents(), image[:1]
    one = pack.engine._bytes(contents.encode(model.stylizer, picture, 1))
    comfy.free_memory = pack.engine._SHARE * one * 2
    others = [picture * factor for factor in (0.9, 0.8, 0.7)]
    for other in others:
        contents.encode(model.stylizer, other, 1)
    assert len(contents._kept) == 2
    comfy.free_memory = pack.engine._SHARE * one
    contents.encode(model.stylizer, picture, 4)
    assert len(contents._kept) == 1, "memory is given back when it gets short"
    comfy.free_memory = pack.engine._SHARE * one * 3
    contents.clear()
    contents.encode(model.stylizer, picture, 4)
    assert not contents._kept, "of a batch that does not fit, keeping some is of no use"
    contents.encode(model.stylizer, picture, 1)
    comfy.free_memory = 0
    contents.encode(model.stylizer, others[0], 1)
    assert not contents._kept


def test_strength_0_needs_no_style_and_gives_the_librarys_reconstruction(pack, comfy, model, image, style):
    expected = core(model, image, style[0], alpha=0.0)
    assert torch.equal(apply(pack, image, model, None, alpha=0.0), expected)
    assert torch.equal(apply(pack, image, model, None, level_alphas="0,0,0"), expected)
    assert not torch.equal(expected, image)
    with pytest.raises(adainkit.StyleError, match="no style came in"):
        apply(pack, image, model, None, alpha=0.5)
    status = pack.AdaINApply.check_lazy_status
    assert status(alpha=0.0, level_alphas="", style=None) == []
    assert status(alpha=0.0, level_alphas="0,0.1,0", style=None) == ["style"]
    assert status(alpha=0.001, style=None, image=None) == ["style"]
    assert status(alpha=1.0, level_alphas="what", style=None) == ["style"]
    assert status(alpha=1.0, style=style) == []


def test_model_is_loaded_once_until_its_file_changes(pack, comfy, tmp_path):
    load = pack.AdaINLoadModel.execute
    assert load("lite", False, "auto").args[0] is load("lite", True, "auto").args[0]
    assert load("lite", False, "float32").args[0].stylizer.precision == "float32"
    file = comfy.base / "models" / "adain" / "mine.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(Path(adainkit.models()["lite"].path).read_bytes())
    first = load("mine.safetensors", False, "auto").args[0]
    stamp = pack.AdaINLoadModel.fingerprint_inputs("mine.safetensors", False, "auto")
    assert load("mine.safetensors", False, "auto").args[0] is first
    os.utime(file, ns=(1, 1))
    assert load("mine.safetensors", False, "auto").args[0] is not first
    assert pack.AdaINLoadModel.fingerprint_inputs("mine.safetensors", False, "auto") != stamp
    assert pack.model_nodes.list_files("adain") == ["mine.safetensors"]
    file.unlink()


def test_comfyui_is_asked_for_room_before_the_model_is_used(pack, comfy, model, image, style):
    apply(pack, image, model, style)
    (patchers, required), *_ = comfy.loads
    assert patchers == [model.patcher]
    assert model.patcher.model is model.stylizer.model
    assert image[0].numel() < required < 1 << 30
    comfy.loads.clear()
    apply(pack, torch.zeros(1, 2048, 1024, 3), model, style, tile=512)
    assert comfy.loads[0][1] < 64 * required * 16, "more than a tile's worth is not asked for"


def test_model_that_comfyui_moved_still_paints(pack, comfy, model, image, style):
    expected = apply(pack, image, model, style)
    with torch.inference_mode():  # as when another node's model needs room: the weights are inference tensors then
        model.stylizer.model.to(torch.float64).to(torch.float32)
    pack.apply_nodes._CONTENTS.clear()
    assert torch.equal(apply(pack, image, model, style), expected)


# ---- models and styles


def test_no_download_unless_it_is_allowed(pack, comfy, monkeypatch):
    with pytest.raises(adainkit.WeightsError, match="allow_download"):
        pack.AdaINLoadModel.execute("vgg19", False, "auto")
    with pytest.raises(adainkit.DownloadError, match="ADAINKIT_OFFLINE"):  # it did try
        pack.AdaINLoadModel.execute("vgg19", True, "auto")


def test_missing_and_wrong_model_files_are_named_errors(pack, comfy):
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        pack.AdaINLoadModel.execute("gone.safetensors", False, "auto")
    file = comfy.base / "models" / "adain" / "other.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(adainkit.WeightsError, match=r"other\.safetensors"):
        pack.AdaINLoadModel.execute("other.safetensors", False, "auto")
    file.unlink()


def test_encoded_styles_are_an_average_or_one_for_each_picture(pack, comfy, model, image):
    encode = pack.AdaINEncodeStyle.execute
    wide = image[:1, :30]
    (average,) = encode(model=model, image=image, image_3=wide, style_size=512, combine="average").args[0]
    each = encode(model=model, image=image, image_3=wide, style_size=512, combine="one per image").args[0]
    alone = [model.stylizer.encode_style(i.movedim(-1, -3)) for i in (image[:1], image[1:], wide)]
    assert len(each) == 3
    for level in range(3):
        for one, other in zip(each, alone, strict=True):
            assert torch.equal(one.means[level], other.means[level])
        torch.testing.assert_close(average.stds[level], sum(s.stds[level] for s in alone) / 3)
    (small,) = encode(model=model, image=image, style_size=16, combine="average").args[0]
    (whole,) = encode(model=model, image=image, style_size=0, combine="average").args[0]
    assert not torch.allclose(small.stds[0], whole.stds[0], rtol=0.01)


def test_presets_come_with_their_description(pack, comfy):
    (style,), text = pack.AdaINPresetStyle.execute("ukiyo-e").args
    assert (style.name, text) == ("ukiyo-e", adainkit.styles("lite")["ukiyo-e"].description)


def test_mixes_weigh_and_mix_several_one_by_one(pack, comfy, style):
    other = pack.AdaINPresetStyle.execute("rivers").args[0]
    weights = {f"weight_{i}": w for i, w in enumerate((3.0, 1.0, 5.0, 5.0), 1)}
    (mix,) = pack.AdaINMixStyles.execute(style_1=style, style_2=other, **weights).args[0]
    expected = adainkit.Style.blend([(style[0], 3.0), (other[0], 1.0)])
    assert all(torch.equal(a, b) for a, b in zip(mix.means, expected.means, strict=True))
    several = pack.AdaINMixStyles.execute(style_1=style + other, style_2=other, **weights).args[0]
    assert len(several) == 2
    assert torch.equal(several[0].means[0], mix.means[0])
    assert torch.equal(several[1].means[0], other[0].means[0])
    with pytest.raises(adainkit.StyleError, match="weight"):
        pack.AdaINMixStyles.execute(style_1=style, style_2=other, **dict.fromkeys(weights, 0.0))


def test_saved_styles_are_found_and_never_overwritten(pack, comfy, style):
    other = pack.AdaINPresetStyle.execute("rivers").args[0]
    saved = pack.AdaINSaveStyle.execute(style=style + other, filename_prefix="folder/mine")
    paths = [Path(line) for line in saved.args[0].split("\n")]
    assert paths == [comfy.base / "output" / "adain_styles" / "folder" / f"mine_0000{i}_.safetensors" for i in (1, 2)]
    assert saved.ui == {"text": [str(path) for path in paths]}
    unnamed = pack.AdaINSaveStyle.execute(style=style, filename_prefix=" ").args[0]
    assert Path(unnamed).name == "style_00001_.safetensors"
    Path(unnamed).unlink()
    names = pack.style_nodes.list_files("adain_styles")
    assert [Path(name).name for name in names] == [path.name for path in paths]
    (loaded,) = pack.AdaINLoadStyle.execute(names[1]).args[0]
    assert torch.equal(loaded.means[0], other[0].means[0])
    with pytest.raises(adainkit.StyleError, match="AdaIN Save Style"):
        pack.AdaINLoadStyle.execute(pack.style_nodes._NONE)
    with pytest.raises(FileNotFoundError):
        pack.AdaINLoadStyle.execute("gone.safetensors")
    stamp = pack.AdaINLoadStyle.fingerprint_inputs(names[1])
    os.utime(paths[1], ns=(1, 1))
    assert pack.AdaINLoadStyle.fingerprint_inputs(names[1]) != stamp
    assert pack.AdaINLoadStyle.fingerprint_inputs("gone") is None


def test_style_of_another_model_is_refused_with_the_remedy(pack, comfy, model, image, style):
    foreign = (adainkit.Style(style[0].means, style[0].stds, "0" * 64, "foreign"),)
    with pytest.raises(adainkit.StyleError, match="foreign belongs to another encoder"):
        apply(pack, image, model, foreign)


def test_level_alphas_that_are_no_numbers_are_named(pack, comfy, model, image, style):
    for text in ("0.5; 1", "a", "1,,1"):
        with pytest.raises(adainkit.StyleError, match="level_alphas"):
            apply(pack, image, model, style, level_alphas=text)
    with pytest.raises(adainkit.StyleError, match="2 alphas"):
        apply(pack, image, model, style, level_alphas="0.5, 1")


# ---- films


def test_film_is_painted_under_the_statistics_of_all_frames(pack, comfy, model, image, style, monkeypatch):
    frames = torch.stack([image[0], image[0] * 0.5, image[1]])
    result = pack.AdaINApplyToFrames.execute(frames=frames, model=model, style=style, **PAINT).args[0]
    statistics = model.stylizer.content_statistics(list(frames.movedim(-1, -3)[:, None]))
    assert torch.equal(result, core(model, frames, style[0], content_statistics=statistics))
    alone = pack.AdaINApplyToFrames.execute(frames=frames, model=model, style=style, steady=False, **PAINT).args[0]
    assert torch.equal(alone, core(model, frames, style[0]))
    assert not torch.allclose(alone, result, atol=0.02)
    monkeypatch.setattr(model.stylizer, "content_statistics", None)  # a second run measures nothing
    again = pack.AdaINApplyToFrames.execute(frames=frames, model=model, style=style, **PAINT).args[0]
    assert torch.equal(again, result)
    assert not pack.apply_nodes._CONTENTS._kept, "frames are not held"


class Alive(TorchDispatchMode):
    """Counts the memory of tensors that is made inside and not given back, and keeps the most of it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count  # of pictures in a batch: what has as many counts as one
        self.pieces = self.bytes = self.of_batch = 0
        self._refs: dict[int, tuple[StorageWeakRef, int, bool]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in [t for t in tree_leaves(made) if isinstance(t, Tensor)]:
            storage = tensor.untyped_storage()
            if storage._cdata not in given:  # else a view, or written in place
                whole = tensor.ndim == 4 and len(tensor) == self.count
                self._refs[storage._cdata] = StorageWeakRef(storage), storage.nbytes(), whole
        self._refs = {key: held for key, held in self._refs.items() if not held[0].expired()}
        _, sizes, wholes = zip((None, 0, False), *self._refs.values(), strict=True)
        self.pieces, self.bytes = max(self.pieces, len(sizes)), max(self.bytes, sum(sizes))
        self.of_batch = max(self.of_batch, sum(wholes))
        return made


@pytest.mark.parametrize("steady", [True, False])
def test_nothing_of_a_frame_is_held_but_its_result(pack, comfy, model, image, style, steady):
    """Not even its statistics: as little as they are, they lie between what is large, and the heap grows with them."""
    found = []
    for count in (2, 40, 80):  # once for what is made at first; of both ten small samples are kept
        frames = torch.stack([image[0, :16, :24] * (1 - i / 100) for i in range(count)])
        with Alive(count) as alive:
            result = pack.AdaINApplyToFrames.execute(frames=frames, model=model, style=style, steady=steady, **PAINT)
        assert result.args[0].shape == frames.shape
        found.append((alive.of_batch, alive.pieces, alive.bytes - result.args[0].nbytes))
    (_, *few), (wholes, *many) = found[1:]
    assert wholes == 1, "the batch that goes out"
    assert many[0] == few[0]
    assert many[1] <= few[1]


# ---- the node for the first minute


def test_stylize_needs_nothing_but_an_image(pack, comfy, model, image, style):
    simple = {"preset": "ember", "alpha": 1.0, "preserve_color": "none"}
    result = pack.AdaINStylize.execute(image=image, **simple).args[0]
    assert torch.equal(result, core(model, image, style[0]))
    result = pack.AdaINStylize.execute(image=image, style_image=image[:1], **simple).args[0]
    assert torch.equal(result, core(model, image, model.stylizer.encode_style(image[:1].movedim(-1, -3))))


# ---- progress


@pytest.mark.parametrize("node", ["AdaINApply", "AdaINApplyToFrames"])
def test_bar_goes_up_and_ends_full(pack, comfy, model, image, style, node):
    frames = image.repeat(1, 3, 3, 1)
    inputs = {"frames" if node.endswith("Frames") else "image": frames, "model": model, "style": style}
    getattr(pack, node).execute(**inputs, **{**PAINT, "tile": 64})
    bar = comfy.bars[-1]
    assert bar.values == sorted(bar.values)
    assert bar.values[-1] == bar.total
    assert len(set(bar.values)) > 10, "a step for every tile"


@pytest.mark.parametrize("calls", [0, 3, 9])
def test_interrupt_stops_within_a_tile_and_leaves_the_node_usable(pack, comfy: Host, model, image, style, calls):
    comfy.interrupt_at = calls
    with pytest.raises(InterruptProcessingException):
        apply(pack, image.repeat(1, 3, 3, 1), model, style, tile=64)
    comfy.interrupt_at = None
    assert torch.equal(apply(pack, image, model, style), core(model, image, style[0]))
