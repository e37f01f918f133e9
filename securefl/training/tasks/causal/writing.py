"""Answers that a model writes: at every place the likeliest next token, until one ends the text.

The rule kept here: an answer depends on its prompt alone. Rows of a batch are filled on the left, where the mask hides
it, and a prompt that leaves too few positions for the longest answer is written by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from securefl.errors import DataError
from securefl.training.rows.tokens import IGNORED, Batch
from securefl.training.silence import silent_transformers
from securefl.training.tasks.causal.rouge import rouge_l

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Writer:
    """A model's writing.

    Attributes:
        tokenizer: The model's.
        ends: Tokens that end a text.
        filling: The token that fills rows.
        positions: Tokens that the model has positions for; None where nothing limits them.
        max_new_tokens: Longest answer.
    """

    tokenizer: PreTrainedTokenizerBase
    ends: tuple[int, ...]
    filling: int
    positions: int | None
    max_new_tokens: int

    def answers(self, network: PreTrainedModel, prompts: Sequence[Tensor]) -> list[str]:
        """The answers to prompts, in their order, without special tokens and spaces around them.

        Args:
            network: The model as it is in use.
            prompts: (tokens,) int64 each, on the model's device.

        Raises:
            DataError: if a prompt leaves no position for an answer.
        """
        written: dict[int, str] = {}
        together = [place for place, ids in enumerate(prompts) if self._room(ids) >= self.max_new_tokens]
        groups = [together, *([place] for place in range(len(prompts)) if place not in set(together))]
        for group in filter(None, groups):
            texts = self._written(network, [prompts[place] for place in group])
            written |= dict(zip(group, texts, strict=True))
        return [written[place] for place in range(len(prompts))]

    def judged(self, network: PreTrainedModel, batch: Batch) -> Tensor:
        """Figures (rows, 2) of the last answer of each row: 1 where it is written as it stands, and its ROUGE-L."""
        prompts, references = zip(
            *(_last_answer(batch, row) for row in range(len(batch.targets))), strict=True
        )
        texts = self.answers(network, prompts)
        wanted = [self._text(reference) for reference in references]
        figures = [
            (float(text == reference), rouge_l(text, reference))
            for text, reference in zip(texts, wanted, strict=True)
        ]
        return torch.tensor(figures, device=batch.targets.device)

    def _room(self, prompt: Tensor) -> int:
        return self.max_new_tokens if self.positions is None else self.positions - len(prompt)

    def _written(self, network: PreTrainedModel, prompts: Sequence[Tensor]) -> list[str]:
        from transformers import GenerationConfig

        room = min(self.max_new_tokens, *(self._room(prompt) for prompt in prompts))
        if room < 1:
            raise DataError(
                f"a prompt has {len(prompts[0])} tokens, which leaves the model no position for an answer",
                hint="shorten it",
            )
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.filling, device=prompts[0].device)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = prompt
            mask[row, width - len(prompt) :] = 1
        greedy = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=list(self.ends),
            pad_token_id=self.filling,
            use_cache=_keeps_a_cache(network),
        )
        with silent_transformers(), torch.inference_mode():
            write: Callable[..., Tensor] = network.generate  # type: ignore[assignment]
            whole = write(input_ids=ids, attention_mask=mask, generation_config=greedy)
        return [self._text(self._ended(row[width:])) for row in whole]

    def _ended(self, ids: Tensor) -> Tensor:
        """Tokens before the first that ends a text: those after it fill the row."""
        ends = torch.isin(ids, torch.tensor(self.ends, device=ids.device)).nonzero()
        return ids[: int(ends[0])] if len(ends) else ids

    def _text(self, ids: Tensor) -> str:
        text = self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
        assert isinstance(text, str)
        return text.strip()


def _keeps_a_cache(network: PreTrainedModel) -> bool:
    """False of a model with linear attention alone: transformers cannot tell how long its cache is."""
    kinds = getattr(network.config.get_text_config(), "layer_types", None)
    return not kinds or any(kind != "linear_attention" for kind in kinds)


def _last_answer(batch: Batch, row: int) -> tuple[Tensor, Tensor]:
    """The tokens before a row's last answer, and the answer's."""
    targets = batch.targets[row]
    learnt = (targets != IGNORED).nonzero()[:, 0]
    last = int(learnt[-1])
    others = (targets[:last] == IGNORED).nonzero()[:, 0]
    first = int(others[-1]) + 1 if len(others) else 0
    return batch.input_ids[row, : first + 1], targets[first : last + 1]
