"""A federation's promise of privacy, to clients or to rows: whoever relies on it looks at what was pinned.

The rule kept here: a member trusts no lead with it, and neither does the lead itself nor an audit; all ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from securefl.errors import ConfigError, IdentityError
from securefl.protocol.client_noise import check_client_promise
from securefl.protocol.federation import Federation
from securefl.protocol.row_promise import check_row_promise

_CHECKS: Final[Mapping[str, Callable[[Federation], None]]] = {
    "clients": check_client_promise,
    "rows": check_row_promise,
}
"""By those whom they protect."""


def check_promise(federation: Federation) -> None:
    """Refuse a federation whose rounds would not keep its promise, whomever it protects; nothing where it makes none.

    Raises:
        ConfigError: with what does not hold.
    """
    for check in _CHECKS.values():
        check(federation)


def broken_promises(federation: Federation) -> Iterator[str]:
    """Clauses on whom a federation's rounds do not protect as promised, and why; nothing where they keep it."""
    for protected, check in _CHECKS.items():
        try:
            check(federation)
        except ConfigError as error:
            yield f"its promise to {protected}: {error.what}"


def require_promise(federation: Federation, *, where: str) -> None:
    """The same at a member, before it does anything in the federation.

    Raises:
        IdentityError: with what does not hold.
    """
    for broken in broken_promises(federation):
        raise IdentityError(
            f"this federation would not keep {broken}",
            where=where,
            hint="ask the lead to provision anew; nothing was sent",
        )
