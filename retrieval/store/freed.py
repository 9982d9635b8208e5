"""Giving back to the system what was freed, where the C library is the one of most Linux systems."""

import contextlib
import ctypes
import sys

_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 1024


def give_back() -> None:
    """Give memory that was freed, but lies between what is held, back to the system; it takes some milliseconds.

    The C library keeps it for the process otherwise, and what is done next would come on top of it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)


def keep_large_apart() -> None:
    """Let arrays of 128 KB and more lie apart from now on, so that each goes back to the system when it is freed.

    The C library begins so, but takes them into its heap once it has seen one freed. There the many lists of an index
    would lie between the holes that blocks of vectors left, and take a third more than they hold.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
