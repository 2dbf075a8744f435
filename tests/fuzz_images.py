"""Mutated pictures through the door: `python tests/fuzz_images.py --count 10000`, every night; 500 in the suite.

Whatever the bytes are, there is a picture or an `AdaINKitError`, soon and in bounded memory.
"""

from __future__ import annotations

import argparse
import io
import logging
import resource
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adainkit.errors import AdaINKitError
from adainkit.images import close_image, open_image, open_strips, save_image

MAX_PIXELS = 1 << 20
SECONDS = 5.0  # for one picture; a busy machine has room in it
MEGABYTES = 500  # more than before, at most, whatever a header claims


def _pixels() -> np.ndarray:
    y, x = np.mgrid[0:40, 0:48]
    return np.stack([x * 5, y * 6, x + y, 255 - x * 2], 2).astype(np.uint8)


def _encoded(kind: str, array: np.ndarray | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_pixels() if array is None else array).save(stream, kind, **options)
    return stream.getvalue()


def _rich(suffix: str, deep: bool = False) -> bytes:
    """A file with everything that is kept of one."""
    from tempfile import TemporaryDirectory

    exif = Image.Exif()
    exif[274], exif[315] = 6, "Ann"
    exif[34665] = {36867: "2024:01:02 03:04:05"}
    info = {
        "exif": exif.tobytes(),
        "xmp": b"<rdf:RDF></rdf:RDF>",
        "iptc": b"\x1c\x02\x19\x00\x01a",
        "dpi": (72.0, 72.0),
    }
    info["texts"] = {"Author": "Ann"}  # type: ignore[assignment]
    array = _pixels()[:, :, :3].astype(np.uint16) * 257 if deep else _pixels()[:, :, :3]
    with TemporaryDirectory() as folder:
        return save_image(array, Path(folder) / f"a{suffix}", info=info, record={"a": 1}).read_bytes()


def seeds(kind: str) -> list[bytes]:
    """Whole files of a kind to start from; none where this Pillow, or a package of an extra, lacks it."""
    Image.init()
    if kind in ("AVIF", "WEBP") and kind not in Image.SAVE:
        return []
    if kind == "HEIF":
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            return []
        return [_rich(".heic")]
    rgb, rgba = _pixels()[:, :, :3], _pixels()
    frames = [Image.fromarray(rgb), Image.fromarray(rgb[::-1].copy())]
    if kind == "PNG":
        palette = Image.fromarray(rgb).quantize(16)
        stream = io.BytesIO()
        palette.save(stream, "PNG", bits=4, transparency=3)
        cicp = _encoded("PNG")
        body = b"cICP" + bytes([9, 16, 0, 1])
        cicp = cicp[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + cicp[33:]
        return [_rich(".png"), _rich(".png", True), _encoded("PNG", rgba), stream.getvalue(), cicp]
    if kind == "TIFF":
        found = [_rich(".tif"), _encoded("TIFF", rgba), _encoded("TIFF", rgb, compression="tiff_lzw")]
        try:
            import tifffile
        except ImportError:
            return found
        deep = (rgba.astype(np.uint16) * 257)[:, :, :3]
        for options in (
            {"photometric": "rgb", "compression": "zlib", "predictor": True, "tile": (16, 16)},
            {"photometric": "rgb", "planarconfig": "separate"},
        ):
            stream = io.BytesIO()
            tifffile.imwrite(stream, deep.transpose(2, 0, 1) if "planarconfig" in options else deep, **options)
            found.append(stream.getvalue())
        return [*found, _rich(".tif", True)]
    if kind == "GIF":
        stream = io.BytesIO()
        frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
        return [stream.getvalue(), _encoded("GIF", rgb)]
    if kind == "JPEG":
        stream = io.BytesIO()
        frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
        cmyk = io.BytesIO()
        frames[0].convert("CMYK").save(cmyk, "JPEG")
        return [_rich(".jpg"), stream.getvalue(), cmyk.getvalue(), _encoded("JPEG", rgb, progressive=True)]
    return [_rich({"WEBP": ".webp", "AVIF": ".avif"}[kind]), _encoded(kind, rgba)]


KINDS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF", "HEIF")


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """The file with some bytes, numbers or parts of it changed; a PNG's checksums are mended most of the time."""
    out = bytearray(data)
    head = min(len(out), 1000)
    for _ in range(int(random.integers(1, 5))):
        at = int(random.integers(0, head if random.random() < 0.7 else len(out)))
        what = random.integers(6)
        if what == 0:
            out[at] = int(random.integers(256))
        elif what == 1:
            out[at] ^= 1 << int(random.integers(8))
        elif what == 2:
            number = random.choice([0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 65536, 40000])
            out[at : at + 4] = struct.pack(random.choice(["<I", ">I"]), int(number))
        elif what == 3:
            del out[at : at + int(random.integers(1, 64))]
        elif what == 4:
            out[at:at] = out[at : at + int(random.integers(1, 64))]
        else:
            del out[max(at, 16) :]
        if not out:
            out = bytearray(data)
        head = min(len(out), 1000)
    return _checked(bytes(out)) if out[:4] == b"\x89PNG" and random.random() < 0.8 else bytes(out)


def _checked(data: bytes) -> bytes:
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        if at + 12 + size > len(data):
            break
        part = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + part + struct.pack(">I", zlib.crc32(part))
        at += 12 + size
    return bytes(out) + data[at:]


def through_the_door(data: bytes, scratch: Path) -> str:
    """Open the bytes as a picture and as windows of a file, and write what comes of it: "result" or "refused"."""
    try:
        picture = open_image(data, max_pixels=MAX_PIXELS)
        result = close_image(picture.rgb, picture, deep=True)
        save_image(result, scratch / "out.tif" if picture.pixels % 2 else scratch / "out.jpg", info=picture.info)
        (scratch / "in").write_bytes(data)
        with open_strips(scratch / "in", max_pixels=MAX_PIXELS, limit=1 << 22) as strips:
            strips.window(0, min(8, strips.height), 0, strips.width)
    except AdaINKitError:
        return "refused"
    return "result"


def fuzz(kind: str, count: int, seed: int, scratch: Path, tell: Callable[[str], object] = print) -> dict[str, int]:
    """`count` mutated files of a kind; what became of them. What breaks the promise is kept in `scratch` and raised."""
    random = np.random.default_rng(seed)
    whole = seeds(kind)
    found = {"result": 0, "refused": 0}
    if not whole:
        return found
    for data in whole:  # so that what is loaded once does not count
        through_the_door(data, scratch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        data = mutated(whole[number % len(whole)], random)
        started = time.monotonic()
        try:
            found[through_the_door(data, scratch)] += 1
            took = time.monotonic() - started
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if took > SECONDS or grown > MEGABYTES:
                raise AssertionError(f"{took:.1f} s, {grown:.0f} MB more")
        except BaseException as error:
            kept = scratch / f"{kind.lower()}-{seed}-{number}.bin"
            kept.write_bytes(data)
            tell(f"{kept}: {type(error).__name__}: {error}")
            raise
    return found


def main() -> int:
    """Fuzz every kind, and print what became of the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--scratch", type=Path, default=Path("fuzzed"), help="folder for what breaks the promise")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    logging.getLogger("adainkit").setLevel(logging.CRITICAL)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for kind in args.kinds:
        started = time.monotonic()
        found = fuzz(kind, args.count, args.seed, args.scratch)
        sys.stdout.write(f"{kind}: {found}, {time.monotonic() - started:.0f} s\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
