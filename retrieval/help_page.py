"""The first page of help, printed as it was written down beforehand: importing Typer takes ten times as long.

The pages lie in ``locale/LANGUAGE/help-WIDTH.txt``. ``python -m tests.help_pages`` writes them, and a test holds them
against what Typer prints. Typer prints the page itself wherever it would be another one than these.
"""

import os
import sys

from retrieval.spoken import language_for

TYPE_CHECKING = False  # `typing` takes as long to import as Python to start
if TYPE_CHECKING:
    from typing import TextIO

NAME = "sightseek"
WIDTHS = (80, 110)
"""Columns of a terminal that pages are kept for: what a pipe is taken for, and as wide as a page becomes at most."""


def page_file(language: str, columns: int) -> str:
    """Return the path of a page; ``columns`` is one of ``WIDTHS``."""
    return os.path.join(os.path.dirname(__file__), "locale", language, f"help-{columns}.txt")  # noqa: PTH118, PTH120


def print_page(program: str, stream: "TextIO | None") -> bool:
    """Print the page of help for a command called ``program``, if it is kept; return whether it was."""
    columns = _columns()
    if columns not in WIDTHS or stream is None or any(name.endswith("_COMPLETE") for name in os.environ):
        return False
    try:
        language = language_for(os.environ, (sys.stdout, sys.stderr))
        with open(page_file(language, columns), encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes long to import
            page = file.read().replace(NAME, program, 1)
        page.encode(stream.encoding)
        stream.write(page)
        stream.flush()
    except (OSError, ValueError):  # a page, or a sign of it, that cannot be had or shown: Typer knows what to do
        return False
    return True


def _columns() -> int:
    """Return how wide a page becomes, as Typer has it from ``shutil.get_terminal_size``; 0 where that is unusual."""
    try:
        columns = int(os.environ["COLUMNS"]) if "COLUMNS" in os.environ else os.get_terminal_size(1).columns
    except OSError:  # no terminal
        columns = WIDTHS[0]
    except ValueError:
        return 0
    return min(columns, WIDTHS[-1])
