"""Paths of ``FED.toml`` and ``client.toml``: they count from the file's folder, and ``~`` is somebody's home.

The rule kept here: this runs before anything is checked, so whatever is no text is left as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from securefl.errors import ConfigError

_PATHS: Final = {"federation": ("labels",), "data": ("train", "test"), "privacy": ("ledger", "receipts")}
"""Keys that hold paths, by section."""


def make_paths_absolute(table: dict[str, Any], folder: Path, *, where: str) -> None:
    """Rewrites the paths in a file's tables, in place.

    Args:
        table: All tables of the file.
        folder: The file's own folder, absolute.
        where: The file, for errors.

    Raises:
        ConfigError: if a path begins with ``~`` and a name that is no user of this machine.
    """
    for section, keys in _PATHS.items():
        _rewrite(table.get(section), keys, folder, section=section, where=where)
    cohort = table.get("cohort")
    clients = cohort.get("clients") if isinstance(cohort, dict) else None
    for place, client in enumerate(clients if isinstance(clients, list) else []):
        _rewrite(client, ("train", "test"), folder, section=f"cohort.clients[{place}]", where=where)
        _rewrite_model(client, "model", folder, section=f"cohort.clients[{place}]", where=where)
    task = table.get("task")
    if isinstance(task, dict) and not is_template(task.get("chat_template")):
        _rewrite(task, ("chat_template",), folder, section="task", where=where)
    _rewrite_model(table.get("model"), "path", folder, section="model", where=where)


def _rewrite_model(table: object, key: str, folder: Path, *, section: str, where: str) -> None:
    if isinstance(table, dict) and _is_path(table.get(key)):
        table[key] = _model_path(table[key], folder, key=f"{section}.{key}", where=where)


def is_template(value: object) -> bool:
    """True if a value is a template in Jinja itself, and no path of a file with one."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _rewrite(table: object, keys: tuple[str, ...], folder: Path, *, section: str, where: str) -> None:
    if not isinstance(table, dict):
        return
    for key in keys:
        if _is_path(table.get(key)):
            table[key] = str(_absolute(table[key], folder, key=f"{section}.{key}", where=where))


def _is_path(value: object) -> bool:
    """Say if a value is a text that can name a file; checking refuses the others."""
    return isinstance(value, str) and bool(value.strip()) and "\x00" not in value


def _absolute(text: str, folder: Path, *, key: str, where: str) -> Path:
    path = Path(text)
    if text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise ConfigError(
                f"'{key}' is wrong",
                where=where,
                hint=f"it begins with {path.parts[0]}, and no user of that name has a home on this machine; write "
                "the whole path, or ./ before a file whose name begins with ~",
            ) from None
    return (folder / path).resolve()


def _model_path(text: str, folder: Path, *, key: str, where: str) -> str:
    """A folder's path made absolute; a hub id or a package stays what it is."""
    if text.startswith("~"):
        return str(_absolute(text, folder, key=key, where=where))
    path = folder / text
    return str(path.resolve()) if text.startswith((".", "/")) or _is_folder(path) else text


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name longer than the file system allows
        return False
