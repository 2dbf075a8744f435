"""Putting the plug-in into GIMP and the node pack into ComfyUI, and taking them out again."""
