"""Weak supervision by class names: what a folder or a column calls a picture becomes a caption of it."""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import form_of
from retrieval.evaluation.forms import MAX_LINE, Line
from retrieval.media.suffixes import IMAGE_SUFFIXES
from retrieval.messages import _, reason_of
from retrieval.training.sources import prompt

MOST_NAMES = 1_000_000
_COLUMNS = ("image", "image_name", "filename", "file", "filepath")


def read_names(path: Path) -> dict[str, list[str]]:
    """Read a file of class names: a line a class, ``label TAB name, another name``, or just the name.

    Raises:
        DatasetError: the file cannot be read, or names nothing.
    """
    found: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if len(line) > MAX_LINE or number > MOST_NAMES:
                    raise DatasetError(
                        _("{path}, line {number}: too long; is this a file of class names?").format(
                            path=path, number=number
                        )
                    )
                label, tab, names = line.strip().partition("\t")
                if label:
                    found[label] = [name.strip() for name in (names if tab else label).split(",") if name.strip()]
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give a file of class names").format(path=path, reason=reason_of(error))
        ) from None
    except UnicodeDecodeError:
        raise DatasetError(_("{path}: not UTF-8; save the file as UTF-8").format(path=path)) from None
    if not any(found.values()):
        raise DatasetError(_("{path} names no class; write a line a class: label, a tab, its name").format(path=path))
    return found


def class_lines(path: Path, pictures: Path, captions: Path) -> Iterator[Line]:
    """Yield ``a photo of a NAME`` for every picture whose label is in the file of class names.

    A label is what a CSV of captions has in its column ``label``; without that column, the name of the folder below
    ``pictures`` that a picture is in.

    Raises:
        DatasetError: the file cannot be read, or no picture has one of its labels.
    """
    names = read_names(path)
    labels = _column(captions) or dict(_folders(pictures, names))
    count = 0
    for image, label in labels.items():
        for name in names.get(label, ()):
            count += 1
            yield Line("", image, "", prompt(name))
    if not count:
        raise DatasetError(
            _(
                "no picture has a label that {path} names; labels are names of folders in "
                "{pictures}, or a column `label`"
            ).format(path=path, pictures=pictures)
        )


def _column(captions: Path) -> dict[str, str]:
    """Return the labels of pictures in a CSV; empty without such a column."""
    if captions.is_dir() or form_of(captions) != "csv":
        return {}
    with captions.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        head = [name.strip().lower() for name in next(rows, [])]
        image = next((head.index(name) for name in _COLUMNS if name in head), None)
        if "label" not in head or image is None:
            return {}
        place = head.index("label")
        return {row[image].strip(): row[place].strip() for row in rows if len(row) == len(head)}


def _folders(pictures: Path, names: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each picture below a folder that is named as a class, in a fixed order; links are not followed."""
    for folder, below, files in os.walk(pictures):
        below.sort()
        label = Path(folder).name
        if label not in names or Path(folder) == pictures:
            continue
        for file in sorted(files):
            if Path(file).suffix.lower() in IMAGE_SUFFIXES:
                yield (Path(folder) / file).relative_to(pictures).as_posix(), label
