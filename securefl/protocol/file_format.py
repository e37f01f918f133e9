"""The files that provisioning writes once and everybody reads: one version for all of them.

The rule kept here: a file is read only under the version that it names, and a key that this version does not know
is refused, since a member that skipped it would agree to less than the others. A later version may add a key that
has a default, if the default means what its absence meant: at the default the key is left out of the file and of
the canonical form, so that older files keep their digests, and a file that uses it is refused by older versions.
Anything else is a new version of the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from securefl.errors import IdentityError

FILE_VERSION: Final = 3
"""Version of ``federation.json`` and ``server.json``; 2 had no keys that boxes are sealed for; securefl 0.1.0 wrote 1,
and none into ``server.json``."""
_VERSION_KEY: Final = "version"
Parsed = TypeVar("Parsed", bound=BaseModel)


def parsed(model: type[Parsed], text: str, *, where: str) -> Parsed:
    """An object of ``model`` from a file's JSON text; the file's version is checked first, and is no key of the model.

    Raises:
        IdentityError: if it is no JSON, of another version, or not what the model says.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise IdentityError(
            "a federation's file is no JSON", where=where, hint="copy the folder from the lead again"
        ) from None
    if not isinstance(value, Mapping):
        raise IdentityError(
            "a federation's file holds no table", where=where, hint="copy the folder from the lead again"
        )
    _check_version(value.get(_VERSION_KEY), where=where)
    try:
        return model.model_validate({key: item for key, item in value.items() if key != _VERSION_KEY})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise IdentityError(
                f"this version of securefl does not know '{key}' in a federation's file",
                where=where,
                hint="a newer version wrote it: install that version here too",
            ) from None
        raise IdentityError(
            f"'{key}' is {'missing' if first['type'] == 'missing' else 'wrong'} in a federation's file",
            where=where,
            hint="copy the folder from the lead again",
        ) from None


def file_text(model: BaseModel) -> str:
    """The text of a file: its version, and the model's keys in alphabetical order."""
    values = {_VERSION_KEY: FILE_VERSION, **model.model_dump(mode="json")}
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def canonical(model: BaseModel) -> bytes:
    """One byte string for one object: sorted keys, no spaces, ASCII; floats in Python's shortest round-trip form."""
    values = {_VERSION_KEY: FILE_VERSION, **model.model_dump(mode="json")}
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")


def _check_version(version: object, *, where: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int | None):
        raise IdentityError(
            "'version' is wrong in a federation's file",
            where=where,
            hint=f"this version of securefl reads {FILE_VERSION}",
        )
    if version is None or version < FILE_VERSION:
        raise IdentityError(
            "the folder was made by an earlier version of securefl, whose files are not read by this one",
            where=where,
            hint="provision anew with this version: 'securefl init FED.toml DIR' makes new folders for all members; "
            "a run that has ended is audited with the version that made it",
        )
    if version > FILE_VERSION:
        raise IdentityError(
            f"the folder was made by a newer version of securefl: its files are of version {version}, this one reads "
            f"{FILE_VERSION}",
            where=where,
            hint="install that version here too",
        )
