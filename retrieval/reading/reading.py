"""From queries to probes: the parts are embedded together, weighed over the collection, and mixed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.errors import QueryError
from retrieval.messages import _
from retrieval.query import check_parts
from retrieval.ranking import MAX_PROBES, Embedded, Mix, mix, shares, spread, thin
from retrieval.reading.parts import Reading
from retrieval.types import FloatMatrix, Part, Query, Share

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
    check_parts(query.parts)
    reading = Reading(collection, embedder)
    embedded = reading.embed(query.parts, prompt)
    if collection is not None and len({part.modality for part in embedded}) > 1:
        embedded = _with_spread(embedded, collection)
    try:
        mixed = mix(embedded)
    except ValueError:
        raise QueryError(_("the parts of the query cancel one another out; change a weight or take one out")) from None
    return ReadQuery(query.parts, tuple(embedded), mixed, reading.own, tuple(reading.notes))


def _with_spread(parts: Sequence[Embedded], collection: "Collection") -> list[Embedded]:
    """Measure over the collection how far each part's scores spread."""
    rows = [thin(part.vectors, MAX_PROBES) for part in parts]
    count = min(_SPREAD_OVER, collection.count())
    if count < 1:
        return list(parts)
    scores = collection.search(np.concatenate(rows), count).scores
    ends = np.cumsum([len(part) for part in rows])
    return [
        part._replace(spread=spread(scores[end - len(row) : end]))
        for part, row, end in zip(parts, rows, ends, strict=True)
    ]
