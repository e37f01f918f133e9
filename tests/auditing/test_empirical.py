"""Attacks on the mechanism: never above the claim on our own, and each broken one is caught."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

pytest.importorskip("dp_accounting")

from support.private_accounts import unpaid
from support.seeded_processes import seeded

from securefl.auditing.empirical import Attack, attack, attack_releases
from securefl.auditing.privacy_accounts import Promise
from securefl.privacy import client_canaries
from securefl.privacy.client_canaries import mechanism_of
from securefl.privacy.events import DistributedGaussian, SampledGaussian
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.dp_sgd import canaries as training
from securefl.training.dp_sgd import private_rounds, steps
from securefl.training.dp_sgd.fine_noise import FineNoise

pytestmark = pytest.mark.slow

PROMISE = Promise(unit="example", epsilon=8.0, delta=1e-5, accountant="rdp", clip=0.5)
SAMPLED = SampledGaussian(noise_multiplier=0.8, sampling_probability=0.2, steps=8)
WHOLE = SampledGaussian(noise_multiplier=2.0, sampling_probability=1.0, steps=2)
CLIENTS = ClientMechanism(
    noise="discrete-gaussian",
    dimension=1024,
    clip=2.0,
    clip_steps=200,
    share_variance=Fraction(10_000),
    honest=4,
)


@pytest.fixture(autouse=True)
def _canaries_of_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coins, samples and noise are the same in every run: by design an honest attack has a finding once in 5000."""
    source = random.Random(1).randbytes
    for function in (training.train_on_canaries, client_canaries.sum_canaries):
        defaults = function.__kwdefaults__ | {"entropy": source}
        monkeypatch.setattr(function, "__kwdefaults__", defaults)


@pytest.mark.parametrize("event", [SAMPLED, WHOLE], ids=["sampled", "whole"])
def test_attacks_prove_less_than_is_charged_and_more_than_nothing(event: SampledGaussian) -> None:
    done = attack(event, 2, PROMISE)
    assert done.findings == ()
    assert 0 < done.steinke < done.claimed
    assert 0 < done.gaussian < done.claimed
    assert done.claimed_advantage is not None
    assert 0 < done.advantage < done.claimed_advantage


def test_an_attack_names_what_it_proves_above_the_claim() -> None:
    done = replace(attack(WHOLE, 1, PROMISE), claimed=0.01, claimed_advantage=0.001, sampling=1e-9)
    assert len(done.findings) == 4


def caught(done: Attack, said: str) -> bool:
    return any(said in finding for finding in done.findings)


Change = Callable[[dict[str, Tensor], dict[str, Tensor]], None]


def noised(change: Change) -> Callable[..., dict[str, Tensor]]:
    """The steps' own noise, with a change of what it gives."""
    honest = steps.PrivateSteps.noised

    def changed(self: steps.PrivateSteps, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = honest(self, sums)
        plain = {name: (value / self.expected_rows).to(found[name].dtype) for name, value in sums.items()}
        change(found, plain)
        return found

    return changed


def head_without(found: dict[str, Tensor], plain: dict[str, Tensor]) -> None:
    found["head.weight"] = plain["head.weight"]


def second_factor_without(found: dict[str, Tensor], plain: dict[str, Tensor]) -> None:
    found["second.weight"] = plain["second.weight"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (head_without, "the noise in the tensor 'head.weight' has 0.00 times the deviation"),
        (second_factor_without, "the noise in the tensor 'second.weight' has 0.00 times the deviation"),
    ],
    ids=["head", "factor"],
)
def test_noise_that_a_tensor_lacks_is_caught(
    change: Change, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.PrivateSteps, "noised", noised(change))
    assert caught(attack(WHOLE, 2, PROMISE), said)


