"""``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from securefl.config.section import Section

WeightsName = Literal["capped", "samples", "equal", "norm"]
SplitName = Literal["left", "right", "sqrt"]


class AggregationSection(Section):
    """``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

    weights: WeightsName = "capped"
    """``capped``: min(samples / ``cohort.samples_cap``, 1); ``samples``: samples by the sum of all members' samples,
    where the cap is a bound that nobody may exceed; ``equal``: 1 for everybody, and no weight is sent;
    ``norm``: the Frobenius norm of a member's own product over all weights (HetLoRA), a value of every round."""
    norm_cap: float = Field(default=64.0, gt=0)
    """The largest norm under ``norm``; members beyond it weigh the same."""
    split: SplitName = "left"
    """The factor that holds the singular values of the mean: ``left`` (B = U S, A = V^T with orthonormal rows, as in
    FlexLoRA), ``right`` (B = U, A = S V^T, as in HLoRA), or ``sqrt``, half of each."""
