"""Announcements are a state: the newest counts, a failure always, and their number costs no memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from securefl.errors import MemberLost, SecureFLError, TransportError
from securefl.protocol.agreement.cohort import Manifest
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    AggregateReady,
    Announcement,
    FederationClosed,
    FederationFailed,
    RoundOpened,
    Waiting,
)
from securefl_client.inbox import Inbox

ATTEMPT = Attempt(bytes(32), 1, 1, 1)
OPENED = RoundOpened(Manifest(ATTEMPT, ("client-1", "client-2", "client-3"), bytes(32)))


def heard(*announcements: Announcement, error: SecureFLError | None = None) -> Inbox:
    """An inbox whose stream has said all of it and ended."""

    def stream() -> Iterator[Announcement]:
        yield from announcements
        if error is not None:
            raise error

    inbox = Inbox(stream())
    inbox._thread.join(10)
    return inbox


def test_the_newest_announcement_is_given_and_then_the_end() -> None:
    inbox = heard(Waiting(("client-2",)), OPENED)
    assert inbox.next() == OPENED
    with pytest.raises(TransportError, match="ended the connection"):
        inbox.next()


def test_a_hundred_thousand_announcements_take_the_room_of_one() -> None:
    done, go_on = threading.Event(), threading.Event()

    def flood() -> Iterator[Announcement]:
        for number in range(100_000):
            yield Waiting((f"client-{number}",))
        done.set()
        go_on.wait(10)

    inbox = Inbox(flood())
    assert done.wait(60)
    assert inbox.next() == Waiting(("client-99999",))
    assert inbox._newest is None
    go_on.set()


@pytest.mark.parametrize("later", [(), (OPENED,), (AggregateReady(1, 0), FederationClosed())])
def test_a_failure_is_kept_whatever_comes_after_it(later: tuple[Announcement, ...]) -> None:
    failed = FederationFailed("client-2", "its connection broke")
    inbox = heard(OPENED, failed, *later)
    assert inbox.next() == failed
    with pytest.raises(MemberLost, match="client-2"):
        inbox.check()


def test_the_last_announcement_is_given_before_the_end_of_the_stream() -> None:
    assert heard(AggregateReady(1, 0), FederationClosed()).next() == FederationClosed()


def test_a_stream_that_breaks_interrupts_the_work() -> None:
    inbox = heard(OPENED, error=TransportError("the server was out of reach"))
    with pytest.raises(TransportError, match="out of reach"):
        inbox.check_soon(0)
    assert inbox.next() == OPENED
    with pytest.raises(TransportError, match="out of reach"):
        inbox.next()


def test_a_waiting_reader_is_woken() -> None:
    go_on = threading.Event()

    def late() -> Iterator[Announcement]:
        go_on.wait(10)
        yield OPENED

    inbox = Inbox(late())
    threading.Timer(0.05, go_on.set).start()
    assert inbox.next() == OPENED
