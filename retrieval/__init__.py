"""sightseek's engine: find pictures and moments of video by words, by a picture, by a clip, or by a mix.

Reading goes through this package, writing through ``indexer``::

    from retrieval import Searcher

    with Searcher.open(Path("my-collection")) as searcher:
        for hit in searcher.search("two dogs in the snow", k=10).hits:
            print(hit.score, hit.item)

Names are loaded when first used (PEP 562): ``import retrieval`` itself loads neither torch nor faiss.
"""

from importlib import import_module

TYPE_CHECKING = False  # `typing` takes longer to import than the page of help takes to print
if TYPE_CHECKING:
    from retrieval.config import Cut as Cut
    from retrieval.config import ModelSpec as ModelSpec
    from retrieval.config import Sampling as Sampling
    from retrieval.config import SearchOptions as SearchOptions
    from retrieval.config import load_settings as load_settings
    from retrieval.embedding import Embedder as Embedder
    from retrieval.embedding import embedder_for as embedder_for
    from retrieval.embedding import open_embedder as open_embedder
    from retrieval.errors import CollectionError as CollectionError
    from retrieval.errors import CollectionNotFound as CollectionNotFound
    from retrieval.errors import MediaError as MediaError
    from retrieval.errors import ModelMismatch as ModelMismatch
    from retrieval.errors import ModelNotFound as ModelNotFound
    from retrieval.errors import QueryError as QueryError
    from retrieval.errors import RetrievalError as RetrievalError
    from retrieval.media import open_media as open_media
    from retrieval.query import format_query as format_query
    from retrieval.query import format_where as format_where
    from retrieval.query import parse_query as parse_query
    from retrieval.query import parse_where as parse_where
    from retrieval.search import Searcher as Searcher
    from retrieval.store import Collection as Collection
    from retrieval.store import FileRecord as FileRecord
    from retrieval.store import Frames as Frames
    from retrieval.store import ItemRow as ItemRow
    from retrieval.store import Manifest as Manifest
    from retrieval.store import Stats as Stats
    from retrieval.types import Cutting as Cutting
    from retrieval.types import Details as Details
    from retrieval.types import Hit as Hit
    from retrieval.types import Hits as Hits
    from retrieval.types import Item as Item
    from retrieval.types import Kind as Kind
    from retrieval.types import Matches as Matches
    from retrieval.types import MediaInfo as MediaInfo
    from retrieval.types import Part as Part
    from retrieval.types import Query as Query
    from retrieval.types import Sample as Sample
    from retrieval.types import Share as Share
    from retrieval.types import Track as Track
    from retrieval.types import Where as Where

__version__ = "0.1.0"

_HOME = {
    "Collection": "store",
    "CollectionError": "errors",
    "CollectionNotFound": "errors",
    "Cut": "config",
    "Cutting": "types",
    "Details": "types",
    "Embedder": "embedding",
    "FileRecord": "store",
    "Frames": "store",
    "Hit": "types",
    "Hits": "types",
    "Item": "types",
    "ItemRow": "store",
    "Kind": "types",
    "Manifest": "store",
    "Matches": "types",
    "MediaError": "errors",
    "MediaInfo": "types",
    "ModelMismatch": "errors",
    "ModelNotFound": "errors",
    "ModelSpec": "config",
    "Part": "types",
    "Query": "types",
    "QueryError": "errors",
    "RetrievalError": "errors",
    "Sample": "types",
    "Sampling": "config",
    "SearchOptions": "config",
    "Searcher": "search",
    "Share": "types",
    "Stats": "store",
    "Track": "types",
    "Where": "types",
    "embedder_for": "embedding",
    "format_query": "query",
    "format_where": "query",
    "load_settings": "config",
    "open_embedder": "embedding",
    "open_media": "media",
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
