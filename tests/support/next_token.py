"""A task without a head whose loss is a mean over tokens: the next one of each, by the model's own embeddings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from securefl.adapters.layout import Layout
from securefl.training.loops import evaluate
from securefl.training.pretrained import load_backbone
from securefl.training.rows.tokens import IGNORED, tokenise
from securefl.training.target_modules import adapted_tensors, resolved_targets
from securefl.training.tasks.base import Metric
from securefl.training.tasks.head import WholeHead
from securefl.training.tasks.model import TaskModel


class NextToken(TaskModel):
    """Predicts every next token by the model's own embeddings."""

    def _losses(self, batch):
        hidden = self.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        logits = hidden.last_hidden_state.float() @ self.backbone.get_input_embeddings().weight.T
        return nn.functional.cross_entropy(logits.transpose(1, 2), batch.targets, reduction="none")

    def loss(self, batch):
        return self._losses(batch).sum() / (batch.targets != IGNORED).sum()

    def outcomes(self, batch):
        return torch.stack([self._losses(batch).sum(1), (batch.targets != IGNORED).sum(1).float()], dim=1)

    def outcomes_width(self):
        return 2


class LanguageTask:
    name = "next-token"

    def check(self, skeleton):
        """Every backbone will do."""

    def layout(self, skeleton, target_modules):
        names = resolved_targets(skeleton.backbone, target_modules, unused=skeleton.unused)
        return Layout(tuple(adapted_tensors(skeleton.backbone, names)))

    def hollow(self, skeleton):
        return NextToken(skeleton.backbone)

    def model(self, skeleton, path, *, attention):
        return NextToken(load_backbone(path, skeleton, attention=attention))

    def tokenise(self, examples, tokenizer, *, max_length):
        rows = tokenise(examples, tokenizer, max_length=max_length)
        return replace(rows, targets=tuple(np.append(ids[1:], IGNORED) for ids in rows.ids))

    def head(self, context):
        return WholeHead()

    def metric(self, outcomes, rows):
        losses, tokens = outcomes.T
        mean = float(losses.sum() / tokens.sum())
        return Metric(
            name="perplexity",
            value=math.exp(mean),
            loss=mean,
            samples=len(rows),
            scores=-losses / tokens,
            smaller_is_better=True,
        )

    def baseline(self, model, train, test, *, section, compute, rng, step_done):
        return evaluate(model, test, self.metric, batch_size=8, compute=compute, step_done=step_done)

    def description(self):
        return {}
