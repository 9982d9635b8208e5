"""What ``sightseek evaluate`` does with its options: one library call, then the report and what was asked beside it."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from retrieval.cli.options import ReportFormat, say, shown
from retrieval.cli.progress import counting, progress_display
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.config import DEFAULT_MODEL, Sampling, Settings
from retrieval.errors import OptionError
from retrieval.messages import N_, _, ngettext, retold

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.evaluation.comparing import Comparison
    from retrieval.evaluation.notation import Measure
    from retrieval.evaluation.protocols import Dataset
    from retrieval.evaluation.results import Asked, Summary, Table
    from retrieval.evaluation.run import Outcome
    from retrieval.store import Collection


class Source(NamedTuple):
    """What is measured on."""

    images_dir: Path
    captions: Path
    protocol: str | None
    split: str | None
    strict: bool


class Asking(NamedTuple):
    """How it is measured, as written on the command line."""

    measures: str
    unique_captions: bool
    frames: str
    k: int | None
    where: str

    def further(self) -> "tuple[Measure, ...]":
        """Return the measures that were named."""
        from retrieval.evaluation.notation import parse_all

        return parse_all(self.measures) if self.measures.strip() else ()


class Extras(NamedTuple):
    """What is wanted besides the figures."""

    against: Path | None
    dump: Path | None
    html: Path | None
    published: bool
    grades: Path | None
    describe: str | None

    def check(self) -> None:
        """Look at the files before the long work begins.

        Raises:
            OptionError: one to be read is not there, one to be written has no folder or is one, or two are the same.
        """
        for name, path in (("--against", self.against), ("--grades", self.grades)):
            if path is not None and not path.is_file():
                raise OptionError(_("{name} {path}: there is no such file").format(name=name, path=path))
        named = {os.path.realpath(path) for path in (self.against, self.grades) if path is not None}
        for name, path in (("--dump", self.dump), ("--html", self.html)):
            if path is not None and not path.absolute().parent.is_dir():
                raise OptionError(
                    _("{name} {path}: there is no folder {folder}; make it first").format(
                        name=name, path=path, folder=path.absolute().parent
                    )
                )
            if path is not None and path.exists() and not path.is_file():
                raise OptionError(
                    _("{name} {path}: this is no ordinary file; name another").format(name=name, path=path)
                )
            if path is not None and os.path.realpath(path) in named:
                raise OptionError(
                    _("{name} {path}: another option names this file as well; name another").format(
                        name=name, path=path
                    )
                )
            if path is not None:
                named.add(os.path.realpath(path))


class Call(NamedTuple):
    """Settings, the model that was named, whether a collection was, and the form of the output."""

    settings: Settings
    model: str | None
    on_collection: bool
    fmt: ReportFormat


def run_dataset(source: Source, call: Call, asking: Asking, extras: Extras) -> None:
    """Measure a model on captioned pictures by exact search."""
    from retrieval.embedding import open_embedder
    from retrieval.evaluation.run import Options, measure_dataset
    from retrieval.evaluation.tables import measures_table, recall_table, summary_of

    dataset = _dataset(source, asking)
    options = Options(asking.further(), asking.unique_captions, Sampling.parse(asking.frames))
    bank = () if extras.describe is None else _bank(source, dataset, extras.describe)
    embedder = open_embedder(call.model or call.settings.model or DEFAULT_MODEL, call.settings.device)
    with native_libraries_silenced(), progress_display() as show:
        outcome = measure_dataset(dataset, embedder, options, counting(show))
    report = outcome.report
    _say_what_failed(report.failed)
    _dump(extras, outcome.asked)
    head = _("model {model}{protocol}, split {split}: {images:,} pictures, {captions:,} captions{folds}").format(
        model=embedder.spec.name,
        protocol=_(", protocol {name}").format(name=report.protocol) if source.protocol else "",
        split=report.split,
        images=report.images,
        captions=report.captions,
        folds=_(", mean of {count} folds").format(count=report.folds) if report.folds > 1 else "",
    )
    tables, data = [recall_table(report)], report.to_json()
    if report.text_to_image.measures:
        tables.append(measures_table(report))
    try:
        for table, name, value in _beside(outcome, dataset, embedder, bank, asking, extras):
            tables.append(table)
            data[name] = value
    finally:  # the long work is done: what it found is shown, whatever is wrong with the files beside it
        _print(call, head, tables, data)
    _write_html(extras, summary_of(report, tables, source.images_dir.absolute()), outcome.asked)


def run_served(source: Source, call: Call, asking: Asking, extras: Extras) -> None:
    """Measure the searches of a collection beside exact search."""
    from retrieval.evaluation.served import ServedOptions, evaluate_served
    from retrieval.evaluation.tables import agreement_table, served_summary, served_table
    from retrieval.query import parse_where
    from retrieval.store import Collection

    dataset = _dataset(source, asking)
    where = parse_where(asking.where) if asking.where.strip() else None
    options = ServedOptions(asking.k or 10, where, asking.further(), asking.unique_captions)
    with (
        native_libraries_silenced(),
        Collection.open(call.settings.collection) as opened,
        progress_display(N_("queries")) as show,
    ):
        report = evaluate_served(dataset, opened, _embedder_of(opened, call), options, counting(show))
        notes = tuple(opened.notes)
    for note in (*notes, *_nothing(report.nothing)):
        say(note)
    _say_what_failed(report.failed)
    _dump(extras, report.asked)
    tables = [served_table(report), agreement_table(report)]
    data = report.to_json()
    head = _(
        "model {model}, {kind} index, first {k} hits: {queries:,} queries, gallery of {files:,} files "
        "({items:,} items){filtered}"
    ).format(
        model=report.model["name"],
        kind=report.index["kind"],
        k=report.k,
        queries=report.captions,
        files=report.gallery,
        items=report.items,
        filtered=_(" that {where!r} selects").format(where=report.where) if report.where else "",
    )
    try:
        _add_comparison(tables, data, _comparison(extras, report.asked, list(report.losses)))
    finally:
        _print(call, head, tables, data)
    _write_html(extras, served_summary(report, tables, source.images_dir.absolute()), report.asked)


def run_library(queries: Path, call: Call, asking: Asking, extras: Extras) -> None:
    """Measure labelled queries on the user's own collection."""
    from retrieval.evaluation.library import DEPTH, evaluate_library, summary_of
    from retrieval.evaluation.run import STANDARD
    from retrieval.store import Collection

    depth, further = asking.k or DEPTH, asking.further()
    with (
        native_libraries_silenced(),
        Collection.open(call.settings.collection) as opened,
        progress_display(N_("queries")) as show,
    ):
        embedder = _embedder_of(opened, call)
        report = evaluate_library(queries, opened, embedder, depth=depth, measures=further, progress=counting(show))
        notes = tuple(dict.fromkeys((*opened.notes, *report.notes)))
    for note in notes:
        say(note)
    _say_what_failed(report.unreadable)
    _dump(extras, report.asked)
    summary = summary_of(report, queries)
    tables, data = list(summary.tables), report.to_json()
    head = _("model {model}: {queries:,} queries, gallery of {items:,} items, first {k} hits").format(
        model=summary.model, queries=report.found.queries, items=report.gallery, k=report.depth
    )
    try:
        _add_comparison(tables, data, _comparison(extras, report.asked, further or STANDARD))
    finally:
        _print(call, head, tables, data)
    _write_html(extras, summary._replace(tables=tuple(tables)), report.asked)


