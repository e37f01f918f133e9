"""The list of revoked certificates: read at every change, whole or line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.round_service import HeldService, listening
from support.rounds import ATTEMPT
from support.servers import DIGEST

from securefl.errors import AuthenticationError, IdentityError
from securefl.protocol.calls import Staged, StagedUpTo
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.revocations import RevokedCertificates

ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture
def told() -> list[str]:
    return []


def test_without_a_file_nothing_is_revoked(tmp_path: Path, told: list[str]) -> None:
    assert RevokedCertificates(tmp_path / "revoked", tell=told.append)() == frozenset()


def test_lines_comments_and_colons_are_read(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "revoked"
    path.write_text(f"# lost\n\n{ONE.hex()}  # client-7\n{OTHER.hex(':').upper()}\n")
    assert RevokedCertificates(path, tell=told.append)() == {ONE, OTHER}


@pytest.mark.parametrize("line", ["client-7", ONE.hex()[:-2], ONE.hex() + "00", "zz" * 32])
def test_a_server_does_not_start_with_a_line_that_cannot_be_read(
    tmp_path: Path, told: list[str], line: str
) -> None:
    path = tmp_path / "revoked"
    path.write_text(f"{ONE.hex()}\n{line}\n")
    with pytest.raises(IdentityError, match=r"line 2 of .*revoked is no certificate's fingerprint"):
        RevokedCertificates(path, tell=told.append)


def test_a_line_that_cannot_be_read_while_the_server_runs_is_told_once_and_the_others_hold(
    tmp_path: Path, told: list[str]
) -> None:
    path = tmp_path / "revoked"
    revoked = RevokedCertificates(path, tell=told.append)
    path.write_text(f"client-7\n{ONE.hex()}\n")
    assert (revoked(), revoked()) == ({ONE}, {ONE})
    assert len(told) == 1
    assert "line 1" in told[0]


def test_a_file_that_cannot_be_read_leaves_the_former_list(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "revoked"
    path.write_text(ONE.hex())
    revoked = RevokedCertificates(path, tell=told.append)
    path.write_bytes(b"\xff\xfe" + OTHER)
    assert revoked() == {ONE}
    assert "cannot be read" in told[0]


def test_a_member_is_refused_from_the_moment_that_its_line_is_written(
    tmp_path: Path, told: list[str], certificates
) -> None:
    path = tmp_path / "revoked"
    revoked = RevokedCertificates(path, tell=told.append)
    shown = certificates.client
    with (
        listening(HeldService(), certificates.server, revoked=revoked) as address,
        AggregatorClient(address, shown, federation_digest=DIGEST) as client,
    ):
        assert client.ask(StagedUpTo(ATTEMPT)) == Staged(0, complete=False)
        path.write_text(shown.fingerprint.hex())
        with pytest.raises(AuthenticationError, match="certificate is revoked"):
            client.ask(StagedUpTo(ATTEMPT))
    assert told == []
