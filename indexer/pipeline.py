"""Brings a collection up to date with its sources: scan, plan, the cheap changes, then embedding."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.interrupts import interrupts_as, never
from indexer.plan import Plan, plan
from indexer.report import IndexOptions, Listener, Step, Summary
from indexer.sources import Findings, absolute, choose_roots, in_one_line, look
from retrieval.embedding import Embedder
from retrieval.errors import CollectionError, ModelError
from retrieval.messages import _, ngettext
from retrieval.store import Collection, Entry, FileRecord
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from indexer.backlog import Owner, Work


def index(
    collection: Collection,
    embedder: Embedder,
    sources: Sequence[Path] = (),
    options: IndexOptions = IndexOptions(),  # noqa: B008 (a frozen value)
    progress: Listener | None = None,
    stop: Callable[[], bool] = never,
) -> Summary:
    """Index ``sources`` (files or folders), or refresh all sources of the collection when none is given.

    Only what is new or has changed is embedded. A source that is missing or empty is marked offline and nothing of it
    is changed. Files that cannot be read are recorded with their reasons and never end the run. After ``stop()`` became
    true, or on Ctrl-C, what is under way is finished and committed; the next run goes on from there. A second Ctrl-C
    raises ``KeyboardInterrupt`` at once, and what was committed stays.

    With ``options.reembed`` all present files are embedded with ``embedder`` beside the vectors that searches go on to
    use, and the switch is made once no file would lose its vectors by it; see ``_switch``.

    Raises:
        CollectionError: the collection cannot be written, or a re-embedding cannot be finished; what was committed
            stays.
        ModelMismatch: the collection was made with another model, and ``options.reembed`` is not set.
        ModelError: the model cannot be run.
        RetrievalError: a source does not exist, or an ``exclude`` pattern is wrong.
    """
    began_s = time.monotonic()
    reembed = _begin(collection, embedder, options)
    summary = Summary()
    with interrupts_as(stop) as stopped:
        done = _Run(collection, embedder, options, progress, stopped, summary).update(sources, reembed=reembed)
    summary.interrupted = not done
    if not options.dry_run:
        if reembed and done:
            _switch(collection)
            summary.switched = True
        named = (options.index, options.index_memory_mb, options.index_recall)
        if any(one is not None for one in named) or not collection.is_settled():
            if done and collection.fit_index(options.index, partial(_questions, embedder), *named[1:]):
                summary.fitted = collection.manifest.index
            collection.save_index()
    summary.seconds = time.monotonic() - began_s
    return summary


def _questions(embedder: Embedder) -> FloatMatrix:
    """Return vectors of sentences as people might ask, which an approximate index is tuned by beside pictures.

    The model is let go of then: the training that follows needs memory, and nothing is embedded any more.
    """
    from retrieval.embedding.base import release
    from retrieval.labels.banks import builtin_sentences

    try:
        return embedder.embed_texts(builtin_sentences().sentences)
    except ModelError:  # a model that cannot take them all is tuned by pictures alone
        return np.empty((0, embedder.dim), np.float32)
    finally:
        release(embedder)


def _begin(collection: Collection, embedder: Embedder, options: IndexOptions) -> bool:
    """Check that collection and model fit, or begin or resume an exchange of the model; return whether it is one."""
    building = collection.building
    if options.reembed:
        resumed = building is not None and building.fingerprint() == embedder.spec.fingerprint()
        sampling = collection.building_sampling if resumed else None
        if not options.dry_run:
            collection.begin_reembed(embedder.spec, options.sampling or sampling)
        return True
    collection.check_model(embedder.spec)
    if building is not None:
        raise CollectionError(
            _(
                "the change of this collection to model {name} is not finished; run index --model "
                "{name} --reembed to go on with it, or index --model {old} to give it up"
            ).format(name=building.name, old=embedder.spec.name)
        )
    return False


def _switch(collection: Collection) -> None:
    """Switch to the new model if each file that can be found now has vectors of the new model in its place.

    Files on a source that is offline, or in folders that cannot be read, would silently vanish from searches, so they
    hold the switch back until they are there or are forgotten. Gone files do not: they are hidden already, and are
    embedded when they return.
    """
    left = [one for one in collection.records() if one.status == "ok" and not one.embedded and not one.gone]
    if left:
        names = {source.id: source.path for source in collection.sources()}
        where = ", ".join(sorted({in_one_line(names[one.source_id]) for one in left}))
        said = ngettext(
            "{count:,} file in {where} could not be reached for the new model, so searches stay with the old one; "
            "connect the drive or forget it, then run the same command again",
            "{count:,} files in {where} could not be reached for the new model, so searches stay with the old one; "
            "connect the drive or forget these files, then run the same command again",
            len(left),
        )
        raise CollectionError(said.format(count=len(left), where=where))
    collection.finish_reembed()


class _Run(Step):
    """One run of ``index``: holds what all its steps need."""

    def update(self, sources: Sequence[Path], *, reembed: bool) -> bool:
        """Do the whole run; return whether it came to its end."""
        work = self._prepare(sources, reembed=reembed)
        if isinstance(work, bool):
            return work
        from indexer.working import Worker
        from retrieval.store.freed import give_back

        give_back()  # of what planning took
        return Worker(*self.given).do(work)

    def _prepare(self, sources: Sequence[Path], *, reembed: bool) -> "Work | bool":
        """Look at the sources and do what needs no embedding; return what is left.

        Where nothing is left, that is whether the run came to its end. The lists of all files there are, which planning
        needs, are gone once this returns.
        """
        options = self._options
        known = sorted(self._collection.sources(), key=lambda source: source.id)
        roots = choose_roots(known, absolute(sources), everything=reembed, exclude=options.exclude)
        unbegun = reembed and options.dry_run  # so the catalog still speaks of the old model
        whole = unbegun or options.again is not None
        found = look(roots, self._collection, options.exclude, self._stop, whole=whole)
        if found is None:
            return False
        with closing(found):
            return self._planned(found, of_old=unbegun, reembed=reembed)

    def _planned(self, found: Findings, *, of_old: bool, reembed: bool) -> "Work | bool":
        """Plan what was found, and do what needs no embedding; with ``of_old`` records are of another model."""
        options, summary = self._options, self._summary
        records = [record._replace(embedded=False) for record in found.records] if of_old else found.records
        if not reembed:
            found.tell_apart(self._digest)
        todo = plan(
            (one.entry for one in found.entries.others()),
            records,
            lambda path: found.entries.digest_of(path) or self._digest(path),
            rest=found,
            retry_failed=options.retry_failed,
            again=frozenset() if options.again is None else self._collection.file_ids(options.again),
            recognise=not reembed,
        )
        if self._stop():
            return False
        summary.offline = [root.path for root in found.offline]
        summary.problems = found.worth_telling()
        summary.same = found.same
        if options.dry_run:
            _count(todo, summary)
            _count_embedding(todo, summary)
            summary.added += found.entries.count_alone()
            return not self._stop()
        return self._left(todo, found)

    def _left(self, todo: Plan, found: Findings) -> "Work | bool":
        """Do of a plan what needs no embedding, and return what is left; whether all was done where nothing is."""
        ids = self._mark_sources(found)

        def owner(entry: Entry) -> int:
            return ids[found.entries.root_of(entry)]

        self._apply(todo, owner)
        _count(todo, self._summary)
        if todo.nothing_to_read() and not found.entries.count_alone():
            return True
        from indexer.backlog import work_of
        from indexer.commit import Task

        new = (Task(entry, ids[root], "added") for entry, root in found.entries.alone())
        return work_of(todo, new, owner, self._collection.folder)

    def _digest(self, path: Path) -> bytes:
        from retrieval.embedding.stream import content_digest

        return content_digest(path, cancelled=self._stop)

    def _mark_sources(self, found: Findings) -> list[int]:
        """Add new sources, record which are there, and return the source of each root that entries are of."""
        ids: dict[Path, int] = {}
        offline = {source.id: source.offline for source in self._collection.sources()}
        for roots, is_offline in ((found.online, False), (found.offline, True)):
            for root in roots:
                source_id = root.source_id
                if source_id is None:
                    source_id = self._collection.add_source(root.path).id
                ids[root.path] = source_id
                if offline.get(source_id, False) != is_offline:
                    self._collection.set_offline(source_id, is_offline)
        return [ids[root.path] for root in found.roots]

    def _apply(self, todo: Plan, owner: "Owner") -> None:
        """Do what needs no embedding, in one transaction."""
        known = [(copy, copy.origin) for copy in todo.copies if isinstance(copy.origin, FileRecord)]
        if not (todo.moved or todo.touched or todo.returned or todo.gone or known):
            return
        with self._collection.transaction() as writer:
            for record, entry in todo.moved:
                writer.move(record.id, owner(entry), entry)
            for record, entry in (*todo.touched, *todo.returned):
                writer.touch(record.id, entry)
            writer.set_gone([record.id for record in todo.gone])
            for copy, origin in known:
                writer.copy(origin.id, owner(copy.entry), copy.entry)


def _count(todo: Plan, summary: Summary) -> None:
    """Count what needs no embedding."""
    summary.moved = len(todo.moved)
    summary.touched = len(todo.touched)
    summary.returned = len(todo.returned)
    summary.gone = len(todo.gone)
    summary.same += len(todo.same)
    summary.failed_before = len(todo.failed)
    summary.copied = sum(isinstance(copy.origin, FileRecord) for copy in todo.copies)


def _count_embedding(todo: Plan, summary: Summary) -> None:
    """Count, for a dry run, what would be embedded, as if nothing failed."""
    summary.copied = len(todo.copies)
    summary.described = len(todo.described)
    from indexer.backlog import headings

    heading = headings(todo)
    for entry in todo.to_embed():
        setattr(summary, heading(entry), getattr(summary, heading(entry)) + 1)
