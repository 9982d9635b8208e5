"""Blending parts to probes, and cutting scored frames to moments: laws and worked examples."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from retrieval.ranking import (
    MAX_MOMENT_S,
    MAX_PROBES,
    TOLERANCE,
    Embedded,
    Moment,
    best_scores,
    blend,
    mix,
    moments,
    shares,
    spread,
    thin,
)


def unit(rows) -> np.ndarray:
    rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_units(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, dim)))


def text(rows, weight: float = 1.0) -> Embedded:
    return Embedded(unit(rows), weight, "text")


def picture(rows, weight: float = 1.0) -> Embedded:
    return Embedded(unit(rows), weight, "picture")


# --------------------------------------------------------------------------------------------------------- blend


def test_a_single_part_is_used_as_it_is():
    rows = random_units(1)
    assert np.array_equal(blend([Embedded(rows, 0.3, "text")]), rows)


def test_parts_sum_by_weight():
    x, y = np.eye(4, dtype=np.float32)[:2]
    assert blend([text(x, 2.0), text(y)]) == pytest.approx(unit([2, 1, 0, 0]))
    assert blend([text(x), text(y, -0.5)]) == pytest.approx(unit([1, -0.5, 0, 0]))


def test_taking_away_lowers_what_is_alike():
    dog, snow = random_units(2)
    both = unit(dog + snow)
    before = best_scores(both, blend([text(dog)]))
    after = best_scores(both, blend([text(dog), text(snow, -1.0)]))
    assert after < before


def test_a_clip_is_a_probe_for_each_keyframe_and_a_score_is_the_best():
    frames = random_units(5)
    probes = blend([Embedded(frames, 1.0, "picture")])
    assert np.array_equal(probes, frames)
    assert best_scores(frames, probes) == pytest.approx(np.ones(5), abs=1e-6)


def test_words_are_added_to_each_frame_of_a_clip():
    base, frames = random_units(1, seed=1), random_units(3, seed=2)
    expected = unit(base + 0.5 * frames)
    assert blend([text(base), Embedded(frames, 0.5, "picture")]) == pytest.approx(expected, abs=1e-6)


def test_a_clip_taken_away_counts_by_its_mean():
    base, frames = random_units(1, seed=1), random_units(3, seed=2)
    expected = unit(base - unit(frames.mean(axis=0)))
    assert blend([text(base), Embedded(frames, -1.0, "picture")]) == pytest.approx(expected, abs=1e-6)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(-3, 3).filter(bool), st.booleans()), min_size=1, max_size=4),
    st.lists(st.sampled_from([0.0, 0.001, 0.2]), min_size=4, max_size=4),
)
def test_probes_are_few_and_of_length_one(shapes, spreads):
    assume(any(weight > 0 for _, weight, _ in shapes))
    parts = [
        Embedded(random_units(count, seed=place), weight, "text" if words and count == 1 else "picture", spreads[place])
        for place, (count, weight, words) in enumerate(shapes)
    ]
    probes = blend(parts)
    assert 1 <= len(probes) <= MAX_PROBES
    assert probes.dtype == np.float32
    assert np.linalg.norm(probes, axis=1) == pytest.approx(np.ones(len(probes)), abs=1e-6)


@given(st.floats(1e-300, 1e300))
def test_only_the_proportion_of_weights_counts(factor):
    x, y = random_units(2)
    assert blend([text(x, factor), text(y, 0.5 * factor)]) == pytest.approx(
        blend([text(x, 1.0), text(y, 0.5)]), abs=1e-6
    )


def test_parts_that_cancel_out_are_refused():
    x = random_units(1)
    with pytest.raises(ValueError, match="cancel"):
        blend([text(x), text(x, -1.0)])
    with pytest.raises(ValueError, match="no parts"):
        blend([])


def test_words_and_a_picture_both_have_a_say():
    """Pictures share a cone and differ widely, words score low and differ little: unscaled, the picture decides."""
    rng = np.random.default_rng(5)
    cone, words, look = np.eye(32)[:3]
    meaning, likeness = rng.standard_normal((2, 500))
    stored = unit(
        cone + np.outer(0.05 * meaning, words) + np.outer(0.3 * likeness, look) + rng.normal(0, 0.02, (500, 32))
    )
    parts = [text(words), picture(cone + 0.9 * look)]
    scaled = [part._replace(spread=spread(np.sort(stored @ part.vectors[0])[::-1])) for part in parts]

    def agreement(probes):
        scores = best_scores(stored, probes)
        return abs(np.corrcoef(scores, meaning)[0, 1]), abs(np.corrcoef(scores, likeness)[0, 1])

    plain, balanced = agreement(blend(parts)), agreement(blend(scaled))
    assert plain[0] < 0.35 < 0.8 < plain[1]
    assert balanced[0] > 0.55
    assert balanced[1] > 0.55


def test_parts_of_one_kind_are_not_rescaled():
    x, y = random_units(2)
    assert np.array_equal(
        blend([text(x), text(y)]), blend([text(x)._replace(spread=0.1), text(y)._replace(spread=0.9)])
    )


def test_a_spread_that_is_not_known_changes_nothing():
    words, shown = text(random_units(1, seed=1)), picture(random_units(1, seed=2))
    assert blend([words._replace(spread=0.1), shown]) == pytest.approx(blend([words, shown]))
    assert blend([words._replace(spread=0.1), shown._replace(spread=0.4)])[0] == pytest.approx(
        unit(4 * words.vectors + shown.vectors)[0], abs=1e-6
    )


def test_the_spread_of_scores():
    falling = np.linspace(0.8, 0.3, 101, dtype=np.float32)
    assert spread(falling) == pytest.approx(0.45)
    assert spread(np.concatenate([[1.0, 0.99], falling[2:]])) == pytest.approx(0.45)
    assert spread(np.stack([falling, 2 * falling])) == pytest.approx(0.45 * 1.5)
    assert spread(falling[:19]) == spread(np.full(50, 0.3)) == spread(np.append(falling, -np.inf)) == 0


@given(st.integers(1, 200), st.integers(1, 20))
def test_thinning_is_even(count, most):
    places = thin(np.arange(count, dtype=np.float32)[:, None], most)[:, 0]
    assert len(places) == min(count, most)
    assert len(set(places)) == len(places)
    if most > 2 and count > most:
        assert (places[0], places[-1]) == (0, count - 1)
        assert np.ptp(np.diff(places)) <= 1


def test_scores_are_the_best_of_all_probes_and_never_nan():
    vectors, probes = random_units(20), random_units(3, seed=7)
    assert best_scores(vectors, probes) == pytest.approx((vectors @ probes.T).max(axis=1), abs=1e-6)
    vectors[3] = np.nan
    assert best_scores(vectors, probes)[3] == -1
    assert best_scores(vectors[:0], probes).shape == (0,)


# ------------------------------------------------------------------------------------------------------- moments


@st.composite
def scored_frames(draw):
    """Frames of a video: extents in time order with gaps here and there, and any scores."""
    count = draw(st.integers(1, 40))
    lengths = draw(hnp.arrays(np.float64, count, elements=st.floats(0.01, 50)))
    gaps = draw(hnp.arrays(np.float64, count, elements=st.sampled_from([0.0, 0.0, 0.0, 5.0])))
    share = draw(hnp.arrays(np.float64, count, elements=st.floats(0, 1)))
    score = st.one_of(st.floats(-1, 1), st.sampled_from([0.1, 0.2, 0.3, float("nan")]))
    starts = np.concatenate([[0.0], np.cumsum(lengths + gaps)[:-1]])
    ends = np.minimum(starts + lengths, np.append(starts[1:], np.inf))
    scores = draw(hnp.arrays(np.float64, count, elements=score))
    shots = np.cumsum(draw(hnp.arrays(np.int64, count, elements=st.sampled_from([0, 0, 0, 1, 2]))))
    return scores, starts + share * (ends - starts), starts, ends, shots


@given(scored_frames(), st.integers(1, 5), st.booleans())
def test_moments_keep_the_laws(frames, per_video, known):
    scores, at_s, start_s, end_s, shots = frames
    found = moments(scores, at_s, start_s, end_s, per_video, shots if known else None)
    assert 1 <= len(found) <= per_video
    longest = (end_s - start_s).max()
    for moment in found:
        assert start_s[0] <= moment.start_s <= moment.at_s <= moment.end_s <= end_s[-1]
        assert moment.at_s == at_s[moment.frame]
        assert moment.end_s - moment.start_s <= max(MAX_MOMENT_S, longest)
        inside = (start_s >= moment.start_s) & (end_s <= moment.end_s)
        assert moment.score == np.nan_to_num(scores, nan=-1.0)[inside].max()
        assert not known or len(set(shots[inside])) == 1
    in_time = sorted(found)
    assert all(left.end_s <= right.start_s for left, right in itertools.pairwise(in_time))
    assert [moment.score for moment in found] == sorted((moment.score for moment in found), reverse=True)
    assert found[0].score == np.nan_to_num(scores, nan=-1.0).max()


@given(st.floats(-1, 1), st.floats(0, 1000), st.floats(0.01, 4000))
def test_a_single_frame_gives_its_own_extent(score, start, length):
    found = moments(np.array([score]), np.array([start]), np.array([start]), np.array([start + length]))
    assert found == [Moment(start, start + length, start, score, 0)]


def cut(scores, seconds: float = 2.0, per_video: int = 3, shots=None):
    starts, among = np.arange(len(scores)) * seconds, None if shots is None else np.array(shots)
    return moments(np.array(scores, dtype=float), starts + seconds / 2, starts, starts + seconds, per_video, among)


def test_a_peak_takes_in_its_neighbours_down_to_half_way():
    found = cut([0.1, 0.1, 0.1, 0.22, 0.3, 0.25, 0.1, 0.1, 0.1])
    assert found[0] == Moment(6.0, 12.0, 9.0, 0.3, 4)


def test_two_scenes_are_two_moments_best_first():
    found = cut([0.1, 0.1, 0.28, 0.1, 0.1, 0.1, 0.1, 0.3, 0.29, 0.1, 0.1], per_video=2)
    assert [(moment.start_s, moment.end_s) for moment in found] == [(14.0, 18.0), (4.0, 6.0)]


def test_the_shoulder_of_a_moment_is_not_another():
    assert len(cut([0.08, 0.09, 0.10, 0.30, 0.29, 0.18, 0.15, 0.12, 0.09, 0.05])) == 1


def test_frames_of_one_shot_hold_together_in_spite_of_noise():
    noise = np.random.default_rng(0).uniform(-TOLERANCE / 2, TOLERANCE / 2, 12)
    found = cut(0.25 + noise)
    assert (found[0].start_s, found[0].end_s) == (0.0, 24.0)


def test_a_moment_ends_where_its_shot_does():
    found = cut([0.1, 0.1, 0.3, 0.29, 0.28, 0.28, 0.1, 0.1, 0.1], shots=[0, 0, 1, 1, 2, 2, 3, 3, 3])
    assert [(moment.start_s, moment.end_s) for moment in found[:2]] == [(4.0, 8.0), (8.0, 12.0)]


def test_a_short_dip_between_shots_does_not_join_them():
    found = cut([0.1, 0.3, 0.1, 0.29, 0.1, 0.1], shots=[0, 1, 2, 3, 4, 5], per_video=2)
    assert [(moment.start_s, moment.end_s) for moment in found] == [(2.0, 4.0), (6.0, 8.0)]


def test_a_shot_of_which_all_matches_is_one_moment_however_long_it_is():
    found = cut([0.1, 0.3, 0.24, 0.25, 0.24, 0.29, 0.1], shots=[0, 1, 1, 1, 1, 1, 2], per_video=1)
    assert (found[0].start_s, found[0].end_s) == (2.0, 12.0)


def test_a_long_static_shot_is_cut_to_bounded_moments():
    found = cut([0.25] * 100)
    assert len(found) == 3
    assert all(moment.end_s - moment.start_s <= MAX_MOMENT_S for moment in found)


def test_a_frame_may_stand_for_longer_than_a_moment():
    found = moments(np.array([0.3, 0.3]), np.array([0.0, 100.0]), np.array([0.0, 100.0]), np.array([100.0, 101.0]))
    assert [(moment.start_s, moment.end_s) for moment in found] == [(0.0, 100.0), (100.0, 101.0)]


def test_no_frames_no_moments():
    assert moments(*(np.empty(0) for _ in range(4))) == []
    assert cut([0.1, 0.2], per_video=0) == []


def test_a_short_dip_does_not_cut_a_moment():
    found = cut([0.1, 0.1, 0.1, 0.3, 0.28, 0.1, 0.29, 0.1, 0.1, 0.1, 0.1])
    assert (found[0].start_s, found[0].end_s, found[0].at_s) == (6.0, 14.0, 7.0)


def test_a_long_dip_does():
    found = cut([0.1, 0.1, 0.1, 0.3, 0.28, 0.1, 0.1, 0.29, 0.1, 0.1, 0.1])
    assert [(moment.start_s, moment.end_s) for moment in found][:2] == [(6.0, 10.0), (14.0, 16.0)]


# -------------------------------------------------------------------------------------------------------- shares


@settings(max_examples=100, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_shares_sum_to_the_score(data, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for place in range(data.draw(st.integers(1, 4))):
        rows = unit(rng.standard_normal((data.draw(st.integers(1, 20)), 16)))
        weight = data.draw(st.floats(0.01, 50)) * (1 if place == 0 or data.draw(st.booleans()) else -1)
        modality = data.draw(st.sampled_from(["text", "picture"]))
        parts.append(Embedded(rows, weight, modality, data.draw(st.sampled_from([0.0, 0.05, 0.4]))))
    vectors = unit(rng.standard_normal((5, 16)))
    try:
        mixed = mix(parts)
    except ValueError:
        assume(False)
    found, best = shares(vectors, mixed)
    assert found.shape == (5, len(parts))
    assert found.sum(axis=1) == pytest.approx(best_scores(vectors, mixed.probes), abs=1e-6)
    assert mixed.rows.shape == (len(mixed.probes), len(parts))
    for part, rows in zip(parts, mixed.rows[best].T, strict=True):
        assert (rows == -1).all() if part.weight < 0 else ((rows >= 0) & (rows < len(part.vectors))).all()


def test_a_share_is_what_is_lost_without_the_part():
    x, y, z = np.eye(3, dtype=np.float32)
    mixed = mix([text(x), text(y, -1.0)])
    found, _ = shares(np.stack([x, y, z]), mixed)
    assert found == pytest.approx(np.array([[1, 0], [0, -1], [0, 0]]) / 2**0.5)


def test_the_row_is_that_of_the_keyframe_that_matches():
    frames = np.eye(8, dtype=np.float32)
    mixed = mix([Embedded(frames, 1.0, "picture"), text(-frames[0], 0.01)])
    _, best = shares(frames[[5, 2]], mixed)
    assert mixed.rows[best, 0].tolist() == [5, 2]


def test_a_score_beyond_one_is_one_and_its_shares_with_it():
    x = np.eye(4, dtype=np.float32)[:1]
    found, _ = shares(x * 1.001, mix([text(x), text(x)]))
    assert found == pytest.approx(np.array([[0.5, 0.5]]))
