"""Measures search on one's own library: labelled queries against a collection, asked the way searches are served.

A hit is right for a picture or a whole video when it is of that file. It is right for a moment when its best frame, the
one a player would be sent to, stands for some part of the moment (a frame stands for the time until the next one that
was kept). Each right thing is found once: further hits of it take up places as wrong ones do, as they do on the screen.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from retrieval.errors import DatasetError, MediaError, QueryError
from retrieval.evaluation.measures import MEDIAN, TIE, Rankings, Values, never
from retrieval.evaluation.moments import Place, Span, best_overlaps, format_place, meets, moment_values
from retrieval.evaluation.notation import RECALLS, Measure, summary, values
from retrieval.evaluation.queries import read_queries
from retrieval.evaluation.results import SHOWN, Asked, Summary, Table
from retrieval.evaluation.significance import Interval, bootstrap
from retrieval.evaluation.targets import Question, Target, Targets
from retrieval.messages import N_, _, retold
from retrieval.search import Searcher

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection
    from retrieval.types import Hit, Query

DEPTH = 100
"""So many hits are asked for; what is right and not among them counts as never found."""

_DECIMALS = 3


class Figures(NamedTuple):
    """Figures by name, per cent but for ranks, with the 95 % bootstrap intervals over queries of each."""

    queries: int
    figures: dict[str, float]
    interval_95: dict[str, Interval]


class LibraryReport(NamedTuple):
    """What came of the labelled queries of one file.

    ``found`` is where the right hits stand. ``moments`` is how well the first hits lie on labelled moments, of the
    queries all of whose right things are moments. ``gallery`` counts the searchable items, ``depth`` is how many hits
    were asked for. ``asked`` has one record a query, in the order of the file, with absolute paths; a found moment is
    named by the stretch its best frame stands for, and ``to_json`` leaves ``asked`` out. ``unreadable`` are files that
    are named as right and cannot be found, with the reason; they count as never found. ``notes`` are what the searches
    had to say, ``model`` the name and fingerprint of the model, ``data`` the SHA-256 (hex) of the file of queries.
    """

    found: Figures
    moments: Figures
    gallery: int
    depth: int
    asked: tuple[Asked, ...]
    unreadable: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]
    model: dict[str, Any]
    data: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: the counts and figures first, then intervals, failures and the model."""
        return {
            "queries": self.found.queries,
            "items": self.gallery,
            "library": _rounded(self.found.figures),
            "moments": {
                "queries": self.moments.queries,
                "left_out": self.found.queries - self.moments.queries,
                **_rounded(self.moments.figures),
            },
            "interval_95": {"library": _intervals(self.found), "moments": _intervals(self.moments)},
            "depth": self.depth,
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.unreadable],
            "notes": list(self.notes),
            "model": self.model,
            "data": self.data,
        }


class _Answer(NamedTuple):
    """What came of one question: the hits' names and scores, and rank and grade of each target, best rank first."""

    found: tuple[tuple[str, float], ...]
    ranks: tuple[int, ...]
    grades: tuple[int, ...]
    overlaps: Values | None


def evaluate_library(
    queries: Path,
    collection: "Collection",
    embedder: "Embedder",
    *,
    depth: int = DEPTH,
    measures: Sequence[Measure] = (),
    progress: Callable[[int, int], None] | None = None,
) -> LibraryReport:
    """Ask each labelled query of a file (see ``queries.py``) and measure where the right hits stand.

    Queries go through ``Searcher.search``, with their filters and at most three moments of a video, to ``depth`` hits
    or as deep as a measure looks. Ties count against the model. ``measures`` are R@1, R@5, R@10, the median rank, RR
    and AP to the depth, and nDCG@10 unless others are given. ``progress`` is told how many queries are done, of all.

    Raises:
        DatasetError: the file cannot be read, or a line cannot be used; the message names the line.
        ModelMismatch: the collection was made with another model.
        CollectionError: the collection cannot be read.
    """
    searcher, targets = Searcher(collection, embedder), Targets(queries, collection)
    questions = [targets.question(line) for line in read_queries(queries)]
    chosen, depth = _chosen(measures, depth)
    gallery, notes = collection.count(), dict[str, None]()
    answers = []
    for question in questions:
        answers.append(_answer(searcher, question, depth, never(gallery), queries, notes))
        if progress:
            progress(len(answers), len(questions))
    return LibraryReport(
        _found_figures(answers, chosen, gallery),
        _moment_figures(answers),
        gallery,
        depth,
        tuple(_asked(*pair, gallery) for pair in zip(questions, answers, strict=True)),
        tuple((Path(path), reason) for path, reason in sorted(targets.unreadable.items())),
        tuple(notes),
        {"name": embedder.spec.name, **embedder.spec.fingerprint()},
        _digest(queries),
    )


