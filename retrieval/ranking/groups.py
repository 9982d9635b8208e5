"""From pairs that are alike to groups, without chains: everything in a group is like its centre."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Keys


class Edges(NamedTuple):
    """Pairs of places that were found alike, ``(e,) int64`` each; one direction is enough."""

    one: Keys
    other: Keys


def grouped(count: int, edges: Edges, order: Keys, alike: Callable[[int, Keys], NDArray[np.bool_]]) -> list[Keys]:
    """Part ``count`` things into groups of two and more; each is a list of places, its centre first.

    Single linkage (a union-find over the pairs) would chain: each frame of a slow pan is like the next, and the first
    like nothing of the last. So the thing with most pairs becomes a centre (ties: whatever comes first in ``order``,
    the places by preference), and its group grows along the pairs, but takes in only what is like the centre itself.
    ``alike`` says of each of the places given whether it is like the first argument; it is asked about those that no
    pair joins with the centre, since of a thing with many like it only some are known as pairs. Each thing is in one
    group at most. The time grows with the number of pairs.
    """
    starts, neighbours = _adjacency(count, edges)
    preferred = np.empty(count, np.int64)
    preferred[order] = np.arange(count)
    degrees = np.diff(starts)
    free = np.ones(count, bool)
    asked = np.full(count, -1, np.int64)
    groups = []
    for centre in np.lexsort((preferred, -degrees)).tolist():
        if degrees[centre] == 0:
            break
        if not free[centre]:
            continue
        members = _grown(centre, starts, neighbours, free, asked, alike)
        if len(members) > 1:
            free[members] = False
            groups.append(members)
    return groups


def _grown(
    centre: int,
    starts: Keys,
    neighbours: Keys,
    free: NDArray[np.bool_],
    asked: Keys,
    alike: Callable[[int, Keys], NDArray[np.bool_]],
) -> Keys:
    """Return the group around a centre; ``asked`` remembers for which centre a place was last looked at."""
    asked[centre] = centre
    near = neighbours[starts[centre] : starts[centre + 1]]
    near = np.unique(near[free[near]])
    asked[near] = centre
    members = [np.array([centre], np.int64), near]
    while len(near):
        reached = np.unique(np.concatenate([neighbours[starts[one] : starts[one + 1]] for one in near.tolist()]))
        reached = reached[free[reached] & (asked[reached] != centre)]
        asked[reached] = centre
        near = reached[alike(centre, reached)] if len(reached) else reached
        members.append(near)
    return np.concatenate(members)


def _adjacency(count: int, edges: Edges) -> tuple[Keys, Keys]:
    """Return the neighbours of all places in one list, and where in it each place's begin, ``(count + 1,)``."""
    both = np.concatenate([edges.one, edges.other]), np.concatenate([edges.other, edges.one])
    order = np.argsort(both[0], kind="stable")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(both[0], minlength=count), out=starts[1:])
    return starts, both[1][order]
