"""``sightseek index``: bring a collection up to date with folders of photos and videos."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import (
    CollectionOption,
    DeviceOption,
    ModelOption,
    named_path,
    say,
    say_at_once,
    say_if_starter,
    settings_for,
    shown,
)
from retrieval.cli.progress import progress_display
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import N_, _, ngettext, retold

if TYPE_CHECKING:
    from indexer import IndexOptions, Summary
    from retrieval.config import Settings
    from retrieval.embedding import Embedder
    from retrieval.store import Collection

_SHOWN = 5


class IndexName(StrEnum):
    """Kinds of vector index."""

    auto = "auto"
    flat = "flat"
    ivfpq = "ivfpq"
    rabitq = "rabitq"
    hnsw = "hnsw"


def index(  # noqa: PLR0913 - a command's options are its parameters
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", parser=named_path, help="Folders or files; none: refresh all sources."),
    ] = None,
    collection: CollectionOption = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave out what matches (gitignore syntax).")
    ] = None,
    reembed: Annotated[bool, typer.Option("--reembed", help="Embed everything again, with --model if given.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try files again that could not be read.")] = (
        False
    ),
    again: Annotated[
        str, typer.Option("--again", metavar="EXPR", help="Embed anew what this filter selects: kind:video ...")
    ] = "",
    model: ModelOption = None,
    device: DeviceOption = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=0, help="Threads that decode, and the model's; 0 chooses.")
    ] = 0,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and follow changes until Ctrl-C.")] = False,
    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="SAMPLING", help="Frames of videos: auto, keyframes, every:2s or all."),
    ] = None,
    kind: Annotated[
        IndexName | None, typer.Option("--index", help="The vector index; auto: exact up to 60,000 items.")
    ] = None,
    index_memory: Annotated[
        int | None,
        typer.Option("--index-memory", metavar="MB", min=0, help="Memory the index of --index auto may take; 0: any."),
    ] = None,
    index_recall: Annotated[
        float | None,
        typer.Option(
            "--index-recall", metavar="SHARE", min=0.5, max=0.999, help="Share of the ten nearest it must find: 0.98."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Index folders of photos and videos, or refresh what is indexed.

    Only new and changed files are embedded. A missing or empty folder (an unmounted drive) deletes nothing.
    """
    from indexer import IndexOptions
    from retrieval.config import Sampling
    from retrieval.filters import parse_where

    settings = settings_for(collection, device)
    options = IndexOptions(
        exclude=tuple(exclude or ()),
        retry_failed=retry_failed,
        jobs=jobs or settings.jobs,
        dry_run=dry_run,
        reembed=reembed,
        sampling=Sampling.parse(frames) if frames else None,
        again=parse_where(again),
        index=kind.value if kind else None,
        batch=settings.batch,
        index_memory_mb=index_memory,
        index_recall=index_recall,
    )
    sources = [_wanted(path) for path in paths or []]
    with (
        native_libraries_silenced(),
        _opened(settings, model, options, sources) as (target, embedder),
        _interruptible() as stop,
    ):
        for note in target.notes:
            say(note)
        say(_("collection {folder}, model {name}").format(folder=shown(settings.collection), name=embedder.spec.name))
        say_if_starter(embedder.spec)
        summary = _run(target, embedder, sources, options, stop)
        failed = bool(summary.failed)
        if watch and not dry_run and not summary.interrupted:
            # What was asked for once is done; from now on only changes count.
            failed = (
                _follow(target, embedder, replace(options, reembed=False, retry_failed=False, again=None), stop)
                or failed
            )
    if summary.interrupted:
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(3)


def _wanted(path: Path) -> Path:
    """Return a path that can be a source.

    Raises:
        OptionError: it is a pipe or device.
    """
    from retrieval.errors import OptionError

    if path.exists() and not (path.is_dir() or path.is_file()):
        raise OptionError(
            _("{path} is neither a folder nor a file; name a folder of photos and videos").format(path=path)
        )
    return path


@contextmanager
def _opened(
    settings: "Settings", model: str | None, options: "IndexOptions", sources: list[Path]
) -> "Iterator[tuple[Collection, Embedder]]":
    """Open or create the collection and the model that belongs to it."""
    from retrieval.config import DEFAULT_MODEL, Sampling
    from retrieval.embedding import open_embedder
    from retrieval.errors import CollectionNotFound, RetrievalError
    from retrieval.store import Collection

    try:
        target = Collection.open(settings.collection, write=True)
    except CollectionNotFound:
        if not sources:
            raise
        for path in sources:
            if not path.exists():
                raise RetrievalError(
                    _("{path} does not exist; check the spelling, or connect its drive").format(path=shown(path))
                ) from None
        embedder = open_embedder(model or settings.model or DEFAULT_MODEL, settings.device, options.jobs)
        # A dry run must leave nothing behind, so it plans against an empty collection that goes away again.
        with tempfile.TemporaryDirectory(prefix="sightseek-") as scratch:
            folder = Path(scratch) / "collection" if options.dry_run else settings.collection
            with Collection.create(folder, embedder.spec, options.sampling or Sampling()) as target:
                yield target, embedder
        return
    with target:
        yield target, _embedder_of(target, settings, model, options)


