"""Reports as tables of text: the same cells on the terminal and in the HTML report. Pure."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.evaluation.comparing import Comparison
from retrieval.evaluation.grades import GradeReport
from retrieval.evaluation.published import Published, Recall3
from retrieval.evaluation.report import Report
from retrieval.evaluation.results import Summary, Table
from retrieval.evaluation.served import ServedReport
from retrieval.evaluation.significance import Interval

TITLES = {"text_to_image": "text -> image", "image_to_text": "image -> text", "library": "library"}
_NOTHING = "-"


def recall_table(report: Report) -> Table:
    """Return recall and median rank both ways, each with its interval, and how many chose from how many."""
    rows = []
    for name, one in report.directions.items():
        cells = [with_interval(one.figures[f"R@{k}"], one.interval_95[f"R@{k}"]) for k in (1, 5, 10)]
        rows.append((TITLES[name], f"{one.queries:,}", f"{one.gallery:,}", *cells, f"{one.figures['median_rank']:g}"))
    return Table("", ("", "queries", "gallery", "R@1", "R@5", "R@10", "median rank"), tuple(rows))


def measures_table(report: Report) -> Table:
    """Return the further measures, one a row, both ways."""
    names = list(report.text_to_image.measures)
    rows = tuple((name, *(with_interval(*one.measures[name]) for one in report.directions.values())) for name in names)
    return Table("measures", ("", *(TITLES[name] for name in report.directions)), rows)


def comparison_table(comparison: Comparison) -> Table:
    """Return how this run differs from another, a row for each direction and measure."""
    rows = tuple(
        (
            f"{TITLES[direction]} {measure}",
            f"{one.ours:.2f}",
            f"{one.theirs:.2f}",
            f"{one.difference:+.2f}",
            f"[{one.interval_95[0]:+.2f}, {one.interval_95[1]:+.2f}]",
            f"{one.p:.4f}",
        )
        for direction, found in comparison.differences.items()
        for measure, one in found.items()
    )
    columns = ("", "this run", "that run", "difference", "95 % interval", "p")
    return Table(f"against {comparison.path.name}", columns, rows)


def published_table(rows: Sequence[Published], report: Report, model: str) -> Table:
    """Return published figures with this run's at the end, each row with its source."""
    cells = [
        (row.model, _recall3(row.text_to_image), _recall3(row.image_to_text), row.source)
        for row in sorted(rows, key=_strength)
    ]
    ours = (
        _recall3(tuple(one.figures[f"R@{k}"] for k in (1, 5, 10)))  # type: ignore[arg-type]
        for one in report.directions.values()
    )
    columns = ("model", "text -> image R@1/5/10", "image -> text R@1/5/10", "source")
    return Table("published figures", columns, (*cells, (f"{model} (this run)", *ours, "measured here")))


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
    return Table("descriptions", ("", "value"), rows)


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
    return Table("", ("text -> image", "exact", "served", "loss of the index", "loss of the model"), rows)


def agreement_table(report: ServedReport) -> Table:
    """Return how many of the first exact files are among the first served ones."""
    columns = ("", *(f"first {depth}" for depth in report.agreement))
    cells = (f"{found:.2f}" for found in report.agreement.values())
    return Table("served files that exact search has as well, per cent", columns, (("", *cells),))


def grades_table(report: GradeReport) -> Table:
    """Return how scores agree with judgements."""
    rows = [(name, with_interval(found, report.interval_95[name])) for name, found in report.figures.items()]
    rows += [("Spearman", f"{report.spearman:.4f}"), ("Kendall tau-b", f"{report.kendall:.4f}")]
    heading = f"judgements: {report.pairs:,} pairs, {report.queries:,} captions ({report.skipped:,} left out)"
    return Table(heading, ("", "agreement"), tuple(rows))


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
    """Return the lines of a table for the terminal: the first column to the left, the others to the right."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.columns))]
    lines = [] if not table.heading else ["", table.heading]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("   ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip())
    return lines


def _recall3(found: Recall3 | None) -> str:
    if found is None:
        return _NOTHING
    return "/".join(_NOTHING if math.isnan(one) else f"{one:.1f}" for one in found)


def _figures_json(found: Recall3) -> dict[str, float | None]:
    return {f"R@{k}": None if math.isnan(one) else one for k, one in zip((1, 5, 10), found, strict=True)}


def _strength(row: Published) -> float:
    """Order rows by recall@5, else recall@1, of words to pictures."""
    first, fifth, _ = row.text_to_image
    return fifth if not math.isnan(fifth) else first
