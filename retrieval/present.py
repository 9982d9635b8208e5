"""Pure presentation: hits to JSON lines, to paths, and to the cells of a table; nothing is printed here."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from retrieval.query import format_part
from retrieval.types import Hit, Hits, Share

# What would move the cursor, turn the direction of writing, or stand for a byte that is no text.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_COLUMNS = (
    *("rank", "score", "path", "kind", "start_s", "end_s", "at_s", "item", "width", "height", "taken_at"),
    "probability",
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def as_jsonl(hits: Hits, leading: Mapping[str, object] | None = None) -> Iterator[str]:
    r"""Yield one JSON object a hit, without a line end.

    Keys: ``rank score path kind start_s end_s at_s item width height taken_at``; seconds are ``null`` for a picture,
    ``taken_at`` where it is not known. The text is plain ASCII: bytes of a name that are no UTF-8 stand as lone
    surrogates (``"\udcff"``), which ``os.fsencode`` turns back after ``json.loads``. Hits that say what each part of
    the query added have one key more, ``parts``; see ``parts_json``. Hits that others were folded into say how many,
    ``duplicates``, and which, ``also`` (items). Hits whose probability is known have ``probability``, stretches that a
    clip was found to show ``speed`` (see ``Hit``). ``leading`` comes first in each object.
    """
    for hit in hits.hits:
        yield json_line({**(leading or {}), **_fields(hit)})


def json_line(fields: Mapping[str, object]) -> str:
    """Return an object as plain ASCII, without a line end."""
    return json.dumps(fields, ensure_ascii=True, allow_nan=False)


def csv_head(leading: Iterable[str] = ()) -> str:
    """Return the head line of ``as_csv``, with what is told before each hit."""
    return _csv_line((*leading, *_COLUMNS))


def as_csv(hits: Hits, leading: Iterable[object] = ()) -> Iterator[str]:
    """Yield a line a hit with the fields of the JSON lines up to ``taken_at`` and ``probability``, empty where unknown.

    Bytes of a name that are no UTF-8 are lone surrogates, to be encoded with ``surrogateescape``.
    """
    before = tuple(leading)
    for hit in hits.hits:
        fields = _fields(hit)
        yield _csv_line((*before, *(fields.get(name) for name in _COLUMNS)))


def parts_json(shares: Sequence[Share], score: float) -> list[dict[str, object]]:
    """Return an object a part: ``part`` as the query grammar writes it, and ``share``, what it adds to the score.

    The shares have six decimals and sum to the score as it is printed. A clip also says the time ``at_s``, in seconds,
    of its keyframe that matches best.
    """
    values = rounded([one.share for one in shares], round(score, 6), 6)
    return [
        {"part": format_part(one.part), "share": value} | ({} if one.at_s is None else {"at_s": _seconds(one.at_s)})
        for one, value in zip(shares, values, strict=True)
    ]


def parts_text(shares: Sequence[Share], score: float) -> str:
    """Return the same for people: ``+0.2914 "a dog", -0.0210 - "people"``."""
    values = rounded([one.share for one in shares], round(score, 4), 4)
    return ", ".join(
        f"{value:+.4f} {visible(format_part(one.part))}" + ("" if one.at_s is None else f" at {timestamp(one.at_s)}")
        for one, value in zip(shares, values, strict=True)
    )


def rounded(shares: Sequence[float], total: float, decimals: int) -> list[float]:
    """Round shares so that they sum to ``total``; the largest takes up what rounding leaves."""
    values = [round(share, decimals) for share in shares]
    if values:
        most = max(range(len(values)), key=lambda place: abs(values[place]))
        values[most] = round(values[most] + total - sum(values), decimals)
    return values


def as_paths(hits: Hits, null: bool = False) -> Iterator[bytes]:
    """Yield the bytes of each file's path, ended by a newline, or by NUL so that any name survives ``xargs -0``.

    A file comes once, at the place of its best moment.
    """
    end = b"\0" if null else b"\n"
    for path in dict.fromkeys(hit.path for hit in hits.hits):
        yield os.fsencode(path) + end


def as_rows(hits: Hits) -> list[tuple[str, ...]]:
    """Return the cells of a table: rank, score, file, moment (``00:00:10.000-00:00:14.000``; empty for a picture).

    Where probabilities are known there is one cell more, ``0.87``.
    """
    return [
        (str(hit.rank), f"{hit.score:.4f}", visible(hit.path), _moment(hit))
        + (() if hit.probability is None else (f"{hit.probability:.2f}",))
        for hit in hits.hits
    ]


def as_told_rows(hits: Hits) -> list[tuple[str, ...]]:
    """Return the cells of ``as_rows`` and one more: what each part of the query added to the score."""
    told = (parts_text(hit.shares, hit.score) for hit in hits.hits)
    return [(*row, parts) for row, parts in zip(as_rows(hits), told, strict=True)]


def alike_text(hit: Hit) -> str:
    """Return ``+3 alike`` where hits were folded into this one."""
    return f"+{len(hit.also)} alike" if hit.also else ""


def timestamp(seconds: float) -> str:
    """Write seconds as ``hh:mm:ss.mmm``, which players and ffmpeg accept; hours may take more than two digits."""
    thousandths = max(0, round(seconds * 1000))
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def visible(name: str) -> str:
    r"""Write control characters, marks of writing direction and stray bytes as ``\n``, ``\x1b``, ``\u202e``, ``\xff``.

    Everything else stays as it is, so this is for looking at and cannot be read back.
    """
    return _HIDDEN.sub(_shown, name)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _moment(hit: Hit) -> str:
    if hit.start_s is None or hit.end_s is None:
        return ""
    return f"{timestamp(hit.start_s)}-{timestamp(hit.end_s)}"


def _fields(hit: Hit) -> dict[str, object]:
    told = {"parts": parts_json(hit.shares, hit.score)} if hit.shares else {}
    alike = {} if hit.also is None else {"duplicates": len(hit.also), "also": list(hit.also)}
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "path": hit.path,
        "kind": hit.kind,
        "start_s": _seconds(hit.start_s),
        "end_s": _seconds(hit.end_s),
        "at_s": _seconds(hit.at_s),
        "item": hit.item,
        "width": hit.width,
        "height": hit.height,
        "taken_at": hit.taken_at,
        **told,
        **alike,
        **({} if hit.probability is None else {"probability": round(hit.probability, 4)}),
        **({} if hit.speed is None else {"speed": round(hit.speed, 3)}),
    }


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
