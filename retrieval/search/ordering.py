"""Which hits a query has and in which order, by its options; many queries look up the index together."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.config import SearchOptions
from retrieval.errors import QueryError
from retrieval.messages import _
from retrieval.reading import ReadQuery
from retrieval.search.found import Found
from retrieval.search.look import Look, Order
from retrieval.search.ranked import Ranked
from retrieval.types import Matches, Query

if TYPE_CHECKING:
    from retrieval.store import Collection


def check_options(options: SearchOptions) -> None:
    """Make sure that the options go together.

    Raises:
        QueryError: they do not.
    """
    if options.cut.kind == "auto" and (options.match != "visual" or options.fusion != "early"):
        raise QueryError(_("--cut auto judges by how alike things look; leave it out with --match and --fusion"))
    if options.explain and options.match != "visual":
        raise QueryError(
            _("--explain tells what parts add to how alike things look; leave it out with --match words or both")
        )


def order_of(collection: "Collection", query: Query, read: ReadQuery | None, options: SearchOptions) -> Order:
    """Return the hits of a query in the order that the options ask for; ``read`` may only be missing for words alone.

    Raises:
        QueryError: words are asked for, and there are none.
    """
    # Most queries need nothing but the nearest pictures, and importing the rest takes a while.
    if options.match == "words" or read is None:
        from retrieval.search.worded import ByWords

        return ByWords(collection, query.parts, query.where)
    ranked = Ranked(collection, read.mixed.probes, query.where, read.own, options.per_video)
    visual: Order = ranked
    if options.fusion != "early":
        from retrieval.search.fused import Fused

        visual = Fused(collection, read, query.where, options)
    if options.match == "both":
        from retrieval.search.worded import WithWords

        return WithWords(collection, query.parts, query.where, visual, ranked)
    if visual is ranked and read.excerpt is not None:
        from retrieval.search.placed import Placed

        return Placed(collection, ranked, read.mixed.probes, read.excerpt)
    return visual


def page_of(
    collection: "Collection", best: Callable[[int], list[Found]], k: int, options: SearchOptions
) -> list[Found]:
    """Return hits ``offset`` to ``offset + k`` of those that ``best(n)`` gives, with duplicates folded if asked for.

    Raises:
        KeyError: an item was removed by another process between two looks.
    """
    if options.hide_duplicates == "none":
        return best(options.offset + k)[options.offset :]
    from retrieval.search.folding import Folded

    return Folded(collection, best, options.hide_duplicates).page(options.offset, k)


def look_up(collection: "Collection", orders: Sequence[Order], k: int, options: SearchOptions) -> None:
    """Look up what the first page of all these orders needs: one search for all that have the same filter."""
    need = options.offset + k
    if options.hide_duplicates != "none":
        from retrieval.search.folding import WINDOW

        need += WINDOW
    groups: dict[tuple[object, int], list[tuple[Order, Look]]] = {}
    for order in orders:
        look = order.look(need)
        if look is not None:
            groups.setdefault((look.where, look.k), []).append((order, look))
    for group in groups.values():
        looks = [look for _order, look in group]
        found = collection.search(np.concatenate([look.probes for look in looks]), looks[0].k, looks[0].where)
        ends = np.cumsum([0, *(len(look.probes) for look in looks)])
        for (order, _look), start, end in zip(group, ends[:-1], ends[1:], strict=True):
            order.take(Matches(found.keys[start:end], found.scores[start:end]))
