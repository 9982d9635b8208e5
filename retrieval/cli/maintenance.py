"""``status``, ``verify``, ``forget``, ``purge`` and ``doctor``: what a collection holds, and keeping it sound."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import (
    CollectionOption,
    ReportFormat,
    named_path,
    say,
    say_if_starter,
    settings_for,
    shown,
)
from retrieval.columns import padded
from retrieval.messages import _, ngettext, retold

if TYPE_CHECKING:
    from retrieval.store import Stats


def status(
    collection: CollectionOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="List the files that could not be read, and why.")] = False,
    fmt: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.table,
) -> None:
    """Say what the collection holds."""
    from retrieval.store import Collection

    with Collection.open(settings_for(collection).collection) as opened:
        for note in opened.notes:
            say(note)
        if failed:
            for path, reason in opened.failed():
                if fmt is ReportFormat.json:
                    typer.echo(json.dumps({"path": str(path), "reason": reason}))
                else:
                    typer.echo(f"{shown(path)}\t{retold(reason)}")
            return
        stats = opened.stats()
        if fmt is ReportFormat.json:
            typer.echo(json.dumps(_stats_json(stats)))
        else:
            _print_stats(opened.folder, stats)
            if stats.undescribed:
                typer.echo(
                    ngettext(
                        "more can be told of {count:,} file by now: the next `sightseek index` reads it again",
                        "more can be told of {count:,} files by now: the next `sightseek index` reads them again",
                        stats.undescribed,
                    ).format(count=stats.undescribed)
                )
            if opened.building is not None:
                typer.echo(
                    _("changing to {name}: run `sightseek index --reembed` to go on").format(name=opened.building.name)
                )
        say_if_starter(opened.manifest.spec)


def _stats_json(stats: "Stats") -> dict[str, object]:
    return {
        "files": stats.files,
        "items": stats.items,
        "failed": stats.failed,
        "offline": stats.offline,
        "gone": stats.gone,
        "sources": [{"path": str(source.path), "offline": source.offline} for source in stats.sources],
        "model": stats.model,
        "index": stats.index,
        "bytes": stats.bytes,
        "details": stats.details,
        "undescribed": stats.undescribed,
    }


def _print_stats(folder: Path, stats: "Stats") -> None:
    index = _("kind {kind}, vectors {vectors:,}, recall {recall}, generation {generation}, state {state}")
    rows = [
        (_("collection"), shown(folder)),
        (
            _("files"),
            _("{indexed:,} indexed, {failed:,} failed, {gone:,} gone, {offline:,} offline").format(
                indexed=stats.files, failed=stats.failed, gone=stats.gone, offline=stats.offline
            ),
        ),
        (_("items"), _("{count:,} pictures and frames").format(count=stats.items)),
        (
            _("known"),
            _(
                "date of {taken:,} files, camera {camera:,}, place {place:,}, rating {rating:,}, keywords {keyword:,}, "
                "words {told:,}"
            ).format(**stats.details),
        ),
        (_("model"), stats.model),
        (_("index"), index.format(**{**stats.index, "state": retold(str(stats.index["state"]))})),
        (_("size"), f"{stats.bytes / 1e6:,.1f} MB"),
    ]
    for source in stats.sources:
        rows.append((_("source"), shown(source.path) + (_(" (offline)") if source.offline else "")))
    for name, value in rows:
        typer.echo(f"{padded(name, 10)}  {value}")


def verify(
    collection: CollectionOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended from the catalog.")] = False,
) -> None:
    """Check that files, rows, vectors and the index agree."""
    from retrieval.store import Collection

    with Collection.open(settings_for(collection).collection, write=repair) as opened:
        problems = opened.verify(repair=repair)
        for note in opened.notes:
            say(note)
        for problem in problems:
            said = _("repaired: {what}") if problem.repaired else _("problem: {what}")
            typer.echo(said.format(what=problem.what))
        left = sum(not problem.repaired for problem in problems)
        if not problems:
            items = opened.stats().items
            say(
                ngettext("{count:,} item checked, all sound", "{count:,} items checked, all sound", items).format(
                    count=items
                )
            )
    if left:
        say(_("repair with `sightseek verify --repair`") if not repair else _("some problems are left; see above"))
        raise typer.Exit(1)


def forget(
    path: Annotated[Path, typer.Argument(metavar="PATH", parser=named_path, help="A file, a folder, or a source.")],
    collection: CollectionOption = None,
) -> None:
    """Drop a file or folder from the collection. The files themselves stay."""
    from retrieval.errors import RetrievalError
    from retrieval.store import Collection

    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." out, keeps links as they are
    with Collection.open(settings_for(collection).collection, write=True) as opened:
        was_source = any(source.path == absolute for source in opened.sources())
        dropped = opened.forget(absolute)
        opened.save_index()
        inside = any(absolute.is_relative_to(source.path) for source in opened.sources())
    if not dropped and not was_source:
        raise RetrievalError(
            _("{path} is not in the collection; `sightseek status` lists the sources").format(path=path)
        )
    said = ngettext(
        "{count:,} file dropped from the collection", "{count:,} files dropped from the collection", dropped
    )
    if was_source:
        said = ngettext(
            "{count:,} file dropped from the collection with its source",
            "{count:,} files dropped from the collection with their source",
            dropped,
        )
    say(said.format(count=dropped))
    if inside:
        say(
            _("its source is still indexed, so it comes back with the next index unless .sightseekignore leaves it out")
        )


def purge(collection: CollectionOption = None) -> None:
    """Drop what is gone or offline from the collection."""
    from retrieval.store import Collection

    with Collection.open(settings_for(collection).collection, write=True) as opened:
        dropped = opened.purge()
        opened.save_index()
    said = ngettext(
        "{count:,} file dropped that was gone or offline", "{count:,} files dropped that were gone or offline", dropped
    )
    say(said.format(count=dropped))


def doctor(collection: CollectionOption = None) -> None:
    """Check the installation, the machine and the collection, with advice."""
    from retrieval.diagnose import examine

    findings = examine(settings_for(collection).collection)
    for finding in findings:
        mark = _("ok ") if finding.ok else _("BAD")
        advice = f"  -> {finding.advice}" if finding.advice else ""
        typer.echo(f"{mark}  {padded(finding.name, 16)}{finding.value}{advice}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
