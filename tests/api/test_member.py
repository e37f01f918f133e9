"""Members with models of their own take part like all others, and what they give is checked before it leaves."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from securefl.adapters.update import Adapter, Factors, Update
from securefl.errors import ConfigError, DataError, ModelError, SecureFLError, TrainingError
from securefl.progress import AdapterKind, MetricMeasured, RoundMeasured
from securefl_client.learner import CheckedLearner
from securefl_client.member import Member

from .conftest import LAYOUT, MEMBERS, Outcome, PullTowards, provisioned, take_part

pytestmark = pytest.mark.slow


def _learners(**others: object) -> dict[str, object]:
    return {name: PullTowards(seed) for seed, name in enumerate(MEMBERS)} | others


@pytest.fixture(scope="module", params=["none", "bfv"])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    base = tmp_path_factory.mktemp(request.param)
    found = take_part(provisioned(base, scheme=request.param), _learners(), out=base / "out")
    assert not found.errors, found.errors
    return found


def test_every_member_ends_with_the_mean_of_all_at_its_own_rank(outcome: Outcome) -> None:
    for rank, name in enumerate(MEMBERS, start=1):
        adapter = outcome.results[name].adapter
        assert adapter.weights["hidden"].A.shape == (rank, 5)
        np.testing.assert_allclose(adapter.heads["out"], 1.0, atol=1e-3)


def test_metrics_of_a_learner_are_told_and_end_in_the_result(outcome: Outcome) -> None:
    result = outcome.results["client-2"]
    assert result.metrics["height"] == pytest.approx(1.0, abs=1e-3)
    told = [
        event for event in outcome.events if isinstance(event, MetricMeasured) and event.metric == "second"
    ]
    assert {event.adapter for event in told} == {AdapterKind.BASE, AdapterKind.GLOBAL}
    metric = json.loads(result.path.read_text())["metric"]
    assert metric["name"] == "height"
    assert metric["base"] == 0.0
    assert metric["global"] == pytest.approx(1.0, abs=1e-3)


def test_every_global_adapter_that_a_learner_measures_is_in_its_learning_curve(outcome: Outcome) -> None:
    result = json.loads(outcome.results["client-2"].path.read_text())
    assert result["start"]["height"] == 0.0
    assert [entry["validation"].keys() for entry in result["rounds_log"]] == [{"height", "second"}] * len(
        result["rounds_log"]
    )
    assert result["rounds_log"][-1]["validation"]["height"] == result["metric"]["global"]
    assert result["best_round"] >= 1


def test_the_figures_of_a_round_are_told_as_the_result_reports_them(outcome: Outcome) -> None:
    result = json.loads(outcome.results["client-2"].path.read_text())
    told: dict[int, dict[str, float]] = {}
    for event in outcome.events:
        if isinstance(event, RoundMeasured) and event.member == "client-2":
            told.setdefault(event.round_number, {})[event.figure] = event.value
    assert told.pop(0)["validation/height"] == result["start"]["height"]
    assert told.keys() == {entry["round_number"] for entry in result["rounds_log"]}
    for entry in result["rounds_log"]:
        figures = told[entry["round_number"]]
        assert figures["update_norm"] == entry["update_norm"]
        assert figures["up_bytes"] == entry["bytes"]["up"]
        assert figures["seconds/train"] == entry["seconds"]["train"]
        assert figures["validation/second"] == entry["validation"]["second"]
        # A learner of one's own does not tell its loss.
        assert "loss" not in figures


def test_the_last_adapter_is_saved_for_its_owner_only(outcome: Outcome) -> None:
    result = outcome.results["client-3"]
    path = result.path.parent / "global" / "adapter.npz"
    with np.load(path, allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["hidden/B"], result.adapter.weights["hidden"].B)
        np.testing.assert_array_equal(saved["out"], result.adapter.heads["out"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Foreign(PullTowards):
    """Gives a tensor more than the layout has."""

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        update = super().learn(round_number, start, frozen)
        return Update({**update.weights, "other": update.weights["hidden"]}, update.heads)


def test_a_learner_with_foreign_tensors_is_refused_before_anything_is_sent(
    partaking: Callable[[Mapping[str, object]], Outcome], tmp_path: Path
) -> None:
    found = partaking(_learners(**{"client-2": Foreign()}))
    assert isinstance(found.errors["client-2"], ModelError)
    assert "'other' among its adapted weights" in str(found.errors["client-2"])
    ledger = (tmp_path / "out" / "client-2" / "ledger.jsonl").read_text()
    assert "round-reserved" not in ledger
    assert "client-2" in str(found.errors["client-1"])


def _changed(**changes: object) -> Update:
    update = Update(
        {"hidden": Factors(np.zeros((6, 2)), np.zeros((2, 5)))},
        {"out": np.zeros((2, 6))},
    )
    return replace(update, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("update", "kind", "sentence"),
    [
        (_changed(weights={}), ModelError, "does not name 'hidden'"),
        (_changed(heads={}), ModelError, "does not name 'out' among its heads"),
        (
            _changed(weights={"hidden": Factors(np.zeros((5, 2)), np.zeros((2, 6)))}),
            ModelError,
            r"\(6, k\) and \(k, 5\)",
        ),
        (
            _changed(weights={"hidden": Factors(np.zeros((6, 2)), np.zeros((3, 5)))}),
            ModelError,
            "of 'hidden'",
        ),
        (_changed(heads={"out": np.zeros(12)}), ModelError, r"give an array \(2, 6\)"),
        (_changed(heads={"out": np.zeros((2, 6), np.float32)}), ModelError, "no array of float64"),
        (None, ModelError, "gives no Update"),
        ({"hidden": np.zeros((6, 5))}, ModelError, "gives no Update"),
        (_changed(weights=None), ModelError, "no adapted weights by name"),
        (_changed(heads=[np.zeros((2, 6))]), ModelError, "no heads by name"),
        (_changed(weights={3: Factors(np.zeros((6, 2)), np.zeros((2, 5)))}), ModelError, "names, beside"),
        (_changed(weights={"hidden": np.zeros((6, 5))}), ModelError, "no array of float64"),
        (
            _changed(weights={"hidden": Factors([[1.0], [1.0, 2.0]], np.zeros((2, 5)))}),  # type: ignore[arg-type]
            ModelError,
            "no array of float64",
        ),
        (_changed(heads={"out": np.full((2, 6), np.nan)}), TrainingError, "not finite"),
        (
            _changed(weights={"hidden": Factors(np.full((6, 2), np.inf), np.zeros((2, 5)))}),
            TrainingError,
            "not finite",
        ),
        (
            _changed(weights={"hidden": Factors(np.full((6, 2), 1e200), np.full((2, 5), 1e200))}),
            TrainingError,
            "not finite",
        ),
    ],
)
def test_an_update_that_is_not_the_layouts_is_refused(
    update: Update, kind: type[SecureFLError], sentence: str
) -> None:
    learner = PullTowards()
    learner.learn = lambda *_: update  # type: ignore[method-assign]
    with pytest.raises(kind, match=sentence):
        CheckedLearner(learner, LAYOUT).learn(1, Adapter({}, {}), None)


@pytest.mark.parametrize("samples", [0, -1, 2.0, True])
def test_samples_are_a_whole_number_from_1(samples: object) -> None:
    learner = PullTowards()
    learner.samples = samples  # type: ignore[assignment]
    with pytest.raises(DataError, match="no whole number from 1"):
        _ = CheckedLearner(learner, LAYOUT).samples


def test_samples_may_be_a_whole_number_of_numpy() -> None:
    learner = PullTowards()
    learner.samples = np.int64(5)  # type: ignore[assignment]
    assert type(CheckedLearner(learner, LAYOUT).samples) is int


@pytest.mark.parametrize(
    "scores",
    [np.ones(10), np.full(11, 1.5), np.full(11, np.nan), None, "x", {}, [[1], [1, 2]], np.ones(11) * 1j],
)
def test_scores_are_one_for_every_feature_from_0_to_1(scores: object) -> None:
    learner = PullTowards()
    learner.sensitivity = lambda _: scores  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(ModelError, match="11 numbers from 0 to 1"):
        CheckedLearner(learner, LAYOUT).sensitivity(1)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"accuracy": float("nan")},
        None,
        0.9,
        *({"accuracy": odd} for odd in (None, "0.9", [], [1, 2], 1j, 10**400)),
    ],
)
def test_metrics_are_finite_and_at_least_one(metrics: object) -> None:
    learner = PullTowards()
    learner.evaluate = lambda _: metrics  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(TrainingError):
        CheckedLearner(learner, LAYOUT).evaluate(Adapter({}, {}))


def test_a_learner_without_what_every_federation_asks_for_is_refused_at_once(tmp_path: Path) -> None:
    class Half:
        def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
            raise AssertionError

    with pytest.raises(ModelError, match=r"the learner Half has no 'samples' and no 'evaluate': write what"):
        Member(tmp_path, Half())


def test_a_cap_is_asked_for_where_no_data_is_read(tmp_path: Path) -> None:
    from securefl import load_federation, provision

    (tmp_path / "FED.toml").write_text('[federation]\nname = "own"\n[cohort]\nclients = [{}, {}, {}]\n')
    config = load_federation(tmp_path / "FED.toml", own_models=True)
    with pytest.raises(ConfigError, match=r"cohort\.samples_cap"):
        provision(config, tmp_path / "federation", layout=LAYOUT)
    assert not (tmp_path / "federation").exists()


def test_the_clients_own_program_says_that_it_has_no_model_for_such_a_federation(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from securefl_client.folder import ClientFolder
    from securefl_client.phases import PhaseClock
    from securefl_client.trainer import load_trainer

    own = ClientFolder.load(provisioned(tmp_path) / "client-1", now=datetime.now(UTC))
    with pytest.raises(ModelError, match="models of their own"):
        load_trainer(own, PhaseClock("client-1", lambda _: None), between_steps=lambda: None)


def test_heads_of_models_of_the_members_own_are_averaged_as_a_whole(tmp_path: Path) -> None:
    """Nobody but the learner knows whether their rows are of classes."""
    from datetime import UTC, datetime

    from securefl.config.head import HeadSection
    from securefl_client.folder import ClientFolder

    own = ClientFolder.load(provisioned(tmp_path) / "client-1", now=datetime.now(UTC))
    assert own.federation.terms.head == HeadSection(start="zeros", rows="together", logit_adjustment=False)
