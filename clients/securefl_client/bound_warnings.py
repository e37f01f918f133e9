"""Words for what a member's contribution lost to a bound: where it was clipped, and the option that moves the bound.

The rule kept here: only options whose bound was exceeded are named. A test compares them with the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from securefl.aggregation.weight_rule import NORM_CAP

ADAPTER_BOUND: Final = "adapter_bound in [grid]"
HEAD_BOUND: Final = "head_bound in [grid]"
NORM_BOUND: Final = "norm_cap in [aggregation]"


def clipping_warnings(
    clipped: Mapping[str, int], *, round_number: int, values: int, heads: Set[str]
) -> list[str]:
    """Sentences about what was clipped; none where nothing was.

    Args:
        clipped: Values beyond their bound, by tensor; under ``NORM_CAP`` 1 for a norm beyond its cap.
        round_number: Number of the round; an opening's is below 1.
        values: Values of the round's contribution.
        heads: Names of the tensors of the head.
    """
    beyond = {name for name, count in clipped.items() if count}
    moment = f"round {round_number}" if round_number > 0 else "before round 1"
    warnings = []
    if tensors := beyond - {NORM_CAP}:
        count = sum(clipped[name] for name in tensors)
        advice = (
            _of_values(tensors, heads) if round_number > 0 else "the start of the head is less exact for it"
        )
        warnings.append(
            f"{moment}: {count} of {values} values exceeded their bound and were clipped; {advice}"
        )
    if NORM_CAP in beyond:
        warnings.append(
            f"{moment}: the norm by which this member weighs exceeded its cap, and counts as the cap; raise "
            f"{NORM_BOUND}"
        )
    return warnings


def _of_values(tensors: Set[str], heads: Set[str]) -> str:
    bounds = [
        option
        for option, touched in ((ADAPTER_BOUND, tensors - heads), (HEAD_BOUND, tensors & heads))
        if touched
    ]
    return f"raise {' and '.join(bounds)}, or lower the learning rate"
