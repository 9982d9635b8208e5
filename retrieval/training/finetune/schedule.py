"""Learning rates: a linear warm-up, then half a cosine to 0 (Loshchilov and Hutter, "SGDR", ICLR 2017)."""

import math


def factor(step: int, steps: int, warm_up: float) -> float:
    """Return the share of the peak rate at ``step`` (from 0) of ``steps``; ``warm_up`` is a share of the steps."""
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
