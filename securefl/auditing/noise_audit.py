"""Audit of what was charged, against what the federation's file makes members run, and of that against the promise.

The rule kept here: a ledger claims nothing that the file does not make. Where clients are protected, the event of a
round is exactly the file's. Where rows are, it depends on the number of a member's rows, which nobody else knows; but
samples and steps of one training follow from one number of rows, so that a smaller sample, or fewer steps, do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from securefl.config.privacy import ExamplePrivacySection
from securefl.ledger.budget_state import Charge
from securefl.privacy.events import SampledGaussian, parse_event
from securefl.protocol.client_noise import round_event
from securefl.protocol.federation import Federation
from securefl.protocol.privacy_promise import broken_promises
from securefl.protocol.terms import TrainingTerms
from securefl.training.schedule import steps_of_a_round


def broken_promise(federation: Federation) -> Iterator[str]:
    """The first thing that keeps a federation's rounds from keeping its promise; nothing where they keep it.

    Among them are shares that are sized for more honest survivors than the roster is sure of, and sums without noise.
    """
    for broken in broken_promises(federation):
        yield f"the federation's rounds do not keep {broken}"


def other_releases(charges: Sequence[Charge], federation: Federation) -> Iterator[str]:
    """Charges of a client for something else than what members release in the round."""
    privacy = federation.terms.privacy
    if isinstance(privacy, ExamplePrivacySection):
        yield from _other_trainings(charges, privacy, federation.terms.training)
        return
    for charge in charges:
        if not 1 <= charge.round_number <= federation.terms.federation.rounds:
            continue
        event = round_event(federation, charge.round_number)
        if event is not None and charge.release != event.text:
            yield (
                f"its budget was charged for another release in round {charge.round_number} than the federation's "
                "noise makes"
            )


def _other_trainings(
    charges: Sequence[Charge], privacy: ExamplePrivacySection, training: TrainingTerms
) -> Iterator[str]:
    """Charges for samples and steps that no number of rows makes; those of another kind are named elsewhere."""
    for charge in charges:
        try:
            event = parse_event(charge.release)
        except ValueError:
            continue
        if isinstance(event, SampledGaussian) and not any(
            _is_of(rows, event, privacy, training) for rows in _rows_of(event, privacy, training)
        ):
            yield (
                f"its budget was charged for {event.steps} steps on samples of {event.sampling_probability:.3g} in "
                f"round {charge.round_number}, which a batch of {training.per_device_train_batch_size} and "
                f"{training.num_train_epochs:g} epochs make of no number of rows"
            )


def _rows_of(
    event: SampledGaussian, privacy: ExamplePrivacySection, training: TrainingTerms
) -> Iterable[int]:
    """Numbers of rows that may have such samples: one, or where everything is drawn, up to a batch for each person."""
    most = training.per_device_train_batch_size * (privacy.max_per_group or 1)
    if event.sampling_probability == 1:
        return range(1, most + 1)
    return (round(most / event.sampling_probability),)


def _is_of(
    rows: int, event: SampledGaussian, privacy: ExamplePrivacySection, training: TrainingTerms
) -> bool:
    """True where a training of so many rows is charged with these samples and steps."""
    size = training.per_device_train_batch_size
    drawn = min(1.0, min(1.0, size / rows) * (privacy.max_per_group or 1))
    steps = steps_of_a_round(rows, epochs=training.num_train_epochs, batch_size=size)
    return (drawn, steps) == (event.sampling_probability, event.steps)
