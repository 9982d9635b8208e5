"""Why a file could not be read, in one readable line without paths, addresses or class names."""

import re

from retrieval.messages import N_

_NOISE = (
    re.compile(r"<[^<>]*>"),  # object representations
    re.compile(r"\[errno -?\d+\]\s*", re.IGNORECASE),
    re.compile(r"['\"](?:[^'\"]*[/\\])[^'\"]*['\"]"),  # quoted paths
    re.compile(r":\s*['\"][^'\"]*['\"]$"),  # a file's name or number at the end
    re.compile(r"\b0x[0-9a-f]{6,}\b", re.IGNORECASE),
)
_LONGEST = 160

LIBRARY_REASONS = (
    N_("image file is truncated"),
    N_("image file is truncated ({count} bytes not processed)"),
    N_("broken data stream when reading image file"),
    N_("unrecognized data stream contents when reading image file"),
    N_("buffer overrun when reading image file"),
    N_("not enough image data"),
    N_("decoder error {number}"),
    N_("invalid palette size"),
    N_("image size ({count} pixels) exceeds limit of {most} pixels, could be decompression bomb DOS attack"),
    N_("invalid data found when processing input"),
    N_("end of file"),
)
"""What Pillow and FFmpeg say most often of damaged files, as ``reason`` gives it."""


def reason(error: BaseException) -> str:
    """Return what ``error`` says, cleaned: one line, at most 160 characters, beginning in lower case."""
    if isinstance(error, MemoryError):
        return N_("needs more memory than there is")
    if isinstance(error, RecursionError):
        return N_("nested too deeply")
    text = str(error)
    for noise in _NOISE:
        text = noise.sub("", text)
    text = " ".join(text.split()).rstrip(" :;,.")
    if not text or text.isdigit():
        text = N_("the decoder gave up ({what})").format(what=_words(type(error).__name__))
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def clock(seconds: float) -> str:
    """Return ``hh:mm:ss.mmm``."""
    whole = max(0, round(seconds * 1000))
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
