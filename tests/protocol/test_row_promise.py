"""What a member asks of a federation that promises privacy for rows, whatever the lead has let pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter
from support.federations import make_federation

from securefl.adapters.payloads.facts import FACTS
from securefl.config.aggregation import AggregationSection
from securefl.config.layers import LayersSection
from securefl.config.payload import Payload
from securefl.config.privacy import NO_PRIVACY, ExamplePrivacySection, PrivacySection
from securefl.errors import IdentityError
from securefl.protocol.federation import Federation
from securefl.protocol.privacy_promise import require_promise
from securefl.protocol.terms import OwnTaskTerms

ROWS = ExamplePrivacySection(unit="example", target_epsilon=8.0)
EQUAL = AggregationSection(weights="equal")


def made(*, privacy: PrivacySection = ROWS, task: object = None, **changes: Any) -> Federation:
    """A federation as a lead could write it, who looks at nothing."""
    keys: dict[str, Any] = {"scheme": "kahe", "rounds": 3, "aggregation": EQUAL}
    federation = make_federation((4, 4, 4, 4), **keys | changes).federation
    terms = federation.terms.model_copy(update={"privacy": privacy} | ({"task": task} if task else {}))
    return replace(federation, terms=terms)


@pytest.mark.parametrize("payload", FACTS)
def test_equal_members_who_sum_updates_alone_keep_their_promise(payload: str) -> None:
    require_promise(made(payload=payload), where="federation.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"aggregation": AggregationSection(weights="capped")}, "weights or statistics"),
        ({"aggregation": AggregationSection(weights="samples")}, "weights or statistics"),
        (
            {"payload": TypeAdapter(Payload).validate_python({"name": "state", "frozen_from": "gradient"})},
            "weights or statistics",
        ),
        ({"early_stopping_rounds": 2}, "losses or scores"),
        ({"fraction": 0.5, "payload": "dense"}, "losses or scores"),
        (
            {"layers": LayersSection(allocation="fisher", scored_from=1), "payload": "dense"},
            "losses or scores",
        ),
        ({"task": OwnTaskTerms(name="own")}, "own learners train"),
    ],
    ids=["capped", "samples", "gradient", "early stopping", "selective", "layers", "own learners"],
)
def test_what_rows_tell_beside_the_noise_is_refused_by_every_member(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(IdentityError, match=said) as refused:
        require_promise(made(**changes), where="federation.json")
    assert "promise to rows" in str(refused.value)
    require_promise(made(privacy=NO_PRIVACY, **changes), where="federation.json")
