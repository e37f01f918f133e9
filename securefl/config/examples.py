"""Values that a key may hold, in words, with an example that can be copied.

Both follow from the types of the sections; only keys without a default, and those
whose default shows little, have an example of their own here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from securefl.config.values import alternatives, is_list, quoted

EXAMPLES: Mapping[str, str] = {
    "federation.name": 'name = "four-banks"',
    "federation.labels": 'labels = ["no", "yes"]',
    "model.path": 'path = "models/minilm"',
    "model.id": 'id = "sentence-transformers/all-MiniLM-L6-v2"',
    "data.train": 'train = "train.csv"',
    "data.test": 'test = "test.csv"',
    "data.text": 'text = "text", or text = ["question", "answer"]',
    "data.split": 'split = { by = "iid" }',
    "data.split.by": 'split = { by = "iid" }',
    "data.split.alpha": 'split = { by = "dirichlet", alpha = 0.5 }',
    "data.split.column": 'split = { by = "column", column = "site" }',
    "data.max_samples": "max_samples = 1000",
    "data.messages": 'messages = "messages"',
    "data.prompt": 'prompt = "question"',
    "data.completion": 'completion = "answer"',
    "data.instruction": 'instruction = "instruction"',
    "data.input": 'input = "input"',
    "data.output": 'output = "output"',
    "task.chat_template": 'chat_template = "chat_template.jinja"',
    "lora.target_modules": 'target_modules = ["query", "value"]',
    "recipe.personal": 'personal = "alone"',
    "recipe.personal_rank": "personal_rank = 2",
    "recipe.sync_every": "sync_every = 3",
    "recipe.mu": "mu = 0.5",
    "lora.width": "width = 384",
    "task": 'task = "sequence-classification"',
    "task.name": 'name = "sequence-classification"',
    "privacy.unit": 'unit = "example"',
    "privacy.target_epsilon": "target_epsilon = 8",
    "privacy.group_column": 'group_column = "patient"',
    "privacy.max_per_group": "max_per_group = 4",
    "outer": 'outer = "nesterov"',
    "outer.name": 'name = "nesterov"',
    "task.metrics": 'metrics = ["macro_f1", "mcc", "ece"]',
    "payload": 'payload = "sketch"',
    "payload.name": 'name = "sketch"',
    "payload.rank": "rank = 32",
    "layers.allocation": 'allocation = "random"',
    "layers.shares": "shares = [0.5, 0.75, 1.0]",
    "layers.scored_from": "scored_from = 10",
    "layers.scored_every": "scored_every = 10",
    "layers.shape": 'shape = "triangle"',
    "encryption.select": 'select = "all"',
    "encryption.select.fraction": "select = { fraction = 0.1 }",
    "encryption.select.by": 'select = { by = "columns", fraction = 0.1 }',
    "cohort.clients": "clients = [{ r = 2 }, { r = 4 }, { r = 8 }]",
    "cohort.clients[]": 'clients = [{ id = "bank", r = 2 }, { r = 4 }, { r = 8 }]',
    "cohort.clients[].id": 'id = "bank"',
    "cohort.clients[].r": "r = 8",
    "cohort.clients[].train": 'train = "bank.csv"',
    "cohort.clients[].test": 'test = "bank-test.csv"',
    "cohort.clients[].model": 'model = "models/minilm-3"',
    "cohort.clients[].column_values": 'column_values = ["bank"]',
    "cohort.ranks": 'ranks = { by = "data", most = 16 }',
    "cohort.ranks.by": 'ranks = { by = "data", most = 16 }',
    "cohort.ranks.shape": 'ranks = { by = "mix", shape = "uniform" }',
    "cohort.ranks.of": 'ranks = { by = "mix", of = [2, 4, 8, 16] }',
    "cohort.ranks.least": 'ranks = { by = "data", least = 2, most = 16 }',
    "cohort.ranks.most": 'ranks = { by = "data", most = 16 }',
    "cohort.samples_cap": "samples_cap = 5000",
    "server.address": 'address = "fl.example.org:7443"',
    "personal.learning_rate": "learning_rate = 1e-3",
    "personal.head_learning_rate": "head_learning_rate = 3e-3",
    "client.id": 'id = "client-1"',
    "client.server": 'server = "fl.example.org:7443"',
    "client.r": "r = 8",
    "model.target_modules": 'target_modules = ["query", "value"]',
}
"""By key, with ``[]`` for any entry of a list."""


def example_for(key: str, field: FieldInfo | None) -> str:
    """Something to copy for a key, named as in ``EXAMPLES``; its own example, its default, or what its type says."""
    if key in EXAMPLES:
        return EXAMPLES[key]
    if key.endswith("[]"):
        return example_for(key.removesuffix("[]"), field)
    name = key.rpartition(".")[2]
    default = None if field is None or field.is_required() else field.get_default(call_default_factory=True)
    if "." not in key and field is not None and _is_section(field):
        return f"[{key}] on a line of its own, and its keys below"
    if default is not None:
        return f"{name} = {_toml(default)}"
    option, metadata = next(alternatives(field.annotation)) if field is not None else (str, ())
    return f"{name} = {_sample(option, (*metadata, *(field.metadata if field is not None else ())))}"


def _is_section(field: FieldInfo) -> bool:
    options = [option for option, _ in alternatives(field.annotation)]
    return all(isinstance(option, type) and issubclass(option, BaseModel) for option in options)


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return quoted(str(value))
        case tuple() | list():
            return f"[{', '.join(map(_toml, value))}]"
        case BaseModel():
            pairs = value.model_dump(exclude_none=True).items()
            return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in pairs) + " }"
        case _:
            return repr(value)


def _sample(option: Any, metadata: tuple[Any, ...]) -> str:
    """A value of a type, for a key that has neither default nor example."""
    if get_origin(option) is Literal:
        return _toml(get_args(option)[0])
    if is_list(option):
        return f"[{_sample(get_args(option)[0], ())}]"
    if option in (int, float):
        return repr(_number_within(metadata, whole=option is int))
    if option is bool:
        return "true"
    return '"..."' if option in (str, Path) else "{ }"


def _number_within(metadata: tuple[Any, ...], *, whole: bool) -> float:
    low, high = _limit(metadata, ("ge", "gt")), _limit(metadata, ("le", "lt"))
    if whole:
        return int((low or 0) + 1)
    return (low or 0.0) + 0.5 if high is None else ((low or 0.0) + high) / 2


def _limit(metadata: tuple[Any, ...], names: tuple[str, ...]) -> float | None:
    return next((getattr(mark, name) for name in names for mark in metadata if hasattr(mark, name)), None)


def wanted(option: Any, metadata: tuple[Any, ...]) -> str:
    """Values that one alternative takes, in words."""
    if get_origin(option) is Literal:
        return _choices([_toml(choice) for choice in get_args(option)])
    if is_list(option):
        return f"a list of {_plural(get_args(option)[0])}"
    if option is bool:
        return "true or false"
    if option in (int, float):
        return f"{'a whole number' if option is int else 'a number'}{_bounds(metadata)}"
    if option is Path:
        return "a path in quotes"
    return "a text in quotes" if option is str else "a table"


def _choices(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def _plural(option: Any) -> str:
    if get_origin(option) is Literal:
        return f"texts out of {', '.join(map(_toml, get_args(option)))}"
    names = {str: "texts", Path: "paths", int: "whole numbers", float: "numbers"}
    return names.get(option, "tables")


def _bounds(metadata: tuple[Any, ...]) -> str:
    """The limits of a number: from 1 to 1024, above 0 and below 1, from 4 up."""
    least, above = _limit(metadata, ("ge",)), _limit(metadata, ("gt",))
    most, below = _limit(metadata, ("le",)), _limit(metadata, ("lt",))
    low = f"from {least}" if least is not None else f"above {above}" if above is not None else ""
    high = f"to {most}" if most is not None else f"below {below}" if below is not None else ""
    if low and high:
        return f" {low} {high}" if least is not None and most is not None else f" {low} and {_alone(high)}"
    return f" {low} up" if least is not None else f" {low or _alone(high)}".rstrip()


def _alone(high: str) -> str:
    return f"up {high}" if high.startswith("to ") else high
