r"""The filter grammar: text to ``Where`` and back, ``parse_where(format_where(where)) == where``.

::

    filter     = either
    either     = both ("or" both)*
    both       = single (["and"] single)*            a space means and
    single     = "not" single | "(" either ")" | comparison
    comparison = field operator value                white space around the operator is allowed
    field      = kind | path | ext | date | size | duration | width | height
    operator   = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="     ":" and "=" mean the same; kind, path, ext have no order
    value      = characters without white space, brackets and quotes | '"' any, with \" and \\ '"'

Words and fields may be written in any case. Values are normalised to the unit of the column (see ``types.Term``); what
was written stays in ``Term.text``.
"""

import math
import re
from datetime import datetime
from typing import NamedTuple, NoReturn

from retrieval.errors import QueryError
from retrieval.types import And, Not, Or, Term, Where

FIELDS = ("kind", "path", "ext", "date", "size", "duration", "width", "height")
"""What a comparison may ask for."""

_MAX_DEPTH = 60
_UNORDERED = frozenset({"kind", "path", "ext"})
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_SIZE = re.compile(rf"({_NUMBER})\s*([kmgt]?b|[kmg]ib)?", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(_NUMBER, re.ASCII | re.IGNORECASE)
_SECONDS = re.compile(rf"({_NUMBER})\s*(ms|s)?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d+)?)", re.ASCII)
_LONG = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII | re.IGNORECASE)
_DATES = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
_DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)?)?", re.ASCII)
_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<op>!=|<=|>=|==|[:=<>])|(?P<word>[^\s()"':=<>!]+)|(?P<other>\S))""")
_VALUE = re.compile(r"""\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s()"]+))""", re.DOTALL)
_BARE = re.compile(r"""[^\s()"=<>:!\\][^\s()"]*""")
_EXAMPLE = {
    "kind": "kind:video",
    "path": "path:holiday/**",
    "ext": "ext:jpg",
    "date": "date>2024-05",
    "size": "size>1MB",
    "duration": "duration<1:30",
    "width": "width>=1920",
    "height": "height>=1080",
}


def parse_where(text: str) -> Where | None:
    """Read a filter such as ``kind:video path:holiday/** (size>1MB or not ext:jpg)``; blank text is no filter.

    Raises:
        QueryError: the text is no filter; the message names the position, what was expected, and an example.
    """
    return _Parser(text).read() if text.strip() else None


def format_where(where: Where) -> str:
    """Print a filter in its canonical form; ``parse_where`` reads the same filter back."""
    match where:
        case Term():
            return f"{where.field}{where.op}{_format_value(where)}"
        case Not(clause):
            return f"not {_bracketed(clause, And, Or)}"
        case And(clauses):
            return " and ".join(_bracketed(clause, And, Or) for clause in clauses)
        case Or(clauses):
            return " or ".join(_bracketed(clause, Or) for clause in clauses)


def quote(text: str) -> str:
    """Put text between double quotes; a backslash or quote in it gets a backslash in front."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(inside: str) -> str:
    r"""Undo ``quote`` for the characters between the quotes; a backslash before anything else stays itself."""
    return re.sub(r'\\([\\"])', r"\1", inside)


def _bracketed(where: Where, *kinds: type) -> str:
    return f"({format_where(where)})" if isinstance(where, kinds) else format_where(where)


def _format_value(term: Term) -> str:
    value = term.value
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else quote(value)
    if term.field == "size":
        for unit in ("GB", "MB", "KB"):
            written = f"{value / _UNITS[unit.lower()]:g}{unit}"
            if value >= _UNITS[unit.lower()] and _size(written) == value:
                return written
    return str(int(value)) if value == int(value) and value < 1e15 else repr(float(value))


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Parser:
    """Recursive descent over one text; ``at`` is the character that comes next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def read(self) -> Where:
        where = self.either()
        token = self.peek()
        if token.kind != "end":
            self.fail(token, "a comparison, and, or, or the end")
        return where

    def peek(self) -> _Token:
        found = _TOKEN.match(self.text, self.at)
        if not found or not found.lastgroup:
            return _Token("end", "", len(self.text), len(self.text))
        kind = found.lastgroup
        return _Token(kind, found[kind], found.start(kind), found.end(kind))

    def take_word(self, *words: str) -> bool:
        token = self.peek()
        if token.kind == "word" and token.text.lower() in words and not self.is_field(token):
            self.at = token.end
            return True
        return False

    def is_field(self, token: _Token) -> bool:
        follow = _TOKEN.match(self.text, token.end)
        return bool(follow and follow.lastgroup == "op")

    def either(self) -> Where:
        clauses = [self.both()]
        while self.take_word("or"):
            clauses.append(self.both())
        return clauses[0] if len(clauses) == 1 else Or(tuple(clauses))

    def both(self) -> Where:
        clauses = [self.single()]
        while True:
            token = self.peek()
            closes = token.kind == "end" or (token.kind == "bracket" and token.text == ")")
            if closes or (token.text.lower() == "or" and not self.is_field(token)):
                return clauses[0] if len(clauses) == 1 else And(tuple(clauses))
            self.take_word("and")
            clauses.append(self.single())

    def single(self) -> Where:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(self.peek(), f"at most {_MAX_DEPTH} brackets or nots inside one another")
        where = self.nested()
        self.depth -= 1
        return where

    def nested(self) -> Where:
        if self.take_word("not"):
            return Not(self.single())
        token = self.peek()
        if token.kind == "bracket" and token.text == "(":
            self.at = token.end
            where = self.either()
            token = self.peek()
            if token.text != ")" or token.kind != "bracket":
                self.fail(token, "a closing bracket")
            self.at = token.end
            return where
        return self.comparison()

    def comparison(self) -> Term:
        name = self.peek()
        field = name.text.lower()
        if name.kind != "word" or field not in FIELDS:
            self.fail(name, f"a comparison of {', '.join(FIELDS)}", field if field in FIELDS else "kind")
        self.at = name.end
        op = self.peek()
        wanted = ": = or !=" if field in _UNORDERED else ": = != < <= > or >="
        if op.kind != "op" or (field in _UNORDERED and op.text[0] in "<>"):
            self.fail(op, f"{wanted} after {field}", field)
        self.at = op.end
        found = _VALUE.match(self.text, self.at)
        if not found:
            self.fail(self.peek(), f"a value after {field}{op.text}", field)
        start = found.end() - len(found[0].lstrip())
        self.at = found.end()
        text = found["bare"] if found["bare"] is not None else unquote(found["quoted"])
        value = _VALUES[field](text)
        if value is None:
            self.fail(_Token("value", text, start, self.at), _WANTED[field], field)
        return Term(field, "=" if op.text == "==" else op.text, value, text)  # type: ignore[arg-type]

    def fail(self, token: _Token, wanted: str, field: str = "kind") -> NoReturn:
        found = "the end" if token.kind == "end" else repr(token.text)
        if token.kind == "other" and token.text == '"':
            found = "a quote that is not closed" if self.text.count('"') % 2 else "a quote"
        raise QueryError(
            f"filter, position {token.start + 1}: expected {wanted}, found {found}; for example {_EXAMPLE[field]}"
        )


def _kind(text: str) -> str | None:
    return text.lower() if text.lower() in ("image", "video") else None


def _path(text: str) -> str | None:
    return text or None


def _ext(text: str) -> str | None:
    return text.lower().removeprefix(".") or None


def _date(text: str) -> str | None:
    if not _DATE.fullmatch(text):
        return None
    for form in _DATES:
        try:
            datetime.strptime(text, form)
        except ValueError:
            continue
        return text
    return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _size(text: str) -> float | None:
    found = _SIZE.fullmatch(text)
    return _finite(float(found[1]) * _UNITS[(found[2] or "b").lower()]) if found else None


def _pixels(text: str) -> float | None:
    return _finite(float(text)) if _PLAIN.fullmatch(text) else None


def _duration(text: str) -> float | None:
    if found := _SECONDS.fullmatch(text):
        return _finite(float(found[1]) / (1000 if (found[2] or "").lower() == "ms" else 1))
    if found := _CLOCK.fullmatch(text):
        return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3])
    if text and (found := _LONG.fullmatch(text)):
        return float(found[1] or 0) * 3600 + float(found[2] or 0) * 60 + float(found[3] or 0)
    return None


_VALUES = {
    "kind": _kind,
    "path": _path,
    "ext": _ext,
    "date": _date,
    "size": _size,
    "duration": _duration,
    "width": _pixels,
    "height": _pixels,
}
_WANTED = {
    "kind": "image or video",
    "path": "a path or a pattern",
    "ext": "an ending of file names",
    "date": "a date as YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDTHH:MM",
    "size": "a size in B, KB, MB, GB, KiB, MiB or GiB",
    "duration": "a duration such as 60, 90s, 2m, 1h, 1:30 or 00:01:30",
    "width": "a number of pixels",
    "height": "a number of pixels",
}
