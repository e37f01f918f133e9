"""A saved folder as a model that computes: the base, its adapter and its head.

The rule kept here: a folder computes on the very base model that it was trained on, byte for byte; another one of the
same name is refused.
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
from securefl.training.folders.task_file import HEAD_FILE, FolderRecord
from securefl.training.folders.tensors import load_tensors, read_tensors
from securefl.training.loops import evaluate
from securefl.training.model_files import model_digest
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import Tokenised, ordered_batches
from securefl.training.tasks.base import Metric, Task
from securefl.training.tasks.model import TaskModel
from securefl.training.tasks.table import recorded_task

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
    task = recorded_task(record, where=str(folder))
    path = str(folder) if record.merged else base_of(record, base)
    section = TrainingSection.model_validate({"device": device, "precision": "float32"})
    compute = choose_compute(section, max_length=record.max_length)
    model = _merged(folder, task, compute) if record.merged else _adapted(folder, path, task, compute)
    return SavedModel(record, model, task, load_tokenizer(path), compute)


def base_of(record: FolderRecord, given: str | None) -> str:
    """The place of a folder's base model, checked byte for byte.

    Args:
        record: The folder's.
        given: Where somebody says that it lies; None tries the path and the public name of the record.

    Raises:
        ModelError: if it is at no such place, or another model is.
    """
    named = [record.base_model, *([record.base_model_id] if record.base_model_id else [])]
    places = [given] if given is not None else named
    for place in places[:-1]:
        try:
            return _checked(record, place)
        except ModelError:
            # Folders travel: the path of the machine that wrote it need not exist here, so the name is tried next.
            continue
    return _checked(record, places[-1])


def _checked(record: FolderRecord, path: str) -> str:
    if model_digest(path).hex() != record.base_model_sha256:
        raise ModelError(
            f"{path} is not the base model that this adapter was trained on",
            where=f"SHA-256 {record.base_model_sha256[:16]}...",
            hint=f"give the files of {record.base} with --base; the digest covers weights, config and tokenizer",
        )
    return path


def _adapted(folder: Path, path: str, task: Task, compute: Compute) -> TaskModel:
    tensors, skeleton = read_tensors(folder), skeleton_of(path)
    model = task.model(skeleton, path, attention=compute.attention)
    adapter = tensors.adapter(model.form, head=model.head_name)
    layout = task.layout(skeleton, tuple(adapter.weights))
    if {tensor.name for tensor in layout.heads} != adapter.heads.keys():
        raise ModelError(f"{folder} does not hold the head of its task", where=HEAD_FILE)
    bank = AdapterBank(model.to(compute.device), layout, dropout=0.0)
    bank.add(_NAME, rank=tensors.config.r, alpha=tensors.config.scaling * tensors.config.r)
    bank.install(_NAME, adapter)
    return bank.use((_NAME,), head=_NAME)


def _merged(folder: Path, task: Task, compute: Compute) -> TaskModel:
    model = task.model(skeleton_of(str(folder)), str(folder), attention=compute.attention)
    head = model.new_head()
    saved = load_tensors(folder / HEAD_FILE)
    try:
        head.load_state_dict({name: torch.from_numpy(values).float() for name, values in saved.items()})
    except RuntimeError:
        raise ModelError(f"{folder / HEAD_FILE} is not the head of this model") from None
    model.use_head(head)
    model.requires_grad_(False)
    model.eval()
    return model.to(compute.device)
