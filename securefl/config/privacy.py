"""``[privacy]``: the unit that differential privacy protects."""

from __future__ import annotations

from typing import Literal

from securefl.config.section import Section


class PrivacySection(Section):
    """``[privacy]``: without differential privacy, the ledger says epsilon = infinity."""

    unit: Literal["none"] = "none"
