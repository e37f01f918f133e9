"""``[cohort]``: the members, their ranks and their weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from securefl.config.model import Rank
from securefl.config.names import Name
from securefl.config.rank_mix import MixRanks
from securefl.config.section import Section
from securefl.config.values import MAY_BE_EMPTY

RESERVED_IDS = ("lead", "server")
"""Names of folders that ``securefl init`` makes beside the clients'."""
MIN_COHORT = 3
"""With two members each would read the other's update out of the sum."""
MAX_COHORT = 1000
"""Most members whose integers add up within 64 bits before anything is reduced (``crypto.profiles``), and whose packed
shares were shown to open exactly (``crypto.shares``)."""


class MemberSection(Section):
    """One entry of ``[cohort] clients``."""

    id: Name | None = None
    r: Rank | None = None
    train: str | None = None
    test: str | None = None
    column_values: Annotated[tuple[str, ...] | None, MAY_BE_EMPTY] = None
    """For ``split.by = "column"``: the values whose rows are this client's."""
    model: str | None = None
    """With ``recipe.personal = "backbone"``: this client's base model, in place of ``[model] path``."""


class DataRanks(Section):
    """``[cohort] ranks``: ranks that follow the clients' numbers of training rows, all of which the lead reads.

    They are public, so that each number of rows, as a share of the largest one, is public to about half of 1 / most.
    """

    by: Literal["data"]
    least: Rank = 1
    most: Rank = 16
    """Rank of the client with the most rows; that of another one is its share of them."""

    @model_validator(mode="after")
    def _least_is_least(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least is {self.least}, and most is {self.most}: set a smaller least")
        return self


class CohortSection(Section):
    """``[cohort]``: who takes part, and with which rank."""

    clients: tuple[MemberSection, ...] = Field(default=(MemberSection(),) * 4, validate_default=True)
    ranks: DataRanks | MixRanks | None = Field(default=None, discriminator="by")
    """In the place of every client's ``r``: ``{ by = "data", least = 1, most = 16 }`` for ranks that follow the data,
    or ``{ by = "mix", shape = "heavy-tail-light", of = [2, 4, 8, 16] }`` for ranks that are dealt out."""
    samples_cap: int | None = Field(default=None, ge=1)
    """Weight of a client = min(samples / cap, 1), sent encrypted; without it, the equal share of the training file.
    Under ``aggregation.weights = "samples"`` a bound that no client may exceed; without it, the next power of two above
    the largest client's count."""

    @field_validator("clients")
    @classmethod
    def _enough_and_distinct(cls, clients: tuple[MemberSection, ...]) -> tuple[MemberSection, ...]:
        if not MIN_COHORT <= len(clients) <= MAX_COHORT:
            raise ValueError(
                f"{len(clients)} clients: a federation has {MIN_COHORT} to {MAX_COHORT}, because in a sum of two "
                "each member reads the other's update; write clients = [{ r = 2 }, { r = 4 }, { r = 8 }]"
            )
        named = tuple(
            member.model_copy(update={"id": member.id or f"client-{number}"})
            for number, member in enumerate(clients, start=1)
        )
        ids = [member.id for member in named]
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise ValueError(
                f"two clients carry the same id, '{twice}'; give each its own, such as id = \"bank\" (a client without "
                "id is called client-1, client-2, ... by its place)"
            )
        reserved = [str(name) for name in ids if name in RESERVED_IDS]
        if reserved:
            raise ValueError(
                f"a client is called '{reserved[0]}', but the folders 'lead' and 'server' are not clients'; "
                'write another id, such as id = "client-1"'
            )
        return named

    @model_validator(mode="after")
    def _one_rule_of_ranks(self) -> Self:
        if self.ranks is not None and any(member.r is not None for member in self.clients):
            rule = "follow the data" if self.ranks.by == "data" else "are dealt out by a mix"
            raise ValueError(f"ranks {rule}, and a client has an r; leave one of them out")
        return self
