"""Giving back to the system what was freed."""

import contextlib
import ctypes
import sys


def give_back() -> None:
    """Give memory that was freed and lies between what is held back to the system, where the C library can.

    The one of most Linux systems keeps it for the process (it grows its thresholds with the arrays it has seen), so a
    training would come on top of what reading pictures took. Nothing that is held moves or changes; it takes some
    milliseconds.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)
