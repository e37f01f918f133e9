"""What must hold of every world, whatever failed in it: compared with plain integer sums and with what was sent."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from securefl.crypto.profiles import DEGREE
from securefl.crypto.thresholds import threshold
from securefl.ledger.charges import charged
from securefl.ledger.events import Event, RoundContributed, RoundVoided
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.agreement.statement import Survivors
from securefl.protocol.calls import Acknowledge, CastVote, SendReveal
from securefl.protocol.member_session import MemberState
from securefl_client.round_work import Sent, Upload


@dataclass(frozen=True)
class Proposed:
    """A statement of survivors, by their ids, and t of its cohort."""

    attempt: Attempt
    survivors: tuple[str, ...]
    threshold: int


@dataclass
class Observed:
    """Everything that left members, as far as a promise is in it.

    Attributes:
        bodies: Digests of the bodies encrypted under each key.
        uploads: Digests of the bodies sent by (member, round, attempt).
        headers: Digests of the headers sent by (member, round, attempt).
        votes: Votes by (member, round, attempt), SPOILED apart.
        reveals: Statements by (member, round, attempt).
        proposed: Statements that the server proposed, by their digest.
        log: A digest over everything that left, in its order: equal where a seed is played again.
    """

    bodies: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    uploads: dict[tuple[str, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    headers: dict[tuple[str, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    votes: dict[tuple[str, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    reveals: dict[tuple[str, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    proposed: dict[bytes, Proposed] = field(default_factory=dict)
    log: bytes = bytes(32)

    def __call__(self, member: str, sent: Sent) -> None:
        """Note what a member sends."""
        self.log = hashlib.sha256(self.log + member.encode() + repr(_plain(sent)).encode()).digest()
        match sent:
            case Upload(head, body):
                place = (member, head.attempt.round_number, head.attempt.number)
                self.uploads[place].add(hashlib.sha256(body.read_bytes()).digest())
            case Acknowledge(attempt, _, header) if header is not None:
                self.headers[member, attempt.round_number, attempt.number].add(header.signature)
            case CastVote(vote) if hasattr(vote, "signature") and vote.body.KIND != b"vote-spoiled":
                attempt = vote.body.attempt
                self.votes[member, attempt.round_number, attempt.number].add(vote.signature)
            case SendReveal(reveal):
                attempt = reveal.body.attempt
                self.reveals[member, attempt.round_number, attempt.number].add(reveal.body.statement_digest)
            case _:
                return

    def violations(self, states: dict[str, MemberState], *, colluders: int = 0) -> list[str]:
        """Broken promises, in words; none in a world that holds together.

        Args:
            states: Of all members that came to their end.
            colluders: Members whose shares an attacker has beside those that were let go.
        """
        broken = [
            f"{what} of {place}: {len(said)}"
            for what, table in (
                ("bodies under one key", self.bodies),
                ("bodies of one attempt", self.uploads),
                ("headers of one attempt", self.headers),
                ("votes of one attempt", self.votes),
                ("reveals of one attempt", self.reveals),
            )
            for place, said in table.items()
            if len(said) > 1
        ]
        return broken + self._opened_twice(colluders) + _differences(states)

    def propose(self, statement: Survivors, members: tuple[str, ...]) -> None:
        """Note a statement that the server proposed to a cohort."""
        chosen = tuple(members[each.index] for each in statement.survivors)
        self.proposed[statement.digest] = Proposed(statement.attempt, chosen, threshold(len(members)))

    def openable(self, colluders: int) -> dict[bytes, Proposed]:
        """Statements whose sum could be opened by what honest members revealed and by so many that reveal for all."""
        helpers: dict[bytes, int] = defaultdict(int)
        for statements in self.reveals.values():
            for statement in statements:
                helpers[statement] += 1
        return {
            digest: self.proposed[digest]
            for digest, count in helpers.items()
            if count + colluders >= self.proposed[digest].threshold
        }

    def _opened_twice(self, colluders: int) -> list[str]:
        """Rounds with openable sums of different survivors, and attempts with two; a spoiled sum is made once more."""
        opened = self.openable(colluders).values()
        attempts = [(each.attempt.round_number, each.attempt.number) for each in opened]
        survivors: dict[int, set[tuple[str, ...]]] = defaultdict(set)
        for each in opened:
            survivors[each.attempt.round_number].add(each.survivors)
        twice = [f"attempt {place} was opened twice" for place in set(attempts) if attempts.count(place) > 1]
        forked = [
            f"round {number} was opened for {len(each)} sets"
            for number, each in survivors.items()
            if len(each) > 1
        ]
        return twice + forked


def wrong_sums(
    states: dict[str, MemberState], sums: dict[str, list[np.ndarray]], integers: object
) -> list[str]:
    """Rounds whose sum is not that of its survivors' integers, added as plain numbers."""
    assert callable(integers)
    return [
        f"{member} has another sum of round {applied.round_number}"
        for member, state in states.items()
        for applied, found in zip(state.sums, sums[member], strict=True)
        if not np.array_equal(found, sum(integers(each, applied.round_number) for each in applied.survivors))
    ]


