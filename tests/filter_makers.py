"""Random filters, files to ask them of, and a plain reading of each filter to compare answers with.

Nothing here uses what it checks: globs are matched by trying everything, distances are chords through the earth, and
words are cut character by character.
"""

import calendar
import functools
import math
import os
import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.store import Collection, Entry
from retrieval.types import And, Details, FloatMatrix, Item, Keys, MediaInfo, Not, Or, Term, Where

Mask = np.ndarray
"""``(n,) bool``, one a file."""
ORDER = (":", "=", "!=", "<", "<=", ">", ">=")
NAMED = (":", "=", "!=")


class Facts(NamedTuple):
    """What is known of one file, with the number of its items."""

    path: str
    info: MediaInfo
    size_bytes: int
    mtime_ns: int
    items: int = 1


# --------------------------------------------------------------------------------------------------- a plain reading


def holds(where: Where, facts: Facts, today: date) -> bool:
    """Say whether a filter selects a file, read as it is written."""
    match where:
        case And(clauses):
            return all(holds(clause, facts, today) for clause in clauses)
        case Or(clauses):
            return any(holds(clause, facts, today) for clause in clauses)
        case Not(clause):
            return not holds(clause, facts, today)
    if where.op == "!=":
        return not holds(Term(where.field, "=", where.value), facts, today)
    reading = _NAMES.get(where.field)
    if reading is not None:
        return reading(facts, str(where.value))
    if where.field in ("date", "taken", "modified"):
        return _in_time(where, facts, today)
    return compare(where.op, _number(where.field, facts), where.value)


def compare(op: str, value: str | float | None, wanted: str | float) -> bool:
    """Compare what is known; nothing compares with what is not."""
    if value is None:
        return False
    return {
        ":": value == wanted,
        "=": value == wanted,
        "<": value < wanted,  # type: ignore[operator]
        "<=": value <= wanted,  # type: ignore[operator]
        ">": value > wanted,  # type: ignore[operator]
        ">=": value >= wanted,  # type: ignore[operator]
    }[op]


def _number(field: str, facts: Facts) -> float | None:
    info = facts.info
    return {
        "size": facts.size_bytes,
        "duration": info.duration_s,
        "width": info.width,
        "height": info.height,
        "megapixels": info.width * info.height / 1e6,
        "aspect": info.width / info.height if info.height else None,
        "rating": info.details.rating,
    }[field]


