"""The searcher: what a query, a collection and a model give together."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retrieval.config import Device, SearchOptions
from retrieval.errors import CollectionError, QueryError
from retrieval.messages import _
from retrieval.query import check_parts, parse_query
from retrieval.reading import ReadQuery, read_query
from retrieval.search.folding import Folded
from retrieval.search.found import Found, hit_of, in_order
from retrieval.search.ranked import Ranked
from retrieval.types import Hit, Hits, Query

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection

_ATTEMPTS = 5
_PAGES = (64, 256, 1024)


class Searcher:
    """Answers queries over a collection; safe to use from many threads."""

    def __init__(self, collection: "Collection", embedder: "Embedder") -> None:
        """Use a collection with the model it was made with.

        Raises:
            ModelMismatch: it was made with another one.
        """
        collection.check_model(embedder.spec)
        self.collection = collection
        self.embedder = embedder

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, device: Device = "auto", language: str | None = None) -> Iterator[Self]:
        """Open a collection for reading, with the model it was made with; both are closed at the end of the block.

        ``language`` is that of the words of all queries as a code (``en``, ``zh``); else each part's is guessed.

        Raises:
            CollectionNotFound: there is no collection in ``folder``; CollectionError: it cannot be read.
            ModelNotFound: its model is not on this machine; ModelMismatch: it has changed.
        """
        from retrieval.embedding import embedder_for
        from retrieval.embedding.polyglot import Polyglot
        from retrieval.store import Collection

        with Collection.open(folder) as collection:
            yield cls(collection, Polyglot(embedder_for(collection.manifest.spec, device), language))

    def iterate(self, query: Query | str, options: SearchOptions = SearchOptions()) -> Iterator[Hit]:  # noqa: B008 - frozen
        """Yield all hits from ``options.offset`` on, best first, found as they are asked for.

        What another process commits meanwhile may show or be missed.

        Raises:
            QueryError: as ``search``, and a ``sort`` other than by score.
        """
        if options.sort != "score":
            raise QueryError(_("hits can only be iterated over by score; take a page with search to sort it otherwise"))
        offset = options.offset
        for size in chain(_PAGES, repeat(_PAGES[-1])):
            hits = self.search(query, size, replace(options, offset=offset)).hits
            yield from hits
            if len(hits) < size:
                return
            offset += size

    def search(self, query: Query | str, k: int = 10, options: SearchOptions = SearchOptions()) -> Hits:  # noqa: B008 - frozen
        """Return hits ``offset`` to ``offset + k`` of the order by score; fewer only when no more exist.

        A text is read as ``parse_query`` reads it.

        A hit is a picture, or a moment of a video (at most ``per_video`` of one). Its score is the cosine with the
        query's best probe; equal scores (to six decimals) are ordered by path, then time, so that pages join without a
        gap or repetition. An indexed file that is itself part of the query is left out, whatever name it is given by;
        other files of the same bytes are hits. Files on sources that are offline can be found, files that are gone
        cannot. Where duplicates are hidden, k and offset count what is shown. What else can be chosen is told by
        ``SearchOptions``.

        Raises:
            QueryError: a part that is not to be found, parts that cancel one another out, k < 1, or a bad filter.
            MediaError: a file of the query cannot be read.
            ModelMismatch: the collection was meanwhile embedded anew with another model.
        """
        if k < 1 or options.offset < 0 or options.per_video < 1:
            raise QueryError(_("k and the hits per video are 1 or more, the offset 0 or more"))
        query = parse_query(query) if isinstance(query, str) else query
        check_parts(query.parts)
        self.collection.check_model(self.embedder.spec)
        for _attempt in range(_ATTEMPTS):
            try:
                return self._answer(query, k, options)
            except KeyError:  # an item was removed by another process between two looks
                continue
        raise CollectionError(_("the collection changes faster than it can be read; try again"))

    def _answer(self, query: Query, k: int, options: SearchOptions) -> Hits:
        read = read_query(query, self.embedder, self.collection, options.prompt)
        ranked = Ranked(self.collection, read.mixed.probes, query.where, read.own, options.per_video)
        if options.hide_duplicates == "none":
            found = ranked.best(options.offset + k)[options.offset :]
        else:
            found = Folded(self.collection, ranked.best, options.hide_duplicates).page(options.offset, k)
        if options.explain:
            found = self._told(found, read)
        numbered = in_order(enumerate(found, options.offset + 1), options.sort)
        return Hits(query, tuple(hit_of(rank, one) for rank, one in numbered), ranked.searched, read.notes)

    def _told(self, found: list[Found], read: ReadQuery) -> list[Found]:
        """Return the hits with what each part of the query added to their scores."""
        told = read.shares(self.collection.vectors([one.key for one in found]))
        return [one._replace(shares=each) for one, each in zip(found, told, strict=True)]
