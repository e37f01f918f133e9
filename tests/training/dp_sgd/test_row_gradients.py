"""Gradients of single rows: norms and sums against gradients written out, and against Opacus."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from securefl.errors import TrainingError
from securefl.training.cores import CoreLayer, HeadsLayer
from securefl.training.dp_sgd.row_clipping import MARGIN, clipped_sums
from securefl.training.dp_sgd.row_gradients import OuterProducts, WholeGradients
from securefl.training.dp_sgd.taps import Taps


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator())


@pytest.mark.parametrize(
    ("tokens", "outputs", "inputs"), [(1, 5, 7), (2, 40, 50), (30, 4, 6)], ids=["one", "gram", "product"]
)
def test_norms_and_sums_of_outer_products_are_those_of_the_products(tokens, outputs, inputs) -> None:
    products = OuterProducts(normal(3, tokens, outputs), 2 * normal(3, tokens, inputs))
    whole = WholeGradients(torch.einsum("ito,itn->ion", products.left, products.right))
    torch.testing.assert_close(products.squared_norms(), whole.squared_norms(), rtol=1e-4, atol=0)
    weights = torch.tensor([0.5, 0.0, 1.0])
    torch.testing.assert_close(
        products.weighted_sum(weights), whole.weighted_sum(weights), rtol=1e-4, atol=1e-4
    )


def test_tokens_that_cancel_never_make_a_norm_too_small() -> None:
    left, right = normal(1, 1, 400), normal(1, 1, 300)
    products = OuterProducts(
        torch.cat([1e3 * left, -1e3 * left, 1e-3 * left], dim=1), torch.cat([right, right, right], dim=1)
    )
    exact = 1e-6 * float(left.double().square().sum() * right.double().square().sum())
    assert float(products.squared_norms()) >= exact


class Model(nn.Module):
    """A linear module that is called twice, one with a bias, a norm, a core and several cores."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.twice = nn.Linear(6, 6, bias=False)
        self.norm = nn.LayerNorm(6)
        self.down = nn.Linear(6, 4, bias=False)
        self.core = CoreLayer(
            np.linalg.qr(np.random.default_rng(1).normal(size=(5, 4)))[0], device=torch.device("cpu")
        )
        self.heads = HeadsLayer(
            np.linalg.qr(np.random.default_rng(2).normal(size=(5, 4)))[0],
            np.random.default_rng(3).normal(size=(4, 2)),
            scaling=2.0,
            device=torch.device("cpu"),
        )
        self.head = nn.Linear(5, 3)
        with torch.no_grad():
            self.core.core.normal_(generator=generator())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = self.down(self.norm(self.twice(torch.tanh(self.twice(values)))))
        return self.head((self.core(inner) + self.heads(inner)).mean(dim=1))


def losses_of(model: nn.Module, values: torch.Tensor) -> torch.Tensor:
    return model(values).square().sum(dim=1)


def rows() -> torch.Tensor:
    return normal(5, 3, 6)


def test_every_kind_of_module_has_the_gradients_of_torch_for_each_row() -> None:
    pytest.importorskip("opacus")  # for the norm
    model, values = Model(), rows()
    named = dict(model.named_parameters())
    with Taps(model, named) as taps:
        found = taps.gradients(losses_of(model, values))
    assert list(found) == list(named)
    for place in range(len(values)):
        chosen = torch.eye(len(values))[place]
        alone = torch.autograd.grad(losses_of(model, values[place : place + 1]).sum(), list(named.values()))
        for (name, of_rows), expected in zip(found.items(), alone, strict=True):
            torch.testing.assert_close(of_rows.weighted_sum(chosen), expected, rtol=1e-4, atol=1e-5, msg=name)
            torch.testing.assert_close(
                of_rows.squared_norms()[place], expected.square().sum(), rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize("clip", [0.05, 1.0, 1e4])
def test_the_flat_clip_shortens_each_row_to_one_norm_over_all_parameters(clip) -> None:
    model, values = Model(), rows()
    named = {name: value for name, value in model.named_parameters() if not name.startswith("norm")}
    limit, expected = clip * (1 - MARGIN), [torch.zeros_like(value) for value in named.values()]
    for place in range(len(values)):
        alone = torch.autograd.grad(losses_of(model, values[place : place + 1]).sum(), list(named.values()))
        norm = math.sqrt(sum(float(value.square().sum()) for value in alone))
        for total, value in zip(expected, alone, strict=True):
            total += value * min(1.0, limit / norm)
    with Taps(model, named) as taps:
        found = clipped_sums(taps.gradients(losses_of(model, values)), clip=clip, clipping="flat")
    for (name, total), other in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(total, other, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("clipping", ["flat", "per-layer"])
def test_a_row_more_changes_the_sum_by_the_clip_at_most(clipping) -> None:
    model, values = Model(), 50 * rows()
    named = {name: value for name, value in model.named_parameters() if not name.startswith("norm")}

    def sums(count: int) -> torch.Tensor:
        with Taps(model, named) as taps:
            found = clipped_sums(
                taps.gradients(losses_of(model, values[:count])), clip=0.5, clipping=clipping
            )
        return torch.cat([value.flatten() for value in found.values()])

    change = float((sums(5) - sums(4)).norm())
    # Under per-layer some parameter's gradient is shorter than its share of the clip.
    assert (0.49 if clipping == "flat" else 0.3) < change <= 0.5


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_the_sums_are_those_of_opacus() -> None:
    opacus = pytest.importorskip("opacus")
    model, values = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)), rows()[:, 0]
    named = dict(model.named_parameters())
    with Taps(model, named) as taps:
        found = clipped_sums(taps.gradients(losses_of(model, values)), clip=0.7, clipping="flat")
    wrapped = opacus.GradSampleModule(model, loss_reduction="sum")
    optimizer = opacus.optimizers.DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=0.7 * (1 - MARGIN),
        expected_batch_size=None,
        loss_reduction="sum",
    )
    losses_of(wrapped, values).sum().backward()
    optimizer.pre_step()
    for name, parameter in named.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    with pytest.raises(TrainingError, match="not finite"):
        clipped_sums({"w": WholeGradients(torch.tensor([[1.0], [math.nan]]))}, clip=1.0, clipping="flat")


def test_a_row_without_a_gradient_adds_nothing_and_is_no_error() -> None:
    found = clipped_sums({"w": WholeGradients(torch.zeros(2, 3))}, clip=1.0, clipping="flat")
    assert not found["w"].any()


def test_a_weight_that_two_modules_share_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    with pytest.raises(TrainingError, match="two modules share"):
        Taps(model, {"0.weight": model[0].weight})


def test_a_parameter_without_gradients_is_refused() -> None:
    model = nn.Linear(3, 3)
    model.weight.requires_grad_(False)
    with pytest.raises(TrainingError, match="cannot move"):
        Taps(model, {"weight": model.weight})


def test_inputs_whose_first_axis_is_not_the_rows_are_refused() -> None:
    model = nn.Linear(6, 2)
    values = rows().transpose(0, 1)
    with (
        Taps(model, dict(model.named_parameters())) as taps,
        pytest.raises(TrainingError, match="first axis"),
    ):
        taps.gradients(model(values).sum(dim=(0, 2)))


def test_hooks_are_gone_after_the_context() -> None:
    model = nn.Linear(6, 2)
    with Taps(model, dict(model.named_parameters())):
        assert model._forward_hooks
    assert not model._forward_hooks
