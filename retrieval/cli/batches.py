"""``sightseek search --queries``: many queries from a file, embedded and looked up together."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from retrieval.cli.asking import Asking, Request, asking, nothing_found
from retrieval.cli.options import say
from retrieval.errors import OptionError, QueryError
from retrieval.messages import _, reason_of, retold

if TYPE_CHECKING:
    from retrieval.types import Hits, Query

STDIN = "-"
SOME_FAILED = 3
"""Exit code when some lines could not be answered."""
TOGETHER = 1000
"""How many lines are asked together, so that files of any length are answered in bounded memory."""


class Line(NamedTuple):
    """A query of the file: the number of its line, from 1, its text, and the query, or what is wrong with it."""

    number: int
    text: str
    query: "Query | QueryError"


class Answered(NamedTuple):
    """A line and what was found for it, or why it could not be answered."""

    line: Line
    answer: "Hits | str"


def answer_lines(request: Request, file: str, *, explain: bool) -> Iterator[Answered]:
    """Ask the queries of a file and yield what was found, in the order of the lines; then stop with an exit code.

    What is wrong with a line is yielded and also said on stderr with its number, and the others are answered.

    Raises:
        OptionError: the file cannot be read, or words are given beside it.
        Exit: with code 3, after all is yielded, when some lines could not be answered.
    """
    if request.text:
        raise OptionError(_("give words or --queries, not both; --like, --minus and --where go with each line"))
    lines = read_lines(request, file)
    failed = False
    with asking(request, explain=explain) as found:
        for note in found.collection.notes:
            say(retold(note))
        for start in range(0, len(lines), TOGETHER):
            for one in _together(found, lines[start : start + TOGETHER], request.k):
                failed |= isinstance(one.answer, str)
                _tell(one, file, found)
                yield one
    if failed:
        raise typer.Exit(SOME_FAILED)


def _together(found: Asking, lines: Sequence[Line], k: int) -> Iterator[Answered]:
    queries = [line.query for line in lines if not isinstance(line.query, QueryError)]
    answers = iter(found.searcher.search_many(queries, k, found.options))
    for line in lines:
        answer = line.query if isinstance(line.query, QueryError) else next(answers)
        yield Answered(line, retold(str(answer)) if isinstance(answer, Exception) else answer)


def _tell(one: Answered, file: str, found: Asking) -> None:
    """Say what there is to say of a line, with its number."""
    if isinstance(one.answer, str):
        told = [one.answer]
    else:
        told = [retold(note) for note in one.answer.notes]
        told += [] if one.answer.hits else [nothing_found(found.collection, one.answer)]
    where = _("{file}, line {number}").format(file=file, number=one.line.number)
    for message in told:
        say(f"{where}: {message}")


def read_lines(request: Request, file: str) -> Sequence[Line]:
    """Return the queries of a file, or of stdin for ``-``: a query a line, no blank lines and none that begin with #.

    Raises:
        OptionError: it cannot be read, is not UTF-8, or holds no query.
        QueryError: --where cannot be understood.
    """
    from retrieval.query import parse_where

    try:
        raw = sys.stdin.buffer.read() if file == STDIN else Path(file).expanduser().read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        message = _("the queries in {file} cannot be read ({reason}); name a file, or - for stdin")
        raise OptionError(message.format(file=file, reason=reason_of(error))) from None
    except UnicodeDecodeError:
        raise OptionError(_("the queries in {file} are not UTF-8; convert the file").format(file=file)) from None
    parse_where(request.where)  # said once, not for each line
    found = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    lines = [_line(number, line, request) for number, line in found if line and not line.startswith("#")]
    if not lines:
        raise OptionError(_("there is no query in {file}; write one a line, # begins a comment").format(file=file))
    return lines


def _line(number: int, text: str, request: Request) -> Line:
    from retrieval.query import parse_query

    try:
        query = parse_query(text, like=request.like or [], minus=request.minus or [], where=request.where)
    except QueryError as error:
        return Line(number, text, error)
    return Line(number, text, query)
