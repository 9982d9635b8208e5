"""What is kept of what a file says of itself: cleaned, bounded, and put together from the places that say it.

A file may say the same thing in EXIF, XMP and IPTC, and a file beside it may say it once more. Text of any length and
content can stand there, so everything goes through here before it is believed.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from retrieval.types import Details

MAX_TOLD = 4000
"""The longest text that is kept of a file, in characters."""
MAX_KEYWORD = 200
MAX_KEYWORDS = 500

Value = TypeVar("Value")


class Said(NamedTuple):
    """What one place says of a file; ``taken_at`` is ISO 8601 as in ``MediaInfo``, or ``None``."""

    details: Details = Details()
    taken_at: str | None = None


class Place(NamedTuple):
    """Degrees, north and east positive; both are known or neither is."""

    latitude: float | None = None
    longitude: float | None = None


NOTHING = Said()


def unless_damaged(read: Callable[[], Value], otherwise: Value) -> Value:
    """Return what ``read`` returns, or ``otherwise`` when it raises: damaged metadata counts as none."""
    try:
        return read()
    except Exception:
        return otherwise


def joined(own: Said, first: Sequence[Said] = (), last: Sequence[Said] = ()) -> Said:
    """Return all that is said of a file: by itself (``own``), by what goes before that, and by what only adds to it.

    Of camera, place and rating the first that is known counts; keywords and texts come together, each once. The date is
    the file's own if it has one.
    """
    everything = [*first, own, *last]
    details = [said.details for said in everything]
    place = next((one for one in details if one.latitude is not None and one.longitude is not None), Details())
    return Said(
        Details(
            next((one.camera for one in details if one.camera), ""),
            place.latitude,
            place.longitude,
            next((one.rating for one in details if one.rating is not None), None),
            keywords_of(word for one in details for word in one.keywords),
            told_of(text for one in details for text in one.told.split("\n")),
        ),
        next((said.taken_at for said in (own, *first, *last) if said.taken_at), None),
    )


def plain(value: object, longest: int = MAX_TOLD) -> str:
    """Return text in one line that a catalog can hold: in Unicode's form C, without control characters, not too long.

    Bytes are UTF-8, or else Latin-1; anything that is no text is empty.
    """
    if isinstance(value, bytes):
        value = decoded(value)
    if not isinstance(value, str):
        return ""
    text = value[: 2 * longest].encode("utf-8", "replace").decode("utf-8")
    text = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return unicodedata.normalize("NFC", " ".join(text.split()))[:longest].rstrip()


def decoded(text: bytes) -> str:
    """Return bytes of unknown encoding as text: UTF-8 where they are that, else Latin-1."""
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def mended(text: str) -> str:
    """Return text that was read as Latin-1 as the UTF-8 it was written in, where it was."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def told_of(texts: Iterable[object]) -> str:
    """Return titles, descriptions and captions one a line, each once, without what cameras write by themselves."""
    lines: list[str] = []
    for text in texts:
        line = plain(text)
        if line and not is_filler(line) and line.casefold() not in (known.casefold() for known in lines):
            lines.append(line)
    return "\n".join(lines)[:MAX_TOLD].rstrip()


def keywords_of(words: Iterable[object]) -> tuple[str, ...]:
    """Return keywords in their order, each once however it is written."""
    found: dict[str, str] = {}
    for word in words:
        text = plain(word, MAX_KEYWORD)
        if text:
            found.setdefault(text.casefold(), text)
        if len(found) == MAX_KEYWORDS:
            break
    return tuple(found.values())


_FILLER = re.compile(
    r"(?-i:[A-Z ]*DIGITAL (?:STILL )?CAMERA)|(?:sony|minolta|konica minolta) dsc|samsung|dcim|exif_jpeg_picture|"
    r"<?(?:kenox|digimax|samsung) [^>]*>?|lead technologies.*|file written by .*|image description|[{\[]\".*|"
    r"(?:created|cropped|resized|converted|optimi[sz]ed|processed) with .*|"
    r"default|untitled|screenshot|[ -/:-@\[-`{-~]*",
    re.IGNORECASE | re.DOTALL,
)


def is_filler(text: str) -> bool:
    """Return whether a description is one that a camera or program puts into every file."""
    return _FILLER.fullmatch(text) is not None


_COMPANY = re.compile(
    r"[\s,]+(?:corporation|corp|company|co|ltd|inc|gmbh|ag|imaging|optical|computer|electric|electronics|techwin|"
    r"technologies|digital cameras?)\b.*",
    re.IGNORECASE,
)


def camera_of(make: object, model: object) -> str:
    """Return the name of a camera: its model, after its make unless the model says that already.

    ``NIKON CORPORATION`` and ``NIKON D850`` are ``NIKON D850``; ``Apple`` and ``iPhone 12`` are ``Apple iPhone 12``.
    """
    maker, name = plain(make, MAX_KEYWORD), plain(model, MAX_KEYWORD)
    begins = name.split(maxsplit=1)[0].casefold() if name else ""
    if not name or begins in maker.casefold().split():
        return name or maker
    short = _COMPANY.sub("", maker)
    return plain(f"{short} {name}", MAX_KEYWORD)


def rating_of(value: object) -> int | None:
    """Return a rating of 0 to 5 stars; anything else (-1 is written for what is rejected) is none."""
    try:
        stars = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return int(stars) if 0 <= stars <= 5 else None  # also no for NaN


def place_of(latitude: float | None, longitude: float | None) -> Place:
    """Return a place in degrees, longitude from -180 up to but not 180; 0, 0 is what is written for want of one."""
    if latitude is None or longitude is None or not (math.isfinite(latitude) and math.isfinite(longitude)):
        return Place()
    if abs(latitude) > 90 or abs(longitude) > 180 or latitude == longitude == 0:
        return Place()
    return Place(latitude + 0.0, -180.0 if longitude == 180 else longitude + 0.0)
