"""A member decides what its own hardware does; what contradicts itself or the federation's batch is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from securefl.config.member import FILE_NAME, load_client_settings
from securefl.errors import ConfigError
from securefl.protocol.federation import Federation
from securefl_client.folder import ClientFolder


@pytest.fixture
def loaded(provisioned: Callable[[str], Path], tmp_path: Path) -> Callable[..., ClientFolder]:
    """client-1's folder with choices of its own in [training]."""
    member = tmp_path / "client-1"
    shutil.copytree(provisioned("none") / "client-1", member)

    def load(**own: object) -> ClientFolder:
        settings = load_client_settings(member)
        training = settings.training.model_copy(update=own)
        (member / FILE_NAME).write_text(settings.model_copy(update={"training": training}).to_toml())
        return ClientFolder.load(member, now=datetime.now(UTC))

    return load


def test_choices_of_ones_own_hardware_leave_the_federation_as_it_is(
    loaded: Callable[..., ClientFolder],
) -> None:
    plain: Federation = loaded().federation
    own = loaded(base_precision="bf16", gradient_checkpointing=True, micro_batch_size=2)
    assert own.federation.digest == plain.digest
    assert own.settings.training.micro_batch_size == 2


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"micro_batch_size": 17}, r"'training.micro_batch_size' is 17, .* has 16 rows.*client\.toml"),
        ({"base_precision": "bf16", "precision": "float32"}, r"'training.base_precision' is \"bf16\""),
    ],
)
def test_choices_that_contradict_each_other_are_refused(
    loaded: Callable[..., ClientFolder], own: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        loaded(**own)
