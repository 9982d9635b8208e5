"""Words of a query that begin with a minus on the command line: ``sightseek search car -red``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from retrieval.messages import _

MARK = " "
"""Stands before such a word among the arguments, so that it is not read as options; white space means nothing there."""

_WORD = re.compile(r"-[^\W\d_].+", re.DOTALL)


class QueryCommand(TyperCommand):
    """A command whose words may begin with a minus; only options that it has are read as options.

    A word whose first letter is an option that takes a value (``-cat`` is ``-c at``) is read as that option if the
    value can be one, else refused with what to write instead.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's own signature
        """Mark the words, and let the rest be read as usual."""
        return super().parse_args(ctx, _marked(args, self.get_params(ctx)))


def _marked(args: Sequence[str], params: Sequence[Any]) -> list[str]:
    options = {flag: one for one in params for flag in (*one.opts, *one.secondary_opts) if flag.startswith("-")}
    found: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return [*found, arg, *rest]
        if _WORD.fullmatch(arg) and _is_word(arg, options):
            found.append(MARK + arg)
            continue
        found.append(arg)
        if arg in options and not options[arg].is_flag:
            found += [value for value in [next(rest, None)] if value is not None]
    return found


def _is_word(arg: str, options: dict[str, Any]) -> bool:
    """Return whether an argument of a minus and at least two characters is a word rather than short options.

    Raises:
        BadParameter: it would be an option with a value that cannot be meant.
    """
    option, value = options.get(arg[:2]), arg[2:]
    if option is None:
        return True
    if option.is_flag:
        return not all(f"-{letter}" in options for letter in arg[1:])
    if isinstance(option.default, int):
        return re.fullmatch(r"\d+", value) is None
    if not Path(value).expanduser().exists():
        raise typer.BadParameter(
            _(
                "{arg!r} is read as {option} {value}, and there is no {value}; to take it away, write the query in "
                'quotes, "... {arg}", or --minus {word}'
            ).format(arg=arg, option=arg[:2], value=value, word=arg[1:])
        )
    return False
