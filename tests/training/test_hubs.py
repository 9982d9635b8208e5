"""The correction for hubs: what it takes off, that it is part of the vectors, and that a hub loses its advantage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch.nn import functional  # noqa: E402

from retrieval.training.hubs import (  # noqa: E402
    ENOUGH,
    HEAT,
    LIMIT,
    NAMES,
    RADIUS,
    SHARE,
    Balanced,
    Banks,
    Hubs,
    sample,
)
from retrieval.training.measure import ranks  # noqa: E402

PLANE = 40
"""Directions that made-up vectors lie in: few enough for the axes to keep them all."""


def rows(count: int, seed: int, width: int = PLANE) -> torch.Tensor:
    """Vectors of length 1 in the first `width` of 512 directions."""
    made = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(functional.pad(made, (0, 512 - width)), dim=1)


def brute(x: np.ndarray, bank: np.ndarray, shares: np.ndarray, share: float) -> np.ndarray:
    """The excess before its level and limit, in float64 and by its definition."""
    return share * HEAT * np.log((shares * np.exp(x @ bank.T / HEAT)).sum(axis=1))


@given(st.integers(0, 10**6), st.integers(3, 40))
def test_the_product_is_the_cosine_less_both_excesses(seed: int, count: int) -> None:
    pictures, texts, names = rows(count, seed), rows(count, seed + 1), rows(5, seed + 2)
    of_pictures, of_texts = Banks(pictures, texts, names).correction()
    left, right = of_pictures(pictures, pictures=True), of_texts(texts, pictures=False)
    for side in (left, right):
        assert torch.allclose(side.norm(dim=1), torch.ones(count), atol=1e-5)
    wanted = pictures @ texts.T - of_pictures.excess(pictures) - of_texts.excess(texts).T
    assert torch.allclose(left @ right.T * RADIUS**2, wanted, atol=1e-5)
    shares = np.concatenate([np.full(count, (1 - NAMES) / count), np.full(5, NAMES / 5)])
    found = brute(pictures.double().numpy(), torch.cat([texts, names]).double().numpy(), shares, SHARE * count / ENOUGH)
    expected = np.clip(found - found.mean(), -LIMIT, LIMIT)
    assert np.allclose(of_pictures.excess(pictures).numpy()[:, 0], expected, atol=1e-5)


def test_no_more_than_the_limit_is_taken_off() -> None:
    picture = rows(1, 3)
    hubs = Hubs(torch.eye(512)[:, :508], picture, torch.zeros(1), 1.0)
    assert hubs.excess(picture).item() == pytest.approx(LIMIT)
    assert hubs.excess(-picture).item() == pytest.approx(-LIMIT)
    for side in (picture, -picture):
        assert hubs(side, pictures=True).norm().item() == pytest.approx(1, abs=1e-6)


def test_a_hub_loses_its_advantage() -> None:
    generator = torch.Generator().manual_seed(2)
    texts = functional.normalize(rows(1500, 4) + 0.5 * rows(1, 5), dim=1)
    noise = 0.2 * torch.randn(1500, PLANE, generator=generator)
    pictures = functional.normalize(texts + functional.pad(noise, (0, 512 - PLANE)), dim=1)
    pictures[::10] = functional.normalize(pictures[::10] + 1.5 * texts.mean(dim=0), dim=1)  # these lie near every text
    known, asked = slice(0, 1100), slice(1100, 1500)
    of_pictures, of_texts = Banks(pictures[known], texts[known], rows(5, 6)).correction()
    owner = np.arange(400)
    before = ranks((pictures[asked] @ texts[asked].T).numpy(), owner)[0]
    corrected = of_pictures(pictures[asked], pictures=True) @ of_texts(texts[asked], pictures=False).T
    after = ranks(corrected.numpy(), owner)[0]
    assert (after == 0).mean() > (before == 0).mean() + 0.02
    assert after.mean() < before.mean()


def test_pictures_are_as_alike_as_before() -> None:
    pictures = rows(60, 8)
    of_pictures, _ = Banks(pictures, rows(60, 9), rows(5, 10)).correction()
    made = of_pictures(pictures, pictures=True)
    plain, corrected = (pictures @ pictures.T).flatten(), (made @ made.T).flatten()
    assert np.corrcoef(plain.numpy(), corrected.numpy())[0, 1] > 0.99
    assert torch.allclose(made @ made[0], made @ made[0].clone())
    assert (made @ made.T).argmax(dim=1).tolist() == list(range(60))


def test_a_small_bank_takes_off_little() -> None:
    few, many = (Banks(rows(n, 11), rows(n, 12), rows(5, 13)).correction()[0] for n in (16, ENOUGH))
    asked = rows(50, 14)
    assert few.share == pytest.approx(many.share * 16 / ENOUGH)
    assert few.excess(asked).std() < many.excess(asked).std()


def test_a_model_with_the_correction_keeps_its_class_table_and_guesses(make_model, material) -> None:
    model = make_model().eval()
    maps, shallow = (torch.from_numpy(np.array(a[:5])).float() for a in material.views[0])
    with torch.no_grad():
        table = model.table(material.prompts)
        plain = model.image(maps, shallow, table)
        banks = Banks(plain.vectors, model.text(material.prompts[:9]), model.text(material.prompts[:9]))
        whole = Balanced(model, *banks.correction())
        assert torch.equal(whole.table(material.prompts), table)
        seen = whole.image(maps, shallow, table)
        assert torch.equal(seen.logits, plain.logits)
        assert torch.equal(seen.vectors, whole.of_pictures(plain.vectors, pictures=True))


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_sample_is_ordered_and_of_different_places(count: int, most: int) -> None:
    found = sample(count, most)
    assert found == sorted(set(found)) == sample(count, most)
    assert len(found) == min(count, most)
    assert set(found) <= set(range(count))
