"""The loop: steps, measurements, checkpoints, and going on as if never stopped."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.errors import DatasetError, OptionError
from retrieval.messages import _
from retrieval.training.finetune import checkpoint
from retrieval.training.finetune.gradcache import Objective, Run, Side, accumulate
from retrieval.training.finetune.learner import MOST_SCALE, Learner, Loaded
from retrieval.training.finetune.measuring import Ranks, rank, recalls
from retrieval.training.finetune.metrics import Metrics
from retrieval.training.finetune.order import Draw, Order, chunk_seed
from retrieval.training.finetune.pairs import Sets
from retrieval.training.finetune.schedule import factor
from retrieval.training.finetune.settings import Tuning
from retrieval.training.finetune.unlocking import optimiser
from retrieval.training.finetune.world import World

IMAGE, TEXT = 0, 1


class Progress(NamedTuple):
    """How far a run has come: ``rate`` counts pictures a second, ``left_s`` is the time the remaining steps take."""

    step: int
    steps: int
    loss: float
    rate: float
    left_s: float


class _Pace:
    """How fast the steps are, whatever measurements take in between."""

    def __init__(self, steps: int, batch: int) -> None:
        self._steps, self._batch = steps, batch
        self._done, self._spent_s = 0, 0.0

    def after(self, step: int, loss: float, spent_s: float) -> Progress:
        """Return how far a run has come, a step of ``spent_s`` later."""
        self._done, self._spent_s = self._done + 1, self._spent_s + spent_s
        rate = self._done * self._batch / max(self._spent_s, 1e-9)
        return Progress(step, self._steps, loss, rate, (self._steps - step) * self._batch / rate)


class Watch(NamedTuple):
    """Who is told of a run: ``note`` gets lines, ``step`` progress, ``report`` what is prepared; ``stop`` ends it."""

    note: Callable[[str], None]
    step: Callable[[Progress], None]
    report: Callable[[str, int, int], None]
    stop: Callable[[], bool]


class Best(NamedTuple):
    """The weights that did best on what is held out: of which step, averaged or not, in which file, with what."""

    step: int
    averaged: bool
    file: str
    mean: float
    ranks: Ranks


class Fit:
    """A run in progress. Every process holds one; the first one measures and writes."""

    def __init__(self, learner: Learner, order: Order, sets: Sets, out: Path, folder: Path) -> None:
        """Set up optimiser and averages; ``out`` is the run's folder, ``folder`` that of the pictures."""
        self.learner, self.order, self.sets, self.out, self.folder = learner, order, sets, out, folder
        self.tuning: Tuning = learner.tuning
        self.adam = optimiser(learner.groups, self.tuning.decay)
        self.learnt = learner.learnt()
        self.averaged = {name: value.detach().clone() for name, value in self.learnt.items()}
        self.scaler = torch.amp.GradScaler("cuda", enabled=learner.precision == torch.float16)
        self.step, self.waited, self.seconds = 0, 0, 0.0
        self.before: Ranks | None = None
        self.best: Best | None = None

    def run(self, world: World, watch: Watch, describe: Mapping[str, Any]) -> bool:
        """Learn to the end, or until it no longer helps, or until told to stop; returned is whether it was told to.

        ``describe`` is what the checkpoint says of the run besides its state.
        """
        fresh = self.best is None
        metrics = Metrics(self.out, -1 if fresh else self.step) if world.first else None
        began_s, before_s = time.monotonic(), self.seconds
        pace = _Pace(self.order.steps, self.tuning.batch)
        try:
            if fresh:
                self._measure(world, watch, metrics)
                self._save(metrics, describe)
            with self._reading(world) as read:
                while self.step < self.order.steps and self.waited < self.tuning.patience:
                    if world.any(watch.stop()):
                        self._save(metrics, describe)
                        return True
                    step_began_s = time.monotonic()
                    loss = self._advance(read(self.step), world, metrics)
                    self.seconds = before_s + time.monotonic() - began_s
                    watch.step(pace.after(self.step, loss, time.monotonic() - step_began_s))
                    if self._due(self.tuning.every or self.order.per_epoch) or self.step == self.order.steps:
                        self._measure(world, watch, metrics)
                        self._save(metrics, describe)
                    elif self.tuning.save_every and self._due(self.tuning.save_every):
                        self._save(metrics, describe)
        finally:
            if metrics:
                metrics.close()
        return False

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a checkpoint.

        Raises:
            DatasetError: it is of another model.
        """
        try:
            with torch.no_grad():
                for name, value in self.learnt.items():
                    value.copy_(state["weights"][name])
                    self.averaged[name].copy_(state["averaged"][name])
                for name, kept in self.learner.kept().items():
                    kept.copy_(state["kept"][name])
            self.adam.load_state_dict(state["optimiser"])
        except (KeyError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise DatasetError(
                _("the checkpoint in {run} is of another model ({reason:.80}); begin again").format(
                    run=self.out, reason=said
                )
            ) from None
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.waited, self.seconds = state["step"], state["waited"], state["seconds"]
        self.before = _ranks(state["before"])
        best = state["best"]
        self.best = Best(best["step"], best["averaged"], best["file"], best["mean"], _ranks(best["ranks"]))

    def load_best(self) -> Best:
        """Put the weights that did best into the model."""
        assert self.best is not None
        found = checkpoint.load_best(self.out, self.best.file)
        with torch.no_grad():
            for name, value in self.learnt.items():
                value.copy_(found[name])
        return self.best

    def _due(self, every: int) -> bool:
        return self.step % every == 0

    def _advance(self, drawn: tuple[Sequence[Draw], Loaded], world: World, metrics: Metrics | None) -> float:
        """Take one step; returned is its loss."""
        draws, loaded = drawn
        self.learner.refresh(self.step)
        self.learner.train()
        share = factor(self.step, self.order.steps, self.tuning.warm_up)
        for group in self.adam.param_groups:
            group["lr"] = group["peak"] * share
        self.adam.zero_grad(set_to_none=True)
        right = self.order.positives(draws)
        objective = Objective(lambda p, t: self.learner.loss(p, t, right), self.scaler.scale)
        loss = accumulate(self._side(loaded, IMAGE, world), self._side(loaded, TEXT, world), objective, world)
        world.sum_gradients(self.learner.tower_parameters())
        self.scaler.unscale_(self.adam)
        norm = nn.utils.clip_grad_norm_(self.learnt.values(), self.tuning.clip_norm or math.inf)
        if not self.scaler.is_enabled() and not math.isfinite(float(norm)):
            raise OptionError(
                _("step {step}: the loss is no number any more; use lower rates").format(step=self.step + 1)
            )
        self.scaler.step(self.adam)
        self.scaler.update()
        self.step += 1
        self._average()
        value = float(loss)
        if metrics:
            metrics.add(self._line(value, float(norm)))
        return value

    def _side(self, loaded: Loaded, tower: int, world: World) -> Side:
        """Divide this process's share to chunks, each with its own seed for what is dropped out."""
        own = self.tuning.batch // world.size
        rows = min(self.tuning.chunk or own, own)
        count = math.ceil(own / rows)

        def run(chunk: int) -> Run:
            torch.manual_seed(chunk_seed(self.tuning, self.step, world.rank * count + chunk, tower))
            if tower == IMAGE:
                return self.learner.pictures(loaded, slice(chunk * rows, min(own, (chunk + 1) * rows)))
            each = self.tuning.captions
            return self.learner.texts(loaded, slice(chunk * rows * each, min(own, (chunk + 1) * rows) * each))

        return Side(run, count)

    @contextmanager
    def _reading(self, world: World) -> Iterator[Callable[[int], tuple[Sequence[Draw], Loaded]]]:
        """Yield what reads a step's data, one step ahead of its use."""
        with ThreadPoolExecutor(1) as pool:
            ahead: dict[int, tuple[Sequence[Draw], Future[Loaded]]] = {}

            def begin(step: int) -> None:
                if step < self.order.steps and step not in ahead:
                    draws = self.order.draws(step)
                    ahead[step] = draws, pool.submit(self.learner.load, world.share(draws))

            def read(step: int) -> tuple[Sequence[Draw], Loaded]:
                begin(step)
                begin(step + 1)
                draws, future = ahead.pop(step)
                return draws, future.result()

            yield read

    @torch.no_grad()
    def _average(self) -> None:
        """Move the running average of the weights (Polyak and Juditsky, 1992), faster in the first steps."""
        weight = min(self.tuning.average, (1 + self.step) / (10 + self.step))
        for name, value in self.learnt.items():
            self.averaged[name].lerp_(value, 1 - weight)

    def _measure(self, world: World, watch: Watch, metrics: Metrics | None) -> None:
        """Measure on what is held out, note the best, and tell all processes whether it still helps."""
        waited = float(self.waited)
        if metrics:
            found = [(False, self._ranked())]
            if self.tuning.average and self.step:
                with self._swapped():
                    found.append((True, self._ranked()))
            averaged, ranks = max(found, key=lambda one: one[1].figures()["mean"])
            better = self.best is None or ranks.figures()["mean"] > self.best.mean
            self._note(found, metrics)
            said = _("step {step:,}: {recalls}, the best so far") if better else _("step {step:,}: {recalls}")
            watch.note(said.format(step=self.step, recalls=recalls(ranks.figures())))
            if better:
                self._keep(averaged, ranks)
            waited = 0.0 if better else waited + 1
        self.waited = int(world.told(waited))

    def _note(self, found: Sequence[tuple[bool, Ranks]], metrics: Metrics) -> None:
        line: dict[str, Any] = {"step": self.step}
        for averaged, ranks in found:
            line["averaged" if averaged else "dev"] = ranks.figures()
        metrics.add(line | {"seconds": round(self.seconds, 3)})

    def _keep(self, averaged: bool, ranks: Ranks) -> None:
        """Write the weights at hand, or their averages, as the best so far."""
        weights: Mapping[str, Tensor] = self.averaged if averaged else self.learnt
        if self.before is None:
            self.before = ranks
        file = checkpoint.save_best(self.out, self.step, weights)
        self.best = Best(self.step, averaged, file, ranks.figures()["mean"], ranks)

    def _ranked(self) -> Ranks:
        return rank(*self.learner.vectors(self.folder, self.sets.dev), self.sets.dev)

    @contextmanager
    def _swapped(self) -> Iterator[None]:
        """Put the averages in the place of the weights for a while."""
        own = {name: value.detach().clone() for name, value in self.learnt.items()}
        with torch.no_grad():
            for name, value in self.learnt.items():
                value.copy_(self.averaged[name])
            try:
                yield
            finally:
                for name, value in self.learnt.items():
                    value.copy_(own[name])

    def _save(self, metrics: Metrics | None, describe: Mapping[str, Any]) -> None:
        if metrics is None:
            return
        assert self.best is not None
        assert self.before is not None
        metrics.sync()
        state = {
            "step": self.step,
            "waited": self.waited,
            "seconds": self.seconds,
            "weights": {name: value.detach() for name, value in self.learnt.items()},
            "averaged": self.averaged,
            "kept": self.learner.kept(),
            "optimiser": self.adam.state_dict(),
            "scaler": self.scaler.state_dict(),
            "before": _tensors(self.before),
            "best": {**self.best._asdict(), "ranks": _tensors(self.best.ranks)},
        }
        checkpoint.save(self.out, {**state, **describe})

    def _line(self, loss: float, norm: float) -> dict[str, Any]:
        rates = {group["name"]: group["lr"] for group in self.adam.param_groups}
        scale = min(MOST_SCALE, float(self.learner.log_scale.detach().exp()))
        epoch = math.ceil(self.step / self.order.per_epoch)
        return {
            "step": self.step,
            "epoch": epoch,
            "loss": loss,
            "rates": rates,
            "scale": scale,
            "norm": norm,
            "seconds": round(self.seconds, 3),
        }


def _ranks(tensors: Sequence[Tensor]) -> Ranks:
    return Ranks(*(np.asarray(one.numpy(), np.int64) for one in tensors))


def _tensors(ranks: Ranks) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(one)) for one in ranks]
