"""TIFF by tifffile: rows of a large file without the rest of it, and writers for what Pillow cannot write."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, Any, Literal

import numpy as np
from PIL import Image

from ..errors import ImageError
from .deep import Deep
from .ifd import read_directory, read_header
from .packing import append_facts
from .segments import can_decode, rows_of, segment_sides

__all__ = [
    "TiffReader",
    "is_simple",
    "kind_of_tiff",
    "need_tifffile",
    "open_tiff",
    "read_deep",
    "write_tiff16",
    "write_tiff_rows",
]

_log = logging.getLogger("adainkit")

_ORIENTATION = 274  # EXIF's, which is a tag of TIFF itself; 1 is upright
_PROFILE = 34675
_BASES: dict[int, Literal["gray", "rgb", "cmyk"]] = {0: "gray", 1: "gray", 2: "rgb", 5: "cmyk"}  # by photometric
_SAMPLES = {"gray": 1, "rgb": 3, "cmyk": 4}
_MOST_SAMPLES = 64  # of a pixel; more are a damaged file, or a stack of measurements
_COLORS = {0: "gray, white is zero", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# What the offsets of a classic TIFF reach is 4 GiB; 32 MiB of it for the tables of strips, and for what does not
# compress.
_CLASSIC_LIMIT = (1 << 32) - (1 << 25)


def need_tifffile(what: str) -> Any:
    """The module tifffile. `ImageError` with the remedy where it is missing; `what` needs it."""
    try:
        import tifffile
    except ImportError as error:
        raise ImageError(f'{what} needs tifffile: run pip install "adainkit[tiff]", or use PNG') from error
    return tifffile


class TiffReader:
    """Windows of a TIFF's first picture, as `open_tiff` found it. Holds the rows of the last window and no more."""

    def __init__(self, file: Any, header: Image.Image | None) -> None:
        self._file, self._page, self._header = file, file.pages[0], header
        profile = self._page.tags.get(_PROFILE)
        self._profile = None if profile is None else bytes(profile.value)
        self._deep = header is None or self._page.bitspersample > 8
        self._top, self._rows = 0, np.empty((0, 0, 0), np.uint8)

    def cut(self, top: int, bottom: int, left: int, right: int) -> Image.Image | Deep:
        """A window as Pillow would decode it, or as `Deep`. Many kinds of errors."""
        if top < self._top or bottom > self._top + len(self._rows):
            self._top, self._rows = top, rows_of(self._page, top, bottom)
        rows = self._rows[top - self._top : bottom - self._top, left:right]
        return self.deep(rows) if self._deep else self._image(rows)

    def whole(self) -> Deep:
        """The whole picture."""
        return self.deep(rows_of(self._page, 0, self._page.imagelength))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def deep(self, rows: np.ndarray[Any, Any]) -> Deep:
        """Samples as they are stored, as samples at full scale of uint16 or float32."""
        page = self._page
        base = _BASES[page.photometric]
        kept, alpha = _channels(page)
        values = rows[:, :, kept]
        if page.photometric == 0:  # white is zero
            values = values.copy()
            top = 1 if values.dtype.kind == "f" else (1 << page.bitspersample) - 1
            values[:, :, :1] = top - values[:, :, :1]
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        elif page.bitspersample != 16:
            values = (values / ((1 << page.bitspersample) - 1) * 65535).round().astype(np.uint16)
        return Deep(values, base, alpha, profile=self._profile)

    def _image(self, rows: np.ndarray[Any, Any]) -> Image.Image:
        """Samples of 8 bits as the image that Pillow makes of them."""
        assert self._header is not None  # else the samples are deep
        high, wide, samples = rows.shape
        raw = str(_tiles(self._header)[0][3][0])  # Pillow's name for how the samples lie
        image = Image.frombytes(self._header.mode, (wide, high), rows.tobytes(), "raw", raw, wide * samples)
        if self._profile:
            image.info["icc_profile"] = self._profile
        return image


