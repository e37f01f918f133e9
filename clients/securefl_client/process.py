"""A member's part in a federation: its folder, its side, its connection, and the loop that follows the session.

The rule kept here: this file wires; what to do next is decided by ``protocol.client_session``, how it is done by
``rounds``. A client that cannot go on tells the server so before it ends, by the kind of its error alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import assert_never

from securefl.aggregation.member import MemberAggregation
from securefl.crypto.cipher import Cipher
from securefl.crypto.keyed_cipher import cipher_with
from securefl.errors import ConfigError, ForgeryError, TransportError
from securefl.identity.signing import verify
from securefl.ledger.ledger import Ledger, RunStarted
from securefl.progress import EventSink, Finished, MembersAwaited, Phase, ServerAwaited, Warned
from securefl.protocol.client_events import (
    Announced,
    Applied,
    ApplyAggregate,
    Contribute,
    Contributed,
    Effect,
    Event,
    Fail,
    Finish,
)
from securefl.protocol.client_session import failure_of, start, transition
from securefl.protocol.last_words import sentence_for
from securefl.protocol.messages import Manifest, Waiting
from securefl.protocol.sections import StreamSizes
from securefl.results.client import FILE_NAME as RESULT_FILE
from securefl.storage.disk import disk_errors, make_private_folder
from securefl.storage.lock import locked
from securefl.transport.client import AggregatorClient
from securefl.transport.limits import Patience
from securefl.transport.telemetry import ByteCounter
from securefl_client.aggregate_file import FileBody
from securefl_client.backbone_side import BackboneSide
from securefl_client.folder import ClientFolder, refuse_keys
from securefl_client.inbox import Inbox
from securefl_client.outbox import refuse_left_outbox
from securefl_client.phases import PhaseClock
from securefl_client.rounds import MemberRounds
from securefl_client.side import Prepare
from securefl_client.trainer import load_backbone_trainer, load_trainer
from securefl_client.trainer_side import TrainerSide

LEDGER_FILE = "ledger.jsonl"
_GRACE_FOR_A_REASON_S = 2.0
"""Grace for a reason: where a call fails because the federation did, it arrives on the other stream a moment later."""


def run_client(
    folder: Path, *, server: str | None, out: Path, emit: EventSink, metrics: Sequence[str] = ()
) -> int:
    """Takes part in a federation from its first round to its last.

    Args:
        folder: The member's folder, from ``securefl init``.
        server: ``host:port``; None takes the one in ``client.toml``.
        out: Where adapters, ledger and result go; made if missing.
        emit: Where events go.
        metrics: Places of own metric functions; see ``training.tasks.own_metrics``.

    Returns:
        0, the exit code of a run that went well.

    Raises:
        SecureFLError: whatever ends it otherwise.
    """
    take_part(folder, server=server, out=out, emit=emit, prepare=partial(trainer_side, emit, metrics))
    return 0


def trainer_side(
    emit: EventSink,
    metrics: Sequence[str],
    own: ClientFolder,
    clock: PhaseClock,
    between_steps: Callable[[], None],
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
        load_trainer(own, clock, between_steps=between_steps, metrics=metrics),
        member=own.member,
        recipe=own.federation.terms.recipe,
        fusion=own.federation.terms.fusion,
        clock=clock,
        emit=emit,
    )


def take_part(folder: Path, *, server: str | None, out: Path, emit: EventSink, prepare: Prepare) -> None:
    """Takes part in a federation from its first round to its last.

    Args:
        folder: The member's folder.
        server: ``host:port``; None takes the one in ``client.toml``.
        out: Where adapters, ledger and result go; made if missing.
        emit: Where events go.
        prepare: Makes the member's side, once it has joined.

    Raises:
        SecureFLError: whatever ends it otherwise.
    """
    own = ClientFolder.load(folder, now=datetime.now(UTC))
    with locked(folder, owner=own.member):
        _make_results(out)
        _connect(
            own, folder, address=server or own.settings.client.server, out=out, emit=emit, prepare=prepare
        )
    emit(Finished(member=own.member, path=str(out)))


def _connect(
    own: ClientFolder, folder: Path, *, address: str, out: Path, emit: EventSink, prepare: Prepare
) -> None:
    """Connects, waiting for the server as long as the server waits for its roster, and follows the session."""
    traffic = ByteCounter()

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
        aggregator.join(awaiting=awaiting)
        with _LastWords(aggregator), disk_errors(out):
            try:
                Client(own, aggregator, traffic=traffic, emit=emit).run(out, prepare)
            except ForgeryError as error:
                if error.refuses_keys:
                    # Before anybody hears of it, so that a new start cannot ask for a second verdict.
                    refuse_keys(folder)
                raise


class Client:
    """One client, connected.

    Args:
        own: Its folder.
        aggregator: Its connection.
        traffic: The observer that counts the connection's bytes.
        emit: Where events go.
    """

    def __init__(
        self, own: ClientFolder, aggregator: AggregatorClient, *, traffic: ByteCounter, emit: EventSink
    ) -> None:
        self._own = own
        self._aggregator = aggregator
        self._traffic = traffic
        self._emit = emit
        self._clock = PhaseClock(own.member, emit)
        self._state = start(own.federation)
        self._inbox = Inbox(aggregator.follow())

    def run(self, out: Path, prepare: Prepare) -> None:
        """Follows the session to its end, and leaves all results in ``out``."""
        own = self._own
        with Ledger.open(
            out / LEDGER_FILE, signer=own.signing_key, verifier=partial(verify, own.signing_key.public_key)
        ) as ledger:
            ledger.append(RunStarted(member=own.member, federation_digest=own.federation.digest))
            self._warn_of_plaintext()
            side = prepare(own, self._clock, self._inbox.check)
            aggregation = MemberAggregation(
                own.federation,
                member=own.member,
                rank=own.rank,
                cipher=_cipher(own),
                keys=own.keys,
                signing_key=own.signing_key,
                clock=self._clock,
            )
            work = MemberRounds(
                aggregation, side, ledger=ledger, clock=self._clock, emit=self._emit, folder=out
            )
            while not self._follow(work, out):
                pass

    def _warn_of_plaintext(self) -> None:
        kind = self._own.federation.kind_of(2)
        if kind.selective:
            self._emit(
                Warned(
                    member=self._own.member,
                    message=f"from round 2 on the server reads {kind.plain:,} of {kind.total:,} values of every "
                    "update, as encryption.select and allow_plaintext say",
                )
            )

    def _follow(self, work: MemberRounds, out: Path) -> bool:
        """Waits for one announcement and does what follows; True after the last."""
        applied = self._state.applied
        begun = applied >= self._own.federation.first_round
        with self._clock.phase(Phase.WAIT, applied if begun else None):
            announcement = self._inbox.next()
        if isinstance(announcement, Waiting):
            self._emit(MembersAwaited(missing=announcement.missing))
        effects = self._step(Announced(announcement))
        try:
            return self._carry_out_all(effects, work, out)
        except TransportError:
            self._inbox.check_soon(_GRACE_FOR_A_REASON_S)
            raise

    def _step(self, event: Event) -> tuple[Effect, ...]:
        self._state, effects = transition(self._state, event, federation=self._own.federation)
        return effects

    def _carry_out_all(self, effects: tuple[Effect, ...], work: MemberRounds, out: Path) -> bool:
        # Not a generator: every effect is carried out, whatever the first one says.
        finished = [self._carry_out(effect, work, out) for effect in effects]
        return any(finished)

    def _carry_out(self, effect: Effect, work: MemberRounds, out: Path) -> bool:
        match effect:
            case Contribute(manifest):
                self._contribute(manifest, work)
            case ApplyAggregate(manifest):
                self._apply(manifest, work, out)
            case Finish():
                work.finish(out)
                self._aggregator.finish()
                return True
            case Fail(announcement):
                raise failure_of(announcement)
            case _:
                assert_never(effect)
        return False

    def _contribute(self, manifest: Manifest, work: MemberRounds) -> None:
        before = self._traffic.sent
        with work.contribution(manifest) as outbox:
            with self._clock.phase(Phase.UPLOAD, manifest.round_number):
                receipt = self._aggregator.contribute(outbox)
            _, signed = outbox.ending()
            self._step(Contributed(receipt, signed.header.body_digest))
        work.sent(manifest, up_bytes=self._traffic.sent - before)

    def _apply(self, manifest: Manifest, work: MemberRounds, out: Path) -> None:
        federation = self._own.federation
        sizes = StreamSizes.of_aggregate(federation.sections(manifest.round_number))
        before = self._traffic.received
        # Without a name in the folder: nobody else can change what was verified before it is decrypted.
        with tempfile.TemporaryFile(dir=out) as file:
            with self._clock.phase(Phase.DOWNLOAD, manifest.round_number):
                header = self._aggregator.fetch_aggregate(
                    manifest.round_number, contributors=len(federation.cohort), sizes=sizes, body=file
                )
                file.flush()
            down_bytes = self._traffic.received - before
            work.apply(header, FileBody(file), manifest=manifest, down_bytes=down_bytes)
        self._step(Applied(manifest.round_number, last=work.ended))
        self._aggregator.confirm(manifest.round_number, last=work.ended)


class _LastWords:
    """Tells the server why the client ends, whatever ended it, before the connection closes."""

    def __init__(self, aggregator: AggregatorClient) -> None:
        self._aggregator = aggregator

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._aggregator.last_words(sentence_for(error))


def _cipher(own: ClientFolder) -> Cipher:
    return cipher_with(
        own.keys, scheme=own.federation.terms.encryption.scheme, profile=own.federation.profile
    )


def _make_results(out: Path) -> None:
    """Makes the folder for results, its owner's only; one that holds a finished run is never written over.

    Raises:
        ConfigError: if it does, or cannot be made.
    """
    if (out / RESULT_FILE).exists():
        raise ConfigError(f"{out} holds the result of an earlier run", hint="name another folder with --out")
    try:
        make_private_folder(out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made", where="--out", hint=str(error.strerror)) from None
    refuse_left_outbox(out)
