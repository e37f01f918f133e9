"""Attacks on the mechanism: never above the claim on our own, and each broken one is caught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import unpaid

from securefl.api.empirical import Attack, attack, attack_releases
from securefl.api.privacy_accounts import Promise
from securefl.api.privacy_audit import audit_privacy
from securefl.privacy.client_canaries import mechanism_of
from securefl.privacy.events import DistributedGaussian, SampledGaussian
from securefl.privacy.mechanism import ClientMechanism
from securefl.training.dp_sgd import canaries as training
from securefl.training.dp_sgd import steps
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
    privacy = audit_privacy(accounts.federation, accounts.ledgers, results=tmp_path, budgets=accounts.budgets)
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
