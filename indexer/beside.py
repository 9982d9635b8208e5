"""The sidecars of the files in one folder, with a mark that changes when they do."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from indexer.ignore import Rules, is_junk
from retrieval.media.sidecars import SIDECAR_SUFFIXES, Sidecars


class Found(NamedTuple):
    """The sidecars of a file in the order in which they count; ``mark`` is empty where there are none."""

    paths: tuple[Path, ...] = ()
    mark: str = ""


_NOTHING = Found()


class Shelf:
    """All sidecars of a folder; only those that belong to a file asked for are looked at more closely."""

    def __init__(self, entries: Iterable[os.DirEntry[bytes]] = (), rules: Rules = Rules()) -> None:  # noqa: B008 - frozen
        named = ((os.fsdecode(entry.name), entry) for entry in entries)
        self._entries = {name: entry for name, entry in named if is_sidecar(name)}
        self._rules = rules
        self._sidecars = Sidecars(self._entries)

    @classmethod
    def around(cls, file: Path) -> "Shelf":
        """Return that of the folder a file lies in; an empty one when the folder cannot be listed."""
        try:
            with os.scandir(os.fsencode(file.parent)) as listing:
                return cls(listing)
        except OSError:
            return cls()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def of(self, name: str) -> Found:
        """Return what stands beside the file of this name."""
        if not self._entries:
            return _NOTHING
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - of a name, not a path
        paths: list[Path] = []
        lines: list[str] = []
        for sidecar in self._sidecars.of(name):
            entry = self._entries[sidecar]
            try:
                status = entry.stat()
            except OSError:
                continue
            path = os.fsdecode(entry.path)
            if stat.S_ISREG(status.st_mode) and not self._rules.ignores(path, folder=False):
                paths.append(Path(path))
                # Without the name they share, so that files which are renamed together stay the same.
                lines.append(f"{sidecar.removeprefix(stem)} {status.st_size} {status.st_mtime_ns}\n")
        return Found(tuple(paths), _digest(lines)) if paths else Found()


def is_sidecar(name: str) -> bool:
    """Return whether a file of this name may speak of another."""
    return name[name.rfind(".") :].lower() in SIDECAR_SUFFIXES and not is_junk(name)


def _digest(lines: list[str]) -> str:
    import hashlib  # few files have any

    text = "".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
