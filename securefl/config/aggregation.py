"""``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

from __future__ import annotations

from typing import Literal

from securefl.config.section import Section

WeightsName = Literal["capped", "samples", "equal"]
SplitName = Literal["left", "right", "sqrt"]


class AggregationSection(Section):
    """``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

    weights: WeightsName = "capped"
    """``capped``: min(samples / ``cohort.samples_cap``, 1); ``samples``: samples by the sum of all members' samples,
    where the cap is a bound that nobody may exceed; ``equal``: 1 for everybody, and no weight is sent."""
    split: SplitName = "left"
    """The factor that holds the singular values of the mean: ``left`` (B = U S, A = V^T with orthonormal rows, as in
    FlexLoRA), ``right`` (B = U, A = S V^T, as in HLoRA), or ``sqrt``, half of each."""
