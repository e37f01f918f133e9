"""Results, of this format or that of 0.1.0, and ledgers that a run or a member left behind: read and checked."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from securefl.errors import StateError
from securefl.identity.signing import verify
from securefl.ledger.ledger import LedgerReader, RunStarted, VerifiedLedger
from securefl.protocol.federation import Federation
from securefl.results.client import EncryptionReport, MetricReport, read_client_result
from securefl.results.curve import LearningCurve, learning_curve
from securefl.results.formats import current

RESULT = "result.json"
LEDGER = "ledger.jsonl"
FEDERATION = "federation.json"


class ClientRecord(BaseModel):
    """One client's part of a result; other keys of the file are kept as attributes.

    Attributes:
        best_round: Number of the round whose global adapter is best on its validation rows, 0 for the start.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    rank: int
    samples: int
    metric: MetricReport
    best_round: int | None = None


class RunRecord(BaseModel):
    """A run's ``result.json``; keys that are not named here are kept as attributes.

    Attributes:
        name: The run's name.
        federation: The federation's name.
        rounds: How many rounds it had.
        kept_round: Number of the round whose adapter was kept, where the federation ended early.
        encryption: How the sum was protected.
        clients: In the roster's order; one for a member's own results.
        seconds_total: Wall time.
        learning_curve: The global adapter on the members' validation rows, round by round; None in results of 0.1.0.
        advice: Which adapter to use, in a sentence for the federation and one for each client; empty for a member's own
            results.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    federation: str
    rounds: int
    kept_round: int | None = None
    encryption: EncryptionReport
    clients: tuple[ClientRecord, ...]
    seconds_total: float
    learning_curve: LearningCurve | None = None
    advice: tuple[str, ...] = ()


def read_result(folder: str | Path) -> RunRecord:
    """Read the result of a run, or of one member.

    Args:
        folder: A run's folder, such as ``runs/quickstart``, or the folder of one member's results.

    Raises:
        StateError: if there is no result, or it is no result of this program.

    Example:
        >>> from securefl import read_result
        >>> [client.metric.fused for client in read_result("runs/quickstart").clients]  # doctest: +SKIP
        [0.87, 0.84, 0.9]
    """
    path = Path(folder) / RESULT
    try:
        value = current(json.loads(path.read_text(encoding="utf-8")), where=str(path))
        if "clients" in value:
            return RunRecord.model_validate(value)
    except OSError:
        raise StateError(f"there is no result at {path}", hint="a run writes it at its very end") from None
    except (ValueError, RecursionError, ValidationError) as error:
        detail = error.errors()[0]["loc"] if isinstance(error, ValidationError) else ("it is no JSON",)
        raise StateError(f"{path} is no result", where=".".join(map(str, detail))) from None
    return _of_one(Path(folder), path)


def _of_one(folder: Path, path: Path) -> RunRecord:
    """A member's own results as a run of one client."""
    own = read_client_result(path)
    return RunRecord(
        name=folder.resolve().name,
        federation=own.federation,
        rounds=own.rounds,
        kept_round=own.kept_round,
        encryption=own.encryption,
        clients=(ClientRecord.model_validate(own.model_dump(mode="json")),),
        seconds_total=own.seconds_total,
        learning_curve=learning_curve((own,)),
    )


def read_federation(folder: str | Path) -> Federation:
    """Read the federation file of a run, of a member, or of a member's results (which lie below one of both).

    Raises:
        StateError: if there is none, or it cannot be read.
        IdentityError: if it does not hold together.
    """
    start = Path(folder).resolve()
    for place in (start, start.parent, start.parent.parent):
        path = place / FEDERATION
        if path.is_file():
            return Federation.from_json_text(_text(path), where=str(path))
    raise StateError(
        f"there is no {FEDERATION} at {folder} or above it",
        hint="it holds the keys that ledgers are checked by",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StateError(
            f"{path} cannot be read", hint=error.strerror or "the system gives no reason"
        ) from None
    except UnicodeDecodeError:
        raise StateError(
            f"{path} cannot be read", hint="it is no UTF-8 text: copy it from a member again"
        ) from None


def read_ledger(
    folder: str | Path, *, federation: Federation | None = None, head: bytes | None = None
) -> VerifiedLedger:
    """Read a member's ledger and check all of it: the chain, and every signature under the roster's key.

    Args:
        folder: The folder of a member's results, such as ``runs/quickstart/clients/client-1``.
        federation: Whose roster has the member's key; None takes the federation file that lies above the folder.
        head: Digest of the last entry (32 bytes) where it was recorded elsewhere.

    Returns:
        All entries, the oldest first, and the digest of the last one.

    Raises:
        StateError: if there is no ledger, or it does not hold together or is another member's or federation's.
        IdentityError: if the federation file does not hold together, or does not know the member.

    Guarantee:
        See ``securefl.ledger.chain.verified_entries``; that entries at the end are missing shows by ``head`` only.

    Example:
        >>> from securefl import read_ledger
        >>> [entry.event.name for entry in read_ledger("runs/quickstart/clients/city").entries]  # doctest: +SKIP
        ['run-started', 'round-reserved', 'round-contributed', 'aggregate-applied', 'run-finished']
    """
    path = Path(folder) / LEDGER
    known = federation or read_federation(folder)
    name = _writer(path)
    key = known.member(name).signing_key
    ledger = LedgerReader.verify(path, partial(verify, key), head=head)
    first = ledger.entries[0].event
    if not isinstance(first, RunStarted) or first.federation_digest != known.digest:
        raise StateError("the ledger is of another federation", where=str(path))
    return ledger


def _writer(path: Path) -> str:
    """The member that a ledger's first line names; nothing is believed of it before its signature is checked."""
    try:
        with path.open(encoding="utf-8") as file:
            fields = json.loads(file.readline(1 << 16))["fields"]
        return str(fields["member"])
    except OSError as error:
        raise StateError(f"{path} cannot be read", hint=str(error.strerror)) from None
    except (ValueError, RecursionError, KeyError, TypeError):
        raise StateError("the ledger does not begin with the start of a run", where=str(path)) from None
