"""Private rounds of encoders and language models of many kinds, of bf16 bases and of layers computed twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_language_models import FAMILIES, save_tiny_language_model, write_sums
from support.tiny_models import KINDS, save_tiny_model

from securefl.adapters.state import GlobalState
from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.model import LoraTerms
from securefl.errors import TrainingError
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.terms import CausalLmTerms
from securefl.training.backbones import skeleton_of
from securefl.training.dp_sgd.taps import Taps
from securefl.training.model_files import model_digest
from securefl.training.rows.client_data import load_client_data
from securefl.training.target_modules import resolved_targets
from securefl.training.tasks.causal.dialogues import DialogueRows
from securefl.training.tasks.causal.task import CausalLm
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow

RELEASE = SampledTraining(noise_multiplier=0.05, clip=1.0, clipping="flat", sampling_probability=0.2, steps=3)


def nothing(number: int, release: SampledTraining) -> None:
    """A charge that is always granted."""


@pytest.fixture
def trainer_at(settings_of, client_data):
    """A private trainer of the model in a folder."""

    def trainer(path: str, data=client_data, *, training: dict[str, object] | None = None, **fields: object):
        settings = settings_of(
            privacy=RELEASE,
            training=settings_of().training.model_copy(update=training or {}),
            model_path=path,
            model_digest=model_digest(path),
            lora=LoraTerms(
                lora_alpha=8,
                use_rslora=False,
                target_modules=resolved_targets(skeleton_of(path).backbone, ("auto",)),
            ),
            **fields,
        )
        return LocalTrainer(settings, data, charge=nothing)

    return trainer


def trained(trainer: LocalTrainer) -> LocalTrainer:
    """After a round from the public start, in which both factors have moved."""
    start = GlobalState.start(trainer.layout, seed=3).redistributed(4, scaling=2.0)
    trainer.learn(1, start)
    for name, factors in trainer.adapter("global").weights.items():
        assert np.isfinite(factors.B).all()
        assert factors.B.any(), name
        assert not np.array_equal(factors.A, start.weights[name].A.astype(np.float32)), name
    return trainer


TOKENS_FIRST = ("xlnet",)
"""Kinds whose layers have the tokens on their first axis, and the rows on the second."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in TOKENS_FIRST])
def test_every_kind_of_encoder_trains_privately(kind, trainer_at, tiny_bert, tmp_path) -> None:
    save_tiny_model(kind, tmp_path, tokenizer_of=tiny_bert)
    trained(trainer_at(str(tmp_path)))


@pytest.mark.parametrize("kind", TOKENS_FIRST)
def test_a_model_whose_first_axis_is_the_tokens_is_refused(kind, trainer_at, tiny_bert, tmp_path) -> None:
    save_tiny_model(kind, tmp_path, tokenizer_of=tiny_bert)
    with pytest.raises(TrainingError, match="first axis"):
        trained(trainer_at(str(tmp_path)))


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory):
    """Rows of a letter, and that letter as the answer."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_sums(path)
    data = DataSection(train=str(path))
    return load_client_data(data, CohortSection(), member="client-1", task=DialogueRows(data), seed=11)


def language_trainer(trainer_at, path: str, sums):
    return trainer_at(
        path, sums, task=CausalLm(CausalLmTerms(name="causal-lm", max_new_tokens=6)), max_length=48
    )


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_of_language_models_trains_privately(kind, trainer_at, sums, tmp_path) -> None:
    trained(language_trainer(trainer_at, save_tiny_language_model(kind, tmp_path), sums))


def test_a_long_answer_of_another_row_does_not_dilute_a_rows_loss(trainer_at, sums, tmp_path) -> None:
    trainer = language_trainer(trainer_at, save_tiny_language_model("llama", tmp_path), sums)
    rows, model = trainer._rows.train, trainer._bank.model
    longest = int(np.argmax(rows.lengths))
    with torch.inference_mode():
        alone = model.row_losses(rows.batch(np.array([0]), device=torch.device("cpu")))
        beside = model.row_losses(rows.batch(np.array([0, longest]), device=torch.device("cpu")))
    torch.testing.assert_close(beside[0], alone[0])


@pytest.mark.parametrize("base", ["float32", "bf16"])
def test_products_in_bf16_train_privately(trainer_at, tiny_bert, base) -> None:
    trained(trainer_at(tiny_bert, training={"precision": "bf16", "base_precision": base}))


def test_layers_computed_twice_have_the_gradients_of_layers_that_are_kept(trainer_at, tiny_bert) -> None:
    found = []
    for twice in (False, True):
        trainer = trained(trainer_at(tiny_bert, training={"gradient_checkpointing": twice}))
        trainer._bank.install(
            "global", GlobalState.start(trainer.layout, seed=3).redistributed(4, scaling=2.0)
        )
        model = trainer._bank.use(("global",), head="global")
        trainable = trainer._bank.train("global", None)
        with torch.no_grad():
            for number, value in enumerate((trainable.factors | trainable.head).values()):
                value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(number)))
        batch = trainer._rows.train.batch(np.arange(4), device=torch.device("cpu"))
        with Taps(model, trainable.factors | trainable.head) as taps:
            of_rows = taps.gradients(model.row_losses(batch))
        found.append({name: gradients.squared_norms() for name, gradients in of_rows.items()})
    for name, norms in found[0].items():
        assert bool(norms.any())
        torch.testing.assert_close(found[1][name], norms, msg=name)
