"""``[privacy]``: the unit that differential privacy protects, a tagged union by ``unit``.

The rule kept here: a key stands only in the section of the unit that reads it, so none can be set in vain. What the
numbers promise, and the noise that keeps it: ``privacy.plan``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from securefl.config.section import Section

Accountant = Literal["rdp", "pld", "prv"]
PrivateDescent = Literal["sgd", "adamw"]


OWN_DELTA: Final = 1e-5
"""Delta of a budget whose owner names its epsilon alone."""


class NoPrivacySection(Section):
    """No differential privacy; the ledger says epsilon = infinity."""

    unit: Literal["none"]

    @property
    def promised_epsilon(self) -> str:
        """Epsilon as a ledger names it."""
        return "infinity"


class _TargetSection(Section):
    """A promise of differential privacy for the whole federation."""

    target_epsilon: float = Field(gt=0, le=100)
    """Epsilon of all rounds together, at most."""
    delta: float = Field(default=1e-5, gt=0, le=1e-2)
    """Chance that the promise of epsilon does not hold; below 1 / rows of every client, or 1 / clients."""
    clip: float = Field(default=1.0, gt=0, le=1e6)
    """Under ``example`` the largest norm of one row's gradient, under ``client`` that of a client's whole update."""

    @property
    def promised_epsilon(self) -> str:
        """Epsilon as a ledger names it: it reads back as the same number."""
        return repr(self.target_epsilon)


class ExamplePrivacySection(_TargetSection):
    """Rows are protected: every client trains with DP-SGD on its own noise; useful with any number of clients."""

    unit: Literal["example"]
    clipping: Literal["flat", "per-layer"] = "flat"
    """``flat``: one norm of the whole gradient; ``per-layer``: the same for each tensor, to the same norm in all."""
    descent: PrivateDescent = "sgd"
    """``sgd``: steps along the noised sum, by the deviation of its noise; ``adamw``: as without privacy."""
    accountant: Accountant = "pld"
    """Who computes epsilon: Renyi divergence, privacy loss distributions (tighter), or those of Opacus."""
    group_column: str | None = None
    """Column that names the person whom a row is about; rows of one person are then protected together."""
    max_per_group: int | None = Field(default=None, ge=1, le=1000)
    """Most rows of one person; rows beyond are left out of training."""

    @model_validator(mode="after")
    def _persons_have_column_and_bound(self) -> Self:
        if (self.group_column is None) != (self.max_per_group is None):
            raise ValueError(
                'group_column and max_per_group go together: write both, such as group_column = "patient" and '
                "max_per_group = 4, or neither"
            )
        return self


class ClientPrivacySection(_TargetSection):
    """Whole clients are protected, by noise that they share; useful with hundreds of clients and a small payload."""

    unit: Literal["client"]
    mechanism: Literal["discrete-gaussian", "skellam"] = "discrete-gaussian"
    """Distribution of a client's share of the noise."""
    accountant: Accountant | None = None
    """Who computes epsilon; without it ``pld``, and ``rdp`` for Skellam noise, which has no other bound."""
    force: bool = False
    """True to run with noise that leaves a predicted cosine below 0.5; it changes no promise."""

    @model_validator(mode="after")
    def _skellam_has_one_accountant(self) -> Self:
        if self.mechanism == "skellam" and self.accountant not in (None, "rdp"):
            raise ValueError(
                f'accountant "{self.accountant}" has no bound for mechanism = "skellam"; write accountant = "rdp", or '
                'mechanism = "discrete-gaussian"'
            )
        return self

    @property
    def accounted_by(self) -> Accountant:
        """Name of the accountant."""
        return self.accountant or ("rdp" if self.mechanism == "skellam" else "pld")


PrivacySection = Annotated[
    NoPrivacySection | ExamplePrivacySection | ClientPrivacySection, Field(discriminator="unit")
]
NO_PRIVACY = NoPrivacySection(unit="none")


class OwnPrivacySection(Section):
    """``[privacy]`` of a ``client.toml``: the budget of this client's data over all federations, which is its own."""

    budget_epsilon: float | None = Field(default=None, gt=0, le=1000)
    """Epsilon that all federations together may spend on this data; without it, the federation's target."""
    budget_delta: float | None = Field(default=None, gt=0, le=1e-2)
    """Delta of that epsilon; charges are computed at the smaller one of this and the federation's. Without it 1e-5
    where ``budget_epsilon`` is set, else the federation's: the lead of a federation chooses that one."""
    ledger: Path | None = None
    """Folder of the budget's ledgers; without it, one in the state folder of this machine's user. It must outlive runs:
    two federations on the same data know of each other by it alone."""
    receipts: Path | None = None
    """Folder of receipts of the ledgers and of marks of the data's rows; without it, one in the data folder of this
    machine's user. Apart from the ledgers, and best on another disk: an old copy of the ledgers is found by them."""

    def delta_beside(self, promised: float) -> float:
        """Delta of the budget, in a federation that promises another one."""
        if self.budget_delta is not None:
            return min(self.budget_delta, promised)
        return promised if self.budget_epsilon is None else min(OWN_DELTA, promised)
