"""Where the command begins, and ``python -m retrieval``, which is the same."""

import os
import sys


def main() -> None:
    """Run the command with the arguments of the process; the first page of help needs next to no imports."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from retrieval.help_page import NAME, print_page

        as_module = __name__ == "__main__" and __package__
        program = "python -m retrieval" if as_module else os.path.basename(sys.argv[0])  # noqa: PTH119
        if (as_module or program == NAME) and print_page(program):
            return
    from retrieval.cli import app

    app()


if __name__ == "__main__":
    main()
