"""Files beside a picture or video that speak of it: XMP, a caption, and what Google Takeout writes.

Which they are is told by their names alone, so that one listing of a folder finds those of all its files.
"""

import json
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from retrieval.media.dates import local_date
from retrieval.media.details import (
    MAX_TOLD,
    NOTHING,
    Place,
    Said,
    joined,
    keywords_of,
    place_of,
    told_of,
    unless_damaged,
)
from retrieval.types import Details

SIDECAR_SUFFIXES = frozenset({".xmp", ".txt", ".json"})
"""How the names of sidecars end, lower case."""
_MAX_JSON_BYTES = 1_000_000
_MAX_CAPTION_BYTES = 8 * MAX_TOLD
_TAKEOUT = ".supplemental-metadata"
_TAKEOUT_LONGEST = 46
"""To how many characters, before ``.json``, Takeout cuts its names."""
_CUTS = range(len(_TAKEOUT) + 1)
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]+)", re.DOTALL)
_NUMBER_BEHIND = re.compile(r"(.+)(\(\d+\))", re.DOTALL)


class Sidecars:
    """The sidecars of one folder, by the names in it.

    ``photo.jpg`` is spoken of by ``photo.jpg.xmp``, ``photo.xmp``, ``photo.jpg.txt``, ``photo.txt``, ``photo.jpg.json``
    and ``photo.jpg.supplemental-metadata.json``, which Takeout cuts short; its ``photo(1).jpg`` goes with
    ``photo.jpg(1).json``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._named: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name in sorted(names, key=os.fsencode):
            owner, suffix = os.path.splitext(name)  # noqa: PTH122 - of names, not paths
            if suffix.lower() in SIDECAR_SUFFIXES:
                self._named[owner, suffix.lower()].append(name)
        self._takeout: dict[tuple[str, str], str] = {}
        for owner, suffix in self._named:
            if suffix == ".json":
                self._shelve(owner)

    def __bool__(self) -> bool:
        return bool(self._named)

    def of(self, name: str) -> list[str]:
        """Return the names of the sidecars of a file, in the order in which they count."""
        if not self._named:
            return []
        stem = os.path.splitext(name)[0]  # noqa: PTH122
        found = [
            sidecar
            for suffix in (".xmp", ".txt")
            for owner in (name, stem)
            for sidecar in self._named.get((owner, suffix), ())
        ]
        return found + self._named.get((self._by_takeout(name), ".json"), []) if self._takeout else found

    def _shelve(self, owner: str) -> None:
        """Remember of whom a JSON file speaks that is named so, without ``.json``: the longest such name counts."""
        for prefix, number in {(owner, ""), _number_behind(owner)}:
            speaks_of = [prefix[: len(prefix) - cut] for cut in _CUTS if prefix.endswith(_TAKEOUT[:cut])]
            for plain in speaks_of:
                known = self._takeout.get((plain, number), "")
                self._takeout[plain, number] = max(known, owner, key=len)

    def _by_takeout(self, name: str) -> str:
        """Return what Takeout calls the JSON file of ``name``, without ``.json``; nothing if there is none."""
        numbered = _NUMBERED.fullmatch(name) if "(" in name else None
        plain, number = (numbered[1] + numbered[3], numbered[2]) if numbered else (name, "")
        found = self._takeout.get((plain, number), "")
        if not found and len(plain) > _TAKEOUT_LONGEST:
            shortened = plain[:_TAKEOUT_LONGEST]
            found = shortened + number if (shortened + number, ".json") in self._named else ""
        return found or (name if number else "")


def _number_behind(owner: str) -> tuple[str, str]:
    """Return a name without the number in brackets at its end, and the number."""
    found = _NUMBER_BEHIND.fullmatch(owner) if owner.endswith(")") else None
    return (found[1], found[2]) if found else (owner, "")


class Beside(NamedTuple):
    """What the sidecars of a file say that goes before what it says itself, and what only adds to that."""

    before: tuple[Said, ...] = ()
    after: tuple[Said, ...] = ()

    def joined_to(self, own: Said) -> Said:
        """Return all that is said of the file."""
        return joined(own, self.before, self.after) if self.before or self.after else own


def read_sidecars(paths: Sequence[Path]) -> Beside:
    """Return what sidecars say; one that cannot be read or is damaged says nothing."""
    before: list[Said] = []
    after: list[Said] = []
    for path in paths:
        said = unless_damaged(lambda path=path: _read(path), NOTHING)  # type: ignore[misc]
        (before if path.suffix.lower() == ".xmp" else after).append(said)
    return Beside(tuple(before), tuple(after))


def _read(path: Path) -> Said:
    suffix = path.suffix.lower()
    if suffix == ".xmp":
        from retrieval.media.xmp import MAX_BYTES, read_xmp  # a scan, which needs none of it, imports this module too

        return read_xmp(_content(path, MAX_BYTES + 1))
    if suffix == ".txt":
        return Said(Details(told=told_of([caption_of(_content(path, _MAX_CAPTION_BYTES))])))
    return read_takeout(_content(path, _MAX_JSON_BYTES + 1))


def _content(path: Path, most: int) -> bytes:
    # Without O_NONBLOCK a named pipe would wait for a writer for ever.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError("not a regular file")
        return file.read(most)


def caption_of(data: bytes) -> str:
    """Return a caption as text; nothing for what is no text.

    It is UTF-8, UTF-16 with a byte order mark, or else GB 18030 if it is Chinese in that, or Latin-1.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) == _MAX_CAPTION_BYTES and error.start >= len(data) - 3:  # cut in the middle of a character
            return data[: error.start].decode("utf-8-sig")
    chinese = data.decode("gb18030", "replace")
    foreign = [letter for letter in chinese if letter > "\x7f"]
    if sum("\u4e00" <= letter <= "\u9fff" or "\u3000" <= letter <= "\u303f" for letter in foreign) > 0.8 * len(foreign):
        return chinese
    return data.decode("latin-1")


def read_takeout(data: bytes) -> Said:
    """Return what Google Takeout says of a photo: description, place, the names of people, and when it was taken.

    Raises:
        ValueError: it is too large, or not of that form.
    """
    if len(data) > _MAX_JSON_BYTES:
        raise ValueError("too many bytes of JSON")
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError("no object")
    people = (one.get("name") for one in told.get("people") or () if isinstance(one, dict))
    places = (_place(told.get(name)) for name in ("geoData", "geoDataExif"))
    place = next((place for place in places if place.latitude is not None), Place())
    words, text = keywords_of(people), told_of([told.get("description")])
    details = Details("", place.latitude, place.longitude, None, words, text)
    return Said(details, unless_damaged(lambda: _taken_at(told["photoTakenTime"]), None))


def _place(geo: object) -> Place:
    if not isinstance(geo, dict):
        return Place()
    latitude, longitude = geo.get("latitude"), geo.get("longitude")
    if not (isinstance(latitude, int | float) and isinstance(longitude, int | float)):
        return Place()
    return place_of(float(latitude), float(longitude))


def _taken_at(taken: Any) -> str | None:  # noqa: ANN401 - as it stands in the file
    """Return the time, which is in UTC there, as it was here."""
    moment = datetime.fromtimestamp(int(taken["timestamp"]), UTC)
    return local_date(moment.isoformat(timespec="seconds")) if moment.timestamp() else None
