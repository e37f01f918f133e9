"""The code of a saved folder's card, run as it stands."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path


def code_of(folder: Path) -> str:
    """The one block of Python of a folder's README.md."""
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    return code


def logits_of_the_card(folder: Path, texts: Sequence[str], monkeypatch, *, base: str | None = None):
    """Logits (rows, labels) of the card's code in its own folder; a warning of PEFT or transformers is an error.

    A base of another place than the card's may be given, where the card names one that has to be downloaded.
    """
    names: dict = {}
    code = code_of(folder)
    if base is not None:
        code = re.sub(r'^base, folder = "[^"]+"', f'base, folder = "{base}"', code, flags=re.MULTILINE)
    monkeypatch.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)  # PEFT asks transformers by an old name
        exec(compile(code, "card", "exec"), names)
    return names["logits"](list(texts)).numpy()
