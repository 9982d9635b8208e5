"""The records that flow through the engine.

A file on disk is decoded to samples, samples become vectors, vectors are stored under keys, and a query turns into
matches (keys and scores) and finally into hits (files and moments). Everything here is immutable and knows nothing of
file formats, models or storage; numpy is the only import.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "video"]
"""What a media file is: a still picture, or anything with frames in time (animated pictures included)."""

FloatMatrix = NDArray[np.float32]
"""``(n, dim) float32``; vectors of an embedder have rows of length 1."""
Keys = NDArray[np.int64]
"""``(n,) int64`` keys: the primary key of an item's row and its id in the vector index."""
Pixels = NDArray[np.uint8]
"""``(height, width, 3) uint8`` RGB, as shown: orientation applied, transparency composed on white."""


class Details(NamedTuple):
    """What a file, or a file beside it, says of itself in words and numbers.

    ``latitude`` and ``longitude`` are degrees, north and east positive; ``rating`` is 0 to 5; ``told`` is its title,
    description or caption. ``None`` or nothing where it does not say.
    """

    camera: str = ""
    latitude: float | None = None
    longitude: float | None = None
    rating: int | None = None
    keywords: tuple[str, ...] = ()
    told: str = ""


class Track(NamedTuple):
    """What a video looks like from moment to moment, coarsely: all frames that were looked at, kept or not.

    ``at_s`` is ``(n,) float64`` seconds, rising; ``signatures`` is ``(n, 96) uint8``: 8x8 cells of luma by rows, then
    4x4 cells of two chroma differences + 128 each. ``cuts_s`` is ``(m,) float64``: when another shot begins; 0 is not
    among them.
    """

    at_s: NDArray[np.float64]
    signatures: NDArray[np.uint8]
    cuts_s: NDArray[np.float64]


class MediaInfo(NamedTuple):
    """What is known of a media file besides its pixels.

    ``width`` and ``height`` are pixels as shown (after rotation), ``duration_s`` is seconds (``None`` for pictures) and
    ``taken_at`` is ISO 8601 (``2024-05-01T12:30:00``, with an offset where the file has one) or ``None``. ``track`` is
    that of a video, once its frames have been read.
    """

    kind: Kind
    width: int
    height: int
    duration_s: float | None
    taken_at: str | None
    format: str
    details: Details = Details()
    track: Track | None = None


class Item(NamedTuple):
    """One searchable thing: a picture, or one frame of a video.

    ``at_s`` is the time of the frame in seconds from the start of the video; the frame stands for everything shown
    from ``start_s`` to ``end_s`` (near-static stretches are thinned to one frame). All are ``None`` for a picture.
    ``shot`` counts the shots of the video from 0. ``signature`` is what it looks like, coarsely, in 384 bytes: 16x16
    cells of luma by rows, then 8x8 cells of two chroma differences + 128 each; empty where it is not known.
    """

    at_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    shot: int | None = None
    signature: bytes = b""


class Sample(NamedTuple):
    """An item with its pixels; lives only inside the pipeline."""

    item: Item
    pixels: Pixels


class Matches(NamedTuple):
    """The nearest keys of each query vector, best first.

    ``keys`` is ``(q, k) int64`` with ``-1`` where fewer than k exist; ``scores`` is ``(q, k) float32`` inner products
    (cosine similarity, higher is better) with ``-inf`` beside a ``-1``.
    """

    keys: Keys
    scores: NDArray[np.float32]


PartKind = Literal["text", "image", "clip", "item", "vector"]


class Part(NamedTuple):
    """One part of a query: words, a picture file, a clip file, a stored item, or a file of vectors.

    ``value`` is the words, the file's path, or an item as ``path``, ``path#t=12.5`` or with a region,
    ``path#xywh=160,120,320,240`` (see ``query.read_item``). A file given where a picture or clip is meant is told apart
    by its content when the query is embedded; ``image`` stands for both until then. ``weight`` < 0 takes it away.
    """

    kind: PartKind
    value: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a filter: ``field op value``, as in ``kind:video`` or ``size>1MB``.

    ``value`` is normalised to the unit of the column: bytes for size, seconds for duration, pixels for width and
    height, stars for rating, a canonical period (``filters.periods``) or place (``filters.places``), lower case for
    ext, kind and orientation; patterns stay as they are. ``text`` is the value as written.
    """

    field: str
    op: Literal[":", "=", "!=", "<", "<=", ">", ">="]
    value: str | float
    text: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that ``clause`` does not select."""

    clause: "Where"


@dataclass(frozen=True, slots=True)
class And:
    """What all ``clauses`` select."""

    clauses: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What at least one of ``clauses`` selects."""

    clauses: tuple["Where", ...]


Where = Term | Not | And | Or
"""A filter over files, as parsed from ``--where``."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: weighted parts and an optional filter. ``str`` prints it in the grammar of ``query``."""

    parts: tuple[Part, ...]
    where: Where | None = None

    def __str__(self) -> str:
        from retrieval.query import format_query

        return format_query(self)


class Share(NamedTuple):
    """What one part of a query adds to a score; the shares of all its parts sum to the score (to 1e-6).

    ``at_s`` is the time, in seconds, of the best matching keyframe where the part is a clip, else ``None``.
    """

    part: Part
    share: float
    at_s: float | None = None


class Hit(NamedTuple):
    """One result as shown: a picture, or a moment of a video.

    ``score`` is the cosine similarity of the best frame with the query (higher is better; not a probability).
    ``start_s``, ``end_s`` and ``at_s`` (the best frame) are seconds, ``None`` for a picture. ``item`` names the hit so
    that it can be used as a query: ``path`` or ``path#t=12.5``. ``shares`` has one entry a part of the query, in their
    order, when they were asked for. ``also`` names the hits that are like this one
    and were folded into it, when that was asked for.
    ``probability`` is that of the hit being what was asked for, 0 to 1, where it is known: with the automatic cut (see
    ``SearchOptions.cut``); unlike scores it may be compared between queries. ``speed`` is there where a clip was asked
    with and the moment is the very stretch that it shows: how many times as fast as the video the clip is.
    """

    rank: int
    score: float
    path: str
    kind: Kind
    start_s: float | None
    end_s: float | None
    at_s: float | None
    item: str
    width: int
    height: int
    taken_at: str | None
    key: int
    shares: tuple[Share, ...] = ()
    also: tuple[str, ...] | None = None
    probability: float | None = None
    speed: float | None = None


class Cutting(NamedTuple):
    """What a cut came to.

    ``relevant`` says whether there is anything relevant at all, ``limit`` is the rate of false alarms or the score that
    was asked for, ``best`` is the score of the best hit before the cut.
    Of the automatic cut, ``chance`` is the probability that the collection holds what was asked for, and ``p_value``
    how often a query for what is not there looks as good; ``None`` for a cut at a score.
    """

    relevant: bool
    limit: float
    best: float
    chance: float | None = None
    p_value: float | None = None


class Hits(NamedTuple):
    """The answer to a query, best first; ``searched`` is how many items the filter left to choose from.

    ``cut`` is what the cut came to, ``None`` without one or where it could not be made (a note says why).
    """

    query: Query
    hits: tuple[Hit, ...]
    searched: int
    notes: tuple[str, ...] = ()
    cut: Cutting | None = None
