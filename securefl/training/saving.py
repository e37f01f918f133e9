"""Adapters as PEFT folders.

The rule kept here: a saved folder needs nothing of ours but the base model. Its tensors carry the names of the modules
of transformers' own class, so that ``peft.PeftModel.from_pretrained`` on that class finds every one of them; a head of
ours, which that class does not have, stands beside them in ``head.safetensors``. What they compute together is what
was measured here, from the same float32 numbers.

Beside PEFT's two files stand ``task.json`` (``folders.task_file``) and ``README.md`` (``folders.card``), whose code
loads the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig
from safetensors.torch import save

from securefl.adapters.update import Adapter, Matrix
from securefl.training.adapter_bank import AdapterBank
from securefl.training.backbones import plain_skeleton
from securefl.training.folders.card import model_card
from securefl.training.folders.form import FolderForm
from securefl.training.folders.task_file import (
    CARD_FILE,
    HEAD_FILE,
    MIXER_FILE,
    WEIGHTS_FILE,
    FolderRecord,
    MeasuredRecord,
    MixerRecord,
    SharedRecord,
    versions,
)
from securefl.training.settings import TrainerSettings
from securefl.training.target_modules import same_targets
from securefl.training.tasks.model import TaskModel

_PREFIX = "base_model.model."
"""PEFT's name of the base model in the names of saved tensors."""


def save_trained(
    folder: Path,
    bank: AdapterBank,
    name: str,
    settings: TrainerSettings,
    *,
    measured: MeasuredRecord | None = None,
    shared: SharedRecord | None = None,
) -> None:
    """Write one of a client's adapters, with its mixer where it has one; see ``save_adapter``.

    ``paired_folder`` has the shared one.
    """
    mixed = bank.mixer.mixed_ranks(name) if bank.mixer is not None else None
    if bank.mixer is not None and mixed is not None:
        folder.mkdir(parents=True, exist_ok=True)
        gates = bank.mixer.values().items()
        write_tensors(folder / MIXER_FILE, {weight: _tensor(gate) for weight, gate in gates})
    record = FolderRecord(
        base_model=settings.model_path,
        base_model_id=settings.model_id,
        base_model_sha256=settings.model_digest.hex(),
        max_length=settings.max_length,
        task=settings.task.name,
        auto_class=bank.model.form.auto_class,
        pad_token_id=bank.model.form.pad_token_id,
        adapter=name,
        origin=settings.origin,
        measured=measured,
        shared=shared,
        mixer=None if mixed is None else MixerRecord(ranks=mixed),
        versions=versions(),
        **settings.task.description(),
    )
    made = bank.configured(name)
    config = LoraConfig(
        r=made.r,
        lora_alpha=_plain(made.lora_alpha),  # type: ignore[arg-type] # as in the bank
        use_rslora=made.use_rslora,
        lora_dropout=settings.lora.lora_dropout,
        target_modules=list(settings.lora.target_modules),
        fan_in_fan_out=bank.fan_in_fan_out,
    )
    save_adapter(folder, bank.adapter(name), record, config, model=bank.model)


def save_adapter(
    folder: Path, adapter: Adapter, record: FolderRecord, config: LoraConfig, *, model: TaskModel
) -> None:
    """Write an adapter's folder, made where it is missing; ``task.json`` is the last of its files.

    Args:
        folder: Where to.
        adapter: Factors and heads, values that float32 holds exactly.
        record: What the folder says of itself.
        config: The adapter's rank, scaling and target modules, as the federation's terms name them.
        model: The model that it was trained on.
    """
    form = model.form
    config.task_type = form.task_type
    config.base_model_name_or_path = record.base
    config.target_modules = _targets(model, adapter, config.target_modules)
    config.modules_to_save = None if form.saved_module is None else [form.saved_module]
    config.inference_mode = True
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    write_tensors(folder / WEIGHTS_FILE, _peft_tensors(adapter, form) | _fixed_tensors(model))
    if form.saved_module is None and adapter.heads:
        write_tensors(folder / HEAD_FILE, _head_beside(adapter, model))
    (folder / CARD_FILE).write_text(model_card(record, rank=config.r), encoding="utf-8")
    record.write(folder)


def _targets(model: TaskModel, adapter: Adapter, names: object) -> list[str]:
    """Names that mean the adapted modules in transformers' own class, which may have more modules than we adapt."""
    paths = [f"{model.form.prefix}{name}" for name in adapter.weights]
    asked = sorted(names) if isinstance(names, list | set | tuple) else []
    ends = sorted({path.rpartition(".")[2] for path in paths})
    plain = plain_skeleton(model.config, model.form.auto_class)
    return next((words for words in (asked, ends) if same_targets(plain, words, paths)), paths)


def _peft_tensors(adapter: Adapter, form: FolderForm) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for name, factors in adapter.weights.items():
        tensors[f"{_PREFIX}{form.prefix}{name}.lora_A.weight"] = _tensor(factors.A)
        tensors[f"{_PREFIX}{form.prefix}{name}.lora_B.weight"] = _tensor(factors.B)
    for name, plain in form.head.items():
        tensors[f"{_PREFIX}{plain}"] = _head_tensor(name, adapter.heads)
    return tensors


def _fixed_tensors(model: TaskModel) -> dict[str, torch.Tensor]:
    """Pretrained tensors of the module that PEFT saves whole, beside the head's."""
    return {
        f"{_PREFIX}{name}": value.detach().cpu().contiguous() for name, value in model.beside_head().items()
    }


def _head_beside(adapter: Adapter, model: TaskModel) -> dict[str, torch.Tensor]:
    """The head under the names of a linear module's own tensors, ``weight`` and ``bias``."""
    return {
        name.removeprefix(f"{model.head_name}."): _head_tensor(name, adapter.heads) for name in adapter.heads
    }


def _head_tensor(name: str, heads: Mapping[str, Matrix]) -> torch.Tensor:
    return _tensor(heads[name][:, 0] if name.endswith(".bias") else heads[name])


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a safetensors file as PEFT does."""
    # Not its save_file: what that raises of a full disk is no OSError, and the files of umask 077 are ours to make.
    path.write_bytes(save(dict(tensors), metadata={"format": "pt"}))


def _plain(alpha: float) -> float:
    return int(alpha) if float(alpha).is_integer() else alpha


def _tensor(values: Matrix) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
