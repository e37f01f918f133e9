"""A member's process: its folder, its journal, its connection, its way through announcements.

The rule kept here: this file wires. What a member promises lies in its own folder, whatever ``--out`` says, and
survives every end of the process: started again, it goes on where its journal says. A member that cannot go on tells
the server so before it ends, by the kind of its error alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from securefl.aggregation.member import MemberAggregation
from securefl.config.member import load_client_settings
from securefl.crypto.keyed_cipher import cipher_with
from securefl.errors import ConfigError, ForgeryError, ProtocolError, TransportError
from securefl.identity.signing import verify
from securefl.ledger.ledger import Ledger, RunStarted
from securefl.progress import EventSink, Finished, Phase, ServerAwaited, Warned
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import Announcement, Answer, Done, FetchAggregate, Leave, StageContribution
from securefl.protocol.last_words import sentence_for
from securefl.protocol.sections import StreamSizes
from securefl.provisioning.file_names import CHANNELS_FILE
from securefl.results.client import FILE_NAME as RESULT_FILE
from securefl.storage.disk import disk_errors, make_private_folder
from securefl.storage.lock import locked
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.limits import Patience
from securefl.transport.telemetry import ByteCounter
from securefl_client.aggregate_file import FileBody
from securefl_client.backbone_side import BackboneSide
from securefl_client.driver import carry_out
from securefl_client.folder import ClientFolder, refuse_keys
from securefl_client.inbox import Inbox
from securefl_client.journal import FOLDER as JOURNAL_FOLDER
from securefl_client.journal import PIECE_BYTES, Journal
from securefl_client.kept_channels import KeptChannels
from securefl_client.key_shares import KeyShares
from securefl_client.member_rules import member_rules
from securefl_client.member_work import LedgerLog, MemberWork
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import HEADS_FILE, RoundCharges, charges_of
from securefl_client.round_work import Downloaded, Got, Sent, Upload
from securefl_client.session import MemberSession
from securefl_client.side import Prepare
from securefl_client.standing import Standing
from securefl_client.trainer import load_backbone_trainer, load_trainer
from securefl_client.trainer_side import TrainerSide
from securefl_client.watched_aggregation import WitnessedAggregation

LEDGER_FILE: Final = "ledger.jsonl"
_GRACE_FOR_A_REASON_S: Final = 2.0
"""Grace for a reason: where a call fails because the federation did, it arrives on the other stream a moment later."""


def run_client(
    folder: Path,
    *,
    server: str | None,
    out: Path,
    emit: EventSink,
    metrics: Sequence[str] = (),
    witness: Path | None = None,
) -> int:
    """Take part in a federation from its first round to its last.

    Args:
        folder: The member's folder, from ``securefl init``.
        server: ``host:port``; None takes the one in ``client.toml``.
        out: Where adapters, ledger and result go; made if missing.
        emit: Where events go.
        metrics: Places of own metric functions; see ``training.tasks.own_metrics``.
        witness: Private folder for needles of a watched run; see ``watched_aggregation``.

    Returns:
        0, the exit code of a run that went well.

    Raises:
        SecureFLError: whatever ends it otherwise.
    """
    prepare = partial(trainer_side, emit, metrics)
    take_part(folder, server=server, out=out, emit=emit, prepare=prepare, witness=witness)
    return 0


def trainer_side(
    emit: EventSink,
    metrics: Sequence[str],
    own: ClientFolder,
    clock: PhaseClock,
    between_steps: Callable[[], None],
    charges: RoundCharges | None = None,
) -> TrainerSide | BackboneSide:
    """The side of a member whose model and data are the ones that its folder names."""
    if own.federation.terms.recipe.own_backbones:
        return BackboneSide(
            load_backbone_trainer(own, clock, between_steps=between_steps, metrics=metrics),
            member=own.member,
            clock=clock,
            emit=emit,
        )
    return TrainerSide(
        load_trainer(own, clock, between_steps=between_steps, charges=charges, metrics=metrics),
        member=own.member,
        recipe=own.federation.terms.recipe,
        fusion=own.federation.terms.fusion,
        clock=clock,
        emit=emit,
    )


def take_part(
    folder: Path,
    *,
    server: str | None,
    out: Path,
    emit: EventSink,
    prepare: Prepare,
    witness: Path | None = None,
) -> None:
    """Take part in a federation, from where this member's journal says, to its last round.

    Args:
        folder: The member's folder.
        server: ``host:port``; None takes the one in ``client.toml``.
        out: Where adapters, ledger and result go; made if missing.
        emit: Where events go.
        prepare: Makes the member's side, once it has joined.
        witness: Private folder for needles of a watched run.

    Raises:
        SecureFLError: whatever ends it otherwise.
    """
    member = load_client_settings(folder).client.id
    # Read under the lock: a rotation that begins meanwhile would be overlooked, and its keys be used no more.
    with locked(folder, owner=member):
        own = ClientFolder.load(folder, now=datetime.now(UTC))
        with _journal(own, folder) as journal:
            _make_results(out, own, journal)
            _connect(
                own, folder, journal, server=server, out=out, emit=emit, prepare=prepare, witness=witness
            )
    emit(Finished(member=member, path=str(out)))


def _journal(own: ClientFolder, folder: Path) -> Journal:
    return Journal(
        folder / JOURNAL_FOLDER,
        member_rules(own.federation, key_epoch=own.keys.key_epoch),
        member=own.member,
        first_round=own.federation.first_round,
    )


def _connect(
    own: ClientFolder,
    folder: Path,
    journal: Journal,
    *,
    server: str | None,
    out: Path,
    emit: EventSink,
    prepare: Prepare,
    witness: Path | None,
) -> None:
    """Connect, waiting for the server as long as the server waits for its roster, and follow it to the end."""
    address, traffic = server or own.settings.client.server, ByteCounter()

    def awaiting(reason: str, seconds: float) -> None:
        emit(ServerAwaited(member=own.member, address=address, reason=reason, seconds=seconds))

    with AggregatorClient(
        address,
        own.credentials,
        federation_digest=own.federation.digest,
        observer=traffic,
        patience=Patience(connect_s=own.settings.client.join_timeout_s),
    ) as aggregator:
        # Joining comes before the model is loaded: a wrong address or certificate shows at once.
        aggregator.join(_applied(journal), awaiting=awaiting)
        with _LastWords(aggregator), disk_errors(out), _ledger(own, out) as ledger:
            process = _Process(own, folder, journal, aggregator, traffic=traffic, emit=emit, witness=witness)
            try:
                process.run(out, ledger, prepare)
            except ForgeryError as error:
                if error.refuses_keys:
                    # Before anybody hears of it, so that a new start cannot ask for a second verdict.
                    refuse_keys(folder)
                raise


class _Process:
    """One member, connected."""

    def __init__(
        self,
        own: ClientFolder,
        folder: Path,
        journal: Journal,
        aggregator: AggregatorClient,
        *,
        traffic: ByteCounter,
        emit: EventSink,
        witness: Path | None,
    ) -> None:
        self._own = own
        self._folder = folder
        self._witness = witness
        self._journal = journal
        self._aggregator = aggregator
        self._traffic = traffic
        self._emit = emit
        self._clock = PhaseClock(own.member, emit)
        self._inbox: Inbox[Announcement] = Inbox(aggregator.follow(partial(_applied, journal)))
        self._out = folder
        self._sum: BinaryIO | None = None
        self._left = False

    def run(self, out: Path, ledger: Ledger, prepare: Prepare) -> None:
        """Follow the server's announcements to the end, and leave all results in ``out``."""
        self._out, log = out, LedgerLog(ledger)
        log.note(_start_of(self._own))
        self._warn_of_plaintext()
        charges = charges_of(self._own, kept=self._journal.folder / HEADS_FILE)
        side = prepare(self._own, self._clock, self._inbox.check, charges)
        work = MemberWork(
            self._aggregation,
            side,
            journal=self._journal,
            ledger=ledger,
            chain_key=self._own.keys.chain,
            clock=self._clock,
            emit=self._emit,
            traffic=self._traffic,
            out=out,
            charges=charges,
        )
        self._warn(charges.warning(self._journal.state.applied))
        session = self._session(work, log, charges)
        while not self._left:
            self._follow(session)

    def _session(self, work: MemberWork, log: LedgerLog, charges: RoundCharges) -> MemberSession:
        own, rules = self._own, self._journal.state.rules
        shares = self._shares() if rules.packets else None
        standing = Standing(
            rules,
            own.signing_key,
            self._journal,
            work,
            log,
            shares=shares,
            reason_key=own.keys.tag,
            charges=charges,
        )
        return MemberSession(standing, rounds=own.federation.terms.federation.rounds)

    def _shares(self) -> KeyShares:
        own, state = self._own, self._journal.state
        channels = KeptChannels(
            self._folder / CHANNELS_FILE,
            own.channels,
            members=own.federation.cohort,
            first_round=own.federation.first_round,
        )
        if state.sums:
            # A stop may have come between the sum and this.
            channels.forget_before(state.applied)
        return KeyShares(state.rules, member=own.member, channels=channels)

    def _aggregation(self) -> MemberAggregation:
        own, federation = self._own, self._own.federation
        kind = MemberAggregation if self._witness is None else WitnessedAggregation
        made = kind(
            federation,
            member=own.member,
            rank=own.rank,
            cipher=cipher_with(
                own.keys, scheme=federation.terms.encryption.scheme, profile=federation.profile
            ),
            keys=own.keys,
            clock=self._clock,
        )
        if isinstance(made, WitnessedAggregation) and self._witness is not None:
            made.noting_in(self._witness)
        return made

    def _warn(self, message: str | None) -> None:
        if message is not None:
            self._emit(Warned(member=self._own.member, message=message))

    def _warn_of_plaintext(self) -> None:
        kind = self._own.federation.kind_of(2)
        if kind.selective:
            self._warn(
                f"from round 2 on the server reads {kind.plain:,} of {kind.total:,} values of every update, as "
                "encryption.select and allow_plaintext say"
            )

    def _follow(self, session: MemberSession) -> None:
        """Wait for one announcement and do what it asks for."""
        with self._clock.phase(Phase.WAIT, _applied(self._journal)):
            announcement = self._inbox.next()
        try:
            carry_out(session, announcement, self._ask, is_past=lambda: self._inbox.has_news)
        except TransportError:
            self._inbox.check_soon(_GRACE_FOR_A_REASON_S)
            raise
        finally:
            self._let_go_of_sum()

    def _ask(self, request: Sent) -> Got:
        match request:
            case Upload(head, path):
                with self._clock.phase(Phase.UPLOAD, head.attempt.round_number):
                    return self._aggregator.stage(head, _BodyFile(path))
            case FetchAggregate(number):
                with self._clock.phase(Phase.DOWNLOAD, number):
                    return self._fetched(number)
            case StageContribution():
                raise ProtocolError("a contribution leaves with its body")
            case Leave():
                return self._leave(request)
            case _:
                return self._aggregator.ask(request)

    def _leave(self, farewell: Leave) -> Answer:
        """Say farewell; everything of this member is on disk by then, so a server that cannot be reached keeps nobody.

        It may have heard the farewell, have said so to nobody, and have ended.
        """
        answer: Answer = Done()
        try:
            answer = self._aggregator.ask(farewell)
        except TransportError as error:
            self._warn(
                f"has finished, and the server may not have heard so ({error.what}): if it still waits for this "
                "member, start this process again"
            )
        self._left = True
        return answer

    def _fetched(self, number: int) -> Downloaded:
        sections = self._own.federation.sections(number)

        def sizes_of(cohort: Cohort) -> StreamSizes:
            return StreamSizes.of_aggregate(sections)

        self._let_go_of_sum()
        # Without a name in the folder: nobody else can change what was verified before it is decrypted.
        self._sum = tempfile.TemporaryFile(dir=self._out)  # noqa: SIM115 - it is closed after the announcement
        head = self._aggregator.fetch_aggregate(number, self._sum, sizes_of=sizes_of)
        self._sum.flush()
        return Downloaded(head, FileBody(self._sum))

    def _let_go_of_sum(self) -> None:
        if self._sum is not None:
            self._sum.close()
            self._sum = None


