"""Keys that people know from transformers, PEFT and TRL, each with what says the same here, or why nothing does.

The rule kept here: such a key is refused, never read; only its hint is better than the nearest word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PRECISION: Final = (
    'write precision = "bf16" in [training], and base_precision = "bf16" to hold the base in it too'
)
_LENGTH: Final = "write max_length in [model]"
_WARMUP: Final = "write warmup_rounds in [training]: rates rise over rounds, or parts of one"
_FROZEN: Final = "LoRA's factors and the task's head are trained, and nothing else of the model is"
_ANSWERS: Final = (
    'with [task] name = "causal-lm" the loss counts answers alone: answers = "all" or "last" in [task]'
)
_BASE: Final = 'the base model is held in float32, or with base_precision = "bf16" in [training] in bf16'
_MEASURED: Final = "every round is measured, and told as an event; leave the key out"
_PARTS: Final = (
    "a step has per_device_train_batch_size rows, of which micro_batch_size are computed at a time: write the product "
    "with the steps as the batch size, and the size of one part as micro_batch_size"
)
_PASSES: Final = (
    "write num_train_epochs in [training], passes over a member's rows in a round, such as 0.5; and rounds in "
    "[federation]"
)
ADVICE: Final[Mapping[str, str]] = {
    "gradient_accumulation_steps": _PARTS,
    "bf16": _PRECISION,
    "fp16": _PRECISION,
    "torch_dtype": _PRECISION,
    "dtype": _PRECISION,
    "load_in_4bit": _BASE,
    "load_in_8bit": _BASE,
    "quantization_config": _BASE,
    "max_seq_length": _LENGTH,
    "max_seq_len": _LENGTH,
    "model_max_length": _LENGTH,
    "max_steps": _PASSES,
    "optim": "the shared adapter is trained by AdamW; leave the key out",
    "packing": "rows are not packed, so that none reads another one; leave the key out",
    "warmup_ratio": _WARMUP,
    "warmup_steps": _WARMUP,
    "modules_to_save": _FROZEN,
    "bias": _FROZEN,
    "completion_only_loss": _ANSWERS,
    "assistant_only_loss": _ANSWERS,
    "train_on_inputs": _ANSWERS,
    "dataset_text_field": 'write text = "COLUMN" in [data]',
    "eval_strategy": _MEASURED,
    "save_strategy": _MEASURED,
    "logging_steps": _MEASURED,
}
"""Key to advice: a clause, without a full stop."""
