"""Audit of a run's folder: whether what its members recorded holds together.

The rule kept here: nothing in the folder is believed because another file of it says the same, but for the federation
file, whose roster has the keys; every finding names the member and what does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from securefl.auditing.certified_sums import check_certified, others
from securefl.auditing.empirical import Attack, attack_releases
from securefl.auditing.findings import Finding
from securefl.auditing.ledger_order import disorder
from securefl.auditing.privacy_accounts import PrivacyAudit
from securefl.auditing.privacy_audit import audit_privacy
from securefl.auditing.privacy_results import other_results
from securefl.config.privacy import ExamplePrivacySection
from securefl.errors import ConfigError, SecureFLError, StateError
from securefl.ledger.ledger import (
    AggregateApplied,
    RunFinished,
    RunStarted,
    VerifiedLedger,
)
from securefl.protocol.federation import Federation
from securefl.results.folder import RunFolder
from securefl.results.reading import FEDERATION, LEDGER, RESULT, read_ledger

Digests = Mapping[int, str]
"""By round, the SHA-256 of the sums that it opened to, as hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Result of an audit: what it checked and found.

    Attributes:
        folder: The run's folder.
        members: Whose ledgers were looked for, in the roster's order.
        rounds: How many rounds the federation file names; early stopping may have ended it before.
        findings: Everything that does not hold; empty for a run that does.
        privacy: Accounts of the promise of differential privacy.
        federation: The federation file that all of it was held against.
        attacks: Attacks on the mechanism, where they were asked for.
    """

    folder: Path
    members: tuple[str, ...]
    rounds: int
    findings: tuple[Finding, ...]
    privacy: PrivacyAudit
    federation: Federation
    attacks: tuple[Attack, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, object]:
        """Plain values of the report."""
        return {
            "ok": self.ok,
            "members": list(self.members),
            "rounds": self.rounds,
            "findings": [{"member": finding.member, "what": finding.what} for finding in self.findings],
            "privacy": self.privacy.to_json(),
            "attacks": [attack.to_json() for attack in self.attacks],
        }


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Opened(_Part):
    integers_sha256: str


class _OwnRound(_Opened):
    round_number: int


class _OwnResult(_Part):
    """Of a member's result, what its ledger says too."""

    openings_log: tuple[_OwnRound, ...] = ()
    rounds_log: tuple[_OwnRound, ...]
    ledger_head: str

    @property
    def sums(self) -> Digests:
        """Digests of the sums that it names, those of the openings included."""
        return {entry.round_number: entry.integers_sha256 for entry in (*self.openings_log, *self.rounds_log)}


class _RunRound(_Part):
    round_number: int
    clients: dict[str, _Opened]


class _Listed(_Part):
    id: str
    ledger_head: str


class _RunResult(_Part):
    """Of a run's result, what the ledgers say too."""

    clients: tuple[_Listed, ...]
    openings_log: tuple[_RunRound, ...] = ()
    rounds_log: tuple[_RunRound, ...]


