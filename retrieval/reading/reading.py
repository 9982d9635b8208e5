"""From queries to probes: the parts are embedded together, weighed over the collection, and mixed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.errors import QueryError, RetrievalError
from retrieval.messages import _
from retrieval.query import check_parts
from retrieval.ranking import MAX_PROBES, Embedded, Mix, mix, shares, spread, thin
from retrieval.reading.parts import Reading
from retrieval.reading.texts import Texts
from retrieval.types import FloatMatrix, Part, Query, Share, Track

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection

_SPREAD_OVER = 1000


class ReadQuery(NamedTuple):
    """A query as the engine reads it: its parts as vectors, and the probes they are mixed to.

    ``own`` are the real paths of the query's files, ``notes`` what the user should know.
    """

    parts: tuple[Part, ...]
    embedded: tuple[Embedded, ...]
    mixed: Mix
    own: frozenset[str]
    notes: tuple[str, ...]

    @property
    def excerpt(self) -> Track | None:
        """The track of the clip that the query consists of; ``None`` when it is anything else."""
        alone = len(self.parts) == 1 and self.parts[0].weight > 0
        return self.embedded[0].track if alone else None

    def shares(self, vectors: FloatMatrix) -> list[tuple[Share, ...]]:
        """Return what each part adds to the score of each of the vectors ``(n, dim)``; see ``ranking.shares``."""
        found, best = shares(vectors, self.mixed)
        return [
            tuple(
                Share(part, float(value), known.at_s[row] if known.at_s and row >= 0 else None)
                for part, known, value, row in zip(self.parts, self.embedded, values, rows, strict=True)
            )
            for values, rows in zip(found, self.mixed.rows[best], strict=True)
        ]


def read_query(
    query: Query, embedder: "Embedder", collection: "Collection | None" = None, prompt: Sequence[str] = ()
) -> ReadQuery:
    """Embed the parts of a query and mix them; without a collection, files are decoded and spreads are not known.

    ``prompt`` is the sentences that words are put into, see ``embedding.prompts``.

    Raises:
        QueryError: a part that is not to be found, or parts that cancel one another out.
        MediaError: a file of the query cannot be read.
    """
    (found,) = read_queries([query], embedder, collection, prompt)
    if isinstance(found, RetrievalError):
        raise found
    return found


def read_queries(
    queries: Sequence[Query], embedder: "Embedder", collection: "Collection | None" = None, prompt: Sequence[str] = ()
) -> list[ReadQuery | RetrievalError]:
    """Read many queries as ``read_query`` does: all texts are embedded together, all spreads measured in one search.

    What is wrong with a query stands in its place.
    """
    wrong = [checked(query) for query in queries]
    sound = [part for query, error in zip(queries, wrong, strict=True) if error is None for part in query.parts]
    texts = Texts(embedder, (part.value for part in sound if part.kind == "text"), prompt)
    found = [error or _read(query, collection, embedder, texts) for query, error in zip(queries, wrong, strict=True)]
    if collection is not None:
        _measure_spreads([one for one in found if isinstance(one, _Read)], collection)
    return [_mixed(one) if isinstance(one, _Read) else one for one in found]


class _Read(NamedTuple):
    """A query whose parts are vectors; the list of parts is replaced in place once their spreads are known."""

    query: Query
    embedded: list[Embedded]
    own: frozenset[str]
    notes: tuple[str, ...]

    @property
    def mixes_kinds(self) -> bool:
        return len({part.modality for part in self.embedded}) > 1


def checked(query: Query) -> QueryError | None:
    """Return what is wrong with the parts of a query, as ``query.check_parts`` raises it."""
    try:
        check_parts(query.parts)
    except QueryError as error:
        return error
    return None


def _read(query: Query, collection: "Collection | None", embedder: "Embedder", texts: Texts) -> _Read | RetrievalError:
    reading = Reading(collection, embedder, texts)
    try:
        embedded = reading.embed(query.parts)
    except RetrievalError as error:
        return error
    return _Read(query, embedded, reading.own, tuple(reading.notes))


def _mixed(read: _Read) -> ReadQuery | QueryError:
    try:
        mixed = mix(read.embedded)
    except ValueError:
        return QueryError(_("the parts of the query cancel one another out; change a weight or take one out"))
    return ReadQuery(read.query.parts, tuple(read.embedded), mixed, read.own, read.notes)


def _measure_spreads(reads: Sequence[_Read], collection: "Collection") -> None:
    """Measure over the collection how far the scores of each part spread, where kinds of parts are mixed."""
    waiting = [read for read in reads if read.mixes_kinds]
    count = min(_SPREAD_OVER, collection.count()) if waiting else 0
    if count < 1:
        return
    rows = [thin(part.vectors, MAX_PROBES) for read in waiting for part in read.embedded]
    scores = collection.search(np.concatenate(rows), count).scores
    ends = np.cumsum([len(part) for part in rows])
    spreads = iter([spread(scores[end - len(row) : end]) for row, end in zip(rows, ends, strict=True)])
    for read in waiting:
        read.embedded[:] = [part._replace(spread=next(spreads)) for part in read.embedded]
