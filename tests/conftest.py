"""What all tests share: one thread for each numerical library, hypothesis's settings, and the order."""

import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    # Set before numpy or torch are imported; more threads than cores only make small matrices slower.
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest  # noqa: E402 - the variables come first
from hypothesis import settings  # noqa: E402

# A deadline would fail tests on a busy machine; in CI the same examples are tried every time.
settings.register_profile("securefl", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("securefl")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m "not slow"``, files of slow tests alone are not imported: torch and PEFT take seconds to load."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return (
        True if "\npytestmark = pytest.mark.slow\n" in collection_path.read_text(encoding="utf-8") else None
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under xdist, files with long tests come first, so that no worker is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
