"""What a server with c_max members' keys can show to the others: cohorts, proposals, certificates, proofs, reveals.

Every method draws one lie; what it makes is never what honest members agreed on. The colluders sign whatever helps.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from securefl.protocol.agreement.cohort import Advert, Cohort
from securefl.protocol.agreement.commitment import ContributionHeader, header_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Signable, Signed, sign
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    SpoiledVote,
    Survivor,
    Survivors,
    SurvivorsVote,
    VoidProof,
    VoidVote,
    settlements_digest,
)
from securefl.protocol.calls import AggregateHead, RoundOpened, SettledAttempt
from support.agreements import Members


@dataclass
class HostileServer:
    """One round of a federation, in which the first c_max members collude.

    Attributes:
        members: The federation; honest members' keys are never used but for what they have signed in earnest.
        draw: Its choices.
    """

    members: Members
    draw: random.Random
    cohort: Cohort = field(init=False)
    earlier: Cohort = field(init=False)
    later_round: Cohort = field(init=False)

    def __post_init__(self) -> None:
        roster = self.members.roster
        self.sizes = self.members.rules.constants.cohort(len(roster))
        self.allies = roster[: self.members.rules.constants.max_colluders]
        self.honest = roster[len(self.allies) :]
        self.victim = roster[-1]
        self.earlier = self.members.cohort(self.members.manifest(1))
        void = self.members.void(self.earlier, roster)
        self.settled = (SettledAttempt(self.earlier, void),)
        self.cohort = self.members.cohort(self.members.manifest(2, settled=self.settled))
        self.later_round = self.members.cohort(self.members.manifest(1, round_number=2))
        self.headers = {name: self.members.header(name, self.cohort) for name in roster}
        self.statement = self.members.statement(self.cohort, self.headers.values())

    @property
    def ally(self) -> str:
        """A colluder."""
        return self.draw.choice(self.allies)

    def forged(self, body: Signable) -> Signed:
        """An object in anybody's name, signed by a colluder or by nobody."""
        if self.draw.random() < 0.5:
            return Signed(body, self.draw.randbytes(64))
        return sign(body, self.members.keys[self.ally])

    # --- cohorts

    def a_cohort(self) -> tuple[str, Cohort]:
        """A cohort that the victim shall take."""
        return self._one_of(
            self._too_small,
            self._of_another_manifest,
            self._with_a_forged_advert,
            self._with_a_repeat,
            self._out_of_order,
            self._on_two_states,
            self._with_another_advert_of_the_victim,
        )

    def _too_small(self) -> Cohort:
        """Colluders, the victim, and too few others: with t = colluders + 1 they would be enough."""
        most = self.members.min_clients - 1
        others = [name for name in self.honest if name != self.victim]
        count = self.draw.randrange(0, most - len(self.allies))
        chosen = {*self.allies, self.victim, *self.draw.sample(others, count)}
        return replace(self.cohort, adverts=self._adverts(chosen))

    def _adverts(self, chosen: set[str]) -> tuple[Signed[Advert], ...]:
        return tuple(each for each in self.cohort.adverts if each.body.signer in chosen)

    def _changed(self, place: int, advert: Signed[Advert]) -> Cohort:
        adverts = list(self.cohort.adverts)
        adverts[place] = advert
        return replace(self.cohort, adverts=tuple(adverts))

    def _of_another_manifest(self) -> Cohort:
        other = self.draw.choice((self.earlier, self.later_round))
        place = self.draw.randrange(len(self.members.roster))
        return self._changed(place, other.adverts[place])

    def _with_a_forged_advert(self) -> Cohort:
        place = self.draw.randrange(len(self.allies), len(self.members.roster))
        body = replace(self.cohort.adverts[place].body, nonce=self.draw.randbytes(32))
        return self._changed(place, self.forged(body))

    def _with_a_repeat(self) -> Cohort:
        first, second = self.draw.sample(range(len(self.members.roster)), 2)
        return self._changed(first, self.cohort.adverts[second])

    def _out_of_order(self) -> Cohort:
        adverts = list(self.cohort.adverts)
        while adverts == list(self.cohort.adverts):
            self.draw.shuffle(adverts)
        return replace(self.cohort, adverts=tuple(adverts))

    def _on_two_states(self) -> Cohort:
        place = self.draw.randrange(len(self.allies))
        body = replace(self.cohort.adverts[place].body, state=self.draw.randbytes(32))
        return self._changed(place, sign(body, self.members.keys[body.signer]))

    def _with_another_advert_of_the_victim(self) -> Cohort:
        body = replace(self.cohort.adverts[-1].body, nonce=self.draw.randbytes(32))
        return self._changed(len(self.cohort.adverts) - 1, self.forged(body))

    # --- proposals

    def a_proposal(self) -> tuple[str, Proposal]:
        """A statement of survivors with headers that the victim shall vote for."""
        return self._one_of(
            self._too_few,
            self._repeated,
            self._with_a_header_of_another_attempt,
            self._with_a_forged_header,
            self._with_a_borrowed_header,
            self._with_another_header_of_the_victim,
            self._of_strangers,
            self._of_another_cohort,
        )

    def _proposed(
        self, chosen: list[tuple[int, Signed[ContributionHeader]]], cohort: Cohort | None = None
    ) -> Proposal:
        of = self.cohort if cohort is None else cohort
        listed = tuple(Survivor(index, header_digest(header)) for index, header in chosen)
        statement = Survivors(of.attempt, of.digest, listed, self.draw.randbytes(32))
        return statement, tuple(header for _, header in chosen)

    def _all(self) -> list[tuple[int, Signed[ContributionHeader]]]:
        return list(enumerate(self.headers.values()))

    def _too_few(self) -> Proposal:
        count = self.draw.randrange(0, self.sizes.threshold)
        return self._proposed(sorted(self.draw.sample(self._all(), count), key=lambda each: each[0]))

    def _repeated(self) -> Proposal:
        chosen = self._all()
        first, second = self.draw.sample(range(len(chosen)), 2)
        if self.draw.random() < 0.5:
            chosen[first] = chosen[second]
        else:
            chosen.insert(first, chosen[second])
        return self._proposed(chosen)

    def _replaced(self, header: Signed[ContributionHeader], place: int) -> Proposal:
        chosen = self._all()
        chosen[place] = (place, header)
        return self._proposed(chosen)

    def _with_a_header_of_another_attempt(self) -> Proposal:
        place = self.draw.randrange(len(self.members.roster))
        other = self.draw.choice((self.earlier, self.later_round))
        return self._replaced(self.members.header(self.members.roster[place], other), place)

    def _with_a_forged_header(self) -> Proposal:
        place = self.draw.randrange(len(self.allies), len(self.members.roster))
        body = self.headers[self.members.roster[place]].body
        return self._replaced(self.forged(replace(body, salt=self.draw.randbytes(32))), place)

    def _with_a_borrowed_header(self) -> Proposal:
        first, second = self.draw.sample(range(len(self.members.roster)), 2)
        return self._replaced(self.headers[self.members.roster[second]], first)

    def _with_another_header_of_the_victim(self) -> Proposal:
        body = replace(self.headers[self.victim].body, body_digest=self.draw.randbytes(32))
        return self._replaced(self.forged(body), len(self.members.roster) - 1)

    def _of_strangers(self) -> Proposal:
        chosen = self._all()
        place = self.draw.randrange(len(chosen))
        index = self.draw.choice((-1, len(chosen), 2**31, chosen[place - 1][0]))
        chosen[place] = (index, chosen[place][1])
        return self._proposed(chosen)

    def _of_another_cohort(self) -> Proposal:
        return self._proposed(self._all(), self.draw.choice((self.earlier, self.later_round)))

    # --- certificates

    def a_certificate(self, *, honest: int) -> tuple[str, Certificate]:
        """A certificate with votes of so many honest members, of all colluders, and of whatever can be made of them."""
        votes = [
            self.members.certificate(self.statement, (name,)).votes[0]
            for name in (*self.allies, *self.draw.sample(self.honest, honest))
        ]
        missing = [name for name in self.honest if name not in {vote.body.signer for vote in votes}]
        kind, more = self._one_of(
            lambda: [],
            lambda: self.draw.choices(votes, k=self.sizes.threshold),
            lambda: [
                self.forged(SurvivorsVote(self.statement.attempt, name, self.statement.digest))
                for name in missing
            ],
            lambda: [self._vote_elsewhere(name) for name in missing],
            lambda: [self._stranger() for _ in missing],
        )
        chosen = [*votes, *more]
        self.draw.shuffle(chosen)
        return kind, Certificate(self.statement, tuple(chosen))

    def _vote_elsewhere(self, name: str) -> Signed[SurvivorsVote]:
        """A vote that an honest member gave in earnest, for something else."""
        other = self.draw.choice((self.earlier, self.later_round))
        statement = self.members.statement(other, [self.members.header(name, other)])
        vote = self.members.certificate(statement, (name,)).votes[0]
        if self.draw.random() < 0.5:
            return vote
        return Signed(
            replace(vote.body, attempt=self.statement.attempt, statement_digest=self.statement.digest),
            vote.signature,
        )

    def _stranger(self) -> Signed[SurvivorsVote]:
        name = f"client-{self.draw.randrange(100, 999)}"
        return self.forged(SurvivorsVote(self.statement.attempt, name, self.statement.digest))

    # --- attempts

    def an_attempt(self) -> tuple[str, RoundOpened]:
        """A further attempt, before the one that the victim has sent a header in is settled."""
        kind, settled = self._one_of(
            lambda: (),
            lambda: self.settled,
            lambda: (*self.settled, SettledAttempt(self.cohort, self._void(self.cohort))),
            lambda: (*self.settled, SettledAttempt(self.cohort, self._spoiled())),
            lambda: (
                *self.settled,
                SettledAttempt(self.cohort, self.members.certificate(self.statement, self.members.roster)),
            ),
            lambda: (
                *self.settled,
                SettledAttempt(self.cohort, self.members.void(self.earlier, self.members.roster)),
            ),
            lambda: (SettledAttempt(self.earlier, self.members.void(self.earlier, self.members.roster)),) * 2,
            self._of_a_smaller_cohort,
        )
        manifest = self.members.manifest(3, settled=settled)
        if self.draw.random() < 0.1:
            proofs = settlements_digest(tuple(each.settlement for each in self.settled))
            manifest = replace(manifest, settled=proofs)
        return kind, RoundOpened(manifest, settled)

    def _void(self, cohort: Cohort) -> VoidProof:
        """VOID by the colluders, repeated, and forged for the others."""
        voters = [*self.allies, *self.draw.choices(self.allies, k=self.draw.randrange(self.sizes.threshold))]
        signed = [
            sign(VoidVote(cohort.attempt, name, cohort.digest), self.members.keys[name]) for name in voters
        ]
        signed += [
            self.forged(VoidVote(cohort.attempt, name, cohort.digest))
            for name in self.honest[: self.draw.randrange(9)]
        ]
        return VoidProof(cohort.attempt, cohort.digest, tuple(signed))

    def _spoiled(self) -> SpoiledProof:
        certificate = self.members.certificate(self.statement, self.members.roster)
        bodies = [
            SpoiledVote(self.statement.attempt, name, self.statement.digest) for name in self.members.roster
        ]
        votes = [
            sign(body, self.members.keys[body.signer]) if body.signer in self.allies else self.forged(body)
            for body in bodies
        ]
        return SpoiledProof(certificate, tuple(votes[: self.draw.randrange(1, len(votes) + 1)]))

    def _of_a_smaller_cohort(self) -> tuple[SettledAttempt, ...]:
        """VOID of a cohort of the same attempt, which the victim is not committed in."""
        names = [*self.allies, *self.draw.sample(self.honest, self.members.min_clients - len(self.allies))]
        smaller = replace(self.cohort, adverts=self._adverts(set(names)))
        return (*self.settled, SettledAttempt(smaller, self.members.void(smaller, smaller.members)))

    # --- reveals

    def a_head(self) -> tuple[str, AggregateHead]:
        """A head of a sum with reveals that are none."""
        head = self.members.head(self.cohort, self.members.roster, settled=self.settled)
        kind, reveals = self._one_of(
            lambda: self._reveals(head, lambda body: replace(body, statement_digest=self.draw.randbytes(32))),
            lambda: self._reveals(head, lambda body: replace(body, attempt=self.earlier.attempt)),
            lambda: self._reveals(head, lambda body: replace(body, signer="client-999")),
            lambda: (*head.reveals, self.draw.choice(head.reveals)),
            lambda: self._forged_reveals(head),
        )
        return kind, replace(head, reveals=tuple(reveals))

    def _reveals(self, head: AggregateHead, alter: Callable[[Reveal], Reveal]) -> list[Signed[Reveal]]:
        reveals = list(head.reveals)
        place = self.draw.randrange(len(self.allies))
        body = alter(reveals[place].body)
        reveals[place] = sign(body, self.members.keys[self.ally])
        return reveals

    def _forged_reveals(self, head: AggregateHead) -> list[Signed[Reveal]]:
        reveals = list(head.reveals)
        place = self.draw.randrange(len(self.allies), len(reveals))
        reveals[place] = self.forged(replace(reveals[place].body, sealed=self.draw.randbytes(30)))
        return reveals

    def _one_of(self, *lies: Callable[[], object]) -> tuple[str, object]:  # type: ignore[type-arg]
        place = self.draw.randrange(len(lies))
        return f"{place}", lies[place]()


Proposal = tuple[Survivors, tuple[Signed[ContributionHeader], ...]]
