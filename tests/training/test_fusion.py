"""The search for a client's weights never loses to either adapter alone, and repeats itself."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from securefl.config.recipes import FusionSection
from securefl.training import trainer as trainer_module
from securefl.training.fusion import LIMIT, search

pytestmark = pytest.mark.slow


def bowl(centre, *, floor=0.1):
    """A loss with its minimum at ``centre``; it remembers where it was asked."""
    asked = []

    def loss(weights):
        asked.append(weights)
        return floor + float(np.sum((np.array(weights) - centre) ** 2))

    return loss, asked


@pytest.mark.parametrize("budget", [2, 3, 10, 40])
def test_each_adapter_alone_is_always_among_the_candidates(budget):
    loss, asked = bowl((0.3, 0.7))
    search(loss, FusionSection(budget=budget), seed=1)
    assert {(1.0, 0.0), (0.0, 1.0)} <= set(asked)
    assert len(asked) == budget


def test_the_search_finds_the_minimum_of_a_smooth_loss():
    loss, _ = bowl((0.9, 0.4))
    weights, found = search(loss, FusionSection(budget=80, l1=0.0), seed=1)
    assert np.abs(np.array(weights) - (0.9, 0.4)).max() < 0.1
    assert found < 0.12


def test_the_answer_is_never_worse_than_one_adapter_alone():
    for centre in ((1.0, 0.0), (0.0, 1.0), (-1.4, 1.4)):
        loss, _ = bowl(centre)
        _, found = search(loss, FusionSection(budget=5, l1=0.0), seed=1)
        assert found <= min(loss((1.0, 0.0)), loss((0.0, 1.0)))


def test_candidates_stay_within_the_papers_bounds():
    loss, asked = bowl((5.0, -5.0))
    search(loss, FusionSection(budget=40), seed=1)
    assert np.abs(np.array(asked)).max() <= LIMIT


def test_the_penalty_counts_half_the_sum_of_both_magnitudes():
    loss, asked = bowl((1.2, 1.2))
    chosen, _ = search(loss, FusionSection(budget=40, l1=2.0), seed=1)
    tried = list(asked)

    def cost(weights):
        return loss(weights) + 2.0 * (abs(weights[0]) + abs(weights[1])) / 2

    assert cost(chosen) == min(map(cost, tried))
    assert loss(chosen) > min(map(loss, tried))


def test_the_same_seed_asks_the_same_candidates():
    runs = []
    for _ in range(2):
        loss, asked = bowl((0.2, 0.6))
        search(loss, FusionSection(budget=30), seed=5)
        runs.append(asked)
    assert runs[0] == runs[1]


def test_the_optimisers_warnings_stay_inside():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search(bowl((0.5, 0.5))[0], FusionSection(budget=6), seed=1)


def test_a_client_whose_global_adapter_is_useless_keeps_its_personal_one(trainer_of, start_of):
    trainer = trainer_of(rank=8)
    for round_number in range(1, 5):
        trainer.train_personal(round_number)
    trainer.install_global(start_of(8))
    result = trainer.fuse()
    assert result.w_personal > 0.5
    fused, personal = (trainer.measure(which, part="validation").loss for which in ("fused", "personal"))
    assert fused <= personal * 1.05


def test_fusion_in_product_space_has_the_ranks_of_both(trainer_of):
    result = trainer_of(rank=4).fuse()
    assert (result.rank, result.space, result.candidates) == (8, "product", FusionSection().budget)


def rows_of_the_search(trainer, monkeypatch):
    """The label rows that every candidate of a fusion was measured on."""
    seen = []
    measured = trainer_module.evaluate

    def evaluate(model, rows, metric, **how):
        seen.append(rows)
        return measured(model, rows, metric, **how)

    monkeypatch.setattr(trainer_module, "evaluate", evaluate)
    return trainer.fuse(), seen


def test_every_candidate_is_measured_on_the_same_few_validation_rows(trainer_of, monkeypatch):
    trainer = trainer_of(fusion=FusionSection(budget=3, max_samples=8))
    held = [tuple(row) for row in trainer._rows.validation.ids]
    assert len(held) > 8
    result, seen = rows_of_the_search(trainer, monkeypatch)
    assert (result.samples, len(seen)) == (8, 3)
    assert all(rows is seen[0] for rows in seen)
    places = [held.index(tuple(row)) for row in seen[0].ids]
    assert places == sorted(set(places))
    assert [row.tolist() for row in seen[0].targets] == [
        trainer._rows.validation.targets[place].tolist() for place in places
    ]


def test_another_seed_draws_other_rows_for_the_search(trainer_of, monkeypatch):
    fusion = FusionSection(budget=2, max_samples=8)
    drawn = [
        rows_of_the_search(trainer_of(fusion=fusion, seed=seed), monkeypatch)[1][0].ids for seed in (1, 1, 2)
    ]
    first, again, other = ([tuple(row) for row in rows] for rows in drawn)
    assert first == again != other


def test_a_client_with_few_validation_rows_searches_on_all_of_them(trainer_of, monkeypatch):
    trainer = trainer_of()
    result, seen = rows_of_the_search(trainer, monkeypatch)
    assert seen[0] is trainer._rows.validation
    assert result.samples == len(trainer._rows.validation) <= FusionSection().max_samples


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_process_ends_after_a_search_even_if_it_was_interrupted(interrupted: bool) -> None:
    program = f"""
from securefl.config.recipes import FusionSection
from securefl.training.fusion import search

calls = 0

def loss_of(weights):
    global calls
    calls += 1
    if {interrupted} and calls == 10:
        raise KeyboardInterrupt
    return (weights[0] - 0.9) ** 2 + (weights[1] - 0.2) ** 2

search(loss_of, FusionSection(budget=40), seed=1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert (done.returncode != 0) is interrupted
