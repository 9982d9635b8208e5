"""Keeping a benchmark to one thread."""

import os
import sys

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def on_one_thread() -> None:
    """Start the script anew with libraries that use one thread, unless it was; they decide when they are loaded.

    Threads that wait for one another spin, and processor time would tell that rather than the work.
    """
    if any(os.environ.get(name) != "1" for name in _VARIABLES):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **dict.fromkeys(_VARIABLES, "1")})
