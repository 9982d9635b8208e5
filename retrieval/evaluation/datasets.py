"""Captioned pictures for evaluation: a folder, and lines of ``image TAB split TAB caption``."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DatasetError

_MAX_LINE = 100_000


class Captions(NamedTuple):
    """One split: names of the pictures, the captions, and to which picture each caption belongs.

    ``images`` are relative to the folder, in the order of their first line; ``picture`` is ``(m,) int64``, the place of
    each caption's picture in ``images``. ``ignored`` counts the lines of other splits, ``repeated`` those that say the
    same of the same picture again (they are kept: a dataset may count them).
    """

    split: str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    picture: NDArray[np.int64]
    ignored: int
    repeated: int


class _Line(NamedTuple):
    number: int
    image: str
    split: str
    caption: str


def read_captions(path: Path, split: str = "test") -> Captions:
    """Read one split of a captions file (UTF-8, a line a caption, empty lines skipped).

    Raises:
        DatasetError: the file cannot be read, a line is not of that form, a picture stands in two splits, or the split
            is empty; the message names the line.
    """
    places: dict[str, int] = {}
    homes: dict[str, str] = {}
    captions: list[str] = []
    picture: list[int] = []
    ignored = 0
    for line in _lines(path):
        home = homes.setdefault(line.image, line.split)
        if home != line.split:
            raise DatasetError(
                f"{path}, line {line.number}: {line.image!r} is in {home!r} above and in {line.split!r} here; "
                "a picture may be in one split only"
            )
        if line.split == split:
            picture.append(places.setdefault(line.image, len(places)))
            captions.append(line.caption)
        else:
            ignored += 1
    if not captions:
        known = ", ".join(sorted(set(homes.values()))[:8]) or "none"
        raise DatasetError(f"{path} has no line of split {split!r}; its splits are: {known}")
    return Captions(
        split,
        tuple(places),
        tuple(captions),
        np.array(picture, dtype=np.int64),
        ignored,
        len(captions) - len(set(zip(picture, captions, strict=True))),
    )


def picture_paths(folder: Path, captions: Captions) -> list[Path]:
    """Return where each picture of ``captions.images`` is.

    Raises:
        DatasetError: the folder or a picture in it is missing; the message names the first ones.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; give the folder of the pictures that the captions name")
    paths = [folder / name for name in captions.images]
    missing = [name for name, path in zip(captions.images, paths, strict=True) if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatasetError(
            f"{len(missing)} of {len(paths)} pictures of split {captions.split!r} are missing from {folder}: "
            f"{', '.join(map(repr, missing[:3]))}{more}; add them or take their lines out"
        )
    return paths


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open("rb") as file:
            for number in range(1, 2**63):
                raw = file.readline(_MAX_LINE)
                if not raw:
                    return
                if raw.strip():
                    yield _line(path, number, raw)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); give a file of captions") from None


def _line(path: Path, number: int, raw: bytes) -> _Line:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DatasetError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from None
    if len(raw) >= _MAX_LINE:
        raise DatasetError(f"{path}, line {number}: longer than {_MAX_LINE:,} bytes; is this a captions file?")
    fields = [field.strip() for field in text.split("\t")]
    if len(fields) != 3:
        raise DatasetError(
            f"{path}, line {number}: expected image, split and caption with tabs between, found {len(fields)} fields"
        )
    if not all(fields):
        empty = ("image", "split", "caption")[fields.index("")]
        raise DatasetError(f"{path}, line {number}: the {empty} is empty; fill it in or take the line out")
    name = PurePosixPath(fields[0])
    if name.is_absolute() or ".." in name.parts:
        raise DatasetError(f"{path}, line {number}: {fields[0]!r} leaves the folder; name pictures relative to it")
    return _Line(number, *fields)
