"""Figures that a fused adapter must beat to be worth its search, on the same test rows.

The rule kept here: each is chosen on the validation rows alone, and measured on the test rows once; a baseline that
had seen the test rows would look too good, one that was not chosen at all too bad.

``better_of_both``  the global or the personal adapter, whichever the validation rows prefer
``fine_tuned``      the global adapter after one epoch more on the client's own rows, or as it was where the validation
                    rows prefer that
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from securefl.training.tasks.base import Metric
from securefl.training.worth import chosen

BETTER_OF_BOTH: Final = "better_of_both"
FINE_TUNED: Final = "fine_tuned"


class Tuner(Protocol):
    """A trainer that can go on from its global adapter."""

    def fine_tune(self) -> float:
        """Train a copy of the global adapter, ``fine-tuned``, for one epoch; the mean loss, nats."""
        ...

    def measure(
        self, which: Literal["fine-tuned"], *, part: Literal["test", "validation"] = "test"
    ) -> Metric:
        """The copy's metric."""
        ...


def better_of_both(test: Mapping[str, Metric], validation: Mapping[str, Metric]) -> float:
    """The test figure of the adapter that is best on the validation rows; of equals the smaller loss, then the first.

    Args:
        test: Metrics on the test rows of the same adapters, by name.
        validation: Metrics on the validation rows.
    """
    return test[chosen(validation)].value


def fine_tuned(tuner: Tuner, *, test: Metric, validation: Metric) -> float:
    """The test figure after an epoch of fine-tuning, or before it where that is as good on the validation rows.

    Args:
        tuner: The trainer.
        test: The global adapter's metric on the test rows.
        validation: Its metric on the validation rows.

    Raises:
        TrainingError: if a value is not finite, or a factor cannot move.
    """
    tuner.fine_tune()
    after = tuner.measure("fine-tuned", part="validation")
    return tuner.measure("fine-tuned").value if after.merit > validation.merit else test.value
