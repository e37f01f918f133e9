"""Accountants by the names that a configuration has for them."""

from __future__ import annotations

from typing import Literal, assert_never

from securefl.privacy.accounting.base import Accountant
from securefl.privacy.accounting.pld import PldAccountant
from securefl.privacy.accounting.prv import PrvAccountant
from securefl.privacy.accounting.rdp import RdpAccountant

AccountantName = Literal["rdp", "pld", "prv"]


def accountant_named(name: AccountantName) -> Accountant:
    """Make an accountant."""
    match name:
        case "rdp":
            return RdpAccountant()
        case "pld":
            return PldAccountant()
        case "prv":
            return PrvAccountant()
        case _:
            assert_never(name)
