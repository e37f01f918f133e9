"""TOML files to validated objects: one sentence for every way in which a file can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from securefl.config.coherence import refuse_misfits
from securefl.config.explain import config_error, misfit
from securefl.config.federation import FederationConfig
from securefl.config.moved import refuse_moved
from securefl.config.paths import make_paths_absolute
from securefl.config.syntax import read_toml
from securefl.config.values import huge_number_in
from securefl.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


OWN_MODEL = "own"
"""Stands for the path of a base model where the members have models of their own."""


def load_federation(path: str | Path, *, own_models: bool = False) -> FederationConfig:
    """Read a ``FED.toml``; relative paths in it count from the file's folder.

    Args:
        path: The file.
        own_models: The members bring models and data of their own, see ``provision``: ``[model]`` and ``[data]`` may
            be missing.

    Returns:
        The configuration, frozen and checked.

    Raises:
        ConfigError: if the file cannot be read, is no TOML, or a key or value in it is wrong.

    Example:
        >>> from securefl import load_federation
        >>> load_federation("FED.toml").federation.rounds  # doctest: +SKIP
        3
    """
    path = Path(path)
    if own_models:
        table = dict(read_toml(path))
        table.setdefault("model", {"path": OWN_MODEL})
        make_paths_absolute(table, path.resolve().parent, where=str(path))
        config = validated(FederationConfig, table, where=str(path))
    else:
        config = load_file(FederationConfig, path)
        _require_data(config, where=str(path))
    refuse_misfits(config, where=str(path))
    return config


def _require_data(config: FederationConfig, *, where: str) -> None:
    """Every client must end up with training rows: from the one file that is split, or from a file of its own."""
    own_files = config.data.split.by == "none"
    if not own_files and config.data.train is None:
        raise ConfigError(
            "'data.train' is missing",
            where=where,
            hint='name a jsonl or csv file, such as train = "train.csv"',
        )
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


def load_file(model: type[Model], path: Path) -> Model:
    """Read a TOML file as ``model``; relative paths in it count from the file's folder, ``~`` is a home.

    Raises:
        ConfigError: if the file cannot be read, is no TOML, or a key or value in it is wrong.
    """
    table = read_toml(path)
    make_paths_absolute(table, path.resolve().parent, where=str(path))
    return validated(model, table, where=str(path))


def validated(model: type[Model], table: Mapping[str, Any], *, where: str) -> Model:
    """Build ``model`` from a table.

    Raises:
        ConfigError: with the first thing that is wrong, its key, what stands there, and what to write.
    """
    if model is FederationConfig:
        refuse_moved(table, where=where)
    huge = huge_number_in(table)
    if huge is not None:
        raise misfit(model, table, huge, "it is a number of more than 64 bits", where=where)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise config_error(model, table, error, where=where, others=(FederationConfig,)) from None
