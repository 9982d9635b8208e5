"""Opening files that may be anything."""

import os
import stat
from pathlib import Path
from typing import IO

from retrieval.errors import MediaError
from retrieval.messages import N_


def open_file(path: Path) -> IO[bytes]:
    """Open an ordinary file for reading.

    Raises:
        MediaError: it is none.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK a named pipe would wait for a writer for ever.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise MediaError(N_("not a file that can be read: a folder, a pipe or a device"))
    return os.fdopen(number, "rb")
