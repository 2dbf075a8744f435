"""3D models in the style of a painting: their color textures, and nothing else of them.

`stylize_model3d(source, target, style)` is the verb. From the file to the picture and back: `files` (what a model may
read and write), `glb`, `accessors`, `slots` and `gltf` (glTF 2.0), `obj` (OBJ and MTL), `scene` (what the two have in
common), `uvs` (which texels triangles use), `seams` (edges that the unwrapping cut), `texture` (pictures and their
surroundings), `run` (the verb).
"""

from .run import stylize_model3d

__all__ = ["stylize_model3d"]
