"""The code of a language model's card: the loss of answers as members measured it, and answers to prompts.

The rule kept here: it does with transformers, PEFT and torch alone what ``tasks.causal`` does, and a test runs it. The
templates of its functions are plain text, so that the code stands here as it stands in a card.
"""

from __future__ import annotations

import json

from securefl.training.folders.task_file import FolderRecord

_PLAIN = """\
def question_of(row):
    asked, more = row.get("prompt", row.get("instruction")), row.get("input")
    asked = f"{asked}\\n\\n{more}" if more else asked
    return asked if asked[-1:].isspace() else asked + "\\n"
"""
_ALPACA = """\
def question_of(row):
    asked, more = row.get("prompt", row.get("instruction")), row.get("input")
    context = ", paired with an input that provides further context" if more else ""
    given = f"### Input:\\n{more}\\n\\n" if more else ""
    return (
        f"Below is an instruction that describes a task{context}. "
        "Write a response that appropriately completes the request.\\n\\n"
        f"### Instruction:\\n{asked}\\n\\n{given}### Response:\\n"
    )
"""
_TEXT = """\
def text_of(row):  # a text, and the characters of its answers
    question = question_of(row)
    text = question + row.get("completion", row.get("output"))
    return text, [(len(question), len(text))]

def question_text(question):
    return question_of({"prompt": question})
"""
_CHAT = """\
def told_one_day(asked):  # as in training, so that a row has the same tokens tomorrow
    return repr(datetime(2024, 7, 26).strftime(asked[2]))

template = re.sub(r"strftime_now\\(\\s*([\\x27\\x22])(.*?)\\1\\s*\\)", told_one_day, template)

def rendered(messages, opened=False):
    return tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=opened
    )

def span_of(text, messages, place):
    before = rendered(messages[:place], True)
    past = text if place == len(messages) - 1 else rendered(messages[: place + 1])
    if not text.startswith(past):  # of an earlier answer, without the thoughts before the last one
        past = before + messages[place]["content"].strip()
    return len(before), len(past)

def text_of(row):  # a text, and the characters of its answers
    messages = row.get("messages")
    if messages is None:
        asked, more = row.get("prompt", row.get("instruction")), row.get("input")
        asked = f"{asked}\\n\\n{more}" if more else asked
        answer = row.get("completion", row.get("output"))
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    if re.search(r"\\{%-?\\s*generation\\s*-?%\\}", template):
        [text], [spans] = render_jinja_template(
            conversations=[messages], chat_template=template, return_assistant_tokens_mask=True,
            **tokenizer.special_tokens_map,
        )
    else:
        text = rendered(messages)
        answers_at = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        spans = [span_of(text, messages, place) for place in answers_at]
    spans = [(first, end) for first, end in spans if first < end]
    return text, spans if answers == "all" else spans[-1:]

def question_text(question):
    return rendered([{"role": "user", "content": question}], True)
"""
_SHARED = """\
def encoded(text):  # token ids, and the characters of each
    made = tokenizer(text, add_special_tokens=OPENED, return_offsets_mapping=True)
    ids, places = made["input_ids"], made["offset_mapping"]
    while OPENED and text and places[-1][0] == places[-1][1]:  # an answer ends here, and no special token
        ids, places = ids[:-1], places[:-1]
    return ids, places

def tokens_of(row):  # token ids, and True where one is learnt
    text, spans = text_of(row)
    ids, places = encoded(text)
    learnt = [False] * len(ids)
    for begin, stop in spans:
        own = [n for n, (a, b) in enumerate(places) if b > begin and a < stop and b > a]
        ends = [n for n in own if ids[n] == end]
        if ends:
            own = [n for n in own if n <= ends[-1]]
        elif own and own[-1] + 1 < len(ids) and ids[own[-1] + 1] == end:
            own.append(own[-1] + 1)
        for n in own:
            learnt[n] = True
    last = max((n for n, is_learnt in enumerate(learnt) if is_learnt), default=None)
    if spans[-1][1] == len(text) and (last is None or ids[last] != end):
        ids, learnt = ids + [end], learnt + [True]
    return ids[:max_length], learnt[:max_length]

def answer_loss(rows):  # mean loss of an answer's token, nats
    total, count = 0.0, 0
    for row in rows:
        ids, learnt = tokens_of(row)
        if not any(learnt[1:]):
            continue  # its answers begin after max_length tokens
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        total, count = total + losses[torch.tensor(learnt[1:])].sum().item(), count + sum(learnt[1:])
    return total / count

def answer(question):
    ids = torch.tensor([encoded(question_text(question))[0]])
    made = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST, do_sample=False, pad_token_id=end
    )
    return tokenizer.decode(made[0, ids.shape[1]:], skip_special_tokens=True).strip()

print(answer("a question"))"""


def answer_code(record: FolderRecord, *, base: str, loaded: str) -> str:
    """The code that loads a language model's folder.

    Args:
        record: What the folder says of itself.
        base: The base model's name, or the folder's own, as Python.
        loaded: The line that makes the model.
    """
    facts = record.description
    chat = facts.get("prompt_form") == "chat"
    imports = ["import re", "from datetime import datetime", "import torch"] if chat else ["import torch"]
    if not record.merged:
        imports.append("from peft import PeftModel")
    imports.append("from transformers import AutoModelForCausalLM, AutoTokenizer")
    if chat:
        imports.append("from transformers.utils.chat_template_utils import render_jinja_template")
    template = facts.get("chat_template")
    given = "tokenizer.get_chat_template()" if template is None else json.dumps(template)
    settings = [f"template, answers = {given}, {json.dumps(facts.get('answers'))}"] if chat else []
    asked = [_CHAT] if chat else [_ALPACA if facts.get("prompt_form") == "alpaca" else _PLAIN, _TEXT]
    shared = _SHARED.replace("OPENED", str(not chat)).replace("MOST", str(facts.get("max_new_tokens")))
    return "\n".join(
        [
            *imports,
            "",
            f'base, folder, max_length = {base}, ".", {record.max_length}',
            "tokenizer = AutoTokenizer.from_pretrained(base)",
            loaded,
            "end = tokenizer.eos_token_id",
            *settings,
            "",
            *asked,
            shared,
        ]
    )
