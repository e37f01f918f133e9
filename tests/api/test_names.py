"""The public names: documented, there when asked for, and free before that."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

import securefl

HEAVY = ("numpy", "pydantic", "torch", "grpc", "tenseal", "typer", "rich")
NAMES = [name for name in securefl.__all__ if name != "__version__"]


def test_importing_the_package_imports_nothing_that_costs() -> None:
    code = f"import sys, securefl; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(securefl, name)
    documentation = inspect.getdoc(value) or ""
    assert len(documentation) > 40
    assert documentation[0].isupper()
    assert f"``{name}" in (securefl.__doc__ or "")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if name not in ("Adapter", "LoraFactors", "Update", "Fusible", "Learner", "SecureFLError")
    ],
)
def test_functions_say_what_they_take_raise_and_how_they_are_called(name: str) -> None:
    documentation = inspect.getdoc(getattr(securefl, name)) or ""
    missing = [part for part in ("Args:", "Example:") if part not in documentation]
    assert missing == []


def test_dir_lists_names_that_were_not_asked_for_yet() -> None:
    code = "import securefl; assert set(securefl.__all__) <= set(dir(securefl))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = securefl.nonsense


@pytest.mark.parametrize(
    "module", ["securefl.api.adapters", "securefl.api.federations", "securefl.adapters.update"]
)
def test_examples_in_the_documentation_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("hidden", (6,)),
        ("hidden", 6),
        ("hidden", (6.0, 5)),
        ("hidden", (True, 5)),
        ("hidden", ("6", "5")),
        ("hidden", (0, 5)),
        ("", (6, 5)),
        ("hid\nden", (6, 5)),
        (3, (6, 5)),
    ],
)
def test_a_layout_of_odd_names_or_sizes_is_refused(name: object, size: object) -> None:
    with pytest.raises(securefl.SecureFLError, match=r"tensor|size of 'hidden'"):
        securefl.shared_layout({name: size})  # type: ignore[dict-item]
    with pytest.raises(securefl.SecureFLError, match=r"tensor|size of 'hidden'"):
        securefl.shared_layout({"weight": (6, 5)}, {name: size})  # type: ignore[dict-item]
