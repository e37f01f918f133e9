"""Tensors of a saved folder as the values of an adapter.

The rule kept here: every tensor of the folder is either taken or refused; none is passed over in silence, and no
factor of zeros stands in for one that was not found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from securefl.adapters.update import Adapter, LoraFactors, Matrix
from securefl.errors import ModelError, plain_reason
from securefl.training.folders.form import FolderForm
from securefl.training.folders.task_file import ADAPTER_CONFIG, HEAD_FILE, WEIGHTS_FILE

_FACTOR = re.compile(r"base_model\.model\.(?P<name>.+)\.lora_(?P<side>[AB])\.weight")
PEFT_PREFIX = "base_model.model."
"""PEFT's name of the base model in the names of saved tensors."""


class PeftRecord(BaseModel):
    """The part of ``adapter_config.json`` that says how an adapter computes.

    Attributes:
        r: Its rank.
        lora_alpha: Of its scaling.
        use_rslora: True where the scaling is alpha by the root of the rank.
        lora_dropout: For whoever trains on.
        modules_to_save: Modules that are saved whole.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    r: int = Field(ge=1)
    lora_alpha: float
    use_rslora: bool = False
    lora_dropout: float = 0.0
    modules_to_save: tuple[str, ...] | None = None

    @property
    def scaling(self) -> float:
        """The number by which the product of the factors is multiplied."""
        return float(self.lora_alpha / (self.r**0.5 if self.use_rslora else self.r))

    @property
    def plain_alpha(self) -> float:
        """The alpha that gives the same scaling without ``use_rslora``."""
        return self.scaling * self.r if self.use_rslora else self.lora_alpha


@dataclass(frozen=True, slots=True)
class FolderTensors:
    """A folder's numbers.

    Attributes:
        config: How the adapter computes.
        factors: By the names of modules in the form's class.
        others: Tensors of modules that are saved whole, by their names in that class.
        beside: Tensors of ``head.safetensors``.
    """

    config: PeftRecord
    factors: Mapping[str, LoraFactors]
    others: Mapping[str, Matrix]
    beside: Mapping[str, Matrix]

    def adapter(self, form: FolderForm, *, head: str | None) -> Adapter:
        """The adapter with the layout's names.

        Args:
            form: Of the model that it is for.
            head: That model's ``head_name``.

        Raises:
            ModelError: if a factor lies outside the form's backbone, or a tensor of the head is missing.
        """
        strangers = [name for name in self.factors if not name.startswith(form.prefix)]
        if strangers:
            raise ModelError(
                "the folder adapts a module outside the base model",
                where=strangers[0],
                hint="it was not written by this version",
            )
        weights = {name.removeprefix(form.prefix): factors for name, factors in self.factors.items()}
        return Adapter(weights=weights, heads=self.heads(form, head=head))

    def heads(self, form: FolderForm, *, head: str | None) -> dict[str, Matrix]:
        """The head's tensors with the layout's names, a bias as one column.

        Raises:
            ModelError: if one is missing.
        """
        if form.saved_module is None:
            return {f"{head}.{name}": _column(values) for name, values in self.beside.items()}
        missing = [plain for plain in form.head.values() if plain not in self.others]
        if missing:
            raise ModelError("the folder holds no head", where=missing[0])
        return {name: _column(self.others[plain]) for name, plain in form.head.items()}


def read_tensors(folder: Path) -> FolderTensors:
    """Read a folder's adapter.

    Raises:
        ModelError: if one of PEFT's two files is missing or cannot be read, or a factor is alone or of another rank.
    """
    config = read_peft_record(folder)
    loaded = load_tensors(folder / WEIGHTS_FILE)
    sides: dict[str, dict[str, Matrix]] = {}
    others: dict[str, Matrix] = {}
    for name, values in loaded.items():
        found = _FACTOR.fullmatch(name)
        if found is None:
            others[name.removeprefix(PEFT_PREFIX)] = values
        else:
            sides.setdefault(found["name"], {})[found["side"]] = values
    factors = {name: _pair(name, pair, config.r) for name, pair in sides.items()}
    if not factors:
        raise ModelError(f"{folder / WEIGHTS_FILE} holds no LoRA factors")
    beside = load_tensors(folder / HEAD_FILE) if (folder / HEAD_FILE).is_file() else {}
    return FolderTensors(config, factors, others, beside)


def read_peft_record(folder: Path) -> PeftRecord:
    """Read ``adapter_config.json``.

    Raises:
        ModelError: if it is missing or no LoRA adapter's.
    """
    path = folder / ADAPTER_CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return PeftRecord.model_validate(values)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read", hint=plain_reason(error)) from None
    except (ValueError, ValidationError):
        raise ModelError(f"{path} describes no LoRA adapter") from None


def load_tensors(path: Path) -> dict[str, Matrix]:
    """A safetensors file's float tensors as float64, by name.

    Raises:
        ModelError: if it is missing, damaged, or of a type that numpy does not have.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: values.astype(np.float64) for name, values in load(path.read_bytes()).items()}
    except OSError as error:
        raise ModelError(f"{path} cannot be read", hint=plain_reason(error)) from None
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise ModelError(
            f"{path} is no safetensors file of float numbers", hint="it may be cut off"
        ) from None


def _pair(name: str, pair: Mapping[str, Matrix], rank: int) -> LoraFactors:
    if pair.keys() != {"A", "B"}:
        raise ModelError("a weight has one of its two factors only", where=name)
    left, right = pair["B"], pair["A"]
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != rank or right.shape[0] != rank:
        raise ModelError("a weight's factors are not of the rank that the folder states", where=name)
    return LoraFactors(A=right, B=left)


def _column(values: Matrix) -> Matrix:
    return values[:, None] if values.ndim == 1 else values
