"""The adapter that all clients share over all rounds: which of its weights are trained, and what moves beside it.

A round's update is trained in the payload's way; a private adapter that computes beside it moves in a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from securefl.adapters.frozen import Frozen
from securefl.adapters.update import Adapter, Update
from securefl.training.adapter_bank import Trainable
from securefl.training.dp_sgd.private_rounds import PrivateRounds
from securefl.training.penalties import penalty_of
from securefl.training.personal import PERSONAL, PersonalTraining
from securefl.training.private_step import PrivateStep
from securefl.training.rank_pruning import directions_left
from securefl.training.round_loop import RoundLoop
from securefl.training.tasks.head import TaskHead
from securefl.training.updates.way import Learnt, Way


class SharedTraining:
    """One client's rounds of the shared adapter.

    Args:
        loop: The client's loop.
        way: The payload's way of training an update.
        head: The client's head.
        personal: The personal adapter, which moves beside the shared one or follows it, as the recipe says.
        private: Rounds under differential privacy of single rows; None without it.
    """

    def __init__(
        self,
        loop: RoundLoop,
        *,
        way: Way,
        head: TaskHead,
        personal: PersonalTraining,
        private: PrivateRounds | None = None,
    ) -> None:
        self._loop = loop
        self._bank = loop.bank
        self._recipe = loop.settings.recipe
        self._way = way
        self._head = head
        self._personal = personal
        self._private = private
        self._trained: frozenset[str] | None = None
        self._kept: int | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """Adapters that compute in a round of the shared one, which is the last of them."""
        own = (PERSONAL,) if self._recipe.joins else ()
        return (*own, *self._way.used)

    def only(self, tensors: frozenset[str]) -> None:
        """Names the weights whose adapters the next round trains; all act in the forward pass."""
        self._trained = tensors

    def keep_first(self, directions: int) -> None:
        """Names the number of directions that the next round trains; the others are zeros, and stay zeros."""
        self._kept = directions

    def directions_left(self, start: Adapter, update: Update) -> int | None:
        """Directions that the client keeps after a round; None where it was never told how many to train."""
        if self._kept is None:
            return None
        scaling = self._bank.scaling("global")
        return directions_left(start, update, scaling=scaling, trained=self._kept)

    def limited(self, switched_on: Callable[[], Trainable]) -> Trainable:
        """Switches on what is trained, of the layers that the round trains."""
        trainable = switched_on()
        return trainable if self._trained is None else trainable.only(self._trained)

    def train(self, round_number: int, start: Adapter, frozen: Frozen | None) -> Learnt:
        """Trains from a round's start, which is installed already, in the payload's way.

        Args:
            round_number: Its number, from 1.
            start: The redistributed global adapter at this client's rank.
            frozen: What the round trains against; None where the payload has none.

        Raises:
            TrainingError: if a value is not finite, a factor cannot move, or the frozen factors and the payload do
                not fit.
        """
        whole = self._fit_of(round_number)

        def fit(switched_on: Callable[[], Trainable]) -> float:
            return whole(partial(self.limited, switched_on))

        with self._head.adjusted(self._bank.model):
            learnt = self._way.learn(self._bank, start, frozen, fit=fit)
        if self._recipe.syncs(round_number):
            self._personal.follow(self._bank.adapter("global"), round_number)
        return learnt

    def _fit_of(self, round_number: int) -> Callable[[Callable[[], Trainable]], float]:
        rates = self._loop.rates.scaled(both=self._head.step_factor, head=self._head.rate_factor)
        if self._private is not None:
            return partial(self._private.fit, round_number, used=self.used, rates=rates)
        return partial(
            self._loop.fit,
            round_number,
            used=self.used,
            rates=rates,
            private=self._private_step(),
            penalty=partial(penalty_of, section=self._loop.section, kept=self._kept),
        )

    def _private_step(self) -> PrivateStep | None:
        """The step of a private adapter before each of the shared one, where the recipe has it."""
        if not self._recipe.joins:
            return None
        trainable = self.limited(partial(self._bank.train, PERSONAL, None))
        return PrivateStep(
            self._bank.model,
            trainable.factors,
            rates=self._personal.rates,
            max_grad_norm=self._loop.section.max_grad_norm,
            compute=self._loop.compute,
            # The first adapter in use is the shared one itself, the last one its step where there is one.
            penalty=self._loop.orthogonal_to(self._way.used[0], trainable),
        )
