"""Where the command begins, and ``python -m retrieval``, which is the same."""

import gc
import os
import sys


def main() -> None:
    """Run the command with the arguments of the process; the first page of help needs next to no imports."""
    asked = sys.argv[1:]
    if asked in ([], ["--help"], ["-h"]):
        from retrieval.help_page import NAME, print_page

        as_module = __name__ == "__main__" and __package__
        program = "python -m retrieval" if as_module else os.path.basename(sys.argv[0])  # noqa: PTH119
        # Without arguments it is a wrong use, which the page puts right.
        if (as_module or program == NAME) and print_page(program, sys.stdout if asked else sys.stderr):
            sys.exit(0 if asked else 2)
    from retrieval.cli import app

    try:
        app()
    finally:
        gc.freeze()  # the process ends: to look for cycles among all that it holds takes longer than to let go of it


if __name__ == "__main__":
    main()
