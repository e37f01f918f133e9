"""Faults of a file, in one sentence: the key as it was written, what stands there, and what to write.

pydantic finds the faults; of its report only the places and kinds are used, since its messages speak of Python's
types, and its places name the alternatives that it tried.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from securefl.config.examples import example_for, wanted
from securefl.config.foreign_keys import ADVICE
from securefl.config.values import MISFIT, alternatives, chooser_of, dotted, is_list, quoted, shown
from securefl.errors import ConfigError

Loc = Sequence[str | int]
_ABSENT = object()
_SIMILAR = 0.5
"""From this likeness on (``difflib``) a known key is suggested for an unknown one."""
_MISSPELT = 0.75
"""From this likeness on it is taken for a slip of the pen, even where another section has the very key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A key of a file, followed through the model and the tables at once.

    Attributes:
        parts: Keys and places in lists, as in the file: no alternatives of a type.
        options: What may stand there, each with its metadata.
        field: The field that says so, of a list's entry the list's; None for a key that does not exist.
        models: The sections that the last key belongs to.
        value: What stands there, ``_ABSENT`` where nothing does.
    """

    parts: tuple[str | int, ...]
    options: tuple[tuple[Any, tuple[Any, ...]], ...]
    field: FieldInfo | None
    models: tuple[type[BaseModel], ...]
    value: object

    @property
    def key(self) -> str:
        """As a person would write it: ``cohort.clients[2].id``."""
        return dotted(self.parts)

    @property
    def kind(self) -> str:
        """The key's name in ``examples.EXAMPLES``: ``cohort.clients[].id``."""
        return re.sub(r"\[[0-9]+\]", "[]", self.key)

    @property
    def entry(self) -> str:
        """Says which entry of a list it is, counted as people count."""
        numbers = [
            f", entry {place + 1} of {self.parts[index - 1]}"
            for index, place in enumerate(self.parts)
            if isinstance(place, int)
        ]
        return numbers[0] if numbers else ""


def config_error(
    model: type[BaseModel],
    table: Mapping[str, Any],
    error: ValidationError,
    *,
    where: str,
    others: Sequence[type[BaseModel]] = (),
) -> ConfigError:
    """The first fault of a file as an error of ours.

    Args:
        model: What the file should have been.
        table: The file's tables.
        error: What pydantic found.
        where: The file.
        others: What other files hold, so that a key that strayed in from them is told apart from a misspelt one.
    """
    detail, place = _worst(model, table, error.errors(include_url=False))
    where += place.entry
    if detail["type"] == "extra_forbidden":
        hint = _hint_for_unknown(str(place.parts[-1]), place, root=model, others=others)
        return ConfigError(f"unknown key '{place.key}'", where=where, hint=hint)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found") and _has(place.value, _chooser(place)):
        return _wrong_choice(place, where=where)
    if detail["type"] in ("missing", "union_tag_not_found"):
        return _missing(place, detail, where=where)
    what = f"'{place.key}' is wrong" if place.parts else "the file is wrong"
    if detail["type"] in ("value_error", MISFIT):
        said = detail["ctx"]["reason" if detail["type"] == MISFIT else "error"]
        return ConfigError(what, where=where, hint=_reason(place, str(said)))
    return ConfigError(what, where=where, hint=f"it is {_stands(place)}; write {_advice(place)}")


def misfit(
    model: type[BaseModel], table: Mapping[str, Any], parts: Loc, reason: str, *, where: str
) -> ConfigError:
    """The error of a value that was refused before pydantic saw it.

    Args:
        model: What the file should have been.
        table: The file's tables.
        parts: Keys and places in lists that lead to the value.
        reason: What stands there, as ``it is ...``.
        where: The file.
    """
    place = _place(model, table, parts)
    return ConfigError(f"'{dotted(parts)}' is wrong", where=where + place.entry, hint=_reason(place, reason))


def _worst(
    model: type[BaseModel], table: Mapping[str, Any], details: Sequence[ErrorDetails]
) -> tuple[ErrorDetails, _Place]:
    """The first fault; of a key with several alternatives, the one that got farthest in."""
    found = [(detail, _place(model, table, _loc(detail))) for detail in details]
    kind, first = found[0][0]["type"], found[0][1].parts
    if kind == "missing":  # a key that is missing may be there under another name
        misspelt = [pair for pair in found if pair[0]["type"] == "extra_forbidden"]
        beside = [pair for pair in misspelt if pair[1].parts[:-1] == first[:-1]]
        found = beside or found
        first = found[0][1].parts
    within = [pair for pair in found if pair[1].parts[: len(first)] == first]
    return max(within, key=lambda pair: len(pair[1].parts))


