"""Paths as the catalog keeps them: bytes for identity, NFC text for filters."""

import os
import re
import unicodedata
from pathlib import Path

_NO_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def to_bytes(path: Path) -> bytes:
    """Return the path's bytes as the file system has them.

    Raises:
        ValueError: the path is not absolute.
    """
    if not path.is_absolute():
        raise ValueError(f"not an absolute path: {path}")
    return os.fsencode(path)


def from_bytes(raw: bytes) -> Path:
    """Return the path of ``to_bytes``' output; bytes that are no text become lone surrogates, as in ``os.fsdecode``."""
    return Path(os.fsdecode(raw))


def to_text(raw: bytes) -> str:
    """Return what a filter compares with: UTF-8 text in normal form C, undecodable bytes replaced."""
    return unicodedata.normalize("NFC", raw.decode("utf-8", "replace"))


def as_text(name: str) -> str:
    """Return a name that someone gave in the form of ``to_text``, so that the two can be compared."""
    return to_text(_NO_BYTES.sub("\ufffd", name).encode("utf-8", "surrogateescape"))


def extension(raw: bytes) -> str:
    """Return the ending of the file's name in lower case without its dot, or an empty string."""
    name = to_text(raw).rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return ending.lower() if dot and stem else ""


def inside(folder: bytes) -> tuple[bytes, bytes]:
    """Return the half-open range of bytes that all paths below ``folder``, and no others, fall into.

    Comparing bytes takes ``%`` and ``_`` for what they are, and ``/a/b`` does not reach ``/a/bc``.
    """
    stem = folder.rstrip(b"/")
    return stem + b"/", stem + b"0"
