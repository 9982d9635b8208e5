"""What a run is asked to do, how far it is, and what it did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.config import IndexChoice, IndexSpec, Sampling
from retrieval.types import Where

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Choices of one run.

    ``exclude`` are gitignore patterns relative to each source. ``retry_failed`` tries files again that failed before
    and have not changed, ``again`` embeds anew what a filter selects. ``jobs`` is the number of decoding threads (0:
    chosen by the number of processors). ``dry_run`` only counts. ``reembed`` embeds the whole collection with the given
    embedder and ``sampling`` (``None``: as it is) and then switches to it. ``index`` names the kind of vector index
    (``auto``: by size; ``None``: as before). ``batch`` is how many pictures the model is given at a time (0: what is
    fastest here, measured once; see ``embedding.batches``). What is embedded is committed each ``commit_s`` seconds or
    ``commit_files`` files, and the vector index is saved each ``save_s`` seconds (it is derived: a run that dies
    between loses nothing).
    """

    exclude: tuple[str, ...] = ()
    retry_failed: bool = False
    jobs: int = 0
    again: Where | None = None
    dry_run: bool = False
    reembed: bool = False
    sampling: Sampling | None = None
    index: IndexChoice | None = None
    batch: int = 0
    index_memory_mb: int | None = None
    index_recall: float | None = None
    commit_files: int = 256
    commit_s: float = 2.0
    save_s: float = 300.0


class Progress(NamedTuple):
    """How far embedding is: files done of ``total``, ``items`` embedded so far, files per second, seconds left.

    ``left_s`` is ``None`` until it can be told; ``path`` is the file that was finished last.
    """

    done: int
    total: int
    items: int
    rate: float
    left_s: float | None
    path: Path | None


Listener = Callable[[Progress], None]
"""Hears how far embedding is."""


@dataclass
class Summary:
    """What a run did, in files unless said otherwise.

    ``added`` and ``changed`` were embedded; ``retried`` failed before and went through this time; ``renewed`` got
    vectors of the model being switched to (or had lost theirs). ``moved``, ``copied``, ``touched`` and ``returned``
    were recognised without being embedded. ``gone`` are no longer there and hidden from now on; ``same`` are as they
    were; ``vanished`` went away during the run. ``described`` are those among them of which more is known now, since an
    earlier version told less of them or their sidecars changed; they kept their vectors. ``failed`` are the files that
    failed in this run, with one-line reasons; ``failed_before`` counts those that failed earlier and were not tried.
    ``notes`` are files that were indexed with a reservation, ``problems`` are paths that could not be looked at (what
    is known below them is kept as it was), ``offline`` the sources that were not there. ``items`` and ``embedded``
    count vectors and files that went through the model. ``switched`` tells that a re-embedded collection now uses the
    new model, ``fitted`` which vector index was trained anew.
    """

    added: int = 0
    changed: int = 0
    retried: int = 0
    renewed: int = 0
    moved: int = 0
    copied: int = 0
    touched: int = 0
    returned: int = 0
    gone: int = 0
    same: int = 0
    vanished: int = 0
    described: int = 0
    failed_before: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    offline: list[Path] = field(default_factory=list)
    items: int = 0
    embedded: int = 0
    switched: bool = False
    fitted: IndexSpec | None = None
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def changes(self) -> int:
        """Return how many files are not as they were before the run."""
        embedded = self.added + self.changed + self.retried + self.renewed
        known = self.moved + self.copied + self.touched + self.returned + self.gone + self.described
        return embedded + known + len(self.failed)


class Step:
    """A step of one run of ``index``: holds what all of them need; ``stop`` is asked several times a second."""

    def __init__(
        self,
        collection: "Collection",
        embedder: "Embedder",
        options: IndexOptions,
        progress: Listener | None,
        stop: Callable[[], bool],
        summary: Summary,
    ) -> None:
        self.given = (collection, embedder, options, progress, stop, summary)
        self._collection, self._embedder, self._options, self._progress, self._stop, self._summary = self.given
