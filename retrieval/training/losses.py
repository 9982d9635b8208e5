"""The losses of training, over a batch of pictures with several captions each."""

import torch
from torch import Tensor
from torch.nn import functional


def contrastive(similarity: Tensor, scale: Tensor, captions: int) -> Tensor:
    """Symmetric contrastive loss with all captions of a picture as its targets.

    `similarity` is (n, n * captions): columns i * captions ... (i + 1) * captions - 1 belong to row i. A caption's
    target is its picture; a picture's target is the uniform distribution over its own captions, so none of them
    counts as a negative. After Radford et al., "CLIP", ICML 2021, and Khosla et al., NeurIPS 2020.
    """
    logits = similarity * scale
    own = torch.arange(len(logits))
    to_image = functional.cross_entropy(logits.T, own.repeat_interleave(captions))
    log_chance = logits.log_softmax(dim=1).view(len(logits), -1, captions)
    to_text = -log_chance[own, own].mean()
    return (to_image + to_text) / 2


def softened(similarity: Tensor, scale: Tensor, likeness: Tensor, heat: float) -> Tensor:
    """Symmetric cross entropy with soft targets: what is described alike is no negative, as far as it is alike.

    `likeness` (n, n * captions) says how alike the captions of a picture and another caption are, by a teacher that
    sees text only; the targets are its softmax at the temperature `heat` (after Hinton et al., 2015).
    """
    logits = similarity * scale
    to_image = functional.cross_entropy(logits.T, (likeness.T / heat).softmax(dim=1))
    to_text = functional.cross_entropy(logits, (likeness / heat).softmax(dim=1))
    return (to_image + to_text) / 2


def hardest(similarity: Tensor, captions: int, margin: float = 0.2) -> Tensor:
    """Hinge loss of the hardest negative in both directions (Faghri et al., "VSE++", BMVC 2018)."""
    n = len(similarity)
    owner = torch.arange(n).repeat_interleave(captions)
    positive = similarity[owner, torch.arange(len(owner))]
    foreign = similarity.masked_fill(torch.arange(n)[:, None] == owner, -2.0)
    by_text = functional.relu(margin + foreign.amax(dim=0) - positive).mean()
    by_image = functional.relu(margin + foreign.amax(dim=1) - positive.view(n, captions).mean(dim=1)).mean()
    return by_text + by_image


def keeping(logits: Tensor, before: Tensor) -> Tensor:
    """Divergence of the class guesses from those before training (Li and Hoiem, ECCV 2016)."""
    return functional.kl_div(
        logits.log_softmax(dim=1), before.log_softmax(dim=1), reduction="batchmean", log_target=True
    )


def naming(similarity: Tensor, scale: Tensor, classes: Tensor) -> Tensor:
    """How badly names (m, 1000 classes) find their class in the class table; keeps words apart that no caption uses."""
    return functional.cross_entropy(similarity * scale, classes)
