"""An adapter's scaling is PEFT's, with alpha / r or alpha / sqrt(r)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.scaling import alpha_of, scaling_of
from securefl.config.model import LoraSection, LoraTerms


@pytest.mark.parametrize(("use_rslora", "expected"), [(False, 4.0), (True, 8.0)])
def test_alpha_is_divided_by_the_rank_or_by_its_root(use_rslora, expected) -> None:
    assert scaling_of(LoraTerms(lora_alpha=16, use_rslora=use_rslora), 4) == expected


@given(alpha=st.floats(0.01, 100), rank=st.integers(1, 1024), use_rslora=st.booleans())
def test_the_squares_of_both_differ_by_the_rank(alpha, rank, use_rslora) -> None:
    terms = LoraTerms(lora_alpha=alpha, use_rslora=use_rslora)
    power = 1 if use_rslora else 2
    assert scaling_of(terms, rank) ** 2 * rank**power == pytest.approx(alpha**2)


@pytest.mark.parametrize("said", [True, False])
def test_what_a_file_says_holds_whatever_the_ranks(said) -> None:
    assert LoraSection(use_rslora=said).resolved(use_rslora=not said).use_rslora is said


@pytest.mark.parametrize("rank", [1, 3, 8, 24])
def test_one_scaling_is_that_of_the_files_rank_for_every_rank(rank: int) -> None:
    terms = LoraTerms(r=8, lora_alpha=20, use_rslora=False, one_scaling=True)
    assert scaling_of(terms, rank) == pytest.approx(2.5)
    # What PEFT computes of the alpha that an adapter gets, to the bit.
    assert scaling_of(terms, rank) == alpha_of(terms, rank) / rank


def test_one_scaling_and_the_root_of_the_rank_are_refused_together() -> None:
    with pytest.raises(ValueError, match="set one of them alone"):
        LoraSection(one_scaling=True, use_rslora=True)
    assert LoraSection(one_scaling=True).resolved(use_rslora=True).use_rslora is False


def test_what_a_file_leaves_out_is_resolved_and_nothing_else_changes() -> None:
    section = LoraSection(r=3, lora_alpha=5, lora_dropout=0.25, target_modules=("key",))
    terms = section.resolved(use_rslora=True)
    assert terms.model_dump() == section.model_dump() | {"use_rslora": True}
