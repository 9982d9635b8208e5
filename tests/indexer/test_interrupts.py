"""Ctrl-C as a request to stop."""

import os
import signal
import threading

import pytest

from indexer.interrupts import interrupts_as


def test_the_first_ctrl_c_asks_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_as(lambda: False) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_the_caller_said_counts_too():
    asked = threading.Event()
    with interrupts_as(asked.is_set) as stop:
        assert not stop()
        asked.set()
        assert stop()


def test_a_callers_handler_and_other_threads_are_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with interrupts_as(lambda: False) as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert heard == [signal.SIGINT]
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)

    def elsewhere() -> None:
        with interrupts_as(lambda: True) as stop:
            heard.append(stop())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert heard[-1] is True
