"""sightseek's engine: find pictures and moments of video by words, by a picture, by a clip, or by a mix.

Reading goes through this package, writing through ``indexer``::

    from retrieval import Collection, Searcher, embedder_for, parse_query

    with Collection.open(Path("my-collection")) as collection:
        searcher = Searcher(collection, embedder_for(collection.manifest.spec))
        for hit in searcher.search(parse_query("two dogs in the snow"), k=10).hits:
            print(hit.score, hit.item)

Names are loaded when first used (PEP 562): ``import retrieval`` itself loads neither torch nor faiss.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.config import ModelSpec as ModelSpec
    from retrieval.config import Sampling as Sampling
    from retrieval.config import SearchOptions as SearchOptions
    from retrieval.embedding import Embedder as Embedder
    from retrieval.embedding import embedder_for as embedder_for
    from retrieval.embedding import open_embedder as open_embedder
    from retrieval.errors import RetrievalError as RetrievalError
    from retrieval.query import parse_query as parse_query
    from retrieval.query import parse_where as parse_where
    from retrieval.search import Searcher as Searcher
    from retrieval.store import Collection as Collection
    from retrieval.types import Hit as Hit
    from retrieval.types import Hits as Hits
    from retrieval.types import Item as Item
    from retrieval.types import Matches as Matches
    from retrieval.types import Part as Part
    from retrieval.types import Query as Query

__version__ = "0.1.0"

_HOME = {
    "Collection": "store",
    "Embedder": "embedding",
    "Hit": "types",
    "Hits": "types",
    "Item": "types",
    "Matches": "types",
    "ModelSpec": "config",
    "Part": "types",
    "Query": "types",
    "RetrievalError": "errors",
    "Sampling": "config",
    "SearchOptions": "config",
    "Searcher": "search",
    "embedder_for": "embedding",
    "open_embedder": "embedding",
    "parse_query": "query",
    "parse_where": "query",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'retrieval' has no attribute {name!r}")
    return getattr(import_module(f"retrieval.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
