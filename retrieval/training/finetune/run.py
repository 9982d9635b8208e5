"""One fine-tuning from start to end: pairs, model, loop, and the folder that comes out."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from retrieval.config import DEFAULT_MODEL
from retrieval.embedding import model_folder
from retrieval.errors import DatasetError, OptionError
from retrieval.messages import _
from retrieval.store.durable import replace
from retrieval.training.finetune import checkpoint, metrics, plot
from retrieval.training.finetune.fit import Best, Fit, Watch
from retrieval.training.finetune.learner import Learner
from retrieval.training.finetune.measuring import Row, compare
from retrieval.training.finetune.order import Order
from retrieval.training.finetune.pairs import Sets, checked, read_sets
from retrieval.training.finetune.settings import Tuning, completed, differences, to_toml
from retrieval.training.finetune.weak import class_lines
from retrieval.training.finetune.world import World, joined

LEFT_OUT = "left_out.json"
CONFIG = "config.toml"
MODEL = "best"


class Request(NamedTuple):
    """What is asked for: the folders, the knobs that were named, and whether to go on with what ``out`` holds.

    ``cache`` keeps features of the built-in model for other runs; without it they are dropped at the end.
    """

    pictures: Path | None
    captions: Path | None
    out: Path
    given: Mapping[str, Any]
    resume: bool = False
    cache: Path | None = None


class Outcome(NamedTuple):
    """What came of it. ``rows`` set the model before and after side by side on what was held out; ``model`` is the
    folder to use with ``--model``. ``interrupted`` is whether the run was told to stop.
    """

    model: Path
    rows: list[Row]
    best: Best
    step: int
    steps: int
    interrupted: bool
    left_out: int
    seconds: float


class _Sources(NamedTuple):
    pictures: Path
    captions: Path
    tuning: Tuning


def tune(request: Request, watch: Watch) -> Outcome | None:
    """Fine-tune a model; in other processes than the first one, returned is None.

    Raises:
        OptionError: a knob makes no sense, or differs from the run to go on with.
        DatasetError: the pairs or the run cannot be used.
        ModelError: the model cannot be opened.
    """
    with joined() as world:
        quiet = watch if world.first else watch._replace(note=_nothing, step=_nothing, report=_nothing)
        state = checkpoint.load(request.out) if request.resume else None
        sources = _settled(request, state, world)
        if sources.tuning.jobs:
            torch.set_num_threads(sources.tuning.jobs)
        cache = request.cache or request.out / "features"
        learner = open_learner(sources.tuning, cache)
        surveyed = _pairs(sources)
        _sizes(surveyed, sources.tuning, world)
        sets = _surveyed(request.out, sources.pictures, surveyed, learner, world, quiet)
        order = _sizes(sets, sources.tuning, world)
        _in_turn(world, lambda: learner.begin(sources.pictures, surveyed, sets, quiet.report))
        fit = Fit(learner, order, sets, request.out, sources.pictures)
        describe = _description(sources, sets)
        if state is not None:
            if state["pairs"] != describe["pairs"]:
                raise DatasetError(
                    _("the pairs are not those the run in {run} began with; bring them back").format(run=request.out)
                )
            fit.restore(state)
        quiet.note(_opening(sets, fit, sources.tuning))
        interrupted = fit.run(world, quiet, describe)
        return _finished(fit, request, interrupted) if world.first else None


def open_learner(tuning: Tuning, cache: Path) -> Learner:
    """Open the model a run begins with: the built-in one, a folder of its kind, or an OpenCLIP model.

    Raises:
        ModelError: it cannot be opened, or is of a kind that cannot be learnt from.
    """
    starter = _starter_folder(tuning.model)
    if starter is not None:
        from retrieval.training.finetune.towers_starter import StarterLearner
        from retrieval.training.reload import load_starter

        return StarterLearner(load_starter(starter), cache, tuning)
    from retrieval.training.finetune.towers_openclip import ClipModel

    return ClipModel(tuning.model, tuning)


def _starter_folder(model: str) -> Path | None:
    folder = model_folder(model)
    if folder is None or (model != DEFAULT_MODEL and (folder / "open_clip_config.json").is_file()):
        return None
    return folder


def _settled(request: Request, state: Mapping[str, Any] | None, world: World) -> _Sources:
    """Put together what was asked for, and what a run to go on with says; note it in the run's folder.

    Raises:
        OptionError: something is missing, or differs.
        DatasetError: the folder holds a run, and going on was not asked for.
    """
    if state is None:
        if (request.out / checkpoint.NAME).exists():
            raise DatasetError(
                _("{run} already holds a run; add --resume to go on, or name another folder").format(run=request.out)
            )
        if request.pictures is None or request.captions is None:
            raise OptionError(_("give the folder of pictures and the captions (only --resume goes without)"))
        sources = _Sources(request.pictures.absolute(), request.captions.absolute(), completed(request.given))
        request.out.mkdir(parents=True, exist_ok=True)
        if world.first:
            (request.out / LEFT_OUT).unlink(missing_ok=True)  # of an earlier run that had not come to a checkpoint
            places = [f"# {name}: {json.dumps(str(getattr(sources, name)))}\n" for name in ("pictures", "captions")]
            text = "".join(places) + to_toml(sources.tuning)
            replace(request.out / CONFIG, lambda file: file.write(text.encode("utf-8", "replace")))
        return sources
    before = Tuning(**state["tuning"])
    now = completed({**before._asdict(), **request.given})
    different = differences(before, now)
    for name in ("pictures", "captions"):
        asked = getattr(request, name)
        if asked is not None and str(asked.absolute()) != state[name]:
            different.append(
                _("{name} ({before} before, {now} now)").format(name=name, before=state[name], now=asked.absolute())
            )
    if different:
        raise OptionError(
            _("the run in {run} cannot go on with other settings: {names}").format(
                run=request.out, names=", ".join(different)
            )
        )
    return _Sources(Path(state["pictures"]), Path(state["captions"]), now)


def _pairs(sources: _Sources) -> Sets:
    pictures, captions, tuning = sources
    if not tuning.class_names:
        return read_sets(pictures, captions, tuning)
    lines = class_lines(Path(tuning.class_names).expanduser(), pictures, captions)
    return read_sets(pictures, captions, tuning, lines)


def _sizes(sets: Sets, tuning: Tuning, world: World) -> Order:
    if tuning.batch % world.size:
        raise OptionError(
            _("a batch of {batch} does not divide by {count} processes; choose one that does").format(
                batch=tuning.batch, count=world.size
            )
        )
    return Order(sets.train, tuning)


def _surveyed(out: Path, folder: Path, sets: Sets, learner: Learner, world: World, watch: Watch) -> Sets:
    """Leave out what cannot be read. The first process looks, and notes it in a file that the others and a resumed run
    read.
    """
    path = out / LEFT_OUT
    if world.first and not path.is_file():
        failed = learner.survey(folder, sets, watch.report)
        text = json.dumps({**sets.left_out, **failed}, indent=1)
        replace(path, lambda file: file.write(text.encode()))
    world.told(0.0)
    found: dict[str, str] = json.loads(path.read_bytes())
    if found:
        watch.note(
            _("left out {count:,} pictures that cannot be read; they are listed in {path}").format(
                count=len(found), path=path
            )
        )
    return checked(sets.without(found))


def _in_turn(world: World, act: Callable[[], None]) -> None:
    """Let the first process act, then the others, which find what it kept."""
    if world.first:
        act()
    world.told(0.0)
    if not world.first:
        act()


def _description(sources: _Sources, sets: Sets) -> dict[str, Any]:
    return {
        "pictures": str(sources.pictures),
        "captions": str(sources.captions),
        "tuning": sources.tuning._asdict(),
        "pairs": sets.train.digest() + sets.dev.digest(),
    }


def _opening(sets: Sets, fit: Fit, tuning: Tuning) -> str:
    learnt = sum(value.numel() for value in fit.learnt.values())
    if fit.step:
        begun = _("going on after step {step:,} of {steps:,} steps of {batch} pictures")
    else:
        begun = _("beginning {steps:,} steps of {batch} pictures")
    return _(
        "{begun}: {pictures:,} pictures with {captions:,} captions to learn from, {held:,} held out; "
        "{weights:.2f} million weights of {model} learn, on {device}"
    ).format(
        begun=begun.format(step=fit.step, steps=fit.order.steps, batch=tuning.batch),
        pictures=len(sets.train.names),
        captions=len(sets.train.captions),
        held=len(sets.dev.names),
        weights=learnt / 1e6,
        model=tuning.model,
        device=fit.learner.device.type,
    )


def _finished(fit: Fit, request: Request, interrupted: bool) -> Outcome:
    """Write the plot and the model folder of the best weights; drop features that are of no more use."""
    plot.draw(request.out, metrics.read(request.out))
    best = fit.load_best()
    assert fit.before is not None
    rows = compare(fit.before, best.ranks, fit.sets.dev)
    tuning = fit.tuning
    what = f"{tuning.model} trained further on {len(fit.sets.train.names):,} captioned pictures."

    def write(folder: Path) -> None:
        fit.learner.write(folder, what)
        _add_notices(folder, tuning.model)
        (folder / "README.md").write_text(card(what, rows, best, tuning), encoding="utf-8")

    checkpoint.replace_folder(request.out / MODEL, write)
    if not interrupted and request.cache is None:
        shutil.rmtree(request.out / "features", ignore_errors=True)
    left_out = len(fit.sets.left_out)
    return Outcome(request.out / MODEL, rows, best, fit.step, fit.order.steps, interrupted, left_out, fit.seconds)


def card(what: str, rows: list[Row], best: Best, tuning: Tuning) -> str:
    """Return the model card in Markdown: what it is, what it measures, how it was made."""
    table = [
        f"| {row.way.replace('_', ' ')} {row.name} "
        f"| {row.before:.1f} ({row.before_95[0]:.1f}-{row.before_95[1]:.1f}) | "
        f"{row.after:.1f} ({row.after_95[0]:.1f}-{row.after_95[1]:.1f}) | {row.difference.p:.4f} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# A model trained further",
            "",
            what,
            "",
            f"Weights of step {best.step}{', averaged' if best.averaged else ''}, chosen by the figures below, which "
            "flatter it a little for that reason. Per cent, with 95 % bootstrap intervals over pictures; p of a paired "
            "randomisation test.",
            "",
            "| recall | before | after | p |",
            "|---|---|---|---|",
            *table,
            "",
            "```toml",
            to_toml(tuning).rstrip(),
            "```",
            "",
        ]
    )


def _add_notices(folder: Path, model: str) -> None:
    """Hand on the licence texts of the model that was begun with."""
    source = _starter_folder(model)
    if source is not None and (source / "LICENSES").is_dir():
        shutil.copytree(source / "LICENSES", folder / "LICENSES")


def _nothing(*_: object) -> None:
    """Say nothing."""
