"""Row 23: an error's sentence names paths, values and rows of its member; the others hear its kind and nothing else.

The server here is the curious one: everything that it receives is searched, and so is all that other members are told.
"""

from __future__ import annotations

import doctest
import errno
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.servers import PROCESS, Member, RunningServer, make_roster

from securefl import errors
from securefl.errors import DataError, DiskError, MemberLost, SecureFLError
from securefl.protocol import last_words, wire_calls
from securefl.protocol.calls import FederationFailed, Leave
from securefl.protocol.last_words import SENTENCES, UNKNOWN, passed_on, sentence_for
from securefl.storage.disk import disk_errors
from securefl_client.process import _LastWords

CANARIES = ("/ada/ward-7", "patient Lovelace", "0.7310585", "swordfish")
SENTENCE = f"line 3 of {CANARIES[0]}/rows.csv says '{CANARIES[1]}', worth {CANARIES[2]}"
KINDS = [
    kind
    for _, kind in sorted(inspect.getmembers(errors, inspect.isclass))
    if issubclass(kind, SecureFLError) and kind is not MemberLost
]


def full_disk() -> None:
    with disk_errors(Path(CANARIES[0])):
        raise OSError(errno.ENOSPC, SENTENCE, CANARIES[0])


def unexpected() -> None:
    raise KeyError(SENTENCE)


def raising(kind: type[SecureFLError]) -> Callable[[], None]:
    def end() -> None:
        raise kind(SENTENCE, where=CANARIES[0], hint=CANARIES[3])

    return end


ENDS = {kind.__name__: raising(kind) for kind in KINDS} | {"full disk": full_disk, "unexpected": unexpected}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], None]], str]:
    """End a member in one way; give everything that the server received of it and that another member heard."""

    def tell(end: Callable[[], None]) -> str:
        roster = make_roster(tmp_path_factory.mktemp("server"))
        with RunningServer(roster) as server:
            with Member(roster, "client-1").client(server.address) as other:
                other.join()
                told = other.follow()
                next(told)
                with roster.client("client-2", server.address) as client:
                    client.join()
                    with pytest.raises(Exception), _LastWords(client):  # noqa: B017 - whatever it is
                        end()
                failed = next(each for each in told if isinstance(each, FederationFailed))
            with pytest.raises(MemberLost) as caught:
                server.end()
            received = " ".join(message.decode("latin-1") for _, message in server.received)
            return f"{received} {failed} {caught.value} {server.events}"

    return tell


def hits(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_an_error_but_its_kind_reaches_the_server_or_the_others(
    told: Callable[[Callable[[], None]], str], end: str
) -> None:
    text = told(ENDS[end])
    assert hits(text) == []
    assert "client-2" in text


def test_control_an_errors_own_sentence_would_reach_them(
    told: Callable[[Callable[[], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securefl_client.process.sentence_for", str)
    monkeypatch.setattr("securefl_server.round_server.passed_on", str)
    assert hits(told(raising(DataError))) == list(CANARIES)


def test_a_server_passes_on_no_words_of_a_members_own(
    told: Callable[[Callable[[], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securefl_client.process.sentence_for", str)
    text = told(raising(DataError))
    heard = text.partition("FederationFailed(")[2]
    assert hits(heard) == []
    assert UNKNOWN in heard


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Iterator[type[SecureFLError]]:
    return request.param


def test_the_sentence_depends_on_the_kind_alone(kind: type[SecureFLError]) -> None:
    sentences = {sentence_for(kind("a", where="b")), sentence_for(kind(SENTENCE, hint=CANARIES[3]))}
    assert len(sentences) == 1
    assert sentences <= SENTENCES
    assert passed_on(*sentences) in SENTENCES


def test_the_example_of_the_module_is_true() -> None:
    assert doctest.testmod(last_words).attempted > 0
    assert doctest.testmod(last_words).failed == 0


def test_a_full_disk_is_named_as_one() -> None:
    assert sentence_for(DiskError("x")) == "its disk is full or cannot be written to"


def test_every_sentence_is_fit_for_the_wire() -> None:
    for sentence in {*SENTENCES, UNKNOWN}:
        farewell = wire_calls.Farewell(Leave(finished=False, last_words=sentence), PROCESS)
        assert wire_calls.decode_farewell(wire_calls.encode_farewell(farewell)) == farewell
