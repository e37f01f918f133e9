"""The form of every task's model: a backbone, and a head that the federation shares or does not.

A head is a module that is exchanged with the adapter in use: PEFT's ``modules_to_save`` refuses two active adapters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from securefl.errors import TrainingError
from securefl.training.folders.form import BARE, FolderForm
from securefl.training.rows.tokens import IGNORED, Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BACKBONE = "backbone"


class TaskModel(nn.Module, ABC):
    """A backbone with what a task puts on it.

    Attributes:
        head_name: The module whose tensors are the layout's heads; None where a task shares none.
        config: The backbone's configuration, where PEFT looks for it.
        backbone: The pretrained part.
    """

    base_model_prefix = BACKBONE
    """Place in which transformers' and PEFT's own conversions look for the backbone."""
    head_name: ClassVar[str | None] = None

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.config = backbone.config
        self.backbone = backbone

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, nats."""

    def row_losses(self, batch: Batch) -> Tensor:
        """Loss (rows,) of each row, nats, which depends on that row alone; private training needs it.

        Raises:
            TrainingError: if the task has none.
        """
        raise TrainingError(
            f"a {type(self).__name__} does not tell the loss of each row, which private training needs",
            hint='define row_losses, or write [privacy] unit = "none"',
        )

    def loss_terms(self, batch: Batch) -> int:
        """Give the number of terms that ``loss`` is the mean of: the targets that count.

        A batch that is too large for the memory is trained in parts, whose losses and gradients are added by it.
        A task whose loss is a mean over something else says here over what.
        """
        return int((batch.targets != IGNORED).sum())

    @abstractmethod
    def outcomes(self, batch: Batch) -> Tensor:
        """Give what the task's metric is made of, (rows, k): logits, or a row's summed loss and its tokens."""

    @abstractmethod
    def outcomes_width(self) -> int:
        """Give k, the figures of one row."""

    def reading(self, *, final: bool) -> tuple[Callable[[Batch], Tensor], int]:
        """Give what reads a batch for the metric, and the number of figures of a row.

        Args:
            final: True where rows are measured for a report, False where a choice is made: what takes long and no
                choice goes by may be left out there.
        """
        return self.outcomes, self.outcomes_width()

    @property
    def form(self) -> FolderForm:
        """Form of its adapters' folders: the backbone alone, the head in a file beside."""
        return BARE

    def beside_head(self) -> Mapping[str, Tensor]:
        """Give pretrained tensors that a folder must hold with the head, by their names in the form's class."""
        return {}

    def new_head(self) -> nn.Module:
        """Make a head of the public start; one without parameters where the task shares none."""
        return nn.Identity()

    def use_head(self, head: nn.Module) -> None:
        """Put a head that ``new_head`` made in its place."""
        if self.head_name is not None:
            setattr(self, self.head_name, head)
