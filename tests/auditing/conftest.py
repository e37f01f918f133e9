"""What tests of audits share: a run that every member has paid for, and epsilons that are computed once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.private_accounts import Accounts


@cache
def _opinions_once():
    from securefl.auditing import privacy_accounts

    return cache(privacy_accounts.opinions)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opacus imports torch, so one test alone asks it; and no epsilon is computed twice."""
    from securefl.auditing import privacy_accounts
    from securefl.privacy.accounting import second_opinion

    monkeypatch.setattr(second_opinion.PrvAccountant, "installed", staticmethod(lambda: False))
    monkeypatch.setattr(privacy_accounts, "opinions", _opinions_once())


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    from support.private_accounts import paid

    return paid(tmp_path / "budgets")
