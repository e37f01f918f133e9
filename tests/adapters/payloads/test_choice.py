"""The payload that ranks call for: by the directions that enough of them share, and said in words."""

from __future__ import annotations

import pytest

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import choice
from securefl.adapters.payloads.choice import payload_for


@pytest.mark.parametrize(
    ("ranks", "reason"),
    [
        ((2, 4, 8, 16), "ranks 2, 4, 8, 16 share 4 directions, below the median 6"),
        ((16, 2, 8, 4), "ranks 2, 4, 8, 16 share 4 directions, below the median 6"),
        ((2, 8, 8), "ranks 2, 8, 8 share 2 directions, below the median 8"),
        ((1, 2, 3, 4), "ranks 1, 2, 3, 4 share 2 directions, below the median 2.5"),
    ],
)
def test_ranks_that_share_fewer_directions_than_their_median_are_sketched(
    ranks: tuple[int, ...], reason: str
) -> None:
    chosen = payload_for(RankTable(ranks))
    assert (chosen.payload, chosen.reason) == ("sketch", reason)


@pytest.mark.parametrize(("as_good", "payload"), [(True, "state"), (False, "sketch")])
@pytest.mark.parametrize("ranks", [(8, 8, 8, 8), (4, 8, 8, 8), (1, 1, 1)])
def test_other_ranks_share_an_adapter_where_that_was_found_to_be_as_good(
    ranks: tuple[int, ...], as_good: bool, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "STATE_IS_AS_GOOD", as_good)
    chosen = payload_for(RankTable(ranks))
    assert chosen.payload == payload
    assert f"share {RankTable(ranks).shared_rank} direction" in chosen.reason


def test_ranks_of_many_clients_are_counted() -> None:
    reason = payload_for(RankTable((2,) * 98 + (16,) * 2)).reason
    assert reason.startswith("ranks 2 (98 times), 16, 16 share 2 directions, ")


def test_learners_of_the_members_own_are_given_nothing_frozen() -> None:
    assert payload_for(RankTable((8, 8, 8)), own_learners=True).payload == "sketch"
