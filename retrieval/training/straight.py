"""Attention as few operations, while a tower is written as a graph.

PyTorch's own is traced to some seventy operations a layer, most of which move numbers from one order to another.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


@contextlib.contextmanager
def straight_attention() -> Iterator[None]:
    """Let every ``nn.MultiheadAttention`` of one sequence with itself run in few operations, with the same result.

    Others (of two sequences, with weights that are asked for, or with a mask of padding) run as they did.
    """
    whole = nn.MultiheadAttention.forward

    def forward(self: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, **how: Any) -> Any:  # noqa: ANN401
        mask = how.get("attn_mask")
        usual = self.batch_first and self.in_proj_weight is not None and self.bias_k is None and not self.add_zero_attn
        added = mask is None or (mask.dim() == 2 and mask.is_floating_point())
        alone = not how.get("need_weights", True) and how.get("key_padding_mask") is None
        if usual and added and alone and query is key is value and query.dim() == 3:
            return _attended(self, query, mask), None
        return whole(self, query, key, value, **how)

    nn.MultiheadAttention.forward = forward  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.MultiheadAttention.forward = whole  # type: ignore[method-assign]


def _attended(layer: nn.MultiheadAttention, rows: Tensor, mask: Tensor | None) -> Tensor:
    """Return attention over ``rows`` (n, length, width); ``mask`` (length, length) is added to the scores."""
    length, width = map(int, rows.shape[1:])  # the size of the tower, which its graph may hold as it is
    head = width // layer.num_heads
    parts = functional.linear(rows, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=-1)
    query, key, value = (part.view(-1, length, layer.num_heads, head) for part in parts)
    scores = (query.transpose(1, 2) * head**-0.5) @ key.permute(0, 2, 3, 1)
    if mask is not None:
        scores = scores + mask
    found = (scores.softmax(dim=-1) @ value.transpose(1, 2)).transpose(1, 2).reshape(-1, length, width)
    return functional.linear(found, layer.out_proj.weight, layer.out_proj.bias)