def _in_time(term: Term, facts: Facts, today: date) -> bool:
    local = datetime.fromtimestamp(facts.mtime_ns // 10**9).isoformat()
    taken = facts.info.taken_at and facts.info.taken_at[:19]
    moment = {"taken": taken, "modified": local, "date": taken or local}[term.field]
    if moment is None:
        return False
    prefix = str(term.value)
    if prefix[0].isdigit() and ".." not in prefix:
        return compare(term.op, moment[: len(prefix)], prefix)
    start, end = RELATIVE[prefix](today)
    place = "<" if moment < start else ">" if moment >= end else "="
    return place in {":": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}[term.op]


def _days(today: date, start: int, end: int) -> tuple[str, str]:
    first, last = (datetime.combine(today + timedelta(days=days), time()).isoformat() for days in (start, end))
    return first, last


def _months_ago(today: date, months: int) -> str:
    index = today.year * 12 + today.month - 1 - months
    year, month = index // 12, index % 12 + 1
    day = min(today.day, calendar.monthrange(year, month)[1])
    return f"{year:04}-{month:02}-{day:02}T00:00:00"


RELATIVE: dict[str, Callable[[date], tuple[str, str]]] = {
    "today": lambda today: _days(today, 0, 1),
    "yesterday": lambda today: _days(today, -1, 0),
    "-7d": lambda today: _days(today, -7, -6),
    "-2w": lambda today: _days(today, -14, -13),
    "last-30-days": lambda today: _days(today, -30, 1),
    "last-1-week": lambda today: _days(today, -7, 1),
    "last-2-months": lambda today: (_months_ago(today, 2), _days(today, 0, 1)[1]),
    "last-1-year": lambda today: (_months_ago(today, 12), _days(today, 0, 1)[1]),
    "this-month": lambda today: (f"{today.isoformat()[:7]}-01T00:00:00", _next_month(today)),
    "this-year": lambda today: (f"{today.year}-01-01T00:00:00", f"{today.year + 1}-01-01T00:00:00"),
    "2024-05..2024-07": lambda today: ("2024-05-01T00:00:00", "2024-08-01T00:00:00"),
    "2024-12-31..": lambda today: ("2024-12-31T00:00:00", "9999-99"),
    "..2023": lambda today: ("0", "2024-01-01T00:00:00"),
    "2025..yesterday": lambda today: ("2025-01-01T00:00:00", _days(today, 0, 0)[0]),
}
"""Periods that no prefix says, with when they begin and end."""


def _next_month(today: date) -> str:
    year, month = divmod(today.year * 12 + today.month, 12)
    return f"{year:04}-{month + 1:02}-01T00:00:00"


def _path(facts: Facts, value: str) -> bool:
    path = facts.path
    ends = [path, *(path[place + 1 :] for place, letter in enumerate(path) if letter == "/")]
    return any(glob(value.lower(), end.lower()) for end in ends)


def glob(pattern: str, text: str, separator: str = "/") -> bool:
    """Match by trying everything, with a memory; ``*`` and ``?`` do not stand for the separator."""

    @functools.cache
    def rest(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if separator and pattern.startswith("**/", i) and (i == 0 or pattern[i - 1] == "/"):
            return any(rest(i + 3, end) for end in range(j, len(text) + 1) if end == j or text[end - 1] == "/")
        if separator and pattern.startswith("**", i):
            return any(rest(i + 2, end) for end in range(j, len(text) + 1))
        if pattern[i] == "*":
            ends = range(j, len(text) + 1)
            return any(rest(i + 1, end) for end in ends if not separator or separator not in text[j:end])
        if j == len(text):
            return False
        return (pattern[i] == text[j] or (pattern[i] == "?" and text[j] != separator)) and rest(i + 1, j + 1)

    return rest(0, 0)


def _camera(facts: Facts, value: str) -> bool:
    camera, pattern = facts.info.details.camera.casefold(), value.casefold()
    if "*" not in pattern and "?" not in pattern:
        return bool(camera) and pattern in camera
    return bool(camera) and glob(pattern, camera, "")


def _told(facts: Facts, value: str) -> bool:
    words, wanted = words_of(facts.info.details.told), words_of(value, "*?")
    return any(
        all(glob(one, word, "") for one, word in zip(wanted, words[at : at + len(wanted)], strict=True))
        for at in range(len(words) - len(wanted) + 1)
    )


def words_of(text: str, more: str = "") -> list[str]:
    """Cut text into words; Chinese characters are one each."""
    words = [""]
    for letter in text.casefold():
        if "\u4e00" <= letter <= "\u9fff":
            words += [letter, ""]
        elif letter.isalnum() or letter == "_" or letter in more:
            words[-1] += letter
        else:
            words.append("")
    return [word for word in words if word]


def _near(facts: Facts, value: str) -> bool:
    latitude, longitude, radius = value.split(",")
    details = facts.info.details
    if details.latitude is None or details.longitude is None:
        return False
    radius_m = float(radius.rstrip("km")) * (1000 if radius.endswith("km") else 1)
    one, other = _on_sphere(details.latitude, details.longitude), _on_sphere(float(latitude), float(longitude))
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.dist(one, other) / 2)) <= radius_m


def _on_sphere(latitude: float, longitude: float) -> tuple[float, float, float]:
    up, along = math.radians(latitude), math.radians(longitude)
    return math.cos(up) * math.cos(along), math.cos(up) * math.sin(along), math.sin(up)


def _box(facts: Facts, value: str) -> bool:
    south, west, north, east = map(float, value.split(","))
    details = facts.info.details
    if details.latitude is None or details.longitude is None:
        return False
    width = east - west if east >= west else east - west + 360
    eastward = (details.longitude - west) % 360
    return south <= details.latitude <= north and eastward <= width


_NAMES: dict[str, Callable[[Facts, str], bool]] = {
    "kind": lambda facts, value: facts.info.kind == value,
    "ext": lambda facts, value: os.path.splitext(facts.path)[1][1:].lower() == value,  # noqa: PTH122
    "path": _path,
    "name": lambda facts, value: glob(value.lower(), facts.path.rpartition("/")[2].lower()),
    "orientation": lambda facts, value: (
        value == ("landscape" if facts.info.width > facts.info.height else "portrait")
        if facts.info.width != facts.info.height
        else value == "square" and facts.info.width > 0
    ),
    "camera": _camera,
    "keyword": lambda facts, value: any(
        glob(value.casefold(), word.casefold(), "") for word in facts.info.details.keywords
    ),
    "told": _told,
    "near": _near,
    "box": _box,
}

