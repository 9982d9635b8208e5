"""The real loop on drawn pictures."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from retrieval.training.loop import FULL_STOP, Material, Recipe, batches, class_table, fit, likeness, vary  # noqa: E402
from retrieval.training.model import sentence_vectors  # noqa: E402
from retrieval.training.starter import join, picture_vectors  # noqa: E402

SHORT = Recipe(epochs=3, batch=12, names=4, image_rate=1e-4, text_rate=1e-4, shorten=0.0, drop_words=0.0)


def run(make_model, material: Material, recipe: Recipe) -> tuple[list[float], dict[str, "torch.Tensor"]]:
    losses: list[float] = []
    kept = []

    def after_epoch(epoch: int, loss: float, averaged: "torch.nn.Module") -> None:
        losses.append(loss)
        kept.append(averaged)

    fit(make_model(), material, recipe, after_epoch)
    return losses, kept[-1].state_dict()


def test_the_loss_falls(make_model, material) -> None:
    recipe = SHORT._replace(epochs=20, names=0, image_rate=0.0, text_rate=0.0, head_rate=3e-4)
    losses, _ = run(make_model, material, recipe)
    assert losses[-1] < losses[0] - 0.3, [round(x, 2) for x in losses]


def test_a_seeded_run_repeats_and_another_seed_differs(make_model, material) -> None:
    losses, weights = run(make_model, material, SHORT._replace(epochs=2))
    again, same = run(make_model, material, SHORT._replace(epochs=2))
    assert again == losses
    assert all(torch.equal(same[name], value) for name, value in weights.items())
    other, _ = run(make_model, material, SHORT._replace(epochs=1, seed=1))
    assert other[0] != losses[0]


def test_what_is_frozen_stays_and_what_is_trained_moves(make_model, material) -> None:
    before = make_model().state_dict()
    _, after = run(make_model, material, SHORT)
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("tower.words", "tower.layers.0", "tower.layers.2", "class_")) for name in moved)
    for part in ("tail.top", "tail.blocks.0.depthwise", "tower.layers.3", "image_head", "text_head", "log_scale"):
        assert any(name.startswith(part) for name in moved), part


def test_frozen_towers_stay_as_they_were(make_model, material) -> None:
    before = make_model().state_dict()
    _, after = run(make_model, material, SHORT._replace(epochs=4, image_rate=0.0, text_rate=0.0))
    moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"image_head", "text_head", "log_scale"}


def test_an_epoch_shows_every_picture_once_with_its_own_captions(material) -> None:
    rng = np.random.default_rng(0)
    numbered = material._replace(before=torch.arange(12.0)[:, None].expand(12, 20))
    recipe = SHORT._replace(epochs=20, names=0, image_rate=0.0, text_rate=0.0, head_rate=3e-4)
    seen = []
    for batch in batches(numbered, recipe, rng):
        pictures = batch.before[:, 0].long().tolist()
        seen += pictures
        for row, ids in enumerate(batch.ids):
            own = [set(c) for c in material.captions[pictures[row // 2]]]
            assert any(set(ids) <= words for words in own)
    assert sorted(seen) == list(range(12))


def test_variations_stay_inside_the_caption() -> None:
    caption = [101, 5, 6, 7, 8, 9, FULL_STOP, 102]
    rng = np.random.default_rng(1)
    made = [vary(caption, rng, Recipe(shorten=0.5, drop_words=0.3)) for _ in range(300)]
    for ids in made:
        assert ids[0] == 101
        assert ids[-1] == 102
        assert len(ids) >= 3
        places = [caption.index(i) for i in ids]
        assert places == sorted(places)
    assert any(FULL_STOP in ids for ids in made)
    assert any(FULL_STOP not in ids for ids in made)
    untouched = vary([101, 5, 6, 102], rng, Recipe(shorten=0.0, drop_words=0.0))
    assert untouched == [101, 5, 6, 102]


def test_a_text_does_not_depend_on_its_neighbours(make_model, material) -> None:
    model = make_model().eval()
    table = class_table(model, material.prompts[:9])
    assert torch.allclose(table.norm(dim=1), torch.ones(9), atol=1e-5)
    long = [1, *([4] * 20), 2]
    with torch.no_grad():
        mixed = model.text([material.prompts[0], long, material.prompts[8]])
    assert torch.allclose(mixed[[0, 2]], table[[0, 8]], atol=1e-5)


def test_likeness_is_that_of_the_chosen_captions(material) -> None:
    generator = torch.Generator().manual_seed(2)
    meanings = [torch.nn.functional.normalize(torch.randn(2, 8, generator=generator), dim=1) for _ in range(12)]
    taught = material._replace(meanings=meanings)
    found = likeness(taught, [3, 5], [(3, 1), (5, 0)])
    assert found.shape == (2, 2)
    middle = torch.nn.functional.normalize(meanings[5].mean(dim=0), dim=0)
    assert torch.allclose(found[1], torch.stack([middle @ meanings[3][1], middle @ meanings[5][0]]))
    batch = next(batches(taught, Recipe(batch=4), np.random.default_rng(0)))
    assert batch.likeness.shape == (4, 8)
    own = torch.arange(4)[:, None] == torch.arange(4).repeat_interleave(2)
    assert batch.likeness[own].mean() > batch.likeness[~own].mean()
    assert next(batches(material, Recipe(batch=4), np.random.default_rng(0))).likeness is None


def test_soft_targets_and_left_out_cells_take_part(make_model, material) -> None:
    generator = torch.Generator().manual_seed(2)
    meanings = [torch.nn.functional.normalize(torch.randn(2, 8, generator=generator), dim=1) for _ in range(12)]
    taught, once = material._replace(meanings=meanings), SHORT._replace(epochs=1)
    plain, _ = run(make_model, taught, once)
    soft, _ = run(make_model, taught, once._replace(soft=0.5))
    dropped, _ = run(make_model, taught, once._replace(cell_drop=0.3))
    assert len({*plain, *soft, *dropped}) == 3


def test_left_out_cells_keep_the_mean_of_equal_ones(make_model, material) -> None:
    model = make_model().eval()
    table = class_table(model, material.prompts)
    maps, shallow = torch.ones(2, 208, 81), torch.zeros(2, 560)
    model.tail = torch.nn.Identity()
    model.tail.forward = lambda maps: torch.ones(1280, 2, 81)
    with torch.no_grad():
        whole = model.image(maps, shallow, table).vectors
        assert torch.allclose(model.image(maps, shallow, table, 0.4).vectors, whole, atol=1e-5)


def test_members_join_to_one_model(make_model, material) -> None:
    members = [make_model().eval(), make_model().eval()]
    with torch.no_grad():
        for value in members[1].image_head.parameters():
            value += 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(4))
    assert join(members[:1], material) is members[0]
    joined = join(members, material)
    with torch.no_grad():
        images = picture_vectors(joined, material.views[0], material.prompts)
        texts = joined.text(material.prompts)
        apart = [picture_vectors(m, material.views[0], material.prompts) @ m.text(material.prompts).T for m in members]
    assert images.shape == (12, 512)
    assert torch.allclose(images.norm(dim=1), torch.ones(12), atol=1e-5)
    assert torch.allclose(images @ texts.T, sum(apart) / 2, atol=1e-3)


def test_a_teacher_says_the_same_in_any_company(make_model, material) -> None:
    tower = make_model().eval().tower
    texts = [material.prompts[0], [1, *([4] * 20), 2], material.prompts[5]]
    together = sentence_vectors(tower, texts)
    assert together.shape == (3, 384)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    for row, text in zip(together, texts, strict=True):
        assert torch.allclose(row, sentence_vectors(tower, [text])[0], atol=1e-5)