def test_noise_that_comes_twice_in_a_step_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of both tensors would be without noise."""

    class Repeated(FineNoise):
        def added(self, sums: np.ndarray, stream: object) -> np.ndarray:
            fixed = np.random.default_rng(5).standard_normal(sums.size)
            return sums + self.deviation * fixed

    monkeypatch.setattr(steps, "FineNoise", Repeated)
    done = attack(WHOLE, 2, PROMISE)
    assert caught(done, "the noise in the difference of 'first.weight' and 'second.weight' has 0.00 times")
    assert caught(done, "the noise in the difference of two steps has 0.00 times")
    assert caught(done, "the noise in the difference of two rounds has 0.00 times")


def test_streams_of_a_known_seed_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = NoiseStream.__init__
    monkeypatch.setattr(NoiseStream, "__init__", lambda self, *_: honest(self, lambda count: bytes(count)))
    assert caught(attack(WHOLE, 1, PROMISE), "two streams of noise are the same")
    assert isinstance(CLIENTS.event, DistributedGaussian)
    assert caught(client_attack(CLIENTS.event), "two streams of noise are the same")


def test_a_seed_that_is_the_same_in_every_process_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not caught(client_attack(CLIENTS.event), "two processes draw the same noise")
    seeded(tmp_path, monkeypatch)
    assert caught(client_attack(CLIENTS.event), "two processes draw the same noise")


def test_two_steps_for_one_charge_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = steps.PrivateSteps.run

    def twice(self: steps.PrivateSteps, *args: object, **keys: object) -> float:
        honest(self, *args, **keys)  # type: ignore[arg-type]
        return honest(self, *args, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(steps.PrivateSteps, "run", twice)
    assert caught(attack(WHOLE, 2, PROMISE), "the mechanism took 8 steps, and 4 were charged")


def halved(**parts: Any) -> steps.PrivateSteps:
    """Steps of a round whose noise is half of what is charged for."""
    release = parts.pop("release")
    return steps.PrivateSteps(
        **parts, release=replace(release, noise_multiplier=release.noise_multiplier / 2)
    )


@pytest.mark.parametrize("event", [SAMPLED, WHOLE], ids=["sampled", "whole"])
def test_rounds_that_train_with_half_of_what_they_charge_are_caught(
    event: SampledGaussian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_rounds, "PrivateSteps", halved)
    assert caught(attack(event, 2, PROMISE), "an attacker of the mechanism has an advantage")


def uncharged(fit: Callable[..., float]) -> Callable[..., float]:
    """Rounds that charge nothing."""

    def changed(self: private_rounds.PrivateRounds, *args: Any, **keys: Any) -> float:
        self._charge = lambda *_: None
        return fit(self, *args, **keys)

    return changed


def charged_late(fit: Callable[..., float]) -> Callable[..., float]:
    """Rounds that charge when they have trained."""

    def changed(self: private_rounds.PrivateRounds, number: int, *args: Any, **keys: Any) -> float:
        charge, self._charge = self._charge, lambda *_: None
        loss = fit(self, number, *args, **keys)
        charge(number, self._release)
        self._charge = charge
        return loss

    return changed


def charged_for_less(fit: Callable[..., float]) -> Callable[..., float]:
    """Rounds that charge for more noise than they have."""

    def changed(self: private_rounds.PrivateRounds, *args: Any, **keys: Any) -> float:
        charge = self._charge
        self._charge = lambda number, release: charge(number, replace(release, noise_multiplier=9.0))
        return fit(self, *args, **keys)

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (uncharged, "of 2 trainings alike the mechanism charged 0 as they were"),
        (charged_late, "the mechanism took 2 steps before they were charged"),
        (charged_for_less, "of 2 trainings alike the mechanism charged 0 as they were"),
    ],
)
def test_rounds_that_are_charged_late_for_less_or_not_at_all_are_caught(
    change: Callable[..., Callable[..., float]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_rounds.PrivateRounds, "fit", change(private_rounds.PrivateRounds.fit))
    assert caught(attack(WHOLE, 2, PROMISE), said)


@pytest.mark.parametrize(
    "change", [{"sampling_probability": 0.1}, {"steps": 4}, {"noise_multiplier": 1.6}], ids=str
)
def test_a_charge_of_less_than_what_runs_is_caught(
    change: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SampledTraining.event.fget
    assert honest is not None
    monkeypatch.setattr(SampledTraining, "event", property(lambda self: replace(honest(self), **change)))
    assert caught(attack(SAMPLED, 1, PROMISE), "the program that is installed here charges")


@pytest.mark.parametrize("event", [SAMPLED, WHOLE], ids=["sampled", "whole"])
def test_half_of_the_noise_is_caught(event: SampledGaussian, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "FineNoise", lambda deviation: FineNoise(deviation / 2))
    assert caught(attack(event, 2, PROMISE), "an attacker of the mechanism has an advantage")


def test_no_noise_at_all_is_caught_by_guesses_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "FineNoise", lambda deviation: FineNoise(deviation / 1000))
    assert caught(attack(WHOLE, 2, PROMISE), "guesses on canaries are right, which proves epsilon")


def test_clipping_that_is_off_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from securefl.training.dp_sgd import row_clipping

    monkeypatch.setattr(row_clipping, "_factors", lambda squares, limit: squares * 0 + 1)
    assert caught(attack(WHOLE, 2, PROMISE), "an attacker of the mechanism has an advantage")


def test_shuffled_batches_in_the_place_of_poisson_samples_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffled() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        while True:
            yield from np.array_split(rng.permutation(rows_of[0]), 5)

    rows_of, batches = [0], shuffled()

    def batch(rows: int, probability: float, stream: object) -> np.ndarray:
        rows_of[0] = rows
        return np.sort(next(batches))

    monkeypatch.setattr(steps, "poisson_rows", batch)
    assert caught(attack(SAMPLED, 2, PROMISE), "are not those of Poisson sampling")


def test_every_kind_of_release_that_was_charged_is_attacked_as_often_as_a_client_made_it(
    tmp_path: Path,
) -> None:
    accounts = unpaid(tmp_path / "budgets")
    for member, rounds in (("client-1", (1, 2)), ("client-2", (1, 2, 3)), ("client-3", (1,))):
        accounts.charge(member, rounds, WHOLE.text)
    accounts.charge("client-1", (3,), SAMPLED.text)
    privacy = accounts.audited(tmp_path)
    done = attack_releases(privacy)
    assert [(one.release, one.rounds) for one in done] == [(SAMPLED.text, 1), (WHOLE.text, 3)]
    assert [finding for one in done for finding in one.findings] == []


def test_canaries_are_far_above_the_clip_and_their_coins_are_fair() -> None:
    release = training.SampledTraining(
        noise_multiplier=0.01, clip=0.5, clipping="flat", sampling_probability=1.0, steps=1
    )
    seen = training.train_on_canaries(release, canaries=1000)
    assert 380 < seen.rows < 620
    assert seen.drawn.tolist() == [seen.rows]
    assert seen.scores[seen.included].min() > 0 > seen.scores[~seen.included].max()


def test_the_mechanism_of_whole_clients_is_found_from_its_charge() -> None:
    assert mechanism_of(CLIENTS.event, clip=2.0) == CLIENTS


def client_attack(event: DistributedGaussian) -> Attack:
    return attack(event, 2, replace(PROMISE, unit="client", clip=2.0))


def test_attacks_on_whole_clients_prove_less_than_is_charged() -> None:
    assert isinstance(CLIENTS.event, DistributedGaussian)
    done = client_attack(CLIENTS.event)
    assert done.canaries == 1000
    assert done.findings == ()
    assert 0 < done.gaussian < done.claimed


def test_half_of_the_noise_of_whole_clients_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(CLIENTS.event, DistributedGaussian)
    whole = ClientMechanism._table

    class Halved:
        def __init__(self, mechanism: ClientMechanism) -> None:
            self._table = whole(mechanism)

        def draw(self, count: int, stream: object) -> np.ndarray:
            return self._table.draw(count, stream) // 2  # type: ignore[arg-type]

    monkeypatch.setattr(ClientMechanism, "_table", lambda mechanism: Halved(mechanism))
    assert caught(client_attack(CLIENTS.event), "an attacker of the mechanism has an advantage")


def test_noise_that_some_values_of_whole_clients_lack_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share on a tenth of the values less would be hidden by the rotation from whoever looks at sums alone."""
    honest = ClientMechanism.with_noise

    def partly(self: ClientMechanism, integers: np.ndarray, *, stream: NoiseStream) -> np.ndarray:
        noisy = honest(self, integers, stream=stream)
        return np.concatenate([noisy[:-103], integers[-103:]])

    monkeypatch.setattr(ClientMechanism, "with_noise", partly)
    assert isinstance(CLIENTS.event, DistributedGaussian)
    assert caught(client_attack(CLIENTS.event), "the noise in part 10 of 10 of an update's values has 0.")
