"""The one door to the library: the copy beside this folder in a clone, else the installed package."""

if "." in __package__:  # <the pack's folder>.comfyui_nodes: whatever that folder is called, adainkit lies in it, too
    from .. import adainkit
    from ..adainkit.look.controls import CONTROLS
    from ..adainkit.net.demands import activations_per_pixel
    from ..adainkit.store.style_cache import style_key
else:
    import adainkit
    from adainkit.look.controls import CONTROLS
    from adainkit.net.demands import activations_per_pixel
    from adainkit.store.style_cache import style_key

__all__ = ["CONTROLS", "activations_per_pixel", "adainkit", "style_key"]
