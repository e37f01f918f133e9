"""What all tests share: one thread for each numerical library, and how hypothesis searches."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    # Set before numpy or torch are imported; more threads than cores only make small matrices slower.
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from hypothesis import settings  # noqa: E402 - the variables come first

# A deadline would fail tests on a busy machine; in CI the same examples are tried every time.
settings.register_profile("securefl", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("securefl")
