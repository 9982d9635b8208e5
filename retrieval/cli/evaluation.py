"""``sightseek evaluate``: recall of a model on captioned pictures."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import DeviceOption, ModelOption, ReportFormat, named_path, say, settings_for, shown
from retrieval.cli.progress import progress_display
from retrieval.cli.quiet import native_libraries_silenced

if TYPE_CHECKING:
    from indexer import Progress
    from retrieval.evaluation import Report


def evaluate(
    images_dir: Annotated[
        Path, typer.Argument(metavar="IMAGES_DIR", parser=named_path, help="The folder of pictures.")
    ],
    captions_tsv: Annotated[
        Path, typer.Argument(metavar="CAPTIONS_TSV", parser=named_path, help="Lines of: image TAB split TAB caption.")
    ],
    split: Annotated[str, typer.Option("--split", help="Which split to use.")] = "test",
    model: ModelOption = None,
    unique_captions: Annotated[
        bool, typer.Option("--unique-captions", help="Equal captions are one query (class names).")
    ] = False,
    device: DeviceOption = None,
    fmt: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.table,
) -> None:
    """Measure recall@1/5/10 and median rank, text to image and image to text.

    Text to image: the one right picture. Image to text: a hit if any of its captions is among the first k.
    Ties count against the model.
    """
    from retrieval.config import DEFAULT_MODEL
    from retrieval.embedding import open_embedder
    from retrieval.evaluation import evaluate as run

    settings = settings_for(None, device)
    embedder = open_embedder(model or settings.model or DEFAULT_MODEL, settings.device)
    with native_libraries_silenced(), progress_display() as show:
        report = run(
            images_dir,
            captions_tsv,
            embedder,
            split=split,
            unique_captions=unique_captions,
            progress=_counting(show),
        )
    for path, reason in report.failed:
        say(f"could not read {shown(path)}: {reason} (counted as never found)")
    if fmt is ReportFormat.json:
        typer.echo(json.dumps(report.to_json()))
    else:
        _print_report(report, embedder.spec.name)


def _counting(show: "Callable[[Progress], None]") -> Callable[[int, int], None]:
    """Return what turns counts of pictures into progress with a rate and the time left."""
    from indexer import Progress

    began_s = time.monotonic()

    def count(done: int, total: int) -> None:
        rate = done / max(time.monotonic() - began_s, 1e-6)
        show(Progress(done, total, done, rate, (total - done) / rate if done else None, None))

    return count


def _print_report(report: "Report", model: str) -> None:
    typer.echo(f"model {model}, split {report.split}: {report.images:,} pictures, {report.captions:,} captions")
    typer.echo(f"{'':<15}{'R@1':>22}{'R@5':>22}{'R@10':>22}{'median rank':>13}")
    data = report.to_json()
    for name, title in (("text_to_image", "text -> image"), ("image_to_text", "image -> text")):
        figures, intervals = data[name], data["interval_95"][name]
        cells = [
            f"{figures[measure]:.1f} [{intervals[measure][0]:.1f}, {intervals[measure][1]:.1f}]"
            for measure in ("R@1", "R@5", "R@10")
        ]
        typer.echo(f"{title:<15}{''.join(f'{cell:>22}' for cell in cells)}{figures['median_rank']:>13g}")
    typer.echo("figures are per cent; in brackets the 95 % bootstrap interval over pictures")
