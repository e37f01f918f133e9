"""A small federation without torch: two weights, one head, members of given ranks, learners that draw their updates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pydantic import TypeAdapter

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.selection import Scores, feature_count
from securefl.adapters.update import Adapter, Factors, Matrix, Update
from securefl.aggregation.clock import SILENT, StageClock
from securefl.aggregation.member import MemberAggregation
from securefl.config.aggregation import AggregationSection
from securefl.config.encryption import EncryptionSection, GridSection
from securefl.config.head import HeadSection
from securefl.config.layers import LayersSection
from securefl.config.model import LoraTerms
from securefl.config.outer import Outer, SgdSection
from securefl.config.payload import Payload
from securefl.config.privacy import NO_PRIVACY, ClientPrivacySection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.crypto.bfv import BfvCipher, generate_key
from securefl.crypto.bfv_profiles import BfvProfile
from securefl.crypto.cipher import Cipher
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SharedKeys
from securefl.crypto.schemes import profile_for
from securefl.crypto.sealed_box import KemKey
from securefl.identity.signing import SigningKey
from securefl.protocol.client_noise import with_client_noise
from securefl.protocol.federation import Federation, Member
from securefl.protocol.terms import (
    FederationTerms,
    ModelTerms,
    SequenceClassificationTerms,
    Terms,
    TrainingTerms,
)

LAYOUT = Layout(
    (
        TensorSpec("encoder.0.query", 24, 32, TensorKind.ADAPTED),
        TensorSpec("encoder.0.value", 32, 24, TensorKind.ADAPTED),
        TensorSpec("classifier.weight", 5, 32, TensorKind.HEAD),
    )
)
ALPHA = 16.0
TOGETHER = HeadSection(start="zeros", rows="together")
"""Without openings."""
ALONE = Recipe(name="default", personal="alone")


def terms(
    *,
    rounds: int = 2,
    payload: str | Payload = "dense",
    sketch_rank: int | None = None,
    heads: int = 1,
    scheme: str = "bfv",
    bits: int = 16,
    fraction: float = 1.0,
    select_by: str = "values",
    outer: Outer | None = None,
    early_stopping_rounds: int | None = None,
    head: HeadSection = TOGETHER,
    aggregation: AggregationSection | None = None,
    recipe: Recipe = ALONE,
    layers: LayersSection | None = None,
    min_clients: int | None = None,
    max_colluders: int | None = None,
    lora: LoraTerms | None = None,
    rank_pruning: bool = False,
) -> Terms:
    """Terms of a federation that trains nothing real."""
    return Terms(
        federation=FederationTerms(name="unit", rounds=rounds, seed=11, min_clients=min_clients),
        model=ModelTerms(digest=bytes(32), max_length=16),
        task=SequenceClassificationTerms(
            name="sequence-classification", pooling="mean", labels=("a", "b", "c", "d", "e")
        ),
        lora=lora or LoraTerms(lora_alpha=ALPHA, use_rslora=False),
        training=TrainingTerms(
            learning_rate=1e-3,
            head_learning_rate=1e-2,
            weight_decay=0.0,
            per_device_train_batch_size=8,
            num_train_epochs=1.0,
            lr_scheduler_type="cosine",
            warmup_rounds=0.0,
            max_grad_norm=1.0,
            early_stopping_rounds=early_stopping_rounds,
            rank_pruning=rank_pruning,
        ),
        recipe=recipe,
        head=head,
        layers=layers or LayersSection(),
        payload=payload_of(payload, sketch_rank, heads) if isinstance(payload, str) else payload,
        aggregation=aggregation or AggregationSection(),
        outer=outer or SgdSection(name="sgd"),
        fusion=FusionSection(),
        privacy=NO_PRIVACY,
        encryption=EncryptionSection.model_validate(
            {
                "scheme": scheme,
                "max_colluders": max_colluders,
                "select": {"fraction": fraction, "by": select_by},
                "allow_plaintext": fraction < 1,
            }
        ),
        grid=GridSection(precision_bits=bits, adapter_bound=1.0, head_bound=2.0),
        samples_cap=100,
    )


def payload_of(name: str, sketch_rank: int | None = None, heads: int = 1) -> Payload:
    """A payload's section; the rank of sketches is left out where it is None, a number of heads where it is 1."""
    section: dict[str, object] = (
        {"name": name} if sketch_rank is None else {"name": name, "rank": sketch_rank}
    )
    section |= {} if heads == 1 else {"heads": heads}
    return TypeAdapter(Payload).validate_python(section)


