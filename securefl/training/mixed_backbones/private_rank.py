"""The rank of a member's private LoRA, which the member's own base model must have room for."""

from __future__ import annotations

from securefl.adapters.layout import Layout
from securefl.errors import ConfigError


def check_private_rank(layout: Layout, *, rank: int, member: str) -> None:
    """Refuse a rank that a weight of the member's own base model has no room for.

    Args:
        layout: What is adapted of that model.
        rank: Of the private LoRA.
        member: The member's id.

    Raises:
        ConfigError: with the largest rank that there is room for.
    """
    largest = layout.largest_rank
    if rank > largest:
        raise ConfigError(
            f"the private adapter of {member} has rank {rank}, and the narrowest adapted weight of its base model has "
            f"room for {largest}",
            where="cohort.clients",
            hint=f"write r = {largest} or less for it, or [recipe] personal_rank = {largest} for all",
        )