def read_deep(stream: IO[bytes], header: Image.Image | None, name: str) -> Deep | None:
    """The samples of a TIFF that has more than 8 bits, or that Pillow does not know (`header` is None).

    None where Pillow has to read it, as tifffile or a codec of it is missing: the log says so. `ImageError` where
    neither can, with the kind of TIFF that it is; many kinds of errors for a damaged file.
    """
    try:
        tifffile = need_tifffile("a TIFF of this kind")
    except ImageError:
        tifffile = None
    why = ""
    if tifffile is not None:
        stream.seek(0)
        file = tifffile.TiffFile(stream, name="picture")
        page = file.pages[0]
        why = _no_samples(page) or can_decode(page)
        if not why:
            return TiffReader(file, header).whole()
    if header is None:
        missing = '; run pip install "adainkit[tiff]" imagecodecs' if tifffile is None or "codec" in why else ""
        raise ImageError(f"{name}: {kind_of_tiff(stream)}, which cannot be read{why and ': ' + why}{missing}")
    if not is_simple(header):
        remedy = 'run pip install "adainkit[tiff]" to keep them' if tifffile is None else why
        _log.warning("%s: %s, is read with 8 bits: %s", name, kind_of_tiff(stream), remedy)
    return None


def kind_of_tiff(stream: IO[bytes]) -> str:
    """What kind of TIFF it is, in words: samples, bits, what they are and how they lie."""
    header = read_header(stream)
    tags = read_directory(stream, header, header.first, lambda tag: tag in (258, 259, 262, 277, 284, 339))
    bits, samples = tags.integer(258, 1), tags.integer(277, 1)
    number = {1: "integers", 2: "signed integers", 3: "floats"}.get(tags.integer(339, 1), "numbers")
    color = _COLORS.get(tags.integer(262, 1), f"colors of kind {tags.integer(262)}")
    planes = ", in separate planes" if tags.integer(284, 1) == 2 else ""
    return f"a TIFF of {samples} x {bits}-bit {number} ({color}, compression {tags.integer(259, 1)}){planes}"


def is_simple(header: Image.Image) -> bool:
    """Whether Pillow loses nothing of a TIFF: 8 bits or less, 16 bits of gray, and 16-bit RGB(A) as it can be read
    twice."""
    raw = {tile[3][0] for tile in _tiles(header) if isinstance(tile[3], tuple)}
    return all(";16" not in str(mode) or str(mode).split(";")[0] in ("I", "RGB", "RGBX", "RGBA") for mode in raw)


def _no_samples(page: Any) -> str:
    """Why a page is none of gray, RGB or CMYK samples at full scale; empty if it is."""
    if page.photometric not in _BASES or page.imagedepth != 1 or page.dtype is None:
        return "it is neither gray, RGB nor CMYK"
    if page.dtype.kind not in "uf":
        return "it has signed numbers, which have no white; save it unsigned, or as floats from 0 to 1"
    if page.samplesperpixel > _MOST_SAMPLES:
        return f"it has {page.samplesperpixel} samples a pixel"
    if page.samplesperpixel < _SAMPLES[_BASES[page.photometric]]:
        return "it has too few samples"
    return ""


def _channels(page: Any) -> tuple[list[int], Literal["", "straight", "premultiplied"]]:
    """Which samples count, and what the last one of them is if it is alpha."""
    base = _SAMPLES[_BASES[page.photometric]]
    extra = [int(e) for e in page.extrasamples]
    missing = page.samplesperpixel - base - len(extra)
    if missing == 1 and not extra and base == 3:  # as Pillow takes it, and most others
        extra = [2]
    for place, kind in enumerate(extra):
        if kind in (1, 2):
            return [*range(base), base + place], "premultiplied" if kind == 1 else "straight"
    return list(range(base)), ""


def open_tiff(path: str | os.PathLike[str], header: Image.Image | None, limit: int) -> TiffReader | None:
    """A reader of windows, or None where this TIFF can only be read whole: a logged line says why.

    `header` is what Pillow knows of the file before it decodes, None where that is nothing; a segment may take `limit`
    bytes. Striped or tiled, classic or BigTIFF, 8 bits (as Pillow knows them) or more, gray, RGB or CMYK, with alpha or
    without, in any compression that `segments` knows. Many kinds of errors for a damaged file.
    """
    file = need_tifffile("a TIFF that is too large for the memory").TiffFile(path)
    try:
        page = file.pages[0]
        why = _unfit(page, header, limit)
        if not why:
            return TiffReader(file, header)
    except BaseException:
        file.close()
        raise
    file.close()
    _log.warning("%s: is decoded whole, as %s", os.fspath(path), why)
    return None


