"""Putting the plug-ins into GIMP and Krita and the node pack into ComfyUI, and taking them out again."""
