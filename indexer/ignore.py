"""What a walk leaves out: junk by name, and what ignore files and ``--exclude`` patterns say.

Patterns have gitignore's syntax and meaning (https://git-scm.com/docs/gitignore): the last pattern that matches
decides, ``!`` takes back, a deeper file outranks the ones above it, and ``--exclude`` outranks them all.
"""

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import OptionError
from retrieval.messages import N_, _

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".sightseekignore"
"""Name of the ignore file that may lie in any folder of a source."""

_LARGEST_IGNORE_FILE_BYTES = 1 << 20
_JUNK = frozenset(
    {
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
        "Thumbs.db",
        "desktop.ini",
    }
)


JUNK = frozenset(map(os.fsencode, _JUNK))
"""Names of files and folders made by a system rather than by people, as bytes."""


def is_junk(name: str) -> bool:
    """Return whether a file or folder is never looked at: hidden, or made by a system rather than by people."""
    return name.startswith(".") or name in _JUNK


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns in force in one folder; ``levels`` are (folder with trailing slash, patterns), deepest first."""

    exclude: "tuple[str, GitIgnoreSpec] | None" = None
    levels: "tuple[tuple[str, GitIgnoreSpec], ...]" = ()

    def __bool__(self) -> bool:
        return self.exclude is not None or bool(self.levels)

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Return whether the absolute ``path`` is left out."""
        ranked = self.levels if self.exclude is None else (self.exclude, *self.levels)
        for base, patterns in ranked:
            verdict = patterns.check_file(_plain(path[len(base) :]) + ("/" if folder else "")).include
            if verdict is not None:
                return verdict
        return False

    def deeper(self, folder: str, problems: Callable[[Path, str], None]) -> "Rules":
        """Return the rules below ``folder``, whose ignore file is read; ``problems`` hears when that fails."""
        path = Path(folder, IGNORE_FILE)
        try:
            with path.open("rb") as stream:
                text = stream.read(_LARGEST_IGNORE_FILE_BYTES).decode("utf-8", "replace")
            patterns = _compile(text.removeprefix("\ufeff").splitlines())
        except (OSError, ValueError) as error:
            problems(
                path,
                N_("this ignore file has no effect: {reason}").format(reason=getattr(error, "strerror", None) or error),
            )
            return self
        return replace(self, levels=((_with_slash(folder), patterns), *self.levels))


def rules_for(source: str, exclude: Sequence[str]) -> Rules:
    """Return the rules at the top of ``source``: its ``--exclude`` patterns alone.

    Raises:
        OptionError: a pattern is not gitignore syntax.
    """
    if not exclude:
        return Rules()
    try:
        return Rules(exclude=(_with_slash(source), _compile(exclude)))
    except ValueError as error:
        raise OptionError(
            _("--exclude pattern is not understood ({reason}); write it as in .gitignore").format(reason=error)
        ) from None


def _compile(lines: Sequence[str]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # its patterns are not needed where nothing is left out

    return GitIgnoreSpec.from_lines([unicodedata.normalize("NFC", line) for line in lines])


def _with_slash(folder: str) -> str:
    return folder if folder.endswith("/") else folder + "/"


def _plain(name: str) -> str:
    """Return the name as patterns see it: NFC, and free of newlines and undecodable bytes, which regexes stumble on."""
    if not name.isascii():
        name = unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))
    return name.replace("\n", "\u2424")
