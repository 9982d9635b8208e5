"""What pictures say of themselves: EXIF, XMP, IPTC, and the text chunks of PNG, as Pillow hands them over."""

from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from retrieval.media.dates import iso_date
from retrieval.media.details import (
    NOTHING,
    Place,
    Said,
    camera_of,
    joined,
    keywords_of,
    mended,
    place_of,
    plain,
    rating_of,
    told_of,
    unless_damaged,
)
from retrieval.media.iptc import IPTC_RESOURCE, image_resource, read_iptc
from retrieval.media.xmp import read_xmp
from retrieval.types import Details

_WHEN = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
_RATING, _RATING_PERCENT = 0x4746, 0x4749
_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
_STARS = {1: 1, 25: 2, 50: 3, 75: 4, 99: 5}
"""How Windows writes stars as percents."""
_XMP_RESOURCE = 0x0424


def orientation_of(image: Image.Image) -> int:
    """Return how the picture is turned, EXIF's 1-8; damaged EXIF counts as none."""
    turned = unless_damaged(lambda: image.getexif().get(ExifTags.Base.Orientation, 1), 1)
    return turned if isinstance(turned, int) and 1 <= turned <= 8 else 1


def said_by(image: Image.Image) -> Said:
    """Return what a picture that is open, and loaded unless it is animated, says of itself.

    Each place is read for itself, so that damage in one does not hide the others. XMP, which programs write last, goes
    before EXIF and IPTC; but the date is EXIF's where it has one.
    """
    exif = unless_damaged(lambda: read_exif(image.getexif()), NOTHING)
    xmp = unless_damaged(lambda: read_xmp(_xmp(image)), NOTHING)
    iptc = unless_damaged(lambda: read_iptc(_iptc(image)), NOTHING)
    chunks = unless_damaged(lambda: _chunks(image.info), NOTHING)
    return joined(exif, [xmp], [iptc, chunks])


def read_exif(exif: Image.Exif) -> Said:
    """Return what EXIF says; a damaged part of it says nothing."""
    inner: Mapping[int, Any] = unless_damaged(lambda: dict(exif.get_ifd(ExifTags.IFD.Exif)), {})
    place = unless_damaged(lambda: _place(exif.get_ifd(ExifTags.IFD.GPSInfo)), Place())
    taken_at = None
    for stamp, offset in _WHEN:
        taken_at = taken_at or iso_date(inner.get(stamp) or exif.get(stamp), inner.get(offset))
    make, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    camera = camera_of(make, model)
    described = _text(exif.get(ExifTags.Base.ImageDescription))
    if plain(described).casefold() in (camera.casefold(), plain(make).casefold(), plain(model).casefold()):
        described = ""
    told = [_windows(exif.get(tag)) for tag in (ExifTags.Base.XPTitle, ExifTags.Base.XPSubject)]
    told += [described, _windows(exif.get(ExifTags.Base.XPComment))]
    words = keywords_of(_windows(exif.get(ExifTags.Base.XPKeywords)).split(";"))
    return Said(
        Details(camera, place.latitude, place.longitude, _rating(exif), words, told_of(told)),
        taken_at,
    )


def _rating(exif: Image.Exif) -> int | None:
    stars = rating_of(exif.get(_RATING))
    return _STARS.get(exif.get(_RATING_PERCENT, 0)) if stars is None else stars


def _text(value: object) -> str:
    return mended(value).strip("\0 ") if isinstance(value, str) else plain(value)


def _windows(value: object) -> str:
    """Return one of the texts that Windows writes, which are UTF-16."""
    if isinstance(value, tuple):
        value = bytes(value)
    return value.decode("utf-16-le", "replace").rstrip("\0") if isinstance(value, bytes) else ""


def _place(gps: Mapping[int, Any]) -> Place:
    latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps.get(ExifTags.GPS.GPSLatitudeRef), "S")
    longitude = _degrees(gps[ExifTags.GPS.GPSLongitude], gps.get(ExifTags.GPS.GPSLongitudeRef), "W")
    return place_of(latitude, longitude)


def _degrees(parts: Any, reference: object, negative: str) -> float:  # noqa: ANN401 - as it stands in the file
    pieces = parts if isinstance(parts, tuple) else (parts,)
    whole = float(sum(float(part) / 60**power for power, part in enumerate(pieces)))
    letter = plain(reference)[:1].upper()
    return -abs(whole) if letter == negative else whole


def _xmp(image: Image.Image) -> bytes | str:
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or _tiff_tag(image, _XMP)
    found = found or _psd_resources(image).get(_XMP_RESOURCE)
    return found if isinstance(found, bytes | str) else b""


def _iptc(image: Image.Image) -> bytes:
    held = image.info.get("photoshop")
    found = held.get(IPTC_RESOURCE) if isinstance(held, dict) else None
    found = found or _psd_resources(image).get(IPTC_RESOURCE)
    found = found or image_resource(_tiff_tag(image, _PHOTOSHOP), IPTC_RESOURCE) or _tiff_tag(image, _IPTC)
    return found if isinstance(found, bytes) else b""


def _tiff_tag(image: Image.Image, tag: int) -> bytes:
    found = getattr(image, "tag_v2", {}).get(tag)
    if isinstance(found, tuple) and all(isinstance(number, int) and 0 <= number < 256 for number in found):
        return bytes(found)
    return found if isinstance(found, bytes) else b""


def _psd_resources(image: Image.Image) -> dict[int, bytes]:
    return {number: data for number, _, data in getattr(image, "resources", ()) or ()}


def _chunks(info: Mapping[Any, Any]) -> Said:
    texts = (info.get(name) for name in ("Title", "Description"))
    return Said(Details(told=told_of(mended(text) for text in texts if isinstance(text, str))))
