"""``[head]``: the start of the task's head, and the way in which members' rows of it are averaged."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from securefl.config.section import Section

HeadStartName = Literal["auto", "zeros", "closed-form"]
HeadRows = Literal["by-class", "together"]


class HeadSection(Section):
    """``[head]``: the start of the task's head, and the way in which members' rows of it are averaged."""

    start: HeadStartName = "auto"
    """``closed-form``: a discriminant from encrypted sums of features; ``auto``: whichever of the two the cohort's
    validation rows prefer after a short trial."""
    rows: HeadRows = "by-class"
    """``by-class``: every row of the head is averaged by the members' rows of its class, and rows of classes with too
    few holders stay with them; ``together``: the whole head by the members' rows."""
    logit_adjustment: bool = True
    """True where members train with logits adjusted by their own label shares, relative to the cohort's."""
    calibration: bool = True
    """True where a member fits the scale of the final global head and the weight of its own label mix in it, on its own
    validation rows."""
    temperature: float = Field(default=0.1, gt=0, le=10)
    """By which the logits of the closed form are multiplied."""
    shrinkage: float = Field(default=0.1, gt=0, le=1)
    """Share of a multiple of the identity in the within-class covariance."""
    projection: int = Field(default=512, ge=1, le=1024)
    """Width to which features wider than 1024 are projected for the closed form."""

    @classmethod
    def none(cls) -> Self:
        """The section of a federation that shares no head of classes."""
        return cls(start="zeros", rows="together", logit_adjustment=False, calibration=False)

    @model_validator(mode="after")
    def _a_start_by_class_has_rows_by_class(self) -> Self:
        if self.rows == "together" and self.start != "zeros":
            raise ValueError(
                'start must be "zeros" where rows = "together"; write start = "zeros", or rows = "by-class"'
            )
        return self
