"""Writes what pictures and videos say of themselves, by hand: EXIF, XMP, IPTC, the tags of containers."""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import av
from PIL import Image

PARIS = (48.8577, 2.295)
"""Latitude and longitude in degrees, as all that is written here can hold them to 1e-4."""

_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
}


def exif_of(tags: Mapping[int, object], place: tuple[float, float] | None = None, taken: str = "") -> Image.Exif:
    """Return EXIF with the given tags, a place in degrees, and a time as cameras write it."""
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if taken:
        _set_ifd(exif, 0x8769, {0x9003: taken})
    if place is not None:
        latitude, longitude = place
        axes = {1: "S" if latitude < 0 else "N", 2: _sexagesimal(abs(latitude))}
        axes |= {3: "W" if longitude < 0 else "E", 4: _sexagesimal(abs(longitude))}
        _set_ifd(exif, 0x8825, axes)
    return exif


def _set_ifd(exif: Image.Exif, tag: int, values: dict[int, object]) -> None:
    exif.get_ifd(tag).update(values)
    exif[tag] = values  # without it a TIFF is written without


def windows_text(text: str) -> bytes:
    """Return text as Windows writes it to the XP tags of EXIF."""
    return (text + "\0").encode("utf-16-le")


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    minutes = degrees % 1 * 60
    return float(int(degrees)), float(int(minutes)), round(minutes % 1 * 60, 4)


def xmp_packet(
    properties: Mapping[str, str] | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
    *,
    attributes: bool = False,
    prologue: str = "",
) -> bytes:
    """Return an XMP packet: ``{"xmp:Rating": "4"}`` as elements or attributes, ``{"dc:subject": ["a", "b"]}``."""
    properties, lists = dict(properties or {}), dict(lists or {})
    spaces = " ".join(f'xmlns:{name}="{uri}"' for name, uri in _NAMESPACES.items())
    shown = " ".join(f"{name}={quoteattr(value)}" for name, value in properties.items()) if attributes else ""
    body = "" if attributes else "".join(f"<{name}>{escape(value)}</{name}>" for name, value in properties.items())
    for name, values in lists.items():
        kind = "Alt" if name in ("dc:title", "dc:description") else "Bag"
        items = "".join(f"<rdf:li>{escape(value)}</rdf:li>" for value in values)
        body += f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{prologue}<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {spaces}><rdf:Description rdf:about="" {shown}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        f"{' ' * 100}<?xpacket end='w'?>"
    ).encode()


def iptc_of(datasets: Sequence[tuple[int, str]], encoding: str = "utf-8") -> bytes:
    """Return datasets of IPTC's record 2, ``(25, "keyword")``; the encoding is named when it is UTF-8."""
    named = b"\x1c\x01\x5a\x00\x03\x1b%G" if encoding == "utf-8" else b""
    return named + b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text.encode(encoding))) + text.encode(encoding)
        for number, text in datasets
    )


def photoshop_blocks(iptc: bytes) -> bytes:
    """Return image resources of which the second holds IPTC; the first has a name and an odd length."""
    return b"".join(
        b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
        for number, name, data in ((0x0421, b"\x03abc", b"xyz"), (0x0404, b"\0\0", iptc))
    )


def with_segments(path: Path, *segments: tuple[int, bytes]) -> Path:
    """Put application segments, ``(0xED, data)``, at the beginning of a JPEG in place."""
    data = path.read_bytes()
    more = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    path.write_bytes(data[:2] + more + data[2:])
    return path


def with_iptc(path: Path, iptc: bytes) -> Path:
    """Put IPTC into a JPEG in place, as Photoshop does."""
    return with_segments(path, (0xED, b"Photoshop 3.0\0" + photoshop_blocks(iptc)))


def png_chunk(kind: bytes, data: bytes, *, sound: bool = True) -> bytes:
    """Return a chunk of a PNG; one that is not ``sound`` has the wrong checksum."""
    checksum = zlib.crc32(kind + data) ^ (0 if sound else 1)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def with_chunks(path: Path, *chunks: bytes, before: bytes = b"IDAT") -> Path:
    """Put chunks into a PNG in place, before its data or its end."""
    data = path.read_bytes()
    at = data.index(before) - 4
    path.write_bytes(data[:at] + b"".join(chunks) + data[at:])
    return path


def with_tags(path: Path, tags: Mapping[str, str], *, as_given: bool = False) -> Path:
    """Write a video anew in place, its packets copied, with tags; ``as_given`` keeps names MP4 has no place for."""
    made = path.with_name(f"tagged-{path.name}")
    with (
        av.open(str(path)) as source,
        av.open(str(made), "w", options={"movflags": "use_metadata_tags"} if as_given else {}) as target,
    ):
        target.metadata.update(tags)
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return made.replace(path)


def with_xmp_box(path: Path, packet: bytes) -> Path:
    """Append an XMP packet to an MP4 in the box where it belongs."""
    identity = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    path.write_bytes(path.read_bytes() + struct.pack(">I", 24 + len(packet)) + b"uuid" + identity + packet)
    return path


def write_takeout(path: Path, **told: object) -> Path:
    """Write what Google Takeout puts beside a photo."""
    path.write_text(json.dumps({"title": "x.jpg", **told}), encoding="utf-8")
    return path
