"""The searcher: what a query, a collection and a model give together."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from retrieval.config import Device, SearchOptions
from retrieval.errors import CollectionError, ModelMismatch, QueryError, RetrievalError
from retrieval.messages import _
from retrieval.query import parse_query
from retrieval.reading import ReadQuery, checked, read_queries
from retrieval.search.found import Found, hit_of, in_order
from retrieval.search.look import Order
from retrieval.search.ordering import check_options, look_up, order_of, page_of
from retrieval.types import Hit, Hits, Query

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.search.relevance import Relevance
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
        self._lock = threading.Lock()
        self._relevance: Relevance | None = None

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
            collection.use(device)
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
        cannot. Where duplicates are hidden, k and offset count what is shown. Other fusions than ``early``, and
        matching words beside looks, go no deeper than some hundreds of hits. What else can be chosen is told by
        ``SearchOptions``. With a cut, fewer hits come back: those that are kept are the first of the order, so that
        pages join all the same.

        Raises:
            QueryError: a part that is not to be found, parts that cancel one another out, k < 1, or a bad filter.
            MediaError: a file of the query cannot be read.
            ModelMismatch: the collection was meanwhile embedded anew with another model.
        """
        query = parse_query(query) if isinstance(query, str) else query
        self._check(k, options)
        for _attempt in range(_ATTEMPTS):
            try:
                (answer,) = self._together([query], k, options)
            except KeyError:  # an item was removed by another process between two looks
                continue
            if isinstance(answer, RetrievalError):
                raise answer
            return answer
        raise CollectionError(_("the collection changes faster than it can be read; try again"))

    def search_many(
        self,
        queries: Sequence[Query | str],
        k: int = 10,
        options: SearchOptions = SearchOptions(),  # noqa: B008 - frozen
    ) -> list[Hits | RetrievalError]:
        """Return for each of the queries what ``search`` returns, or the error that it raises for that query alone.

        All texts are embedded in one batch, and all queries with the same filter look up the index in one search (in
        one more before it, how far scores spread is measured for those that mix words and pictures).

        Raises:
            QueryError: k < 1, or options that do not go together.
            ModelMismatch: the collection was meanwhile embedded anew with another model.
        """
        self._check(k, options)
        parsed = [_parsed(query) for query in queries]
        sound = [query for query in parsed if isinstance(query, Query)]
        try:
            answers = iter(self._together(sound, k, options))
        except KeyError:
            answers = iter([self._alone(query, k, options) for query in sound])
        return [next(answers) if isinstance(query, Query) else query for query in parsed]

    def _check(self, k: int, options: SearchOptions) -> None:
        if k < 1 or options.offset < 0 or options.per_video < 1:
            raise QueryError(_("k and the hits per video are 1 or more, the offset 0 or more"))
        check_options(options)
        self.collection.check_model(self.embedder.spec)

    def _alone(self, query: Query, k: int, options: SearchOptions) -> Hits | RetrievalError:
        try:
            return self.search(query, k, options)
        except ModelMismatch:
            raise
        except RetrievalError as error:
            return error

    def _together(self, queries: Sequence[Query], k: int, options: SearchOptions) -> list[Hits | RetrievalError]:
        """Answer queries that look up the index together.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        asked: list[_Asked | RetrievalError] = []
        for query, read in zip(queries, self._read(queries, options), strict=True):
            try:
                if isinstance(read, RetrievalError):
                    raise read
                asked.append(_Asked(query, read, order_of(self.collection, query, read, options)))
            except ModelMismatch:
                raise
            except RetrievalError as error:
                asked.append(error)
        look_up(self.collection, [one.order for one in asked if isinstance(one, _Asked)], k, options)
        return [self._answer(one, k, options) if isinstance(one, _Asked) else one for one in asked]

    def _read(self, queries: Sequence[Query], options: SearchOptions) -> Sequence[ReadQuery | RetrievalError | None]:
        """Embed queries; words alone need no vectors."""
        if options.match != "words":
            return read_queries(queries, self.embedder, self.collection, options.prompt)
        return [checked(query) for query in queries]

    def _answer(self, asked: "_Asked", k: int, options: SearchOptions) -> Hits:
        kept = None
        if options.cut.kind != "none":
            kept = self._judge().cut(options, asked.read, asked.order, asked.query.where)
        found = page_of(self.collection, (kept or asked.order).best, k, options)
        if options.explain and options.fusion == "early" and asked.read is not None:
            found = self._told(found, asked.read)
        numbered = in_order(enumerate(found, options.offset + 1), options.sort)
        more, cutting = ((), None) if kept is None else (kept.notes, kept.cutting)
        notes = (*(asked.read.notes if asked.read else ()), *asked.order.notes, *more)
        hits = tuple(hit_of(rank, one) for rank, one in numbered)
        return Hits(asked.query, hits, asked.order.searched, notes, cutting)

    def _judge(self) -> "Relevance":
        """Return what tells relevant hits from others; most searches do not ask."""
        from retrieval.search.relevance import Relevance

        with self._lock:
            if self._relevance is None:
                self._relevance = Relevance(self.collection, self.embedder)
            return self._relevance

    def _told(self, found: list[Found], read: ReadQuery) -> list[Found]:
        """Return the hits with what each part of the query added to their scores."""
        told = read.shares(self.collection.vectors([one.key for one in found]))
        return [one._replace(shares=each) for one, each in zip(found, told, strict=True)]


class _Asked(NamedTuple):
    """A query on its way: as vectors, unless words alone are looked for, and its hits in order."""

    query: Query
    read: ReadQuery | None
    order: Order


def _parsed(query: Query | str) -> Query | QueryError:
    try:
        return parse_query(query) if isinstance(query, str) else query
    except QueryError as error:
        return error