def _dataset(source: Source, asking: Asking) -> "Dataset":
    from retrieval.evaluation.protocols import LINES, open_dataset, protocol_named

    protocol = LINES if source.protocol is None else protocol_named(source.protocol)
    if protocol.folds > 1 and asking.unique_captions:
        raise OptionError(
            _("--unique-captions does not go with the folds of {name}; leave one of them out").format(
                name=protocol.name
            )
        )
    dataset = open_dataset(protocol, source.images_dir, source.captions, source.split, strict=source.strict)
    for note in dataset.notes:
        say(retold(note))
    return dataset


def _embedder_of(collection: "Collection", call: Call) -> "Embedder":
    from retrieval.embedding import embedder_for, open_embedder

    if call.model is not None:
        return open_embedder(call.model, call.settings.device)
    return embedder_for(collection.manifest.spec, call.settings.device)


def _beside(
    outcome: "Outcome", dataset: "Dataset", embedder: "Embedder", bank: "Sequence[str]", asking: Asking, extras: Extras
) -> "Iterator[tuple[Table, str, Any]]":
    """Yield a table, its name in JSON and its value there for each thing that was asked besides the report."""
    from retrieval.evaluation import tables as made
    from retrieval.evaluation.run import STANDARD, describe_dataset

    comparison = _comparison(extras, outcome.asked, (*STANDARD, *asking.further()))
    if comparison is not None:
        yield made.comparison_table(comparison), "against", comparison.to_json()
    if extras.grades is not None:
        from retrieval.evaluation.grades import grade

        graded = grade(extras.grades, dataset.captions, outcome.vectors)
        yield made.grades_table(graded), "grades", graded.to_json()
    if extras.published:
        from retrieval.evaluation.published import published_for

        rows = published_for(outcome.report.protocol)
        if not rows:
            say(_("no published figures are known for this; name a protocol such as --protocol flickr8k"))
        else:
            table = made.published_table(rows, outcome.report, embedder.spec.name)
            yield table, "published", [made.published_json(row) for row in rows]
    if bank:
        described = describe_dataset(dataset, outcome.vectors, bank, embedder)
        yield made.described_table(described), "describe", described


