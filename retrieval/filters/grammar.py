r"""The filter grammar: text to ``Where`` and back, ``parse_where(format_where(where)) == where``.

::

    filter     = either
    either     = both ("or" both)*
    both       = single (["and"] single)*            a space means and
    single     = "not" single | "(" either ")" | comparison
    comparison = field operator value                white space around the operator is allowed
    field      = one of ``FIELDS``
    operator   = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="     ":" and "=" mean the same; not all fields have an order
    value      = characters without white space, brackets and quotes | '"' any, with \" and \\ '"'

Words and fields may be written in any case. Values are normalised to the unit of the column (see ``types.Term``); what
was written stays in ``Term.text``.
"""

import re
from typing import NamedTuple, NoReturn

from retrieval.errors import QueryError
from retrieval.filters.fields import TABLE, format_size
from retrieval.messages import _, retold
from retrieval.types import And, Not, Or, Term, Where

FIELDS = tuple(TABLE)
"""What a comparison may ask for."""

_MAX_DEPTH = 60
_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<op>!=|<=|>=|==|[:=<>])|(?P<word>[^\s()"':=<>!]+)|(?P<other>\S))""")
_VALUE = re.compile(r"""\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s()"]+))""", re.DOTALL)
_BARE = re.compile(r"""[^\s()"=<>:!\\][^\s()"]*""")


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
    if term.field == "size" and (written := format_size(value)):
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
            self.fail(token, _("a comparison, and, or, or the end"))
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
            wanted = _("at most {count} brackets or nots inside one another").format(count=_MAX_DEPTH)
            self.fail(self.peek(), wanted)
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
                self.fail(token, _("a closing bracket"))
            self.at = token.end
            return where
        return self.comparison()

    def comparison(self) -> Term:
        name = self.peek()
        field = name.text.lower()
        if name.kind != "word" or field not in TABLE:
            import difflib

            alike = difflib.get_close_matches(field, FIELDS, 1)
            self.fail(name, _("a comparison of {fields}").format(fields=", ".join(FIELDS)), *alike)
        self.at = name.end
        known = TABLE[field]
        op = self.peek()
        if op.kind != "op" or (not known.ordered and op.text[0] in "<>"):
            wanted = _(": = != < <= > or >= after {field}") if known.ordered else _(": = or != after {field}")
            self.fail(op, wanted.format(field=field), field)
        self.at = op.end
        found = _VALUE.match(self.text, self.at)
        if not found:
            self.fail(self.peek(), _("a value after {comparison}").format(comparison=field + op.text), field)
        start = found.end() - len(found[0].lstrip())
        self.at = found.end()
        text = found["bare"] if found["bare"] is not None else unquote(found["quoted"])
        value = known.read(text)
        if value is None:
            self.fail(_Token("value", text, start, self.at), retold(known.wanted), field)
        return Term(field, "=" if op.text == "==" else op.text, value, text)  # type: ignore[arg-type]

    def fail(self, token: _Token, wanted: str, field: str = "kind") -> NoReturn:
        found = _("the end") if token.kind == "end" else repr(token.text)
        if token.kind == "other" and token.text == '"':
            found = _("a quote that is not closed") if self.text.count('"') % 2 else _("a quote")
        raise QueryError(
            _("filter, position {position}: expected {wanted}, found {found}; for example {example}").format(
                position=token.start + 1, wanted=wanted, found=found, example=TABLE[field].example
            )
        )
