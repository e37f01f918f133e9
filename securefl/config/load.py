"""TOML files to validated objects: one sentence for every way in which a file can be wrong."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from securefl.config.federation import FederationConfig
from securefl.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load_federation(path: Path) -> FederationConfig:
    """Reads a ``FED.toml``; relative paths in it count from the file's folder.

    Raises:
        ConfigError: if the file cannot be read, is no TOML, or a key or value in it is wrong.
    """
    table = read_toml(path)
    _make_paths_absolute(table, path.resolve().parent)
    config = validated(FederationConfig, table, where=str(path))
    _require_data(config, where=str(path))
    return config


def _require_data(config: FederationConfig, *, where: str) -> None:
    """Every client must end up with training rows: from the one file that is split, or from a file of its own."""
    own_files = config.data.split.by == "none"
    if not own_files and config.data.train is None:
        raise ConfigError("'data.train' is missing", where=where, hint="name a jsonl or csv file")
    for member in config.cohort.clients:
        if own_files and member.train is None:
            raise ConfigError(
                f"{member.id} has no train file",
                where=where,
                hint="data.split.by is 'none', so each needs one",
            )
        if not own_files and member.train is not None:
            raise ConfigError(
                f"{member.id} has a train file of its own",
                where=where,
                hint='set data.split = { by = "none" }',
            )


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables.

    Raises:
        ConfigError: if the file cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {path}", hint="give the path of a federation's TOML file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read", hint=str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no valid TOML", hint=str(error)) from None


def validated(model: type[Model], table: Mapping[str, Any], *, where: str) -> Model:
    """Builds ``model`` from a table.

    Raises:
        ConfigError: with the first thing that is wrong, its key, and the nearest known key where one is unknown.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise _as_config_error(model, error.errors()[0], where=where) from None


def _as_config_error(model: type[BaseModel], detail: ErrorDetails, *, where: str) -> ConfigError:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, detail["loc"][:-1])
        near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
        return ConfigError(f"unknown key '{key}'", where=where, hint=hint.rstrip("?"))
    if detail["type"] == "missing":
        return ConfigError(f"'{key}' is missing", where=where, hint="add it to the file")
    reason = detail["msg"].removeprefix("Value error, ").rstrip(".")
    return ConfigError(f"'{key}' is wrong" if key else "the file is wrong", where=where, hint=reason)


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that ``path`` leads to; a part of it may be a list's position or a union's tag."""
    models = [model]
    for part in path:
        fields = [option.model_fields[str(part)] for option in models if str(part) in option.model_fields]
        if fields:
            models = [found for field in fields for found in _models_in(field.annotation)]
        else:
            models = [option for option in models if _tag(option) == part] or models
    return sorted({key for option in models for key in option.model_fields})


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _tag(model: type[BaseModel]) -> object:
    field = model.model_fields.get("by")
    return get_args(field.annotation)[0] if field is not None else None


def _make_paths_absolute(table: dict[str, Any], folder: Path) -> None:
    """Rewrites the file's relative paths against its folder; what is no table or string is left to validation."""
    for section, keys in (("federation", ("labels",)), ("data", ("train", "test"))):
        _absolute(table.get(section), keys, folder)
    cohort = table.get("cohort")
    clients = cohort.get("clients") if isinstance(cohort, dict) else None
    for client in clients if isinstance(clients, list) else []:
        _absolute(client, ("train", "test"), folder)
    model = table.get("model")
    if isinstance(model, dict) and isinstance(model.get("path"), str) and (folder / model["path"]).is_dir():
        model["path"] = str((folder / model["path"]).resolve())


def _absolute(section: object, keys: tuple[str, ...], folder: Path) -> None:
    if isinstance(section, dict):
        for key in keys:
            if isinstance(section.get(key), str):
                section[key] = str((folder / section[key]).resolve())
