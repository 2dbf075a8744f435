"""The strips and tiles of a TIFF: from their bytes to samples, never more of them than the file says there are."""

from __future__ import annotations

import lzma
import zlib
from typing import Any

import numpy as np

__all__ = ["can_decode", "rows_of", "segment_sides"]

_DEFLATE, _LZMA, _PACKBITS = (8, 32946), 34925, 32773
_OWN = (1, *_DEFLATE, _LZMA)  # what is unpacked here, with a bound on what comes out


def segment_sides(page: Any) -> tuple[int, int]:
    """Height and width of a page's strips or tiles; `page` is tifffile's."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def can_decode(page: Any) -> str:
    """Why a page's segments cannot be decoded, with what would help; empty if they can."""
    if _is_own(page):
        return ""
    try:
        page.decode(None, 0)  # nothing to decode: what is asked is whether there is a codec
    except (ValueError, NotImplementedError, AttributeError) as error:
        remedy = "; run pip install imagecodecs" if "imagecodecs" in str(error) else ""
        return f"tifffile cannot decode it ({error}){remedy}"
    if page.compression not in (1, _PACKBITS):  # without imagecodecs nothing bounds what a codec puts out
        try:
            import imagecodecs  # noqa: F401
        except ImportError:
            return "its compression needs imagecodecs; run pip install imagecodecs"
    return ""


def rows_of(page: Any, top: int, bottom: int) -> np.ndarray[Any, Any]:
    """Rows of a page, ``(bottom - top, width, samples)``, of the type that it has; many kinds of errors if damaged.

    The strips or tiles that meet them are decoded one at a time. What a sparse file lacks is 0.
    """
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    rows = np.zeros((bottom - top, page.imagewidth, page.samplesperpixel), page.dtype.newbyteorder("="))
    high, wide = segment_sides(page)
    across, down = -(-page.imagewidth // wide), -(-page.imagelength // high)
    for plane in range(planes):
        samples = slice(plane, plane + 1) if planes > 1 else slice(None)
        for place in range(top // high * across, -(-bottom // high) * across):
            index = plane * across * down + place
            if index >= len(page.databytecounts):
                raise EOFError(f"the file has no strip or tile {index}")
            if not page.databytecounts[index]:
                continue
            first, left = place // across * high, place % across * wide
            low, end = max(top, first), min(bottom, first + high, page.imagelength)
            part = _part(page, index, low - first, end - first)[:, : page.imagewidth - left]
            rows[low - top : end - top, left : left + part.shape[1], samples] = part
    return rows


def _part(page: Any, index: int, start: int, stop: int) -> np.ndarray[Any, Any]:
    """Rows of a segment, ``(stop - start, width, samples)``; of plain ones just these are read."""
    if not _is_own(page):
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.compression in (6, 7) else {}
        part, _, _ = page.decode(_bytes(page, index), index, **tables)
        found: np.ndarray[Any, Any] = part[0, start:stop]
        return found
    high, wide = segment_sides(page)
    samples = 1 if page.planarconfig == 2 else page.samplesperpixel
    row = wide * samples * page.dtype.itemsize
    if page.compression == 1 and page.predictor == 1:
        data, start, stop = _bytes(page, index, start * row, (stop - start) * row), 0, stop - start
    else:
        data = _unpacked(page, _bytes(page, index), high * row)
    if len(data) < stop * row:
        raise EOFError(f"the strip or tile {index} ends before its last row")
    data = data[start * row : stop * row]
    stored = page.dtype.newbyteorder(page.parent.byteorder)
    if page.predictor == 3:
        return _from_float_differences(data, stop - start, wide, samples, page.dtype)
    values = np.frombuffer(data, stored).reshape(stop - start, wide, samples).astype(stored.newbyteorder("="))
    return np.asarray(np.add.accumulate(values, axis=1, dtype=values.dtype)) if page.predictor == 2 else values


def _is_own(page: Any) -> bool:
    """Whether a page's segments are decoded here."""
    whole = page.dtype is not None and page.bitspersample == page.dtype.itemsize * 8
    kind = page.dtype.kind if whole else ""
    predictors = {"u": (1, 2), "i": (1, 2), "f": (1, 3)}.get(kind, ())
    return page.compression in _OWN and page.fillorder == 1 and page.predictor in predictors and not page.is_subsampled


def _unpacked(page: Any, data: bytes, most: int) -> bytes:
    if page.compression in _DEFLATE:
        return zlib.decompressobj().decompress(data, most)
    if page.compression == _LZMA:
        return lzma.LZMADecompressor().decompress(data, most)
    return data


def _from_float_differences(
    data: bytes, high: int, wide: int, samples: int, kind: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """TIFF's predictor 3 (Adobe, TIFF Technical Note 3): rows of bytes, the highest of all numbers first, as steps."""
    steps = np.frombuffer(data, np.uint8).reshape(high, -1, samples)
    planes = np.add.accumulate(steps, axis=1, dtype=np.uint8).reshape(high, kind.itemsize, wide * samples)
    whole = np.ascontiguousarray(planes.transpose(0, 2, 1))
    return np.asarray(whole.view(kind.newbyteorder(">")).reshape(high, wide, samples))


def _bytes(page: Any, index: int, start: int = 0, count: int | None = None) -> bytes:
    handle = page.parent.filehandle
    expected = page.databytecounts[index] if count is None else count
    handle.seek(page.dataoffsets[index] + start)
    data: bytes = handle.read(expected)
    if len(data) < expected:
        raise EOFError(f"the file ends within its strip or tile {index}")
    return data
