"""3D models in the style of a painting: their color textures, and nothing else of them.

`stylize_model3d(source, target, style)` is the verb. From the file to the picture and back: `files` (what a model may
read and write), `glb`, `accessors`, `slots` and `gltf` (glTF 2.0), `obj` (OBJ and MTL), `scene` (what the two have in
common), `geometry` (triangles), `uvs` (which texels they use), `layers` (islands that clash), `seams` (edges that the
unwrapping cut), `texture` (pictures and their surroundings), `canvas` (what the network gets of one), `run` (the verb).
"""

from .run import stylize_model3d

__all__ = ["stylize_model3d"]