def _unfit(page: Any, header: Image.Image | None, limit: int) -> str:
    """Why a page cannot be read a segment at a time; empty if it can."""
    bits, upright = page.bitspersample, page.tags.get(_ORIENTATION)
    high, wide = segment_sides(page)
    if header is not None and ((page.imagewidth, page.imagelength) != header.size or not _tiles(header)):
        return "tifffile and Pillow disagree about its size"
    if upright is not None and upright.value != 1:
        return "its orientation turns it; save it upright to have it read in strips"
    if bits <= 8 and page.planarconfig != 1 and page.samplesperpixel > 1:
        return "its color planes are separate; save it with the samples of a pixel side by side"
    if why := _no_samples(page):
        return why
    if bits < 8 or (bits == 8 and (page.sampleformat != 1 or page.fillorder != 1 or header is None)):
        return "it is neither gray, RGB nor CMYK of 8 bits or more"
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    if (page.is_tiled or page.compression != 1) and high * wide * samples * bits // 8 > limit:
        return f"its strips or tiles of {wide} x {high} pixels are too large; save it in smaller ones"
    return can_decode(page)


def _tiles(header: Image.Image) -> list[Any]:
    """How Pillow would decode it: codec, extents, offset and arguments of each part."""
    return getattr(header, "tile", [])


def write_tiff16(array: np.ndarray[Any, Any], stream: IO[bytes], info: Mapping[str, Any]) -> None:
    """A 16-bit RGB or RGBA TIFF, deflated."""
    tifffile = need_tifffile("16-bit color TIFF")
    tifffile.imwrite(stream, array, compression="zlib", **_facts(array.shape[2], info))


def write_tiff_rows(
    rows: Iterator[np.ndarray[Any, Any]],
    path: str | os.PathLike[str],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    strip: int,
    info: Mapping[str, Any],
) -> None:
    """A deflated TIFF of `shape` (height, width, 3 | 4) from its rows in order; the last two parts are kept.

    `rows`: parts whose height is a multiple of `strip`, but for the last one; a part is deflated while the next one is
    made. BigTIFF where 4 GB might not be enough.
    """
    tifffile = need_tifffile("a TIFF that is written strip by strip")
    size = shape[0] * shape[1] * shape[2] * dtype.itemsize
    with (
        tifffile.TiffWriter(path, bigtiff=size > _CLASSIC_LIMIT, byteorder="<") as writer,
        closing(_deflated(rows, dtype, strip)) as packed,
    ):
        writer.write(packed, shape=shape, dtype=dtype, rowsperstrip=strip, compression="zlib", **_facts(shape[2], info))
    with open(path, "r+b") as stream:
        append_facts(stream, info)


def _deflated(rows: Iterator[np.ndarray[Any, Any]], dtype: np.dtype[Any], strip: int) -> Generator[bytes, None, None]:
    """The strips of `rows`, packed by a thread of their own: zlib lets go of Python's lock."""

    def pack(chunk: np.ndarray[Any, Any]) -> bytes:
        return zlib.compress(np.ascontiguousarray(chunk, dtype).data)

    pool = ThreadPoolExecutor(1, thread_name_prefix="adainkit-deflate")
    try:
        before: list[Future[bytes]] = []
        for part in rows:
            now = [pool.submit(pack, part[top : top + strip]) for top in range(0, len(part), strip)]
            while before:
                yield before.pop(0).result()
            before = now
        while before:
            yield before.pop(0).result()
    finally:
        pool.shutdown(cancel_futures=True)  # waits for the strip that it is at


def _facts(channels: int, info: Mapping[str, Any]) -> dict[str, Any]:
    """What tifffile writes besides the samples."""
    tags: list[Any] = []
    if icc := info.get("icc_profile"):  # as a tag: older releases of tifffile have no name for it
        tags.append((_PROFILE, 7, len(icc), icc, True))
    dpi = {"resolution": info["dpi"], "resolutionunit": 2} if info.get("dpi") else {}
    return {
        "photometric": "rgb",
        "extrasamples": ["unassalpha"] if channels == 4 else None,
        "metadata": None,
        "software": False,
        "datetime": False,
        "extratags": tags,
        **dpi,
    }
