"""The model file: what goes in comes out, what is damaged is named, and the digest that styles are bound to."""

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from maps import identity
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adainkit.errors import AdaINKitError, ModelError, WeightsError
from adainkit.net import model as model_module
from adainkit.net.config import ModelConfig
from adainkit.net.model import AdaINModel

CONFIG = ModelConfig("tiny", "unshuffle conv6 res6 tap down8 tap", "conv8 merge res6 shuffle4 rgb", gain_cap=16.0)


def make(seed: int = 0, config: ModelConfig = CONFIG) -> AdaINModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AdaINModel(config).eval()


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def rewrite(path: Path, facts: dict[str, str] | None = None, **tensors: torch.Tensor) -> None:
    """Change a file's metadata (None removes it) or tensors by hand."""
    save_file({**load_file(path), **tensors}, path, facts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make().save(tmp_path / "model.safetensors")


# ---- round trip ----


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 0.0), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
def test_a_saved_model_comes_back(tmp_path: Path, kind: torch.dtype, tolerance: float) -> None:
    model = make()
    path = model.save(tmp_path / "m.safetensors", {"license": "MIT"}, kind)
    assert path == tmp_path / "m.safetensors"
    again = AdaINModel.load(path)
    assert again.config == CONFIG
    assert again.metadata == {"license": "MIT"}
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in again.state_dict().items():
        assert (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=tolerance, atol=tolerance)
    assert not any(p.requires_grad for p in again.parameters())


def test_a_file_holds_encoder_and_decoder_tensors_of_the_asked_dtype_and_no_more(file: Path) -> None:
    tensors = load_file(file)
    assert {name.partition(".")[0] for name in tensors} == {"encoder", "decoder"}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert {"format_version", "config", "encoder_sha256", "decoder_sha256"} == set(metadata(file))


def test_metadata_given_to_save_goes_over_the_models_own(tmp_path: Path) -> None:
    model = make()
    model.metadata = {"license": "MIT", "recipe": "old"}
    again = AdaINModel.load(model.save(tmp_path / "m.safetensors", {"recipe": "new", "config": "no", "seed": "3"}))
    assert again.metadata == {"license": "MIT", "recipe": "new", "seed": "3"}
    assert again.config == CONFIG


def test_saving_what_was_loaded_gives_the_same_file(file: Path, tmp_path: Path) -> None:
    again = AdaINModel.load(file).save(tmp_path / "again.safetensors")
    assert metadata(again) == metadata(file)
    before, after = load_file(file), load_file(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(t, after[name]) and t.dtype == after[name].dtype for name, t in before.items())


def test_a_model_in_another_memory_format_is_saved_as_well(tmp_path: Path) -> None:
    model = make().to(memory_format=torch.channels_last)
    assert AdaINModel.load(model.save(tmp_path / "m.safetensors", dtype=torch.float32)).digest == make().digest


def test_a_loaded_model_does_not_depend_on_its_file_any_more(file: Path) -> None:
    model = AdaINModel.load(file)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    data = file.read_bytes()
    file.write_bytes(b"\xff" * len(data))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


# ---- damaged files ----


def test_a_missing_file_and_a_folder_are_weights_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(WeightsError, match=str(path)):
            AdaINModel.load(path)


@pytest.mark.parametrize("data", [b"", b"hello, this is a text file about weights\n" * 30, b"\x80\x02}q\x00."])
def test_another_kind_of_file_is_a_weights_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="cannot be read as a model file"):
        AdaINModel.load(path)


