"""A session's requests carried out for one announcement, and what a refused one means.

The rule kept here: an announcement is the server's state at one moment. What a member still does about one that is past
may be refused, and that is no fault of anybody; it is dropped, and the newest announcement is heard next. A refusal of
what the newest announcement asks for ends the member's part.
"""

from __future__ import annotations

from collections.abc import Callable

from securefl.errors import RunError, SecureFLError
from securefl.protocol.calls import Announcement
from securefl_client.round_work import Got, Sent
from securefl_client.session import MemberSession


def carry_out(
    session: MemberSession,
    announcement: Announcement,
    ask: Callable[[Sent], Got],
    *,
    is_past: Callable[[], bool],
) -> None:
    """Do what an announcement asks for, request by request.

    Args:
        session: The member's.
        announcement: The newest when this began.
        ask: Makes a request and gives its answer; raises ``RunError`` where the server refuses it.
        is_past: Tells if there is a newer announcement by now.

    Raises:
        SecureFLError: what ends the member's part.
    """
    steps = session.handle(announcement)
    refused: RunError | None = None
    try:
        request = next(steps)
        while True:
            try:
                answer = ask(request)
            except RunError as error:
                refused = error
                request = steps.throw(error)
            else:
                request = steps.send(answer)
    except StopIteration:
        return
    except RunError as error:
        if not is_dropped(error, refused=refused, is_past=is_past):
            raise


def is_dropped(error: SecureFLError, *, refused: RunError | None, is_past: Callable[[], bool]) -> bool:
    """Tell if what ended a session's steps is the server's word about an announcement that is past.

    An error of the session's own is never dropped, and neither is one that a repetition may mend.

    Args:
        error: What ended them.
        refused: The last refusal that the session was given; None where there was none.
        is_past: Tells if there is a newer announcement by now; asked last.
    """
    return error is refused and not error.retryable and is_past()
