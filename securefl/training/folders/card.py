"""A saved folder's model card, ``README.md``: what the adapter is, how good, from where, and the code that loads it.

The rule kept here: the card follows from ``task.json`` and the adapter's rank alone, and its code needs transformers,
PEFT and torch, and nothing of ours; a test runs it as it stands. Nothing of a member's rows stands in it.
"""

from __future__ import annotations

import json

from securefl.training.folders.answer_code import answer_code
from securefl.training.folders.task_file import HEAD_FILE, FolderRecord, PromiseRecord

_LABELS_SHOWN = 24
_NO_PRIVACY = (
    "Encryption is no differential privacy: epsilon is infinite, and a model may remember rows that it was "
    "trained on."
)
_POOLED = {
    "mean": "    feature = (hidden * mask).sum(1) / mask.sum(1)",
    "cls": "    feature = hidden[:, 0]",
    "last": '    feature = hidden[torch.arange(len(hidden)), rows["attention_mask"].sum(1) - 1]',
}
"""Hidden states to one feature; the card's tokenizer pads on the right."""


_LOADED = 'this folder:\n\n```python\nimport securefl\n\nsaved = securefl.load_adapter(".")\n{use}\n```'
_LABELLED_USE = 'print(saved.outcomes([("a text",)], batch_size=1).argmax(1))'
_ANSWERED_USE = 'print(saved.answers(["a question"], batch_size=1))'
_SHARED_USE = (
    "## Use\n\nThe metric above is that of the model *with* the shared adapter in `shared_adapter.safetensors`, which "
    "PEFT does not know: plain PEFT loads the private adapter without it, and answers otherwise. With securefl, in "
)
_MIXED_USE = (
    "## Use\n\nThe metric above is that of two adapters that stand in one, the member's own and the mean of all "
    "others', *with* the mixer in `mixer.safetensors`, which gives each of them its share for every token and which "
    "PEFT does not know: plain PEFT adds both whole, and answers otherwise. With securefl, in "
)
"""Uses of folders with a part that plain PEFT would pass over."""


def model_card(record: FolderRecord, *, rank: int) -> str:
    """The card's text, Markdown.

    Args:
        record: What the folder says of itself.
        rank: The adapter's.
    """
    parts = (f"# {_title(record)}", _facts(record, rank), _use(record), _privacy(record), _license(record))
    return "\n\n".join(part for part in parts if part) + "\n"


def hub_card(card: str, record: FolderRecord) -> str:
    """A card with the YAML block that hubs read before it; the licence is left to the user."""
    facts = {
        "base_model": record.base_model_id,
        "base_model_relation": "finetune" if record.merged else "adapter",
        "library_name": "transformers" if record.merged else "peft",
        "pipeline_tag": _pipeline(record),
    }
    # JSON's strings are YAML's.
    lines = [f"{name}: {json.dumps(value)}" for name, value in facts.items() if value is not None]
    tags = ["tags:", *(f"- {tag}" for tag in ("lora", "federated-learning", "securefl"))]
    return "\n".join(
        ["---", "# license: to be chosen by whoever publishes this", *lines, *tags, "---", "", card]
    )


def _pipeline(record: FolderRecord) -> str | None:
    if record.auto_class == "AutoModelForCausalLM":
        return "text-generation"
    return "text-classification" if record.labels else None


def _title(record: FolderRecord) -> str:
    what = "Model" if record.merged else "LoRA adapter"
    origin = "" if record.origin is None else f" of the federation {record.origin.federation}"
    return f"{what}{origin} ({record.adapter})"


def _facts(record: FolderRecord, rank: int) -> str:
    origin, measured = record.origin, record.measured
    facts = {
        "base model": f"`{record.base}` (digest {record.base_model_sha256[:16]}...)",
        "task": record.task,
        "labels": _labels(record.labels),
        "metric": measured.text if measured else "not measured",
        "adapter": f"{record.adapter}, rank {rank}{_reduced(record)}",
        "federation": f"{origin.federation}, {origin.rounds} rounds, payload {origin.payload}"
        if origin
        else "none",
        "longest text": f"{record.max_length} tokens",
        "written with": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
    }
    lines = [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value]
    return "\n".join(["| | |", "|---|---|", *lines])


