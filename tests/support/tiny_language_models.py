"""Random language models of a few kilobytes, one of each family, that read bytes."""

from __future__ import annotations

import json
from pathlib import Path

FAMILIES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "gpt2")
WITHOUT_PAD_TOKEN = ("llama", "gpt2")
VOCABULARY = 264
POSITIONS = 256
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

THINKING = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{% if message.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}"
    "{{ message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""As Qwen3's: thoughts stand before the last answer alone."""

DATED = "{{ strftime_now('%d %b %Y') }}" + CHATML
"""As Llama 3.2's: the day stands before the first message."""


def save_tiny_language_model(
    kind: str, folder: Path, *, template: str | None = None, **changes: object
) -> str:
    """Writes a random two-layer model, 32 wide, with a tokenizer of bytes and, where one is given, a chat template.

    Further keywords replace values of its config.
    """
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = _config(kind)
    for name, value in changes.items():
        setattr(config, name, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer_of_bytes(pad=kind not in WITHOUT_PAD_TOKEN, template=template).save_pretrained(folder)
    return str(folder)


def tokenizer_of_bytes(*, pad: bool = True, template: str | None = None):
    """A tokenizer with a token for each byte, which opens a text with ``<s>`` and does not end it."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<|im_end|>", "<pad>", "<|im_start|>"]
    alphabet = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({token: place for place, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=POSITIONS,
        chat_template=template,
        **({"pad_token": "<pad>"} if pad else {}),
    )


def write_sums(path: Path, *, rows: int = 96) -> None:
    """Rows of jsonl: a prompt with a letter, and as its completion that letter; a kind for every row."""
    lines = [
        {"prompt": f"say {letter}", "completion": letter * 2, "task": f"task-{number % 4}"}
        for number in range(rows)
        for letter in ["abcdef"[number * 5 % 6]]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _config(kind: str):
    import transformers

    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.15,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    match kind:
        case "llama":
            return transformers.LlamaConfig(**common, tie_word_embeddings=False)
        case "qwen2":
            return transformers.Qwen2Config(**common, tie_word_embeddings=True)
        case "qwen3":
            return transformers.Qwen3Config(**common, head_dim=8)
        case "gemma":
            return transformers.GemmaConfig(**common, head_dim=8)
        case "gemma2":
            return transformers.Gemma2Config(**common, head_dim=8)
        case "gemma3_text":
            return transformers.Gemma3TextConfig(**common, head_dim=8)
        case "qwen3_moe":
            return transformers.Qwen3MoeConfig(
                **common,
                head_dim=8,
                num_experts=2,
                num_experts_per_tok=1,
                moe_intermediate_size=24,
                mlp_only_layers=[0],
            )
        case "qwen3_5_text":
            return transformers.Qwen3_5TextConfig(
                **common,
                head_dim=8,
                linear_num_key_heads=2,
                linear_num_value_heads=4,
                linear_key_head_dim=8,
                linear_value_head_dim=8,
            )
        case "xglm":
            names = {
                "hidden_size": "d_model",
                "num_hidden_layers": "num_layers",
                "intermediate_size": "ffn_dim",
            }
            known = {names.get(name, name): value for name, value in common.items()}
            return transformers.XGLMConfig(**known | {"attention_heads": 4})
        case "stablelm":
            return transformers.StableLmConfig(**common)
        case "gpt2":
            return transformers.GPT2Config(
                vocab_size=VOCABULARY,
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=POSITIONS,
                initializer_range=0.15,
                bos_token_id=0,
                eos_token_id=1,
            )
    raise AssertionError(kind)