def _chosen(measures: Sequence[Measure], depth: int) -> tuple[Sequence[Measure], int]:
    """Return what to measure, and how deep that must look."""
    if not measures:
        depth = max(depth, SHOWN)
        measures = (*RECALLS, Measure(MEDIAN), Measure("RR", depth), Measure("AP", depth), Measure("nDCG", 10))
    return measures, max([depth, *(measure.k or 0 for measure in measures)])


def summary_of(report: LibraryReport, queries: Path) -> Summary:
    """Return what stands above the single queries: the counts, and the figures with their intervals as tables."""
    tables = [_table(N_("Where the right ones stand"), report.found, report.depth)]
    if report.moments.queries:
        heading = N_("Moments: how well they lie, {queries:,} queries")
        if report.moments.queries == 1:
            heading = N_("Moments: how well they lie, 1 query")
        tables.append(_table(heading.format(queries=report.moments.queries), report.moments, report.depth))
    counts = (("queries", report.found.queries), ("items", report.gallery), ("hits looked at", report.depth))
    return Summary(f"Search on {queries.name}", report.model["name"], counts, tuple(tables), queries.absolute().parent)


def ranks_of(
    hits: Sequence[tuple[Place, float]], targets: Sequence[Target], last: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the rank of each target among the hits, ascending, and its grade; ``last`` for one that is not found.

    ``hits`` are places with scores, best first. Each hit answers one target, the most relevant that is not answered
    yet. A right hit stands behind all other hits that score as high within ``TIE``, and of right ones that tie the less
    relevant one comes first.
    """
    answered = _answered(hits, targets)
    right = sorted((hits[place][1], targets[target].grade, place) for place, target in answered.items())
    wrong = np.array([score for place, (_, score) in enumerate(hits) if place not in answered])
    ordered = sorted(right, key=lambda one: (-round(one[0] / TIE), one[1]))
    ranks = [nth + int((wrong >= score - TIE).sum()) for nth, (score, _, _) in enumerate(ordered, 1)]
    found = set(answered.values())
    missed = [target.grade for at, target in enumerate(targets) if at not in found]
    return (*ranks, *[last] * len(missed)), (*(grade for _, grade, _ in ordered), *missed)


def _answered(hits: Sequence[tuple[Place, float]], targets: Sequence[Target]) -> dict[int, int]:
    """Return which target each hit answers, both as places."""
    waiting: dict[str, list[int]] = {}
    for at in sorted(range(len(targets)), key=lambda at: -targets[at].grade):
        waiting.setdefault(targets[at].place.path, []).append(at)
    answered: dict[int, int] = {}
    for place, (hit, _score) in enumerate(hits):
        of_file = waiting.get(hit.path, [])
        right = next((at for at in of_file if meets(hit, targets[at].place)), None)
        if right is not None:
            answered[place] = right
            of_file.remove(right)
    return answered


def _answer(
    searcher: Searcher, question: Question, depth: int, last: int, file: Path, notes: dict[str, None]
) -> _Answer:
    try:
        hits = searcher.search(question.query, depth)
    except (QueryError, MediaError) as error:
        raise DatasetError(
            _("{path}, line {number}: {reason}").format(path=file, number=question.number, reason=retold(str(error)))
        ) from None
    notes.update(dict.fromkeys(hits.notes))
    places = list(zip(_pointed_at(searcher, hits.hits), (hit.score for hit in hits.hits), strict=True))
    targets = [target.place for target in question.targets]
    return _Answer(
        tuple((format_place(place), score) for place, score in places[:SHOWN]),
        *ranks_of(places, question.targets, last),
        best_overlaps([_shown(hit) for hit in hits.hits], targets) if all(one.span for one in targets) else None,
    )


def _pointed_at(searcher: Searcher, hits: Sequence["Hit"]) -> list[Place]:
    """Return what the best frame of each hit stands for."""
    keys = [hit.key for hit in hits if hit.kind == "video"]
    try:
        rows = {row.key: row for row in searcher.collection.items(keys)} if keys else {}
    except KeyError:  # a file was removed since the search
        rows = {}
    found = []
    for hit in hits:
        row = rows.get(hit.key)
        if row is None or row.start_s is None or row.end_s is None:
            found.append(_shown(hit))
        else:
            found.append(Place(hit.path, Span(row.start_s, row.end_s)))
    return found


def _shown(hit: "Hit") -> Place:
    return Place(hit.path, None if hit.start_s is None or hit.end_s is None else Span(hit.start_s, hit.end_s))


def _asked(question: Question, answer: _Answer, gallery: int) -> Asked:
    picture = _lone_picture(question.query)
    return Asked(
        "library",
        str(question.query) if picture is None else picture,
        picture is not None,
        tuple(format_place(target.place) for target in question.targets),
        answer.found,
        answer.ranks[0],
        tuple(rank for rank in answer.ranks if rank <= gallery),
        answer.grades if any(grade != 1 for grade in answer.grades) else None,
    )


def _lone_picture(query: "Query") -> str | None:
    """Return the path when the query is one picture and nothing else."""
    if len(query.parts) == 1 and query.parts[0].kind == "image" and query.parts[0].weight > 0 and query.where is None:
        return query.parts[0].value
    return None


def _found_figures(answers: Sequence[_Answer], measures: Sequence[Measure], gallery: int) -> Figures:
    rankings = Rankings(
        np.cumsum([0, *(len(answer.ranks) for answer in answers)]),
        np.array([rank for answer in answers for rank in answer.ranks], dtype=np.int64),
        np.array([grade for answer in answers for grade in answer.grades], dtype=np.float64),
        np.array([answer.ranks[0] for answer in answers], dtype=np.int64),
        gallery,
    )
    found = {str(measure): values(measure, rankings) for measure in measures}
    middles = {name: one for name, one in found.items() if name == MEDIAN}
    means = {name: one for name, one in found.items() if name != MEDIAN}
    drawn = bootstrap(means, np.arange(len(answers)), medians=middles)
    return Figures(
        len(answers),
        {str(measure): summary(measure, found[str(measure)]) for measure in measures},
        {name: drawn[name] for name in found},
    )


def _moment_figures(answers: Sequence[_Answer]) -> Figures:
    overlaps = [answer.overlaps for answer in answers if answer.overlaps is not None]
    if not overlaps:
        return Figures(0, {}, {})
    found = moment_values(np.stack(overlaps))
    means = {name: float(one.mean()) for name, one in found.items()}
    return Figures(len(overlaps), means, bootstrap(found, np.arange(len(overlaps))))


def _table(heading: str, found: Figures, depth: int) -> Table:
    def cell(name: str, figure: float) -> str:
        if not name.endswith("_rank"):
            return f"{figure:.1f}"
        return N_("over {depth:,}").format(depth=depth) if figure > depth else f"{figure:g}"

    rows = []
    for name, figure in found.figures.items():
        low, high = (cell(name, end) for end in found.interval_95[name])
        rows.append((name.replace("_", " "), cell(name, figure), f"[{low}, {high}]"))
    return Table(heading, (N_("measure"), N_("figure"), N_("95 % interval")), tuple(rows))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, _DECIMALS) for name, figure in figures.items()}


def _intervals(found: Figures) -> dict[str, list[float]]:
    return {name: [round(low, _DECIMALS), round(high, _DECIMALS)] for name, (low, high) in found.interval_95.items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
