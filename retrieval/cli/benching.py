"""``sightseek bench``: how fast this machine is with this collection, and what would make it faster."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import CollectionOption, DeviceOption, ReportFormat, say, settings_for
from retrieval.columns import padded
from retrieval.messages import _

if TYPE_CHECKING:
    from retrieval.bench import Figures, Pace


def bench(
    collection: CollectionOption = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="How long to measure, in all.")] = 60.0,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Threads that decode; 0 as index chooses.")] = 0,
    device: DeviceOption = None,
    fmt: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.table,
) -> None:
    """Measure how fast this machine indexes and searches what the collection holds, and say what limits it."""
    settings = settings_for(collection, device)
    from retrieval.bench import advice, measure
    from retrieval.cli.quiet import native_libraries_silenced
    from retrieval.embedding import embedder_for
    from retrieval.store import Collection

    with native_libraries_silenced(), Collection.open(settings.collection) as opened:
        embedder = embedder_for(opened.manifest.spec, settings.device, jobs)
        say(_("measuring for about {seconds:.0f} seconds; let the machine do nothing else").format(seconds=seconds))
        figures = measure(opened, embedder, seconds, jobs)
        model = opened.manifest.spec.name
    lines = advice(figures)
    if fmt is ReportFormat.json:
        typer.echo(json.dumps(_as_json(figures, model, lines)))
        return
    for name, value in _rows(figures, model):
        typer.echo(f"{padded(name, 10)}  {value}")
    for line in lines:
        typer.echo(line)


def _rows(figures: "Figures", model: str) -> list[tuple[str, str]]:
    each = _("{rate:,.1f} a second ({each_ms:,.1f} ms of one processor each)")
    search = _("{text_ms:,.1f} ms for the words, {median_ms:,.1f} ms (99%: {slow_ms:,.1f} ms) for the ten nearest")
    return [
        (_("model"), model),
        (_("items"), f"{figures.items:,}, {figures.kind} {figures.recall:.3f}"),
        (_("model only"), _paced(each, figures.encoding)),
        (_("decoding"), _paced(each, figures.decoding)),
        (
            _("indexing"),
            _("{rate:,.1f} a second, {efficiency:.0%} of what {processors} processors could do").format(
                rate=figures.embedding.rate, efficiency=figures.efficiency, processors=figures.processors
            ),
        ),
        (
            _("searching"),
            search.format(text_ms=1e3 * figures.text_s, median_ms=1e3 * figures.median_s, slow_ms=1e3 * figures.slow_s),
        ),
        (_("command"), _("{seconds:.2f} s for a whole search from the shell").format(seconds=figures.cold_s)),
    ]


def _paced(text: str, pace: "Pace") -> str:
    return text.format(rate=pace.rate, each_ms=1e3 * pace.each_s)


def _as_json(figures: "Figures", model: str, lines: list[str]) -> dict[str, object]:
    def pace(one: "Pace") -> dict[str, float]:
        return {"pictures": one.pictures, "rate": round(one.rate, 2), "processor_s_each": round(one.each_s, 6)}

    return {
        "model": model,
        "items": figures.items,
        "index": figures.kind,
        "recall": figures.recall,
        "processors": figures.processors,
        "model_only": pace(figures.encoding),
        "decoding": pace(figures.decoding),
        "indexing": pace(figures.embedding) | {"efficiency": round(figures.efficiency, 3)},
        "text_s": round(figures.text_s, 6),
        "search_median_s": round(figures.median_s, 6),
        "search_99_s": round(figures.slow_s, 6),
        "command_s": round(figures.cold_s, 3),
        "advice": lines,
    }