def _loc(detail: ErrorDetails) -> Loc:
    return (*detail["loc"], *([detail["ctx"]["key"]] if detail["type"] == MISFIT else []))


def _place(model: type[BaseModel], table: object, loc: Loc) -> _Place:
    place = _Place(parts=(), options=((model, ()),), field=None, models=(), value=table)
    for part in loc:
        place = _step(place, part)
    return place


def _step(place: _Place, part: str | int) -> _Place:
    """One part of pydantic's place further: into a section, a list, or an alternative, which is no key."""
    if isinstance(part, int):
        entries = tuple(
            found
            for option, _ in place.options
            if is_list(option)
            for found in alternatives(get_args(option)[0])
        )
        values = place.value if isinstance(place.value, list | tuple) else ()
        return _Place(
            parts=(*place.parts, part),
            options=entries,
            field=place.field,
            models=(),
            value=values[part] if part < len(values) else _ABSENT,
        )
    models = tuple(option for option, _ in place.options if _is_model(option))
    fields = [option.model_fields[part] for option in models if part in option.model_fields]
    if isinstance(place.value, str) and place.field is not None and part == chooser_of(place.field):
        # A word in the place of the table that it chooses: the file has no key of this name.
        return replace(place, options=tuple(found for field in fields for found in _options(field)))
    chosen = tuple(option for option in models if len(models) > 1 and part in (option.__name__, _tag(option)))
    if not fields and (chosen or not _has(place.value, part)):
        options = tuple((option, ()) for option in chosen) or place.options
        return _Place(
            parts=place.parts, options=options, field=place.field, models=place.models, value=place.value
        )
    return _Place(
        parts=(*place.parts, part),
        options=tuple(found for field in fields for found in _options(field)),
        field=fields[0] if fields else None,
        models=models,
        value=place.value[part] if isinstance(place.value, Mapping) and part in place.value else _ABSENT,
    )


def _options(field: FieldInfo) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    for option, metadata in alternatives(field.annotation):
        yield option, (*metadata, *field.metadata)


