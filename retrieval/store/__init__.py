"""Collections: the catalog of files, items and vectors, and the index that searches them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.store.collection import Collection as Collection
    from retrieval.store.records import Entry as Entry
    from retrieval.store.records import FileRecord as FileRecord
    from retrieval.store.records import Frames as Frames
    from retrieval.store.records import ItemRow as ItemRow
    from retrieval.store.records import Manifest as Manifest
    from retrieval.store.records import Problem as Problem
    from retrieval.store.records import Source as Source
    from retrieval.store.records import Stats as Stats

__all__ = ["Collection", "Entry", "FileRecord", "Frames", "ItemRow", "Manifest", "Problem", "Source", "Stats"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'collection' if name == 'Collection' else 'records'}"), name)
