"""XMP: what photo managers write into a picture, or into a file of their own beside it.

The XML is read by expat, event by event. A document type is refused, and with it every entity but the five of XML
itself, so nothing expands and nothing outside is ever fetched.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from xml.parsers import expat

from retrieval.media.dates import iso_date
from retrieval.media.details import Said, camera_of, keywords_of, place_of, rating_of, told_of
from retrieval.types import Details

MAX_BYTES = 8_000_000
"""The largest packet that is read; raw developers keep all their masks in one."""
_MAX_VALUES = 2000

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    _RDF: "rdf",
}
_LISTS = frozenset({"rdf:Bag", "rdf:Seq", "rdf:Alt"})
_PLACE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])", re.ASCII | re.IGNORECASE)

Properties = Mapping[str, list[str]]
"""The values of each property that is known here, by a short name such as ``dc:title``."""


def read_xmp(packet: bytes | str) -> Said:
    """Return what an XMP packet says.

    Raises:
        ValueError: it is too large, has a document type, or is no XML.
    """
    data = packet.encode() if isinstance(packet, str) else packet
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes of XMP are too many")
    found = _properties(data)
    latitude, longitude = (_degrees(_first(found, f"exif:GPS{axis}")) for axis in ("Latitude", "Longitude"))
    place = place_of(latitude, longitude)
    titles = [*found["dc:title"], *found["photoshop:Headline"], *found["dc:description"]]
    stamps = (iso_date(_first(found, name)) for name in _WHEN)
    return Said(
        Details(
            camera_of(_first(found, "tiff:Make"), _first(found, "tiff:Model")),
            place.latitude,
            place.longitude,
            rating_of(_first(found, "xmp:Rating")),
            keywords_of([*found["dc:subject"], *_leaves(found["lr:hierarchicalSubject"])]),
            told_of(titles),
        ),
        next((stamp for stamp in stamps if stamp), None),
    )


_WHEN = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")


def _first(found: Properties, name: str) -> str:
    return next(iter(found[name]), "")


def _leaves(paths: list[str]) -> list[str]:
    """Return the last names of ``Places|France|Paris`` and the like; a raw developer's own tags are none."""
    return [path.rpartition("|")[2] for path in paths if not path.startswith("darktable|")]


def _degrees(text: str) -> float | None:
    """Return the degrees of ``48,51.396N`` or ``48,51,24S``."""
    found = _PLACE.fullmatch(text.strip())
    if not found:
        return None
    degrees = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -degrees if found[4] in "SsWw" else degrees


def _properties(data: bytes) -> defaultdict[str, list[str]]:
    events = _Events()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = events.start
    parser.EndElementHandler = events.end
    parser.CharacterDataHandler = events.text
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.rstrip(b"\0 \t\r\n")  # what follows the packet in a picture is not always white space
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"damaged XMP: {error}") from None
    return events.found


def _refuse(*declared: object) -> None:
    raise ValueError("XMP has no document type")


class _Events:
    """Gathers the properties of all ``rdf:Description``, whether they are attributes, elements or lists."""

    def __init__(self) -> None:
        self.found: defaultdict[str, list[str]] = defaultdict(list)
        self._path: list[str] = []
        self._pieces: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(_short(name))
        self._pieces = []
        if self._path[-2:] == ["rdf:RDF", "rdf:Description"]:
            for key, value in attributes.items():
                self._add(_short(key), value)

    def end(self, name: str) -> None:
        text, self._pieces = "".join(self._pieces).strip(), []
        path = self._path
        if path[-3:-1] == ["rdf:RDF", "rdf:Description"]:
            self._add(path[-1], text)
        elif path[-5:-3] == ["rdf:RDF", "rdf:Description"] and path[-2] in _LISTS and path[-1] == "rdf:li":
            self._add(path[-3], text)
        path.pop()

    def text(self, piece: str) -> None:
        self._pieces.append(piece)

    def _add(self, name: str, value: str) -> None:
        if name and value and len(self.found[name]) < _MAX_VALUES:
            self.found[name].append(value)


def _short(name: str) -> str:
    """Return ``dc:title`` for a name with the namespace that is meant by it; nothing for names of others."""
    space, _, local = name.rpartition(" ")
    return f"{_NAMESPACES[space]}:{local}" if space in _NAMESPACES else ""
