"""A client's own adapter beside the mean of all others', and the mixer of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from securefl.adapters.update import Adapter, LoraFactors
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.errors import ConfigError, ModelError
from securefl.training.folders.exports import Form, write_form
from securefl.training.folders.reader import load_saved
from securefl.training.folders.task_file import FolderRecord

pytestmark = pytest.mark.slow

MEMBERS = 4
RANK = 4


@pytest.fixture
def trainer(trainer_of):
    return trainer_of(
        payload="factors",
        rank=RANK,
        recipe=Recipe(name="fedalt", personal="rest"),
        fusion=FusionSection(finish="mixer"),
        kept_share=1 / MEMBERS,
    )


@pytest.fixture
def start(plan_of):
    return plan_of("factors").start().redistributed(RANK, scaling=2.0)


def others_of(start: Adapter, seed: int) -> dict[str, LoraFactors]:
    """One other client's factors, as PEFT holds them."""
    rng = np.random.default_rng(seed)
    return {
        name: LoraFactors(
            A=pair.A + rng.normal(0, 0.05, pair.A.shape), B=pair.B + rng.normal(0, 0.05, pair.B.shape)
        )
        for name, pair in start.weights.items()
    }


def mean_of(parts: list[dict[str, LoraFactors]], heads) -> Adapter:
    weights = {
        name: LoraFactors(
            A=sum(part[name].A for part in parts) / len(parts),
            B=sum(part[name].B for part in parts) / len(parts),
        )
        for name in parts[0]
    }
    return Adapter(weights=weights, heads=heads)


def second_round(trainer, start):
    """A round, a mean with three others, and a second round; the update of each, and the others."""
    first = trainer.learn(1, start)
    own = trainer._bank.adapter("local-update").weights
    others = [others_of(start, seed) for seed in range(MEMBERS - 1)]
    mean = mean_of([dict(own), *others], start.heads)
    return first, trainer.learn(2, mean), others, mean


def test_the_first_round_begins_at_the_public_start_at_even_shares(trainer, start) -> None:
    update = trainer.learn(1, start)
    for name, pair in trainer._bank.adapter("rest").weights.items():
        np.testing.assert_array_equal(pair.A, start.weights[name].A.astype(np.float32))
        assert not pair.B.any()
    for factors in update.weights.values():
        assert factors.left.any()
        assert factors.left.shape[1] == RANK


def test_a_client_goes_on_from_its_own_adapter_whatever_the_mean_is(trainer, start) -> None:
    first, second, _, mean = second_round(trainer, start)
    scaling = trainer._bank.scaling("local-update")
    for name, factors in second.weights.items():
        before, cohort = first.weights[name], scaling * mean.weights[name].B
        assert np.linalg.norm(factors.left - before.left) < np.linalg.norm(factors.left - cohort)
        assert not np.array_equal(factors.left, before.left)


def test_the_rest_of_the_world_is_the_mean_of_the_others_and_stays_frozen(trainer, start) -> None:
    _, _, others, _ = second_round(trainer, start)
    for name, pair in trainer._bank.adapter("rest").weights.items():
        np.testing.assert_allclose(pair.A, np.mean([one[name].A for one in others], axis=0), atol=1e-6)
        np.testing.assert_allclose(pair.B, np.mean([one[name].B for one in others], axis=0), atol=1e-6)


def test_the_mixer_is_trained_kept_and_in_no_update(trainer, start) -> None:
    trainer.learn(1, start)
    gates = trainer._bank.mixer.values()
    first, second, _, _ = second_round(trainer, start)
    moved = trainer._bank.mixer.values()
    assert any(gate.any() for gate in gates.values())
    for name, gate in moved.items():
        assert gate.shape == (2, start.weights[name].A.shape[1])
        assert not np.array_equal(gate, gates[name])
    for update in (first, second):
        assert update.weights.keys() == start.weights.keys()


def outcomes(trainer, used: tuple[str, ...], head: str) -> np.ndarray:
    rows = trainer._rows.test
    batch = rows.batch(np.arange(len(rows)), device=torch.device("cpu"))
    with torch.no_grad():
        return trainer._bank.use(used, head=head).outcomes(batch).numpy()


