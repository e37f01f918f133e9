"""Speed of this machine at each step of a round: a few ciphertexts are encrypted, added and decrypted, and timed.

The rule kept here: the steps are done by the functions that a round uses, on a contribution like the federation's
own, under keys that are made for the measurement and forgotten. A figure is a median of several turns on one
core of a machine that does nothing else for us; several clients at once on few cores take their turns.

Seconds are taken to grow linearly with the ciphertexts, from what a step costs once a round (keys are derived,
headers signed and verified); a reader's also with the contributors whose seeds it expands. Two lengths are timed,
one ciphertext and a window: a straight line has two numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.payloads.facts import FACTS, Trains
from securefl.adapters.payloads.plan import WEIGHED_ROUND, PayloadPlan
from securefl.adapters.update import Factors, Update
from securefl.aggregation.encoding import EncodedContribution, RoundCodec
from securefl.aggregation.member import MemberAggregation
from securefl.config.aggregation import AggregationSection
from securefl.config.encryption import SelectSection
from securefl.config.head import HeadSection
from securefl.config.payload import payload_named
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import Cipher, Place
from securefl.crypto.contributor import SALT_BYTES, Contributor
from securefl.crypto.entropy import SYSTEM
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SharedKeys
from securefl.crypto.windows import WINDOW_CIPHERTEXTS
from securefl.identity.signing import SigningKey
from securefl.planning.sample_cohort import SampleCohort, SampleContribution
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation

SAMPLE_COHORT = 3
"""Every profile adds so many contributions exactly, and no federation has fewer."""
SAMPLE_SIDE = 768
"""Longest side of the weight whose encoding is timed; larger ones are cut, so that a plan stays a matter of seconds."""
TURNS = 4
SAMPLE_PLACE = Place(attempt=bytes(32), context=b"securefl plan", section=0, ciphertexts=0)
SAMPLE_CONTRIBUTOR = Contributor("client-1", bytes(SALT_BYTES))
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds of a step: some once, and some for each ciphertext."""

    once_s: float
    each_s: float

    def of(self, ciphertexts: int) -> float:
        """Seconds for so many ciphertexts."""
        return self.once_s + ciphertexts * self.each_s

    @classmethod
    def through(cls, short: tuple[int, float], long: tuple[int, float]) -> Rate:
        """The line through two measurements, (ciphertexts, seconds) each; neither number is below 0."""
        each = max(0.0, (long[1] - short[1]) / (long[0] - short[0]))
        return cls(max(0.0, short[1] - short[0] * each), each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Seconds of each step on this machine, one core.

    Attributes:
        encode_s: A client's payload and grid, one value.
        encrypt: A client's packing, tags, encryption, MAC, wire form, digests and signature.
        add: The server's range check and addition, of one contribution.
        publish: The server's reduction and wire form of the sum.
        expand: A reader's expansion of one contributor's seeds, where the scheme has any.
        read: A reader's other work: signatures and votes, MAC, decryption, tags and unpacking.
        ciphertexts: How many ciphertexts the longer sample had.
        took_s: How long the measurement took.
    """

    encode_s: float
    encrypt: Rate
    add: Rate
    publish: Rate
    expand: Rate
    read: Rate
    ciphertexts: int
    took_s: float


@dataclass(frozen=True, slots=True)
class _Laps:
    """Seconds of one sample's steps."""

    encrypt: float
    add: float
    publish: float
    expand: float
    read: float


def measure_speed(federation: Federation) -> Speed:
    """Times small rounds like those of this federation; about a second.

    Raises:
        UsageError: if the cipher cannot work here.
    """
    started = time.perf_counter()
    short, long = 1, WINDOW_CIPHERTEXTS
    first, second = (_laps(federation, ciphertexts=count) for count in (short, long))

    def rate(step: str) -> Rate:
        return Rate.through((short, getattr(first, step)), (long, getattr(second, step)))

    return Speed(
        encode_s=_encoding_s(federation),
        encrypt=rate("encrypt"),
        add=rate("add"),
        publish=rate("publish"),
        expand=rate("expand"),
        read=rate("read"),
        ciphertexts=long,
        took_s=time.perf_counter() - started,
    )


def _laps(federation: Federation, *, ciphertexts: int) -> _Laps:
    """Each step's median over several turns; the first turn, which imports and allocates, does not count."""
    bench = _Bench(federation, ciphertexts=ciphertexts)
    bench.turn()
    turns = [bench.turn() for _ in range(TURNS)]
    return _Laps(*(median(getattr(turn, step.name) for turn in turns) for step in fields(_Laps)))


class _Bench:
    """A federation of a few members under the same profile and scheme, whose contributions are a window long.

    Args:
        federation: The one that is planned.
        ciphertexts: Length of one contribution.
    """

    def __init__(self, federation: Federation, *, ciphertexts: int) -> None:
        profile = federation.profile
        self._ciphertexts = ciphertexts
        count = ciphertexts * profile.values_per_ciphertext - profile.lanes * profile.tag_slots
        limit = (1 << (federation.terms.grid.precision_bits - 1)) - 1
        self._integers = np.random.default_rng(0).integers(-limit, limit, count, endpoint=True)
        self._signing_keys = [SigningKey.generate() for _ in range(SAMPLE_COHORT)]
        self._federation = _sample_of(federation, values=count, signing_keys=self._signing_keys)
        cipher, self._keys = _cipher_of(federation)
        self._cipher = cipher
        self._members = [
            MemberAggregation(
                self._federation,
                member=member.id,
                rank=member.rank,
                cipher=cipher,
                keys=self._keys,
            )
            for member in self._federation.roster
        ]
        # The rounds after this one send values alone, as most rounds of a federation do.
        self._round = WEIGHED_ROUND

    def turn(self) -> _Laps:
        """One round."""
        self._round += 1
        sample = SampleCohort(
            self._federation.digest,
            self._federation.cohort,
            signing_keys=self._signing_keys,
            round_number=self._round,
            key_epoch=self._keys.key_epoch,
        )
        made = [_timed(partial(self._encrypt, member, sample)) for member in self._members]
        keys = [key for _, (_, key) in made]
        sent = [contribution for _, (contribution, _) in made]
        total = ResidueSum(self._cipher.form, self._ciphertexts)
        added = [_timed(partial(self._add, total, contribution.body)) for contribution in sent]
        publish_s, body = _timed(lambda: self._cipher.form.encode_aggregate(total.total()))
        head = sample.head(sent, body)
        expand_s = self._expansion_s(sent[0].seeds, key_sum := KeySum.of(keys))
        read_s, _ = _timed(lambda: self._read(sample, head, body, key_sum))
        return _Laps(
            encrypt=median(lap for lap, _ in made),
            add=median(lap for lap, _ in added),
            publish=publish_s,
            expand=expand_s,
            read=max(0.0, read_s - SAMPLE_COHORT * expand_s),
        )

    def _encrypt(
        self, member: MemberAggregation, sample: SampleCohort
    ) -> tuple[SampleContribution, ShortKey | None]:
        encoded = EncodedContribution(lambda: [self._integers])
        encryption = member.encrypt_attempt(encoded, cohort=sample.cohort, salt=SYSTEM(SALT_BYTES))
        return sample.complete(encryption, member=member.member), encryption.key

    def _read(self, sample: SampleCohort, head: AggregateHead, body: bytes, key_sum: KeySum | None) -> None:
        sample.verify(head)
        self._members[0].decrypt_attempt(head, body, key_sum=key_sum)

    def _add(self, total: ResidueSum, body: bytes) -> None:
        # As the server does: nothing is added before all of a contribution has been found in range.
        self._cipher.form.check_upload(body, ciphertexts=self._ciphertexts)
        total.add_upload(0, body, ciphertexts=self._ciphertexts)

    def _expansion_s(self, seeds: bytes, key_sum: KeySum | None) -> float:
        """Seconds that one contributor costs a reader for its second polynomials; nothing where there are none."""
        decryption = self._cipher.decryption(
            replace(SAMPLE_PLACE, ciphertexts=self._ciphertexts),
            contributions=[(SAMPLE_CONTRIBUTOR, seeds)] * SAMPLE_COHORT,
            key_sum=key_sum,
        )
        return _timed(decryption.prepare)[0] / SAMPLE_COHORT


def _sample_of(federation: Federation, *, values: int, signing_keys: Sequence[SigningKey]) -> Federation:
    """A federation of a few members whose later contributions hold so many values, all of one head."""
    members = zip(federation.roster, signing_keys, strict=False)
    roster = tuple(member.model_copy(update={"signing_key": key.public_key}) for member, key in members)
    layout = Layout((TensorSpec("sample", values, 1, TensorKind.HEAD),))
    # Bounds of the whole roster's cohorts do not fit so few.
    encryption = federation.terms.encryption.model_copy(
        update={"select": SelectSection(), "max_colluders": None}
    )
    named = federation.terms.federation.model_copy(update={"min_clients": None})
    head = HeadSection(start="zeros", rows="together")
    # Losses and ranks that members keep are further values of a round.
    training = federation.terms.training.model_copy(
        update={"early_stopping_rounds": None, "rank_pruning": False}
    )
    # Norms are a value of every round, where other weights are one of the first round alone.
    aggregation = AggregationSection(weights="equal")
    terms = federation.terms.model_copy(
        update={
            "federation": named,
            "encryption": encryption,
            "head": head,
            "training": training,
            "aggregation": aggregation,
            # Without a weight every payload sends the same; some refuse a layout that has none.
            "payload": payload_named(next(name for name, facts in FACTS.items() if facts.by_rows)),
        }
    )
    return replace(federation, terms=terms, layout=layout, roster=roster)


def _cipher_of(federation: Federation) -> tuple[Cipher, SharedKeys]:
    """A cipher like the federation's, under keys of its own."""
    scheme = federation.terms.encryption.scheme
    if scheme == "bfv":
        from securefl.crypto.bfv import generate_key

        keys = SharedKeys.generate(generate_key())
    else:
        keys = SharedKeys.generate(None)
    return cipher_with(keys, scheme=scheme, profile=federation.profile), keys


def _encoding_s(federation: Federation) -> float:
    """Seconds of payload and grid, one value, by encoding a random update of one weight, or of a head alone."""
    plan = federation.plan
    rank = max(plan.ranks.ranks)
    tensor = (plan.layout.adapted if plan.facts.adapts else plan.layout.heads)[0]
    sample = replace(plan, layout=Layout((_cut(tensor, at_least=rank),)))
    codec = RoundCodec.of(sample, 1)
    rng = np.random.default_rng(0)
    update = _random_update(sample, codec.frozen, rank, rng)

    def encode() -> None:
        encoded = codec.encode(update, rank=rank, samples=1, rng=rng)
        for _ in encoded.runs():
            pass

    encode()
    return median(_timed(encode)[0] for _ in range(TURNS)) / sample.length(1)


def _random_update(plan: PayloadPlan, frozen: Frozen | None, rank: int, rng: np.random.Generator) -> Update:
    """An update of a layout of one tensor, in the form that the payload takes."""
    (tensor,) = plan.layout.tensors
    if tensor.kind is TensorKind.HEAD:
        return Update({}, {tensor.name: rng.normal(0.0, 1e-3, (tensor.rows, tensor.columns))})
    if plan.facts.trains is Trains.FACTORS:
        return Update({tensor.name: _random_factors(tensor, plan.update_rank(rank), rng)}, {})
    return Update({tensor.name: _random_change(tensor, frozen, rank, rng)}, {})


def _cut(tensor: TensorSpec, *, at_least: int) -> TensorSpec:
    """The weight, or as much of it as a sample needs."""
    side = max(SAMPLE_SIDE, at_least)
    return replace(tensor, rows=min(tensor.rows, side), columns=min(tensor.columns, side))


def _random_change(tensor: TensorSpec, frozen: Frozen | None, rank: int, rng: np.random.Generator) -> Factors:
    """A weight's change of the form that the payload takes."""
    if frozen is None:
        # A change of rank-r factors is a product of factors of rank 2 r.
        return _random_factors(tensor, 2 * rank, rng)
    drawn = rng.normal(0.0, 1e-3, frozen.trained_shape(tensor, rank))
    return frozen.change(tensor.name, drawn, rank=rank)


def _random_factors(tensor: TensorSpec, rank: int, rng: np.random.Generator) -> Factors:
    """Factors of a product, or a client's own where the payload sends those as they are."""
    return Factors(
        rng.normal(0.0, 1e-3, (tensor.rows, rank)),
        rng.normal(0.0, 1e-3, (rank, tensor.columns)),
    )


def _timed(step: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = step()
    return time.perf_counter() - started, result
