"""A random BERT of a few kilobytes, and a little task that it can learn, for tests that need real torch."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = [*"abcdefghijklmnopqrstuvwxyz", "red", "blue", "green", "one", "two", "three"]
COLOURS = ("red", "blue", "green")


def save_tiny_bert(folder: Path, *, width: int = 32, layers: int = 2) -> None:
    """Write a random BERT, of two layers and 32 wide, as transformers saves it: weights, configuration, tokenizer."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=48,
            # Wider than the usual 0.02, so that the random features tell words apart.
            initializer_range=0.15,
        )
    ).save_pretrained(folder)
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=48,
    ).save_pretrained(folder)


def write_rows(path: Path, *, rows: int = 480) -> None:
    """Rows of jsonl: which of three colours stands in the text, among letters; a site for every row."""
    lines = []
    for number in range(rows):
        letters = [WORDS[(number * step + step) % 26] for step in range(1, 3 + number % 7)]
        colour = COLOURS[number * 7 % 3]
        letters.insert(number % len(letters), colour)
        row = {"text": " ".join(letters), "label": colour, "site": f"site-{number % 5}", "side": number % 2}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n")
