"""Contrastive losses over any pattern of right pairs; with the captions side by side, that of the built-in recipe."""

import torch
from torch import Tensor
from torch.nn import functional


def infonce(similarity: Tensor, scale: Tensor, positives: Tensor, smoothing: float = 0.0) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al., 2018; Radford et al., ICML 2021) of ``(n, m)`` cosines.

    ``positives`` ``(n, m) bool`` says which are right. The target of a row or column is spread evenly over its right
    ones, so none of them is a negative (Khosla et al., NeurIPS 2020); ``smoothing`` spreads that share of it over all.
    Equal to :func:`retrieval.training.losses.contrastive` where each picture has its own captions and nothing else.
    """
    logits = similarity * scale
    right = positives.to(logits.dtype)
    to_text = functional.cross_entropy(logits, _spread(right, smoothing))
    to_image = functional.cross_entropy(logits.T, _spread(right.T, smoothing))
    return (to_image + to_text) / 2


def siglip(similarity: Tensor, scale: Tensor, bias: Tensor, positives: Tensor, smoothing: float = 0.0) -> Tensor:
    """Pairwise sigmoid loss of ``(n, m)`` cosines, summed over all pairs, for each picture and each of its captions.

    After Zhai et al., "Sigmoid loss for language image pre-training", ICCV 2023; with one caption a picture it is
    theirs. ``smoothing`` moves the targets from 1 and 0 by half of it.
    """
    targets = positives.to(similarity.dtype) * (1 - smoothing) + smoothing / 2
    total = functional.binary_cross_entropy_with_logits(similarity * scale + bias, targets, reduction="sum")
    return total / similarity.shape[1]


def _spread(right: Tensor, smoothing: float) -> Tensor:
    targets = right / right.sum(dim=1, keepdim=True)
    return targets * (1 - smoothing) + smoothing / right.shape[1] if smoothing else targets


def start_values(loss: str, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithm of the scale, and the bias, to start a loss with when the model brings no bias."""
    if loss == "siglip":
        return torch.full_like(scale, 10.0).log(), torch.full_like(scale, -10.0)
    return scale, torch.zeros_like(scale)