# -------------------------------------------------------------------------------------------------- files and filters

CAMERAS = ("", "", "NIKON D850", "Canon EOS 5D", "Apple iPhone 12", "Apple iPhone 12 Pro", "Björn Öffner 3")
WORDS = ("Holiday", "sea", "Éte", "家族", "b&w", "2024", "Holiday home", "[x]", "work/today")
TEXTS = (
    "",
    "",
    "A ferry at dusk",
    "The ferry's captain, at DAWN",
    "一只猫在窗台上",
    "Mein Sommer 2024\nÜber den Dächern",
    "*",
)
PLACES = (
    (48.8577, 2.295),
    (48.86, 2.35),
    (-33.8568, 151.2153),
    (52.0, 179.5),
    (52.0, -179.5),
    (-90.0, 0.5),
    (0.0, -180.0),
)
SIZES = ((4000, 3000), (3000, 4000), (1920, 1080), (1080, 1920), (512, 512), (1, 1), (640, 480), (0, 0))
FOLDERS = ("/m/Holiday", "/m/holiday/deep/er", "/m/50%_off", "/m/[x]/café", "/m", "/other/m")
NAMES = ("IMG_{:04}.jpg", "DSC{:05}.JPG", "film {:03}.mp4", "scan_{:03}.png", "photo-{:04}.heic", "noext{:04}")

VALUES: dict[str, Sequence[str | float]] = {
    "kind": ("image", "video"),
    "ext": ("jpg", "mp4", "png", "heic", ""),
    "path": (
        "**", "*", "holiday/**", "m/*", "*.jpg", "**/IMG*", "50%_off/*", "50_*/*", "s?an*", "/m/*", "m/**/*.jpg", "h*",
    ),
    "name": ("IMG_*", "img_00?0.jpg", "*.JPG", "*", "**", "film 003.mp4", "none"),
    "date": ("2024", "2024-05", "2024-04-30", "2024-05-01T00", "1970-01-01", "9999", *RELATIVE),
    "taken": ("2024", "2024-05-01", "2024-12-31T23:59:59", *RELATIVE),
    "modified": ("2023", "2024-05-01T12:30", *RELATIVE),
    "size": (0, 5.0, 7.0, 1e6, 5e5, 2.0**40),
    "duration": (0.0, 59.9, 60.0, 61.5),
    "width": (1.0, 640.0, 1080.0, 1920.0),
    "height": (1.0, 1080.0, 3000.0),
    "megapixels": (0.0, 1.0, 2.0736, 12.0, 12.5),
    "aspect": (1.0, 16 / 9, 4 / 3, 0.5625),
    "orientation": ("landscape", "portrait", "square"),
    "camera": ("nikon", "apple", "iPhone 12", "Apple iPhone 12", "*12", "*5d", "?anon*", "BJÖRN", "*", "x"),
    "rating": (0.0, 1.0, 3.5, 5.0),
    "keyword": ("holiday", "HOLIDAY*", "éte", "家族", "b&w", "2*", "[x]", "*", "none", "?ea"),
    "told": ("ferry", "FERRY AT", "dawn", "猫", "窗台", "fer*", "s?mmer", "dächern", "*", "ferry dusk", "at d*"),
    "near": ("48.86,2.35,5km", "48.8577,2.295,1m", "0,0,20015km", "52,180,100km", "-90,77,60km", "10,10,500m"),
    "box": ("48,2,49,3", "-90,-180,90,180", "51,179,53,-179", "-34,150,0,180", "48.8577,2.295,48.8577,2.295", "1,2,3,1",
            "-90,180,90,180", "-90,180,90,-170"),
}  # fmt: skip
"""What random comparisons compare with, in the canonical form of each field."""
UNORDERED = frozenset({"kind", "ext", "path", "name", "orientation", "camera", "keyword", "told", "near", "box"})


def random_term(rng: random.Random) -> Term:
    """Return a comparison of any field with one of ``VALUES``."""
    field = rng.choice(list(VALUES))
    return Term(field, rng.choice(NAMED if field in UNORDERED else ORDER), rng.choice(VALUES[field]))


