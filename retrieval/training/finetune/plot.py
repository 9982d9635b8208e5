"""A picture of a run: its loss, and recall on the pictures held out."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.store.durable import replace

NAME = "plot.png"


def draw(run: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write ``plot.png`` of the metrics of a run; matplotlib draws without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    steps = [line for line in lines if "loss" in line]
    left.plot([line["step"] for line in steps], [line["loss"] for line in steps], color="tab:blue", linewidth=1)
    left.set(xlabel="step", ylabel="loss", title="loss of each step")
    measured = [line for line in lines if "dev" in line]
    for way, colour in (("text_to_image", "tab:orange"), ("image_to_text", "tab:green")):
        for depth, style in (("R@1", ":"), ("R@5", "--"), ("R@10", "-")):
            label = f"{way.replace('_', ' ')} {depth}"
            values = [_better(line)[way][depth] for line in measured]
            right.plot([line["step"] for line in measured], values, style, color=colour, label=label, marker=".")
    right.set(xlabel="step", ylabel="per cent", title="recall on what is held out", ylim=(0, None))
    right.legend(fontsize="x-small")
    made = io.BytesIO()
    figure.savefig(made, format="png")
    replace(run / NAME, lambda file: file.write(made.getvalue()))


def _better(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of the weights that did better, as they are or averaged."""
    averaged = line.get("averaged")
    found: Mapping[str, Any] = averaged if averaged and averaged["mean"] > line["dev"]["mean"] else line["dev"]
    return found
