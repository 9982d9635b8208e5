"""What is exported, gathered in blocks, so that memory does not grow with the collection."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from retrieval.errors import CollectionError
from retrieval.messages import _
from retrieval.query import format_item
from retrieval.types import FloatMatrix, Hit, Hits, Keys, Kind, Where

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import ItemRow, Told

BLOCK = 1000
"""Items in memory at a time."""


class Row(NamedTuple):
    """What is said of one hit or item.

    Names and units are those of the JSON lines of a search; ``key`` is the collection's own number of the item.
    ``rank`` and ``score`` are of hits alone, what comes after ``taken_at`` of items alone (see ``types.Details``).
    """

    key: int
    rank: int | None
    score: float | None
    path: str
    kind: Kind
    start_s: float | None
    end_s: float | None
    at_s: float | None
    item: str
    width: int
    height: int
    taken_at: str | None
    size_bytes: int | None = None
    duration_s: float | None = None
    camera: str = ""
    latitude: float | None = None
    longitude: float | None = None
    rating: int | None = None
    keywords: tuple[str, ...] = ()
    told: str = ""


OF_HITS = Row._fields[1 : Row._fields.index("taken_at") + 1]
OF_ITEMS = tuple(name for name in Row._fields[1:] if name not in ("rank", "score"))


class Block(NamedTuple):
    """Some rows and their vectors, ``(n, dim) float32``."""

    rows: list[Row]
    vectors: FloatMatrix


class Gathered:
    """Rows and vectors to export, read anew at each pass.

    ``count`` is how many, ``dim`` how long a vector is, ``columns`` what a table holds of a row (without rank and score
    if nothing was asked), ``about`` the model's name and digest, and the query if there was one.
    """

    def __init__(
        self, collection: "Collection", count: int, about: dict[str, str], rows: Callable[[], Iterator[list[Row]]]
    ) -> None:
        """Use ``gather_hits`` or ``gather_all``."""
        spec = collection.manifest.spec
        self.count, self.dim = count, spec.dim
        self.about = {"model": spec.name, "digest": spec.digest, **about}
        self.columns = OF_HITS if "query" in about else OF_ITEMS
        self.progress: Callable[[int, int], None] = lambda done, total: None
        self._collection, self._rows = collection, rows

    def rows(self, *, tell: bool = True) -> Iterator[list[Row]]:
        """Yield the rows in blocks, and ``tell`` to ``progress`` how many of how many have been taken.

        Raises:
            CollectionError: another process removed some of them meanwhile.
        """
        done = 0
        with _unchanged():
            for rows in self._rows():
                yield rows
                done += len(rows)
                if tell:
                    self.progress(done, self.count)

    def blocks(self) -> Iterator[Block]:
        """Yield rows and vectors, as ``rows``.

        Raises:
            CollectionError: another process removed some of them meanwhile.
        """
        for rows in self.rows():
            with _unchanged():
                block = Block(rows, self._collection.vectors([row.key for row in rows]))
            yield block


def gather_hits(collection: "Collection", hits: Hits) -> Gathered:
    """Gather hits; the vector of a moment is that of its best frame."""
    found = hits.hits

    def rows() -> Iterator[list[Row]]:
        for first in range(0, len(found), BLOCK):
            yield [_row_of_hit(hit) for hit in found[first : first + BLOCK]]

    return Gathered(collection, len(found), {"query": str(hits.query)}, rows)


def gather_all(collection: "Collection", where: Where | None = None) -> Gathered:
    """Gather all items that a filter selects, by path and time.

    Raises:
        QueryError: a filter that cannot be understood.
    """
    keys = collection.keys(where)

    def rows() -> Iterator[list[Row]]:
        for rows in _items(collection, keys):
            known = collection.told(list({row.file_id for row in rows}))
            with _unchanged():
                told = [_row_of_item(row, known[row.file_id]) for row in rows]
            yield told

    return Gathered(collection, len(keys), {}, rows)


def whole_files(collection: "Collection", where: Where | None = None) -> Iterator[Hit]:
    """Yield the files of the items that a filter selects as hits without a score, numbered by path."""
    ranks = itertools.count(1)
    before = None
    with _unchanged():
        for row in itertools.chain.from_iterable(_items(collection, collection.keys(where))):
            if row.path != before:
                before, path = row.path, os.fspath(row.path)
                file = next(ranks), 0.0, path, row.kind, None, None, None, path
                yield Hit(*file, row.width, row.height, row.taken_at, row.key)


def _items(collection: "Collection", keys: Keys) -> "Iterator[list[ItemRow]]":
    for first in range(0, len(keys), BLOCK):
        yield collection.items(keys[first : first + BLOCK])


@contextlib.contextmanager
def _unchanged() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        said = _("the collection changed while it was exported; run the command again when indexing is done")
        raise CollectionError(said) from error


def _row_of_hit(hit: Hit) -> Row:
    times = _rounded(hit.start_s), _rounded(hit.end_s), _rounded(hit.at_s)
    place = hit.path, hit.kind, *times, hit.item
    return Row(hit.key, hit.rank, round(hit.score, 6), *place, hit.width, hit.height, hit.taken_at)


def _row_of_item(row: "ItemRow", known: "Told") -> Row:
    path = os.fspath(row.path)
    times = _rounded(row.start_s), _rounded(row.end_s), _rounded(row.at_s)
    place = path, row.kind, *times, format_item(path, row.at_s)
    made = Row(row.key, None, None, *place, row.width, row.height, row.taken_at, known.size_bytes)
    return made._replace(duration_s=_rounded(known.duration_s), **known.details._asdict())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
