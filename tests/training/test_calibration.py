"""The final global head is fitted to its member's label mix, and is never worse on the rows of the fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.update import Adapter
from securefl.config.recipes.choices import LEAST_SEARCH_ROWS as LEAST_ROWS
from securefl.training import calibration
from securefl.training.calibration import calibrate
from securefl.training.tasks.base import Metric

CLASSES, WIDTH = 3, 4
LAYOUT = Layout(
    (
        TensorSpec("head.weight", CLASSES, WIDTH, TensorKind.HEAD),
        TensorSpec("head.bias", CLASSES, 1, TensorKind.HEAD),
    )
)


@dataclass
class Bank:
    """A bank with one adapter, which is a head alone."""

    heads: dict[str, np.ndarray]
    layout: Layout = LAYOUT
    installed: list[Adapter] = field(default_factory=list)

    def adapter(self, name: str) -> Adapter:
        assert name == "global"
        return Adapter(weights={}, heads=self.heads)

    def use(self, names: tuple[str, ...], *, head: str) -> None:
        assert (names, head) == (("global",), "global")

    def install(self, name: str, adapter: Adapter) -> None:
        assert name == "global"
        self.installed.append(adapter)


class Rows:
    """Validation rows as their labels and features."""

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        self.given = features
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


class Task:
    """A task whose outcomes are linear in features."""

    def features(self, model: object, batch: object) -> None:
        raise AssertionError("the rows are read once, by the loop")

    def classes(self, rows: Rows) -> np.ndarray:
        return rows.labels

    def metric(self, outcomes: np.ndarray, rows: Rows) -> Metric:
        hits = outcomes.argmax(axis=1) == rows.labels
        return Metric("accuracy", value=float(hits.mean()), loss=0.0, samples=len(rows))


@pytest.fixture(autouse=True)
def _read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "collected", lambda of, rows, **_: rows.given)


def fitted(bank: Bank, rows: Rows, mix: np.ndarray | None):
    return calibrate(bank, Task(), rows, mix=mix, batch_size=8, compute=None)


def skewed(seed: int, rows: int) -> tuple[Bank, Rows, np.ndarray]:
    """A quiet head of the right directions, and labels of which nine in ten are of the first class."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(rows) < 0.9, 0, rng.integers(1, CLASSES, size=rows))
    centres = 2 * np.eye(CLASSES, WIDTH)
    features = centres[labels] + rng.normal(size=(rows, WIDTH))
    heads = {"head.weight": 0.01 * centres, "head.bias": np.zeros((CLASSES, 1))}
    mix = np.log(np.array([0.9, 0.05, 0.05]) * CLASSES)
    return Bank(heads), Rows(features, labels), mix


def test_a_quiet_head_is_made_louder_and_learns_the_label_mix() -> None:
    bank, rows, mix = skewed(1, 400)
    found = fitted(bank, rows, mix)
    assert found.h > 20
    assert found.tau > 0.3
    assert found.after > found.before
    [adapter] = bank.installed
    np.testing.assert_allclose(adapter.heads["head.weight"], found.h * bank.heads["head.weight"])
    np.testing.assert_allclose(adapter.heads["head.bias"][:, 0], found.tau * mix)


@given(seed=st.integers(0, 2**31), rows=st.integers(LEAST_ROWS, 60))
@settings(max_examples=40, deadline=None)
def test_the_head_is_never_worse_on_the_rows_of_the_fit(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    heads = {"head.weight": rng.normal(size=(CLASSES, WIDTH)), "head.bias": rng.normal(size=(CLASSES, 1))}
    data = Rows(rng.normal(size=(rows, WIDTH)), rng.integers(0, CLASSES, size=rows))
    bank = Bank(heads)
    found = fitted(bank, data, rng.normal(size=CLASSES))
    logits = data.given @ heads["head.weight"].T + heads["head.bias"][:, 0]
    before = float((logits.argmax(axis=1) == data.labels).mean())
    if found is None:
        assert bank.installed == []
    else:
        assert (found.before, len(bank.installed)) == (before, 1)
        assert found.after >= before


def test_few_rows_and_heads_without_rows_of_classes_or_without_a_bias_are_left_as_they_are() -> None:
    bank, rows, mix = skewed(2, LEAST_ROWS - 1)
    assert fitted(bank, rows, mix) is None
    bank, rows, mix = skewed(2, 100)
    assert fitted(bank, rows, None) is None
    assert fitted(Bank(bank.heads, layout=Layout(LAYOUT.tensors[:1])), rows, mix) is None
    assert bank.installed == []
    assert fitted(bank, rows, mix) is not None


def test_a_class_that_the_head_has_closed_stays_closed() -> None:
    bank, rows, mix = skewed(3, 200)
    bank.heads["head.bias"] = np.array([[0.0], [0.0], [-1e4]])
    rows.labels = np.where(rows.labels == 2, 0, rows.labels)
    fitted(bank, rows, mix)
    assert bank.installed[0].heads["head.bias"][2, 0] == -1e4
