"""What learns and what stays: unlocking, adapters, weight decay."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from retrieval.errors import OptionError  # noqa: E402
from retrieval.training.finetune.adapters import adapt, merge  # noqa: E402
from retrieval.training.finetune.towers_openclip import image_parts, text_parts  # noqa: E402
from retrieval.training.finetune.unlocking import Group, optimiser, unlock  # noqa: E402
from tests.embedding.clip_makers import COCA, make  # noqa: E402

RATES = (1e-3, 1e-4)


@pytest.fixture
def model(clip):
    made = make(f"local-dir:{clip}", 1)
    made.requires_grad_(False)
    return made


def learnt(model: "torch.nn.Module") -> set[str]:
    return {name for name, value in model.named_parameters() if value.requires_grad}


def test_heads_and_last_blocks_are_told_apart(model) -> None:
    unlock(image_parts(model), "heads", 4, RATES)
    assert learnt(model) == {"visual.ln_post.weight", "visual.ln_post.bias", "visual.proj"}
    groups = unlock(text_parts(model), "last:1", 4, RATES)
    text = {name for name in learnt(model) if not name.startswith("visual")}
    assert {"text_projection", "ln_final.weight", "transformer.resblocks.1.mlp.c_fc.weight"} <= text
    assert not [name for name in text if ".resblocks.0." in name or "embedding" in name]
    assert [(group.name, group.rate) for group in groups] == [("text heads", 1e-3), ("text", 1e-4)]


def test_all_is_everything_once_and_locked_is_nothing(model) -> None:
    groups = unlock(image_parts(model), "all", 4, RATES) + unlock(text_parts(model), "all", 4, RATES)
    parameters = [id(p) for group in groups for p in group.parameters]
    assert len(parameters) == len(set(parameters))
    assert {name for name, _ in model.named_parameters()} - learnt(model) == {"logit_scale"}
    assert unlock(image_parts(model), "locked", 4, RATES) == []
    assert not [name for name in learnt(model) if name.startswith("visual")]


def test_a_tower_of_its_own_is_told_apart_as_well(tmp_path) -> None:
    from tests.embedding.clip_makers import write_clip_folder

    model = make(f"local-dir:{write_clip_folder(tmp_path / 'coca', **COCA)}")
    model.requires_grad_(False)
    unlock(text_parts(model), "last:1", 4, RATES)
    assert "text.transformer.resblocks.1.mlp.c_fc.weight" in learnt(model)
    assert "text.text_projection" in learnt(model)
    assert not [name for name in learnt(model) if not name.startswith("text.")]


def test_more_blocks_than_there_are_is_one_line(model) -> None:
    with pytest.raises(OptionError, match="the image tower has 2 blocks"):
        unlock(image_parts(model), "last:3", 4, RATES)


def test_adapters_begin_as_nothing_and_merge_to_what_they_learnt(model) -> None:
    pixels, tokens = torch.randn(3, 3, 32, 32), torch.randint(1, 400, (3, 16))
    names = set(model.state_dict())
    before = model.encode_image(pixels), model.encode_text(tokens)
    table = model.token_embedding.weight.clone()
    made = adapt(image_parts(model).whole, 4) + adapt(text_parts(model).whole, 4)
    assert made
    again = model.encode_image(pixels), model.encode_text(tokens)
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(before, again, strict=True))
    assert learnt(model) == {name for name, p in model.named_parameters() if any(p is one for one in made)}
    adam = torch.optim.SGD(made, lr=0.5)
    (model.encode_image(pixels).pow(2).sum() + model.encode_text(tokens).pow(2).sum()).backward()
    adam.step()
    adapted = model.encode_image(pixels), model.encode_text(tokens)
    assert not torch.allclose(adapted[0], before[0], atol=1e-4)
    assert not torch.allclose(adapted[1], before[1], atol=1e-4)
    merge(model)
    assert set(model.state_dict()) == names
    assert torch.allclose(model.encode_image(pixels), adapted[0], atol=1e-5)
    assert torch.allclose(model.encode_text(tokens), adapted[1], atol=1e-5)
    assert torch.equal(model.token_embedding.weight, table)


def test_vectors_do_not_decay() -> None:
    layer = torch.nn.Linear(3, 4)
    groups = optimiser([Group("layer", 0.1, list(layer.parameters()))], 0.2).param_groups
    assert {len(g["params"][0].shape): (g["weight_decay"], g["lr"]) for g in groups} == {2: (0.2, 0.1), 1: (0.0, 0.1)}
