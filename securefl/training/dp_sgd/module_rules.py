"""From a module's inputs and output gradients to the gradients of single rows for its parameters.

The rule kept here: the first axis of inputs and outputs is the rows, and a row's outputs depend on its own inputs
alone; ``rehearsal`` tries both on the member's model. Where a module is called several times, a row's gradient is the
sum over the calls.

Linear modules and this project's cores have rules of their own. For every other kind the rule is Opacus's, where
it is installed and has one (norms, embeddings, convolutions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from securefl.errors import TrainingError
from securefl.training.cores import CoreLayer, HeadsLayer
from securefl.training.dp_sgd.row_gradients import OuterProducts, RowGradients, WholeGradients

ByParameter = dict[nn.Parameter, RowGradients]
_Sampler = Callable[[nn.Module, list[Tensor], Tensor], dict[nn.Parameter, Tensor]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module.

    Attributes:
        inputs: (rows, ..., n).
        gradients: (rows, ..., m) of the loss with respect to the outputs.
    """

    inputs: Tensor
    gradients: Tensor


def gradients_of(module: nn.Module, calls: Sequence[Call], *, name: str) -> ByParameter:
    """Gradients of single rows for the parameters of one module, its children's not among them.

    Args:
        module: The module.
        calls: At least one.
        name: The module's name, for an error.

    Raises:
        TrainingError: if there is no rule for this kind of module.
    """
    match module:
        case nn.Linear():
            return _of_linear(module, _joined(calls))
        case CoreLayer():
            return {module.core: _through(_joined(calls), module.bases)}
        case HeadsLayer():
            return _of_heads(module, _joined(calls))
        case _:
            return _of_opacus(module, calls, name=name)


def _joined(calls: Sequence[Call]) -> OuterProducts:
    """Output gradients and inputs of all calls, (rows, tokens, width) each, float32."""
    return OuterProducts(
        left=torch.cat([_flat(call.gradients) for call in calls], dim=1),
        right=torch.cat([_flat(call.inputs) for call in calls], dim=1),
    )


def _flat(values: Tensor) -> Tensor:
    return values.float().reshape(len(values), -1, values.shape[-1])


def _of_linear(module: nn.Linear, products: OuterProducts) -> ByParameter:
    found: ByParameter = {cast("nn.Parameter", module.weight): products}
    if module.bias is not None:
        found[module.bias] = WholeGradients(products.left.sum(dim=1))
    return found


def _through(products: OuterProducts, bases: Tensor) -> OuterProducts:
    """The same products before a frozen factor (m, r) behind the trained one."""
    return OuterProducts(products.left @ bases, products.right)


def _of_heads(module: HeadsLayer, products: OuterProducts) -> ByParameter:
    """Of h cores and their numbers: the change is s_h H_h - G_h, so d/dH_h = s_h D_h and d/ds_h = <D_h, H_h>."""
    heads, rank, _ = module.start.shape
    inner = _through(products, module.bases)
    left, right = (values.reshape(*values.shape[:2], heads, rank) for values in (inner.left, inner.right))
    change = torch.einsum("ithr,ithc->ihrc", left, right)
    return {
        module.cores: WholeGradients(module.scales.detach()[:, None, None] * change),
        module.scales: WholeGradients((change * module.cores.detach()).sum(dim=(2, 3))),
    }


def _of_opacus(module: nn.Module, calls: Sequence[Call], *, name: str) -> ByParameter:
    sampler = _opacus_sampler(module)
    if sampler is None:
        raise TrainingError(
            f"there is no rule for the gradients of single rows of a {type(module).__name__}",
            where=name,
            hint="take other lora.target_modules, or a head of linear modules; some kinds need 'securefl[dp]'",
        )
    sums: dict[nn.Parameter, Tensor] = {}
    for call in calls:
        # Integers, such as an embedding's, stay as they are.
        inputs = call.inputs.float() if call.inputs.is_floating_point() else call.inputs
        for parameter, values in sampler(module, [inputs], call.gradients.float()).items():
            sums[parameter] = values if parameter not in sums else sums[parameter] + values
    return {parameter: WholeGradients(values) for parameter, values in sums.items()}


def _opacus_sampler(module: nn.Module) -> _Sampler | None:
    try:
        from opacus.grad_sample import GradSampleModule
    except ImportError:
        return None
    return cast("_Sampler | None", GradSampleModule.GRAD_SAMPLERS.get(type(module)))
