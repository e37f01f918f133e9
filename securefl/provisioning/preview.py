"""The federation that a ``FED.toml`` would provision, before there are keys: everything that decides a plan is in it.

The rule kept here: it is drafted by what ``securefl init`` drafts with, so a plan cannot differ from what will run;
what provisioning draws at random (ids, keys, digests) is zeros here, of the same lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.adapters.layout import Layout
from securefl.config.federation import FederationConfig
from securefl.crypto.sealed_box import KemKey
from securefl.protocol.federation import Federation, Member
from securefl.provisioning.data_ranks import with_data_ranks, without_data_ranks

if TYPE_CHECKING:
    from securefl.provisioning.draft import Draft

ZEROS = bytes(32)
"""In place of a digest or a key: sizes depend on its length only."""


def preview(config: FederationConfig) -> Federation:
    """The federation without its keys; it takes the model's config and the data that lies on this machine.

    Raises:
        ConfigError, CapacityError, DataError, ModelError: what provisioning would raise.
    """
    return preview_draft(config).federation


def preview_draft(config: FederationConfig) -> Draft:
    """The federation without its keys, and what was seen of the data.

    Raises:
        ConfigError, CapacityError, DataError, ModelError: what provisioning would raise.
    """
    # Looking at a model takes torch and transformers, which nobody who has a provisioned federation must wait for.
    from securefl.training.libraries import load_libraries

    load_libraries()
    from securefl.provisioning.draft import draft_federation, draft_of_backbones

    config = with_data_ranks(config)
    if config.recipe.own_backbones:
        return draft_of_backbones(config, roster=_roster(config), federation_id=ZEROS)
    return draft_federation(config, roster=_roster(config), federation_id=ZEROS, model_digest=ZEROS)


def preview_of_layout(config: FederationConfig, layout: Layout) -> Federation:
    """Preview a federation whose members have models of their own, without its keys; nothing is read.

    Raises:
        ConfigError, CapacityError: what provisioning would raise.
    """
    from securefl.provisioning.draft import draft_of_layout

    config = without_data_ranks(config)
    return draft_of_layout(config, layout, roster=_roster(config), federation_id=ZEROS).federation


def _roster(config: FederationConfig) -> tuple[Member, ...]:
    # A key of the right form, since a federation file with another one is refused; nobody keeps a secret by it.
    kem_key = KemKey(ZEROS).public_key
    return tuple(
        Member(id=member, rank=rank, signing_key=ZEROS, certificate=ZEROS, kem_key=kem_key)
        for member, rank in config.ranks.items()
    )
