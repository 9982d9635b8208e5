"""Opening a hit in the program that shows it: ``search --open``."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from retrieval.errors import OutputError
from retrieval.messages import _, reason_of

if TYPE_CHECKING:
    from retrieval.types import Hit

_SETTLED_S = 1.0
"""An opener that fails does so at once; a viewer stays."""


def open_hit(hit: "Hit") -> None:
    """Show a hit: a moment of a video in a player from its start on, where there is one, else as the system opens it.

    The program is left running.

    Raises:
        OutputError: the file is not there, or there is nothing to open it with.
    """
    if not os.path.isfile(hit.path):  # noqa: PTH113 - False for a name too long
        raise OutputError(_("{path} cannot be opened: it is not there; is its drive mounted?").format(path=hit.path))
    command = command_for(hit, sys.platform, os.environ, shutil.which)
    if command is None:
        said = _("{path} cannot be opened: there is no program that opens files; install xdg-utils, or mpv for videos")
        raise OutputError(said.format(path=hit.path))
    if command[0] == "startfile":
        os.startfile(hit.path)  # type: ignore[attr-defined,unused-ignore]
        return
    nowhere = subprocess.DEVNULL
    try:
        started = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
    except OSError as error:
        said = _("{path} cannot be opened: {program} does not run ({reason})")
        raise OutputError(said.format(path=hit.path, program=command[0], reason=reason_of(error))) from None
    with contextlib.suppress(subprocess.TimeoutExpired):
        if started.wait(_SETTLED_S):
            said = _("{path} cannot be opened: {program} failed; open the file by hand")
            raise OutputError(said.format(path=hit.path, program=command[0]))


def command_for(
    hit: "Hit", platform: str, environment: Mapping[str, str], which: Callable[[str], str | None]
) -> list[str] | None:
    """Return the program and its arguments that show a hit; ``None`` where there is none.

    ``which`` finds a program. A path is always absolute, so that none is taken for an option.
    """
    path = os.path.abspath(hit.path)  # noqa: PTH100 - takes ".." out and keeps links
    if hit.start_s is not None and _has_screen(platform, environment):
        for name, option in (("mpv", "--start="), ("vlc", "--start-time=")):
            player = which(name)
            if player is not None:
                return [player, f"{option}{hit.start_s:.3f}", path]
    if platform == "win32":
        return ["startfile", path]
    opener = which("open" if platform == "darwin" else "xdg-open")
    return [opener, path] if opener is not None else None


def _has_screen(platform: str, environment: Mapping[str, str]) -> bool:
    return platform in ("darwin", "win32") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
