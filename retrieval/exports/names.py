"""Names for exported files: safe on any disk, ordered by rank, and never those of other files."""

import os
import re
from collections.abc import Iterator

from retrieval.present import timestamp, visible
from retrieval.types import Hit

MOST_BYTES = 200
"""Bytes of a name, at most; disks allow 255, and what copies it on may add to it."""
_LONGEST_ENDING = 16
_FORBIDDEN = re.compile(r'[/\\<>:"|?*]')


def name_of(hit: Hit, digits: int, suffix: str | None = None) -> str:
    r"""Return the name under which a hit is exported: ``07 ginger cat.jpg``, ``08 film 00-01-02.500.mp4``.

    What moves cursors or turns writing, what is no text, and what a disk of another system does not allow in names
    become ``_``; long names are cut, their ending is kept. ``digits`` is how many the rank has at least. A clip, told
    by its ``suffix``, says when its moment begins.
    """
    stem, ending = os.path.splitext(os.path.basename(hit.path))  # noqa: PTH119, PTH122 - a Path would drop a dot
    if suffix is not None:
        ending = suffix
    elif len(ending) > _LONGEST_ENDING:
        stem, ending = stem + ending, ""
    moment = "" if suffix is None or hit.start_s is None else " " + timestamp(hit.start_s).replace(":", "-")
    begin, end = f"{hit.rank:0{digits}d} ", moment + _safe(ending)
    room = MOST_BYTES - len(begin) - len(end.encode())
    return begin + _cut(_safe(stem), room).strip(". ") + end


def alternatives(name: str) -> Iterator[str]:
    """Yield the name, and others to try where it is taken: ``a.jpg``, ``a (2).jpg``, ``a (3).jpg`` ..."""
    yield name
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    number = 2
    while True:
        yield f"{stem} ({number}){ending}"
        number += 1


def _safe(text: str) -> str:
    shown = "".join(letter if visible(letter) == letter else "_" for letter in text)
    return _FORBIDDEN.sub("_", shown)


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
