"""Films in a style: any clip in, any clip out, steady, with its sound.

`stylize_film(stylizer, source, target, style)` is the verb behind `Stylizer.stylize_film`. From the file to the picture
and back: `library` (PyAV and its errors), `clip` (what a film is here), `video`, `pictures` and `source` (reading),
`colors`, `scenes` (cuts), `statistics` (of each frame), `timeline` (style and strength over time), `quiet` (without
noise), `steady` (blending along the motion), `crew` (frames side by side), `painting` (the network), `codecs`, `parts`,
`segments` and `joining` (writing), `sinks`, `guard` (what is not replaced), `plan` (what a run goes on with),
`preview`, `run`.
"""

from .run import stylize_film

__all__ = ["stylize_film"]
