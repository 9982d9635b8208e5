"""Writes the first page of help down, in each language and width it is kept in: ``python -m tests.help_pages``."""

import os
import subprocess
import sys
from pathlib import Path

from retrieval.help_page import NAME, WIDTHS, page_file
from retrieval.spoken import LANGUAGES

REPOSITORY = Path(__file__).resolve().parents[1]

_TYPER = "import sys; sys.argv[0] = {name!r}; from retrieval.cli import app; app()"


def as_typer_prints(*arguments: str, name: str = NAME, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command called ``name`` in a process of its own that reads no page."""
    return subprocess.run(
        [sys.executable, "-c", _TYPER.format(name=name), *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )


def page(language: str, columns: int) -> bytes:
    """Return the page of help as Typer prints it."""
    spoken = {"SIGHTSEEK_LANG": language, "PYTHONIOENCODING": "utf-8"}
    return as_typer_prints("--help", COLUMNS=str(columns), **spoken).stdout


def main() -> None:
    """Write all pages."""
    for language in LANGUAGES:
        for columns in WIDTHS:
            file = Path(page_file(language, columns))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(page(language, columns))


if __name__ == "__main__":
    main()
