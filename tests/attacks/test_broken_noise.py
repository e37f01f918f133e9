"""Broken mechanisms of client-level privacy: each is found in what members send, or refused before it is sent.

Every test breaks one thing in the product's own way of an update, and holds it against the same look at the honest one.
Noise is the operating system's; a bound of six standard deviations is missed by chance once in 10^9 looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from support.federations import DrawnLearner, TestFederation, make_federation

pytest.importorskip("dp_accounting")

from securefl.aggregation.encoding import EncodedContribution, RoundCodec
from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection
from securefl.errors import IdentityError, TrainingError
from securefl.privacy import mechanism as mechanisms
from securefl.privacy.mechanism import ClientMechanism, Integers
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.rotation import Rotation
from securefl.protocol.client_noise import RoundNoise, round_noise
from securefl.protocol.privacy_promise import require_promise
from securefl.protocol.terms import PinnedClientPrivacy

RANKS = (2, 2, 4, 4, 8, 8, 8, 8)
Breaking = Callable[[pytest.MonkeyPatch], None]


def protected(payload: str = "basis") -> TestFederation:
    promise = ClientPrivacySection(unit="client", target_epsilon=8, accountant="rdp", force=True)
    return make_federation(
        RANKS,
        payload=payload,
        scheme="kahe",
        rounds=3,
        aggregation=AggregationSection(weights="equal"),
        promise=promise,
    )


@pytest.fixture(scope="module")
def made() -> TestFederation:
    return protected()


def noise_of(made: TestFederation) -> RoundNoise:
    noise = round_noise(made.federation, 1)
    assert noise is not None
    return noise


def sent(made: TestFederation, count: int = 1, *, scale: float, samples: int = 50) -> Integers:
    """So many contributions (count, D) of a member of low rank whose update has this size; 0 for none at all."""
    learner, member = (
        DrawnLearner("client-1", RANKS[0], samples=samples, scale=scale),
        made.aggregation("client-1"),
    )
    return np.stack([member.prepare(learner, round_number=1).integers for _ in range(count)])


# --- looks at what members send


def too_quiet(made: TestFederation) -> bool:
    """True where a tenth of the values of empty updates has less noise than a share, or more."""
    contributions = sent(made, 20, scale=0.0)
    share = float(noise_of(made).mechanism.share_variance)
    return any(
        abs(float(np.var(part)) / share - 1) > 6 * math.sqrt(2 / part.size)
        for part in np.array_split(contributions, 10, axis=1)
    )


def weighs_by_rows(made: TestFederation) -> bool:
    """True where a member with other rows and the same update, of about the clip's length, sends more or less of it."""
    noise = noise_of(made)
    learner = DrawnLearner("client-1", RANKS[0])
    frozen = made.aggregation("client-1").frozen(1)
    update = learner.learn(1, made.aggregation("client-1").start(), frozen)
    values = np.concatenate(
        list(RoundCodec.of(made.federation.plan, 1).payload.encode(update, rank=RANKS[0]))
    )
    length = float(np.linalg.norm(values))
    direction = Rotation(values.size, noise.rotation_seed).apply(values / length)
    repeats = 200  # what is found lies 6 deviations beyond the bound too

    def sent_of_it(samples: int) -> float:
        scale = learner.scale * noise.mechanism.clip / length
        return float(np.mean(sent(made, repeats, scale=scale, samples=samples) @ direction))

    deviation = math.sqrt((noise.mechanism.share_variance + Fraction(1, 4)) * 2 / repeats)
    return abs(sent_of_it(10) - sent_of_it(90)) > 6 * deviation


def longest(made: TestFederation) -> float:
    """Length of what a member with a huge update adds to a sum, in grid steps, found from two of its contributions.

    Their inner product leaves independent noise out.
    """
    one, two = sent(made, 2, scale=50.0).astype(np.float64)
    return math.sqrt(max(0.0, float(one @ two)))


# --- ways to break it


def halved_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ClientMechanism.with_noise

    def halved(self: ClientMechanism, integers: Integers, *, stream: NoiseStream) -> Integers:
        weaker = replace(self, share_variance=self.share_variance / 4)
        return honest(weaker, integers, stream=stream)

    monkeypatch.setattr(ClientMechanism, "with_noise", halved)


