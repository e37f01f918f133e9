"""An audit's report as the page that ``securefl audit --html`` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from securefl import __version__
from securefl.auditing.privacy_words import out_of_scope, promised, verified
from securefl.report.audit_page import AuditPage, Fact, Said, Table
from securefl.report.line_chart import DASHES, Line, LineChart

if TYPE_CHECKING:
    from securefl.auditing.privacy_accounts import ClientPrivacy, PrivacyAudit, Promise
    from securefl.auditing.run_audit import AuditReport

NAMED: Final = 3
"""Most clients that a line of the chart names."""
COLUMNS: Final = 8
"""Most rounds that the table of rounds shows."""
UNITS: Final = {"example": "rows", "client": "whole clients"}


def page_of(report: AuditReport) -> AuditPage:
    """Everything that the page of an audit shows."""
    privacy = report.privacy
    return AuditPage(
        run=report.folder.resolve().name,
        findings=tuple(Said(finding.member, finding.what.rstrip(".")) for finding in report.findings),
        facts=tuple(_facts(report)),
        chart=_chart(privacy, privacy.promise) if privacy.promise and privacy.clients else None,
        tables=(*(_tables(report, privacy.promise) if privacy.promise else ()), *_attacks(report)),
        promised=promised(privacy),
        verified=verified(privacy),
        out_of_scope=out_of_scope(privacy),
        version=__version__,
    )


def _doubted(report: AuditReport) -> frozenset[str]:
    """Clients of which something does not hold, so that their figures may be too small."""
    return frozenset(finding.member for finding in report.findings if finding.member)


def _name(member: str, doubted: frozenset[str]) -> str:
    return f"{member} (in doubt, see above)" if member in doubted else member


def _facts(report: AuditReport) -> Iterator[Fact]:
    promise, clients = report.privacy.promise, report.privacy.clients
    if promise is None:
        yield Fact("Epsilon", "infinite", "no noise was promised")
    else:
        most = max((client.opinions.epsilon for client in clients), default=None)
        yield Fact("Promised epsilon", f"{promise.epsilon:g}", f"at delta {promise.delta:g}")
        yield Fact(
            "Most epsilon spent",
            "unknown" if most is None else f"{most:.3g}",
            f"of one client, by {promise.accountant}" + _without(report),
        )
        person = promise.per_person is not None
        yield Fact("Protected", "persons" if person else UNITS[promise.unit])
    yield Fact("Clients", f"{len(report.members)}")
    yield Fact("Rounds", f"{report.rounds}")


def _without(report: AuditReport) -> str:
    """A clause on clients whose figures are missing or in doubt."""
    known = {client.member for client in report.privacy.clients}
    doubted = sorted(_doubted(report) | (set(report.members) - known))
    return f"; not counting on {_names(doubted)}" if doubted else ""


def _chart(privacy: PrivacyAudit, promise: Promise) -> LineChart:
    return LineChart(
        title=f"Epsilon spent after each round, and the promise of {promise.epsilon:g}",
        across="round",
        up="epsilon",
        lines=tuple(_lines(privacy)),
        limit=promise.epsilon,
        limit_name=f"promised: {promise.epsilon:g}",
    )


def _lines(privacy: PrivacyAudit) -> Iterator[Line]:
    """Lines of clients that spent alike, those that spent most first; those without room are left out."""
    alike: dict[tuple[tuple[int, str], ...], list[ClientPrivacy]] = defaultdict(list)
    for client in privacy.clients:
        finite = {number: value for number, value in client.after.items() if value < float("inf")}
        if finite:
            alike[tuple((number, f"{value:.3g}") for number, value in finite.items())].append(client)
    groups = sorted(alike.values(), key=lambda clients: -clients[0].opinions.epsilon)
    for clients in groups[: len(DASHES)]:
        values = {number: value for number, value in clients[0].after.items() if value < float("inf")}
        yield Line(_names([client.member for client in clients]), values)


def _names(members: list[str]) -> str:
    shown, left = members[:NAMED], len(members) - NAMED
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _tables(report: AuditReport, promise: Promise) -> Iterator[Table]:
    privacy, doubted = report.privacy, _doubted(report)
    yield _clients(privacy, promise, doubted)
    rounds = _few(sorted({number for client in privacy.clients for number in client.after}))
    if rounds:
        yield Table(
            "Epsilon after each round",
            ("client", *(f"round {number}" for number in rounds)),
            tuple(
                (_name(client.member, doubted), *(_epsilon(client.after.get(number)) for number in rounds))
                for client in privacy.clients
            ),
        )


def _attacks(report: AuditReport) -> Iterator[Table]:
    if report.attacks:
        yield Table(
            "Attacks on the mechanism that is installed here: what they prove, beside the claim",
            (
                "release",
                "rounds",
                "canaries",
                "proved epsilon",
                "as a Gaussian",
                "claimed",
                "advantage",
                "allowed",
            ),
            tuple(
                (
                    f"{number}",
                    f"{one.rounds}",
                    f"{one.canaries:,}",
                    *(_epsilon(value) for value in (one.steinke, one.gaussian, one.claimed)),
                    f"{one.advantage:.2f}",
                    "-" if one.claimed_advantage is None else f"{one.claimed_advantage:.2f}",
                )
                for number, one in enumerate(report.attacks, start=1)
            ),
        )


def _few(rounds: list[int]) -> list[int]:
    """At most ``COLUMNS`` of some rounds, evenly spread, the last one among them."""
    stride = -(-len(rounds) // COLUMNS) or 1
    return rounds[::-1][::stride][::-1]


def _clients(privacy: PrivacyAudit, promise: Promise, doubted: frozenset[str]) -> Table:
    names = sorted({name for client in privacy.clients for name in client.opinions.epsilons})
    rows = tuple(
        (
            _name(client.member, doubted),
            f"{len(client.charges)}",
            *(_epsilon(client.opinions.epsilons.get(name)) for name in names),
            _epsilon(max(0.0, promise.epsilon - client.opinions.epsilon)),
            _epsilon(client.spent),
        )
        for client in privacy.clients
    )
    columns = (
        "client",
        "charged",
        *(f"epsilon by {name.upper()}" for name in names),
        "left of the promise",
        "epsilon of all runs on this data",
    )
    return Table("What each client spent, computed anew from its ledger", columns, rows)


def _epsilon(value: float | None) -> str:
    if value is None:
        return "-"
    return "infinite" if value == float("inf") else f"{value:.3g}"
