"""The base model that a saved folder belongs on, found and checked.

The rule kept here: a folder computes on the very base model that it was trained on, byte for byte; another one of the
same name is refused.
"""

from __future__ import annotations

from securefl.errors import ModelError
from securefl.training.folders.task_file import FolderRecord
from securefl.training.model_files import model_digest


def base_of(record: FolderRecord, given: str | None) -> str:
    """The place of a folder's base model.

    Args:
        record: The folder's.
        given: Where somebody says that it lies; None tries the path and the public name of the record.

    Raises:
        ModelError: if it is at no such place, or another model is.
    """
    named = [record.base_model, *([record.base_model_id] if record.base_model_id else [])]
    places = [given] if given is not None else named
    for place in places[:-1]:
        try:
            return _checked(record, place)
        except ModelError:
            # Folders travel: the path of the machine that wrote it need not exist here, so the name is tried next.
            continue
    return _checked(record, places[-1])


def _checked(record: FolderRecord, path: str) -> str:
    if model_digest(path).hex() != record.base_model_sha256:
        raise ModelError(
            f"{path} is not the base model that this adapter was trained on",
            where=f"SHA-256 {record.base_model_sha256[:16]}...",
            hint=f"give the files of {record.base} with --base; the digest covers weights, config and tokenizer",
        )
    return path