def noise_on_owned_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that the member does not own stay zeros, as in a sum without noise."""
    honest = RoundCodec._noised

    def owned(self: RoundCodec, update: object, noise: RoundNoise, *, rank: int) -> EncodedContribution:
        integers = honest(self, update, noise, rank=rank).integers.copy()  # type: ignore[arg-type]
        for segment in self.payload.segments:
            if not self.payload.partitions[segment.partition].owned_by(rank):
                integers[segment.offset : segment.offset + segment.size] = 0
        return EncodedContribution.of_integers(integers)

    monkeypatch.setattr(RoundCodec, "_noised", owned)


def one_noise_for_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of a fixed seed: everybody who knows it takes the noise away."""
    honest = NoiseStream.__init__

    def seeded(self: NoiseStream, *_: object) -> None:
        honest(self, lambda count: bytes(count))

    monkeypatch.setattr(NoiseStream, "__init__", seeded)


def weights_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The update times the member's share of the cap, before the mechanism."""

    def weighed(self: RoundCodec, update: object, **keys: object) -> EncodedContribution:
        values = np.concatenate(list(self.payload.encode(update, rank=keys["rank"])))  # type: ignore[arg-type]
        assert self.noise is not None
        return EncodedContribution.of_integers(self.noise.encode(values * (keys["samples"] / 100)))  # type: ignore[operator]

    monkeypatch.setattr(RoundCodec, "encode", weighed)


def no_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanisms, "clip_norm", lambda update, clip: update)


def no_check_of_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence gone too."""
    monkeypatch.setattr(
        mechanisms,
        "round_conditionally",
        lambda values, *, squared_bound, stream: np.rint(values).astype(np.int64),
    )
    monkeypatch.setattr(mechanisms, "require_norm", lambda integers, *, squared_bound: None)


@pytest.mark.parametrize("breaking", [halved_noise, noise_on_owned_values_alone])
def test_noise_that_is_weaker_somewhere_is_found_in_what_a_member_sends(
    breaking: Breaking, made: TestFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not too_quiet(made)
    breaking(monkeypatch)
    assert too_quiet(made)


def test_a_weight_by_rows_is_found_in_what_a_member_sends(
    made: TestFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not weighs_by_rows(made)
    weights_of_rows(monkeypatch)
    assert weighs_by_rows(made)


def test_noise_of_a_known_generator_is_found(made: TestFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sent(made, 2, scale=0.1)
    assert not np.array_equal(first, second)
    one_noise_for_all_rounds(monkeypatch)
    first, second = sent(made, 2, scale=0.1)
    np.testing.assert_array_equal(first, second)


def test_a_member_that_does_not_clip_sends_nothing(
    made: TestFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The norm of the integers is checked again, exactly, before noise is added."""
    no_clipping(monkeypatch)
    with pytest.raises(TrainingError, match=r"longer than its clip|was not clipped"):
        sent(made, scale=50.0)


def test_an_update_that_is_longer_than_the_clip_is_found_in_what_a_member_sends(
    made: TestFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanism = noise_of(made).mechanism
    noise = float(mechanism.share_variance) * math.sqrt(mechanism.dimension)
    # The inner product of two noises has this deviation, beside that of noise with update.
    room = 6 * (noise + 2 * mechanism.clip_steps * math.sqrt(mechanism.share_variance))
    bound = math.sqrt(mechanism.squared_sensitivity + room)
    assert longest(made) <= bound
    no_clipping(monkeypatch)
    no_check_of_integers(monkeypatch)
    assert longest(made) > bound


@pytest.mark.parametrize("members", ["roster", "threshold"])
def test_shares_for_all_members_are_refused_by_each_of_them(made: TestFederation, members: str) -> None:
    """Such noise has the right sum while everybody is there and honest, and no longer."""
    federation = made.federation
    privacy = federation.terms.privacy
    assert isinstance(privacy, PinnedClientPrivacy)
    counted = len(RANKS) if members == "roster" else federation.constants.cohort(len(RANKS)).threshold
    smaller = privacy.model_copy(
        update={
            "honest": counted,
            "share_variance_16ths": privacy.share_variance_16ths * privacy.honest // counted,
        }
    )
    broken = replace(federation, terms=federation.terms.model_copy(update={"privacy": smaller}))
    require_promise(federation, where="federation.json")
    with pytest.raises(IdentityError, match=f"counts on {counted} honest survivors"):
        require_promise(broken, where="federation.json")
