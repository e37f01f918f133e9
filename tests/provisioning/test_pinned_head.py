"""Everything that all members must agree on is in the terms."""

from __future__ import annotations

from securefl.config.federation import FederationConfig
from securefl.protocol.terms import SequenceClassificationTerms
from securefl.provisioning.draft import terms_of


def test_the_section_of_the_head_is_pinned_as_it_is_written() -> None:
    config = FederationConfig.model_validate(
        {
            "federation": {"name": "banks"},
            "model": {"path": "m"},
            "head": {"start": "zeros", "shrinkage": 0.3},
        }
    )
    task = SequenceClassificationTerms(name="sequence-classification", pooling="mean", labels=("no", "yes"))
    terms = terms_of(config, task=task, model_digest=bytes(32), samples_cap=10)
    assert terms.head == config.head
    assert (terms.head.start, terms.head.shrinkage, terms.head.rows) == ("zeros", 0.3, "by-class")