def _reduced(record: FolderRecord) -> str:
    if record.reduced_from is None or record.lost is None:
        return ""
    return f" (reduced from rank {record.reduced_from}: {record.lost:.1%} of its norm were lost)"


def _labels(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:_LABELS_SHOWN])
    more = len(labels) - _LABELS_SHOWN
    return shown if more <= 0 else f"{shown} and {more} more in task.json"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _use(record: FolderRecord) -> str:
    if record.beyond_peft is not None:
        words = _SHARED_USE if record.shared is not None else _MIXED_USE
        use = _ANSWERED_USE if record.auto_class == "AutoModelForCausalLM" else _LABELLED_USE
        return words + _LOADED.replace("{use}", use)
    code = _code(record)
    if code is None:
        return ""
    return f"## Use\n\nIn this folder, with transformers, PEFT and torch; {_given(record)}.\n\n```python\n{code}\n```"


def _given(record: FolderRecord) -> str:
    if record.auto_class == "AutoModelForCausalLM":
        return (
            "`answer_loss` gives the loss that was measured, of rows such as those that it was trained on, with the "
            "usual names of columns; `answer` writes the likeliest answer"
        )
    return "`logits` gives what the metric above was measured with"


def _code(record: FolderRecord) -> str | None:
    """The code that loads the folder; None for a task whose model is not known here."""
    pooling = record.description.get("pooling")
    if record.auto_class == "AutoModel" and isinstance(pooling, str) and pooling in _POOLED:
        return _pooled_code(record, pooling)
    if record.auto_class == "AutoModelForSequenceClassification":
        return _classifier_code(record)
    if record.auto_class == "AutoModelForCausalLM":
        [loaded] = _loaded(
            "AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)", merged=record.merged
        )
        return answer_code(record, base=_base(record), loaded=loaded)
    return None


def _pooled_code(record: FolderRecord, pooling: str) -> str:
    return "\n".join(
        [
            "import json",
            "from pathlib import Path",
            "import torch",
            *_imports("AutoModel", "from safetensors.torch import load_file", merged=record.merged),
            "",
            f'base, folder = {_base(record)}, "."',
            *_tokenizer(),
            *_loaded("AutoModel.from_pretrained(base, dtype=torch.float32)", merged=record.merged),
            f'head = load_file(f"{{folder}}/{HEAD_FILE}")',
            'labels = json.loads(Path(folder, "task.json").read_text(encoding="utf-8"))["labels"]',
            "",
            "def logits(texts, seconds=None):",
            _rows(record),
            "    with torch.no_grad():",
            "        hidden = model(**rows).last_hidden_state",
            *(['    mask = rows["attention_mask"].unsqueeze(-1).float()'] if pooling == "mean" else []),
            _POOLED[pooling],
            '    return feature @ head["weight"].T + head["bias"]',
            "",
            'print([labels[place] for place in logits(["a text"]).argmax(1)])',
        ]
    )


def _classifier_code(record: FolderRecord) -> str:
    pad = record.pad_token_id
    options = [
        "dtype=torch.float32",
        *([] if record.merged else _label_options()),
        *([] if pad is None else [f"pad_token_id={pad}"]),
    ]
    class_of_labels = (
        []
        if record.merged
        else ['labels = json.loads(Path(folder, "task.json").read_text(encoding="utf-8"))["labels"]']
    )
    return "\n".join(
        [
            *([] if record.merged else ["import json", "from pathlib import Path"]),
            "import torch",
            *_imports(record.auto_class, merged=record.merged),
            "",
            f'base, folder = {_base(record)}, "."',
            *class_of_labels,
            *_tokenizer(pad),
            f"network = {record.auto_class}.from_pretrained(base, {', '.join(options)})",
            *_loaded("network", merged=record.merged),
            "",
            "def logits(texts, seconds=None):",
            _rows(record),
            "    with torch.no_grad():",
            "        return model(**rows).logits",
            "",
            'print([model.config.id2label[place] for place in logits(["a text"]).argmax(1).tolist()])',
        ]
    )


