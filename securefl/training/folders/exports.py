"""A saved folder in other forms: of a smaller rank, merged into its base, laid out for a hub.

The rule kept here: a form is written from a saved folder alone, and the new folder says what it is in its own record
and card; nothing is uploaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.reduction import Reduction, reduced
from securefl.adapters.update import LoraFactors, Matrix
from securefl.errors import ConfigError, ModelError
from securefl.training.folders.card import hub_card, model_card
from securefl.training.folders.task_file import (
    ADAPTER_CONFIG,
    CARD_FILE,
    HEAD_FILE,
    MIXER_FILE,
    SHARED_FILE,
    TASK_FILE,
    WEIGHTS_FILE,
    FolderRecord,
)
from securefl.training.folders.tensors import PEFT_PREFIX, PeftRecord, read_peft_record, read_tensors

Float32 = NDArray[np.float32]
VLLM_RANK = 16
"""vLLM's ``max_lora_rank`` where nobody sets another (its page "LoRA adapters")."""
SMALL_BYTES = 32 << 20
"""Tokenizer files that together are larger are left with the base model."""
_TEMPLATE_FILE = "chat_template.jinja"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    _TEMPLATE_FILE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of an export.

    Attributes:
        rank: The rank; None keeps the adapter's.
        merge: Add the adapter to the base's weights, and write the whole model.
        hub: Lay the folder out as a hub's repository.
        base: Where the base model lies; None takes what the folder says.
    """

    rank: int | None = None
    merge: bool = False
    hub: bool = False
    base: str | None = None


def write_form(source: Path, target: Path, form: Form) -> tuple[str, ...]:
    """Write a folder in a form, into a folder that is there and empty.

    Returns:
        Sentences on what a user should know of it.

    Raises:
        ConfigError: if the form does not fit the adapter.
        ModelError: if the folder is no adapter, or its base model is needed and not there.
    """
    if form.merge and form.rank is not None:
        raise ConfigError("a merged model has no rank", where="--rank", hint="leave out --rank or --merge")
    if not (form.merge or form.hub or form.rank):
        _copy(source, target)
        return limits(target)
    record = FolderRecord.read(source)
    if record.beyond_peft is not None:
        raise ConfigError(
            f"{source} computes with {record.beyond_peft}, which no other form has a place for",
            hint="leave out --rank, --merge and --hub-layout to copy the folder as it is, or export another adapter",
        )
    if form.merge:
        told = _merge(source, target, record, form.base)
    else:
        _copy(source, target)
        told = (*(_reduce(target, record, form.rank) if form.rank else ()), *limits(target))
    return (*told, *(_lay_out(target, form.base) if form.hub else ()))


def limits(folder: Path) -> tuple[str, ...]:
    """Sentences on documented limits of vLLM that a folder breaks; none for a folder that it serves as it is."""
    config = read_peft_record(folder)
    beyond = next((name for name in (SHARED_FILE, MIXER_FILE) if (folder / name).is_file()), None)
    if beyond is not None:
        return (
            f"vLLM and PEFT do not know {beyond}, with which this adapter computes: use securefl.load_adapter, or "
            "securefl predict.",
        )
    told = []
    if config.r > VLLM_RANK:
        told.append(
            f"vLLM serves ranks up to {VLLM_RANK} unless it is started with --max-lora-rank {config.r}: the rank is "
            f"{config.r}, and --rank {VLLM_RANK} writes a smaller one."
        )
    if config.modules_to_save:
        told.append(
            f"vLLM loads no modules that are saved whole, and this folder has {', '.join(config.modules_to_save)}: "
            "serve it with transformers and PEFT, or write it with --merge."
        )
    return tuple(told)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _reduce(folder: Path, record: FolderRecord, rank: int) -> tuple[str, ...]:
    """Replaces a folder's factors by smaller ones."""
    tensors = read_tensors(folder)
    if rank >= tensors.config.r:
        raise ConfigError(
            f"the adapter has rank {tensors.config.r} already", where="--rank", hint="name a smaller one"
        )
    smaller = reduced(tensors.factors, scaling=tensors.config.scaling, rank=rank)
    _write_factors(folder / WEIGHTS_FILE, smaller, tensors.others)
    _write_config(folder / ADAPTER_CONFIG, tensors.config, rank)
    left = record.model_copy(
        update={"measured": None, "reduced_from": tensors.config.r, "lost": smaller.lost}
    )
    left.write(folder)
    (folder / CARD_FILE).write_text(model_card(left, rank=rank), encoding="utf-8")
    return (
        f"Of the adapter's norm {smaller.lost:.1%} are lost from rank {tensors.config.r} to {rank}; measure it with "
        "securefl evaluate.",
    )


