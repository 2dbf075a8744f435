"""Nodes for the tests of a real server: images that no core node makes, a model short of memory, and what came out."""

import torch


class ProbeImage:
    """Images of a kind, random where they are anything."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "run", "probe"

    @classmethod
    def INPUT_TYPES(cls):
        number = {"default": 1, "min": 0, "max": 100000}
        return {
            "required": {
                "kind": (["rgb", "rgba", "half", "nan", "empty"],),
                "count": ("INT", number),
                "height": ("INT", number),
                "width": ("INT", number),
                "seed": ("INT", {"default": 0}),
            }
        }

    def run(self, kind, count, height, width, seed):
        generator = torch.Generator().manual_seed(seed)
        channels = 4 if kind == "rgba" else 3
        image = torch.rand(0 if kind == "empty" else count, height, width, channels, generator=generator)
        if kind == "nan":
            image[0, 0, 0, 0] = float("nan")
        return (image.half() if kind == "half" else image,)


class ProbeEncoder:
    """The model, of which every encoder pass is counted, and more than `most` pixels at once do not fit into memory."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("ADAIN_MODEL",), "run", "probe"
    passes = refused = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("ADAIN_MODEL",), "most": ("INT", {"default": 0, "max": 1 << 30})}}

    def run(self, model, most):
        def check(module, inputs):
            ProbeEncoder.passes += 1
            if most and inputs[0].shape[-1] * inputs[0].shape[-2] > most:
                ProbeEncoder.refused += 1
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")

        encoder = model.stylizer.model.encoder
        encoder._forward_pre_hooks.clear()
        encoder.register_forward_pre_hook(check)
        ProbeEncoder.passes = ProbeEncoder.refused = 0
        return (model,)


class ProbeResult:
    """What images are: shape, dtype, whether finite, how far from others at most; encoder passes, and refused ones."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "run", "probe", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "optional": {"other": ("IMAGE",)}}

    def run(self, image, other=None):
        finite = all(bool(one.isfinite().all()) for one in image)  # one by one: memory is measured meanwhile
        away = -1.0 if other is None else float((image.float() - other.float()).abs().max())
        counts = [ProbeEncoder.passes, ProbeEncoder.refused]
        ProbeEncoder.passes = ProbeEncoder.refused = 0
        return {"ui": {"facts": [list(image.shape), str(image.dtype), finite, away, *counts]}}


class ProbeModel:
    """Which model object came, to tell whether it was loaded again."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "run", "probe", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("ADAIN_MODEL",), "seed": ("INT", {"default": 0})}}

    def run(self, model, seed):
        return {"ui": {"facts": [id(model), str(model.stylizer.device)]}}


NODE_CLASS_MAPPINGS = {c.__name__: c for c in (ProbeImage, ProbeEncoder, ProbeResult, ProbeModel)}
