"""``sightseek train``: fine-tune a model on one's own pictures with captions."""

import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.cli.options import named_path, say, say_at_once, shown
from retrieval.cli.progress import time_left
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.columns import padded
from retrieval.messages import _, ngettext, retold

if TYPE_CHECKING:
    from retrieval.training.finetune.fit import Progress, Watch
    from retrieval.training.finetune.measuring import Row
    from retrieval.training.finetune.run import Outcome

_LINE_EVERY_S = 10.0
_NEEDED = ("torch", "open_clip", "onnx", "safetensors", "matplotlib")

Text = str | None
Count = int | None
Number = float | None


def _knob(flag: str, metavar: str, text: str) -> Any:  # noqa: ANN401 - typer's own record
    return typer.Option(flag, metavar=metavar, help=text)


def train(  # noqa: PLR0913 - a command's options are its parameters
    context: typer.Context,
    pictures: Annotated[
        Path | None, typer.Argument(metavar="PICTURES", parser=named_path, help="The folder of pictures.")
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Argument(
            metavar="CAPTIONS",
            parser=named_path,
            help="Lines of image TAB split TAB caption, a CSV, Karpathy's JSON, or a folder of .txt files.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="RUN", parser=named_path, help="The run's folder; the model is RUN/best.")
    ] = ...,  # type: ignore[assignment]
    model: Annotated[Text, _knob("--model", "NAME", "What to begin with: starter, an OpenCLIP name, a folder.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", parser=named_path, help="Settings from a file.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN, exactly where it was.")] = False,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="DIR", parser=named_path, help="Keep features for other runs.")
    ] = None,
    train_split: Annotated[Text, _knob("--train-split", "NAME", "The split to learn from [train].")] = None,
    dev_split: Annotated[Text, _knob("--dev-split", "NAME", "The split to choose by [dev, val].")] = None,
    dev_share: Annotated[Number, _knob("--dev-share", "SHARE", "Held out when there is none [0.1].")] = None,
    class_names: Annotated[Text, _knob("--class-names", "FILE", "Labels and names: more pairs from folders.")] = None,
    loss: Annotated[Text, _knob("--loss", "infonce|siglip", "The contrastive loss [infonce].")] = None,
    smoothing: Annotated[Number, _knob("--smoothing", "SHARE", "Label smoothing [0].")] = None,
    image_tower: Annotated[
        Text, _knob("--image-tower", "MODE", "What learns: locked, heads, last:N, all or lora.")
    ] = None,
    text_tower: Annotated[Text, _knob("--text-tower", "MODE", "The same for the text tower.")] = None,
    rank: Annotated[Count, _knob("--rank", "N", "Rank of the adapters of lora [8].")] = None,
    from_scratch: Annotated[Text, _knob("--from-scratch", "none|heads|all", "Begin with random weights.")] = None,
    head_rate: Annotated[Number, _knob("--head-rate", "RATE", "Peak learning rate of heads.")] = None,
    image_rate: Annotated[Number, _knob("--image-rate", "RATE", "Peak learning rate of the image tower.")] = None,
    text_rate: Annotated[Number, _knob("--text-rate", "RATE", "Peak learning rate of the text tower.")] = None,
    decay: Annotated[Number, _knob("--decay", "RATE", "Weight decay [0.1].")] = None,
    epochs: Annotated[Count, _knob("--epochs", "N", "How often every picture is seen [10].")] = None,
    batch: Annotated[Count, _knob("--batch", "N", "Pictures a step, over all processes [256].")] = None,
    chunk: Annotated[Count, _knob("--chunk", "N", "Pictures in memory at a time; same gradients [0: all].")] = None,
    captions_each: Annotated[Count, _knob("--captions", "N", "Captions drawn of each picture [2].")] = None,
    warm_up: Annotated[Number, _knob("--warm-up", "SHARE", "Share of the steps with rising rates [0.1].")] = None,
    clip_norm: Annotated[Number, _knob("--clip-norm", "NORM", "Longest gradient; 0 for any [1].")] = None,
    crop: Annotated[Number, _knob("--crop", "SHARE", "Least share of a picture in a view; 1 for off [0.5].")] = None,
    flip: Annotated[Number, _knob("--flip", "SHARE", "Share of mirrored views [0.5].")] = None,
    jitter: Annotated[Number, _knob("--jitter", "SHARE", "How far colours vary [0.1].")] = None,
    views: Annotated[Count, _knob("--views", "N", "Views of each picture, starter only [2].")] = None,
    keep: Annotated[Number, _knob("--keep", "WEIGHT", "Holds the starter's class guesses [0.2].")] = None,
    average: Annotated[Number, _knob("--average", "SHARE", "Running average of weights; 0 for off [0.99].")] = None,
    patience: Annotated[Count, _knob("--patience", "N", "Measurements without gain before it ends [5].")] = None,
    every: Annotated[Count, _knob("--every", "STEPS", "Measure and save so often [0: an epoch].")] = None,
    save_every: Annotated[Count, _knob("--save-every", "STEPS", "Save in between as well [0: no].")] = None,
    precision: Annotated[Text, _knob("--precision", "auto|fp32|bf16|fp16", "Arithmetic on CUDA.")] = None,
    device: Annotated[Text, _knob("--device", "auto|cpu|cuda", "Where it runs.")] = None,
    jobs: Annotated[Count, _knob("--jobs", "N", "Threads; 0 chooses.")] = None,
    seed: Annotated[Count, _knob("--seed", "N", "Of everything random [0].")] = None,
) -> None:
    """Fine-tune the starter or any OpenCLIP model on your own pictures with captions.

    The best weights on the pictures held out are RUN/best, which --model takes. Settings come from options, then
    FILE.toml, then defaults that suit the model. Several GPUs: torchrun --nproc-per-node N -m retrieval train ...
    """
    from retrieval.training.finetune.settings import Tuning, chosen

    _need_libraries()
    named = {"captions": captions_each} | {
        key: value for key, value in context.params.items() if key in Tuning._fields and key != "captions"
    }
    given = chosen({key: value for key, value in named.items() if value is not None}, config)
    from retrieval.training.finetune.run import Request, tune

    with native_libraries_silenced(), _stoppable() as stop:
        outcome = tune(Request(pictures, captions, out, given, resume, cache), _watch(stop))
    if outcome is not None:
        _print_outcome(outcome)
        if outcome.interrupted:
            raise typer.Exit(130)


