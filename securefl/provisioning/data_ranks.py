"""Ranks that follow the volume of each client's data, fixed before anything is pinned (after HLoRA, arXiv 2503.00813).

The client with the most training rows gets the rank ``most``, and every other one the share of it that its rows are of
those, rounded, and at least ``least``:

    r_k = max(least, round(most n_k / max_j n_j))

The paper says that ranks follow data and resources; its formula could not be read, so this one is ours.

Guarantee: none. Ranks are public, so that everybody learns each n_k / max_j n_j to about half of 1 / most. Under
differential privacy of clients or rows the choice is refused (``config.privacy_misfits``).
"""

from __future__ import annotations

from collections.abc import Mapping

from securefl.config.cohort import DataRanks
from securefl.config.federation import FederationConfig
from securefl.errors import ConfigError
from securefl.provisioning.data_terms import facts_of_data

_WORD = "'cohort.ranks' follow the clients' data"


def with_data_ranks(config: FederationConfig) -> FederationConfig:
    """The file with a rank for each client, where its ranks follow the data; else the file as it is.

    Raises:
        ConfigError: if the rows of a client do not lie on this machine.
        DataError: if the data does not fit; see ``facts_of_data``.
    """
    rule = config.cohort.ranks
    if not isinstance(rule, DataRanks):
        return config
    counts = {member: sum(each.train.values()) for member, each in facts_of_data(config).clients.items()}
    unknown = [member for member in config.ranks if member not in counts]
    if unknown:
        raise ConfigError(
            f"{_WORD}, and the rows of {unknown[0]} do not lie on this machine",
            where="cohort.ranks",
            hint="leave ranks out, and give every client its r",
        )
    ranks = ranks_by_rows(counts, rule)
    clients = tuple(
        client.model_copy(update={"r": ranks[str(client.id)]}) for client in config.cohort.clients
    )
    cohort = config.cohort.model_copy(update={"clients": clients, "ranks": None})
    return config.model_copy(update={"cohort": cohort})


def without_data_ranks(config: FederationConfig) -> FederationConfig:
    """The file as it is.

    Raises:
        ConfigError: if its ranks follow data, of which nothing is read here.
    """
    if not isinstance(config.cohort.ranks, DataRanks):
        return config
    raise ConfigError(
        f"{_WORD}, and with models of the members' own no data is read here",
        where="cohort.ranks",
        hint="leave ranks out, and give every client its r",
    )


def ranks_by_rows(rows: Mapping[str, int], rule: DataRanks) -> dict[str, int]:
    """A rank for each client.

    Args:
        rows: Training rows by client, the largest at least 1.
        rule: The smallest and the largest rank.

    Example:
        >>> ranks_by_rows({"a": 100, "b": 30, "c": 1}, DataRanks(by="data", least=2, most=16))
        {'a': 16, 'b': 5, 'c': 2}
    """
    largest = max(rows.values())
    # Halves up, in whole numbers.
    return {
        member: max(rule.least, (2 * rule.most * count + largest) // (2 * largest))
        for member, count in rows.items()
    }
