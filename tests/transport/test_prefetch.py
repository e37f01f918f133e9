"""Messages made in the caller's thread, sent by another: bounded, in order, and nobody is left waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from securefl.errors import TrainingError
from securefl.transport.prefetch import AHEAD, PrefetchingCall

WAIT_S = 120.0
"""Only a hang reaches it."""


class Call:
    """A stand-in for grpc's future: a thread that takes requests."""

    def __init__(self, requests: Iterator[bytes], *, takes: int | None = None, fails: bool = False) -> None:
        self.taken: list[bytes] = []
        self.cancelled = False
        self.gate = threading.Event()
        self._requests = requests
        self._takes = takes
        self._fails = fails
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        if self._takes == 0:
            self.gate.wait(WAIT_S)
        for request in self._requests:
            self.taken.append(request)
            if len(self.taken) == self._takes:
                break
        self._over.set()

    def done(self) -> bool:
        return self._over.is_set()

    def cancel(self) -> None:
        self.cancelled = True

    def result(self) -> bytes:
        assert self._over.wait(WAIT_S)
        if self._fails:
            raise ConnectionError("refused")
        return b"reply"


def test_all_messages_arrive_in_order_and_the_reply_comes_back() -> None:
    calls: list[Call] = []
    messages = [bytes([number]) for number in range(50)]
    pending = PrefetchingCall(lambda requests: calls.append(Call(requests)) or calls[0])
    assert pending.send(messages) == b"reply"
    assert calls[0].taken == messages


def test_messages_are_made_in_the_callers_thread() -> None:
    makers: set[int] = set()

    def made() -> Iterator[bytes]:
        for _ in range(10):
            makers.add(threading.get_ident())
            yield b"x"

    PrefetchingCall(Call).send(made())
    assert makers == {threading.get_ident()}


def test_no_more_than_a_few_messages_wait_for_a_slow_network() -> None:
    made: list[int] = []
    calls: list[Call] = []
    ahead, one_more = threading.Event(), threading.Event()

    def messages() -> Iterator[bytes]:
        for number in range(40):
            made.append(number)
            if len(made) == AHEAD + 1:
                ahead.set()
            elif len(made) > AHEAD + 1:
                one_more.set()
            yield bytes([number])

    pending = PrefetchingCall(lambda requests: calls.append(Call(requests, takes=0)) or calls[0])
    sender = threading.Thread(target=lambda: pending.send(messages()), daemon=True)
    sender.start()
    assert ahead.wait(WAIT_S)
    assert not one_more.wait(0.3)
    calls[0].gate.set()
    calls[0]._takes = None
    sender.join(WAIT_S)
    assert len(made) == 40


def test_what_making_a_message_raises_reaches_the_caller_and_cancels_the_call() -> None:
    calls: list[Call] = []

    def messages() -> Iterator[bytes]:
        yield b"first"
        raise TrainingError("not finite")

    pending = PrefetchingCall(lambda requests: calls.append(Call(requests)) or calls[0])
    with pytest.raises(TrainingError):
        pending.send(messages())
    assert calls[0].cancelled
    calls[0].thread.join(WAIT_S)
    assert not calls[0].thread.is_alive()


def test_a_call_that_is_refused_midway_stops_the_making() -> None:
    calls: list[Call] = []
    made = 0

    def messages() -> Iterator[bytes]:
        nonlocal made
        for _ in range(10_000):
            made += 1
            yield b"x"

    pending = PrefetchingCall(lambda requests: calls.append(Call(requests, takes=3, fails=True)) or calls[0])
    with pytest.raises(ConnectionError):
        pending.send(messages())
    assert made < 100
