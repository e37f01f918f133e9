"""A saved folder as a model that computes: the base, its adapter and its head.

The rule kept here: it computes as the trainer did that saved it, in float32, and every number is the folder's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from securefl.config.training import TrainingSection
from securefl.errors import ModelError
from securefl.training.adapter_bank import AdapterBank
from securefl.training.backbones import skeleton_of
from securefl.training.devices import Compute, choose_compute
from securefl.training.folders.bases import base_of
from securefl.training.folders.task_file import HEAD_FILE, MIXER_FILE, FolderRecord, MixerRecord
from securefl.training.folders.tensors import load_tensors, read_tensors
from securefl.training.loops import evaluate
from securefl.training.mixed_backbones.paired_folder import paired
from securefl.training.mixer import Mixer
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import Tokenised, ordered_batches
from securefl.training.tasks.base import Answering, Metric, Task
from securefl.training.tasks.model import TaskModel
from securefl.training.tasks.table import recorded_terms, task_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NAME = "saved"
"""The adapter's name in its bank."""


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A folder, loaded.

    Attributes:
        record: What it says of itself.
        model: Base, adapter and head, in float32.
        task: Its task.
        tokenizer: The base model's.
        compute: Device and precision that it computes in.
    """

    record: FolderRecord
    model: TaskModel
    task: Task
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    compute: Compute = field(repr=False)

    def measure(
        self, examples: Examples, *, batch_size: int, step_done: Callable[[int, int], None] | None = None
    ) -> Metric:
        """The task's metric on rows, as members measured it.

        Args:
            examples: At least one row.
            batch_size: Rows at a time.
            step_done: Called after each batch with its number and the number of batches.
        """
        rows = self._tokens(examples)
        return evaluate(
            self.model,
            rows,
            self.task.metric,
            batch_size=batch_size,
            compute=self.compute,
            step_done=step_done,
            final=True,
        )

    def outcomes(self, texts: Sequence[tuple[str, ...]], *, batch_size: int) -> NDArray[np.float64]:
        """Answers to texts, (rows, k) in their order: for labels, logits."""
        rows = self._tokens(Examples(tuple(texts), np.zeros((len(texts), 1), dtype=np.int64)))
        outcomes = np.empty((len(rows), self.model.outcomes_width()), dtype=np.float64)
        for place in ordered_batches(rows.lengths, batch_size):
            with torch.inference_mode():
                batch = rows.batch(place, device=self.compute.device)
                outcomes[place] = self.model.outcomes(batch).float().cpu().numpy()
        return outcomes

    def answers(self, questions: Sequence[str], *, batch_size: int) -> list[str]:
        """Answers that a language model writes to prompts, in their order.

        Args:
            questions: The prompts.
            batch_size: Prompts at a time.

        Raises:
            ModelError: if the folder's model writes none.
            DataError: if a prompt leaves the model no position for an answer.
        """
        if not isinstance(self.task, Answering):
            raise ModelError("the adapter's model writes no answers", where=self.record.task)
        prompts = [
            torch.from_numpy(self.task.prompt(question, self.tokenizer)).to(self.compute.device)
            for question in questions
        ]
        written: list[str] = []
        for start in range(0, len(prompts), batch_size):
            written += self.task.written(self.model, prompts[start : start + batch_size])
        return written

    def _tokens(self, examples: Examples) -> Tokenised:
        return self.task.tokenise(examples, self.tokenizer, max_length=self.record.max_length)


def load_saved(folder: Path, *, base: str | None = None, device: str = "cpu") -> SavedModel:
    """Load a saved folder on its base model.

    Args:
        folder: A folder that ``saving`` or ``securefl export`` wrote.
        base: Where the base model lies; None takes what the folder says: the path, else the public name.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        ModelError: if the folder is no adapter, the base model is not there or another one, or both do not fit.
        ConfigError: if the device is not there.
    """
    record = FolderRecord.read(folder)
    task = task_of(recorded_terms(record, where=str(folder)))
    path = str(folder) if record.merged else base_of(record, base)
    section = TrainingSection.model_validate({"device": device, "precision": "float32"})
    compute = choose_compute(section, max_length=record.max_length)
    model = (
        _merged(folder, task, compute)
        if record.merged
        else _adapted(folder, path, task, compute, record=record)
    )
    return SavedModel(record, model, task, load_tokenizer(path), compute)


def _adapted(folder: Path, path: str, task: Task, compute: Compute, *, record: FolderRecord) -> TaskModel:
    tensors, skeleton = read_tensors(folder), skeleton_of(path)
    model = task.model(skeleton, path, attention=compute.attention)
    adapter = tensors.adapter(model.form, head=model.head_name)
    layout = task.layout(skeleton, tuple(adapter.weights))
    if {tensor.name for tensor in layout.heads} != adapter.heads.keys():
        raise ModelError(f"{folder} does not hold the head of its task", where=HEAD_FILE)
    bank = AdapterBank(model.to(compute.device), layout, dropout=0.0)
    bank.add(_NAME, rank=tensors.config.r, alpha=tensors.config.plain_alpha)
    bank.install(_NAME, adapter)
    if record.mixer is not None:
        _mix(folder, bank, record.mixer)
    local = bank.use((_NAME,), head=_NAME)
    return local if record.shared is None else paired(folder, local, record.shared, head=layout.heads[0])


def _mix(folder: Path, bank: AdapterBank, record: MixerRecord) -> None:
    """Put the folder's gates before the directions of both adapters that stand in its one."""
    if len(record.parts) != bank.rank(_NAME):
        raise ModelError(f"the mixer of {folder} does not fit its adapter", where=MIXER_FILE)
    mixer = Mixer(bank.layers)
    mixer.install(load_tensors(folder / MIXER_FILE))
    mixer.mix(_NAME, record.parts)


def _merged(folder: Path, task: Task, compute: Compute) -> TaskModel:
    model = task.model(skeleton_of(str(folder)), str(folder), attention=compute.attention)
    head = model.new_head()
    try:
        head.load_state_dict(_merged_head(folder, model))
    except RuntimeError:
        raise ModelError(f"{folder} does not hold the head of its task") from None
    model.use_head(head)
    model.requires_grad_(False)
    model.eval()
    return model.to(compute.device)


def _merged_head(folder: Path, model: TaskModel) -> dict[str, torch.Tensor]:
    """The head's own tensors: of the file beside, or from among the model's weights."""
    form = model.form
    if model.head_name is None:
        return {}
    if form.saved_module is None:
        return {
            name: torch.from_numpy(values).float()
            for name, values in load_tensors(folder / HEAD_FILE).items()
        }
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            there = set(tensors.keys())
            found |= {
                name.removeprefix(f"{model.head_name}."): tensors.get_tensor(plain).float()
                for name, plain in form.head.items()
                if plain in there
            }
    return found
