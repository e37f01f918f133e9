"""A client may take another rank than the roster says where every client is in every coordinate, and only there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.config.load import load_federation
from securefl.config.member import FILE_NAME, load_client_settings
from securefl.errors import ConfigError
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder

FEDERATION = """
[federation]
name = "colours"

[model]
path = "{base}/model"
max_length = 16

[data]
train = "{base}/rows.jsonl"

[payload]
name = "{payload}"

[encryption]
scheme = "none"

[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 8 }}]
"""


@pytest.fixture(scope="module")
def rank_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], int]:
    """The rank that client-1 (rostered with 2) takes under a payload when its own file says so."""
    base = tmp_path_factory.mktemp("own-rank")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=120)

    def rank(payload: str, own: int) -> int:
        folder = base / payload
        if not folder.exists():
            (base / "FED.toml").write_text(FEDERATION.format(base=base, payload=payload))
            provision(load_federation(base / "FED.toml"), folder, emit=lambda event: None)
        member = folder / "client-1"
        settings = load_client_settings(member)
        client = settings.client.model_copy(update={"r": own})
        (member / FILE_NAME).write_text(settings.model_copy(update={"client": client}).to_toml())
        return ClientFolder.load(member, now=datetime.now(UTC)).rank

    return rank


@pytest.mark.parametrize("payload", ["dense", "sketch"])
def test_a_payload_of_any_ranks_takes_the_clients_own(
    rank_of: Callable[[str, int], int], payload: str
) -> None:
    assert rank_of(payload, 6) == 6


@pytest.mark.parametrize("payload", ["dense", "sketch"])
def test_a_rank_that_no_weight_has_is_refused(rank_of: Callable[[str, int], int], payload: str) -> None:
    with pytest.raises(ConfigError, match="the narrowest weight here has no rank above 32"):
        rank_of(payload, 33)


@pytest.mark.parametrize("payload", ["basis", "state", "core"])
def test_a_payload_of_shared_coordinates_keeps_the_rosters_rank(
    rank_of: Callable[[str, int], int], payload: str
) -> None:
    assert rank_of(payload, 2) == 2
    with pytest.raises(ConfigError, match=f"'{payload}' needs the ranks that all members know"):
        rank_of(payload, 6)
