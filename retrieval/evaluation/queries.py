r"""Labelled queries of one's own library: a file of queries, each with what is right for it.

JSON lines, one object a line; ``like``, ``minus`` and ``where`` are those of ``sightseek search``, one of ``query`` and
``like`` must be there::

    {"query": "a dog + \"snow\"", "like": ["pic.jpg"], "where": "kind:video",
     "relevant": ["photos/a.jpg", "clips/b.mp4#t=3-7.5", {"path": "photos/c.jpg", "grade": 2}]}

Or tabs: the query, then one or more relevant things, each in a column of its own; empty columns do not count. Pictures
stand in the query as the grammar of queries has them, ``like:"pic.jpg"``::

    a dog in the snow TAB photos/a.jpg TAB clips/b.mp4#t=00:00:03-00:00:07.500

A file whose first line begins with ``{`` is of the first form. Empty lines are skipped. Names are those of files,
absolute or below the folder of the queries file or below an indexed folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from retrieval.errors import DatasetError
from retrieval.evaluation.bounded import bounded_lines
from retrieval.messages import N_, _

MAX_GRADE = 10
_MAX_LINE = 100_000
_MAX_LINES = 100_000
_KEYS = ("query", "like", "minus", "where", "relevant")


class Named(NamedTuple):
    """Something relevant as the file names it; the higher the ``grade`` (1-10), the better it answers."""

    name: str
    grade: int = 1


class Labelled(NamedTuple):
    """One line of the file; ``number`` counts from 1."""

    number: int
    query: str
    like: tuple[str, ...]
    minus: tuple[str, ...]
    where: str
    relevant: tuple[Named, ...]


def read_queries(path: Path) -> list[Labelled]:
    """Read a file of labelled queries (UTF-8).

    Raises:
        DatasetError: the file cannot be read, holds no query, or has a line of another form; the message names the
            line.
    """
    found: list[Labelled] = []
    as_json: bool | None = None
    for number, text in _lines(path):
        if as_json is None:
            as_json = text.lstrip().startswith("{")
        found.append(_from_json(path, number, text) if as_json else _from_tabs(path, number, text))
    if not found:
        raise DatasetError(
            _("{path} holds no query; write one a line: the query, a tab, and the path of what is right").format(
                path=path
            )
        )
    return found


def fail(path: Path, number: int, message: str) -> NoReturn:
    """Say what is wrong with a line.

    Raises:
        DatasetError: always.
    """
    raise DatasetError(_("{path}, line {number}: {reason}").format(path=path, number=number, reason=message)) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, raw in bounded_lines(path, _MAX_LINE, N_("a file of labelled queries")):
        if number > _MAX_LINES:
            fail(path, number, _("more than {most:,} lines; cut the file in parts").format(most=_MAX_LINES))
        yield number, _decoded(path, number, raw)


def _decoded(path: Path, number: int, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        fail(path, number, _("not UTF-8; save the file as UTF-8"))


def _from_tabs(path: Path, number: int, text: str) -> Labelled:
    query, *names = (field.strip() for field in text.split("\t"))
    if not query:
        fail(path, number, _("the query is empty; write the words, a tab, and the path of what is right"))
    relevant = tuple(Named(name) for name in names if name)
    if not relevant:
        fail(path, number, _("nothing is named as right for the query; add a tab and the path of a picture or video"))
    return Labelled(number, query, (), (), "", relevant)


def _from_json(path: Path, number: int, text: str) -> Labelled:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            said = _("not JSON at column {column}; the first line makes this a file of one JSON object a line")
            fail(path, number, said.format(column=error.colno))
        fail(path, number, _("not JSON; the first line makes this a file of one JSON object a line"))
    if not isinstance(data, dict):
        fail(path, number, _('expected an object such as {{"query": "a dog", "relevant": ["a.jpg"]}}').format())
    unknown = next((key for key in data if key not in _KEYS), None)
    if unknown is not None:
        fail(
            path,
            number,
            _("{unknown!r} is not known; a query has {names}").format(unknown=unknown[:40], names=", ".join(_KEYS)),
        )
    for key in ("query", "where"):
        if not isinstance(data.get(key, ""), str):
            fail(path, number, _("{key!r} must be text").format(key=key))
    names = data.get("relevant")
    if not isinstance(names, list) or not names:
        fail(path, number, _("'relevant' must be a list of at least one path; take the line out if nothing is right"))
    return Labelled(
        number,
        data.get("query", ""),
        _texts(path, number, "like", data.get("like", [])),
        _texts(path, number, "minus", data.get("minus", [])),
        data.get("where", ""),
        tuple(_named(path, number, one) for one in names),
    )


def _texts(path: Path, number: int, key: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any JSON
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        fail(path, number, _("{key!r} must be a list of texts").format(key=key))
    return tuple(values)


def _named(path: Path, number: int, value: Any) -> Named:  # noqa: ANN401 - any JSON
    named = {"path": value} if isinstance(value, str) else value
    if not isinstance(named, dict) or not {"path"} <= named.keys() <= {"path", "grade"}:
        fail(
            path,
            number,
            _('each of \'relevant\' is a path, or an object such as {{"path": "a.jpg", "grade": 2}}').format(),
        )
    name, grade = named["path"], named.get("grade", 1)
    if not isinstance(name, str) or not name.strip():
        fail(path, number, _("a path in 'relevant' is empty or no text"))
    if not isinstance(grade, int) or isinstance(grade, bool) or not 1 <= grade <= MAX_GRADE:
        fail(
            path,
            number,
            _("a grade is a whole number from 1 to {most}; leave out what is not right").format(most=MAX_GRADE),
        )
    return Named(name, grade)
