"""Sentences of an audit for whoever answers for privacy: what was promised, what was verified, what it cannot see.

The rule kept here: what is not checked by this program is said to be out of its sight, and nothing else is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from securefl.auditing.privacy_accounts import PrivacyAudit, Promise


def promised(audit: PrivacyAudit) -> tuple[str, ...]:
    """Sentences on the promise of a federation file."""
    promise = audit.promise
    if promise is None:
        return (
            "No differential privacy was promised: the sums that members open are exact, so epsilon is infinite.",
            "What was promised is that nobody sees the update of a single member; sums of few members can still tell "
            "of their data.",
        )
    rounds = f"{audit.rounds} rounds together" if audit.rounds != 1 else "the only round"
    return (
        f"{_protected(promise)} is protected with epsilon {promise.epsilon:g} at delta {promise.delta:g} "
        f"(1 in {1 / promise.delta:,.0f}) over {rounds}.",
        "This means: whatever anybody concludes from all that left the clients becomes at most "
        f"exp({promise.epsilon:g}) = {_factor(promise.epsilon)} times as likely by {_one(promise)} being there or not, "
        "but for a probability of delta. The closer this factor is to 1, the better the protection: who would have to "
        f"guess by a coin, right in 50 % of all cases, may be right in up to {_sure(promise.epsilon)} of them.",
        *_noise(promise),
    )


def _noise(promise: Promise) -> Iterator[str]:
    """A sentence on what noise hides a client."""
    if promise.honest is None:
        return
    if promise.scheme == "kahe":
        yield f"What hides a client is the noise of h = {promise.honest} honest clients in every sum."
    else:
        reader = "the server" if promise.scheme == "none" else "the server with any one client"
        yield (
            f'What hides a client is its own noise, h = {promise.honest}: under encryption scheme "{promise.scheme}" '
            f"{reader} reads single contributions."
        )


def verified(audit: PrivacyAudit) -> tuple[str, ...]:
    """Sentences on what the audit has looked at; its findings name where one of them does not hold."""
    of_run = (
        "Every line of every member's ledger of the run: its signature, its place in the chain, and its order.",
        "Every sum: opened by all members to the same integers, and certified by enough signed votes.",
    )
    if audit.promise is None:
        return of_run
    names = sorted({name for client in audit.clients for name in client.opinions.epsilons})
    return (
        *of_run,
        "Every line of every budget's ledger that lies here: its signature and its place in the chain.",
        "Every contribution that a client's ledger of the run names has a charge in the client's budget, made before "
        "it left.",
        _charges(audit.promise),
        "The ledger of each budget goes on from every head that certificates, the client's ledger of the run and "
        "receipts on this machine keep of it; the copy in the run's folder has all charges of the run; and a ledger "
        "that lies on this machine has its key, its own marks of rows, and a receipt of every entry that a "
        "contribution named.",
        "Every figure of privacy in the results that follows from the promise and the ledgers.",
        f"Epsilon of all charges, computed anew from the ledgers alone by {' and '.join(names) or 'nobody'}; no figure "
        f"of the run was believed. Each of them is an upper bound: the promise is held against that of "
        f"{audit.promise.accountant}, and a larger one of another accountant is only less exact.",
        *_shown(audit),
    )


def _shown(audit: PrivacyAudit) -> Iterator[str]:
    """A sentence on noise that one accountant alone has a bound of."""
    least = max((client.least for client in audit.clients), default=0.0)
    if least > 0:
        yield (
            "Skellam noise has one accountant, so a lower bound stands in for a second one: the best test on two "
            f"neighbouring sums shows epsilon {least:.3g} at least, and no accountant may compute less. A mistake of "
            "the accountant within this distance would not be seen."
        )


def _charges(promise: Promise) -> str:
    """A sentence on what a charge was held against."""
    if promise.unit == "client":
        return "Every charge is the release that the federation file makes its clients run in that round."
    return "Every charge has the samples and steps of a training that the federation file makes of some number of rows."


def out_of_scope(audit: PrivacyAudit) -> tuple[str, ...]:
    """Sentences on what this audit cannot see, and on what was not promised."""
    return tuple(_out_of_scope(audit.promise))


def _out_of_scope(promise: Promise | None) -> Iterator[str]:
    yield (
        "Programs: that a client ran the mechanism which it charged. securefl audit --empirical attacks the mechanism "
        "that is installed on this machine, and no other."
        if promise
        else "Programs: that a member ran the program which it says."
    )
    yield "The federation file: whoever can replace it with all ledgers and results can make up a run."
    yield "Other files of the run: its plan, its copy of the file that it was made from, logs and saved adapters."
    if promise is None:
        yield "What the sums themselves tell of rows or of members: nothing here bounds it."
        return
    yield (
        "Other runs: epsilon of all runs counts what the ledgers of this client's budgets name that lie here. Where "
        "only the copy in the run's folder is here, later runs are not in it, and runs on other data that shares rows "
        "stand in other ledgers; the client itself counts them."
    )
    if promise.unit == "example":
        yield (
            "The number of a client's rows: what a training costs follows from it, and nobody else knows it. A client "
            "that charges as if it had more rows than it has pays too little, unseen."
        )
        yield "Whole clients: that one takes part, and about how many rows it has, is no secret."
        if promise.per_person is None:
            yield (
                "Persons: if several rows are about one person, this person has less protection than one row. "
                "privacy.group_column and max_per_group protect persons."
            )
    elif promise.scheme == "kahe":
        yield (
            "Colluders: the noise of as many honest members as the federation file counts on is charged. Where more "
            "members pool what they know, less noise is left."
        )
    yield (
        "The end of a budget's ledger: what was charged after the newest head that others keep can be taken away "
        "unseen."
    )
    yield "Times: how long a client trains depends on its data, and whoever sees its messages sees their times."
    if promise.unit == "example":
        yield (
            "Edited data: a row that was changed is another row with a budget of its own, and nothing here sees that "
            "both are about the same person."
        )
    else:
        yield (
            "Other names: all charges of a client's id on one machine count together, whatever its rows. Under another "
            "id and with other rows, or on another machine, the same client has a budget of its own."
        )
    yield (
        "What clients keep: adapters and heads of their own, and the figures in their results, may be made without "
        "noise. The promise does not cover them once they are given away."
    )


def _factor(epsilon: float) -> str:
    factor = math.exp(epsilon)
    return f"{factor:.3g}" if factor < 100 else f"{factor:,.0f}"


def _sure(epsilon: float) -> str:
    """Largest share of right guesses between two equally likely cases, rounded up."""
    return f"{math.ceil(1e4 / (1 + math.exp(-epsilon))) / 100:g} %"


def _protected(promise: Promise) -> str:
    if promise.unit == "client":
        return "Every client as a whole"
    if promise.per_person is not None:
        return f"Every person, with up to {promise.per_person} rows at a client,"
    return "Every single row"


def _one(promise: Promise) -> str:
    if promise.unit == "client":
        return "a client's whole update"
    return "a person's rows" if promise.per_person is not None else "a row"
