"""The characters of answers are known, or the row is refused; their tokens alone are learnt, with the end of each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.tiny_language_models import CHATML, DATED, MARKED, THINKING, tokenizer_of_bytes

from securefl.errors import ConfigError, DataError, ModelError
from securefl.training.rows.tokens import IGNORED
from securefl.training.tasks.causal.answer_tokens import prompt_ids, tokenised_answers
from securefl.training.tasks.causal.prompts import Prompter

TURNS = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": "so é"},
]


def prompter(own=None, **choices):
    return Prompter(tokenizer_of_bytes(template=own), **choices)


def learnt(found, row=0):
    """The tokens that a row's loss counts, as text with the special ones."""
    tokenizer = tokenizer_of_bytes()
    targets = found.targets[row]
    return tokenizer.decode(targets[targets != IGNORED])


def tokens_of(row, tokenizer, *, max_length=200):
    return tokenised_answers([row], tokenizer, max_length=max_length)


def conversation(turns=TURNS):
    return (json.dumps(turns),)


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_every_answer_of_a_conversation_is_learnt_with_its_end_and_nothing_else(template):
    made = prompter(template)
    row = made.row(conversation(), "messages")
    found = tokens_of(row, made.tokenizer)
    assert learnt(found) == "ho<|im_end|>so é<|im_end|>"
    np.testing.assert_array_equal(found.ids[0], made.tokenizer(row.text, add_special_tokens=False).input_ids)


def test_the_last_answer_alone_is_learnt_where_the_task_says_so():
    made = prompter(CHATML, answers="last")
    found = tokens_of(made.row(conversation(), "messages"), made.tokenizer)
    assert learnt(found) == "so é<|im_end|>"


def test_an_earlier_answer_is_learnt_as_it_stands_where_a_template_puts_thoughts_before_the_last_alone():
    made = prompter(THINKING)
    found = tokens_of(made.row(conversation(), "messages"), made.tokenizer)
    assert learnt(found) == "ho<|im_end|><think></think>so é<|im_end|>"


def test_a_template_that_cuts_thoughts_out_of_an_earlier_answer_is_refused_and_can_teach_the_last():
    whole = "message.content if loop.last or message.role != 'assistant' else message.content[1:]"
    cutting = THINKING.replace("message.content +", f"({whole}) +")
    with pytest.raises(DataError, match="does not tell where a conversation's answers stand"):
        prompter(cutting).row(conversation(), "messages")
    made = prompter(cutting, answers="last")
    found = tokens_of(made.row(conversation(), "messages"), made.tokenizer)
    assert learnt(found) == "<think></think>so é<|im_end|>"


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message.role }}{% endfor %}",
        "{{ messages | length }}{% for message in messages %}{{ message.content }}{% endfor %}",
        "{% for message in messages %}{{ message.content[:1] }}{% endfor %}",
    ],
)
def test_a_template_without_the_answers_or_with_a_text_that_begins_anew_is_refused(template):
    with pytest.raises(DataError, match="does not tell where"):
        prompter(template).row(conversation(), "messages")


def test_a_template_that_refuses_a_row_is_an_error_without_its_words():
    refusing = "{{ raise_exception('no ' + messages[0].content) }}"
    with pytest.raises(DataError, match="refuses a conversation") as refused:
        prompter(refusing).row(conversation(), "messages")
    assert "be kind" not in str(refused.value)


@pytest.mark.parametrize("template", [DATED, "{{ strftime_now('%d %b %Y') }}" + MARKED])
def test_a_template_that_asks_for_the_day_is_told_the_same_one_every_day(template):
    made = prompter(template)
    assert made.row(conversation(), "messages").text.startswith("26 Jul 2024<|im_start|>")
    assert made.prompt("hi", "prompt").text.startswith("26 Jul 2024<|im_start|>")


def test_a_template_that_marks_nothing_is_refused():
    with pytest.raises(DataError, match="does not tell where"):
        prompter("{% generation %}{% endgeneration %}a").row(conversation(), "messages")


@pytest.mark.parametrize(
    ("form", "reason"),
    [("auto", "no chat template"), ("plain", 'prompt_form = "plain"'), ("alpaca", 'prompt_form = "alpaca"')],
)
def test_conversations_without_any_template_are_refused(form, reason):
    with pytest.raises(ConfigError, match=reason):
        prompter(form=form).row(conversation(), "messages")


def test_the_federations_template_goes_before_the_models():
    given = "{% for message in messages %}{{ '[' + message.content + ']' }}{% endfor %}"
    row = prompter(CHATML, template=given).row(("a", "b"), "prompt")
    assert row.text == "[a][b]"


@pytest.mark.parametrize(
    ("form", "texts", "rows", "text"),
    [
        ("auto", ("say a", "aa"), "prompt", "say a\naa"),
        ("auto", ("say a\n", "aa"), "prompt", "say a\naa"),
        ("plain", ("do", "aa", "it"), "instruction", "do\n\nit\naa"),
    ],
)
def test_a_plain_prompt_stands_as_it_is_on_lines_of_its_own(form, texts, rows, text):
    made = prompter(form=form).row(texts, rows)
    assert made.text == text
    assert [made.text[first:end] for first, end in made.answers] == ["aa"]


