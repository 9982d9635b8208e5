"""The forms that captions come in besides our own lines: Karpathy's JSON, CSV, and a folder of text files.

Each reader yields ``Line``: a picture by its name in the folder of pictures, its split, and one caption of it.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TextIO

from retrieval.errors import DatasetError
from retrieval.media.suffixes import MEDIA_SUFFIXES
from retrieval.messages import _, reason_of

MAX_JSON_BYTES = 1 << 30
MAX_TEXT_BYTES = 1 << 20
MAX_LINE = 100_000
_KEPT = ("images", "filename", "filepath", "split", "sentences", "raw", "captions", "image", "caption")
_IMAGE_COLUMNS = ("image", "image_name", "filename", "file", "filepath", "video_id")
_CAPTION_COLUMNS = ("caption", "sentence", "title", "text", "raw")


class Line(NamedTuple):
    """One caption of one picture; ``where`` says in which line or row of the file it stands."""

    where: str
    image: str
    split: str
    caption: str


def checked(path: Path, line: Line) -> Line:
    """Return the line if it can be used.

    Raises:
        DatasetError: a part is empty, or the picture's name leaves the folder.
    """
    for name, value in (("image", line.image), ("split", line.split), ("caption", line.caption)):
        if not value:
            raise DatasetError(
                _("{path}, {where}: the {name} is empty; fill it in or take the line out").format(
                    path=path, where=line.where, name=name
                )
            )
    if PurePosixPath(line.image).is_absolute() or ".." in PurePosixPath(line.image).parts:
        raise DatasetError(
            _("{path}, {where}: {image!r} leaves the folder; name pictures relative to it").format(
                path=path, where=line.where, image=line.image
            )
        )
    return line


def karpathy_lines(path: Path, folder: Path, most: int | None = None) -> Iterator[Line]:
    """Read ``{"images": [{"filename", "split", "sentences": [{"raw"}]}]}`` (Karpathy and Fei-Fei, CVPR 2015).

    A picture's ``filepath`` (COCO's ``val2014``) is part of its name where ``folder`` has such a folder. Of each
    picture the first ``most`` sentences are read. What else the file holds, the tokens above all, is dropped while it
    is read.

    Raises:
        DatasetError: the file is of another form, or too large.
    """
    images = _json(path)
    below: dict[str, bool] = {}
    for number, image in enumerate(images, 1):
        where = _("picture {number}").format(number=number)
        try:
            name, split, sentences = str(image["filename"]), str(image["split"]), image["sentences"]
            raws = [" ".join(str(sentence["raw"]).split()) for sentence in sentences[:most]]
        except (KeyError, TypeError):
            raise DatasetError(
                _("{path}, {where}: expected filename, split and sentences with raw; is this Karpathy's JSON?").format(
                    path=path, where=where
                )
            ) from None
        parent = str(image.get("filepath") or "")
        if parent and below.setdefault(parent, ".." not in parent and (folder / parent).is_dir()):
            name = f"{parent}/{name}"
        for raw in raws:
            yield checked(path, Line(where, name, split, raw))


def csv_lines(path: Path, split: str) -> Iterator[Line]:
    """Read a CSV file whose first row names its columns.

    One is the picture's (``image``, ``filename``, ``file`` or MSR-VTT's ``video_id``, a name without its suffix), one
    the caption's (``caption``, ``sentence``, ``title`` or ``text``); a column ``split`` may stand beside them, without
    it all rows are of ``split``.

    Raises:
        DatasetError: the file cannot be read, a column or a cell is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(_bounded(path, file))
            names = [name.strip().lower() for name in next(rows, [])]
            image, caption = _column(path, names, _IMAGE_COLUMNS), _column(path, names, _CAPTION_COLUMNS)
            home = names.index("split") if "split" in names else None
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                where = _("line {number}").format(number=rows.line_num)
                if len(row) < len(names):
                    raise DatasetError(
                        _("{path}, {where}: {count} cells where the first row names {wanted}").format(
                            path=path, where=where, count=len(row), wanted=len(names)
                        )
                    )
                text = " ".join(row[caption].split())
                yield checked(path, Line(where, row[image].strip(), split if home is None else row[home].strip(), text))
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give a file of captions").format(path=path, reason=reason_of(error))
        ) from None
    except UnicodeDecodeError:
        raise DatasetError(_("{path}: not UTF-8; save the file as UTF-8").format(path=path)) from None
    except csv.Error as error:
        raise DatasetError(
            _("{path}: no CSV that can be read ({reason}); check its quotes").format(path=path, reason=error)
        ) from None


