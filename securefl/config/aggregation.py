"""``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from securefl.config.section import Section

WeightsName = Literal["capped", "samples", "equal", "norm"]
SplitName = Literal["left", "right", "sqrt"]


NORM_CAP: Final = 64.0


class AggregationSection(Section):
    """``[aggregation]``: the members' weights in a mean, and the way in which a mean becomes factors again."""

    weights: WeightsName = "capped"
    """``capped``: min(samples / ``cohort.samples_cap``, 1); ``samples``: samples by the sum of all members' samples,
    where the cap is a bound that nobody may exceed; ``equal``: 1 for everybody, and no weight is sent;
    ``norm``: the Frobenius norm of a member's own product over all weights (HetLoRA), a value of every round."""
    norm_cap: float = Field(default=NORM_CAP, gt=0)
    """The largest norm under ``norm``; members beyond it weigh the same."""
    split: SplitName = "left"
    """The factor that holds the singular values of the mean: ``left`` (B = U S, A = V^T with orthonormal rows, as in
    FlexLoRA), ``right`` (B = U, A = S V^T, as in HLoRA), or ``sqrt``, half of each."""

    @property
    def counts_samples(self) -> bool:
        """True where a member weighs by its number of samples."""
        return self.weights in ("capped", "samples")

    @model_validator(mode="after")
    def _a_cap_of_norms_is_read(self) -> Self:
        if self.norm_cap != NORM_CAP and self.weights != "norm":
            raise ValueError(
                f'norm_cap means nothing under weights = "{self.weights}"; write weights = "norm", or leave norm_cap '
                "out"
            )
        return self
