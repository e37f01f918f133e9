"""Several PEFT adapters on one base model, in and out of numpy.

The rule kept here: an adapter is a name with a rank, a scaling, two factors a weight and a head of its own;
which one computes is said at every use, and installing or reading one never touches another. Values go in
rounded to float32 and come out as exactly those float32 values.

PEFT keeps the low-rank factors. Heads are plain modules that are exchanged in the base model, because PEFT's
``modules_to_save`` refuses two active adapters and copies the head of whichever came first. ``saving`` writes
both in PEFT's own form.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.core import FrozenPair
from securefl.adapters.layout import Layout
from securefl.adapters.update import Adapter, LoraFactors, Matrix
from securefl.errors import ModelError, TrainingError
from securefl.training.cores import CoreLayer, HeadsLayer
from securefl.training.mixer import Mixer
from securefl.training.target_modules import is_transposed
from securefl.training.tasks.model import BACKBONE, TaskModel

_MAKERS = {"fused": "call fuse first", "fine-tuned": "call fine_tune first"}
"""Remedies for adapters that one call makes."""


@dataclass(frozen=True, slots=True)
class Trainable:
    """The parameters that one round trains, with gradients switched on.

    Attributes:
        factors: By weight name and factor, such as ``encoder.layer.0.attention.self.query.lora_B``.
        head: By tensor name.
    """

    factors: dict[str, nn.Parameter]
    head: dict[str, nn.Parameter]

    def only(self, tensors: frozenset[str]) -> Trainable:
        """The head and the factors of these weights; the gradients of the others are switched off again."""
        kept = {name: value for name, value in self.factors.items() if name.rpartition(".")[0] in tensors}
        for name, value in self.factors.items():
            value.requires_grad_(name in kept)
        return Trainable(kept, self.head)


class AdapterBank:
    """The adapters of one client on its one copy of the base model.

    Args:
        model: The base model; its linear modules are wrapped in place when the first adapter is added.
        layout: The federation's tensors.
        dropout: Dropout before the low-rank factors, in training.

    Attributes:
        model: The base model.
        layout: The federation's tensors.
        fan_in_fan_out: Whether the adapted modules keep their weights transposed, in PEFT's word.
        mixer: Gates that mix two of the adapters; None where none are mixed.
    """

    def __init__(self, model: TaskModel, layout: Layout, *, dropout: float) -> None:
        self.model = model
        self.layout = layout
        self._dropout = dropout
        self._peft: PeftModel | None = None
        modules = [model.get_submodule(f"{BACKBONE}.{tensor.name}") for tensor in layout.adapted]
        self.fan_in_fan_out = all(map(is_transposed, modules))
        self._layers: dict[str, LoraLayer] = {}
        self._heads: dict[str, nn.Module] = {}
        self.mixer: Mixer | None = None

    @property
    def layers(self) -> Mapping[str, LoraLayer]:
        """PEFT's layers by weight name, once an adapter has been added."""
        return self._layers

    def add(self, name: str, *, rank: int, alpha: float, use_rslora: bool = False) -> None:
        """Attaches one more adapter, of this rank and with scaling alpha / rank.

        Args:
            name: Its name.
            rank: r.
            alpha: PEFT's lora_alpha.
            use_rslora: Divide alpha by the root of the rank instead.
        """
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,  # type: ignore[arg-type] # PEFT divides it by r; that it be whole is only a habit
            lora_dropout=self._dropout,
            use_rslora=use_rslora,
            target_modules=[f"{BACKBONE}.{tensor.name}" for tensor in self.layout.adapted],
            fan_in_fan_out=self.fan_in_fan_out,
        )
        # PEFT warns where a model keeps some weights one way and some the other; it wraps each rightly.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="fan_in_fan_out")
            peft = self._attached(name, config)
        self._heads[name] = self.model.new_head().to(self.device)
        peft.to(self.device)
        self.use((name,), head=name)

    def copy(self, name: str, other: str) -> None:
        """Writes an adapter's values into another one of the same rank and scaling, which is added where missing."""
        if other not in self.names:
            rank = self.rank(name)
            self.add(other, rank=rank, alpha=self.scaling(name) * rank)
        self.install(other, self.adapter(name))

    def _attached(self, name: str, config: LoraConfig) -> PeftModel:
        if self._peft is None:
            self._peft = get_peft_model(self.model, config, adapter_name=name)
            self._layers = _lora_layers(self.model, self.layout)
        else:
            self._peft.add_adapter(name, config)
        return self._peft

    @property
    def names(self) -> frozenset[str]:
        """The adapters there are."""
        return frozenset(self._heads)

    def require(self, name: str) -> None:
        """Refuses the name of an adapter that is not there.

        Raises:
            TrainingError: if there is no such adapter, with what makes it.
        """
        if name not in self.names:
            hint = _MAKERS.get(name, 'set recipe.personal = "alone"')
            raise TrainingError(f"there is no {name} adapter", hint=hint)

    @property
    def device(self) -> torch.device:
        """Device of the base model."""
        return next(self.model.parameters()).device

    def rank(self, name: str) -> int:
        """An adapter's rank."""
        return int(next(iter(self._layers.values())).r[name])

    def scaling(self, name: str) -> float:
        """An adapter's scaling: its alpha / rank, or alpha / sqrt(rank)."""
        return float(next(iter(self._layers.values())).scaling[name])

    def configured(self, name: str) -> LoraConfig:
        """The choices with which an adapter was attached, in PEFT's words."""
        assert self._peft is not None
        config = self._peft.peft_config[name]
        assert isinstance(config, LoraConfig)
        return config

    def use(self, names: Sequence[str], *, head: str) -> TaskModel:
        """The model with these adapters added to its weights, and one adapter's head; every parameter frozen."""
        for layer in self._layers.values():
            layer.set_adapter(list(names), inference_mode=True)
        self.model.use_head(self._heads[head])
        self.model.requires_grad_(False)
        self.model.eval()
        return self.model

    def train(self, name: str, side: Side | None) -> Trainable:
        """Switches on the gradients of one adapter in use, and of its head.

        Args:
            name: The adapter.
            side: The factor to train; None for both.
        """
        sides = (Side.LEFT, Side.RIGHT) if side is None else (side,)
        return self._switched_on(
            name,
            {
                f"{tensor}.{'lora_B' if side is Side.LEFT else 'lora_A'}": _factor(layer, name, side)
                for tensor, layer in self._layers.items()
                for side in sides
            },
        )

    def right_factors(self, name: str) -> dict[str, nn.Parameter]:
        """A (r, n) of every weight of an adapter, by weight name, as they are at any time."""
        return {tensor: _factor(layer, name, Side.RIGHT) for tensor, layer in self._layers.items()}

    def train_cores(self, name: str) -> Trainable:
        """Switches on the gradients of an adapter's cores, and of its head; see ``install_core``."""
        return self._switched_on(
            name,
            {
                f"{tensor}.{key}": value
                for tensor, layer in self._layers.items()
                for key, value in _core(layer, name).named_parameters()
            },
        )

    def _switched_on(self, name: str, factors: dict[str, nn.Parameter]) -> Trainable:
        head = {f"{self.model.head_name}.{key}": value for key, value in self._heads[name].named_parameters()}
        for parameter in (*factors.values(), *head.values()):
            parameter.requires_grad_(True)
        for layer in self._layers.values():
            # The encoder's own dropout stays off: it costs a fifth of the speed and gained nothing.
            layer.lora_dropout.train()
        return Trainable(factors, head)

    def install(self, name: str, adapter: Adapter) -> None:
        """Writes an adapter's values, rounded to float32.

        Raises:
            ModelError: if its tensors or shapes are not those of the layout at this adapter's rank.
        """
        if set(adapter.weights) != set(self._layers):
            raise ModelError("an adapter of other weights than the layout's cannot be installed")
        for tensor, layer in self._layers.items():
            _write(_factor(layer, name, Side.RIGHT), adapter.weights[tensor].A, f"{tensor} A")
            _write(_factor(layer, name, Side.LEFT), adapter.weights[tensor].B, f"{tensor} B")
        self.install_head(name, adapter)

    def install_head(self, name: str, adapter: Adapter) -> None:
        """Writes the values of an adapter's head alone.

        Raises:
            ModelError: if a shape is not the layout's.
        """
        head = self._heads[name]
        for tensor in self.layout.heads:
            values = adapter.heads[tensor.name]
            parameter = head.get_parameter(tensor.name.removeprefix(f"{self.model.head_name}."))
            _write(parameter, values.reshape(tuple(parameter.shape)), tensor.name)

    def install_side(self, name: str, tensor: str, side: Side, values: Matrix) -> None:
        """Writes one factor of one weight.

        Raises:
            ModelError: if the shape is not that of this adapter's rank.
        """
        _write(_factor(self._layers[tensor], name, side), values, tensor)

    def install_core(self, name: str, tensor: str, pair: FrozenPair, start: Matrix) -> None:
        """Puts cores that change nothing between frozen factors in the place of one weight's adapter.

        Args:
            name: The adapter.
            tensor: The weight.
            pair: The frozen factors.
            start: What several heads begin from, (h r, r), one core below the other; a single core begins from zeros.

        Raises:
            ModelError: if the factors are not of this adapter's rank.
        """
        layer = self._layers[tensor]
        _write(_factor(layer, name, Side.RIGHT), pair.right, tensor)
        layer.lora_B[name] = (
            CoreLayer(pair.left, device=self.device)
            if pair.heads == 1
            else HeadsLayer(pair.left, start, scaling=self.scaling(name), device=self.device)
        )

    def core(self, name: str, tensor: str) -> Matrix:
        """The change of one weight's cores (h r, r): float32 numbers times the gain, as float64."""
        return _core(self._layers[tensor], name).change()

    def adapter(self, name: str) -> Adapter:
        """An adapter's values: its float32 numbers, exactly, as float64."""
        return Adapter(
            weights={
                tensor: LoraFactors(
                    A=_read(_factor(layer, name, Side.RIGHT)), B=_read(_factor(layer, name, Side.LEFT))
                )
                for tensor, layer in self._layers.items()
            },
            heads=self.heads(name),
        )

    def heads(self, name: str) -> dict[str, Matrix]:
        """The values of an adapter's head, in the layout's shapes."""
        head = self._heads[name]
        return {
            tensor.name: _read(
                head.get_parameter(tensor.name.removeprefix(f"{self.model.head_name}."))
            ).reshape(tensor.rows, tensor.columns)
            for tensor in self.layout.heads
        }