def folder_lines(texts: Path, images: Path, split: str) -> Iterator[Line]:
    """Read a folder of text files: each line of ``dog.txt`` is a caption of the picture ``dog.*`` in ``images``.

    Raises:
        DatasetError: a text file has no picture or two, is too large, or cannot be read.
    """
    pictures = by_stem(images)
    try:
        for path in sorted(texts.glob("*.txt")):
            with path.open("rb") as file:
                raw = file.read(MAX_TEXT_BYTES + 1)
            if len(raw) > MAX_TEXT_BYTES:
                raise DatasetError(
                    _("{path} is larger than {most:,} bytes; is this a file of captions?").format(
                        path=path, most=MAX_TEXT_BYTES
                    )
                )
            name = one_of(pictures, path.stem, images)
            for number, line in enumerate(raw.decode("utf-8-sig").splitlines(), 1):
                if line.strip():
                    yield checked(
                        path, Line(_("line {number}").format(number=number), name, split, " ".join(line.split()))
                    )
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give a folder of text files").format(
                path=texts, reason=reason_of(error)
            )
        ) from None
    except UnicodeDecodeError:
        raise DatasetError(_("{path}: a text file is not UTF-8; save it as UTF-8").format(path=texts)) from None


def by_stem(folder: Path) -> Mapping[str, list[str]]:
    """Return the names of the media files of a folder by their name without suffix; none if it is no folder."""
    found: dict[str, list[str]] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in MEDIA_SUFFIXES:
                found.setdefault(path.stem, []).append(path.name)
    return found


def one_of(files: Mapping[str, list[str]], stem: str, folder: Path) -> str:
    """Return the one media file of that name.

    Raises:
        DatasetError: there is none, or more than one.
    """
    names = files.get(stem, [])
    if len(names) != 1:
        if names:
            said = _("{folder} has both {name} and {other}; captions need exactly one file of that name")
            raise DatasetError(said.format(folder=folder, name=names[0], other=names[1]))
        said = _("{folder} has no picture or video named {name}; captions need exactly one file of that name")
        raise DatasetError(said.format(folder=folder, name=stem))
    return names[0]


def _json(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_JSON_BYTES + 1)
        if len(raw) > MAX_JSON_BYTES:
            raise DatasetError(
                _("{path} is larger than {most:,} bytes; is this a captions file?").format(
                    path=path, most=MAX_JSON_BYTES
                )
            )
        text = raw.decode("utf-8-sig")
        del raw
        data = json.loads(text, object_hook=lambda one: {key: one[key] for key in _KEPT if key in one})
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give a file of captions").format(path=path, reason=reason_of(error))
        ) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            _("{path} is no JSON that can be read ({reason}); give Karpathy's JSON").format(path=path, reason=error)
        ) from None
    images = data.get("images") if isinstance(data, dict) else None
    if not isinstance(images, list):
        raise DatasetError(_('{path} has no list "images"; give JSON of Karpathy\'s form').format(path=path))
    return images


def _column(path: Path, names: list[str], wanted: tuple[str, ...]) -> int:
    for name in wanted:
        if name in names:
            return names.index(name)
    raise DatasetError(
        _("{path}, line 1: none of its columns is named {names}; name them in the first row").format(
            path=path, names=" or ".join(wanted)
        )
    )


def _bounded(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), ""), 1):
        if len(line) > MAX_LINE:
            raise DatasetError(
                _("{path}, line {number}: longer than {most:,} characters; is this a captions file?").format(
                    path=path, number=number, most=MAX_LINE
                )
            )
        yield line
