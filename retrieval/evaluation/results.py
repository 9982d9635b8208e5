"""What came of single queries: the record that reports, dumps and comparisons are made from."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from retrieval.errors import CollectionError, DatasetError
from retrieval.evaluation.bounded import bounded_lines
from retrieval.evaluation.queries import MAX_GRADE
from retrieval.messages import N_, _, retold

SHOWN = 10
"""So many found rows are kept of each query."""

MAX_DUMP_LINE = 64 << 20
"""Bytes of a query that is written or read, with its end: room for the names of some 500,000 right rows."""
MAX_DUMP_ROWS = 2_000_000
MAX_RANK = 2**32

AskedDirection = Literal["text_to_image", "image_to_text", "library"]


class Asked(NamedTuple):
    """One query and what came of it.

    ``query`` is the words, or the path of the picture when ``is_picture``. ``relevant`` names the right rows: paths
    (``text_to_image``), captions (``image_to_text``), paths or ``path#t=a-b`` with seconds (``library``). ``found`` is
    the first ten rows, best first, each with its score. ``rank`` is that of the best right row, from 1, ties against
    the model; more than what was looked at holds when it is never found. ``ranks`` are those of all right rows that are
    found, ascending; ``None`` where only the best one is known. ``grades`` are those of all right rows, the found ones
    first, in the order of ``ranks``; ``None`` where all are 1.
    """

    direction: AskedDirection
    query: str
    is_picture: bool
    relevant: tuple[str, ...]
    found: tuple[tuple[str, float], ...]
    rank: int
    ranks: tuple[int, ...] | None = None
    grades: tuple[int, ...] | None = None


class Table(NamedTuple):
    """One table of a report: a heading, the names of its columns, and rows of as many cells, ready to be shown."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Summary(NamedTuple):
    """What stands above the single queries in a report.

    ``counts`` says what was measured, in the order to show it: ``("queries", 5000)``. Relative paths in ``Asked``,
    those of ``query`` when ``is_picture`` and of ``relevant`` and ``found``, are under ``folder``.
    """

    title: str
    model: str
    counts: tuple[tuple[str, int], ...]
    tables: tuple[Table, ...]
    folder: Path


def write_dump(path: Path, asked: Iterable[Asked]) -> None:
    """Write one JSON object a query and line (ASCII), whole or not at all, readable by its owner alone.

    Raises:
        DatasetError: the file cannot be written, or a query is longer than ``MAX_DUMP_LINE``.
    """
    from retrieval.store.durable import replace

    def write(file: BinaryIO) -> None:
        for one in asked:
            line = json.dumps(_fields(one), ensure_ascii=True).encode("ascii") + b"\n"
            if len(line) > MAX_DUMP_LINE:
                raise DatasetError(
                    _(
                        "the query {query!r:.60} has {count:,} right answers, too many for a dump; leave --dump out"
                    ).format(query=one.query, count=len(one.relevant))
                )
            file.write(line)

    try:
        replace(path, write)
    except CollectionError as error:
        said = getattr(error.__cause__, "strerror", None) or N_("no room or no right to write")
        raise DatasetError(
            _("{path} cannot be written ({reason}); name another file for --dump").format(
                path=path, reason=retold(said)
            )
        ) from None


def read_dump(path: Path) -> list[Asked]:
    """Read what ``write_dump`` wrote.

    Raises:
        DatasetError: the file cannot be read, or a line is of another form; the message names the line.
    """
    found = []
    for number, raw in bounded_lines(path, MAX_DUMP_LINE, N_("a file that --dump wrote")):
        found.append(_asked(path, number, raw))
        if len(found) > MAX_DUMP_ROWS:
            raise DatasetError(
                _("{path} holds more than {most:,} queries; is this a dump?").format(path=path, most=MAX_DUMP_ROWS)
            )
    if not found:
        raise DatasetError(_("{path} holds no query; give a file that --dump wrote").format(path=path))
    return found


def _fields(one: Asked) -> dict[str, Any]:
    scores = [[name, round(score, 6)] for name, score in one.found]
    return {**one._asdict(), "relevant": list(one.relevant), "found": scores}


def _asked(path: Path, number: int, raw: bytes) -> Asked:
    try:
        data = json.loads(raw)
        if data["direction"] not in get_args(AskedDirection):
            raise ValueError("direction")
        ranks = data.get("ranks")
        if not all(1 <= rank <= MAX_RANK for rank in (data["rank"], *(ranks or ()))):
            raise ValueError("rank")
        grades = data.get("grades")
        if grades is not None and len(grades) != len(data["relevant"]):
            raise ValueError("grades")
        if not all(1 <= grade <= MAX_GRADE for grade in grades or ()):
            raise ValueError("grades")
        return Asked(
            data["direction"],
            _text(data["query"]),
            bool(data["is_picture"]),
            tuple(map(_text, data["relevant"])),
            tuple((_text(name), float(score)) for name, score in data["found"]),
            int(data["rank"]),
            None if ranks is None else tuple(sorted(map(int, ranks))),
            None if grades is None else tuple(map(int, grades)),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DatasetError(
            _("{path}, line {number}: no record of a query; give a file that --dump wrote").format(
                path=path, number=number
            )
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
