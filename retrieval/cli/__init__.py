"""The command line: parse, open, one library call, present.

This package alone imports typer and rich. Results go to stdout, progress and messages to stderr. Commands import the
engine inside their bodies, so that ``--help`` and ``--version`` load nothing heavy.
"""

from retrieval.cli.app import app

__all__ = ["app"]
