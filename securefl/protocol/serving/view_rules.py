"""The rules that a server goes by, from its file."""

from __future__ import annotations

from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH
from securefl.protocol.server_view import ServerView
from securefl.protocol.serving.server_state import ServerRules

SCHEME_WITH_SHARES = "kahe"
"""The scheme whose contributions come with packets of shares, and whose sums are opened by reveals."""


def rules_of(view: ServerView, *, key_epoch: int = FIRST_KEY_EPOCH) -> ServerRules:
    """Rules of a federation as its server knows it.

    Args:
        view: The server's file.
        key_epoch: Number of the rotation of keys.

    Raises:
        ConfigError: if the constants do not fit the roster.
    """
    return ServerRules(
        federation_digest=view.federation_digest,
        key_epoch=key_epoch,
        signing_keys={entry.id: entry.signing_key for entry in view.roster},
        first_round=view.first_round,
        rounds=view.rounds,
        constants=view.constants,
        shares=any(str(entry.scheme) == SCHEME_WITH_SHARES for entry in view.round_one),
        limits=view.server,
    )
