"""A member's model with the shared adapter as a folder, and its way back.

The rule kept here: the folder holds every number that computed, and says so in its record, so that ``load_adapter``
answers as the member measured. The private LoRA and head stand there in PEFT's form, and the shared adapter in a file
beside: plain PEFT loads the former alone, which is not what was measured, and the card says so.

    adapter_config.json  adapter_model.safetensors   the private LoRA
    head.safetensors                                 the member's own head
    shared_adapter.safetensors                       width_map (w, d_k), lora_A (r, w), lora_B (w, r), classes (C, w),
                                                     bias (C,)
"""

from __future__ import annotations

from pathlib import Path

import torch

from securefl.adapters.layout import TensorSpec
from securefl.errors import ModelError
from securefl.training.adapter_bank import AdapterBank
from securefl.training.folders.task_file import SHARED_FILE, MeasuredRecord, SharedRecord
from securefl.training.folders.tensors import load_tensors
from securefl.training.mixed_backbones.paired_model import PairedModel
from securefl.training.mixed_backbones.shared_adapter import SharedAdapter
from securefl.training.saving import save_trained, write_tensors
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.classification.model import PooledClassifier
from securefl.training.tasks.model import TaskModel


def save_paired(
    folder: Path,
    bank: AdapterBank,
    name: str,
    shared: SharedAdapter,
    settings: TrainerSettings,
    *,
    measured: MeasuredRecord | None = None,
) -> None:
    """Write a member's model with the shared adapter.

    Args:
        folder: Where to; made where it is missing.
        bank: The adapters on the member's backbone.
        name: The one that computes with the shared adapter.
        shared: The shared adapter at this member.
        settings: The member's.
        measured: Its metric on the test rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / SHARED_FILE, shared.whole())
    record = SharedRecord(width=shared.shape.width, rank=shared.shape.rank, scaling=shared.shape.scaling)
    save_trained(folder, bank, name, settings, measured=measured, shared=record)


def paired(folder: Path, local: TaskModel, record: SharedRecord, *, head: TensorSpec) -> PairedModel:
    """A saved member's own classifier with the shared adapter of its folder beside it.

    Args:
        folder: The folder.
        local: The classifier that stands in it, loaded.
        record: What the folder says of the shared adapter.
        head: The matrix of the member's own head: classes, and width of the features.

    Raises:
        ModelError: if the file is missing, damaged, or does not fit the classifier.
    """
    path = folder / SHARED_FILE
    parts = {name: torch.from_numpy(values).float() for name, values in load_tensors(path).items()}
    shared = SharedAdapter.of_whole(parts, scaling=record.scaling)
    fits = (shared.shape.classes, shared.shape.hidden) == (head.rows, head.columns)
    if not isinstance(local, PooledClassifier) or not fits:
        raise ModelError(f"the shared adapter of {folder} does not fit its model", where=SHARED_FILE)
    return PairedModel(local, shared.to(next(local.parameters()).device), mu=1.0)
