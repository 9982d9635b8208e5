"""Laws of the overlap of moments, and the figures made of it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.evaluation.moments import (
    MEAN_IOU,
    Place,
    Span,
    best_overlaps,
    format_place,
    iou,
    meets,
    moment_values,
    parse_place,
)

law = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Eighths of a second are exact in binary, so that laws of sums hold exactly.
eighths = st.integers(0, 80_000).map(lambda n: n / 8)
spans = st.tuples(eighths, eighths).map(lambda pair: Span(*sorted(pair)))
short = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: Span(pair[0] / 8, sum(pair) / 8))
places = st.builds(Place, st.sampled_from(["a.mp4", "b.mp4"]), st.none() | spans)


@law
@given(spans, spans)
def test_overlap_is_symmetric_and_a_share(a, b):
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1


@law
@given(spans, spans)
def test_overlap_is_one_for_equal_spans_alone(a, b):
    assert iou(a, a) == 1
    assert (iou(a, b) == 1) == (a == b)


@law
@given(spans, spans, eighths)
def test_overlap_does_not_depend_on_when(a, b, later_s):
    shifted = [Span(one.start_s + later_s, one.end_s + later_s) for one in (a, b)]
    assert iou(*shifted) == iou(a, b)


@law
@given(short, short)
def test_overlap_is_intersection_over_union_of_the_eighths_covered(a, b):
    first, second = ({n for n in range(80) if one.start_s <= n / 8 < one.end_s} for one in (a, b))
    assert iou(a, b) == pytest.approx(len(first & second) / len(first | second))


@law
@given(spans, spans)
def test_what_overlaps_meets(a, b):
    here, there = Place("a.mp4", a), Place("a.mp4", b)
    assert meets(here, there) == meets(there, here)
    assert meets(here, here)
    if iou(a, b) > 0:
        assert meets(here, there)
    assert not meets(here, Place("b.mp4", b))
    assert meets(here, Place("a.mp4"))


def test_moments_that_only_touch_do_not_meet():
    assert not meets(Place("a", Span(0, 3)), Place("a", Span(3, 5)))
    assert meets(Place("a", Span(3, 3)), Place("a", Span(3, 5)))  # a frame at the start of the moment
    assert not meets(Place("a", Span(2, 2)), Place("a", Span(3, 5)))


@law
@given(places)
def test_places_are_read_as_they_are_written(place):
    assert parse_place(format_place(place)) == place


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("b.mp4#t=3-7.5", Place("b.mp4", Span(3, 7.5))),
        ("b.mp4#t=1:03-01:02:07.500", Place("b.mp4", Span(63, 3727.5))),
        ("odd#t=1-2#t=3-4", Place("odd#t=1-2", Span(3, 4))),
        ("b.mp4#t=3", Place("b.mp4#t=3")),
        ("b.mp4#t=3-", Place("b.mp4#t=3-")),
        ("b.mp4#t=-3-4", Place("b.mp4#t=-3-4")),
        ("#t=3-4", Place("#t=3-4")),
        ("b.mp4#t=٣-٤", Place("b.mp4#t=٣-٤")),
    ],
)
def test_names_of_moments(name, place):
    assert parse_place(name) == place


def test_overlaps_are_those_of_the_first_five_hits_with_the_best_moment_of_their_file():
    labelled = [Place("a", Span(0, 4)), Place("a", Span(10, 12)), Place("b", Span(0, 1))]
    found = [
        Place("c", Span(0, 4)),
        Place("a", Span(2, 4)),
        Place("a", Span(10, 12)),
        Place("b"),
        Place("a", Span(5, 9)),
        Place("b", Span(0, 1)),
    ]
    assert best_overlaps(found, labelled).tolist() == [0, 0.5, 1, 0, 0]
    assert best_overlaps(found[1:2], labelled).tolist() == [0.5, 0, 0, 0, 0]
    assert best_overlaps([], labelled).tolist() == [0] * 5


def test_figures_of_moments():
    overlaps = np.array([[0.5, 1, 0, 0, 0], [0.69, 0, 0, 0, 0.7], [0, 0, 0, 0, 0.49], [1, 0, 0, 0, 0]])
    found = moment_values(overlaps)
    assert list(found) == ["R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,IoU=0.5", "R@5,IoU=0.7", "mIoU"]
    assert found["R@1,IoU=0.5"].tolist() == [100, 100, 0, 100]
    assert found["R@1,IoU=0.7"].tolist() == [0, 0, 0, 100]
    assert found["R@5,IoU=0.5"].tolist() == found["R@5,IoU=0.7"].tolist() == [100, 100, 0, 100]
    assert found[MEAN_IOU].mean() == pytest.approx(100 * (0.5 + 0.69 + 1) / 4)


@law
@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=8))
def test_more_hits_and_less_overlap_never_lower_a_figure(rows):
    found = {name: float(one.mean()) for name, one in moment_values(np.array(rows)).items()}
    assert found["R@1,IoU=0.7"] <= found["R@1,IoU=0.5"] <= found["R@5,IoU=0.5"] <= 100
    assert found["R@1,IoU=0.7"] <= found["R@5,IoU=0.7"] <= found["R@5,IoU=0.5"]
    assert found[MEAN_IOU] <= 100 + 1e-9
