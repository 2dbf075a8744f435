"""OBJ models with their MTL files, as a `Model`: the pictures of `map_Kd`, and the files with others in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import Model3DError
from .files import Folder
from .scene import Floats, Surface, Texture, Wrap
from .texture import picture_type

__all__ = ["ObjModel"]

_OPTION = re.compile(
    r"\s*-(?:(?P<triple>o|s|t)(?P<numbers>(?:\s+[-+]?[\d.]+(?:[eE][-+]?\d+)?){1,3})"
    r"|(?P<flag>blendu|blendv|cc|clamp)\s+(?P<state>on|off)|mm\s+\S+\s+\S+|(?:boost|texres|bm|imfchan|type)\s+\S+)(?=\s)"
)
_MAP = re.compile(r"^\s*(?P<what>map_\w+|bump|disp|decal|refl|norm)(?P<rest>\s+\S.*?)\s*$")


@dataclass(frozen=True)
class _Map:
    """A line of an MTL file that names a picture, and where its coordinates are scaled and moved to."""

    what: str
    name: str
    clamp: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


class ObjModel:
    """An OBJ file; `emissive` adds the pictures of `map_Ke`. `Model3DError` for a damaged one."""

    def __init__(self, path: Path, *, emissive: bool = False) -> None:
        self._path, self._folder, self.notes = path, Folder(path.parent), list[str]()
        self._data = path.read_bytes()
        lines = [line.split(None, 1) for line in _lines(self._data)]
        self._libraries = _libraries(self._folder, [line[1] for line in lines if line[0] == "mtllib" and line[1:]])
        self._colors = {"map_kd", "map_ke"} if emissive else {"map_kd"}
        self.textures: list[Texture] = []
        self._files: list[str] = []  # of each texture
        materials = self._find_pictures()
        self.surfaces = _read_surfaces(lines, materials) if self.textures else []

    def _find_pictures(self) -> dict[str, list[tuple[int, _Map]]]:
        """Fill `textures` and `notes`; by material, the textures and how they lie."""
        materials: dict[str, list[tuple[int, _Map]]] = {}
        indices: dict[Path, int | None] = {}
        for text in self._libraries.values():
            current: list[tuple[int, _Map]] = []
            for line in _lines(text):
                words = line.split(None, 1)
                if words[0] == "newmtl":
                    current = materials.setdefault(words[1] if words[1:] else "", [])
                elif (found := _parse_map(line)) and found.what in self._colors:
                    place = self._folder.place(found.name, quoted=False)
                    if place not in indices:
                        indices[place] = self._add(found)
                    index = indices[place]
                    if index is not None:
                        current.append((index, found))
        return materials

    def _add(self, found: _Map) -> int | None:
        data = self._folder.read(found.name, quoted=False)
        if picture_type(data) is None:
            self.notes.append(f"{found.name} is left as it is: only PNG, JPEG and WebP are painted")
            return None
        wrap: Wrap = "clamp" if found.clamp else "repeat"
        self.textures.append(Texture(found.name, data, (wrap, wrap)))
        self._files.append(found.name)
        return len(self.textures) - 1

    def files(self, target: Path, pictures: Mapping[int, bytes]) -> dict[Path, bytes]:
        """As `Model.files`. All files keep their names, so `target` must be in another folder.

        A picture that other lines name too, as a bump map say, stays, and the painted one stands beside it as
        `NAME-color`.
        """
        beside = Folder(target.parent)
        if beside.path == self._folder.path:
            raise Model3DError("its materials and pictures are files that keep their names; choose another folder")
        kept = {found.name: found for found in self._maps() if found.what not in {*self._colors, "map_ka", "map_d"}}
        places = {self._folder.place(name, quoted=False) for name in kept}
        renamed = {}
        out = {target: self._data}
        for index, data in pictures.items():
            name = self._files[index]
            if self._folder.place(name, quoted=False) in places:
                stem, dot, suffix = name.rpartition(".")
                renamed[name] = f"{stem}-color{dot}{suffix}"
            out[beside.place(renamed.get(name, name), quoted=False)] = data
        for found in self._maps():
            place = beside.place(found.name, quoted=False)
            if place not in out:
                out[place] = self._folder.read(found.name, quoted=False)
        for name, text in self._libraries.items():
            out[beside.place(name, quoted=False)] = self._with_names(text, renamed)
        return out

    def _maps(self) -> Iterator[_Map]:
        for text in self._libraries.values():
            yield from filter(None, map(_parse_map, _lines(text)))

    def _with_names(self, text: bytes, renamed: Mapping[str, str]) -> bytes:
        """An MTL file with other names of pictures in its color lines, else byte for byte."""
        if not renamed:
            return text
        lines = text.splitlines(keepends=True)
        for number, line in enumerate(lines):
            found = _parse_map(line.decode("utf-8", "surrogateescape"))
            if found and found.what in self._colors and found.name in renamed:
                old, new = (name.encode("utf-8", "surrogateescape") for name in (found.name, renamed[found.name]))
                head, _, tail = line.rpartition(old)
                lines[number] = head + new + tail
        return b"".join(lines)


def _lines(data: bytes) -> Iterator[str]:
    """The lines that say something, without comments; a backslash at the end of a line joins it to the next."""
    for line in data.decode("utf-8", "surrogateescape").replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def _libraries(folder: Folder, named: list[str]) -> dict[str, bytes]:
    """The MTL files by name: a line names one, with spaces perhaps, or several."""
    found = {}
    for text in named:
        name = text.strip()
        several = [name] if folder.place(name, quoted=False).is_file() else name.split()
        found.update({each: folder.read(each, quoted=False) for each in several})
    return found


def _parse_map(line: str) -> _Map | None:
    match = _MAP.match(line)
    if match is None:
        return None
    rest, facts = match["rest"], {"clamp": False}
    numbers: dict[str, tuple[float, float]] = {"s": (1.0, 1.0), "o": (0.0, 0.0)}
    while option := _OPTION.match(rest):
        rest = rest[option.end() :]
        if option["triple"]:
            given = [float(number) for number in option["numbers"].split()]
            default = numbers.get(option["triple"], (0.0, 0.0))
            numbers[option["triple"]] = (given[0], given[1] if len(given) > 1 else default[1])
        elif option["flag"] == "clamp":
            facts["clamp"] = option["state"] == "on"
    return _Map(match["what"].lower(), rest.strip(), facts["clamp"], numbers["s"], numbers["o"])


def _read_surfaces(lines: list[list[str]], materials: Mapping[str, list[tuple[int, _Map]]]) -> list[Surface]:
    """The triangles of each use of a material; faces of more corners are fans of them."""
    positions: list[list[float]] = []
    coordinates: list[list[float]] = []
    faces: dict[str, list[tuple[tuple[int, int], ...]]] = {}
    material = ""
    for words in lines:
        what, rest = words[0], words[1] if words[1:] else ""
        if what == "v":
            positions.append([float(number) for number in rest.split()[:3]])
        elif what == "vt":
            pair = [float(number) for number in rest.split()[:2]]
            coordinates.append([pair[0], pair[1] if pair[1:] else 0.0])
        elif what == "usemtl":
            material = rest.strip()
        elif what == "f" and materials.get(material):
            corners = [_corner(text, len(positions), len(coordinates)) for text in rest.split()]
            if all(corner is not None for corner in corners):
                known = [corner for corner in corners if corner is not None]
                fans = faces.setdefault(material, [])
                fans += [(known[0], known[i], known[i + 1]) for i in range(1, len(known) - 1)]
    points, flat = np.array(positions, np.float64), np.array(coordinates, np.float64)
    if not (np.isfinite(points).all() and np.isfinite(flat).all()):
        raise Model3DError("positions and texture coordinates must be finite, got NaN or infinity")
    surfaces = []
    for name, triangles in faces.items():
        index = np.array(triangles, np.int64).reshape(-1, 3, 2)
        for texture, lies in materials[name]:
            surfaces.append(Surface(texture, 0, points[index[:, :, 0]], _laid(flat[index[:, :, 1]], lies)))
    return surfaces


def _corner(text: str, positions: int, coordinates: int) -> tuple[int, int] | None:
    """The indices, from 0, of `v/vt`; None without coordinates. `Model3DError` for indices that name nothing."""
    parts = text.split("/")
    if len(parts) < 2 or not parts[1]:
        return None
    found = []
    for part, count in ((parts[0], positions), (parts[1], coordinates)):
        number = int(part)
        index = number - 1 if number > 0 else count + number
        if not 0 <= index < count:
            raise Model3DError(f"a face names {text!r}, after {positions} positions and {coordinates} coordinates")
        found.append(index)
    return found[0], found[1]


def _laid(uv: Floats, lies: _Map) -> Floats:
    """v downwards, as in a picture."""
    moved = uv * np.array(lies.scale) + np.array(lies.offset)
    moved[..., 1] = 1 - moved[..., 1]
    result: Floats = moved
    return result
