"""IPTC: the captions and keywords of press photography, in the information interchange model (IIM 4.2, IPTC 2014)."""

from collections import defaultdict
from collections.abc import Iterator

from retrieval.media.details import Said, decoded, keywords_of, told_of
from retrieval.types import Details

_TITLE, _KEYWORD, _HEADLINE, _CAPTION = 5, 25, 105, 120
_UTF8 = b"\x1b%G"
_MOST = 5000
IPTC_RESOURCE = 0x0404
"""Under which number Photoshop's image resources hold IPTC."""


def read_iptc(data: bytes) -> Said:
    """Return what the datasets of record 2 say; what follows a damaged one is not read."""
    found: defaultdict[int, list[bytes]] = defaultdict(list)
    utf8 = False
    for record, number, value in _datasets(data):
        if (record, number) == (1, 90):
            utf8 = value == _UTF8
        elif record == 2:
            found[number].append(value)

    def texts(number: int) -> list[str]:
        return [value.decode("utf-8", "replace") if utf8 else decoded(value) for value in found[number]]

    told = told_of([*texts(_TITLE), *texts(_HEADLINE), *texts(_CAPTION)])
    return Said(Details(keywords=keywords_of(texts(_KEYWORD)), told=told))


def _datasets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    for _ in range(_MOST):
        if at + 5 > len(data) or data[at] != 0x1C:
            return
        record, number = data[at + 1], data[at + 2]
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        # A length of lengths is only for pictures within pictures.
        if size & 0x8000 or at + 5 + size > len(data):
            return
        yield record, number, data[at + 5 : at + 5 + size]
        at += 5 + size


def image_resource(blocks: bytes, wanted: int) -> bytes:
    """Return one of the image resources that Photoshop keeps in TIFF's tag 34377; nothing where it is not there."""
    at = 0
    while blocks[at : at + 4] == b"8BIM":
        number = int.from_bytes(blocks[at + 4 : at + 6], "big")
        named = at + 6
        start = named + (blocks[named : named + 1] or b"\0")[0] + 1
        start += (start - named) % 2
        size = int.from_bytes(blocks[start : start + 4], "big")
        if number == wanted:
            return blocks[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2
    return b""
