"""Runs a command and watches what it takes: time, processor time and memory of that process alone."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_POLL_S = 0.02


class Ran(NamedTuple):
    """Seconds of wall and of processor time; the largest anonymous and the largest resident size in bytes.

    Anonymous is what is no mapped file. Both are 0 where there is no /proc to read them from.
    """

    wall_s: float
    processor_s: float
    anonymous_bytes: int
    resident_bytes: int


def run(command: Sequence[str], allowed: Sequence[int] = (0,)) -> Ran:
    """Run a command to its end, its stderr dropped.

    The sizes are read from /proc at short intervals: what the system tells of a child that ended counts the memory of
    the process that started it as well.

    Raises:
        SystemExit: it ended with another code than the ``allowed`` ones.
    """
    began_s = time.perf_counter()
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    watch, done = _Watch(child.pid), threading.Event()
    follower = threading.Thread(target=watch.follow, args=(done,))
    follower.start()
    _pid, status, used = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - began_s
    done.set()
    follower.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} failed")
    return Ran(wall_s, used.ru_utime + used.ru_stime, watch.anonymous_bytes, watch.resident_bytes)


def indexed(model: str, media: Path, collection: Path, *options: str) -> Ran:
    """Index a folder into a new collection with the command, files that cannot be read among them or not."""
    command = [sys.executable, "-m", "retrieval", "index", str(media), "--model", model, "-c", str(collection)]
    return run([*command, *options], allowed=(0, 3))


def own_bytes() -> int:
    """Return the largest resident size of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Watch:
    """Reads the memory of a process until it ends; the largest values count."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.anonymous_bytes = self.resident_bytes = 0

    def follow(self, done: threading.Event) -> None:
        while not done.wait(_POLL_S):
            try:
                lines = self._status.read_text(encoding="ascii", errors="replace").splitlines()
            except OSError:
                return
            found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon:", "VmHWM:"))}
            self.anonymous_bytes = max(self.anonymous_bytes, int(found.get("RssAnon", 0)) * 1024)
            self.resident_bytes = max(self.resident_bytes, int(found.get("VmHWM", 0)) * 1024)
