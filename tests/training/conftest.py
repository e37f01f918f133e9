"""A random BERT of a few kilobytes, and a little task that it can learn, for tests that need real torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.head import HeadSection
from securefl.config.model import LoraTerms
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.training import TrainingSection
from securefl.training.model_files import model_digest
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.examples import ClientData
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.classification.rows import LabelledRows

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer

RANKS = (2, 4, 8, 8)
SEED = 11
LABELS = ("blue", "green", "red")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a random two-layer BERT, 32 wide, as transformers saves it."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    save_tiny_bert(folder)
    return str(folder)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 rows of jsonl: which of three colours stands in the text, among letters; a site for every row."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(path)
    return path


@pytest.fixture(scope="session")
def client_data(rows_file: Path) -> ClientData:
    """The first client's quarter of the rows."""
    data = DataSection(train=str(rows_file))
    task = LabelledRows(data, LABELS)
    return load_client_data(data, CohortSection(), member="client-1", task=task, seed=SEED)


@pytest.fixture(scope="session")
def plan_of(tiny_bert: str) -> Callable[[str], PayloadPlan]:
    """The payload plan of the tiny model for ranks 2, 4, 8, 8 under a payload."""
    # Here and not above, as everything that loads torch: the tests of rows can do without.
    from securefl.training.models import layout_of

    layout = layout_of(tiny_bert, target_modules=("query", "value"), labels=3)

    def plan(payload: str) -> PayloadPlan:
        return PayloadPlan(
            payload=payload,
            layout=layout,
            ranks=RankTable(RANKS),
            bits=16,
            adapter_bound=0.5,
            head_bound=2.0,
            samples_cap=50,
            seed=SEED,
        )

    return plan


@pytest.fixture(scope="session")
def settings_of(tiny_bert: str, plan_of: Callable[[str], PayloadPlan]) -> Callable[..., TrainerSettings]:
    """Settings of a client of the tiny model; keyword arguments replace single fields."""

    from securefl.training.tasks.classification.task import SequenceClassification

    def settings(*, payload: str = "dense", rank: int = 4, **fields: object) -> TrainerSettings:
        plan = plan_of(payload)
        made = TrainerSettings(
            model_path=tiny_bert,
            model_digest=model_digest(tiny_bert),
            task=SequenceClassification(LABELS, "mean"),
            max_length=32,
            lora=LoraTerms(lora_alpha=8, use_rslora=False),
            training=TrainingSection(
                learning_rate=1e-2,
                head_learning_rate=3e-2,
                per_device_train_batch_size=8,
                device="cpu",
                precision="float32",
            ),
            personal=PersonalSection(rate_scales=(1.0,)),
            recipe=Recipe(name="default", personal="alone"),
            head=HeadSection(start="zeros", rows="together"),
            payload=payload,
            fusion=FusionSection(),
            rank=rank,
            update_rank=plan.update_rank(rank),
            shared_rank=plan.ranks.shared_rank,
            personal_rank=plan.personal_rank(rank),
            rounds=3,
            samples_cap=50,
            seed=SEED,
            member="client-1",
        )
        return replace(made, **fields)

    return settings


@pytest.fixture(scope="session")
def trainer_of(
    settings_of: Callable[..., TrainerSettings], client_data: ClientData
) -> Callable[..., LocalTrainer]:
    """A fresh trainer of the tiny model; keyword arguments as for ``settings_of``."""
    # Here and not above: it loads torch and PEFT, which the tests of rows can do without.
    from securefl.training.trainer import LocalTrainer

    return lambda **fields: LocalTrainer(settings_of(**fields), client_data)


@pytest.fixture(scope="session")
def start_of(plan_of: Callable[[str], PayloadPlan]) -> Callable[..., object]:
    """The public start of a federation on the tiny model, at a rank."""

    def start(rank: int = 4, *, alpha: float = 8.0) -> object:
        state = GlobalState.start(plan_of("dense").layout, seed=SEED)
        return state.redistributed(rank, scaling=alpha / rank)

    return start


@pytest.fixture
def trainer_beside(trainer_of, settings_of):
    """A trainer with a private adapter of rank 2 beside the shared one: a few steps a round, at constant rates."""

    def trainer(
        recipe: Recipe, *, personal: PersonalSection, max_grad_norm: float | None = None, **fields: object
    ):
        section = settings_of().training
        training = section.model_copy(
            update={
                "lr_scheduler_type": "constant",
                "num_train_epochs": 0.4,
                "max_grad_norm": section.max_grad_norm if max_grad_norm is None else max_grad_norm,
                "weight_decay": 0.0,
            }
        )
        chosen = {
            "recipe": recipe,
            "personal_rank": 2,
            "personal": personal,
            "fusion": FusionSection(finish="sum"),
            "training": training,
        }
        return trainer_of(**chosen | fields)

    return trainer
