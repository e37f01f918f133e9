"""The mean of the others, out of everybody's mean and the own part, whatever the weights are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.rest_of_world import rest_of
from securefl.adapters.update import LoraFactors
from securefl.errors import ProtocolError


def drawn(seed: int) -> LoraFactors:
    rng = np.random.default_rng(seed)
    return LoraFactors(A=rng.normal(size=(3, 5)), B=rng.normal(size=(4, 3)))


@given(st.lists(st.integers(1, 32_767), min_size=4, max_size=9), st.data())
def test_it_is_the_weighted_mean_of_the_others(weights: list[int], data: st.DataObject) -> None:
    own = data.draw(st.integers(0, len(weights) - 1))
    pairs, total = [drawn(seed) for seed in range(len(weights))], sum(weights)
    mean = LoraFactors(
        A=sum(w * pair.A for w, pair in zip(weights, pairs, strict=True)) / total,
        B=sum(w * pair.B for w, pair in zip(weights, pairs, strict=True)) / total,
    )
    rest = rest_of(mean, pairs[own], share=weights[own] / total)
    others = [place for place in range(len(weights)) if place != own]
    left = sum(weights[place] for place in others)
    # The own part is taken out of a sum that it may be nearly all of.
    close = 1e-12 * total / left
    for found, part in ((rest.A, "A"), (rest.B, "B")):
        expected = sum(weights[place] * getattr(pairs[place], part) for place in others) / left
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * close)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2.0])
def test_a_share_that_leaves_nobody_else_is_refused(share: float) -> None:
    with pytest.raises(ProtocolError, match="between 0 and 1"):
        rest_of(drawn(1), drawn(2), share=share)


def test_factors_of_another_rank_are_refused() -> None:
    other = LoraFactors(A=np.zeros((2, 5)), B=np.zeros((4, 2)))
    with pytest.raises(ProtocolError, match="shapes"):
        rest_of(drawn(1), other, share=0.25)
