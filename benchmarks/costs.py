"""What a command takes: seconds by the clock and of the processors, and the memory of its largest process."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# A process counts as its own what the one that started it held (Linux, at exec), so a small one starts the command.
_LAUNCHER = """
import json, os, subprocess, sys, time
began_s = time.perf_counter()
child = subprocess.Popen(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL)
_pid, status, used = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
wall_s = time.perf_counter() - began_s
print(json.dumps([child.returncode, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3]))
"""


class Cost(NamedTuple):
    """What a command took: seconds by the clock and of the processors, megabytes of its largest process."""

    wall_s: float
    processor_s: float
    resident_mb: float


def cost_of(command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command, which may also leave with 3 (done, some files could not be read); return what it took.

    Raises:
        SystemExit: it failed; what it said last is in the message.
    """
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(list(command))],
        check=True, capture_output=True, cwd=folder, env=environment,
    )  # fmt: skip
    code, *cost = json.loads(launched.stdout)
    if code not in (0, 3):
        raise SystemExit(f"{' '.join(command)} failed:\n{launched.stderr[-2000:].decode(errors='replace')}")
    return Cost(*cost)
