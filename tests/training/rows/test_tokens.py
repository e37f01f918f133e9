"""Batches hold every row once, hardly any padding, and the same rows each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import ConfigError
from securefl.training.models import load_tokenizer
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import (
    IGNORED,
    Tokenised,
    check_length,
    ordered_batches,
    shuffled_batches,
    tokenise,
)

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=300).map(np.array)
CPU = torch.device("cpu")


@given(lengths=LENGTHS, size=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_every_row_is_in_exactly_one_batch(lengths, size, seed):
    for batches in (
        shuffled_batches(lengths, size, np.random.default_rng(seed)),
        ordered_batches(lengths, size),
    ):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert max(map(len, batches)) <= size


def test_batches_follow_from_the_generator_alone():
    lengths = np.arange(1, 200) % 17 + 1
    deals = [shuffled_batches(lengths, 8, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert all(np.array_equal(one, other) for one, other in zip(deals[0], deals[1], strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(deals[0], deals[2], strict=True))


def padding(lengths, batches) -> int:
    return sum(int(lengths[rows].max()) * len(rows) - int(lengths[rows].sum()) for rows in batches)


def test_length_buckets_leave_a_fraction_of_the_padding_of_plain_shuffling():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 60, size=1000)
    plain = np.array_split(rng.permutation(1000), 32)
    assert padding(lengths, shuffled_batches(lengths, 32, rng)) < 0.25 * padding(lengths, plain)


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return load_tokenizer(tiny_bert)


def examples(*texts) -> Examples:
    return Examples(texts, np.arange(len(texts))[:, None] % 2)


def test_a_batch_is_padded_to_its_own_longest_row_under_a_mask(tokenizer):
    rows = tokenise(examples(("a",), ("a b c",), ("a b c d e f",)), tokenizer, max_length=32)
    batch = rows.batch(np.array([1, 0]), device=CPU)
    assert batch.input_ids.tolist() == [[2, 4, 5, 6, 3], [2, 4, 3, 0, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.targets.tolist() == [[1], [0]]


def test_the_two_texts_of_a_pair_have_different_token_types(tokenizer):
    batch = tokenise(examples(("a", "b")), tokenizer, max_length=32).batch(np.array([0]), device=CPU)
    assert batch.input_ids.tolist() == [[2, 4, 3, 5, 3]]
    if batch.token_type_ids is not None:
        assert batch.token_type_ids.tolist() == [[0, 0, 0, 1, 1]]


def test_long_texts_are_cut(tokenizer):
    rows = tokenise(examples((" ".join("abcdefgh"),)), tokenizer, max_length=5)
    assert rows.lengths.tolist() == [5]


def test_an_empty_text_still_has_a_token(tokenizer):
    bare = load_tokenizer_without_special_tokens(tokenizer)
    rows = tokenise(examples(("",), ("a",)), bare, max_length=5)
    assert rows.lengths.tolist() == [1, 1]


def load_tokenizer_without_special_tokens(tokenizer):
    from transformers import PreTrainedTokenizerFast

    inner = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    from tokenizers.processors import Sequence

    inner.post_processor = Sequence([])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")


@pytest.mark.parametrize(("positions", "limit"), [(40, 40), (512, 48)])
def test_more_tokens_than_the_model_or_its_tokenizer_takes_are_refused(tokenizer, positions, limit):
    with pytest.raises(ConfigError, match=f"more than the model's {limit} tokens"):
        check_length(tokenizer, max_length=64, positions=positions)


@pytest.mark.parametrize(("max_length", "told"), [(64, True), (65, False)])
def test_a_length_that_nobody_wrote_is_said_to_be_the_default(tokenizer, max_length, told):
    with pytest.raises(ConfigError, match="write max_length = 48 or less in") as refused:
        check_length(tokenizer, max_length=max_length, positions=512)
    assert ("without the key it is 64" in str(refused.value)) == told


def test_targets_of_unlike_length_are_padded_with_what_no_loss_counts():
    one, two = np.array([7]), np.array([3, 4])
    rows = Tokenised(ids=(one, two), types=None, targets=(one, two), pad_id=0)
    batch = rows.batch(np.array([1, 0]), device=CPU)
    assert batch.targets.tolist() == [[3, 4], [7, IGNORED]]
    logits = torch.zeros(2, 2, 8)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
    assert loss.item() == pytest.approx(3 * np.log(8))