def audit(
    folder: str | Path,
    *,
    budgets: str | Path | None = None,
    receipts: str | Path | None = None,
    empirical: bool = False,
    gathered: bool = False,
) -> AuditReport:
    """Audit a run's folder: ledgers, results, that all members opened the same sums, and what privacy they spent.

    Every member of the roster must have a ledger whose chain and signatures hold, which ends where its result says,
    and which tells of every opening and round once and in order; all ledgers must name the same sums for each of them;
    every member's result and the run's must name those sums; and a certificate of each, signed by enough
    members, must name the same survivors at all of them. Under differential privacy, every contribution must be charged
    to its client's budget, and all charges cost at most what was promised; see ``privacy_audit``.

    Args:
        folder: The folder of a run, such as ``runs/quickstart``.
        budgets: Folder of the ledgers of privacy budgets, one folder a client; None for the one of this machine's user.
        receipts: Folder of their receipts, one folder a client; None for the one of this machine's user.
        empirical: True to attack the mechanism that is installed here as well; see ``empirical.Attack``.
        gathered: True for a folder that was put together from members' machines, which has no merged result: members'
            own results say where the run ended.

    Returns:
        The report; ``ok`` where there is no finding.

    Raises:
        ConfigError: if the folder holds no run, so that there is nothing to audit, or the accountant of a promise of
            differential privacy is not installed.
        IdentityError: if its federation file does not hold together.

    Guarantee:
        A ledger that passes is what the holder of the roster's key wrote, whole up to its recorded head. It assumes
        an unforgeable signature, a collision-resistant SHA-256, and that the federation file is the members' own:
        whoever can replace that file and all ledgers and results can make up a run. A member that lies in its own
        ledger is found where it contradicts others, and not otherwise.

    Example:
        >>> from securefl import audit
        >>> report = audit("runs/quickstart")  # doctest: +SKIP
        >>> report.ok, list(map(str, report.findings))  # doctest: +SKIP
        (True, [])
    """
    run = RunFolder(Path(folder))
    federation = _federation(run.root)
    findings: list[Finding] = []
    recorded: dict[str, Digests] = {}
    ledgers: dict[str, VerifiedLedger] = {}
    statements: dict[str, dict[int, bytes]] = {}
    for member in federation.cohort:
        try:
            ledger, digests = _own_ledger(run.client(member), member, federation)
        except SecureFLError as error:
            findings.append(Finding(member, str(error).rstrip(".")))
            continue
        recorded[member], ledgers[member] = digests, ledger
        findings += (Finding(member, what) for what in _of_events(ledger, federation))
        findings += (Finding(member, what) for what in _of_own_result(run.client(member), digests))
        statements[member] = {}
        for event in _applied(ledger):
            try:
                digest = check_certified(run.client(member), member, event, federation)
            except SecureFLError as error:
                findings.append(Finding(member, str(error).rstrip(".")))
            else:
                statements[member][event.round_number] = digest
    findings += (Finding(member, what) for member, what in others(statements))
    findings += _of_sums(recorded)
    heads = {member: ledger.head.hex() for member, ledger in ledgers.items()}
    if run.result.exists() or not gathered:
        findings += (Finding("", what) for what in _of_run_result(run.result, federation, recorded, heads))
        own_results = {member: run.client(member) / RESULT for member in federation.cohort}
        findings += (Finding("", what) for what in other_results(run.result, own_results))
    privacy = audit_privacy(
        federation,
        ledgers,
        results=run.root / "clients",
        budgets=Path(budgets) if budgets is not None else None,
        receipts=Path(receipts) if receipts is not None else None,
    )
    findings += privacy.findings
    attacks = _attacks(privacy, federation) if empirical else ()
    findings += (Finding("", what) for one in attacks for what in one.findings)
    return AuditReport(
        folder=run.root,
        members=federation.cohort,
        rounds=federation.terms.federation.rounds,
        findings=tuple(findings),
        privacy=privacy,
        federation=federation,
        attacks=attacks,
    )


def _attacks(privacy: PrivacyAudit, federation: Federation) -> tuple[Attack, ...]:
    section = federation.terms.privacy
    return attack_releases(
        privacy, clipping=section.clipping if isinstance(section, ExamplePrivacySection) else "flat"
    )


def _federation(root: Path) -> Federation:
    path = root / FEDERATION
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"there is no run to audit in {root}",
            hint=f"a run's folder holds {FEDERATION}, clients and {RESULT}",
        ) from None
    return Federation.from_json_text(text, where=str(path))


def _own_ledger(folder: Path, member: str, federation: Federation) -> tuple[VerifiedLedger, Digests]:
    """A member's ledger, verified up to the head that its result names."""
    head = _own_result(folder).ledger_head if (folder / RESULT).is_file() else None
    ledger = read_ledger(
        folder, federation=federation, head=bytes.fromhex(head) if head is not None else None
    )
    first = ledger.entries[0].event
    if not isinstance(first, RunStarted) or first.member != member:
        raise StateError("the ledger in its folder is another member's", where=str(folder / LEDGER))
    return ledger, {event.round_number: event.integers_sha256.hex() for event in _applied(ledger)}


