"""TIFF by tifffile: rows of a large file without the rest of it, and writers for what Pillow cannot write."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, Any

import numpy as np
from PIL import Image

from ..errors import ImageError

__all__ = ["TiffReader", "need_tifffile", "open_tiff", "write_tiff16", "write_tiff_rows"]

_log = logging.getLogger("adainkit")

_ORIENTATION = 274  # EXIF's, which is a tag of TIFF itself; 1 is upright
_PROFILE = 34675
_PLAIN = (0, 1, 2, 5)  # PhotometricInterpretation: gray (0: white is zero), RGB, CMYK; not palette, YCbCr, Lab
_TEXT_TAGS = (270, 271, 272, 305, 306, 315, 33432)  # description, maker, model, program, date, artist, rights
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

    def __init__(self, file: Any, header: Image.Image) -> None:
        self._file, self._page = file, file.pages[0]
        self._deep = self._page.bitspersample == 16
        self._mode = "I;16" if header.mode.startswith("I;16") else header.mode
        self._raw = str(_tiles(header)[0][3][0]).partition(";16")[0]  # Pillow's name for how the samples lie
        self._profile = header.info.get("icc_profile")
        self._top, self._rows = 0, np.empty((0, 0, 0), np.uint8)

    def cut(self, top: int, bottom: int, left: int, right: int) -> tuple[Image.Image, Image.Image | None]:
        """A window as Pillow would decode it, and for 16-bit color one with the low bytes. Many kinds of errors."""
        if top < self._top or bottom > self._top + len(self._rows):
            self._top, self._rows = top, self._read(top, bottom)
        data = self._rows[top - self._top : bottom - self._top, left:right].tobytes()
        if not self._deep or self._mode == "I;16":
            return self._image(data, left, right, "I;16" if self._deep else self._raw), None
        low = self._raw in ("RGB", "RGBX", "RGBA")  # by the high bytes, and turned around by the low ones
        high = self._image(data, left, right, f"{self._raw};16L")
        return high, self._image(data, left, right, f"{self._raw};16B") if low else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _image(self, data: bytes, left: int, right: int, raw: str) -> Image.Image:
        width = right - left
        bytes_per_row = width * self._page.samplesperpixel * (2 if self._deep else 1)
        image = Image.frombytes(self._mode, (width, len(data) // bytes_per_row), data, "raw", raw)
        if self._profile:
            image.info["icc_profile"] = self._profile
        return image

    def _read(self, top: int, bottom: int) -> np.ndarray[Any, Any]:
        """Rows of the whole width, `(rows, width, samples)`: the strips or tiles that meet them, one at a time."""
        page, whole = self._page, slice(None)
        kind = np.dtype("<u2" if self._deep else "u1")
        rows = np.zeros((bottom - top, page.imagewidth, page.samplesperpixel), kind)  # what a sparse file lacks is 0
        high, wide = _segment_sides(page)
        across = -(-page.imagewidth // wide)
        for index in range(top // high * across, -(-bottom // high) * across):
            first, left = index // across * high, index % across * wide
            low, end = max(top, first), min(bottom, first + high, page.imagelength)
            if not page.databytecounts[index]:
                continue
            if page.is_tiled or page.compression != 1:
                part, _, _ = page.decode(self._bytes(index), index, **self._tables())
                part = part[0, low - first : end - first, : page.imagewidth - left]
            else:  # plain rows: of a strip as large as the picture just those that are asked for
                size = page.imagewidth * page.samplesperpixel * kind.itemsize
                stored = kind.newbyteorder(page.parent.byteorder)
                data = self._bytes(index, (low - first) * size, (end - low) * size)
                part = np.frombuffer(data, stored).reshape(end - low, *rows.shape[1:])
            rows[low - top : end - top, left : left + part.shape[1], whole] = part
        return rows

    def _bytes(self, index: int, start: int = 0, count: int | None = None) -> bytes:
        handle = self._page.parent.filehandle
        expected = self._page.databytecounts[index] if count is None else count
        handle.seek(self._page.dataoffsets[index] + start)
        data: bytes = handle.read(expected)
        if len(data) < expected:
            raise EOFError(f"the file ends within its strip or tile {index}")
        return data

    def _tables(self) -> dict[str, Any]:
        jpeg = self._page.compression in (6, 7)
        return {"jpegtables": self._page.jpegtables, "jpegheader": self._page.jpegheader} if jpeg else {}


def open_tiff(path: str | os.PathLike[str], header: Image.Image, limit: int) -> TiffReader | None:
    """A reader of windows, or None where only Pillow can read this TIFF, and whole: a logged line says why.

    `header` is what Pillow knows of the file before it decodes; a segment may take `limit` bytes. Striped or tiled,
    classic or BigTIFF, 8 or 16 bits, gray, RGB or CMYK, with alpha or without, in any compression that tifffile has.
    Many kinds of errors for a damaged file.
    """
    file = need_tifffile("a TIFF that is too large for the memory").TiffFile(path)
    try:
        why = _unfit(file.pages[0], header, limit)
        if not why:
            return TiffReader(file, header)
    except BaseException:
        file.close()
        raise
    file.close()
    _log.warning("%s: is decoded whole, as %s", os.fspath(path), why)
    return None


def _unfit(page: Any, header: Image.Image, limit: int) -> str:
    """Why a page cannot be read a segment at a time; empty if it can."""
    bits, upright = page.bitspersample, page.tags.get(_ORIENTATION)
    high, wide = _segment_sides(page)
    if (page.imagewidth, page.imagelength, page.imagedepth) != (*header.size, 1) or not _tiles(header):
        return "tifffile and Pillow disagree about its size"
    if upright is not None and upright.value != 1:
        return "its orientation turns it; save it upright to have it read in strips"
    if page.planarconfig != 1 and page.samplesperpixel > 1:
        return "its color planes are separate; save it with the samples of a pixel side by side"
    if bits not in (8, 16) or page.sampleformat != 1 or page.photometric not in _PLAIN or page.fillorder != 1:
        return "it is neither gray, RGB nor CMYK of 8 or 16 bits"
    if (page.is_tiled or page.compression != 1) and high * wide * page.samplesperpixel * bits // 8 > limit:
        return f"its strips or tiles of {wide} x {high} pixels are too large; save it in smaller ones"
    try:
        page.decode(None, 0)  # nothing to decode: what is asked is whether there is a codec
    except (ValueError, NotImplementedError) as error:
        remedy = "; run pip install imagecodecs" if "imagecodecs" in str(error) else ""
        return f"tifffile cannot decode it ({error}){remedy}"
    return ""


def _tiles(header: Image.Image) -> list[Any]:
    """How Pillow would decode it: codec, extents, offset and arguments of each part."""
    return getattr(header, "tile", [])


def _segment_sides(page: Any) -> tuple[int, int]:
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


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
    exif = Image.Exif()
    exif.load(info.get("exif", b""))
    # tifffile writes no EXIF folder: what it can keep are the texts
    tags: list[Any] = [(tag, 2, 0, exif[tag], True) for tag in _TEXT_TAGS if isinstance(exif.get(tag), str)]
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
