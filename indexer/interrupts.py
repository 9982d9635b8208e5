"""Ctrl-C as a request to stop, where nobody else has taken it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def never() -> bool:
    """Return false: nobody asks to stop."""
    return False


@contextmanager
def interrupts_as(stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Yield a ``stop`` that also becomes true at the first Ctrl-C; the second one raises ``KeyboardInterrupt``.

    An exception that strikes between any two instructions can leave a transaction open that then holds the catalog's
    lock against its own process. So Python's own handler is replaced for as long as this lasts; a caller's handler is
    left alone, and so are threads other than the main one, which get no signals.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop
        return
    asked = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: asked.is_set() or stop()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
