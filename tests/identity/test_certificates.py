from __future__ import annotations

import hashlib
import ipaddress
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store

from securefl.errors import IdentityError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role, fingerprint, load_credentials

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
AUTHORITY = Authority.create("four-banks", now=NOW)
NAMES = ("127.0.0.1", "localhost", "::1")


def folder_of(parent: Path, member: str = "client-1", role: Role = Role.CLIENT) -> Path:
    folder = parent / member
    folder.mkdir()
    AUTHORITY.issue(member, role=role, now=NOW, names=NAMES if role is Role.SERVER else ()).save(folder)
    return folder


def loaded(
    folder: Path, *, member: str = "client-1", role: Role = Role.CLIENT, now: datetime = NOW
) -> Credentials:
    return load_credentials(folder, member=member, role=role, now=now)


def certificate_of(credentials: Credentials) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credentials.certificate)


@pytest.mark.parametrize("role", Role)
def test_issued_credentials_load(role: Role, tmp_path: Path) -> None:
    credentials = loaded(folder_of(tmp_path, role=role), role=role)
    assert (credentials.member, credentials.authority) == ("client-1", AUTHORITY.certificate)


def test_a_client_certificate_passes_an_independent_verifier(tmp_path: Path) -> None:
    certificate = certificate_of(loaded(folder_of(tmp_path)))
    store = Store([x509.load_pem_x509_certificate(AUTHORITY.certificate)])
    verifier = PolicyBuilder().store(store).time(NOW).build_client_verifier()
    assert len(verifier.verify(certificate, []).chain) == 2


@pytest.mark.parametrize("name", ["server", "localhost", "127.0.0.1", "::1"])
def test_a_server_certificate_passes_an_independent_verifier_under_each_name(
    name: str, tmp_path: Path
) -> None:
    certificate = certificate_of(
        loaded(folder_of(tmp_path, "server", Role.SERVER), member="server", role=Role.SERVER)
    )
    store = Store([x509.load_pem_x509_certificate(AUTHORITY.certificate)])
    try:
        subject: x509.DNSName | x509.IPAddress = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(subject)
    assert len(verifier.verify(certificate, [])) == 2


def test_certificates_last_397_days_unless_told_otherwise() -> None:
    end = certificate_of(AUTHORITY.issue("client-1", role=Role.CLIENT, now=NOW)).not_valid_after_utc
    assert end == NOW + timedelta(days=397)
    end = certificate_of(AUTHORITY.issue("client-1", role=Role.CLIENT, now=NOW, days=7)).not_valid_after_utc
    assert end == NOW + timedelta(days=7)


def test_no_certificate_outlives_its_authority() -> None:
    later = NOW + timedelta(days=300)
    certificate = certificate_of(AUTHORITY.issue("client-1", role=Role.CLIENT, now=later))
    assert certificate.not_valid_after_utc == NOW + timedelta(days=397)


def test_keys_are_p256_and_made_for_each_certificate() -> None:
    keys = [certificate_of(AUTHORITY.issue(m, role=Role.CLIENT, now=NOW)).public_key() for m in ("a", "b")]
    assert all(isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" for key in keys)
    assert keys[0] != keys[1]


def test_a_fingerprint_is_the_digest_of_the_der_form(tmp_path: Path) -> None:
    credentials = loaded(folder_of(tmp_path))
    der = certificate_of(credentials).public_bytes(Encoding.DER)
    assert credentials.fingerprint == fingerprint(certificate_of(credentials)) == hashlib.sha256(der).digest()


def test_an_expired_certificate_is_refused_with_the_day(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"certificate expired on 2027-02-16 .*tls.crt"):
        loaded(folder_of(tmp_path), now=NOW + timedelta(days=398))


def test_a_certificate_from_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"not valid before 2026-01-15 .*clock"):
        loaded(folder_of(tmp_path), now=NOW - timedelta(minutes=6))


def test_a_clock_that_is_a_little_behind_does_no_harm(tmp_path: Path) -> None:
    loaded(folder_of(tmp_path), now=NOW - timedelta(minutes=4))


def test_an_expired_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two authorities of one key: what the lasting one issued also hangs on the one that has expired.
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setattr(ec, "generate_private_key", lambda _: key)
    folder = tmp_path / "client-1"
    folder.mkdir()
    Authority.create("four-banks", now=NOW).issue("client-1", role=Role.CLIENT, now=NOW).save(folder)
    (folder / "ca.crt").write_bytes(Authority.create("four-banks", now=NOW, days=1).certificate)
    with pytest.raises(IdentityError, match="authority's certificate expired on 2026-01-16"):
        loaded(folder, now=NOW + timedelta(days=2))


def test_a_certificate_of_another_federation_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "ca.crt").write_bytes(Authority.create("four-banks", now=NOW).certificate)
    with pytest.raises(IdentityError, match="not issued by this federation's authority"):
        loaded(folder)


def test_a_certificate_signed_by_a_member_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    member = folder_of(tmp_path, "client-2")
    shutil.copy(member / "tls.crt", folder / "ca.crt")
    with pytest.raises(IdentityError, match="not issued by"):
        loaded(folder)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    folder, other = folder_of(tmp_path), folder_of(tmp_path, "client-2")
    shutil.copy(other / "tls.key", folder / "tls.key")
    with pytest.raises(IdentityError, match="does not belong to the certificate"):
        loaded(folder)


def test_the_certificate_of_another_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="is for client-1, not for client-2"):
        loaded(folder_of(tmp_path), member="client-2")


@pytest.mark.parametrize(("issued", "used"), [(Role.CLIENT, Role.SERVER), (Role.SERVER, Role.CLIENT)])
def test_a_certificate_of_the_other_role_is_refused(issued: Role, used: Role, tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=f"not one of a {used.name.lower()}"):
        loaded(folder_of(tmp_path, role=issued), role=used)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / name).unlink()
    with pytest.raises(IdentityError, match=rf"is missing .*{name}.*securefl init"):
        loaded(folder)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_file_of_garbage_is_refused(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / name).write_bytes(b"garbage")
    with pytest.raises(IdentityError, match="is no PEM"):
        loaded(folder)


def test_a_tls_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "tls.key").chmod(0o644)
    with pytest.raises(IdentityError, match="can be read by others"):
        loaded(folder)


def test_private_keys_are_their_owners_only(tmp_path: Path) -> None:
    AUTHORITY.save(tmp_path)
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (folder_of(tmp_path) / "tls.key", tmp_path / "ca.key")
    ]
    assert modes == [0o600, 0o600]


def test_a_saved_authority_goes_on_issuing(tmp_path: Path) -> None:
    AUTHORITY.save(tmp_path)
    folder = tmp_path / "client-9"
    folder.mkdir()
    Authority.load(tmp_path).issue("client-9", role=Role.CLIENT, now=NOW).save(folder)
    assert loaded(folder, member="client-9").authority == AUTHORITY.certificate


def test_an_authority_with_a_foreign_key_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    AUTHORITY.save(tmp_path)
    Authority.create("four-banks", now=NOW).save(other)
    shutil.copy(other / "ca.key", tmp_path / "ca.key")
    with pytest.raises(IdentityError, match="does not belong"):
        Authority.load(tmp_path)


def test_credentials_show_nothing_of_their_key(tmp_path: Path) -> None:
    assert repr(loaded(folder_of(tmp_path))) == "Credentials(member='client-1')"
    assert repr(AUTHORITY) == "Authority(<redacted>)"
