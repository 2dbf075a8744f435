"""Shards: many encoded pictures in one file, WebDataset's tar or a Parquet table, read and written piece by piece."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ..errors import AdaINKitError, ImageError
from ..formats import PICTURES

__all__ = ["CHUNK", "Chunk", "Made", "Sample", "Sink", "open_sink", "read_shard"]

CHUNK = 256
"""Samples that are held at once, with their results."""


@dataclass(frozen=True)
class Sample:
    """A picture of a shard: its name with "/" by which its style is chosen, its encoded bytes (None: it has no picture)
    and, of a tar, the other files of the sample, each with its extension."""

    name: str
    data: bytes | None
    others: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Some samples that follow each other and, of a table, their rows."""

    samples: Sequence[Sample]
    rows: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Made:
    """What becomes of the sample at `index` of its chunk: the result's name and bytes; of one that has no picture, None
    and it stays as it is."""

    index: int
    name: str
    data: bytes | None


class Sink(Protocol):
    """Where results go: `write` for each chunk, in order, then `close`."""

    def write(self, chunk: Chunk, made: Sequence[Made]) -> None:
        """Add the results of a chunk."""

    def close(self) -> None:
        """Finish the file."""


def read_shard(path: Path, name: str) -> Iterator[Chunk]:
    """The chunks of the shard in the file `path`, which `name` is told in errors. `ImageError` for a damaged one."""
    kind = _Tables if PurePosixPath(name).suffix.lower() == ".parquet" else _Tar
    try:
        yield from kind.read(path, name)
    except AdaINKitError:
        raise
    except Exception as error:  # what tarfile and pyarrow raise for damage has no common base
        raise ImageError(f"{name}: damaged shard ({type(error).__name__}: {error}); expected a whole one") from error


def open_sink(path: Path, kind: str) -> Sink:
    """A new shard in the file `path`, of the kind "tar" or "parquet"."""
    return _Tables(path) if kind == "parquet" else _Tar(path)


class _Tar:
    """WebDataset: files of one name up to the first dot, one behind the other, are a sample."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - `close` does

    @staticmethod
    def read(path: Path, name: str) -> Iterator[Chunk]:
        """Whole samples; all but files is passed over."""
        held: list[Sample] = []
        files: list[tuple[str, bytes]] = []
        key = None
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                stream = tar.extractfile(member)
                assert stream is not None  # it is a file
                head, extension = _split(member.name)
                if head != key and files:
                    held.append(_sample(str(key), files))
                    files = []
                    if len(held) == CHUNK:
                        yield Chunk(held)
                        held = []
                key = head
                files.append((extension, stream.read()))
        if files:
            held.append(_sample(str(key), files))
        if held:
            yield Chunk(held)

    def write(self, chunk: Chunk, made: Sequence[Made]) -> None:
        """Each result and behind it the other files of its sample, under its name."""
        for each in made:
            sample = chunk.samples[each.index]
            if each.data is not None:
                self._add(each.name, each.data)
            head = _split(each.name)[0]
            for extension, data in sample.others:
                self._add(f"{head}.{extension}" if extension else head, data)

    def _add(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # of no time and nobody: the same pictures are the same bytes
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def close(self) -> None:
        """Write the end of the archive."""
        self._tar.close()


def _split(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and what is behind it."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    head, _, extension = last.partition(".")
    return f"{folder}{slash}{head}", extension


def _sample(key: str, files: Sequence[tuple[str, bytes]]) -> Sample:
    at = next((i for i, (name, _) in enumerate(files) if f".{name.rpartition('.')[2]}".lower() in PICTURES), None)
    if at is None:
        return Sample(key, None, tuple(files))
    return Sample(f"{key}.{files[at][0]}", files[at][1], (*files[:at], *files[at + 1 :]))


class _Tables:
    """Parquet: a column of bytes, or of `{"bytes", "path"}` as Hugging Face's data sets have it; all others stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    @staticmethod
    def read(path: Path, name: str) -> Iterator[Chunk]:
        """Rows in order."""
        file = _parquet(name).ParquetFile(path)
        column = _column(file.schema_arrow, name)
        stem, start = PurePosixPath(name).stem, 0
        for rows in file.iter_batches(batch_size=CHUNK):
            values, names = rows.column(column).to_pylist(), _names(rows, column)
            samples = []
            for number, (value, told) in enumerate(zip(values, names, strict=True), start):
                data, path_of = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
                samples.append(Sample(str(path_of or told or f"{stem}/{number:06d}"), data))
            start += len(samples)
            yield Chunk(samples, rows)

    def write(self, chunk: Chunk, made: Sequence[Made]) -> None:
        """A row for each result: the sample's own with the picture replaced, or one with the picture alone."""
        import pyarrow as pa

        values = [{"bytes": each.data, "path": each.name} for each in made]
        if chunk.rows is None:
            kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
            rows = pa.record_batch([pa.array(values, kind)], names=["image"])
        else:
            rows = chunk.rows.take(pa.array([each.index for each in made], pa.int64()))
            at = _column(rows.schema, "")
            field = rows.schema.field(at)
            cells = values if pa.types.is_struct(field.type) else [each.data for each in made]
            columns = [*rows.columns[:at], pa.array(cells, field.type), *rows.columns[at + 1 :]]
            rows = pa.record_batch(columns, schema=rows.schema)
        if self._writer is None:
            self._writer = _parquet("").ParquetWriter(self._path, rows.schema)
        self._writer.write_batch(rows)

    def close(self) -> None:
        """Write the footer; a table without rows has no columns."""
        import pyarrow as pa

        if self._writer is None:
            self._writer = _parquet("").ParquetWriter(self._path, pa.schema([]))
        self._writer.close()


def _parquet(name: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise AdaINKitError(f'{name}: Parquet needs pyarrow; run pip install "adainkit[ray]"') from error
    return pyarrow.parquet


def _column(schema: Any, name: str) -> int:
    """The place of the first column of encoded pictures."""
    import pyarrow as pa

    for at, each in enumerate(schema):
        kinds = {f.name: f.type for f in each.type} if pa.types.is_struct(each.type) else {"bytes": each.type}
        if "bytes" in kinds and (pa.types.is_binary(kinds["bytes"]) or pa.types.is_large_binary(kinds["bytes"])):
            return at
    raise ImageError(
        f'{name}: has no column of pictures; expected one of bytes, or of {{"bytes", "path"}}, got {schema.names}'
    )


def _names(rows: Any, column: int) -> list[Any]:
    """What a column of names says of the rows, if there is one."""
    for name in ("__key__", "path", "file_name", "filename", "key"):
        at = rows.schema.get_field_index(name)
        if at >= 0 and at != column:
            return list(rows.column(at).to_pylist())
    return [None] * rows.num_rows
