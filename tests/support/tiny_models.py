"""Random models of a few kilobytes, one of each kind of architecture, with the tiny BERT's words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

POSITIONS = 40
"""Rows of the table of positions, below the tokenizer's own 48."""
KINDS = ("bert", "debertav2", "gpt2", "mpnet", "qwen3", "roberta", "xlnet")
WITHOUT_PAD_TOKEN = ("gpt2", "qwen3")


def save_tiny_model(kind: str, folder: Path, *, tokenizer_of: str) -> None:
    """Write a random two-layer model, 32 wide, with the tokenizer of another folder."""
    import torch
    from transformers import AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(_config(kind)).save_pretrained(folder)
    shutil.copy(Path(tokenizer_of) / "tokenizer.json", folder)
    settings = json.loads((Path(tokenizer_of) / "tokenizer_config.json").read_text())
    if kind in WITHOUT_PAD_TOKEN:
        del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _config(kind: str):
    import transformers

    encoder = {
        "vocab_size": 36,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": POSITIONS,
        # Wider than the usual 0.02, so that the random features tell words apart.
        "initializer_range": 0.15,
    }
    match kind:
        case "bert":
            return transformers.BertConfig(**encoder)
        case "debertav2":
            return transformers.DebertaV2Config(
                **encoder, relative_attention=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0
            )
        case "gpt2":
            return transformers.GPT2Config(
                vocab_size=36, n_embd=32, n_layer=2, n_head=4, n_positions=POSITIONS, initializer_range=0.15
            )
        case "mpnet":
            return transformers.MPNetConfig(**encoder)
        case "qwen3":
            return transformers.Qwen3Config(**encoder, num_key_value_heads=2, head_dim=8, eos_token_id=None)
        case "roberta":
            return transformers.RobertaConfig(**encoder, pad_token_id=1)
        case "xlnet":
            return transformers.XLNetConfig(vocab_size=36, d_model=32, n_layer=2, n_head=4, d_inner=48)
    raise AssertionError(kind)
