"""``status``, ``verify``, ``forget``, ``purge`` and ``doctor``: what a collection holds, and keeping it sound."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import (
    CollectionOption,
    ReportFormat,
    counted,
    named_path,
    say,
    say_if_starter,
    settings_for,
    shown,
)

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
                    typer.echo(f"{shown(path)}\t{reason}")
            return
        stats = opened.stats()
        if fmt is ReportFormat.json:
            typer.echo(json.dumps(_stats_json(stats)))
        else:
            _print_stats(opened.folder, stats)
            if opened.building is not None:
                typer.echo(f"changing to {opened.building.name}: run `sightseek index --reembed` to go on")
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
    }


def _print_stats(folder: Path, stats: "Stats") -> None:
    rows = [
        ("collection", shown(folder)),
        ("files", f"{stats.files:,} indexed, {stats.failed:,} failed, {stats.gone:,} gone, {stats.offline:,} offline"),
        ("items", f"{stats.items:,} pictures and frames"),
        ("model", stats.model),
        ("index", ", ".join(f"{name} {value}" for name, value in stats.index.items())),
        ("size", f"{stats.bytes / 1e6:,.1f} MB"),
    ]
    rows += [("source", shown(source.path) + (" (offline)" if source.offline else "")) for source in stats.sources]
    for name, value in rows:
        typer.echo(f"{name:<10}  {value}")


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
            typer.echo(f"{'repaired' if problem.repaired else 'problem'}: {problem.what}")
        left = sum(not problem.repaired for problem in problems)
        if not problems:
            say(f"{counted(opened.stats().items, 'item')} checked, all sound")
    if left:
        say("repair with `sightseek verify --repair`" if not repair else "some problems are left; see above")
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
        raise RetrievalError(f"{path} is not in the collection; `sightseek status` lists the sources")
    say(f"{counted(dropped, 'file')} dropped from the collection" + (" with their source" if was_source else ""))
    if inside:
        say("its source is still indexed, so it comes back with the next index unless .sightseekignore leaves it out")


def purge(collection: CollectionOption = None) -> None:
    """Drop what is gone or offline from the collection."""
    from retrieval.store import Collection

    with Collection.open(settings_for(collection).collection, write=True) as opened:
        dropped = opened.purge()
        opened.save_index()
    say(f"{counted(dropped, 'file')} dropped that were gone or offline")


def doctor(collection: CollectionOption = None) -> None:
    """Check the installation, the machine and the collection, with advice."""
    from retrieval.diagnose import examine

    findings = examine(settings_for(collection).collection)
    for finding in findings:
        mark = "ok " if finding.ok else "BAD"
        typer.echo(f"{mark}  {finding.name:<16}{finding.value}" + (f"  -> {finding.advice}" if finding.advice else ""))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