def _need_libraries() -> None:
    """Check for the extra before anything is read.

    Raises:
        ModelNotFound: it is not installed.
    """
    from retrieval.errors import ModelNotFound

    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelNotFound(
            _("training needs {library}; run: pip install 'sightseek[clip]'").format(library=missing[0])
        )


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Yield whether Ctrl-C or a request to end was heard; the second Ctrl-C ends at once."""
    heard = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if heard.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not heard.is_set():
            say_at_once(_("stopping after what is under way; press Ctrl-C again to stop at once"))
        heard.set()

    if threading.current_thread() is not threading.main_thread():
        yield heard.is_set
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(stop: Callable[[], bool]) -> "Watch":
    """Return what shows a run on stderr: a line now and then, rewritten in place on a terminal."""
    from retrieval.training.finetune.fit import Watch

    show = _Line()

    def step(progress: "Progress") -> None:
        text = _("step {step:,} of {steps:,}, loss {loss:.4f}, {rate:.0f} pictures/s, {time} left").format(
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            rate=progress.rate,
            time=time_left(progress.left_s),
        )
        show.now(text, progress.step == progress.steps)

    def report(what: str, done: int, total: int) -> None:
        if stop():
            raise KeyboardInterrupt
        text = _("{what}: {done:,} of {total:,}").format(what=retold(what), done=done, total=total)
        show.now(text, done == total)

    return Watch(show.note, step, report, stop)


class _Line:
    """A line on stderr that is written over on a terminal, and every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last_s = 0.0
        self._shown = False

    def now(self, text: str, last: bool) -> None:
        """Show how far it is, if it is time to."""
        now_s = time.monotonic()
        if now_s - self._last_s < (0.2 if self._live else _LINE_EVERY_S) and not last:
            return
        self._last_s = now_s
        if self._live:
            typer.echo(f"\r\x1b[K{text}", err=True, nl=False)
            self._shown = True
        else:
            say(text)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        if self._shown:
            typer.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False
        say(text)


def _print_outcome(outcome: "Outcome") -> None:
    best = outcome.best
    if outcome.interrupted:
        said = _("stopped after step {step:,} of {steps:,}; go on with: sightseek train --out {folder} --resume")
        say(said.format(step=outcome.step, steps=outcome.steps, folder=shown(outcome.model.parent)))
    elif outcome.step < outcome.steps:
        say(
            _("ended after step {step:,} of {steps:,}: it no longer got better").format(
                step=outcome.step, steps=outcome.steps
            )
        )
    if not best.step:
        say(_("no step did better than the model it began with; the model written is that one"))
    _print_rows(outcome.rows)
    seconds = round(outcome.seconds)
    if best.averaged:
        kept = ngettext(
            "kept: the averaged weights of step {step:,}; {seconds:,} second of learning",
            "kept: the averaged weights of step {step:,}; {seconds:,} seconds of learning",
            seconds,
        )
    else:
        kept = ngettext(
            "kept: the weights of step {step:,}; {seconds:,} second of learning",
            "kept: the weights of step {step:,}; {seconds:,} seconds of learning",
            seconds,
        )
    typer.echo(kept.format(step=best.step, seconds=seconds))
    typer.echo(_("use it with: --model {name}").format(name=shown(outcome.model)))


def _print_rows(rows: "list[Row]") -> None:
    head, before, after = padded(_("on what was held out"), 22), _("before"), _("after")
    typer.echo(f"{head}{padded(before, 22, right=True)}{padded(after, 22, right=True)}{'p':>9}")
    for row in rows:
        cells = (_cell(row.before, row.before_95), _cell(row.after, row.after_95))
        way = _("text -> picture") if row.way == "text_to_image" else _("picture -> text")
        typer.echo(f"{padded(f'{way} {row.name}', 22)}{cells[0]:>22}{cells[1]:>22}{row.difference.p:>9.4f}")
    typer.echo(_("per cent, [95 % bootstrap interval over pictures]; p of a paired randomisation test"))


def _cell(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.1f} [{interval[0]:.1f}, {interval[1]:.1f}]"