def _lora_layers(model: nn.Module, layout: Layout) -> dict[str, LoraLayer]:
    """PEFT's layers by weight name.

    Raises:
        ModelError: if PEFT left out a module. In models with experts it takes some names, also of modules beside the
            experts, for those of the experts' own weights, and adapts these instead.
    """
    found = {tensor.name: model.get_submodule(f"{BACKBONE}.{tensor.name}") for tensor in layout.adapted}
    layers: dict[str, LoraLayer] = {
        name: layer for name, layer in found.items() if isinstance(layer, LoraLayer)
    }
    lost = _last_names(set(found) - set(layers))
    if lost:
        others = _last_names(layers) - lost
        raise ModelError(
            f"PEFT does not adapt the modules {_quoted(lost)} of this model with experts, and takes their names for "
            "those of the experts' weights",
            where="lora.target_modules",
            hint=f"write target_modules = [{_quoted(others)}]" if others else "take other modules",
        )
    return layers


def _last_names(paths: Iterable[str]) -> set[str]:
    return {path.rpartition(".")[2] for path in paths}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))


def _factor(layer: LoraLayer, name: str, side: Side) -> nn.Parameter:
    linear = (layer.lora_B if side is Side.LEFT else layer.lora_A)[name]
    return linear.get_parameter("weight")


def _core(layer: LoraLayer, name: str) -> CoreLayer | HeadsLayer:
    core = layer.lora_B[name]
    assert isinstance(core, CoreLayer | HeadsLayer)
    return core


def _write(parameter: Tensor, values: Matrix, what: str) -> None:
    if tuple(parameter.shape) != values.shape:
        raise ModelError(
            f"values of shape {values.shape} cannot be installed where {tuple(parameter.shape)} belong",
            where=what,
        )
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))


def _read(parameter: Tensor) -> Matrix:
    values: Matrix = parameter.detach().cpu().numpy().astype(np.float64)
    return values
