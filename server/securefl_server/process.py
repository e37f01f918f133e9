"""The server process: a folder in, a finished federation out; started again in the same folder, it goes on.

The rule kept here: the event loop runs on a thread of its own and the main thread only waits, so that whatever ends
the process (Ctrl-C, SIGTERM) reaches it as an exception between two waits; on the way out members are told, and
everything is closed within two seconds. The core has one worker thread, and the store is opened, used and closed on
it alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from securefl.errors import IdentityError, plain_reason
from securefl.identity.certificates import Credentials, Role, load_credentials
from securefl.progress import SERVER, EventSink, Finished, Listening, Warned
from securefl.protocol.server_view import ServerView
from securefl.protocol.serving.view_rules import rules_of
from securefl.provisioning.file_names import SERVER_FILE
from securefl.results.folder import RunFolder
from securefl.storage.lock import locked
from securefl.transport.aggregator_server import AggregatorServer
from securefl.transport.limits import DEFAULT_KEEPALIVE, Keepalive
from securefl.transport.refusals import Reason, Refusal
from securefl.transport.revocations import RevokedCertificates
from securefl.transport.telemetry import ByteCounter, Observer, nobody, observers
from securefl_server.bodies import FOLDER, Bodies
from securefl_server.record import Recorder
from securefl_server.recorded_messages import record_messages
from securefl_server.round_recording import RoundFigures
from securefl_server.round_server import RoundServer
from securefl_server.round_service import RoundService
from securefl_server.round_store import SqliteRoundStore

GRACE_S: Final = 1.0
"""Time that members have, once the run has ended, to hear the last announcement and get their last answers."""
FILE_THREADS: Final = 4
REVOKED_FILE: Final = "revoked"
_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options that a server is started with, beside its folder.

    Attributes:
        address: ``host:port``; None for the federation file's.
        observer: Sees every message as bytes.
        keepalive: When a silent member counts as gone.
    """

    address: str | None = None
    observer: Observer = nobody
    keepalive: Keepalive = DEFAULT_KEEPALIVE


def run_server(folder: Path, *, address: str | None, emit: EventSink, witness: Path | None = None) -> int:
    """Run the server of one federation until all members have finished, from where an earlier run stopped.

    Args:
        folder: The server's folder, as ``securefl init`` wrote it.
        address: Where to listen instead of where the folder says; port 0 takes a free one.
        emit: Where events go.
        witness: Private folder for the messages of a watched run; see ``recorded_messages``.

    Returns:
        0.

    Raises:
        IdentityError, ConfigError: if the folder is not complete or another server runs in it, or the address
            cannot be listened at.
        DiskError, StateError: if the store cannot be read or written.
        MemberLost: if so many members have left that the others are too few.
        RunError: if too few members are there for too long, or something else ended the run.
    """
    observer = nobody if witness is None else record_messages(witness)
    return serve(folder, ServerOptions(address=address, observer=observer), emit=emit)


def serve(folder: Path, options: ServerOptions, *, emit: EventSink) -> int:
    """``run_server`` with every option."""
    view = load_view(folder)
    credentials = load_credentials(folder, member=SERVER, role=Role.SERVER, now=datetime.now(UTC))
    run = _Run(folder, view, credentials, options=options, emit=emit)
    with (
        locked(folder, owner="the server"),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="server") as thread,
    ):
        ended = thread.submit(lambda: asyncio.run(run.main()))
        try:
            while not wait([ended], timeout=_WAIT_S).done:
                pass
        finally:
            run.interrupt()
        ended.result()
    return 0


