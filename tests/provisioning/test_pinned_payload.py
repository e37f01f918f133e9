"""What a file leaves open is resolved when a federation is drafted, and pinned."""

from __future__ import annotations

import pytest

from securefl.config.federation import FederationConfig
from securefl.protocol.terms import OwnTaskTerms, SequenceClassificationTerms, TaskTerms
from securefl.provisioning.draft import terms_of

CLASSIFIES = SequenceClassificationTerms(name="sequence-classification", pooling="mean", labels=("no", "yes"))


def use_rslora(ranks: tuple[int, ...], *, task: TaskTerms = CLASSIFIES, said: bool | None = None) -> bool:
    config = FederationConfig.model_validate(
        {
            "federation": {"name": "banks"},
            "model": {"path": "m"},
            "lora": {"r": 4} | ({} if said is None else {"use_rslora": said}),
            "cohort": {"clients": [{"r": rank} for rank in ranks]},
        }
    )
    return terms_of(config, task=task, model_digest=bytes(32), samples_cap=10).lora.use_rslora


@pytest.mark.parametrize(("ranks", "expected"), [((2, 4, 8), True), ((8, 8, 8), False)])
def test_ranks_that_differ_are_scaled_by_the_root_of_the_rank(ranks, expected) -> None:
    assert use_rslora(ranks) is expected


@pytest.mark.parametrize("said", [True, False])
def test_a_file_may_say_otherwise(said) -> None:
    assert use_rslora((2, 4, 8), said=said) is said
    assert use_rslora((8, 8, 8), said=said) is said


def test_learners_of_the_members_own_scale_by_the_rank_unless_the_file_says_otherwise() -> None:
    own = OwnTaskTerms(name="own")
    assert use_rslora((2, 4, 8), task=own) is False
    assert use_rslora((2, 4, 8), task=own, said=True) is True
