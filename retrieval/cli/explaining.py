"""``sightseek explain``: what of a query matches what in a picture."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.asking import joined
from retrieval.cli.options import (
    CollectionOption,
    DeviceOption,
    LikeOption,
    MinusOption,
    ModelOption,
    ReportFormat,
    named_path,
    say,
    settings_for,
)
from retrieval.cli.progress import counting, progress_display
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import N_, _

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.explain import Explanation
    from retrieval.store import Collection


class MethodName(StrEnum):
    """How the places of a picture are told apart."""

    auto = "auto"
    cells = "cells"
    masks = "masks"


def explain(  # noqa: PLR0913 - a command's options are its parameters
    text: Annotated[
        list[str],
        typer.Argument(metavar="[TEXT]... FILE|ITEM", help="A query as for search; last, what it is to be seen in."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PNG", parser=named_path, help="Write the heat map to this file.")
    ] = None,
    collection: CollectionOption = None,
    model: ModelOption = None,
    like: LikeOption = None,
    minus: MinusOption = None,
    method: Annotated[
        MethodName,
        typer.Option("--method", help="By the model's cells, or by masks (any model; slow); auto takes what there is."),
    ] = MethodName.auto,
    lang: Annotated[
        str, typer.Option("--lang", metavar="LANG", help="The language of the words: en, zh ...; else guessed.")
    ] = "",
    device: DeviceOption = None,
    fmt: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.table,
) -> None:
    """Show what in a picture, or a frame of a video, matches a query: a heat map and boxes.

    The picture need not be indexed. The model is the collection's, or --model.
    """
    from retrieval.explain import check_out, write_heat_map
    from retrieval.explain import explain as run
    from retrieval.explain.explaining import sampling_of
    from retrieval.query import parse_query, split_item

    if model is not None and collection is not None:
        raise typer.BadParameter(_("give --model or --collection, not both"))
    query = parse_query(joined(text[:-1]), like=like or [], minus=minus or [])
    if query.where is not None:
        raise typer.BadParameter(_("a filter chooses among files; leave where:(...) out, one file is explained"))
    name = text[-1]
    if out is not None:
        files = [part.value for part in query.parts if part.kind != "text"]
        check_out(out, {Path(found) for value in (name, *files) for found in (value, split_item(value)[0])})
    with ExitStack() as stack:
        stack.enter_context(native_libraries_silenced())
        opened, embedder = _opened(stack, collection, model, lang, device)
        show = stack.enter_context(progress_display(N_("masks")))
        found = run(query, name, embedder, opened, method=method.value, progress=counting(show))
        if out is not None:
            write_heat_map(found, out, sampling_of(opened))
    for note in found.notes:
        say(note)
    _print(found, fmt, out)


def _opened(
    stack: ExitStack, collection: Path | None, model: str | None, lang: str, device: str | None
) -> "tuple[Collection | None, Embedder]":
    """Return the collection, if one is used, and its model or the one that was asked for."""
    from retrieval.config import DEFAULT_MODEL
    from retrieval.embedding import embedder_for, open_embedder
    from retrieval.embedding.languages import parse_language
    from retrieval.embedding.polyglot import Polyglot
    from retrieval.errors import CollectionNotFound
    from retrieval.store import Collection

    language = parse_language(lang) if lang else None
    settings = settings_for(collection, device)
    opened = None
    if model is None:
        try:
            opened = stack.enter_context(Collection.open(settings.collection))
        except CollectionNotFound:
            if collection is not None:
                raise
    if opened is None:
        embedder = open_embedder(model or settings.model or DEFAULT_MODEL, settings.device)
    else:
        for note in opened.notes:
            say(note)
        embedder = embedder_for(opened.manifest.spec, settings.device)
    return opened, Polyglot(embedder, language)


def _print(found: "Explanation", fmt: ReportFormat, out: Path | None) -> None:
    if fmt is ReportFormat.json:
        typer.echo(json.dumps(_fields(found, out), ensure_ascii=True, allow_nan=False))
        return
    if not sys.stdout.isatty():
        for row in _rows(found, N_):  # columns with tabs are for programs, in English
            typer.echo("\t".join(row))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for justify in ("left", "right", "left"):
            table.add_column(justify=justify, overflow="fold")
        for row in _rows(found, _):
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
    if not found.regions:
        say(_("no place of the picture matches the query better than the rest"))


def _rows(found: "Explanation", told: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
    """Yield the score, the parts of the query, and the regions: what it is, its figure, and what it is of.

    ``told`` puts messages into the language they are wanted in.
    """
    from retrieval.present import rounded, timestamp, visible
    from retrieval.query import format_part

    yield told(N_("score")), f"{found.score:.4f}", visible(found.target.item)
    values = rounded([one.share for one in found.shares], round(found.score, 4), 4)
    for one, value in zip(found.shares, values, strict=True):
        at = "" if one.at_s is None else told(N_(" at {time}")).format(time=timestamp(one.at_s))
        yield told(N_("part")), f"{value:+.4f}", visible(format_part(one.part)) + at
    for region in found.regions:
        box = f"{region.width}x{region.height}+{region.left}+{region.top}"
        yield (
            told(N_("region")),
            f"{100 * region.share:.0f}%",
            told(N_("{box} by {method}")).format(box=box, method=found.method),
        )


def _fields(found: "Explanation", out: Path | None) -> dict[str, object]:
    from retrieval.present import parts_json

    target = found.target
    return {
        "path": target.path,
        "kind": target.kind,
        "at_s": None if target.at_s is None else round(target.at_s, 3),
        "item": target.item,
        "width": target.width,
        "height": target.height,
        "model": found.model,
        "score": round(found.score, 6),
        "parts": parts_json(found.shares, found.score),
        "method": found.method,
        "regions": [one._asdict() | {"share": round(one.share, 4)} for one in found.regions],
        "out": None if out is None else str(out.absolute()),
    }
