"""Places of a base model's files, and the digest that pins them.

The rule kept here: whatever names a model (a folder, a hub id, an installed package) becomes one local
folder, and everything after that reads the folder and nothing else. Weights are safetensors; pickled weights
are never opened, and a model's own code is never run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from securefl.errors import ModelError

PACKAGE = "package:"
"""Prefix before the name of an installed package that carries a model in its folder ``model``."""
_DIGEST_DOMAIN = b"securefl/v2/model\x00"
_WEIGHTS = ("*.safetensors", "model.safetensors.index.json")
_OTHERS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "chat_template.jinja",
)
_CHUNK_BYTES = 1 << 20


def resolve_model(path: str) -> Path:
    """The folder with the model's files.

    Args:
        path: A folder, a hub id such as ``sentence-transformers/all-MiniLM-L6-v2`` (taken from the local
            cache where it is there, else downloaded), or ``package:NAME`` for an installed package that
            carries a model.

    Raises:
        ModelError: if it is not there, cannot be downloaded, or has no config or no safetensors.
    """
    if path.startswith(PACKAGE):
        return _complete(_package_folder(path.removeprefix(PACKAGE)), path)
    folder = Path(path).expanduser()
    if folder.is_dir():
        return _complete(folder, path)
    if not _looks_like_hub_id(path):
        raise ModelError(
            f"there is no model folder {path}",
            where="model.path",
            hint="give a folder with config.json and model.safetensors, or a hub id such as owner/name",
        )
    return _complete(_hub_folder(path), path)


def is_here(path: str) -> bool:
    """True if a model's files lie on this machine by name: a folder, or an installed package; nothing is fetched."""
    if path.startswith(PACKAGE):
        return importlib.util.find_spec(path.removeprefix(PACKAGE).replace("-", "_")) is not None
    return Path(path).expanduser().is_dir()


def public_id(path: str) -> str | None:
    """A model's name at its hub, ``owner/name``, as far as the place of its files tells; None elsewhere.

    The place is a hub id itself, a folder of the hub's cache, or an installed package whose summary names one model.
    A config's ``_name_or_path`` is not believed: it names what a model was made from.

    Args:
        path: As for ``resolve_model``; nothing is read of a model.
    """
    if path.startswith(PACKAGE):
        return _packaged_id(path.removeprefix(PACKAGE))
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return path if _looks_like_hub_id(path) else None
    cached = [part for part in folder.parts if re.fullmatch(r"models--[^-].*?--.+", part)]
    return cached[-1].removeprefix("models--").replace("--", "/", 1) if cached else None


def _packaged_id(name: str) -> str | None:
    try:
        summary = metadata(name)["Summary"] or ""
    except PackageNotFoundError:
        return None
    named = re.findall(r"(?<![\w/.:])[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*[A-Za-z0-9](?![\w/])", summary)
    # A package is named after its model; anything else with a stroke, such as "and/or", is none.
    fitting = {found for found in named if _plain(found.partition("/")[2]) in _plain(name)}
    return fitting.pop() if len(fitting) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def model_digest(path: str) -> bytes:
    """SHA-256 (32 bytes) over names and contents of config, weights and tokenizer files; see ``resolve_model``.

    Raises:
        ModelError: as ``resolve_model`` does, or if a file cannot be read.
    """
    folder = resolve_model(path)
    whole = hashlib.sha256(_DIGEST_DOMAIN)
    for file in _model_files(folder):
        try:
            content = _file_digest(file)
        except OSError as error:
            raise ModelError(f"{file} cannot be read", hint=str(error)) from None
        name = file.name.encode()
        whole.update(len(name).to_bytes(4, "big") + name + content)
    return whole.digest()


def _model_files(folder: Path) -> list[Path]:
    found = {file for pattern in (*_WEIGHTS, *_OTHERS) for file in folder.glob(pattern) if file.is_file()}
    return sorted(found, key=lambda file: file.name)


def _file_digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _complete(folder: Path, path: str) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{path} is no model", where="model.path", hint=f"there is no config.json in {folder}"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{path} has no safetensors weights",
            where="model.path",
            hint="pickled weights are not opened; convert them with save_pretrained(folder) in a place you trust",
        )
    return folder


def _package_folder(name: str) -> Path:
    module = name.replace("-", "_")
    # find_spec of a name with dots would import its parents, and the module itself is never imported.
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the package {name} is not installed", where="model.path", hint="pip install 'securefl[demo]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _looks_like_hub_id(path: str) -> bool:
    owner, _, name = path.partition("/")
    return bool(owner and name) and "/" not in name and not path.startswith((".", "~", "/"))


def _hub_folder(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [*_WEIGHTS, *_OTHERS]
    try:
        cached = Path(snapshot_download(hub_id, allow_patterns=patterns, local_files_only=True))
        if (cached / "config.json").is_file() and any(cached.glob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        # Not in the cache yet, so it is fetched below.
        pass
    except HFValidationError:
        raise ModelError(f"'{hub_id}' is neither a folder nor a hub id", where="model.path") from None
    try:
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"the model {hub_id} is neither a folder nor in the local cache, and cannot be downloaded",
            where="model.path",
            hint=f"check its name and the network ({type(error).__name__}), or give a folder",
        ) from None