@dataclass
class TestFederation:
    """A federation with everybody's keys."""

    __test__ = False

    federation: Federation
    signing_keys: dict[str, SigningKey]
    keys: SharedKeys

    def aggregation(self, member: str, *, clock: StageClock = SILENT) -> MemberAggregation:
        """A member with its own cipher object."""
        return MemberAggregation(
            self.federation,
            member=member,
            rank=self.federation.member(member).rank,
            cipher=self.cipher(),
            keys=self.keys,
            clock=clock,
        )

    def bfv(self) -> BfvCipher:
        """BFV alone, without MACs, for what an attacker or a careless client could do."""
        profile, key = self.federation.profile, self.keys.cipher
        assert isinstance(profile, BfvProfile)
        assert key is not None
        return BfvCipher(profile, key)

    def cipher(self) -> Cipher:
        """The federation's cipher, or its twin."""
        return self.cipher_with(self.keys)

    def cipher_with(self, keys: SharedKeys) -> Cipher:
        """The same under other keys."""
        federation = self.federation
        return cipher_with(keys, scheme=federation.terms.encryption.scheme, profile=federation.profile)


def make_federation(
    ranks: tuple[int, ...] = (2, 4, 8, 16),
    *,
    layout: Layout = LAYOUT,
    promise: ClientPrivacySection | None = None,
    **changes: object,
) -> TestFederation:
    """A federation of ``len(ranks)`` members; ``changes`` go to ``terms``, and a promise to clients is pinned."""
    chosen = terms(**changes)  # type: ignore[arg-type]
    keys = {f"client-{number}": SigningKey.generate() for number in range(1, len(ranks) + 1)}
    roster = tuple(
        Member(
            id=name,
            rank=rank,
            signing_key=key.public_key,
            certificate=bytes([number]) * 32,
            kem_key=KemKey(bytes([number]) * 32).public_key,
        )
        for number, (rank, (name, key)) in enumerate(zip(ranks, keys.items(), strict=True))
    )
    federation = Federation(
        federation_id=bytes(range(32)),
        terms=chosen,
        layout=layout,
        profile=profile_for(len(ranks), chosen.grid.precision_bits, scheme=chosen.encryption.scheme),
        roster=roster,
    )
    if promise is not None:
        federation = with_client_noise(federation, promise)
    cipher_key = generate_key() if chosen.encryption.scheme == "bfv" else None
    return TestFederation(federation, keys, SharedKeys.generate(cipher_key))


@dataclass
class DrawnLearner:
    """A learner whose updates are drawn from a seed: what a federation needs, without a model."""

    member: str
    rank: int
    samples: int = 50
    scale: float = 0.02
    scaling: float | None = None
    """Of its adapters; without it that of its rank."""
    whole_rank: int | None = None
    """Directions that it sends of its own factors, under the payload that asks for them."""
    head_only: bool = False
    """True where it moves no adapter."""
    updates: dict[int, Update] = field(default_factory=dict)

    def sensitivity(self, round_number: int) -> Scores:
        rng = seeded_generator(5, "scores", self.member, round_number)
        return rng.random(feature_count(LAYOUT))

    def learn(self, round_number: int, start: Adapter, basis: Frozen | None) -> Update:
        rng = seeded_generator(5, "learner", self.member, round_number)
        s = self.scaling or ALPHA / self.rank

        def drawn(*shape: int) -> Matrix:
            return rng.normal(0.0, self.scale, shape)

        weights = {}
        for name, old in start.weights.items():
            if self.head_only:
                weights[name] = Factors(old.B[:, :0], old.A[:0])
                continue
            if basis is None:
                B, A = old.B + drawn(*old.B.shape), old.A + drawn(*old.A.shape)
                weights[name] = (
                    Factors(np.hstack([s * B, -s * old.B]), np.vstack([A, old.A]))
                    if self.whole_rank is None
                    else Factors(s * B[:, : self.whole_rank], A[: self.whole_rank])
                )
                continue
            if isinstance(basis, CoreBases):
                pair = basis.cut(name, self.rank)
                weights[name] = pair.between(s * drawn(pair.heads * pair.rank, pair.rank))
                continue
            frozen = basis.cut(name, self.rank)
            if basis.side is Side.LEFT:
                weights[name] = Factors(s * drawn(old.B.shape[0], frozen.shape[0]), frozen)
            else:
                weights[name] = Factors(frozen, s * drawn(frozen.shape[1], old.A.shape[1]))
        heads = {name: drawn(*head.shape) for name, head in start.heads.items()}
        self.updates[round_number] = Update(weights, heads)
        return self.updates[round_number]


def learners_of(federation: Federation) -> dict[str, DrawnLearner]:
    """One learner for each member, with different sample counts."""
    whole = federation.terms.payload.name == "factors"
    return {
        member.id: DrawnLearner(
            member.id,
            member.rank,
            samples=30 + 20 * index,
            whole_rank=federation.plan.update_rank(member.rank) if whole else None,
            head_only=not federation.plan.facts.adapts,
        )
        for index, member in enumerate(federation.roster)
    }
