"""A folder is read by the version that wrote it, and every other version says what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.federations import make_federation

from securefl.config.server import ServerSection
from securefl.errors import IdentityError
from securefl.protocol.federation import Federation
from securefl.protocol.server_view import ServerView

MADE = make_federation(ranks=(2, 4, 8), scheme="none").federation
KINDS: dict[str, tuple[type[Federation] | type[ServerView], str]] = {
    "federation.json": (Federation, MADE.to_json_text()),
    "server.json": (ServerView, MADE.server_view(ServerSection()).to_json_text()),
}
FEDERATION_OF_0_1_0 = """{
 "federation_id": "ZEROS",
 "labels": ["no", "yes"],
 "layout": [{"columns": 32, "kind": "adapted", "name": "encoder.0.query", "rows": 24}],
 "profile": "t34-2x17-d12",
 "roster": [
  {"certificate": "ZEROS", "id": "client-1", "rank": 2, "signing_key": "ZEROS"},
  {"certificate": "ZEROS", "id": "client-2", "rank": 4, "signing_key": "ZEROS"},
  {"certificate": "ZEROS", "id": "client-3", "rank": 8, "signing_key": "ZEROS"}
 ],
 "terms": {
  "encryption": {
   "adapter_bound": 0.25, "allow_plaintext": false, "head_bound": 2.0, "precision_bits": 16, "scheme": "bfv",
   "select": {"fraction": 1.0}
  },
  "federation": {"labels": null, "name": "banks", "rounds": 3, "seed": 7},
  "lora": {"lora_alpha": 16.0, "lora_dropout": 0.0, "r": 8, "target_modules": ["query", "value"]},
  "model": {"digest": "ZEROS", "max_length": 64, "pooling": "mean", "task": "sequence-classification"},
  "privacy": {"unit": "none"},
  "recipe": {
   "fusion": {"budget": 24, "l1": 0.05, "max_samples": 160, "space": "product"},
   "name": "default", "outer_learning_rate": 1.0, "payload": "sketch", "personal": true
  },
  "samples_cap": 100,
  "sketch": {"rank": null},
  "training": {
   "head_learning_rate": 0.01, "learning_rate": 0.002, "num_train_epochs": 1.0,
   "per_device_train_batch_size": 32, "weight_decay": 0.0
  }
 },
 "version": 1
}""".replace("ZEROS", "00" * 32)
SERVER_OF_0_1_0 = """{
 "even_rounds": [{"ciphertexts": 1, "scheme": "bfv"}],
 "federation_digest": "ZEROS",
 "first_round": [{"ciphertexts": 1, "scheme": "bfv"}],
 "name": "banks",
 "odd_rounds": [{"ciphertexts": 1, "scheme": "bfv"}],
 "profile": "t34-2x17-d12",
 "roster": [
  {"certificate": "ZEROS", "id": "client-1", "signing_key": "ZEROS"},
  {"certificate": "ZEROS", "id": "client-2", "signing_key": "ZEROS"},
  {"certificate": "ZEROS", "id": "client-3", "signing_key": "ZEROS"}
 ],
 "rounds": 3,
 "server": {
  "address": "127.0.0.1:7443", "client_address": null, "join_timeout_s": 600.0, "reconnect_grace_s": 15.0,
  "round_timeout_s": 7200.0
 }
}""".replace("ZEROS", "00" * 32)
OLD = {"federation.json": FEDERATION_OF_0_1_0, "server.json": SERVER_OF_0_1_0}


def sentence_of(kind: str, text: str) -> str:
    reader = KINDS[kind][0]
    with pytest.raises(IdentityError) as refused:
        reader.from_json_text(text, where=kind)
    said = str(refused.value)
    assert kind in said
    assert "\n" not in said
    return said


def changed(kind: str, **keys: Any) -> str:
    return json.dumps(json.loads(KINDS[kind][1]) | keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_names_version_3_and_reads_back(kind: str) -> None:
    reader, text = KINDS[kind]
    assert json.loads(text)["version"] == 3
    assert reader.from_json_text(text, where=kind).to_json_text() == text  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_0_1_0_is_refused_with_what_to_do(kind: str) -> None:
    said = sentence_of(kind, OLD[kind])
    assert "made by an earlier version" in said
    assert "provision anew with this version" in said
    assert "is audited with the version that made it" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [4, 10**6])
def test_a_folder_of_a_later_format_is_refused_as_newer(kind: str, version: int) -> None:
    said = sentence_of(kind, changed(kind, version=version, cohort={"sample": 8}))
    assert f"made by a newer version of securefl: its files are of version {version}" in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_this_version_does_not_know_is_refused_as_newer(kind: str) -> None:
    said = sentence_of(kind, changed(kind, minimum_survivors=3))
    assert "does not know 'minimum_survivors'" in said
    assert "install that version" in said


def test_a_key_that_this_version_does_not_know_is_refused_at_any_depth() -> None:
    terms = json.loads(KINDS["federation.json"][1])["terms"]
    terms["training"]["label_smoothing"] = 0.1
    assert "does not know 'terms.training.label_smoothing'" in sentence_of(
        "federation.json", changed("federation.json", terms=terms)
    )


def test_a_key_left_out_at_its_default_does_not_change_the_digest() -> None:
    terms = json.loads(KINDS["federation.json"][1])["terms"]
    del terms["fusion"]["max_samples"]
    read = Federation.from_json_text(changed("federation.json", terms=terms), where="here")
    assert read.digest == MADE.digest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["missing", "text", "number", "list"])
def test_a_key_that_is_wrong_is_named_without_a_librarys_words(kind: str, damage: str) -> None:
    model, text = KINDS[kind]
    value = json.loads(text)
    key = next(key for key in value if key != "version")
    value[key] = {"text": "x", "number": -1, "list": [3]}.get(damage)
    if damage == "missing":
        del value[key]
    with pytest.raises(IdentityError, match="copy the folder from the lead again") as caught:
        model.from_json_text(json.dumps(value), where="the file")
    assert key in str(caught.value)
    assert not re.search("[Ii]nput|valid|[Ff]ield|type|should", str(caught.value))