def _start_of(own: ClientFolder) -> RunStarted:
    """First event of a member's ledger, with the promise that its rounds are charged for."""
    privacy = own.federation.terms.privacy
    return RunStarted(
        member=own.member,
        federation_digest=own.federation.digest,
        unit=privacy.unit,
        epsilon=privacy.promised_epsilon,
    )


class _BodyFile:
    """A contribution's body on disk, as the transport reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.length = path.stat().st_size

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes from a place on."""
        with self._path.open("rb") as file:
            file.seek(offset)
            while piece := file.read(PIECE_BYTES):
                yield piece


class _LastWords:
    """Tells the server why the member cannot go on, before the connection closes.

    A member that its operator stopped says nothing: it may be started again, and goes on then.
    """

    def __init__(self, aggregator: AggregatorClient) -> None:
        self._aggregator = aggregator

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._aggregator.last_words(sentence_for(error))


def _applied(journal: Journal) -> int | None:
    """Number of the last round applied; None before the first."""
    return journal.state.applied if journal.state.sums else None


@contextmanager
def _ledger(own: ClientFolder, out: Path) -> Iterator[Ledger]:
    key = own.signing_key
    with Ledger.open(out / LEDGER_FILE, signer=key, verifier=partial(verify, key.public_key)) as ledger:
        yield ledger


def _make_results(out: Path, own: ClientFolder, journal: Journal) -> None:
    """Make the folder for results, its owner's only; another run's result is never written over.

    Raises:
        ConfigError: if it holds one, or cannot be made.
    """
    if (out / RESULT_FILE).exists() and (journal.is_new or not _is_ours(out / RESULT_FILE, own)):
        raise ConfigError(f"{out} holds the result of an earlier run", hint="name another folder with --out")
    try:
        make_private_folder(out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made", where="--out", hint=str(error.strerror)) from None


def _is_ours(path: Path, own: ClientFolder) -> bool:
    """True where a result is of this member in this federation: it was written just before its process was stopped."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(found, dict)
        and found.get("federation_digest") == own.federation.digest.hex()
        and found.get("id") == own.member
    )
