"""A saved folder in other forms computes what it says, in plain transformers; and two commands use any of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cards import logits_of_the_card
from support.tiny_model import save_tiny_bert

from securefl.adapters.state import GlobalState
from securefl.cli.main import command_line
from securefl.training.folders.exports import Form, write_form
from securefl.training.folders.reader import load_saved
from securefl.training.folders.task_file import FolderRecord
from securefl.training.folders.tensors import read_tensors
from securefl.training.model_files import model_digest
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.trainer import LocalTrainer

COLOURS = ("blue", "green", "red")
HEADS = ("pooled", "transformers")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(settings_of, client_data, tmp_path_factory) -> dict[str, Path]:
    """A fused adapter of rank 8 for each kind of head, as a member leaves it."""
    from dataclasses import replace

    made = {}
    for head in HEADS:
        task = SequenceClassification(COLOURS, "mean", head=head)
        trainer = LocalTrainer(replace(settings_of(), task=task), client_data)
        trainer.train_round(1, GlobalState.start(trainer.layout, seed=3).redistributed(4, scaling=2.0))
        trainer.train_personal(1)
        trainer.fuse()
        made[head] = tmp_path_factory.mktemp(head)
        trainer.save_adapter("fused", made[head])
    return made


@pytest.fixture
def texts(client_data) -> list[str]:
    return [text for (text,) in client_data.test.texts]


@pytest.fixture
def rows_csv(client_data, tmp_path) -> Path:
    path = tmp_path / "rows.csv"
    lines = [
        f"{text},{COLOURS[label]}"
        for (text,), label in zip(client_data.test.texts, client_data.test.targets[:, 0], strict=True)
    ]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def exported(source: Path, target: Path, **form) -> tuple[str, ...]:
    target.mkdir()
    return write_form(source, target, Form(**form))


def share_right(logits: np.ndarray, examples) -> float:
    return float((logits.argmax(1) == examples.targets[:, 0]).mean())


@pytest.mark.parametrize("head", HEADS)
def test_a_smaller_rank_keeps_the_nearest_adapter_and_says_what_is_lost(
    folders, head, texts, tmp_path, monkeypatch
):
    told = exported(folders[head], tmp_path / "small", rank=3)
    before, after = read_tensors(folders[head]), read_tensors(tmp_path / "small")
    assert after.config.r == 3
    lost = whole = 0.0
    for name, factors in before.factors.items():
        change = before.config.scaling * factors.B @ factors.A
        values = np.linalg.svd(change, compute_uv=False)
        small = after.config.scaling * after.factors[name].B @ after.factors[name].A
        np.testing.assert_allclose(
            np.linalg.norm(change - small), np.linalg.norm(values[3:]), rtol=1e-4, atol=1e-6
        )
        lost, whole = lost + (values[3:] ** 2).sum(), whole + (values**2).sum()
    assert f"{(lost / whole) ** 0.5:.1%} are lost from rank {before.config.r} to 3" in told[0]
    logits = logits_of_the_card(tmp_path / "small", texts, monkeypatch)
    ours = load_saved(tmp_path / "small").outcomes([(text,) for text in texts], batch_size=8)
    np.testing.assert_allclose(logits, ours, atol=1e-5)
    assert FolderRecord.read(tmp_path / "small").measured is None


@pytest.mark.parametrize("head", HEADS)
def test_a_rank_that_is_not_smaller_is_refused(folders, head, tmp_path):
    with pytest.raises(Exception, match="has rank 8 already"):
        exported(folders[head], tmp_path / "same", rank=8)


@pytest.mark.parametrize("head", HEADS)
def test_a_merged_model_loads_without_peft_and_gives_the_same_logits(
    folders, head, texts, tmp_path, monkeypatch
):
    target = tmp_path / "merged"
    exported(folders[head], target, merge=True)
    assert not (target / "adapter_config.json").exists()
    assert "peft import" not in (target / "README.md").read_text()
    config = json.loads((target / "config.json").read_text())
    assert config["id2label"] == {"0": "blue", "1": "green", "2": "red"}
    rows = [(text,) for text in texts]
    before = load_saved(folders[head]).outcomes(rows, batch_size=8)
    logits = logits_of_the_card(target, texts, monkeypatch)
    np.testing.assert_allclose(logits, before, atol=1e-5)
    np.testing.assert_allclose(load_saved(target).outcomes(rows, batch_size=8), before, atol=1e-5)


def test_a_merged_classifier_is_transformers_own_pipeline(folders, texts, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = tmp_path / "merged"
    exported(folders["transformers"], target, merge=True)
    model, report = AutoModelForSequenceClassification.from_pretrained(target, output_loading_info=True)
    assert not report["missing_keys"]
    tokens = AutoTokenizer.from_pretrained(target)(texts[:4], padding=True, return_tensors="pt")
    with torch.no_grad():
        labels = [model.config.id2label[place] for place in model(**tokens).logits.argmax(1).tolist()]
    saved = load_saved(folders["transformers"]).outcomes([(text,) for text in texts[:4]], batch_size=4)
    assert labels == [COLOURS[place] for place in saved.argmax(1)]


def test_a_hubs_layout_has_a_yaml_block_a_tokenizer_and_no_path_of_this_machine(
    settings_of, client_data, tmp_path
):
    from dataclasses import replace

    trainer = LocalTrainer(replace(settings_of(), model_id="owner/tiny"), client_data)
    trainer.save_adapter("global", tmp_path / "global")
    told = exported(tmp_path / "global", tmp_path / "hub", hub=True)
    card = (tmp_path / "hub" / "README.md").read_text()
    block = card.split("---\n")[1]
    assert 'base_model: "owner/tiny"' in block
    assert 'library_name: "peft"' in block
    assert "# license: to be chosen" in block
    assert (tmp_path / "hub" / "tokenizer.json").is_file()
    path = settings_of().model_path
    for file in ("README.md", "task.json", "adapter_config.json"):
        assert path not in (tmp_path / "hub" / file).read_text()
    [licence] = told
    assert "replace the second line of README.md by your licence, such as license: apache-2.0" in licence
    assert card.splitlines()[1].startswith("# license")


def test_a_base_without_a_public_name_is_said_with_every_place_that_has_its_path(folders, tmp_path):
    told = exported(folders["pooled"], tmp_path / "hub", hub=True)
    [sentence] = [sentence for sentence in told if "No public name" in sentence]
    path = json.loads((tmp_path / "hub" / "task.json").read_text())["base_model"]
    files = [file.name for file in (tmp_path / "hub").iterdir() if path.encode() in file.read_bytes()]
    assert path in sentence
    assert sorted(file for file in files if file in sentence) == sorted(files)
    assert "base_model: OWNER/NAME" in sentence


@pytest.mark.parametrize("form", [{}, {"merge": True}, {"rank": 2}, {"hub": True}])
@pytest.mark.parametrize("head", HEADS)
def test_evaluate_measures_a_folder_of_any_form(folders, head, form, rows_csv, client_data, tmp_path, capsys):
    target = tmp_path / "form"
    exported(folders[head], target, **form)
    capsys.readouterr()
    assert command_line(["evaluate", str(target), str(rows_csv), "--json", "-", "--device", "cpu"]) == 0
    result = json.loads(capsys.readouterr().out)
    logits = load_saved(target).outcomes(client_data.test.texts, batch_size=5)
    assert result["value"] == share_right(logits, client_data.test)
    assert result["interval"][0] <= result["value"] <= result["interval"][1]
    assert result["samples"] == len(client_data.test)


def test_evaluate_says_which_folder_and_how_many_rows_on_one_line(folders, rows_csv, client_data, capsys):
    assert command_line(["evaluate", str(folders["pooled"]), str(rows_csv)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{folders['pooled']} on {len(client_data.test)} rows of {rows_csv}\n")
    assert re.search(r"accuracy +0\.\d{4} +0\.\d{3} to [01]\.\d{3}", said)


def test_predict_gives_labels_and_probabilities(folders, texts, capsys, monkeypatch, tmp_path):
    folder = str(folders["pooled"])
    assert command_line(["predict", folder, texts[0], texts[1], "--json", str(tmp_path / "out.json")]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines] == texts[:2]
    found = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert [entry["label"] for entry in found] == [line[0] for line in lines]
    for entry in found:
        assert sum(entry["probabilities"].values()) == pytest.approx(1)
        assert entry["probability"] == max(entry["probabilities"].values())
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{texts[0]}\n\n{texts[1]}\n"))
    assert command_line(["predict", folder, "-"]) == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == lines
    (tmp_path / "texts.txt").write_text("\n".join(texts[:2]))
    assert command_line(["predict", folder, "--input", str(tmp_path / "texts.txt")]) == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == lines


def test_a_base_that_differs_is_refused_by_its_digest(folders, rows_csv, tmp_path, capsys):
    save_tiny_bert(tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    command = ["evaluate", str(folders["pooled"]), str(rows_csv), "--base", str(tmp_path / "other")]
    assert command_line(command) == 2
    assert "is not the base model that this adapter was trained on" in capsys.readouterr().err


def test_a_base_that_moved_is_taken_from_where_base_says(folders, tiny_bert, rows_csv, tmp_path, capsys):
    import shutil

    folder, moved = tmp_path / "adapter", tmp_path / "moved"
    shutil.copytree(folders["pooled"], folder)
    shutil.copytree(tiny_bert, moved)
    record = FolderRecord.read(folder)
    record.model_copy(update={"base_model": str(tmp_path / "gone")}).write(folder)
    assert command_line(["evaluate", str(folder), str(rows_csv)]) == 2
    assert re.search(r"there is no model folder \S+gone", capsys.readouterr().err)
    assert command_line(["evaluate", str(folder), str(rows_csv), "--base", str(moved)]) == 0
    assert model_digest(str(moved)).hex() == record.base_model_sha256


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("task.json", None, "is no saved adapter"),
        ("task.json", "{}", "does not describe an adapter"),
        ("task.json", "[", "does not describe an adapter"),
        ("adapter_config.json", None, "adapter_config.json cannot be read"),
        ("adapter_config.json", "{}", "describes no LoRA adapter"),
        ("adapter_model.safetensors", None, "adapter_model.safetensors cannot be read"),
        ("adapter_model.safetensors", "cut", "is no safetensors file"),
        ("head.safetensors", None, "does not hold the head of its task"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_in_a_sentence(
    folders, rows_csv, tmp_path, capsys, name, change, said
):
    import shutil

    folder = tmp_path / "adapter"
    shutil.copytree(folders["pooled"], folder)
    (folder / name).unlink()
    if change is not None:
        (folder / name).write_text(change)
    assert command_line(["evaluate", str(folder), str(rows_csv)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_of_other_tensors_is_refused_and_not_taken_for_zeros(folders, rows_csv, tmp_path, capsys):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(folders["pooled"], folder)
    weights = folder / "adapter_model.safetensors"
    renamed = {
        name.replace("model.encoder", "model.backbone.encoder"): v for name, v in load_file(weights).items()
    }
    save_file(renamed, weights)
    assert command_line(["evaluate", str(folder), str(rows_csv)]) == 2
    assert "backbone.encoder" in capsys.readouterr().err
