"""What a look for duplicates finds, and what it is made of."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from retrieval.config import Level
from retrieval.store.records import FileFacts

Relation = Level | Literal["pair", "frame"]
"""How files belong together: copies of a level; a photo and the video or raw file that was taken with it; a picture and
the video that shows it."""
Suggestion = Literal["keep", "spare", "look"]
"""``keep``: the best of its group. ``spare``: nothing is lost without it. ``look``: judge for yourself."""
Comparer = Callable[[FileFacts, Sequence[FileFacts]], list[tuple[Level, float]]]
"""Says how each of some files is like one of their group, and how near the model finds the two (cosine)."""
Counted = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


class Unit(NamedTuple):
    """Files of the same bytes, the one to prefer first; they are compared as one."""

    files: tuple[FileFacts, ...]

    @property
    def first(self) -> FileFacts:
        """The file that stands for all."""
        return self.files[0]


class Member(NamedTuple):
    """A file of a group: how it is like the one to keep, how near the model finds the two (cosine), and what to do.

    ``reason`` is English, marked with ``messages.N_``. ``at_s`` is the time, in seconds, at which a video shows the
    picture. ``beside`` are the paths of the files that belong to it, where pairs count as one.
    """

    file: FileFacts
    level: Relation
    similarity: float | None
    suggestion: Suggestion
    reason: str
    at_s: float | None = None
    beside: tuple[str, ...] = ()


class Group(NamedTuple):
    """Files that belong together, the one to keep first; ``level`` is the loosest of its members'."""

    level: Relation
    members: tuple[Member, ...]

    @property
    def spare_bytes(self) -> int:
        """How much room the files take that could be spared."""
        return sum(member.file.size_bytes for member in self.members if member.suggestion == "spare")


class Found(NamedTuple):
    """The groups in the order of the paths to keep, and ``notes`` for people."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...]
