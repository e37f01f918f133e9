"""Own metric functions are found by the place that a person names, and by no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.member import ClientSettings
from securefl.errors import ConfigError
from securefl.training.tasks.own_metrics import load_functions

MODULE = """
def recall_of_red(logits, labels):
    return float((logits.argmax(axis=1) == labels)[labels == 2].mean())


def accuracy(logits, labels):
    return 0.0


number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hospital_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_found_by_its_place():
    functions = load_functions(["hospital_metrics:recall_of_red"])
    assert list(functions) == ["recall_of_red"]


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (["hospital_metrics"], '"hospital_metrics" names no function'),
        (["hospital_metrics:"], "names no function"),
        (["../hospital_metrics:f"], "names no function"),
        (["hospital_metrics:f()"], "names no function"),
        (["clinic_metrics:f"], "there is no module 'clinic_metrics'"),
        (["hospital_metrics:precision"], "has no function 'precision'"),
        (["hospital_metrics:number"], "has no function 'number'"),
        (["hospital_metrics:accuracy"], "there is another figure called 'accuracy'"),
        (["hospital_metrics:recall_of_red"] * 2, "there is another figure called 'recall_of_red'"),
    ],
)
def test_whatever_is_no_function_is_refused_in_a_sentence(places: list[str], sentence: str):
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        load_functions(places)


FEDERATION = {"federation": {"name": "banks"}, "model": {"path": "m"}, "data": {"train": "t.csv"}}


@pytest.mark.parametrize("metrics", ["os:system", ["mcc", "hospital_metrics:recall_of_red"]])
def test_a_federations_file_cannot_name_code(metrics: object):
    table = FEDERATION | {"task": {"name": "sequence-classification", "metrics": metrics}}
    with pytest.raises(ConfigError, match="no member runs code because a federation's file names it"):
        validated(FederationConfig, table, where="FED.toml")


def test_a_members_file_which_a_lead_has_written_cannot_either():
    table = {
        "client": {"id": "client-1", "server": "127.0.0.1:7443"},
        "model": {"path": "m"},
        "data": {"train": "t.csv"},
        "cohort": {"clients": [{}, {}, {}]},
        "task": {"metrics": ["os:system"]},
    }
    with pytest.raises(ConfigError, match="unknown key 'task'"):
        validated(ClientSettings, table, where="client.toml")
