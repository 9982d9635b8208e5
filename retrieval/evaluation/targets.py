"""What the names in a file of labelled queries stand for in a collection."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.errors import QueryError
from retrieval.evaluation.moments import Place, format_place, parse_place
from retrieval.evaluation.queries import Labelled, Named, fail
from retrieval.messages import N_, _, retold
from retrieval.query import ItemName, format_item, parse_query, read_item, split_item
from retrieval.types import Part, Query

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileRecord


class Target(NamedTuple):
    """Something that is right for a query: a file of the collection, whole or a moment of it."""

    place: Place
    grade: int


class Question(NamedTuple):
    """A line of the file, ready to be asked: ``targets`` are what is right, no two of them the same."""

    number: int
    query: Query
    targets: tuple[Target, ...]


class Targets:
    """Finds the files that names mean: absolute, below the folder of the queries file, or below a source."""

    def __init__(self, queries: Path, collection: "Collection") -> None:
        self._file, self._collection = queries, collection
        self._folders = (Path(os.path.abspath(queries)).parent, *(one.path for one in collection.sources()))  # noqa: PTH100
        self.unreadable: dict[str, str] = {}
        """Files of the collection that are named as right and cannot be found, with the reason."""

    def question(self, line: Labelled) -> Question:
        """Return what to ask for a line, and what is right.

        Raises:
            DatasetError: the query cannot be understood, or a name means no file of the collection; with the line.
        """
        try:
            query = self._query(line)
        except QueryError as error:
            fail(self._file, line.number, retold(str(error)))
        targets = tuple(self._target(line.number, named) for named in line.relevant)
        seen: set[Place] = set()
        own = {os.path.realpath(split_item(part.value)[0]) for part in query.parts if part.kind != "text"}
        for target in targets:
            if target.place in seen:
                fail(
                    self._file,
                    line.number,
                    _("{name} is named twice; name it once").format(name=format_place(target.place)),
                )
            if os.path.realpath(target.place.path) in own:
                fail(
                    self._file,
                    line.number,
                    _("{path} is part of the query, so it cannot be a hit of it").format(path=target.place.path),
                )
            seen.add(target.place)
        return Question(line.number, query, targets)

    def _query(self, line: Labelled) -> Query:
        """Parse the query; names of files in it get their place here, not in the folder one happens to be in."""
        asked = parse_query(line.query, like=line.like, where=line.where)
        parts = [part if part.kind == "text" else self._placed(part) for part in asked.parts]
        for text in line.minus:
            # With something to look for beside it, since what is taken away alone is no query.
            part = parse_query("x", minus=[text]).parts[-1]
            is_file = '"' not in text and self._file_named(split_item(part.value)[0]) is not None
            parts.append(self._placed(part) if is_file else Part("text", part.value, part.weight))
        return Query(tuple(parts), asked.where)

    def _placed(self, part: Part) -> Part:
        """Return a part with the absolute path of its file.

        Raises:
            QueryError: there is no such file.
        """
        for named in dict.fromkeys((ItemName(part.value), read_item(part.value))):
            found = self._file_named(named.path)
            if found is not None:
                whole = named.at_s is None and named.crop is None
                kind = part.kind if part.kind in ("clip", "vector") else "image" if whole else "item"
                value = format_item(str(found), named.at_s, named.crop)
                return Part(kind if found.is_file() else "item", value, part.weight)
        raise QueryError(
            _("there is no file {value!r} beside the queries or in an indexed folder; correct its name").format(
                value=part.value[:200]
            )
        )

    def _file_named(self, name: str) -> Path | None:
        """Return the file of that name: in the collection, or on the disk."""
        if not _possible(name):
            return None
        for path in self._candidates(name):
            if self._collection.find_file(path) is not None or os.path.isfile(path):  # noqa: PTH113 - False if too long
                return path
        return None

    def _target(self, number: int, named: Named) -> Target:
        """Find the file of a name; a moment only where no file has exactly that name."""
        place = parse_place(named.name)
        record = self._record(named.name)
        if record is not None:
            place = Place(named.name)
        elif place.span is not None:
            record = self._record(place.path)
        elif "#t=" in named.name and self._record(named.name.rpartition("#t=")[0]) is not None:
            fail(
                self._file,
                number,
                _("{name!r}: write a moment as its start and end, a.mp4#t=3-7.5").format(name=named.name),
            )
        if record is None:
            fail(
                self._file,
                number,
                _("{name!r} is not in the collection; index it, or correct the name").format(name=named.name),
            )
        if place.span is not None:
            if place.span.end_s <= place.span.start_s:
                fail(self._file, number, _("{name!r}: a moment ends after it starts").format(name=named.name))
            if record.kind == "image":
                fail(
                    self._file,
                    number,
                    _("{name!r}: a picture has no moments; leave the time out").format(name=named.name),
                )
        self._note_unreadable(record)
        return Target(Place(str(record.path), place.span), named.grade)

    def _note_unreadable(self, record: "FileRecord") -> None:
        if record.gone:
            self.unreadable[str(record.path)] = N_("it is gone")
        elif record.status == "failed":
            self.unreadable[str(record.path)] = record.reason
        elif not record.embedded:
            self.unreadable[str(record.path)] = N_("it waits to be indexed")

    def _record(self, name: str) -> "FileRecord | None":
        if not _possible(name):
            return None
        found = (self._collection.find_file(path) for path in self._candidates(name))
        return next((record for record in found if record is not None), None)

    def _candidates(self, name: str) -> Iterator[Path]:
        """Yield the absolute paths a name may mean; a name typed in one normal form may stand on disk in another."""
        forms = dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)))
        for form in forms:
            for folder in _joined(self._folders, form):
                yield Path(os.path.abspath(folder))  # noqa: PTH100 - takes ".." out and keeps links
        for form in forms:
            for folder in _joined(self._folders, form):
                yield Path(os.path.realpath(folder))


def _joined(folders: Sequence[Path], name: str) -> list[Path]:
    return [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]


def _possible(name: str) -> bool:
    """Return whether a file can have this name."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
