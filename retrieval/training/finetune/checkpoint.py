"""Checkpoints that are whole at every moment: written beside, synced, renamed; read without running any code."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retrieval.errors import DatasetError
from retrieval.messages import _
from retrieval.store.durable import replace, sync_folder

FORMAT = 1
NAME = "checkpoint.pt"
_BEST = "best-{:08d}.safetensors"


def save(run: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint of a run by ``state``: tensors, numbers, text, and lists and dicts of those."""
    replace(run / NAME, lambda file: torch.save({"format": FORMAT, **state}, file))
    kept = str(state["best"]["file"])
    for path in run.glob("best-*.safetensors"):
        if path.name != kept:
            path.unlink(missing_ok=True)


def load(run: Path) -> dict[str, Any]:
    """Read the checkpoint of a run.

    Raises:
        DatasetError: there is none, it is damaged, or of another version.
    """
    path = run / NAME
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DatasetError(
            _("{run} holds no run to go on with; leave out --resume to begin one").format(run=run)
        ) from None
    except Exception as error:  # torch's errors share no base
        said = " ".join(str(error).split())
        raise DatasetError(
            _("{path} cannot be read ({reason:.80}); begin again in another folder").format(path=path, reason=said)
        ) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DatasetError(
            _("{path} is of another version of sightseek; go on with that one, or begin again").format(path=path)
        )
    return found


def save_best(run: Path, step: int, weights: Mapping[str, Tensor]) -> str:
    """Write the weights that did best so far to a file of their own, and return its name.

    The file the checkpoint names is not touched before the next checkpoint is in place.
    """
    from safetensors.torch import save as to_bytes

    name = _BEST.format(step)
    content = to_bytes({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    replace(run / name, lambda file: file.write(content))
    return name


def load_best(run: Path, name: str) -> dict[str, Tensor]:
    """Read what :func:`save_best` wrote.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    from safetensors.torch import load_file

    try:
        return dict(load_file(run / Path(name).name))
    except Exception as error:  # safetensors' errors share no base
        said = " ".join(str(error).split())
        raise DatasetError(
            _("{run} cannot be read ({reason:.80}); begin again in another folder").format(run=run / name, reason=said)
        ) from None


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a new folder beside ``folder``, then put it in its place.

    Stopped in between, the old one stays under its name or as ``NAME.old``, from where it is brought back.
    """
    fresh, old = (folder.with_name(f"{folder.name}.{word}") for word in ("new", "old"))
    if old.is_dir() and not folder.exists():
        old.rename(folder)
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        write(fresh)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(fresh, ignore_errors=True)
            if old.is_dir() and not folder.exists():
                old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    sync_folder(folder.parent)