def random_where(rng: random.Random, depth: int = 3) -> Where:
    """Return a filter of up to a dozen comparisons."""
    kind = rng.random()
    if depth == 0 or kind < 0.4:
        return random_term(rng)
    if kind < 0.5:
        return Not(random_where(rng, depth - 1))
    clauses = tuple(random_where(rng, depth - 1) for _ in range(rng.choice((2, 2, 3))))
    return And(clauses) if kind < 0.75 else Or(clauses)


def random_facts(rng: random.Random, number: int, today: date) -> Facts:
    """Return an invented file; its number keeps its path from being another's."""
    path = f"{rng.choice(FOLDERS)}/{rng.choice(NAMES).format(number)}"
    video = rng.random() < 0.3
    width, height = rng.choice(SIZES)
    place = rng.choice(PLACES) if rng.random() < 0.5 else (None, None)
    details = Details(
        rng.choice(CAMERAS),
        *place,
        rng.choice((None, None, 0, 1, 2, 3, 4, 5)),
        tuple(rng.sample(WORDS, rng.choice((0, 0, 1, 3)))),
        rng.choice(TEXTS),
    )
    moment = datetime.combine(today, time(12)) - timedelta(
        seconds=rng.choice((0, 86_400, 10**6, 10**7, 10**8)) * rng.random()
    )
    known = rng.choice((None, moment.isoformat(timespec="seconds"), "2024-05-01T00:00:00", "2024-04-30T23:59:59+02:00"))
    info = MediaInfo(
        "video" if video else "image",
        width,
        height,
        rng.choice((0.0, 59.9, 60.0, 61.5, 600.0)) if video else None,
        known,
        "",
        details,
    )
    mtime_ns = int(moment.timestamp() - rng.choice((0, 3600, 86_400))) * 10**9
    return Facts(
        path, info, rng.choice((0, 5, 7, 10**6, rng.randrange(10**7))), mtime_ns, rng.randint(2, 6) if video else 1
    )


class World:
    """Invented files with random vectors, the collection that holds them, and exact answers by NumPy."""

    def __init__(self, files: int, dim: int, seed: int, today: date) -> None:
        rng = random.Random(seed)
        self.files = [random_facts(rng, number, today) for number in range(files)]
        self.today = today
        self.owner = np.repeat(np.arange(files), [facts.items for facts in self.files])
        self.vectors = unit_rows(np.random.default_rng(seed), len(self.owner), dim)
        self.keys: Keys = np.empty(0, np.int64)
        self._masks: dict[Term, Mask] = {}

    def write(self, collection: Collection) -> None:
        """Put all files into a collection."""
        source = collection.add_source(Path("/"))
        keys: list[Keys] = []
        at = 0
        with collection.transaction() as writer:
            for facts in self.files:
                entry = Entry(Path(facts.path), facts.size_bytes, facts.mtime_ns)
                items = [Item(float(n), float(n), n + 1.0) for n in range(facts.items)] if facts.items > 1 else [Item()]
                rows = self.vectors[at : at + facts.items]
                keys.append(writer.put(source.id, entry, facts.info, None, items, rows))
                at += facts.items
        self.keys = np.concatenate(keys)

    def selected(self, where: Where) -> Mask:
        """Return which files a filter selects, by the plain reading of its comparisons."""
        match where:
            case And(clauses):
                return np.logical_and.reduce([self.selected(clause) for clause in clauses])
            case Or(clauses):
                return np.logical_or.reduce([self.selected(clause) for clause in clauses])
            case Not(clause):
                return ~self.selected(clause)
        if where not in self._masks:
            self._masks[where] = np.array([holds(where, facts, self.today) for facts in self.files])
        return self._masks[where]

    def best(self, query: np.ndarray, where: Where, k: int) -> tuple[set[int], set[int]]:
        """Return the keys of the k best, and those which may stand for them: what scores as well but for rounding."""
        chosen = np.flatnonzero(self.selected(where)[self.owner])
        scores = self.vectors[chosen].astype(np.float64) @ query.astype(np.float64)
        order = np.argsort(-scores, kind="stable")[:k]
        least = scores[order[-1]] if len(order) else 0.0
        return set(self.keys[chosen[order]].tolist()), set(self.keys[chosen[scores >= least - 1e-6]].tolist())


def unit_rows(rng: np.random.Generator, count: int, dim: int) -> FloatMatrix:
    """Return rows of length 1 in a few clusters, which float16 holds nearly."""
    centres = np.random.default_rng(7).standard_normal((20, dim))
    rows = centres[rng.integers(20, size=count)] + 0.8 * rng.standard_normal((count, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)
