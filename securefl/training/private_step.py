"""A private adapter that moves in the steps of the shared one, beside it (PF2LoRA, arXiv 2503.03920).

With x what a round shares and y the private adapter, of the loss f(x, y) of one batch at rates a and b:

    y <- y - a df/dy (x, y)          plain gradient descent, here
    x <- AdamW step at rate b along df/dx (x, y), at the new y

Each gradient that is longer than ``[training] max_grad_norm`` is first scaled down to it: df/dy by its own norm here,
df/dx by its own in ``optimiser``. Without that limit, three times the recipe's rate of y took a sum from useful to an
accuracy of 0.07.

The rule kept here: this step moves nothing but the private factors, and leaves no gradient behind; so what a round
sends is the change of x alone, and y stays with the client.

The paper's x follows a hyper-gradient, which also asks how the best y moves with x. Its form could not be verified, so
x follows the plain gradient: the method of first order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from securefl.training.devices import Compute
from securefl.training.liveness import check_gradient, check_loss, check_values
from securefl.training.loops import shares_of
from securefl.training.penalties import Penalty
from securefl.training.rows.tokens import Batch
from securefl.training.schedule import Rates
from securefl.training.tasks.model import TaskModel


class PrivateStep:
    """A step of gradient descent on a private adapter, before every step of what is shared.

    Args:
        model: With the private adapter and the shared one in use.
        factors: The private adapter's, by name.
        rates: Its learning rate before any schedule; the head's is not used.
        max_grad_norm: Longest gradient over all of the factors together; a longer one is scaled down to it. 0 leaves
            every gradient as it is.
        compute: Device and precision.
        penalty: What is added to the loss of these factors; None for nothing.
    """

    def __init__(
        self,
        model: TaskModel,
        factors: Mapping[str, nn.Parameter],
        *,
        rates: Rates,
        max_grad_norm: float,
        compute: Compute,
        penalty: Penalty | None = None,
    ) -> None:
        self._model = model
        self._factors = factors
        self._rates = rates
        self._max_grad_norm = max_grad_norm
        self._compute = compute
        self._penalty = penalty
        self._steps = 0

    def __call__(self, parts: Sequence[Batch], share: float) -> Rates:
        """Move the private factors once, and give the rates that moved them.

        The batch's loss was finite before; if it is not for the shared step that follows, this step is to blame.

        Args:
            parts: The batch of the shared step which follows, in its parts.
            share: What the learning rate is multiplied by in this step.

        Raises:
            TrainingError: if the loss or its gradient is not finite.
        """
        self._steps += 1
        parameters = list(self._factors.values())
        gradients = self._gradients(parts, parameters)
        norm = torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients])).item()
        check_gradient(norm, rates=self._rates, what="personal", step=self._steps)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=self._rates.factors * share * self._kept_of(norm))
        return self._rates

    def end(self) -> None:
        """Judge what the round's steps have made.

        Raises:
            TrainingError: if a value is not finite.
        """
        check_values(self._factors, rates=self._rates, what="personal")

    def _kept_of(self, norm: float) -> float:
        """The part of a gradient of this norm that the limit leaves."""
        return min(1.0, self._max_grad_norm / norm) if self._max_grad_norm > 0 and norm > 0 else 1.0

    def _gradients(self, parts: Sequence[Batch], parameters: list[nn.Parameter]) -> list[Tensor]:
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            total = [torch.zeros_like(parameter) for parameter in parameters]
            for part, share in shares_of(self._model, parts):
                for sum_, gradient in zip(total, self._of_part(part, parameters), strict=True):
                    sum_.add_(gradient, alpha=share)
            return self._with_penalty(total, parameters)
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)

    def _with_penalty(self, gradients: list[Tensor], parameters: list[nn.Parameter]) -> list[Tensor]:
        if self._penalty is None:
            return gradients
        added = torch.autograd.grad(self._penalty(), parameters, allow_unused=True, materialize_grads=True)
        return [gradient + more for gradient, more in zip(gradients, added, strict=True)]

    def _of_part(self, part: Batch, parameters: list[nn.Parameter]) -> tuple[Tensor, ...]:
        with self._compute.casting(enabled=True):
            loss = self._model.loss(part)
        check_loss(loss.item(), None, rates=self._rates, what="personal", step=self._steps)
        # A module that the loss does not reach is refused with the shared adapter's, which is on the same modules.
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