def _is_model(option: object) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _has(value: object, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _tag(model: type[BaseModel]) -> object:
    """Word that tells this alternative of a union from the others: the only one that a field of it can hold."""
    for field in model.model_fields.values():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        if len(choices) == 1:
            return choices[0]
    return None


def _stands(place: _Place) -> str:
    return "nothing" if place.value is _ABSENT else shown(place.value)


def _advice(place: _Place) -> str:
    """Advice on what to write at a place, with an example, and the nearest of the words that it takes."""
    if place.field is not None and _chooser(place):
        return _advice_for_union(place)
    kinds = list(dict.fromkeys(wanted(option, metadata) for option, metadata in place.options))
    example = example_for(place.kind, place.field)
    advice = f"{' or '.join(kinds) or 'another value'}, such as {example}"
    return f"{advice}{_near(place.value, _words(place))}"


def _chooser(place: _Place) -> str:
    """The key that chooses between the tables of a tagged union; empty at any other place."""
    chooser = None if place.field is None else place.field.discriminator
    return chooser if isinstance(chooser, str) else ""


def _union_words(place: _Place) -> list[str]:
    options = list(_options(place.field)) if place.field is not None else list(place.options)
    return [tag for option, _ in options if isinstance(tag := _tag(option), str)]


def _advice_for_union(place: _Place) -> str:
    words = _union_words(place)
    choices = ", ".join(map(quoted, words))
    example = example_for(place.kind, place.field)
    return (
        f"a table whose {_chooser(place)} is one of {choices}, such as {example}{_near(place.value, words)}"
    )


def _wrong_choice(place: _Place, *, where: str) -> ConfigError:
    """A table of a tagged union whose choosing key holds no word of it."""
    assert isinstance(place.value, Mapping)
    chooser, words = _chooser(place), _union_words(place)
    value = place.value[chooser]
    choices = ", ".join(map(quoted, words))
    example = example_for(f"{place.kind}.{chooser}", None)
    hint = f"it is {shown(value)}; write one of {choices}, such as {example}{_near(value, words)}"
    return ConfigError(f"'{place.key}.{chooser}' is wrong", where=where, hint=hint)


def _words(place: _Place) -> list[str]:
    return [
        word
        for option, _ in place.options
        if get_origin(option) is Literal
        for word in get_args(option)
        if isinstance(word, str)
    ]


def _near(value: object, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, words, n=1, cutoff=0.6) if isinstance(value, str) else []
    return f" (did you mean {quoted(near[0])})" if near else ""


def _reason(place: _Place, reason: str) -> str:
    """A validator's own words; where they only say what stands there, what to write is added."""
    said = " ".join(reason.split()).rstrip(".")
    if re.search(r"\b(such as|write|set)\b", said):
        return said
    if said.startswith("it is"):
        return f"{said}; write {_advice(place)}"
    return f"{said}; for example {example_for(place.kind, place.field)}"


def _missing(place: _Place, detail: ErrorDetails, *, where: str) -> ConfigError:
    """A key or a section that must be there."""
    if detail["type"] == "union_tag_not_found":
        hint = f"add it: write {_advice(place)}"
        return ConfigError(f"'{place.key}.{_chooser(place)}' is missing", where=where, hint=hint)
    sections = [option for option, _ in place.options if _is_model(option)]
    if sections:
        needed = [
            example_for(f"{place.kind}.{name}", field)
            for name, field in sections[0].model_fields.items()
            if field.is_required()
        ]
        hint = f"add a section [{place.key}] with {' and '.join(needed)}" if needed else f"add [{place.key}]"
        return ConfigError(f"'{place.key}' is missing", where=where, hint=hint)
    example = example_for(place.kind, place.field)
    return ConfigError(
        f"'{place.key}' is missing", where=where, hint=f"add it to the file, such as {example}"
    )


def _hint_for_unknown(
    name: str, place: _Place, *, root: type[BaseModel], others: Sequence[type[BaseModel]]
) -> str:
    """Advice for a key of transformers, the nearest known key, the section that has such a key, or those there are."""
    if name in ADVICE:
        return ADVICE[name]
    known = sorted({key for option in place.models for key in option.model_fields})
    near = difflib.get_close_matches(name, known, n=1, cutoff=_SIMILAR)
    elsewhere = _elsewhere(name, place, root=root, others=others)
    if elsewhere and not difflib.get_close_matches(name, near, cutoff=_MISSPELT):
        return f"known here: {', '.join(known)}; {elsewhere}"
    return f"did you mean '{near[0]}'" if near else f"known here: {', '.join(known)}"


def _elsewhere(name: str, place: _Place, *, root: type[BaseModel], others: Sequence[type[BaseModel]]) -> str:
    """The sections that have a key of that name, of this file or else of the federation's own."""
    if len(place.parts) > 1 and name in root.model_fields:
        return f"'{name}' is a section of its own, [{name}]"
    homes = sorted(set(_homes(root, name)))
    if homes:
        return f"{' and '.join(homes)} {'has' if len(homes) == 1 else 'have'} a key '{name}'"
    if any(name in other.model_fields or any(_homes(other, name)) for other in others if other is not root):
        return f"'{name}' stands in the federation's own file, the one that 'securefl init' reads"
    return ""


def _homes(model: type[BaseModel], name: str, path: str = "") -> Iterator[str]:
    """Sections of a file that know a key of that name."""
    if path and name in model.model_fields:
        yield f"an entry of {path.removesuffix('[]')}" if path.endswith("[]") else f"[{path}]"
    for key, field in model.model_fields.items():
        for option, _ in alternatives(field.annotation):
            entry = get_args(option)[0] if is_list(option) else option
            if _is_model(entry):
                inner = f"{path}.{key}" if path else key
                if field.discriminator is not None:
                    everywhere = all(
                        name in other.model_fields for other, _ in alternatives(field.annotation)
                    )
                    yield from _homes_among(entry, name, inner, field.discriminator, everywhere=everywhere)
                    continue
                yield from _homes(entry, name, f"{inner}[]" if is_list(option) else inner)


def _homes_among(
    alternative: type[BaseModel], name: str, path: str, chooser: object, *, everywhere: bool
) -> Iterator[str]:
    """The same for one alternative of a tagged union, told by the word that chooses it unless all have the key."""
    if name in alternative.model_fields and name != chooser:
        yield f"[{path}]" + ("" if everywhere else f" with {chooser} = {quoted(str(_tag(alternative)))}")
