"""What a file claims to be, by its first bytes."""

_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"DDS ", "DDS"),
    (b"icns", "ICNS"),
    (b"\0\0\1\0", "ICO"),
    (b"qoif", "QOI"),
)

_VIDEOS: tuple[bytes, ...] = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b".RMF",
    b"YUV4MPEG2",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG elementary stream
    b"\x06\x0e\x2b\x34",  # MXF
)

HEIF_BRANDS = frozenset(b"heic heix hevc hevx heim heis hevm hevs mif1 msf1 mif2".split())
_STILL_BRANDS = HEIF_BRANDS | {b"avif", b"avis"}
_BOXES = frozenset({b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})


def known_as(head: bytes) -> str | None:
    """Return the name of the picture format that ``head`` begins with, or ``None``."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS:
        return "HEIF"
    return next((name for magic, name in _PICTURES if head.startswith(magic)), None)


def looks_like_video(head: bytes) -> bool:
    """Return whether ``head`` begins like a video container, so that no picture format need be tried."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILL_BRANDS
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:  # MPEG transport stream
        return True
    return head.startswith(_VIDEOS) or head[4:8] in _BOXES
