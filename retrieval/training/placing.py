"""Puts a model folder in place whole or not at all: written beside it, and renamed when it is finished."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import ModelError
from retrieval.messages import _, reason_of


def check_place(out: Path, force: bool) -> None:
    """Refuse a place where something else is, before any work is done.

    Raises:
        ModelError: `out` is there (with `force`: and is no model folder).
    """
    if out.is_dir() and not out.is_symlink():
        if not any(out.iterdir()):
            return
        if not force:
            raise ModelError(
                _("{out} is there already; name another folder, or replace it with --force").format(out=out)
            )
        if not (out / "model.json").is_file():
            raise ModelError(
                _("{out} holds other things than a model and is not replaced; name another folder").format(out=out)
            )
    elif out.exists() or out.is_symlink():
        raise ModelError(_("{out} is not a folder; name another place").format(out=out))


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Give a new folder on the same disk, gone afterwards if it was not renamed.

    Raises:
        ModelError: there is no room, or no right to write.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise ModelError(
            _("{out} cannot be written ({reason}); name another place").format(out=out, reason=reason_of(error))
        ) from None
    try:
        yield folder
    except OSError as error:
        raise ModelError(
            _("{out} cannot be written ({reason}); make room or name another place").format(
                out=out, reason=reason_of(error)
            )
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap(made: Path, out: Path) -> None:
    """Put the finished folder in place of what is there."""
    umask = os.umask(0)
    os.umask(umask)
    made.chmod(0o777 & ~umask)
    if out.is_dir():
        old = made.with_name(f"{made.name}.old")
        out.rename(old)
        try:
            made.rename(out)
        except OSError:
            old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.rename(out)