def _write_factors(path: Path, smaller: Reduction, others: Mapping[str, Matrix]) -> None:
    from safetensors.numpy import save

    tensors = {f"{PEFT_PREFIX}{name}": _float32(values) for name, values in others.items()}
    for name, factors in smaller.weights.items():
        tensors |= _factor_tensors(name, factors)
    path.write_bytes(save(tensors, metadata={"format": "pt"}))


def _factor_tensors(name: str, factors: LoraFactors) -> dict[str, Float32]:
    return {
        f"{PEFT_PREFIX}{name}.lora_A.weight": _float32(factors.A),
        f"{PEFT_PREFIX}{name}.lora_B.weight": _float32(factors.B),
    }


def _float32(values: Matrix) -> Float32:
    return np.ascontiguousarray(values, dtype=np.float32)


def _write_config(path: Path, config: PeftRecord, rank: int) -> None:
    """PEFT's own file with another rank; the scaling is in the factors, so alpha is the rank."""
    values = config.model_dump(mode="json") | {"r": rank, "lora_alpha": rank, "use_rslora": False}
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _merge(source: Path, target: Path, record: FolderRecord, base: str | None) -> tuple[str, ...]:
    """Writes the whole model with the adapter in its weights."""
    if record.merged:
        raise ModelError(f"{source} is merged already")
    from securefl.training.folders.merging import write_merged

    write_merged(source, target, record, base)
    merged = record.model_copy(update={"merged": True})
    merged.write(target)
    (target / CARD_FILE).write_text(model_card(merged, rank=read_peft_record(source).r), encoding="utf-8")
    if (source / HEAD_FILE).is_file():
        shutil.copy(source / HEAD_FILE, target)
        return (
            f"The head stands beside the model, in {HEAD_FILE}: the code in README.md puts both together.",
        )
    return ()


def _lay_out(folder: Path, base: str | None) -> tuple[str, ...]:
    """Adds what a hub's repository has; the record loses the path of the machine that wrote it."""
    record = FolderRecord.read(folder)
    public = record.model_copy(update={"base_model": record.base_model_id or record.base_model})
    public.write(folder)
    card = (folder / CARD_FILE).read_text(encoding="utf-8")
    (folder / CARD_FILE).write_text(hub_card(card, public), encoding="utf-8")
    told = [] if record.merged else _add_tokenizer(folder, record, base)
    if record.base_model_id is None:
        told.append(
            "No public name of the base model is known here. Before an upload, write its name at the hub (OWNER/NAME) "
            f"in the place of {record.base_model} in {CARD_FILE}, {ADAPTER_CONFIG} and {TASK_FILE}, and the line "
            f'base_model: OWNER/NAME below the first line of {CARD_FILE}. With id = "OWNER/NAME" in [model] of a '
            "federation's file its adapters come with the name."
        )
    told.append(
        f"Before an upload, replace the second line of {CARD_FILE} by your licence, such as license: apache-2.0."
    )
    return tuple(told)


def _add_tokenizer(folder: Path, record: FolderRecord, base: str | None) -> list[str]:
    from securefl.training.folders.bases import base_of
    from securefl.training.model_files import resolve_model

    place = resolve_model(base_of(record, base))
    files = [place / name for name in _TOKENIZER_FILES if (place / name).is_file()]
    size = sum(file.stat().st_size for file in files)
    if size > SMALL_BYTES:
        return [f"The tokenizer has {size / 1e6:.0f} MB and stays with the base model."]
    for file in files:
        shutil.copy(file, folder)
    if record.chat_template is not None:
        # transformers and vLLM take it before a template in tokenizer_config.json.
        (folder / _TEMPLATE_FILE).write_text(record.chat_template, encoding="utf-8")
    return []
