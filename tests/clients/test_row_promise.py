"""A member's folder whose federation would not keep its promise to rows is not used, whoever made it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.load import load_federation
from securefl.errors import ConfigError, IdentityError
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder

LAYOUT = Layout((TensorSpec("layer", 6, 4, TensorKind.ADAPTED),))
FED = """
[federation]
name = "own"
[lora]
lora_alpha = 8
[payload]
name = "dense"
[aggregation]
weights = "equal"
[head]
rows = "together"
start = "zeros"
logit_adjustment = false
[cohort]
clients = [{ r = 1 }, { r = 2 }, { r = 3 }]
"""
PROMISE = '[privacy]\nunit = "example"\ntarget_epsilon = 8\n'


def founded(folder: Path, text: str) -> Path:
    (folder / "FED.toml").write_text(text)
    config = load_federation(folder / "FED.toml", own_models=True)
    provision(config, folder / "members", layout=LAYOUT, emit=lambda event: None)
    return folder / "members" / "client-1"


def test_learners_of_the_members_own_cannot_be_promised_to_protect_rows(tmp_path: Path) -> None:
    """Nobody knows how they train, and the first round would end without a charge."""
    with pytest.raises(ConfigError, match="own learners train, whose gradients of rows nobody noises"):
        founded(tmp_path, FED + PROMISE)


def test_a_member_does_not_start_in_a_federation_that_breaks_its_promise_to_rows(tmp_path: Path) -> None:
    """Its lead has written the promise into a file that was never looked at as a whole."""
    member = founded(tmp_path, FED)
    ClientFolder.load(member, now=datetime.now(UTC))
    path = member / "federation.json"
    file = json.loads(path.read_text())
    promised = {"unit": "example", "target_epsilon": 8.0, "delta": 1e-5, "clip": 1.0}
    file["terms"]["privacy"] = promised | {
        "clipping": "flat",
        "descent": "sgd",
        "accountant": "rdp",
        "group_column": None,
        "max_per_group": None,
    }
    path.write_text(json.dumps(file))
    with pytest.raises(IdentityError, match="would not keep its promise to rows"):
        ClientFolder.load(member, now=datetime.now(UTC))
