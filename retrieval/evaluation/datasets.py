"""Captioned pictures for evaluation: a folder, and captions in any of the forms that are in use."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DatasetError
from retrieval.evaluation.bounded import bounded_lines
from retrieval.evaluation.forms import MAX_LINE, Line, checked, csv_lines, folder_lines, karpathy_lines
from retrieval.messages import N_, _, reason_of

Form = Literal["lines", "json", "csv", "folder"]
"""How captions are written: ``image TAB split TAB caption``, Karpathy's JSON, CSV, or a folder of text files."""


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


def read_captions(path: Path, split: str = "test") -> Captions:
    """Read one split of a captions file (UTF-8, a line a caption, empty lines skipped).

    Raises:
        DatasetError: the file cannot be read, a line is not of that form, a picture stands in two splits, or the split
            is empty; the message names the line.
    """
    return gathered(path, _tab_lines(path), split)


def read_any(path: Path, images_dir: Path, split: str, *, most: int | None = None) -> Captions:
    """Read one split of captions in whichever form they are; see ``form_of``.

    Of Karpathy's JSON the first ``most`` captions of each picture are read. CSV and text files that name no split
    belong to ``split``.

    Raises:
        DatasetError: they cannot be read, or the split is empty.
    """
    return gathered(path, lines_of(path, images_dir, split, most=most), split)


def lines_of(path: Path, images_dir: Path, split: str, *, most: int | None = None) -> Iterator[Line]:
    """Yield the captions of all splits in whichever form they are; those that name no split are of ``split``."""
    match form_of(path):
        case "json":
            return karpathy_lines(path, images_dir, most)
        case "csv":
            return csv_lines(path, split)
        case "folder":
            return folder_lines(path, images_dir, split)
        case _:
            return _tab_lines(path)


def form_of(path: Path) -> Form:
    """Tell the form of captions: a folder, or by the first line of the file (a brace, a tab, a comma)."""
    if path.is_dir():
        return "folder"
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE).lstrip(b"\xef\xbb\xbf \r\n")
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give a file of captions").format(path=path, reason=reason_of(error))
        ) from None
    if first.startswith(b"{"):
        return "json"
    return "csv" if b"," in first and b"\t" not in first else "lines"


def gathered(path: Path, lines: Iterable[Line], split: str) -> Captions:
    """Gather the lines of one split.

    Raises:
        DatasetError: a picture stands in two splits, or the split is empty.
    """
    places: dict[str, int] = {}
    homes: dict[str, str] = {}
    captions: list[str] = []
    picture: list[int] = []
    ignored = 0
    for line in lines:
        home = homes.setdefault(line.image, line.split)
        if home != line.split:
            raise DatasetError(
                _(
                    "{path}, {where}: {image!r} is in {home!r} above and in {split!r} here; a picture "
                    "may be in one split only"
                ).format(path=path, where=line.where, image=line.image, home=home, split=line.split)
            )
        if line.split == split:
            picture.append(places.setdefault(line.image, len(places)))
            captions.append(line.caption)
        else:
            ignored += 1
    if not captions:
        known = ", ".join(sorted(set(homes.values()))[:8]) or "none"
        raise DatasetError(
            _("{path} has no line of split {split!r}; its splits are: {known}").format(
                path=path, split=split, known=known
            )
        )
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
        raise DatasetError(
            _("{folder} is no folder; give the folder of the pictures that the captions name").format(folder=folder)
        )
    paths = [folder / name for name in captions.images]
    missing = [name for name, path in zip(captions.images, paths, strict=True) if not path.is_file()]
    if missing:
        more = _(" and {count} more").format(count=len(missing) - 3) if len(missing) > 3 else ""
        raise DatasetError(
            _(
                "{count} of {total} pictures of split {split!r} are missing from {folder}: "
                "{names}{more}; add them or take their lines out"
            ).format(
                count=len(missing),
                total=len(paths),
                split=captions.split,
                folder=folder,
                names=", ".join(map(repr, missing[:3])),
                more=more,
            )
        )
    return paths


def _tab_lines(path: Path) -> Iterator[Line]:
    for number, raw in bounded_lines(path, MAX_LINE, N_("a file of captions")):
        yield _line(path, number, raw)


def _line(path: Path, number: int, raw: bytes) -> Line:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DatasetError(
            _("{path}, line {number}: not UTF-8; save the file as UTF-8").format(path=path, number=number)
        ) from None
    fields = [field.strip() for field in text.split("\t")]
    if len(fields) != 3:
        raise DatasetError(
            _(
                "{path}, line {number}: expected image, split and caption with tabs between, found {count} fields"
            ).format(path=path, number=number, count=len(fields))
        )
    return checked(path, Line(_("line {number}").format(number=number), *fields))
