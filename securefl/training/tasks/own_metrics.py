"""Own figures of a metric: functions that whoever starts a member names as ``MODULE:FUNCTION``.

The rule kept here: code is named by an argument of a command or of a call, by the person whose machine runs it, and by
no file: the federation's file and the members' folders are written by a lead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from securefl.config.values import quoted
from securefl.errors import ConfigError

_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_TAKEN = {"accuracy", "balanced_accuracy", "macro_f1", "f1", "mcc", "ece", "brier", "loss", "samples"}


def load_functions(places: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """The functions of these places, by their names.

    Args:
        places: Texts such as ``hospital_metrics:sensitivity``: a module that is installed, or lies on PYTHONPATH, and a
            function in it. It takes logits (rows, C) float64 and labels (rows,) int64, and returns one float.

    Raises:
        ConfigError: if a place has another form, there is no such function, or a name is taken.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for place in places:
        _check(place)
        name = place.partition(":")[2]
        if name in _TAKEN or name in functions:
            raise ConfigError(
                f"there is another figure called '{name}'", where="--metric", hint="rename the function"
            )
        functions[name] = _function(place)
    return functions


def _check(place: str) -> None:
    if not _PLACE.fullmatch(place):
        raise ConfigError(
            f"{quoted(place)} names no function",
            where="--metric",
            hint="write MODULE:FUNCTION, such as hospital_metrics:sensitivity",
        )


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"there is no module '{error.name}'",
            where="--metric",
            hint="install it, or set PYTHONPATH to its folder: the current one is not searched",
        ) from None
    if not callable(found):
        raise ConfigError(
            f"the module '{module}' has no function '{name}'", where="--metric", hint="check its name"
        )
    function: Callable[..., Any] = found
    return function