def mixed(trainer, start) -> np.ndarray:
    """What both adapters compute with their mixer, once the last mean has come in; ``fused`` is made."""
    second_round(trainer, start)
    own, heads = trainer._bank.adapter("local-update").weights, trainer._bank.heads("local-update")
    last = mean_of([dict(own), *(others_of(start, seed) for seed in (7, 8, 9))], heads)
    trainer.install_global(last)
    assert trainer.fuse() is None
    share = 1 / MEMBERS
    rest = {
        name: LoraFactors(
            A=(pair.A - share * own[name].A) / (1 - share), B=(pair.B - share * own[name].B) / (1 - share)
        )
        for name, pair in last.weights.items()
    }
    trainer._bank.install("rest", Adapter(rest, last.heads))
    return outcomes(trainer, ("rest", "local-update"), "global")


def test_what_serves_a_client_computes_as_both_adapters_with_their_mixer(trainer, start) -> None:
    expected = mixed(trainer, start)
    np.testing.assert_allclose(outcomes(trainer, ("fused",), "fused"), expected, atol=1e-5)
    plain = trainer._bank.adapter("fused")
    assert next(iter(plain.weights.values())).A.shape[0] == 2 * RANK
    assert np.abs(outcomes(trainer, ("global",), "global") - expected).max() > 1e-4


def test_a_saved_mixture_computes_what_was_measured_and_says_that_peft_alone_does_not(
    trainer, start, tmp_path: Path
) -> None:
    expected = mixed(trainer, start)
    trainer.save_adapter("fused", tmp_path / "fused")
    assert FolderRecord.read(tmp_path / "fused").mixer.ranks == (RANK, RANK)
    saved = load_saved(tmp_path / "fused")
    rows = trainer._rows.test
    with torch.no_grad():
        found = saved.model.outcomes(rows.batch(np.arange(len(rows)), device=torch.device("cpu"))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    card = (tmp_path / "fused" / "README.md").read_text()
    assert "plain PEFT adds both whole" in card
    assert "securefl.load_adapter" in card


@pytest.mark.parametrize("form", [Form(rank=1), Form(merge=True), Form(hub=True)])
def test_a_mixture_has_no_other_form(trainer, start, tmp_path: Path, form: Form) -> None:
    mixed(trainer, start)
    trainer.save_adapter("fused", tmp_path / "fused")
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match=r"computes with mixer\.safetensors"):
        write_form(tmp_path / "fused", tmp_path / "out", form)


def test_a_copy_of_a_mixture_is_whole_and_says_what_serves_it(trainer, start, tmp_path: Path) -> None:
    mixed(trainer, start)
    trainer.save_adapter("fused", tmp_path / "fused")
    (tmp_path / "out").mkdir()
    [told] = write_form(tmp_path / "fused", tmp_path / "out", Form())
    assert "do not know mixer.safetensors" in told
    assert (tmp_path / "out" / "mixer.safetensors").is_file()


def test_a_mixer_of_other_ranks_is_refused(trainer, start, tmp_path: Path) -> None:
    mixed(trainer, start)
    trainer.save_adapter("fused", tmp_path / "fused")
    path = tmp_path / "fused" / "task.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"mixer": {"ranks": [1, 1]}}))
    with pytest.raises(ModelError, match="does not fit its adapter"):
        load_saved(tmp_path / "fused")
    (tmp_path / "fused" / "mixer.safetensors").unlink()
    path.write_text(json.dumps(record))
    with pytest.raises(ModelError, match="mixer"):
        load_saved(tmp_path / "fused")


def test_the_mean_of_all_has_no_mixer(trainer, start, tmp_path: Path) -> None:
    mixed(trainer, start)
    trainer.save_adapter("global", tmp_path / "global")
    assert FolderRecord.read(tmp_path / "global").mixer is None
    assert not (tmp_path / "global" / "mixer.safetensors").exists()
