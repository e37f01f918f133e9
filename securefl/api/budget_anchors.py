"""Heads of privacy budgets' ledgers in an audit: what certificates and ledgers of a run say of them.

The rule kept here: a certificate is kept by every member and names the header of each survivor by its digest, so nobody
can take back alone what its header said; a budget's ledger has to continue all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from securefl.errors import RunError, StateError
from securefl.identity.signing import verify
from securefl.ledger.anchors import Anchor, require_heads
from securefl.ledger.budget_ledger import verify_budget
from securefl.ledger.budget_state import BudgetState
from securefl.ledger.chain import verified_entries
from securefl.ledger.events import BudgetAnchored, Event
from securefl.protocol.agreement.commitment import NO_BUDGET, header_digest
from securefl.protocol.agreement.verification import survivor_ids
from securefl.results.sum_certificates import FOLDER, read_certificate, read_headers

Heads = Mapping[str, Mapping[int, bytes]]
"""By member and round, the head (32 bytes) that its header named."""


def heads_in(folder: Path) -> Heads:
    """Heads in all certificates of one member's results, whoever the member is.

    Args:
        folder: Of the member's results; its certificates were verified before (``certified_sums``).

    Returns:
        Heads of every survivor; ``NO_BUDGET`` where a header names no ledger.

    Raises:
        StateError: if headers are missing, or one is not what the certified statement lists.

    Guarantee: a head that is given was signed by its member for that round, if t of the cohort's members are honest
    about the header, as the statement lists its digest; SHA-256 is collision-resistant.
    """
    found: dict[str, dict[int, bytes]] = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        cohort, certificate = read_certificate(path)
        statement, headers = certificate.statement, read_headers(path)
        listed = [each.header_digest for each in statement.survivors]
        if [header_digest(header) for header in headers] != listed:
            raise StateError("its certificate is without the headers of its survivors", where=str(path))
        for member, header in zip(survivor_ids(statement, cohort), headers, strict=True):
            found.setdefault(member, {})[statement.attempt.round_number] = header.body.budget_head
    return found


def anchor_findings(
    ledger: Iterable[Event], copies: Iterable[bytes], kept: Iterable[Mapping[int, bytes]]
) -> Iterator[str]:
    """Sentences on a member whose budget's ledger does not continue what was anchored of it.

    Args:
        ledger: Events of the member's run ledger.
        copies: Bytes of the ledgers of its budgets, each verified, the longest copy of each.
        kept: Heads of the member's headers, ``heads_in``, from each member whose certificates are there.

    Guarantee: as ``check_budget_ledger``, over several ledgers.
    """
    anchors = anchors_of(ledger)
    named = {anchor.digest for anchor in anchors}
    signed = sorted({(number, head) for heads in kept for number, head in heads.items()})
    for number, head in signed:
        if head == NO_BUDGET:
            yield f"its header of round {number} names no head of its budget's ledger"
        elif head not in named:
            yield f"its run ledger does not name the head of its budget's ledger that its header of round {number} has"
    there = {hashlib.sha256(line).digest() for data in copies for line in data.split(b"\n")}
    lacking = (named | {head for _, head in signed if head != NO_BUDGET}) - there
    if lacking:
        yield (
            f"its budget's ledger lacks {len(lacking)} of the entries that its headers were charged in: it was cut, is "
            "an old copy, or there are two histories"
        )


def anchors_of(events: Iterable[Event]) -> tuple[Anchor, ...]:
    """Heads of the budget's ledger that a member's run ledger names, the oldest first."""
    return tuple(
        Anchor(event.ledger_key, event.sequence, event.head)
        for event in events
        if isinstance(event, BudgetAnchored)
    )


def check_budget_ledger(
    data: bytes, *, member: str, anchors: tuple[Anchor, ...], heads: Mapping[int, bytes]
) -> BudgetState:
    """Verify a budget's ledger against everything that a run says of it.

    Args:
        data: The ledger's bytes: the copy in a run's folder, or the ledger itself.
        member: Whose it is.
        anchors: From the member's run ledger, ``anchors_of``; at least one.
        heads: By round, from certificates that any member kept, ``heads_in``.

    Returns:
        The charges that count.

    Guarantee: flipped bytes, missing, repeated and moved lines, a cut, an old copy and a second history from any point
    before the newest head are found; see ``chain.verified_entries`` and ``anchors``. What was charged after the newest
    head can be taken away unseen.

    Raises:
        StateError: in a clause that fits behind the member's name.
    """
    if not anchors:
        raise StateError("its run ledger names no head of its budget's ledger")
    key = anchors[0].ledger_key
    verifier = partial(verify, key)
    try:
        state = verify_budget(data, ledger_key=key, verifier=verifier, anchors=anchors)
        require_heads(tuple(verified_entries(data, verifier)), heads.values())
    except RunError as error:
        raise StateError(f"its budget's ledger does not hold: {error.what}", where=error.where) from None
    if state.opened.client != member or state.opened.ledger_key != key:
        raise StateError("its budget's ledger is another client's or of another key")
    _check_anchored(anchors, heads)
    return state


def _check_anchored(anchors: tuple[Anchor, ...], heads: Mapping[int, bytes]) -> None:
    """A run's ledger names every head that the member's headers named."""
    named = {anchor.digest for anchor in anchors}
    for number, head in sorted(heads.items()):
        if head not in named:
            raise StateError(
                f"its run ledger does not name the head of its budget's ledger that its header of round {number} has"
            )
