"""A model's public name is what the place of its files tells truthfully, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.training import model_files
from securefl.training.model_files import public_id


def test_a_hub_id_is_its_own_name() -> None:
    assert public_id("owner/name") == "owner/name"


def test_a_folder_of_the_hubs_cache_tells_its_name(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    assert public_id(str(snapshot)) == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_config_that_names_what_a_model_was_made_from_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_name_or_path": "nreimers/MiniLM-L6-H384-uncased"}')
    assert public_id(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("summary", "name"),
    [
        ("A packaged version of the owner/All-Mini_v2 model for offline use.", "owner/All-Mini_v2"),
        ("Weights and/or tokenizers of a model.", None),
        ("It is like owner/all-mini-v2 and other/all-mini-v2.", None),
        ("See https://example.org/all-mini-v2 for more.", None),
        ("", None),
    ],
)
def test_a_packages_summary_counts_where_it_names_the_one_model_it_is_called_after(
    monkeypatch: pytest.MonkeyPatch, summary: str, name: str | None
) -> None:
    monkeypatch.setattr(model_files, "metadata", lambda _: {"Summary": summary})
    assert public_id("package:gt-all-mini-v2") == name


def test_a_package_that_is_not_there_has_no_name() -> None:
    assert public_id("package:no-such-package-here") is None