def _comparison(extras: Extras, asked: "Sequence[Asked]", measures: "Sequence[Measure]") -> "Comparison | None":
    if extras.against is None:
        return None
    from retrieval.evaluation.comparing import compare_with

    return compare_with(extras.against, asked, tuple(dict.fromkeys(measures)))


def _add_comparison(tables: "list[Table]", data: dict[str, Any], comparison: "Comparison | None") -> None:
    if comparison is not None:
        from retrieval.evaluation.tables import comparison_table

        tables.append(comparison_table(comparison))
        data["against"] = comparison.to_json()


def _bank(source: Source, dataset: "Dataset", split: str) -> tuple[str, ...]:
    """Read the sentences of another split to describe with, before the long work begins.

    Raises:
        OptionError: they are of the very pictures that are to be described.
        DatasetError: the split is empty.
    """
    from retrieval.evaluation.datasets import read_any

    bank = read_any(source.captions, source.images_dir, split, most=dataset.protocol.most)
    own = {name if not dataset.protocol.stems else Path(name).stem for name in dataset.captions.images}
    if not own.isdisjoint(bank.images):  # captions that name no split are of any split that is asked for
        raise OptionError(
            _("--describe {split} would describe pictures by their own captions; name another split").format(
                split=split
            )
        )
    return bank.captions


def _print(call: Call, head: str, tables: "Sequence[Table]", data: dict[str, Any]) -> None:
    if call.fmt is ReportFormat.json:
        typer.echo(json.dumps(data))
        return
    from retrieval.evaluation.tables import aligned

    typer.echo(head)
    for table in tables:
        for line in aligned(table):
            typer.echo(line)
    typer.echo(_("figures are per cent, ranks as they are; in brackets the 95 % bootstrap interval"))


def _dump(extras: Extras, asked: "Sequence[Asked]") -> None:
    if extras.dump is not None:
        from retrieval.evaluation.results import write_dump

        write_dump(extras.dump, asked)
        say(_("{count:,} queries written to {path}").format(count=len(asked), path=shown(extras.dump)))


def _write_html(extras: Extras, summary: "Summary", asked: "Sequence[Asked]") -> None:
    if extras.html is not None:
        from retrieval.evaluation.html import write_html

        with progress_display(N_("thumbnails")) as show:
            write_html(extras.html, summary, asked, progress=counting(show))
        say(_("report written to {path}").format(path=shown(extras.html)))


def _nothing(queries: int) -> tuple[str, ...]:
    if not queries:
        return ()
    said = ngettext(
        "{count:,} query has nothing to find among what --where selects",
        "{count:,} queries have nothing to find among what --where selects",
        queries,
    )
    return (said.format(count=queries),)


def _say_what_failed(failed: Sequence[tuple[Path, str]]) -> None:
    for path, reason in failed:
        say(
            _("could not read {path}: {reason} (counted as never found)").format(
                path=shown(path), reason=retold(reason)
            )
        )
