"""The base model's public name is pinned as the file says it, or as the model's place tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.config.load import load_federation
from securefl.protocol.terms import ModelTerms, OwnTaskTerms, SequenceClassificationTerms, TaskTerms
from securefl.provisioning.draft import terms_of

LABELLED = SequenceClassificationTerms(name="sequence-classification", labels=("no", "yes"))


def model_terms(folder: Path, model: str, task: TaskTerms = LABELLED) -> ModelTerms:
    toml = folder / "FED.toml"
    toml.write_text(
        f'[federation]\nname = "f"\n[model]\n{model}\n[data]\ntrain = "rows.csv"\n'
        "[cohort]\nclients = [{ r = 1 }, { r = 2 }, { r = 2 }]\n"
    )
    return terms_of(load_federation(toml), task=task, model_digest=bytes(32), samples_cap=10).model


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ('path = "owner/name"', "owner/name"),
        ('path = "owner/name"\nid = "other/name"', "other/name"),
        ('path = "/models/minilm"', None),
        ('path = "/models/minilm"\nid = "owner/minilm"', "owner/minilm"),
    ],
)
def test_the_name_is_the_files_or_that_of_the_place(tmp_path: Path, model: str, name: str | None) -> None:
    assert model_terms(tmp_path, model).id == name


def test_a_federation_of_own_models_pins_no_name(tmp_path: Path) -> None:
    assert model_terms(tmp_path, 'path = "owner/name"', OwnTaskTerms(name="own")).id is None
