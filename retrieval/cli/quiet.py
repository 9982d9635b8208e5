"""Keeps native libraries from writing over the progress bar."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_libraries_silenced() -> Iterator[None]:
    """Send what native code writes to the C stream ``stderr`` to nowhere; Python's ``sys.stderr`` goes on as it was.

    Decoders such as libtiff complain there about every odd tag of every file, with no switch to turn it off. What is
    wrong with a file reaches the user as the reason kept with it. Does nothing where ``sys.stderr`` is another stream.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # the same complaints, through Python
    try:
        real = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        real = False
    if not real:
        yield
        return
    before = sys.stderr
    before.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with open(kept, "w", encoding=before.encoding, errors=before.errors, buffering=1) as ours:  # noqa: PTH123
        sys.stderr = ours
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            ours.flush()
            os.dup2(kept, 2)
            sys.stderr = before
