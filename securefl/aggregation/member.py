"""One member's side of the aggregation, without torch and without a network: an update in, the next start out.

The rule kept here: a member's state advances only by an aggregate that it verified, in the order of the rounds; what
it sends is a function of its update, the federation file and the seed, apart from the cipher's own randomness.

    contribute   start -> learn -> encode (payload, weight, grid) -> encrypt (pack, tag, encrypt, MAC, sign)
                 before round 1 an opening's answer stands in the place of the update
    receive      decrypt (verify, decrypt, tags, unpack) -> apply (mean, outer step; or what an opening tells)
                 -> redistribute -> next start

Each step is a method, so that tests and measurements can stop after any of them; ``contribute`` and ``receive`` are
the sequence, and the only place where the stages are timed. Steps with a rule of their own stand in ``member_state``,
``member_layers``, ``own_weight``, ``head_openings``, ``kept_state`` and ``encrypted_rounds``.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from securefl.aggregation.decryption import Body
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encrypted_rounds import EncryptedRounds, PreparedContribution
from securefl.aggregation.head_openings import HeadOpenings, head_source
from securefl.aggregation.kept_state import KeptState
from securefl.aggregation.member_layers import MemberLayers
from securefl.aggregation.member_state import MemberState
from securefl.aggregation.own_weight import OwnWeight
from securefl.aggregation.signed_encryption import SignedEncryption
from securefl.aggregation.update_source import HeadSource, RowKeeper, UpdateSource
from securefl.aggregation.weighting import WeightSum
from securefl.crypto.cipher import Cipher
from securefl.crypto.kahe.keys import KeySum
from securefl.crypto.keys import SharedKeys
from securefl.errors import ProtocolError
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest
from securefl.protocol.openings import Opening


class MemberAggregation:
    """One member's side of all rounds of a federation.

    Args:
        federation: The pinned federation.
        member: This member's id.
        rank: Rank of its adapters; where the payload does not mix ranks freely, the roster's.
        cipher: With the federation's key.
        keys: The shared keys; its MAC and tag keys are used here.
        signing_key: This member's.
        clock: Times the stages.

    Attributes:
        kept_round: Number of the round whose adapter is kept, once the sums have ended the federation early; else None.
        weight_sum: The sum that all means are divided by: the first round's, or by class that of the openings, or
            where norms weigh the last round's; None before it.
        update_norm: Of the mean update of the last round applied; see ``adapters.update_norm``. None before it.
        reconstruction_error: Of the last round applied, an estimate for every weight that the payload only
            approximates; empty under the exact ones.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        member: str,
        rank: int,
        cipher: Cipher,
        keys: SharedKeys,
        signing_key: SigningKey,
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
        patience = federation.terms.training.early_stopping_rounds
        self._kept = None if patience is None else KeptState(patience, start=self.state)
        self._openings = HeadOpenings(federation, member) if federation.openings else None
        self._source: HeadSource | None = None
        self._applied = federation.first_round - 1
        self._rounds = EncryptedRounds(
            federation, member=member, cipher=cipher, keys=keys, signing_key=signing_key, clock=clock
        )

    @property
    def state(self) -> SharedState:
        """The global state after the rounds applied so far."""
        return self._held.state

    def contribute(
        self, learner: UpdateSource, *, manifest: Manifest, start_loss: float | None = None
    ) -> PreparedContribution:
        """Trains, and prepares what is sent of it; the windows are made as they are asked for.

        Args:
            learner: This member's model and data.
            manifest: The open round.
            start_loss: Mean validation loss of ``start``, nats, where the round's kind asks for it.

        Raises:
            SecureFLError: what the learner raises; see ``encode`` and ``encrypt``.
        """
        number, clock = manifest.round_number, self._clock
        opening = self.federation.kind_of(number).opening
        if opening is None:
            # Before training, which moves what scores are of.
            layer_scores = self._layer_integers = self._layer_scores(learner, number)
            encoded, scores = self._trained(learner, manifest)
            if self._kept is not None:
                loss = self._kept.integer(start_loss, limit=self._held.codec(number).grid.limit)
                encoded = encoded.followed_by(loss)
            encoded = encoded.followed_by(*layer_scores) if layer_scores else encoded
        else:
            with clock.stage(Stage.TRAIN, number):
                encoded, scores = self.answer(opening, learner), None
        # Integers are made when the cipher asks for them; that is still encoding.
        timed = replace(encoded, runs=lambda: clock.through(Stage.ENCODE, number, encoded.runs()))
        return PreparedContribution(timed, self.encrypt(timed, manifest=manifest, scores=scores))

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

    def _trained(
        self, learner: UpdateSource, manifest: Manifest
    ) -> tuple[EncodedContribution, Scores | None]:
        number, clock = manifest.round_number, self._clock
        with clock.stage(Stage.ENCODE, number):
            frozen = self.frozen(number)
        with clock.stage(Stage.TRAIN, number):
            self._layers.narrow(learner, number)
            update = learner.learn(number, self.start(), frozen)
            asked = self.federation.kind_of(number).asks_scores
            scores = learner.sensitivity(number) if asked else None
        with clock.stage(Stage.ENCODE, number):
            return self.encode(update, manifest=manifest, samples=learner.samples), scores

    def _layer_scores(self, learner: UpdateSource, number: int) -> tuple[int, ...]:
        """The integers that stand for scores of layers in a round; zeros where it sums none."""
        if not self._layers.asks_scores(number):
            return self._layers.no_scores(number)
        limit = self._held.codec(number).grid.limit
        with self._clock.stage(Stage.TRAIN, number):
            return self._layers.scores(learner, number, start=self.start(), limit=limit)

    def receive(
        self, header: AggregateHeader, body: Body, *, manifest: Manifest, key_sum: KeySum | None = None
    ) -> NDArray[np.int64]:
        """Verifies, decrypts and applies a round's aggregate, and makes the next start.

        Returns:
            The exact sums (D,), int64, of the cohort's integers.

        Raises:
            SecureFLError: see ``decrypt`` and ``apply``.
        """
        with self._clock.stage(Stage.DECRYPT, manifest.round_number):
            sums = self.decrypt(header, body, manifest=manifest, key_sum=key_sum)
        with self._clock.stage(Stage.REDISTRIBUTE, manifest.round_number):
            self.apply(sums, manifest=manifest)
            self.start()
        return sums

    def start(self) -> Adapter:
        """The best adapter of the member's global rank that the state holds: what the next round trains from.

        It is made once a round; every call gives a copy.
        """
        return self._held.start()

    def frozen(self, round_number: int) -> Frozen | None:
        """The frozen factors that the round trains against; None where the payload has none."""
        return self._held.codec(round_number).frozen

    def encode(self, update: Update, *, manifest: Manifest, samples: int) -> EncodedContribution:
        """Puts an update on the integer grid, times the own weight.

        Args:
            update: The change since ``start``.
            manifest: The open round.
            samples: What it was trained on, the same in every round; it leaves as the encrypted weight of the first
                one, and as the factor of the values, unless the openings have summed weights by class.

        Raises:
            DataError: if it is not the count of the rounds before, which everybody's mean is divided by.
            ProtocolError, TrainingError: see ``RoundCodec.encode``.
        """
        self._weight.keep(samples)
        # Rounding is reproducible by design: it hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self.federation.plan.seed, "rounding", manifest.round_number, self.member)
        weights = None if self._openings is None else self._openings.own_weights()
        encoded = self._held.codec(manifest.round_number).encode(
            self._held.summed_form(update),
            rank=self.rank,
            samples=samples,
            rng=rng,
            weights=weights,
            trained=self._layers.trained(manifest.round_number),
        )
        self._weight.sent(encoded.weight)
        return encoded

    def owners(self, round_number: int) -> RoundOwners | None:
        """Owners of each layer in the next round to apply; None where every member trains every layer."""
        return self._layers.owners(round_number)

    def encrypt(
        self, encoded: EncodedContribution, *, manifest: Manifest, scores: Scores | None = None
    ) -> SignedEncryption:
        """Encrypts and signs the round's contribution, once, as its windows are asked for.

        Raises:
            ProtocolError, ForgeryError: see ``EncryptedRounds.encrypt``.
        """
        return self._rounds.encrypt(encoded, manifest=manifest, scores=scores)

    def decrypt(
        self, header: AggregateHeader, body: Body, *, manifest: Manifest, key_sum: KeySum | None = None
    ) -> NDArray[np.int64]:
        """Verifies and decrypts an aggregate to the exact sums (D,), int64; one a round, and the verdict is final.

        Raises:
            ProtocolError, AuthenticationError, WireError, ForgeryError: see ``EncryptedRounds.decrypt``.
        """
        return self._rounds.decrypt(header, body, manifest=manifest, key_sum=key_sum)

    def apply(self, sums: NDArray[np.int64], *, manifest: Manifest) -> None:
        """Advances the state by the mean that the sums hold, or takes up what an opening tells.

        Where the sums end the federation, the state is the best one again.

        Raises:
            ProtocolError: if it is not the next round's, the weights in it do not sum to weights or the losses to
                losses, or the federation has ended.
        """
        if self.kept_round is not None:
            raise ProtocolError(f"the federation ended before round {manifest.round_number}")
        if manifest.round_number != self._applied + 1:
            raise ProtocolError(f"round {manifest.round_number} cannot follow round {self._applied}")
        opening = self.federation.kind_of(manifest.round_number).opening
        if opening is None:
            self._advance(sums, manifest)
        else:
            self._take(opening, sums)
        self._applied = manifest.round_number

    def _take(self, opening: Opening, sums: NDArray[np.int64]) -> None:
        if self._openings is None or self._source is None:
            raise ProtocolError(f"{self.member} has answered no opening")
        self._openings.take(opening, sums)
        if self._openings.weights is not None:
            self.weight_sum = self._openings.weights.cohort
        begun = self._openings.begun
        if begun is not None:
            heads = begun.start.heads
            self._held.go_on_from(self.state if heads is None else self.state.with_heads(heads))
            self._source.begin_heads(begun)

    def _advance(self, sums: NDArray[np.int64], manifest: Manifest) -> None:
        number, members = manifest.round_number, len(manifest.cohort)
        codec, owners = self._held.codec(number), self._layers.owner_counts(number)
        limit = codec.grid.limit
        sums, layers = self._layers.told(
            sums, own=self._layer_integers, round_number=number, members=members, limit=limit
        )
        values = sums if self._kept is None else sums[:-1]
        weight_sum = self.weight_sum
        if weight_sum is None or codec.weighs:
            # Norms weigh anew in every round; all other weights are summed once.
            weight_sum = self._weight.summed(values, codec)
        mean = codec.decode(values, weight_sum=weight_sum, owners=owners)
        if self._kept is not None:
            self._kept.judge(int(sums[-1]), self.state, round_number=number, limit=limit, members=members)
        moved = self._held.advance(mean)
        if self._kept is not None and self._kept.ended_with is not None:
            self._held.go_on_from(self._kept.state)
            self.kept_round = self._kept.ended_with
            if isinstance(self._source, RowKeeper):
                self._source.go_back_to(self.kept_round)
        self.weight_sum, self._layers = weight_sum, layers
        self.update_norm = moved
        self.reconstruction_error = mean.error_estimate
