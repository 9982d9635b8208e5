"""Pictures with their captions, in whatever form, split into what is learnt from and what a run is chosen by."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import lines_of
from retrieval.evaluation.forms import Line
from retrieval.messages import N_, _
from retrieval.training.finetune.settings import Tuning

IntArray = npt.NDArray[np.int64]
DEV_NAMES = ("dev", "val", "validation")
MOST_CAPTIONS = 50_000_000
_RESTVAL = "restval"
"""Karpathy's name for pictures of COCO's validation set that are trained on."""


class Pairs(NamedTuple):
    """``n`` pictures with ``m`` captions: ``names`` are relative to the folder of pictures, ``captions[j]`` describes
    picture ``owner[j]``.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    owner: IntArray

    def of_each(self) -> list[list[int]]:
        """Return the places of each picture's captions."""
        found: list[list[int]] = [[] for _ in self.names]
        for place, picture in enumerate(self.owner):
            found[int(picture)].append(place)
        return found

    def digest(self) -> str:
        """Return the SHA-256 (hex) of names, captions and who belongs to whom."""
        whole = json.dumps([self.names, self.captions, self.owner.tolist()], ensure_ascii=False)
        return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()


class Sets(NamedTuple):
    """What is learnt from, what is held out for choosing, and the pictures left out with the reason of each."""

    train: Pairs
    dev: Pairs
    left_out: dict[str, str]

    def without(self, failed: Mapping[str, str]) -> "Sets":
        """Return the sets without the pictures that ``failed`` names."""
        return Sets(_without(self.train, failed), _without(self.dev, failed), {**self.left_out, **failed})


def read_sets(pictures: Path, captions: Path, tuning: Tuning, extra: Iterable[Line] = ()) -> Sets:
    """Read captions in any form, and split them.

    Pictures of ``train_split`` are learnt from. Those of ``dev_split`` are held out; when there are none, ``dev_share``
    of the others is, by a hash of the name, so that a picture stays where it is when others are added. Other splits are
    not looked at. ``extra`` are pairs besides the captions; only those of pictures to learn from are taken.

    Raises:
        DatasetError: the captions cannot be read, a picture stands in two splits, or nothing is left.
    """
    if not pictures.is_dir():
        raise DatasetError(
            _("{folder} is no folder; give the folder of the pictures that the captions name").format(pictures=pictures)
        )
    homes: dict[str, str] = {}
    lines = list(_kept(captions, lines_of(captions, pictures, tuning.train_split), tuning, homes))
    if not lines:
        known = ", ".join(sorted(set(homes.values()))[:8]) or _("none")
        raise DatasetError(
            _("no pairs found: {captions} has no line of split {split!r}; its splits are: {known}").format(
                captions=captions, split=tuning.train_split, known=known
            )
        )
    held = _held(homes, tuning)
    own = tuning.train_split
    lines += [line for line in extra if homes.get(line.image, own) == own and line.image not in held]
    missing = {name: N_("no such file") for name in {line.image for line in lines} if not (pictures / name).is_file()}
    there = [line for line in lines if line.image not in missing]
    if not there:
        raise DatasetError(
            _(
                "captions of no picture: none of the {count} pictures that {captions} names is in "
                "{pictures} (the first: {image}); give the folder they are in"
            ).format(count=len(missing), captions=captions, pictures=pictures, image=lines[0].image)
        )
    train = gathered(line for line in there if line.image not in held and homes.get(line.image, own) == own)
    return checked(Sets(train, gathered(line for line in there if line.image in held), missing))


def checked(sets: Sets) -> Sets:
    """Return the sets if both are of use.

    Raises:
        DatasetError: one of them is empty.
    """
    if not sets.train.names:
        raise DatasetError(_("no pairs found to learn from; give more captions, or hold out fewer (--dev-share)"))
    if not sets.dev.names:
        raise DatasetError(_("no pairs found to choose by; name their split with --dev-split, or raise --dev-share"))
    return sets


def gathered(lines: Iterable[Line]) -> Pairs:
    """Return lines as pairs, pictures in the order of their first line; a repeated line counts once."""
    places: dict[str, int] = {}
    unique: dict[tuple[int, str], None] = {}
    for line in lines:
        unique[places.setdefault(line.image, len(places)), line.caption] = None
    owner = np.array([picture for picture, _ in unique], np.int64)
    return Pairs(tuple(places), tuple(caption for _, caption in unique), owner)


def held_out(name: str, share: float, seed: int) -> bool:
    """Whether a picture of that name is held out: the same for all time, whatever pictures stand beside it."""
    digest = hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def _kept(path: Path, lines: Iterator[Line], tuning: Tuning, homes: dict[str, str]) -> Iterator[Line]:
    """Yield the lines of the splits in use, and note the split of every picture."""
    wanted = {tuning.train_split, tuning.dev_split}
    if tuning.dev_split in DEV_NAMES:
        wanted |= {*DEV_NAMES}
    count = 0
    for line in lines:
        split = tuning.train_split if line.split == _RESTVAL else line.split
        home = homes.setdefault(line.image, split)
        if home != split:
            raise DatasetError(
                _(
                    "{path}, {where}: {image!r} is in {home!r} above and in {split!r} here; a picture "
                    "may be in one split only"
                ).format(path=path, where=line.where, image=line.image, home=home, split=split)
            )
        if split in wanted:
            count += 1
            if count > MOST_CAPTIONS:
                raise DatasetError(
                    _("{path} has more than {most:,} captions; divide it").format(path=path, most=MOST_CAPTIONS)
                )
            yield line._replace(split=split)


def _held(homes: Mapping[str, str], tuning: Tuning) -> set[str]:
    """Return the names of the pictures that are held out."""
    names = DEV_NAMES if tuning.dev_split in DEV_NAMES else (tuning.dev_split,)
    found = {name for name, split in homes.items() if split in names}
    if found:
        return found
    own = [name for name, split in homes.items() if split == tuning.train_split]
    return {name for name in own if held_out(name, tuning.dev_share, tuning.seed)}


def _without(pairs: Pairs, failed: Mapping[str, str]) -> Pairs:
    lines = (
        Line("", pairs.names[int(picture)], "", caption)
        for caption, picture in zip(pairs.captions, pairs.owner, strict=True)
    )
    return gathered(line for line in lines if line.image not in failed)
