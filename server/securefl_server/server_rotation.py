"""The server's part in a rotation of keys: it learns the number of the new keys, and nothing of them.

The rule kept here: the signatures of the whole roster move the server on, and nothing else does; the step is in its
store, so that a server started again is under the new number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from securefl.errors import IdentityError, plain_reason
from securefl.progress import EventSink
from securefl.protocol.rotation_requests import RotationRequest
from securefl.protocol.serving.view_rules import rules_of
from securefl.storage.lock import locked
from securefl_server.bodies import FOLDER, Bodies
from securefl_server.process import load_view
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore


def rotate_server(folder: Path, files: Sequence[Path], *, emit: EventSink) -> int:
    """Move a server that does not run on to its members' new keys.

    Args:
        folder: The server's folder.
        files: The request of every member.
        emit: Where events go.

    Returns:
        Number of the rotation.

    Raises:
        IdentityError: if a request is missing, not signed by its member, or for another federation, rotation or sum.
        ProtocolError: if the members' sum is none that this server can stand at.
        DiskError, StateError: if the store cannot be read or written, or the server runs.
    """
    view = load_view(folder)
    requests = [_read(path) for path in files]
    with locked(folder, owner="the server"):
        store = SqliteRoundStore(folder, federation_digest=view.federation_digest)
        try:
            core = RoundServer(
                rules_of(view),
                view.sections,
                store=store,
                bodies=Bodies(folder / FOLDER),
                now=time.monotonic,
                emit=emit,
            )
            return core.rotate({request.wish.id: request for request in requests})
        finally:
            store.close()


def _read(path: Path) -> RotationRequest:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityError("a request cannot be read", where=str(path), hint=plain_reason(error)) from None
    return RotationRequest.parse(text, where=str(path))