def _label_options() -> list[str]:
    return [
        "num_labels=len(labels)",
        "id2label=dict(enumerate(labels))",
        "label2id={label: place for place, label in enumerate(labels)}",
        "ignore_mismatched_sizes=True",
    ]


def _imports(auto_class: str, *others: str, merged: bool) -> list[str]:
    peft = [] if merged else ["from peft import PeftModel"]
    return [*peft, *others, f"from transformers import {auto_class}, AutoTokenizer"]


def _base(record: FolderRecord) -> str:
    return '"."' if record.merged else json.dumps(record.base)


def _tokenizer(pad: int | None = None) -> list[str]:
    """The tokenizer's lines; a class that finds the end of a text by a token is given that one to fill rows with."""
    filling = (
        "tokenizer.pad_token = tokenizer.pad_token or tokenizer.convert_ids_to_tokens(0)  # the mask hides it"
        if pad is None
        else f"tokenizer.pad_token = tokenizer.convert_ids_to_tokens({pad})  # the class looks for it"
    )
    return ['tokenizer = AutoTokenizer.from_pretrained(base, padding_side="right")', filling]


def _loaded(base: str, *, merged: bool) -> list[str]:
    return [
        f"model = {base}.eval()" if merged else f"model = PeftModel.from_pretrained({base}, folder).eval()"
    ]


def _rows(record: FolderRecord) -> str:
    return (
        f"    rows = tokenizer(texts, seconds, truncation=True, max_length={record.max_length}, padding=True, "
        'return_tensors="pt")'
    )


def _privacy(record: FolderRecord) -> str:
    promise = record.origin.promise if record.origin else None
    own = (_NO_PRIVACY, _own_rows(record)) if promise is None else _promised(record, promise)
    sentences = (_travelled(record), *own)
    return "## Privacy\n\n" + " ".join(sentence for sentence in sentences if sentence)


def _promised(record: FolderRecord, promise: PromiseRecord) -> tuple[str, ...]:
    """Sentences on a folder of a federation that promised differential privacy, and on what is outside of it."""
    kept = f"epsilon {promise.epsilon:g} at delta {promise.delta:g} over all rounds, as `securefl audit` can check"
    if record.adapter != "global":
        return (
            f"The federation promised differential privacy for its sums ({kept}), and this adapter is no sum: it holds "
            "what one member learnt from its own rows without noise. The promise does not cover it.",
        )
    return (
        f"Its weights come from sums over all members, which protect {_protected(promise)} with {kept}.",
        "The metric above was measured on this member's own rows without noise, and the promise does not cover it."
        if record.measured
        else "",
    )


def _protected(promise: PromiseRecord) -> str:
    if promise.unit == "client":
        return "every member's whole update"
    return (
        "every single row"
        if promise.per_person is None
        else f"every person with up to {promise.per_person} rows"
    )


def _travelled(record: FolderRecord) -> str:
    if record.origin is None:
        return ""
    share = record.origin.encrypted
    if share == 1:
        return "Members' updates travelled encrypted: the server added them up without reading one."
    if share == 0:
        return "Members' updates travelled without encryption: the server could read each of them."
    return f"Of each member's updates {share:.0%} travelled encrypted: the server could read the rest."


def _own_rows(record: FolderRecord) -> str:
    if record.adapter in ("personal", "fused"):
        return (
            "This adapter holds what one member learnt from its own rows: it is that member's to give away."
        )
    if not record.labels:
        return "Its weights come from sums over all members."
    return (
        "Its weights come from sums over all members. Rows of the head for labels that few members hold may be this "
        "member's own, learnt from its rows alone; and the head's bias may hold this member's label shares."
    )


def _license(record: FolderRecord) -> str:
    return f"## License\n\nTo be chosen by whoever publishes this folder, within what `{record.base}` allows."
