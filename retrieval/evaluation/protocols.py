"""The protocols that figures are compared under, as frozen rows of data: which split, how many, how it is read."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import DatasetError, OptionError
from retrieval.evaluation.datasets import Captions, Form, form_of, picture_paths, read_any, read_captions
from retrieval.evaluation.forms import by_stem, one_of
from retrieval.messages import N_, _, retold


class Protocol(NamedTuple):
    """One protocol.

    ``images`` and ``captions`` are how many its ``split`` has, ``None`` where any number will do. ``folds`` parts of
    equal size, in the order of the file, are measured each with its own gallery and averaged. ``most`` captions of a
    picture are read, the first ones (``None``: all). ``forms`` are those that captions may come in; ``stems`` says that
    names lack their suffix. ``source`` says who fixed it.
    """

    name: str
    title: str
    forms: tuple[Form, ...]
    split: str = "test"
    images: int | None = None
    captions: int | None = None
    folds: int = 1
    most: int | None = None
    stems: bool = False
    source: str = ""


_KARPATHY = "Karpathy and Fei-Fei, CVPR 2015"
LINES = Protocol("lines", "captioned pictures", ("lines",))
"""The plain call: any split of a file of ``image TAB split TAB caption``."""
PROTOCOLS = (
    Protocol("captions", "captioned pictures", ("lines", "csv", "json", "folder")),
    Protocol(
        "flickr8k", "Flickr8k", ("lines", "json"), images=1000, captions=5000,
        source="Hodosh, Young and Hockenmaier, JAIR 2013",
    ),
    Protocol("flickr30k", "Flickr30k", ("json", "lines"), images=1000, captions=5000, most=5, source=_KARPATHY),
    Protocol("coco-1k", "COCO 1K", ("json",), images=5000, captions=25_000, folds=5, most=5, source=_KARPATHY),
    Protocol("coco-5k", "COCO 5K", ("json",), images=5000, captions=25_000, most=5, source=_KARPATHY),
    Protocol(
        "msrvtt-1ka", "MSR-VTT 1k-A", ("csv",), images=1000, captions=1000, stems=True,
        source="Yu, Kim and Kim, ECCV 2018",
    ),
)  # fmt: skip
_FORM_NAMES: dict[Form, str] = {
    "lines": N_("lines of image TAB split TAB caption"),
    "json": N_("Karpathy's JSON"),
    "csv": N_("CSV with named columns"),
    "folder": N_("a folder of text files"),
}


class Dataset(NamedTuple):
    """Captioned pictures ready to be measured.

    ``paths`` are those of ``captions.images``, ``digest`` is the SHA-256 (hex) of the captions as they stand on disk,
    ``notes`` say in a line each what is not as the protocol wants it.
    """

    protocol: Protocol
    folder: Path
    captions: Captions
    paths: tuple[Path, ...]
    digest: str
    notes: tuple[str, ...]

    @property
    def folds(self) -> int:
        """In how many parts the pictures are measured."""
        return self.protocol.folds


def protocol_named(name: str) -> Protocol:
    """Return a protocol.

    Raises:
        OptionError: there is none of that name.
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise OptionError(
        _("protocol {name!r} is not known; use {names}").format(
            name=name, names=", ".join(protocol.name for protocol in PROTOCOLS)
        )
    )


def open_dataset(
    protocol: Protocol, images_dir: Path, captions: Path, split: str | None = None, *, strict: bool = False
) -> Dataset:
    """Read captions as a protocol wants and find their pictures.

    Raises:
        DatasetError: they cannot be read or a picture is missing; with ``strict`` also when the split or the counts are
            not those of the protocol, which is a note otherwise.
    """
    chosen = split or protocol.split
    if protocol is LINES:
        read = read_captions(captions, chosen)
    else:
        form = form_of(captions)
        if form not in protocol.forms:
            wanted = _(" or ").join(retold(_FORM_NAMES[one]) for one in protocol.forms)
            raise DatasetError(
                _("{captions} looks like {form}; protocol {name} reads {wanted}").format(
                    captions=captions, form=retold(_FORM_NAMES[form]), name=protocol.name, wanted=wanted
                )
            )
        read = read_any(captions, images_dir, chosen, most=protocol.most)
    if protocol.stems:
        read = _with_suffixes(read, images_dir)
    notes = _departures(protocol, read)
    if notes and strict:
        raise DatasetError(_("{reason}; give the whole dataset, or leave --strict out").format(reason=retold(notes[0])))
    if len(read.images) < protocol.folds:
        raise DatasetError(
            _("{captions} has {count} pictures, too few for {folds} folds").format(
                captions=captions, count=len(read.images), folds=protocol.folds
            )
        )
    paths = picture_paths(images_dir, read)
    return Dataset(protocol, images_dir, read, tuple(paths), _digest(captions), notes)


def _departures(protocol: Protocol, read: Captions) -> tuple[str, ...]:
    """Say in what the data differ from what published figures were measured on."""
    if protocol.images is None:
        return ()
    if read.split != protocol.split:
        said = N_(
            "protocol {name} is measured on split {wanted!r}, this is {split!r}; figures are not comparable with "
            "published ones"
        )
        return (said.format(name=protocol.name, wanted=protocol.split, split=read.split),)
    found = (len(read.images), len(read.captions))
    if found != (protocol.images, protocol.captions):
        said = N_(
            "protocol {name} has {images:,} pictures and {captions:,} captions, this has {found_images:,} and "
            "{found_captions:,}; figures are not comparable with published ones"
        )
        wanted = {"name": protocol.name, "images": protocol.images, "captions": protocol.captions}
        return (said.format(**wanted, found_images=found[0], found_captions=found[1]),)
    return ()


def _with_suffixes(read: Captions, folder: Path) -> Captions:
    """Put to each name the suffix that its file has."""
    files = by_stem(folder)
    if not files:
        raise DatasetError(
            _("{folder} is no folder of videos; give the folder of the videos that the captions name").format(
                folder=folder
            )
        )
    return read._replace(images=tuple(one_of(files, name, folder) for name in read.images))


def _digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, or of the names and contents of a folder's text files."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = hashlib.sha256()
    for text in sorted(path.glob("*.txt")):
        found.update(text.name.encode(errors="surrogateescape") + b"\0" + text.read_bytes() + b"\0")
    return found.hexdigest()