def load_view(folder: Path) -> ServerView:
    """Read the server's view of its federation.

    Raises:
        IdentityError: if it is missing or malformed, or the folder is that of a run which is over.
    """
    # The figures of a run's server have the same file name.
    if RunFolder(folder).is_over:
        raise IdentityError(
            f"the run in {folder} is over, and its members' folders have been deleted",
            hint=f"'securefl audit {folder}' checks what it left",
        )
    path = folder / SERVER_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise IdentityError(
            f"{folder} is no server's folder",
            where=f"{SERVER_FILE} is missing",
            hint="give the one 'securefl init' wrote",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityError(
            "the server's file cannot be read", where=str(path), hint=plain_reason(error)
        ) from None
    return ServerView.from_json_text(text, where=str(path))


class _Run:
    """One run, on the event loop of another thread."""

    def __init__(
        self,
        folder: Path,
        view: ServerView,
        credentials: Credentials,
        *,
        options: ServerOptions,
        emit: EventSink,
    ) -> None:
        self._folder = folder
        self._view = view
        self._credentials = credentials
        self._options = options
        self._emit = emit
        self._counter = ByteCounter()
        self._interrupted = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service: RoundService | None = None
        self._stopping: asyncio.Task[None] | None = None

    def interrupt(self) -> None:
        """End the run, from any thread; nothing happens if it is over."""
        self._interrupted.set()
        if self._loop is not None:
            # A loop that is closed already has nothing left to stop.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop)

    async def main(self) -> None:
        """Run to the end, good or bad."""
        self._loop = asyncio.get_running_loop()
        recorder = Recorder(self._view.name, self._counter)
        with ThreadPoolExecutor(1, "rounds") as worker, ThreadPoolExecutor(FILE_THREADS, "files") as files:
            digest = self._view.federation_digest
            opened = partial(SqliteRoundStore, self._folder, federation_digest=digest)
            store = await self._loop.run_in_executor(worker, opened)
            try:
                core = await self._loop.run_in_executor(worker, partial(self._core, store, recorder))
                self._service = RoundService(
                    self._view,
                    core,
                    worker=worker,
                    files=files,
                    now=time.monotonic,
                    emit=self._emit,
                    silence_s=self._options.keepalive.silence_s,
                )
                await self._listen(self._service)
            finally:
                await self._loop.run_in_executor(worker, store.close)
        self._emit(Finished(member=SERVER, path=str(recorder.write(self._folder))))

    def _core(self, store: SqliteRoundStore, recorder: Recorder) -> RoundServer:
        return RoundServer(
            rules_of(self._view),
            self._view.sections,
            store=store,
            bodies=Bodies(self._folder / FOLDER),
            now=time.monotonic,
            emit=RoundFigures(self._view, recorder, self._emit),
        )

    async def _listen(self, service: RoundService) -> None:
        server = AggregatorServer(
            service,
            self._credentials,
            observer=observers(self._counter, self._options.observer),
            keepalive=self._options.keepalive,
            revoked=RevokedCertificates(self._folder / REVOKED_FILE, tell=self._warn),
            refused=self._refused,
        )
        try:
            address = await server.start(self._options.address or self._view.server.address)
            self._emit(Listening(address=address))
            await service.start()
            if self._interrupted.is_set():
                self._stop()
            error = await service.ended
        finally:
            await server.stop(GRACE_S)
        if error is not None:
            raise error

    def _stop(self) -> None:
        if self._service is not None and self._loop is not None:
            self._stopping = self._loop.create_task(self._service.stop("its operator ended it"))

    def _warn(self, sentence: str) -> None:
        self._emit(Warned(member=SERVER, message=sentence))

    def _refused(self, refusal: Refusal) -> None:
        self._warn(refusal_sentence(refusal, self._view))


def refusal_sentence(refusal: Refusal, view: ServerView) -> str:
    """A refusal in words for the server's log: its stable name, and who was refused as far as the server knows it."""
    if refusal.reason is Reason.HANDSHAKE:
        return (
            f"refused: {refusal.reason.value} (connections that ended before a first call: {refusal.count}; a "
            "certificate of another authority or an expired one, or no member's program)"
        )
    known = {entry.certificate: entry.id for entry in view.roster}
    who = known.get(refusal.certificate, "a certificate of no member")
    return f"refused: {refusal.reason.value} ({who}, {refusal.call})"
