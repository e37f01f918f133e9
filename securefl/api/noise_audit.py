"""Audit of the noise that protects clients: the pinned mechanism against its promise, and charges against it.

The rule kept here: what was charged for a round is exactly the event that the federation's file makes members run in
it, so that a ledger cannot claim more noise, or fewer values, than what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from securefl.errors import ConfigError
from securefl.ledger.budget_state import Charge
from securefl.protocol.client_noise import check_client_promise, round_event
from securefl.protocol.federation import Federation


def broken_promise(federation: Federation) -> Iterator[str]:
    """The first thing that keeps a federation's rounds from keeping a promise to clients; nothing where they keep it.

    Among them are shares that are sized for more honest survivors than the roster is sure of, and sums without noise.
    """
    try:
        check_client_promise(federation)
    except ConfigError as error:
        yield f"the federation's rounds do not keep its promise to clients: {error.what}"


def other_releases(charges: Sequence[Charge], federation: Federation) -> Iterator[str]:
    """Charges of a client for something else than what members release in the round; nothing under another unit."""
    for charge in charges:
        if not 1 <= charge.round_number <= federation.terms.federation.rounds:
            continue
        event = round_event(federation, charge.round_number)
        if event is not None and charge.release != event.text:
            yield (
                f"its budget was charged for another release in round {charge.round_number} than the federation's "
                "noise makes"
            )
