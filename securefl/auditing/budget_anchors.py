"""Heads of privacy budgets' ledgers in an audit: what certificates, receipts and ledgers of a run say of them.

The rule kept here: a budget's ledger has to continue every head that is kept of it anywhere, and each place that keeps
one is looked at whether the others are there or not. A certificate is kept by every member and names the header of each
survivor by its digest, so nobody can take back alone what its header said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from securefl.auditing.budget_records import BudgetRecord
from securefl.errors import StateError
from securefl.ledger.anchors import Anchor
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """All heads that are kept of one member's budgets.

    Attributes:
        run: From its ledger of the run, by round and attempt, the oldest first.
        headers: Rounds with the head that a header named, from certificates that any member kept, ``heads_in``; two of
            a round where two members kept different ones.
        receipts: From receipts of the budgets' ledgers on this machine.
    """

    run: tuple[BudgetAnchored, ...] = ()
    headers: frozenset[tuple[int, bytes]] = frozenset()
    receipts: tuple[Anchor, ...] = ()


def anchored_in(events: Iterable[Event]) -> tuple[BudgetAnchored, ...]:
    """Events of a run's ledger that name heads of the member's budgets, the oldest first."""
    return tuple(event for event in events if isinstance(event, BudgetAnchored))


def anchor_findings(records: Sequence[BudgetRecord], anchors: Anchors) -> Iterator[str]:
    """Sentences on a member whose budgets' ledgers do not continue everything that is kept of them.

    Args:
        records: Its budgets' ledgers, each verified, the longest copy of each.
        anchors: What is kept of them.

    Guarantee: flipped bytes, missing, repeated and moved lines, a cut, an old copy, a deletion and a second history
    from any point before the newest head are found, if one of the places that keep that head is there; see
    ``chain.verified_entries`` and ``ledger.anchors``. What was charged after the newest head can be taken away unseen.
    """
    yield from _of_headers(anchors)
    keys = {record.state.opened.ledger_key for record in records}
    if records and any(event.ledger_key not in keys for event in anchors.run):
        yield "no ledger of its budgets here is signed with the key that its ledger of the run names"
    there = {digest for record in records for digest in record.places}
    for kept_in, heads in _kept(anchors, keys):
        lacking = sorted(heads.keys() - there, key=heads.__getitem__)
        if lacking:
            places = ", ".join(dict.fromkeys(heads[head] for head in lacking))
            yield (
                f"its budget's ledger lacks {len(lacking)} of the entries that {kept_in} name ({places}): it was cut, "
                "is an old copy, or there are two histories"
            )


def copy_findings(copy: BudgetRecord, anchors: Anchors) -> Iterator[str]:
    """Sentences on the copy of a budget's ledger that a run has left, if it lacks heads that the run's ledger names.

    The live ledger may have all of them; whoever has the run's folder alone would count too few charges.

    Args:
        copy: Verified by itself.
        anchors: What is kept of the member's budgets; heads of a budget of other data are not asked for.
    """
    key, there = copy.state.opened.ledger_key, copy.places
    named = {event.head: event.round_number for event in anchors.run if event.ledger_key == key}
    if anchors.run and not named:
        yield f"the copy of its budget's ledger is of none that its ledger of the run names: {copy.path}"
    lacking = sorted(number for head, number in named.items() if head not in there)
    if lacking:
        rounds = ", ".join(f"round {number}" for number in dict.fromkeys(lacking))
        yield f"the copy of its budget's ledger that the run left was cut: it lacks entries of {rounds} ({copy.path})"


def late_charges(records: Sequence[BudgetRecord], anchors: Anchors, *, federation: bytes) -> Iterator[str]:
    """Sentences on rounds that a member charged only after its contribution had named the budget's head.

    Args:
        records: Its budgets' ledgers, each verified.
        anchors: What is kept of them; heads that no ledger has are named by ``anchor_findings``.
        federation: Digest of the federation (32 bytes).
    """
    named = {(event.round_number, event.head) for event in anchors.run} | anchors.headers
    late: set[int] = set()
    for record in records:
        first: dict[int, int] = {}
        for charge in record.of_federation(federation):
            first.setdefault(charge.round_number, charge.reservation)
        late |= {
            number for number, head in named if record.places.get(head, math.inf) < first.get(number, -1)
        }
    for number in sorted(late):
        yield f"its budget was charged for round {number} only after its contribution to that round had left"


def _of_headers(anchors: Anchors) -> Iterator[str]:
    """A run's ledger names every head that the member's headers named, and every header named one."""
    named = {event.head for event in anchors.run}
    for number, head in sorted(anchors.headers):
        if head == NO_BUDGET:
            yield f"its header of round {number} names no head of its budget's ledger"
        elif head not in named:
            yield f"its run ledger does not name the head of its budget's ledger that its header of round {number} has"


def _kept(anchors: Anchors, keys: Set[bytes]) -> Iterator[tuple[str, Mapping[bytes, str]]]:
    """Each place that keeps heads, in words, and the heads with where they stand in it.

    Args:
        anchors: All of them.
        keys: Keys of the ledgers that are there; a run's ledger that names another one was spoken of.
    """
    yield (
        "its headers",
        {head: f"round {number}" for number, head in sorted(anchors.headers) if head != NO_BUDGET},
    )
    yield (
        "its run ledger",
        {
            event.head: f"round {event.round_number}"
            for event in anchors.run
            if not keys or event.ledger_key in keys
        },
    )
    yield "its receipts", {anchor.digest: f"entry {anchor.sequence + 1}" for anchor in anchors.receipts}
