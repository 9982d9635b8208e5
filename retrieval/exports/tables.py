"""Tables of hits and items: CSV, JSON lines and Parquet, written block by block."""

import csv
import io
import json
import os
from typing import BinaryIO

from retrieval.errors import OptionError
from retrieval.exports.gathered import Block, Gathered
from retrieval.messages import _


def write_csv(file: BinaryIO, gathered: Gathered) -> None:
    """Write a table with a head line, in UTF-8; what does not apply is empty, keywords are joined by ``; ``.

    The bytes of names that are no UTF-8 are written as they are, which ``errors="surrogateescape"`` reads back.
    """
    text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(gathered.columns)
    for rows in gathered.rows():
        table.writerows([_cell(getattr(row, name)) for name in gathered.columns] for row in rows)
    text.flush()
    text.detach()


def write_jsonl(file: BinaryIO, gathered: Gathered) -> None:
    """Write an object a line, plain ASCII, with the keys of the JSON lines of a search."""
    for rows in gathered.rows():
        for row in rows:
            fields = {name: getattr(row, name) for name in gathered.columns}
            file.write(json.dumps(fields, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def write_parquet(file: BinaryIO, gathered: Gathered) -> None:
    """Write a Parquet file with the columns of a table, ``key``, and the vectors as lists of ``dim`` float32.

    ``path`` and ``item`` are text, in which the bytes of a name that are no UTF-8 are replaced; ``path_bytes`` is
    exact. The model and the query stand in the file's metadata.

    Raises:
        OptionError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        said = _("Parquet files are written by pyarrow, which is not installed: pip install 'sightseek[export]'")
        raise OptionError(said) from None
    kinds = {
        "key": pyarrow.int64(),
        "rank": pyarrow.int32(),
        "score": pyarrow.float32(),
        "path": pyarrow.string(),
        "kind": pyarrow.string(),
        "start_s": pyarrow.float64(),
        "end_s": pyarrow.float64(),
        "at_s": pyarrow.float64(),
        "item": pyarrow.string(),
        "width": pyarrow.int32(),
        "height": pyarrow.int32(),
        "taken_at": pyarrow.string(),
        "size_bytes": pyarrow.int64(),
        "duration_s": pyarrow.float64(),
        "camera": pyarrow.string(),
        "latitude": pyarrow.float64(),
        "longitude": pyarrow.float64(),
        "rating": pyarrow.int32(),
        "keywords": pyarrow.list_(pyarrow.string()),
        "told": pyarrow.string(),
    }
    fields = [(name, kinds[name]) for name in ("key", *gathered.columns)]
    fields += [("path_bytes", pyarrow.binary()), ("vector", pyarrow.list_(pyarrow.float32(), gathered.dim))]
    schema = pyarrow.schema(fields, metadata={"sightseek": json.dumps(gathered.about)})
    with parquet.ParquetWriter(file, schema) as writer:
        for block in gathered.blocks():
            columns = [_column(block, name) for name in schema.names[:-1]]
            vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.vectors.ravel()), gathered.dim)
            arrays = [pyarrow.array(values, kind) for values, (_name, kind) in zip(columns, fields, strict=False)]
            writer.write_table(pyarrow.Table.from_arrays([*arrays, vectors], schema=schema))


def _cell(value: object) -> object:
    return "; ".join(value) if isinstance(value, tuple) else value


def _column(block: Block, name: str) -> list[object]:
    if name == "path_bytes":
        return [os.fsencode(row.path) for row in block.rows]
    values = [getattr(row, name) for row in block.rows]
    return [_as_text(value) for value in values] if name in ("path", "item") else values


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