def _embedder_of(target: "Collection", settings: "Settings", model: str | None, options: "IndexOptions") -> "Embedder":
    from retrieval.embedding import embedder_for, open_embedder
    from retrieval.errors import CollectionError

    if options.reembed:
        under_way = target.building
        return open_embedder(model or (under_way or target.manifest.spec).name, settings.device, options.jobs)
    if options.sampling not in (None, target.manifest.sampling):
        raise CollectionError(
            _(
                "this collection samples videos by --frames {sampling}; add --reembed to embed it "
                "again with --frames {other}"
            ).format(sampling=target.manifest.sampling, other=options.sampling)
        )
    if model is None:
        return embedder_for(target.manifest.spec, settings.device, options.jobs)
    embedder = open_embedder(model, settings.device, options.jobs)
    target.check_model(embedder.spec)
    if embedder.spec.name != target.manifest.spec.name and not options.dry_run:
        say(_("the model is found at {name} from now on").format(name=shown(embedder.spec.name)))
        target.rename_model(embedder.spec.name)
    if target.building is not None and not options.dry_run:
        say(_("the unfinished change to model {name} is given up").format(name=target.building.name))
        target.cancel_reembed()
    return embedder


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Make the first Ctrl-C (or SIGTERM) a request to finish what is under way; the second one stops at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say_at_once(_("stopping after what is under way; press Ctrl-C again to stop at once"))

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    target: "Collection", embedder: "Embedder", sources: list[Path], options: "IndexOptions", stop: threading.Event
) -> "Summary":
    from indexer import index as run_index

    told = len(target.notes)
    with progress_display() as progress:
        summary = run_index(target, embedder, sources, options, progress=progress, stop=stop.is_set)
    for note in target.notes[told:]:
        say(note)
    report(summary, dry_run=options.dry_run)
    if not (summary.changes or summary.same or summary.failed_before or summary.offline or summary.interrupted):
        say(_("there are no pictures or videos in what was given; name a folder that holds some"))
    return summary


def _follow(target: "Collection", embedder: "Embedder", options: "IndexOptions", stop: threading.Event) -> bool:
    from indexer import watch as follow

    say(_("watching for changes; Ctrl-C stops"))
    failed = False
    for summary in follow(target, embedder, options, stop=stop.is_set, trouble=say):
        report(summary, dry_run=False)
        failed = failed or bool(summary.failed)
    return failed


_COUNTS = {
    "added": N_("{count:,} added"),
    "changed": N_("{count:,} changed"),
    "retried": N_("{count:,} retried"),
    "renewed": N_("{count:,} renewed"),
    "moved": N_("{count:,} moved"),
    "copied": N_("{count:,} copied"),
    "touched": N_("{count:,} touched"),
    "returned": N_("{count:,} returned"),
    "described": N_("{count:,} described"),
    "gone": N_("{count:,} gone"),
    "vanished": N_("{count:,} vanished"),
}


def report(summary: "Summary", *, dry_run: bool) -> None:
    """Say on stderr what an index run did, failures with their reasons."""
    told = {words: getattr(summary, name) for name, words in _COUNTS.items()}
    counts = [retold(words).format(count=count) for words, count in told.items() if count]
    counts.append(_("{count:,} unchanged").format(count=summary.same))
    counts.append(_("{count:,} failed").format(count=len(summary.failed)))
    if summary.failed_before:
        earlier = _("{count:,} failed earlier (--retry-failed tries them again)")
        counts.append(earlier.format(count=summary.failed_before))
    if dry_run:
        say(_("would be: {counts}").format(counts=_(", ").join(counts)))
    else:
        said = ngettext(
            "{counts}; {embedded:,} file embedded, took {seconds:.1f} s",
            "{counts}; {embedded:,} files embedded, took {seconds:.1f} s",
            summary.embedded,
        )
        say(said.format(counts=_(", ").join(counts), embedded=summary.embedded, seconds=summary.seconds))
    if summary.switched:
        say(_("embedded anew; searches use the new vectors from now on"))
    if summary.fitted is not None:
        if summary.fitted.kind == "flat":
            said = _("vector index trained anew: {name}, exact")
        else:
            said = _("vector index trained anew: {name}, {share:.1%} of the ten nearest are found")
        say(said.format(name=summary.fitted.kind, share=summary.fitted.recall))
    for source in summary.offline:
        say(
            _("offline, nothing of it was changed: {path} (gone for good? sightseek forget drops it)").format(
                path=shown(source)
            )
        )
    _list(_("noted of {path}: {reason}"), summary.notes)
    _list(_("could not look at {path}: {reason}"), summary.problems)
    _list(_("could not read {path}: {reason}"), summary.failed)
    if len(summary.failed) > _SHOWN:
        say(_("`sightseek status --failed` lists all"))
    if summary.interrupted:
        say(_("stopped early; run the same command again to go on from here"))


def _list(line: str, found: list[tuple[Path, str]]) -> None:
    for path, reason in found[:_SHOWN]:
        say(line.format(path=shown(path), reason=retold(reason)))
    if len(found) > _SHOWN:
        say(_("and {count:,} more").format(count=len(found) - _SHOWN))
