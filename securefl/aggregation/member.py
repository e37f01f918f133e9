"""One member's side of the aggregation, without torch and without a network: an update in, the next start out.

The rule kept here: a member's state advances only by an aggregate that it verified, in the order of the rounds; what
it sends is a function of its update, the federation file and the seed, apart from the cipher's own randomness.

    contribute   start -> learn -> encode (payload, weight, grid) -> encrypt (pack, tag, encrypt, MAC, sign)
                 before round 1 an opening's answer stands in the place of the update
    receive      decrypt (verify, decrypt, tags, unpack) -> apply (mean, outer step; or what an opening tells)
                 -> redistribute -> next start

Each step is a method, so that tests and measurements can stop after any of them; ``contribute`` and ``receive`` are
the sequence, and the only place where the stages are timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.frozen import Frozen
from securefl.adapters.layer_owners import RoundOwners, ScoredPrior
from securefl.adapters.layer_scores import checked_sums, group_weights, score_steps
from securefl.adapters.outer import outer_of
from securefl.adapters.scaling import scaling_of
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.selection import Scores
from securefl.adapters.state import SharedState
from securefl.adapters.update import Adapter, ErrorEstimate, Update, whole_update
from securefl.adapters.update_norm import update_norm
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.decryption import Body, decrypt_aggregate
from securefl.aggregation.encoding import EncodedContribution, RoundCodec
from securefl.aggregation.encryption import Encryption, Part
from securefl.aggregation.head_openings import HeadOpenings, head_source
from securefl.aggregation.kept_state import KeptState
from securefl.aggregation.others import check_others
from securefl.aggregation.selection import Selection
from securefl.aggregation.update_source import HeadSource, LayerSource, UpdateSource
from securefl.aggregation.weighting import WeightSum, weight_steps
from securefl.crypto.authentication import forgery
from securefl.crypto.cipher import Cipher
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.keys import SharedKeys
from securefl.errors import DataError, ForgeryError, ModelError, ProtocolError
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest
from securefl.protocol.openings import Opening


@dataclass(frozen=True, slots=True)
class PreparedContribution:
    """A round's contribution before its first window is made.

    Attributes:
        encoded: Its integers, and what was clipped of them once all windows are made.
        encryption: Its windows, seeds and signed header, each made once.
    """

    encoded: EncodedContribution
    encryption: Encryption


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
        state: The global state after the rounds applied so far.
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
        self._plan = federation.plan
        self.state: SharedState = self._plan.start()
        self._layers = federation.layer_owners
        self._scored: ScoredPrior | None = None
        self._outer = outer_of(
            federation.terms.outer,
            kept_rank=self._plan.kept_rank,
            seeded=federation.terms.recipe.seeded,
        )
        self.kept_round: int | None = None
        patience = federation.terms.training.early_stopping_rounds
        self._kept = None if patience is None else KeptState(patience, start=self.state)
        self.weight_sum: WeightSum | ClassWeights | None = None
        self.update_norm: float | None = None
        self.reconstruction_error: Mapping[str, ErrorEstimate] = {}
        self._start: Adapter | None = None
        self._samples: int | None = None
        self._applied = federation.first_round - 1
        self._openings = HeadOpenings(federation, member) if federation.openings else None
        self._source: HeadSource | None = None
        self._codec: tuple[int, SharedState, RoundCodec] | None = None
        self._cipher = cipher
        self._keys = keys
        self._signing_key = signing_key
        self._clock = clock
        self._selection = Selection(federation)
        self._contributions: dict[int, Encryption] = {}
        self._judged: set[int] = set()
        self._refused = False

    @property
    def global_rank(self) -> int:
        """Rank of the adapter in which this member holds the global state; see ``PayloadPlan.global_rank``."""
        return self._plan.global_rank(self.rank)

    @property
    def scaling(self) -> float:
        """Scaling of that adapter; see ``adapters.scaling``."""
        return scaling_of(self.federation.terms.lora, self.global_rank)

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
            layer_scores = self._layer_scores(learner, number)
            encoded, scores = self._trained(learner, manifest)
            if self._kept is not None:
                loss = self._kept.integer(start_loss, limit=self._round(number).grid.limit)
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
            trained = self._trains(number)
            if trained is not None and isinstance(learner, LayerSource):
                learner.train_only(trained)
            update = learner.learn(number, self.start(), frozen)
            asked = self.federation.kind_of(number).asks_scores
            scores = learner.sensitivity(number) if asked else None
        with clock.stage(Stage.ENCODE, number):
            return self.encode(update, manifest=manifest, samples=learner.samples), scores

    def _layer_scores(self, learner: UpdateSource, number: int) -> tuple[int, ...]:
        """The integers that stand for scores of layers in a round; zeros where it sums none."""
        count = self.federation.kind_of(number).layer_scores
        if self._layers is None or not self.federation.terms.layers.scores(number):
            return (0,) * count
        if not isinstance(learner, LayerSource):
            raise ModelError(
                "the learner has no scores of layers",
                hint='write [layers] allocation = "random" or "geometric"',
            )
        with self._clock.stage(Stage.TRAIN, number):
            scores = learner.layer_scores(number, self.start(), self._layers.layers)
        return tuple(score_steps(scores, layers=count, limit=self._round(number).grid.limit).tolist())

    def receive(self, header: AggregateHeader, body: Body, *, manifest: Manifest) -> NDArray[np.int64]:
        """Verifies, decrypts and applies a round's aggregate, and makes the next start.

        Returns:
            The exact sums (D,), int64, of the cohort's integers.

        Raises:
            SecureFLError: see ``decrypt`` and ``apply``.
        """
        with self._clock.stage(Stage.DECRYPT, manifest.round_number):
            sums = self.decrypt(header, body, manifest=manifest)
        with self._clock.stage(Stage.REDISTRIBUTE, manifest.round_number):
            self.apply(sums, manifest=manifest)
            self.start()
        return sums

    def start(self) -> Adapter:
        """The best adapter of ``global_rank`` that the state holds: what the next round trains from.

        It is made once a round; every call gives a copy.
        """
        if self._start is None:
            self._start = self.state.redistributed(self.global_rank, scaling=self.scaling)
        return self._start.copy()

    def frozen(self, round_number: int) -> Frozen | None:
        """The frozen factors that the round trains against; None where the payload has none."""
        return self._round(round_number).frozen

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
        if self._samples not in (None, samples):
            raise DataError(
                f"{self.member}'s number of samples has changed since its first contribution",
                hint="train every round on as many rows as the first one; a new federation can take other data",
            )
        self._samples = samples
        # Rounding is reproducible by design: it hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self._plan.seed, "rounding", manifest.round_number, self.member)
        by_class = self._openings.weights if self._openings else None
        if self._openings is not None and by_class is None:
            raise ProtocolError("the openings come before the first round of training")
        own = by_class.own if by_class else None
        if self._plan.sums_products:
            update = whole_update(update, self.start(), scaling=self.scaling)
        return self._round(manifest.round_number).encode(
            update,
            rank=self.rank,
            samples=samples,
            rng=rng,
            weights=own,
            trained=self._trains(manifest.round_number),
        )

    def owners(self, round_number: int) -> RoundOwners | None:
        """Owners of each layer in the next round to apply; None where every member trains every layer."""
        return None if self._layers is None else self._layers.of_round(round_number, self._scored)

    def _trains(self, round_number: int) -> frozenset[str] | None:
        owners = self.owners(round_number)
        return None if owners is None else owners.trained_by(self.federation.cohort.index(self.member))

    def encrypt(
        self, encoded: EncodedContribution, *, manifest: Manifest, scores: Scores | None = None
    ) -> Encryption:
        """Encrypts and signs the round's contribution, once, as its windows are asked for.

        Args:
            encoded: What goes into it.
            manifest: The open round.
            scores: This member's sensitivity scores (F,), where the round's kind asks for them.

        Raises:
            ProtocolError: if this round was encrypted already (a retry sends the same bytes again), or scores and
                round do not fit.
            ForgeryError: if an aggregate was refused: nothing is encrypted under its keys any more.
        """
        self._check_keys()
        if manifest.round_number in self._contributions:
            raise ProtocolError(
                f"round {manifest.round_number} was encrypted already", hint="send the same bytes again"
            )
        counts = self.federation.kind_of(manifest.round_number).section_values
        divided = self._selection.divided(encoded.runs, round_number=manifest.round_number, scores=scores)
        parts = [
            Part(cipher, values, runs)
            for cipher, values, runs in zip(
                self._ciphers(manifest.round_number), counts, divided, strict=True
            )
        ]
        encryption = Encryption(
            parts,
            manifest=manifest,
            member=self.member,
            keys=self._keys,
            signing_key=self._signing_key,
            clock=self._clock,
        )
        self._contributions[manifest.round_number] = encryption
        return encryption

    def decrypt(self, header: AggregateHeader, body: Body, *, manifest: Manifest) -> NDArray[np.int64]:
        """Verifies and decrypts an aggregate to the exact sums (D,), int64; one a round, and the verdict is final.

        Raises:
            ProtocolError: if this member has no contribution in the round, or was given an aggregate of it already.
            AuthenticationError, WireError: see ``decrypt_aggregate``.
            ForgeryError: if it is not the sum of what its contributors encrypted, or one before it was not: the keys
                must be renewed.
        """
        self._check_keys()
        if manifest.round_number not in self._contributions:
            raise ProtocolError(f"{self.member} did not contribute to round {manifest.round_number}")
        if manifest.round_number in self._judged:
            raise ProtocolError(
                f"round {manifest.round_number} was decrypted already",
                hint="the verdict on an aggregate is final",
            )
        self._judged.add(manifest.round_number)
        try:
            sums = decrypt_aggregate(
                header,
                body,
                federation=self.federation,
                manifest=manifest,
                own=self._contributions[manifest.round_number].signed(),
                ciphers=self._ciphers(manifest.round_number),
                keys=self._keys,
            )
        except ForgeryError:
            self._refused = True
            raise
        return self._selection.together(sums, round_number=manifest.round_number)

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
            if begun.start.heads is not None:
                self.state = self.state.with_heads(begun.start.heads)
            self._start = None
            self._source.begin_heads(begun)

    def _advance(self, sums: NDArray[np.int64], manifest: Manifest) -> None:
        codec = self._round(manifest.round_number)
        sums, scored = self._take_layer_scores(sums, manifest)
        values = sums if self._kept is None else sums[:-1]
        weight_sum = self.weight_sum
        if weight_sum is None or codec.weighs:
            # Norms weigh anew in every round; all other weights are summed once.
            weight_sum = self._summed_weights(values, codec)
        owners = self.owners(manifest.round_number)
        mean = codec.decode(
            values, weight_sum=weight_sum, owners=None if owners is None else owners.of_tensor
        )
        if self._kept is not None:
            self._kept.judge(
                int(sums[-1]),
                self.state,
                round_number=manifest.round_number,
                limit=codec.grid.limit,
                members=len(manifest.cohort),
            )
        moved = update_norm(self.state.change(mean))
        step, outer = self._outer.step(mean, learned=self.state.learned_side)
        self.state, self._outer = self.state.advanced(step), outer
        if self._kept is not None and self._kept.ended_with is not None:
            self.state, self.kept_round = self._kept.state, self._kept.ended_with
        self.weight_sum, self._scored = weight_sum, scored
        self._start = None
        self.update_norm = moved
        self.reconstruction_error = mean.error_estimate

    def _summed_weights(self, sums: NDArray[np.int64], codec: RoundCodec) -> WeightSum:
        """The first round's sum of weights, which leaves each of the others a weight of 1 to the limit."""
        if codec.rule in ("equal", "norm"):
            # Nobody sends the one; the own norm is in the update, which is gone by now.
            return codec.weight_sum(sums)
        if self._samples is None:
            raise ProtocolError(f"{self.member} did not contribute its weight")
        found, limit = codec.weight_sum(sums), codec.grid.limit
        own, others = weight_steps(self._samples, cap=codec.samples_cap, limit=limit), found.contributors - 1
        check_others(found.steps, own, least=others, most=others * limit, others=others, what="weights")
        return found

    def _take_layer_scores(
        self, sums: NDArray[np.int64], manifest: Manifest
    ) -> tuple[NDArray[np.int64], ScoredPrior | None]:
        """All other sums, and the prior from the next round on."""
        number = manifest.round_number
        rest = sums.size - self.federation.kind_of(number).layer_scores
        if not self.federation.terms.layers.scores(number):
            return sums[:rest], self._scored
        limit = self._round(number).grid.limit
        totals = checked_sums(sums[rest:], members=len(manifest.cohort), limit=limit)
        return sums[:rest], ScoredPrior(number, group_weights(totals))

    def _ciphers(self, round_number: int) -> tuple[Cipher, ...]:
        """The cipher of each section of a round."""
        return tuple(
            IntegerTwin(self.federation.profile) if scheme == "none" else self._cipher
            for scheme in self.federation.section_schemes(round_number)
        )

    def _check_keys(self) -> None:
        """Refuses to go on with keys under which an aggregate was refused."""
        if self._refused:
            raise forgery()

    def _round(self, number: int) -> RoundCodec:
        """The round's codec; the last one is kept, because drawing a basis costs an orthonormalisation a weight."""
        if self._codec is None or self._codec[0] != number or self._codec[1] is not self.state:
            self._codec = (number, self.state, RoundCodec.of(self._plan, number, self.state.learned))
        return self._codec[2]
