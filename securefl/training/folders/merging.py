"""A saved folder's adapter added to its base model's weights, by transformers and PEFT themselves."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from securefl.errors import ModelError
from securefl.training.backbones import unusable
from securefl.training.folders.bases import base_of
from securefl.training.folders.task_file import FolderRecord
from securefl.training.model_files import resolve_model
from securefl.training.pretrained import load_tokenizer
from securefl.training.silence import silent_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write_merged(source: Path, target: Path, record: FolderRecord, base: str | None) -> None:
    """Write the model of a folder's class with merged float32 weights, its config with labels, and its tokenizer.

    The tokenizer gets the chat template that the adapter was trained with, where that is the federation's own.

    Args:
        source: The adapter's folder.
        target: A folder that is there.
        record: The adapter's.
        base: Where its base model lies; None takes what the record says.

    Raises:
        ModelError: if the base model is not there or another one, or the adapter does not fit it.
    """
    from peft import PeftModel

    path = base_of(record, base)
    tokenizer = load_tokenizer(path)
    if record.pad_token_id is not None and tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(record.pad_token_id)
    if record.chat_template is not None:
        tokenizer.chat_template = record.chat_template
    try:
        with silent_transformers(), warnings.catch_warnings():
            network = _plain_model(path, record)
            # A tensor that PEFT does not find would be merged as zeros.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            merged = PeftModel.from_pretrained(network, str(source)).merge_and_unload()
            merged.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except (ValueError, RuntimeError, KeyError, UserWarning) as error:
        raise unusable(f"{source} on {path}", error) from None


def _plain_model(path: str, record: FolderRecord) -> PreTrainedModel:
    import transformers

    options: dict[str, Any] = {
        "dtype": torch.float32,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    if record.labels:
        options |= {
            "id2label": dict(enumerate(record.labels)),
            "label2id": {label: place for place, label in enumerate(record.labels)},
            "ignore_mismatched_sizes": True,
        }
    if record.pad_token_id is not None:
        options["pad_token_id"] = record.pad_token_id
    auto_class = getattr(transformers, record.auto_class, None)
    if auto_class is None:
        raise ModelError(f"transformers has no {record.auto_class}")
    network: PreTrainedModel = auto_class.from_pretrained(resolve_model(path), **options)
    return network
