"""Reports as tables of text: the same cells on the terminal and in the HTML report. Pure."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.columns import cells, padded
from retrieval.evaluation.comparing import Comparison
from retrieval.evaluation.grades import GradeReport
from retrieval.evaluation.published import Published, Recall3
from retrieval.evaluation.report import Report
from retrieval.evaluation.results import Summary, Table
from retrieval.evaluation.served import ServedReport
from retrieval.evaluation.significance import Interval
from retrieval.messages import N_, retold

TITLES = {"text_to_image": N_("text -> image"), "image_to_text": N_("image -> text"), "library": N_("library")}
_MEASURED = {
    "text_to_image": N_("text -> image {measure}"),
    "image_to_text": N_("image -> text {measure}"),
    "library": N_("library {measure}"),
}
_NOTHING = "-"


def recall_table(report: Report) -> Table:
    """Return recall and median rank both ways, each with its interval, and how many chose from how many."""
    rows = []
    for name, one in report.directions.items():
        recall = [with_interval(one.figures[f"R@{k}"], one.interval_95[f"R@{k}"]) for k in (1, 5, 10)]
        rows.append((TITLES[name], f"{one.queries:,}", f"{one.gallery:,}", *recall, f"{one.figures['median_rank']:g}"))
    return Table("", ("", N_("queries"), N_("gallery"), "R@1", "R@5", "R@10", N_("median rank")), tuple(rows))


def measures_table(report: Report) -> Table:
    """Return the further measures, one a row, both ways."""
    names = list(report.text_to_image.measures)
    rows = tuple((name, *(with_interval(*one.measures[name]) for one in report.directions.values())) for name in names)
    return Table(N_("measures"), ("", *(TITLES[name] for name in report.directions)), rows)


def comparison_table(comparison: Comparison) -> Table:
    """Return how this run differs from another, a row for each direction and measure."""
    rows = tuple(
        (
            _MEASURED[direction].format(measure=measure),
            f"{one.ours:.2f}",
            f"{one.theirs:.2f}",
            f"{one.difference:+.2f}",
            f"[{one.interval_95[0]:+.2f}, {one.interval_95[1]:+.2f}]",
            f"{one.p:.4f}",
        )
        for direction, found in comparison.differences.items()
        for measure, one in found.items()
    )
    columns = ("", N_("this run"), N_("that run"), N_("difference"), N_("95 % interval"), "p")
    return Table(N_("against {name}").format(name=comparison.path.name), columns, rows)


def published_table(rows: Sequence[Published], report: Report, model: str) -> Table:
    """Return published figures with this run's at the end, each row with its source."""
    others = [
        (row.model, _recall3(row.text_to_image), _recall3(row.image_to_text), row.source)
        for row in sorted(rows, key=_strength)
    ]
    ours = (
        _recall3(tuple(one.figures[f"R@{k}"] for k in (1, 5, 10)))  # type: ignore[arg-type]
        for one in report.directions.values()
    )
    columns = (N_("model"), N_("text -> image R@1/5/10"), N_("image -> text R@1/5/10"), N_("source"))
    return Table(
        N_("published figures"),
        columns,
        (*others, (N_("{model} (this run)").format(model=model), *ours, N_("measured here"))),
    )


def published_json(row: Published) -> dict[str, Any]:
    """Return a published row as JSON-ready values; ``null`` where the source gives no figure."""
    return {
        "model": row.model,
        "text_to_image": _figures_json(row.text_to_image),
        "image_to_text": None if row.image_to_text is None else _figures_json(row.image_to_text),
        "source": row.source,
    }


def described_table(scores: Mapping[str, Any]) -> Table:
    """Return the scores of descriptions, as far as they are single numbers."""
    rows = tuple(
        (name, f"{found:.4f}" if isinstance(found, float) else f"{found:,}")
        for name, found in scores.items()
        if isinstance(found, int | float)
    )
    return Table(N_("descriptions"), ("", N_("value")), rows)


def served_table(report: ServedReport) -> Table:
    """Return what was served beside what exact search finds, and both losses, a row for each measure."""
    rows = tuple(
        (
            str(measure),
            f"{one.theirs:.2f}",
            f"{one.ours:.2f}",
            f"{0.0 - one.difference:.2f} [{0.0 - one.interval_95[1]:.2f}, {0.0 - one.interval_95[0]:.2f}]",
            _NOTHING if measure.is_rank else f"{100.0 - one.theirs:.2f}",
        )
        for measure, one in report.losses.items()
    )
    return Table(
        "", (N_("text -> image"), N_("exact"), N_("served"), N_("loss of the index"), N_("loss of the model")), rows
    )


def agreement_table(report: ServedReport) -> Table:
    """Return how many of the first exact files are among the first served ones."""
    columns = ("", *(N_("first {count}").format(count=depth) for depth in report.agreement))
    shares = (f"{found:.2f}" for found in report.agreement.values())
    return Table(N_("served files that exact search has as well, per cent"), columns, (("", *shares),))


def grades_table(report: GradeReport) -> Table:
    """Return how scores agree with judgements."""
    rows = [(name, with_interval(found, report.interval_95[name])) for name, found in report.figures.items()]
    rows += [("Spearman", f"{report.spearman:.4f}"), ("Kendall tau-b", f"{report.kendall:.4f}")]
    heading = N_("judgements: {pairs:,} pairs, {captions:,} captions ({skipped:,} left out)").format(
        pairs=report.pairs, captions=report.queries, skipped=report.skipped
    )
    return Table(heading, ("", N_("agreement")), tuple(rows))


def summary_of(report: Report, tables: Sequence[Table], folder: Path) -> Summary:
    """Return what stands above the single queries of a report."""
    counts = (("pictures", report.images), ("captions", report.captions))
    return Summary(f"{report.protocol}, split {report.split}", report.model["name"], counts, tuple(tables), folder)


def served_summary(report: ServedReport, tables: Sequence[Table], folder: Path) -> Summary:
    """Return what stands above the single queries of a served report."""
    counts = (("captions", report.captions), ("pictures", report.gallery), ("hits looked at", report.k))
    title = f"{report.protocol}, split {report.split}, as it is served"
    return Summary(title, report.model["name"], counts, tuple(tables), folder)


def with_interval(found: float, interval: Interval) -> str:
    """Return ``27.9 [26.1, 29.9]``."""
    return f"{found:.1f} [{interval[0]:.1f}, {interval[1]:.1f}]"


def aligned(table: Table) -> list[str]:
    """Return the lines of a table for the terminal: the first column to the left, the others to the right.

    A table is in English, as reports keep it; its words are put into the language in use here.
    """
    rows = [tuple(map(retold, row)) for row in (table.columns, *table.rows)]
    widths = [max(cells(row[at]) for row in rows) for at in range(len(table.columns))]
    lines = [] if not table.heading else ["", retold(table.heading)]
    for row in rows:
        others = (padded(cell, width, right=True) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("   ".join([padded(row[0], widths[0]), *others]).rstrip())
    return lines


def _recall3(found: Recall3 | None) -> str:
    if found is None:
        return _NOTHING
    return "/".join(_NOTHING if math.isnan(one) else f"{one:.1f}" for one in found)


def _figures_json(found: Recall3) -> dict[str, float | None]:
    return {f"R@{k}": None if math.isnan(one) else one for k, one in zip((1, 5, 10), found, strict=True)}


def _strength(row: Published) -> float:
    """Order rows by recall@5, else recall@1, of words to pictures."""
    first, fifth, _tenth = row.text_to_image
    return fifth if not math.isnan(fifth) else first
