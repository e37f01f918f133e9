"""Adapters as PEFT folders.

The rule kept here: a saved folder needs nothing of ours but the base model. A classifier loaded with
``peft.PeftModel.from_pretrained(load_base_model(path, labels=..., pooling=...), folder)`` computes what was measured
here, from the same float32 numbers.

Beside PEFT's two files stands ``task.json``: the base model's digest, the number of tokens, the task, and what the
task adds, such as the labels in the order of the head's rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig
from safetensors.torch import save

from securefl.adapters.update import Adapter, Matrix
from securefl.training.adapter_bank import AdapterBank
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.model import BACKBONE

WEIGHTS_FILE = "adapter_model.safetensors"
TASK_FILE = "task.json"
_PREFIX = "base_model.model."
"""PEFT's name of the base model in the names of saved tensors."""


@dataclass(frozen=True, slots=True)
class SavedTask:
    """Facts that a user needs beside the adapter.

    Attributes:
        base_model: The path or id that the base model was loaded from.
        base_model_sha256: ``model_files.model_digest`` of it, hexadecimal.
        max_length: Most tokens of a text.
        task: The task's name.
        description: The task's own part, JSON values; see ``Task.description``.
    """

    base_model: str
    base_model_sha256: str
    max_length: int
    task: str
    description: Mapping[str, object]


def save_trained(folder: Path, bank: AdapterBank, name: str, settings: TrainerSettings) -> None:
    """Writes one of a client's adapters; see ``save_adapter``."""
    made = bank.configured(name)
    save_adapter(
        folder,
        bank.adapter(name),
        SavedTask(
            base_model=settings.model_path,
            base_model_sha256=settings.model_digest.hex(),
            max_length=settings.max_length,
            task=settings.task.name,
            description=settings.task.description(),
        ),
        alpha=made.lora_alpha,
        use_rslora=made.use_rslora,
        target_modules=settings.lora.target_modules,
        fan_in_fan_out=bank.fan_in_fan_out,
        head=bank.model.head_name,
        dropout=settings.lora.lora_dropout,
    )


def save_adapter(
    folder: Path,
    adapter: Adapter,
    task: SavedTask,
    *,
    alpha: float,
    use_rslora: bool,
    target_modules: tuple[str, ...],
    fan_in_fan_out: bool,
    head: str | None,
    dropout: float = 0.0,
) -> None:
    """Writes adapter_config.json, adapter_model.safetensors and task.json; the folder is made where it is missing.

    Args:
        folder: Where to.
        adapter: Factors and heads, values that float32 holds exactly.
        task: Written beside it.
        alpha: lora_alpha.
        use_rslora: The adapter's scaling is alpha / sqrt(r), not alpha / r.
        target_modules: As the federation's terms name them.
        fan_in_fan_out: Whether the adapted modules keep their weights transposed, as GPT-2's do.
        head: The module that holds the heads; None where the task shares none.
        dropout: lora_dropout, for whoever trains on.
    """
    rank = next(iter(adapter.weights.values())).A.shape[0]
    tensors: dict[str, torch.Tensor] = {}
    for name, factors in adapter.weights.items():
        tensors[f"{_PREFIX}{BACKBONE}.{name}.lora_A.weight"] = _tensor(factors.A)
        tensors[f"{_PREFIX}{BACKBONE}.{name}.lora_B.weight"] = _tensor(factors.B)
    for name, values in adapter.heads.items():
        tensors[f"{_PREFIX}{name}"] = _tensor(values[:, 0] if name.endswith(".bias") else values)
    folder.mkdir(parents=True, exist_ok=True)
    LoraConfig(
        r=rank,
        lora_alpha=int(alpha) if float(alpha).is_integer() else alpha,  # type: ignore[arg-type] # as in the bank
        lora_dropout=dropout,
        use_rslora=use_rslora,
        target_modules=list(target_modules),
        fan_in_fan_out=fan_in_fan_out,
        modules_to_save=None if head is None else [head],
        base_model_name_or_path=task.base_model,
        inference_mode=True,
    ).save_pretrained(str(folder))
    # Not its save_file: what that raises of a full disk is no OSError, and the files of umask 077 are ours to make.
    (folder / WEIGHTS_FILE).write_bytes(save(tensors, metadata={"format": "pt"}))
    (folder / TASK_FILE).write_text(json.dumps(_flat(task), indent=1) + "\n", encoding="utf-8")


def _flat(task: SavedTask) -> dict[str, object]:
    values = asdict(task)
    del values["description"]
    return values | dict(task.description)


def _tensor(values: Matrix) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
