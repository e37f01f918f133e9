"""``[head]`` in numbers: the space of its statistics, and the starts among which a cohort chooses.

The rule kept here: both sides ask here, the member that makes statistics and the sequence that adds them up, so that
their widths and spaces are one.
"""

from __future__ import annotations

from securefl.adapters.closed_form import HeadStart, closed_form
from securefl.adapters.head_space import HeadSpace, width_within
from securefl.adapters.head_statistics import Flags, HeadStatistics
from securefl.adapters.layout import Layout
from securefl.config.head import HeadSection
from securefl.errors import ConfigError

HEAD_TENSORS = 2
"""A head by classes is a matrix with one row a class, and a bias."""


def class_count(layout: Layout) -> int:
    """C, the rows of the layout's head.

    Raises:
        ConfigError: if the layout has no head with one row a class.
    """
    return _head_shape(layout)[0]


def statistics_width(head: HeadSection, layout: Layout) -> int:
    """Width p of the members' statistics; 0 where the head starts at zero and features are not asked for.

    Raises:
        ConfigError: if the layout has no head with one row a class.
    """
    return 0 if head.start == "zeros" else width_within(_head_shape(layout)[1], head.projection)


def start_count(head: HeadSection) -> int:
    """Number of starts that ``starts_of`` gives."""
    return 2 if head.start == "auto" else 1


def space_of(head: HeadSection, layout: Layout, *, exponent: int, seed: int) -> HeadSpace:
    """The federation's space of features.

    Raises:
        ConfigError: if the layout has no head with one row a class.
    """
    return HeadSpace.of(_head_shape(layout)[1], exponent=exponent, seed=seed, projection=head.projection)


def starts_of(
    head: HeadSection, sums: HeadStatistics, shared: Flags, *, layout: Layout, exponent: int, seed: int
) -> tuple[HeadStart, ...]:
    """Starts among which the cohort chooses by its validation rows; a single one where the file has chosen.

    Args:
        head: ``[head]``.
        sums: The cohort's statistics.
        shared: (C,), true for classes whose rows are summed.
        layout: The shared tensors.
        exponent: The cohort's exponent of features.
        seed: The federation's.

    Raises:
        ConfigError: if the layout has no head with one row a class.
    """
    zeros = HeadStart("zeros", 0.0, 1.0, head.logit_adjustment)
    if head.start == "zeros":
        return (zeros,)
    space = space_of(head, layout, exponent=exponent, seed=seed)
    closed = closed_form(
        sums, shared, space=space, temperature=head.temperature, shrinkage=head.shrinkage
    ).named(layout)
    start = HeadStart("closed-form", head.temperature, 1.0, head.logit_adjustment, closed)
    return (zeros, start) if head.start == "auto" else (start,)


def _head_shape(layout: Layout) -> tuple[int, int]:
    """C and d."""
    heads = layout.heads
    if len(heads) != HEAD_TENSORS or (heads[1].rows, heads[1].columns) != (heads[0].rows, 1):
        raise ConfigError(
            "the shared tensors have no head with one row a class",
            where="head.rows",
            hint='write rows = "together" and start = "zeros" in [head]',
        )
    return heads[0].rows, heads[0].columns
