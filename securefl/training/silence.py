"""Silence for libraries that talk: what a user reads comes from this project, one sentence at a time.

The rule kept here: the silence lasts as long as the ``with`` block and leaves the library's settings as it
found them; what matters in the messages (missing weights, an unreadable file) is checked by the caller and
raised.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_transformers() -> Iterator[None]:
    """No log lines, warnings or progress bars of transformers and the hub's client."""
    from transformers.utils import logging as library

    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(logging.CRITICAL)
    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()  # type: ignore[no-untyped-call]
