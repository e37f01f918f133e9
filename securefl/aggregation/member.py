"""One member's side of the aggregation, without torch and without a network: an update in, the next start out.

The rule kept here: a member's state advances only by an aggregate that it verified, in the order of the rounds; what
it sends is a function of its update, the federation file and the seed, apart from the cipher's own randomness.

    prepare          start -> learn -> encode (payload, weight, grid), for every cohort and attempt of the round
                     before round 1 an opening's answer stands in the place of the update
    encrypt_attempt  what an attempt's cohort may sum -> pack, tag, encrypt, MAC
    decrypt_attempt  the certified total: verify, decrypt, tags, unpack
    take_up          apply (mean, outer step; or what an opening tells) -> redistribute -> next start
    replay           apply again, from the sums that were kept, without training

Each step is a method, so that tests and measurements can stop after any of them; they are the only place where the
stages are timed. Steps with a rule of their own stand in ``member_state``, ``member_layers``, ``member_ranks``,
``own_weight``, ``head_openings``, ``kept_state`` and ``encrypted_rounds``. Whom a sum is over is an ``Outcome``; a
member that is not among its survivors, or was not in its cohort, applies the same sums and has the same state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.frozen import Frozen
from securefl.adapters.layer_owners import RoundOwners
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.selection import Scores
from securefl.adapters.state import SharedState
from securefl.adapters.update import Adapter, ErrorEstimate, Update
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.cut import unsummed_values, without
from securefl.aggregation.decryption import Body
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encrypted_rounds import EncryptedRounds
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.first_factors import begun_from_model
from securefl.aggregation.head_openings import HeadOpenings, head_source
from securefl.aggregation.kept_state import KeptState
from securefl.aggregation.member_layers import MemberLayers
from securefl.aggregation.member_ranks import MemberRanks
from securefl.aggregation.member_state import MemberState
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.own_weight import OwnWeight
from securefl.aggregation.selection import Selection
from securefl.aggregation.sum_chain import basis_digest, chain_start, chained, state_digest
from securefl.aggregation.update_source import HeadSource, RowKeeper, UpdateSource
from securefl.aggregation.weighting import WeightSum
from securefl.crypto.cipher import Cipher
from securefl.crypto.kahe.keys import KeySum
from securefl.crypto.keys import SharedKeys
from securefl.errors import ProtocolError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation
from securefl.protocol.openings import Opening
from securefl.protocol.owner_rule import Contributors, OwnerRule


class MemberAggregation:
    """One member's side of all rounds of a federation.

    Args:
        federation: The pinned federation.
        member: This member's id.
        rank: Rank of its adapters; where the payload does not mix ranks freely, the roster's.
        cipher: With the federation's key.
        keys: The shared keys; its MAC and tag keys are used here.
        clock: Times the stages.

    Attributes:
        kept_round: Number of the round whose adapter is kept, once the sums have ended the federation early; else None.
        weight_sum: The sum that all means are divided by: the first round's, or by class that of the openings, or
            where norms weigh the last round's; None before it.
        update_norm: Of the mean update of the last round applied; see ``adapters.update_norm``. None before it.
        reconstruction_error: Of the last round applied, an estimate for every weight that the payload only
            approximates; empty under the exact ones.
        chain: Over the integer sums and outcomes of the rounds applied (32 bytes); see ``sum_chain.chained``.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        member: str,
        rank: int,
        cipher: Cipher,
        keys: SharedKeys,
        clock: StageClock = SILENT,
    ) -> None:
        self.federation = federation
        self.member = member
        self.rank = rank
        self.kept_round: int | None = None
        self.weight_sum: WeightSum | ClassWeights | None = None
        self.update_norm: float | None = None
        self.reconstruction_error: Mapping[str, ErrorEstimate] = {}
        self._clock = clock
        self._held = MemberState(federation, rank=rank)
        self._layers = MemberLayers.of(federation, member)
        self._weight = OwnWeight(member)
        self._layer_integers: tuple[int, ...] = ()
        self._ranks = MemberRanks.of(federation, member)
        self._rank_integers: tuple[int, ...] = ()
        patience = federation.terms.training.early_stopping_rounds
        self._kept = None if patience is None else KeptState(patience, start=self.state)
        self._openings = HeadOpenings(federation, member) if federation.openings else None
        self._source: HeadSource | None = None
        self._told = False
        self._begun = False
        self._applied = federation.first_round - 1
        self.chain = chain_start(federation.digest)
        self._selection = Selection(federation)
        self._rounds = EncryptedRounds(
            federation,
            member=member,
            selection=self._selection,
            cipher=cipher,
            keys=keys,
            clock=clock,
        )

    @property
    def state(self) -> SharedState:
        """The global state after the rounds applied so far."""
        return self._held.state

    @property
    def applied(self) -> int:
        """Number of the last round applied; that before the first one where there is none."""
        return self._applied

    @property
    def basis_digest(self) -> bytes:
        """SHA-256 (32 bytes) of what the next round trains against, where that was learned.

        Bases that are drawn follow from the federation file and the round's number, and are not in it by their bits,
        which differ between machines.
        """
        return basis_digest(self.state, round_number=self._applied + 1)

    @property
    def state_digest(self) -> bytes:
        """SHA-256 (32 bytes) of chain and basis: equal at all members that may sum their next updates."""
        return state_digest(self.chain, self.basis_digest)

    def prepare(
        self, learner: UpdateSource, *, round_number: int, start_loss: float | None = None
    ) -> EncodedContribution:
        """Trains, and gives the integers of every attempt of the round, made as they are asked for.

        They depend on the rounds applied and on the learner alone. ``encrypt_attempt`` leaves out what a cohort may
        not sum.

        Args:
            learner: This member's model and data.
            round_number: The next round.
            start_loss: Mean validation loss of ``start``, nats, where the round's kind asks for it.

        Raises:
            SecureFLError: what the learner raises; see ``encode``.
        """
        number, clock = round_number, self._clock
        self.follow(learner)
        opening = self.federation.kind_of(number).opening
        if opening is None:
            # Before training, which moves what scores are of.
            layer_scores = self._layer_integers = self._layer_scores(learner, number)
            encoded, scores = self._trained(learner, number)
            if self._kept is not None:
                loss = self._kept.integer(start_loss, limit=self._held.codec(number).grid.limit)
                encoded = encoded.followed_by(loss)
            encoded = encoded.followed_by(*layer_scores) if layer_scores else encoded
            self._rank_integers = self._ranks.integers(learner)
            encoded = encoded.followed_by(*self._rank_integers) if self._rank_integers else encoded
            encoded = self._selection.with_scores(encoded, scores, round_number=number)
        else:
            with clock.stage(Stage.TRAIN, number):
                encoded = self.answer(opening, learner)
        # Integers are made when the cipher asks for them; that is still encoding.
        return replace(encoded, runs=lambda: clock.through(Stage.ENCODE, number, encoded.runs()))

    def resume(self, integers: NDArray[np.int64], *, round_number: int) -> EncodedContribution:
        """The contribution that ``prepare`` made of a round before this process began, from all of its integers.

        What this member sent is then known again to the checks of the round's sums.

        Raises:
            ProtocolError: if the integers are not as many as the round's contributions have.
        """
        kind = self.federation.kind_of(round_number)
        if integers.shape != (kind.total,):
            raise ProtocolError(
                f"{integers.size} integers are no contribution to round {round_number}, which has {kind.total}"
            )
        if kind.opening is None:
            if kind.weights:
                self._weight.sent(int(integers[kind.values]))
            if self._kept is not None:
                self._kept.resume(int(integers[kind.values + kind.weights]))
            if self._layers.asks_scores(round_number):
                last = kind.encoded - kind.ranks
                self._layer_integers = tuple(integers[last - kind.layer_scores : last].tolist())
            self._rank_integers = tuple(integers[kind.encoded - kind.ranks : kind.encoded].tolist())
        elif self._openings is not None:
            self._openings.resume(kind.opening, integers)
        return EncodedContribution.of_integers(integers)

    def follow(self, learner: UpdateSource, *, told: bool = False) -> None:
        """Names the learner that hears how heads begin, at once if they have, and whose model rounds may begin from.

        Args:
            learner: This member's model and data.
            told: The learner has heard it already, of an object that this one takes the place of.
        """
        if self._openings is not None:
            self._source, self._told = head_source(learner), self._told or told
            self._tell_source()
        if self.federation.plan.frozen_from == "principal" and not self._begun:
            self._held.go_on_from(begun_from_model(self.state, self.federation.plan, learner))
            self._begun = True

    def answer(self, opening: Opening, learner: UpdateSource) -> EncodedContribution:
        """The integers that this member contributes to an opening.

        Raises:
            ModelError: if the learner cannot answer openings.
            SecureFLError: what it raises; see ``HeadOpenings.answer``.
        """
        if self._openings is None:
            raise ProtocolError("this federation has no openings")
        self._source = head_source(learner)
        return self._openings.answer(opening, self._source)

    def owner_rule(self, round_number: int) -> OwnerRule:
        """Owners of everything that the next round can sum: what cohorts cut, and survivors are checked against."""
        opening = self.federation.kind_of(round_number).opening
        by_class = opening in (None, Opening.STATISTICS) and self._openings is not None
        return self.federation.owner_rule(
            round_number,
            layers=self._layers.owners(round_number) if opening is None else None,
            classes=self._openings.holders if by_class and self._openings is not None else None,
            ranks=self._ranks.by_member,
        )

    def within(
        self, encoded: EncodedContribution, *, round_number: int, cohort: Sequence[str]
    ) -> EncodedContribution:
        """The part of a contribution that a cohort may sum: zeros in the place of what too few of it own.

        Raises:
            ProtocolError: if it is no cohort of this roster.
        """
        rule, opening = self.owner_rule(round_number), self.federation.kind_of(round_number).opening
        summed = rule.summed(cohort)
        if opening is None:
            segments = self.federation.plan.segments(round_number)
            return without(encoded, tuple(unsummed_values(segments, summed, rule.layers)))
        if self._openings is None:
            return encoded
        return without(encoded, tuple(self._openings.unsummed(opening, summed.classes)))

    def _trained(self, learner: UpdateSource, number: int) -> tuple[EncodedContribution, Scores | None]:
        clock = self._clock
        with clock.stage(Stage.ENCODE, number):
            frozen = self.frozen(number)
        with clock.stage(Stage.TRAIN, number):
            self._layers.narrow(learner, number)
            self._ranks.narrow(learner)
            update = learner.learn(number, self.start(), frozen)
            asked = self.federation.kind_of(number).asks_scores
            scores = learner.sensitivity(number) if asked else None
        with clock.stage(Stage.ENCODE, number):
            return self.encode(update, round_number=number, samples=learner.samples), scores

    def _layer_scores(self, learner: UpdateSource, number: int) -> tuple[int, ...]:
        """The integers that stand for scores of layers in a round; zeros where it sums none."""
        if not self._layers.asks_scores(number):
            return self._layers.no_scores(number)
        limit = self._held.codec(number).grid.limit
        with self._clock.stage(Stage.TRAIN, number):
            return self._layers.scores(learner, number, start=self.start(), limit=limit)

    def take_up(self, sums: NDArray[np.int64], outcome: Outcome) -> None:
        """``apply``, and the next start made.

        Raises:
            ProtocolError: see ``apply``.
        """
        with self._clock.stage(Stage.REDISTRIBUTE, outcome.round_number):
            self.apply(sums, outcome)
            self.start()

    def replay(self, sums: NDArray[np.int64], outcome: Outcome) -> None:
        """Applies a round again, from the sums that ``decrypt_attempt`` gave before this process began.

        Raises:
            ProtocolError: see ``apply``.
        """
        self.apply(sums, outcome)

    def start(self) -> Adapter:
        """The best adapter of the member's global rank that the state holds: what the next round trains from.

        It is made once a round; every call gives a copy.
        """
        return self._ranks.cut(self._held.start())

    def frozen(self, round_number: int) -> Frozen | None:
        """The frozen factors that the round trains against; None where the payload has none."""
        return self._held.codec(round_number).frozen

    def encode(self, update: Update, *, round_number: int, samples: int) -> EncodedContribution:
        """Puts an update on the integer grid, times the own weight, or the mean one where the own was not summed.

        Args:
            update: The change since ``start``.
            round_number: The next round.
            samples: What it was trained on, the same in every round; it leaves as the encrypted weight of the first
                one, and as the factor of the values, unless the openings have summed weights by class.

        Raises:
            DataError: if it is not the count of the rounds before, which everybody's mean is divided by.
            ProtocolError, TrainingError: see ``RoundCodec.encode``.
        """
        self._weight.keep(samples)
        # Rounding is reproducible by design: it hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self.federation.plan.seed, "rounding", round_number, self.member)
        codec = self._held.codec(round_number)
        encoded = codec.encode(
            self._held.summed_form(self._ranks.restricted(update)),
            rank=self.rank,
            samples=samples,
            rng=rng,
            weights=self._own_weights(),
            trained=self._layers.trained(round_number),
            mean_steps=self._weight.by_the_mean(codec, self.weight_sum),
        )
        self._weight.sent(encoded.weight)
        return encoded

    def _own_weights(self) -> ClassWeights | None:
        if self._openings is None:
            return None
        if self._source is None:
            raise ProtocolError(f"{self.member} has named no learner that knows its classes")
        return self._openings.own_weights(self._source)

    def owners(self, round_number: int) -> RoundOwners | None:
        """Owners of each layer in the next round to apply; None where every member trains every layer."""
        return self._layers.owners(round_number)

    def encrypt_attempt(self, encoded: EncodedContribution, *, cohort: Cohort, salt: bytes) -> Encryption:
        """Encrypts the contribution to an attempt, once, as its windows are asked for; it is not signed here.

        Args:
            encoded: From ``prepare`` or ``resume``, the same in every attempt of the round.
            cohort: The attempt's; what it may not sum is left out.
            salt: Fresh randomness (32 bytes), which goes into the header too.

        Raises:
            ProtocolError, ForgeryError: see ``within`` and ``EncryptedRounds.encrypt_attempt``.
        """
        number = cohort.attempt.round_number
        cut = self.within(encoded, round_number=number, cohort=cohort.members)
        return self._rounds.encrypt_attempt(cut, cohort=cohort, salt=salt)

    def decrypt_attempt(
        self, head: AggregateHead, body: Body, *, key_sum: KeySum | None
    ) -> NDArray[np.int64]:
        """Decrypts a certified total to the exact sums, int64; ``apply`` takes them with ``Outcome.of(head)``.

        Raises:
            ProtocolError, AuthenticationError, WireError, ForgeryError: see ``EncryptedRounds.decrypt_attempt``.
        """
        with self._clock.stage(Stage.DECRYPT, head.cohort.attempt.round_number):
            return self._rounds.decrypt_attempt(head, body, key_sum=key_sum)

    def apply(self, sums: NDArray[np.int64], outcome: Outcome) -> None:
        """Advances the state by the mean that the sums hold, or takes up what an opening tells.

        Where the sums end the federation, the state is the best one again.

        Args:
            sums: Of all the survivors' integers.
            outcome: Whose they are.

        Raises:
            ProtocolError: if it is not the next round's, the survivors break the owner rule, the weights in it do not
                sum to weights or the losses to losses, or the federation has ended.
        """
        number = outcome.round_number
        if self.kept_round is not None:
            raise ProtocolError(f"the federation ended before round {number}")
        if number != self._applied + 1:
            raise ProtocolError(f"round {number} cannot follow round {self._applied}")
        opening = self.federation.kind_of(number).opening
        who = self.owner_rule(number).contributors(outcome.survivors, cohort=outcome.cohort)
        if opening is None:
            self._advance(sums, outcome, who)
        else:
            self._take(opening, sums, outcome, who)
        self._applied, self.chain = number, chained(self.chain, outcome, sums)

    def _take(self, opening: Opening, sums: NDArray[np.int64], outcome: Outcome, who: Contributors) -> None:
        if self._openings is None:
            raise ProtocolError("this federation has no openings")
        self._openings.take(opening, sums, survivors=outcome.survivors, classes=who.classes)
        self.weight_sum = self._openings.weights
        begun = self._openings.begun
        if begun is not None:
            heads = begun.start.heads
            self._held.go_on_from(self.state if heads is None else self.state.with_heads(heads))
            self._tell_source()

    def _tell_source(self) -> None:
        """Tells the learner, once, how heads begin."""
        begun = None if self._openings is None else self._openings.begun
        if begun is not None and self._source is not None and not self._told:
            self._source.begin_heads(begun)
            self._told = True

    def _advance(self, sums: NDArray[np.int64], outcome: Outcome, who: Contributors) -> None:
        number, contributed = outcome.round_number, self.member in outcome.survivors
        codec = self._held.codec(number)
        limit = codec.grid.limit
        rest = self._selection.told(sums, round_number=number)
        own_rank = self._rank_integers if contributed else ()
        rest, ranks = self._ranks.told(rest, own=own_rank, survivors=outcome.survivors)
        rest, layers = self._layers.told(
            rest,
            own=self._layer_integers if contributed else (),
            round_number=number,
            members=who.members,
            limit=limit,
        )
        values = rest if self._kept is None else rest[:-1]
        weight_sum = self.weight_sum
        if weight_sum is None or codec.weighs:
            # Norms weigh anew in every round; all other weights are summed once.
            weight_sum = self._weight.summed(values, codec, contributors=who.members, contributed=contributed)
        mean = codec.decode(values, weight_sum=weight_sum, contributors=who)
        if self._kept is not None:
            self._kept.judge(
                int(rest[-1]),
                self.state,
                round_number=number,
                limit=limit,
                members=who.members,
                contributed=contributed,
            )
        moved = self._held.advance(mean)
        if self._kept is not None and self._kept.ended_with is not None:
            self._held.go_on_from(self._kept.state)
            self.kept_round = self._kept.ended_with
            if isinstance(self._source, RowKeeper):
                self._source.go_back_to(self.kept_round)
        self.weight_sum, self._layers, self._ranks = weight_sum, layers, ranks
        self.update_norm = moved
        self.reconstruction_error = mean.error_estimate
