"""Groups of duplicates as JSON lines, as paths, and as the cells of a table; nothing is printed here."""

import json
import os
from collections.abc import Callable, Iterator, Sequence

from retrieval.duplicates.records import Group, Member, Suggestion
from retrieval.messages import retold
from retrieval.present import timestamp, visible

_UNITS = ("B", "KB", "MB", "GB", "TB")


def as_jsonl(groups: Sequence[Group], only: Suggestion | None = None) -> Iterator[str]:
    """Yield one JSON object a file, without a line end.

    Keys: ``group`` (counted from 1), ``level`` (how the file is like the one to keep; of that one the group's),
    ``similarity`` (cosine with it, ``null`` where none was taken), ``path kind size_bytes width height taken_at
    suggestion reason``, ``at_s`` (seconds, where a picture goes with a video) and ``beside`` (paths of what belongs to
    it, where pairs count as one). The text is plain ASCII, as in ``present.as_jsonl``.
    """
    for number, group in enumerate(groups, 1):
        for member in _chosen(group, only):
            yield json.dumps(_fields(number, member), ensure_ascii=True, allow_nan=False)


def as_paths(groups: Sequence[Group], only: Suggestion | None = None, null: bool = False) -> Iterator[bytes]:
    """Yield the bytes of each path, ended by a newline, or by NUL; what belongs to a file comes after it.

    A blank line parts the groups, but for NUL and where only some of the files are wanted, so that other programs can
    read the list.
    """
    end = b"\0" if null else b"\n"
    for number, group in enumerate(groups):
        if number and only is None and not null:
            yield b"\n"
        for member in _chosen(group, only):
            for path in (os.fspath(member.file.path), *member.beside):
                yield os.fsencode(path) + end


def as_rows(
    groups: Sequence[Group], only: Suggestion | None = None, told: Callable[[str], str] = retold
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the group's number and the cells of each file.

    Cells: number, suggestion, level, similarity, size, width x height, when it was taken, path, reason; ``told`` puts
    reasons into the language they are wanted in.
    """
    for number, group in enumerate(groups, 1):
        for member in _chosen(group, only):
            yield number, _cells(number, member, told)


def in_bytes(count: int) -> str:
    """Write a number of bytes for people: ``4.2 MB``."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 99.95 else f"{value:.1f} {_UNITS[unit]}"


def _chosen(group: Group, only: Suggestion | None) -> Iterator[Member]:
    return (member for member in group.members if only is None or member.suggestion == only)


def _fields(number: int, member: Member) -> dict[str, object]:
    file = member.file
    more: dict[str, object] = {} if member.at_s is None else {"at_s": round(member.at_s, 3)}
    if member.beside:
        more["beside"] = list(member.beside)
    return {
        "group": number,
        "level": member.level,
        "similarity": None if member.similarity is None else round(member.similarity, 4),
        "path": os.fspath(file.path),
        "kind": file.kind,
        "size_bytes": file.size_bytes,
        "width": file.width or None,
        "height": file.height or None,
        "taken_at": file.taken_at,
        "suggestion": member.suggestion,
        "reason": member.reason,
        **more,
    }


def _cells(number: int, member: Member, told: Callable[[str], str]) -> tuple[str, ...]:
    file = member.file
    path = visible(os.fspath(file.path)) + ("" if member.at_s is None else f" at {timestamp(member.at_s)}")
    return (
        str(number),
        member.suggestion,
        member.level,
        "" if member.similarity is None else f"{member.similarity:.3f}",
        in_bytes(file.size_bytes),
        f"{file.width}x{file.height}" if file.width else "",
        file.taken_at or "",
        path + "".join(f" + {visible(os.path.basename(other))}" for other in member.beside),  # noqa: PTH119
        told(member.reason),
    )