def counted_otherwise(
    states: dict[str, MemberState], sums: dict[str, list[np.ndarray]], roster: tuple[str, ...]
) -> list[str]:
    """Rounds whose sum has another member than the survivors in it, or one of them twice; updates were ``one_hot``.

    The statement of survivors is compared with what the sum itself says of each member.
    """
    return [
        f"round {applied.round_number} counts {found[: len(roster)].tolist()} at {member}"
        for member, state in states.items()
        for applied, found in zip(state.sums, sums[member], strict=True)
        if found[: len(roster)].tolist() != [int(each in applied.survivors) for each in roster]
        or found[len(roster) : -1].any()
    ]


def one_hot(roster: tuple[str, ...]) -> Callable[[str, int], np.ndarray]:
    """Updates that name their sender and nothing else: (4096,), 1 at the member's place, and their sum in the end."""

    def draw(member: str, round_number: int) -> np.ndarray:
        values = np.zeros(DEGREE, dtype=np.int64)
        values[roster.index(member)] = values[-1] = 1
        return values

    return draw


def wrong_charges(
    states: dict[str, MemberState], ledgers: dict[str, list[Event]], observed: Observed
) -> list[str]:
    """Ledgers that do not fit what left their members, and what became of it.

    The model: a header is charged before it leaves; who is among the survivors of an applied sum stays charged for it,
    who is in its cohort and not among them is refunded; and nothing is refunded whose sum could be opened.
    """
    opened = {
        (each.attempt.round_number, each.attempt.number): each.survivors
        for each in observed.openable(0).values()
    }
    broken = []
    for member, events in ledgers.items():
        made = {(e.round_number, e.attempt) for e in events if isinstance(e, RoundContributed)}
        voided = {(e.round_number, e.attempt) for e in events if isinstance(e, RoundVoided)}
        sent = {(number, attempt) for name, number, attempt in observed.headers if name == member}
        last = {(each.round_number, each.number): each.survivors for each in states[member].sums}
        paid = {place for place, survivors in last.items() if member in survivors}
        free = {place for place, survivors in last.items() if member not in survivors}
        found = charged(events)
        wrong = {
            "not charged before it left": sent - made,
            "in a sum and not charged": paid - found,
            "not in the sum and charged": found & free,
            "refunded though its sum could be opened": {
                place for place in voided & set(opened) if member in opened[place]
            },
        }
        broken += [f"{member}: {what}: {sorted(places)}" for what, places in wrong.items() if places]
    return broken


def _differences(states: dict[str, MemberState]) -> list[str]:
    """Members of which neither has the beginning of the other's chain of sums."""
    chains = sorted(
        (
            tuple((each.round_number, each.statement_digest, each.sums.sha256) for each in state.sums)
            for state in states.values()
        ),
        key=len,
    )
    longest = chains[-1] if chains else ()
    forks = sum(chain != longest[: len(chain)] for chain in chains)
    return [f"{forks} members are on another chain of sums"] if forks else []


def _plain(sent: Sent) -> object:
    """What was sent, without the place of its file."""
    return sent.head if isinstance(sent, Upload) else sent