def test_a_truncated_file_is_a_weights_error_wherever_it_ends(file: Path) -> None:
    data = file.read_bytes()
    for length in [*range(0, len(data), max(1, len(data) // 40)), len(data) - 1]:
        file.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            AdaINModel.load(file)


def test_a_flipped_byte_in_any_tensor_is_a_weights_error(file: Path) -> None:
    for name, tensor in load_file(file).items():
        damaged = tensor.clone()
        damaged.view(torch.uint8).view(-1)[-1] ^= 1
        kept = file.read_bytes()
        rewrite(file, metadata(file), **{name: damaged})
        with pytest.raises(WeightsError, match=rf"{name.split('.')[0]}'s checksum differs.*get it again"):
            AdaINModel.load(file)
        file.write_bytes(kept)


def test_a_flipped_byte_in_the_header_is_never_more_than_a_weights_error(file: Path) -> None:
    data = file.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    chance = random.Random(0)
    for index in [*range(8), *(chance.randrange(8, header) for _ in range(150))]:
        file.write_bytes(data[:index] + bytes([data[index] ^ (1 << chance.randrange(8))]) + data[index + 1 :])
        with suppress(WeightsError):  # none, where a letter of somebody's words has changed
            AdaINModel.load(file)


def test_a_safetensors_file_without_a_config_is_a_weights_error(file: Path) -> None:
    for facts in (None, {"format": "pt"}):
        rewrite(file, facts)
        with pytest.raises(WeightsError, match="no model configuration"):
            AdaINModel.load(file)


@pytest.mark.parametrize(
    "config", ["{", '{"name": "x"}', '{"name": "x", "encoder": "conv4 res5 tap", "decoder": "rgb"}']
)
def test_an_unusable_config_is_a_weights_error_that_names_the_file(file: Path, config: str) -> None:
    rewrite(file, {**metadata(file), "config": config})
    with pytest.raises(WeightsError, match=str(file)):
        AdaINModel.load(file)


def test_a_newer_format_is_a_weights_error_that_says_update(file: Path) -> None:
    rewrite(file, {**metadata(file), "format_version": "3"})
    with pytest.raises(WeightsError, match="format 3, expected 1 or 2; update adainkit"):
        AdaINModel.load(file)


def test_tensors_that_do_not_fit_the_config_are_a_weights_error(file: Path) -> None:
    name = next(n for n in load_file(file) if n.startswith("decoder.") and n.endswith("weight"))
    for tensors in ({name: torch.zeros(3)}, {"decoder.more": torch.zeros(3)}):
        kept = file.read_bytes()
        checksum = model_module._digest({**load_file(file), **tensors}, "decoder.")
        rewrite(file, {**metadata(file), "decoder_sha256": checksum}, **tensors)
        with pytest.raises(WeightsError, match="do not fit"):
            AdaINModel.load(file)
        file.write_bytes(kept)


# ---- saving whole or not at all ----


def test_a_failed_save_leaves_the_old_file_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def no_space(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(os if name == "replace" else Path, name, no_space)
            with pytest.raises(WeightsError, match=r"cannot be written .*No space left"):
                make(1).save(file)
        assert file.read_bytes() == before
        assert list(file.parent.iterdir()) == [file]


def test_a_save_replaces_the_old_file(file: Path) -> None:
    make(1).save(file)
    assert AdaINModel.load(file).digest != make(0).half().float().digest
    assert list(file.parent.iterdir()) == [file]


# ---- the digest ----


def test_the_digest_is_that_of_the_present_encoder(file: Path, device: torch.device) -> None:
    model = AdaINModel.load(file)
    digest = model.digest
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")
    assert model.to(device, memory_format=torch.channels_last).digest == digest
    assert model.half().digest == digest  # the file is in half precision: nothing is lost
    with torch.no_grad():
        next(model.decoder.parameters()).add_(1)
        assert model.digest == digest
        next(model.encoder.parameters()).add_(1)
    assert model.digest != digest  # trained on: the old styles are another encoder's


def test_the_digest_of_a_file_does_not_depend_on_the_dtype_that_it_is_kept_in(file: Path, tmp_path: Path) -> None:
    wide = AdaINModel.load(file).save(tmp_path / "wide.safetensors", dtype=torch.float32)
    assert wide.stat().st_size > file.stat().st_size
    assert AdaINModel.load(wide).digest == AdaINModel.load(file).digest == metadata(wide)["encoder_sha256"]


def test_another_decoder_keeps_the_digest_and_another_encoder_does_not() -> None:
    model, digest = make(), make().digest
    assert make(1).digest != digest
    with torch.no_grad():
        next(iter(model.decoder.parameters())).add_(1)
        assert model.digest == digest
        next(iter(model.encoder.parameters())).view(-1)[0].add_(1)
    assert model.digest != digest


def test_a_fine_tuned_decoder_keeps_the_digest_through_a_file(file: Path, tmp_path: Path) -> None:
    model = AdaINModel.load(file)
    with torch.no_grad():
        next(iter(model.decoder.parameters())).add_(1)
    assert AdaINModel.load(model.save(tmp_path / "tuned.safetensors")).digest == AdaINModel.load(file).digest


# ---- use ----


def forward(model: AdaINModel, x: torch.Tensor) -> torch.Tensor:
    features = model.encode(x)
    return model.decode(features, identity(features))


@pytest.mark.parametrize("made", ["new", "loaded"])
def test_a_model_made_in_inference_mode_is_an_ordinary_one(file: Path, made: str) -> None:
    with torch.inference_mode():
        model = AdaINModel(CONFIG) if made == "new" else AdaINModel.load(file)
    assert not any(p.is_inference() for p in model.parameters())
    model.train().requires_grad_(True)
    forward(model, torch.rand(1, 3, 12, 12)).mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_loaded_model_is_differentiable_in_its_input(file: Path) -> None:
    x = torch.rand(1, 3, 12, 12, requires_grad=True)
    forward(AdaINModel.load(file), x).mean().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_loading_draws_no_random_numbers_and_heeds_no_default_dtype(file: Path) -> None:
    state = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        model = AdaINModel.load(file)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "shape", [(3, 8, 8), (1, 1, 8, 8), (1, 4, 8, 8), (0, 3, 8, 8), (1, 3, 0, 8), (1, 3, 8, 0), (8,)]
)
def test_encode_names_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"\(B, 3, H, W\)") as raised:
        make().encode(torch.zeros(shape))
    assert str(shape) in str(raised.value)
    assert isinstance(raised.value, AdaINKitError)


@torch.no_grad()
def test_a_mixed_model_rounds_the_decoder_but_its_last_layer_and_the_coarsest_level() -> None:
    model, mixed = make(), make()
    mixed.cast(torch.float32, torch.bfloat16)
    x = torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(1))
    features = mixed.encode(x)
    fine, coarse = model.encode(x)
    assert torch.equal(features[0], fine)
    assert features[1].dtype == torch.bfloat16
    assert 0 < (features[1] - coarse).abs().mean() < 0.01 * coarse.std()
    kinds = [{p.dtype for p in layer.parameters()} for layer in mixed.encoder.layers]
    assert kinds == [set(), {torch.float32}, {torch.float32}, {torch.bfloat16}]
    assert {p.dtype for p in mixed.decoder.layers[:-1].parameters()} == {torch.bfloat16}
    for own, other in zip(mixed.decoder.layers[-1].parameters(), model.decoder.layers[-1].parameters(), strict=True):
        assert torch.equal(own, other)
    entered = []
    mixed.decoder.layers[0].register_forward_hook(lambda _, given, __: entered.append(given[0].dtype))
    result, exact = mixed.decode(features, identity(features)), model.decode((fine, coarse), identity(features))
    assert entered == [torch.bfloat16]
    assert result.dtype == torch.float32
    assert (result - exact).abs().mean() < 0.02 * exact.std()


def test_a_model_needs_neither_torch_s_compiler_nor_torchvision() -> None:
    """The compiler took a second and 150 MB, for random numbers that no tensor kept."""
    code = (
        "import sys, adainkit; adainkit.Stylizer(device='cpu'); adainkit.Style, adainkit.AdaINModel\n"
        "print({'torch._dynamo', 'torchvision'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr
