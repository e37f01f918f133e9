"""Labels that a saved model gives to texts, with their probabilities, or answers that it writes to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.training.folders.reader import SavedModel


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row's most likely label.

    Attributes:
        texts: What was asked, one text or a pair.
        label: The most likely label.
        probabilities: Of every label, in the head's order; they add up to 1.
    """

    texts: tuple[str, ...]
    label: str
    probabilities: Mapping[str, float]

    @property
    def probability(self) -> float:
        """Of the most likely label."""
        return self.probabilities[self.label]

    def to_json(self) -> dict[str, object]:
        """As a result's entry; a single text stands alone."""
        return {
            "text": self.texts[0] if len(self.texts) == 1 else list(self.texts),
            "label": self.label,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
        }


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """A prompt's answer.

    Attributes:
        text: The prompt.
        answer: What the model writes.
    """

    text: str
    answer: str

    def to_json(self) -> dict[str, object]:
        """As a result's entry."""
        return {"text": self.text, "answer": self.answer}


def written_answers(
    saved: SavedModel, texts: Sequence[tuple[str, ...]], *, batch_size: int
) -> tuple[WrittenAnswer, ...]:
    """The answers of a language model to the first text of each row, in the rows' order."""
    questions = [row[0] for row in texts]
    answers = saved.answers(questions, batch_size=batch_size)
    return tuple(WrittenAnswer(*pair) for pair in zip(questions, answers, strict=True))


def predictions(
    saved: SavedModel, texts: Sequence[tuple[str, ...]], *, batch_size: int
) -> tuple[Prediction, ...]:
    """The predictions of a model with labels, in the texts' order."""
    labels = saved.record.labels
    shares = probabilities(saved.outcomes(texts, batch_size=batch_size))
    return tuple(
        Prediction(row, labels[int(share.argmax())], dict(zip(labels, share.tolist(), strict=True)))
        for row, share in zip(texts, shares, strict=True)
    )


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of every row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
