"""A promise to rows, held against all that a federation sums: every member does so by itself.

The rule kept here: under unit ``example`` nothing that depends on rows is summed but what DP-SGD has noised. The lead's
file is looked at before a federation is made (``config.privacy_misfits``); a member looks at what was pinned, because
it trusts no lead with its rows. What trains is looked at again when it is there (``dp_sgd.private_rounds``).
"""

from __future__ import annotations

from securefl.config.privacy import ExamplePrivacySection
from securefl.errors import ConfigError
from securefl.protocol.client_noise import sums_beside_noise
from securefl.protocol.federation import Federation
from securefl.protocol.terms import OwnTaskTerms


def check_row_promise(federation: Federation) -> None:
    """Refuse a federation whose rounds would not keep its promise to rows; nothing happens where it makes none.

    Guarantee: in a federation that passes, everything that members sum is an update that was trained on their rows
    by this program, without weights, losses, scores or statistics of the rows beside it.

    Raises:
        ConfigError: with what does not hold.
    """
    terms = federation.terms
    if not isinstance(terms.privacy, ExamplePrivacySection):
        return
    if isinstance(terms.task, OwnTaskTerms):
        raise _broken(
            "the members' own learners train, whose gradients of rows nobody noises",
            hint='write [privacy] unit = "client", which noises whole updates, or "none"',
        )
    beside = sums_beside_noise(federation)
    if beside is not None:
        raise _broken(beside, hint="provision anew from a file that 'securefl plan' accepts")


def _broken(reason: str, *, hint: str) -> ConfigError:
    return ConfigError(reason, where="[privacy]", hint=hint)