def _applied(ledger: VerifiedLedger) -> list[AggregateApplied]:
    """The last sum of every round: one that could not be opened by enough members is undone, and made again."""
    applied = (entry.event for entry in ledger.entries if isinstance(entry.event, AggregateApplied))
    return list({event.round_number: event for event in applied}.values())


def _own_result(folder: Path) -> _OwnResult:
    try:
        own = _OwnResult.model_validate(json.loads((folder / RESULT).read_text(encoding="utf-8")))
        bytes.fromhex(own.ledger_head)
    except (OSError, ValueError, RecursionError, ValidationError):
        raise StateError(
            "its result names no sums and no head of its ledger", where=str(folder / RESULT)
        ) from None
    return own


def _of_events(ledger: VerifiedLedger, federation: Federation) -> Iterator[str]:
    """A ledger's events, where one cannot follow what stands before it; see ``ledger_order``."""
    found = disorder(
        [entry.event for entry in ledger.entries],
        first_round=federation.first_round,
        rounds=_rounds_of(ledger, federation),
    )
    if found is not None:
        yield f"its ledger has {found}"


def _rounds_of(ledger: VerifiedLedger, federation: Federation) -> int:
    """Rounds that a ledger should tell of: all, or under early stopping as many as it says, where they can be so few.

    The sums of losses that ended a federation stand in no ledger, only in its digests; that all members ended with the
    same round shows by comparison of their sums.
    """
    rounds, patience = federation.terms.federation.rounds, federation.terms.training.early_stopping_rounds
    last = ledger.entries[-1].event
    if patience is not None and isinstance(last, RunFinished) and patience < last.rounds <= rounds:
        return last.rounds
    return rounds


def _of_own_result(folder: Path, digests: Digests) -> Iterator[str]:
    if not (folder / RESULT).is_file():
        yield f"it left no {RESULT}, so that nothing says where its ledger ends"
        return
    named = _own_result(folder).sums
    for number in sorted(named.keys() | digests.keys()):
        if named.get(number) != digests.get(number):
            yield f"its result and its ledger do not name the same sums for round {number}"


def _of_sums(recorded: Mapping[str, Digests]) -> Iterator[Finding]:
    """All members open one aggregate a round, so their digests are one; the few that differ are named."""
    for number in sorted({number for digests in recorded.values() for number in digests}):
        said = {member: digests.get(number) for member, digests in recorded.items()}
        values = list(said.values())
        most = max(set(values), key=lambda value: (values.count(value), str(value)))
        for member, digest in said.items():
            if digest != most:
                what = "no sums" if digest is None else "other sums"
                yield Finding(
                    member, f"its ledger names {what} for round {number} than those of the other members"
                )


def _of_run_result(
    path: Path, federation: Federation, recorded: Mapping[str, Digests], heads: Mapping[str, str]
) -> Iterator[str]:
    try:
        result = _RunResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        yield f"there is no {RESULT}: the run did not come to its end"
        return
    except (ValueError, RecursionError, ValidationError):
        yield f"{RESULT} names no sums and no heads of ledgers"
        return
    if tuple(client.id for client in result.clients) != federation.cohort:
        yield f"{RESULT} does not list the members of the roster"
    for client in result.clients:
        if client.id in heads and client.ledger_head != heads[client.id]:
            yield f"{RESULT} does not name the head of {client.id}'s ledger"
    named = {entry.round_number: entry.clients for entry in (*result.openings_log, *result.rounds_log)}
    for number in range(federation.first_round, federation.terms.federation.rounds + 1):
        for member, digests in recorded.items():
            own = named.get(number, {}).get(member)
            if (own.integers_sha256 if own else None) != digests.get(number):
                yield f"{RESULT} and {member}'s ledger do not name the same sums for round {number}"
