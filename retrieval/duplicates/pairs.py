# ruff: noqa: SIM905 - a line is easier to read than twenty strings
"""Photos and what was taken with them: the video of a Live Photo, the raw file of a JPEG."""

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from retrieval.store.records import FileFacts

RAW_SUFFIXES = frozenset(
    """
    .3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srf .srw .x3f
    """.split()
)
"""Suffixes of raw files, lower case with the dot. They are not indexed; that one is there is seen in its folder."""
TOGETHER_S = 2.0
"""By how many seconds the times of a pair may differ: a Live Photo's video begins before the picture is taken."""


class Pair(NamedTuple):
    """A photo and what was taken with it."""

    main: FileFacts
    partners: tuple[FileFacts, ...]


def find_pairs(files: Sequence[FileFacts]) -> list[Pair]:
    """Return the photos that something belongs to: one name but for the suffix, one folder, the same second or two.

    The times are those at which the two were taken, on the clock of the camera, else those of the files.
    """
    by_stem: dict[tuple[Path, str], list[FileFacts]] = defaultdict(list)
    for file in files:
        by_stem[file.path.parent, file.path.stem.casefold()].append(file)
    pairs = []
    raws = _Raws()
    for (folder, stem), together in by_stem.items():
        photos = [file for file in together if file.kind == "image"]
        videos = [file for file in together if file.kind == "video"]
        for photo in photos:
            beside = videos if photo.offline else videos + raws.of(folder, stem)
            partners = tuple(file for file in beside if _together(photo, file))
            if partners:
                pairs.append(Pair(photo, partners))
    return pairs


class _Raws:
    """The raw files on disk; each folder is read once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[FileFacts]]] = {}

    def of(self, folder: Path, stem: str) -> list[FileFacts]:
        if folder not in self._folders:
            self._folders[folder] = self._read(folder)
        return self._folders[folder].get(stem, [])

    @staticmethod
    def _read(folder: Path) -> dict[str, list[FileFacts]]:
        found: dict[str, list[FileFacts]] = defaultdict(list)
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - a folder may hold very many
        except OSError:
            return found
        for name in names:
            path = folder / name
            if path.suffix.lower() in RAW_SUFFIXES:
                try:
                    stat = path.stat()
                except OSError:
                    continue
                facts = FileFacts(0, path, "image", stat.st_size, stat.st_mtime_ns, None, 0, 0, None, None, 0, False)
                found[path.stem.casefold()].append(facts)
        return found


def _together(one: FileFacts, other: FileFacts) -> bool:
    taken = _taken(one), _taken(other)
    if taken[0] is not None and taken[1] is not None:
        return abs((taken[0] - taken[1]).total_seconds()) <= TOGETHER_S
    return abs(one.mtime_ns - other.mtime_ns) <= TOGETHER_S * 1e9


def _taken(file: FileFacts) -> datetime | None:
    """Return when a file was taken, as its clock showed it."""
    if file.taken_at is None:
        return None
    try:
        return datetime.fromisoformat(file.taken_at[: len("2024-05-01T12:30:00")])
    except ValueError:
        return None