def test_instructions_without_a_template_have_alpacas_sentences():
    made = prompter().row(("do {input}", "aa", "it"), "instruction")
    assert made.text.startswith("Below is an instruction that describes a task, paired with an input")
    assert made.text.endswith("### Instruction:\ndo {input}\n\n### Input:\nit\n\n### Response:\naa")
    without = prompter().row(("do", "aa", ""), "instruction").text
    assert "paired" not in without
    assert without.endswith("### Instruction:\ndo\n\n### Response:\naa")


def test_prompts_of_a_model_with_a_template_are_chats():
    made = prompter(CHATML)
    assert made.row(("a", "b"), "prompt").text.startswith("<|im_start|>user\na<|im_end|>")
    assert made.prompt("a", "prompt").text.endswith("<|im_start|>assistant\n")
    plain = prompter(CHATML, form="plain")
    assert plain.row(("a", "b"), "prompt").text == "a\nb"


@pytest.mark.parametrize(("texts", "form"), [(("a", "b"), "prompt"), (("a", "b", "c"), "instruction")])
@pytest.mark.parametrize("template", [None, CHATML, MARKED])
def test_a_prompt_without_its_answer_has_the_tokens_that_stand_before_the_answer(texts, form, template):
    made = prompter(template)
    asked = texts[0] if form == "prompt" else f"{texts[0]}\n\n{texts[2]}"
    if form == "instruction" and template is None:
        made = prompter(form="plain")
    found = tokens_of(made.row(texts, form), made.tokenizer)
    before = int((found.targets[0] == IGNORED).argmin())
    np.testing.assert_array_equal(
        prompt_ids(made.prompt(asked, "prompt"), made.tokenizer), found.ids[0][: before + 1]
    )


def test_the_end_of_an_answer_is_learnt_where_the_text_has_none():
    made = prompter()
    found = tokens_of(made.row(("say a", "aa"), "prompt"), made.tokenizer)
    assert learnt(found) == "aa<|im_end|>"
    assert found.ids[0][-1] == 1
    assert tokens_of(made.row(("say a", ""), "prompt"), made.tokenizer).targets[0].max() == 1


def test_what_a_tokenizer_puts_behind_a_text_does_not_stand_in_an_answer():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tokenizer_of_bytes()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A <|im_end|>", special_tokens=[("<s>", 0), ("<|im_end|>", 1)]
    )
    row = Prompter(tokenizer).row(("say a", "aa"), "prompt")
    assert learnt(tokens_of(row, tokenizer)) == "aa<|im_end|>"
    ids = prompt_ids(Prompter(tokenizer).prompt("say a", "prompt"), tokenizer)
    assert 1 not in ids


def test_a_row_whose_answer_is_cut_away_is_left_out_and_counted():
    made = prompter()
    rows = [made.row(("say a" * 9, "aa"), "prompt"), made.row(("say a", "aa"), "prompt")]
    found = tokenised_answers(rows, made.tokenizer, max_length=20)
    assert (len(found), found.dropped) == (1, 1)
    assert learnt(found) == "aa<|im_end|>"


def test_an_answer_that_is_cut_keeps_its_beginning():
    made = prompter()
    found = tokens_of(made.row(("say a", "abcdef"), "prompt"), made.tokenizer, max_length=10)
    assert (len(found.ids[0]), learnt(found)) == (10, "abc")


def test_rows_without_any_answer_within_the_length_are_refused():
    made = prompter()
    with pytest.raises(ConfigError, match="none of 1 rows has an answer within 5 tokens"):
        tokens_of(made.row(("say a", "aa"), "prompt"), made.tokenizer, max_length=5)


def test_a_tokenizer_without_an_end_of_text_is_refused():
    made = prompter()
    made.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no token that ends a text"):
        tokens_of(made.row(("say a", "aa"), "prompt"), made.tokenizer)


def test_a_model_without_a_filling_token_fills_with_the_end_of_texts():
    tokenizer = tokenizer_of_bytes(pad=False)
    found = tokenised_answers([Prompter(tokenizer).row(("a", "b"), "prompt")], tokenizer, max_length=20)
    assert found.pad_id == 1
    assert tokenised_answers([], tokenizer_of_bytes(), max_length=20).pad_id == 2


@pytest.mark.parametrize("marks", ["", "{% generation %}{% endgeneration %}"])
def test_a_template_that_is_no_jinja_is_told_of_its_syntax_and_of_no_row(marks):
    made = prompter(template=marks + "{% for message in messages %}{{ message.content }")
    with pytest.raises(ConfigError, match=r"the template is no Jinja: .*, line 1 \(task.chat_template\)"):
        made.row(conversation(), "messages")
