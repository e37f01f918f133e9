"""Keys that members make themselves: never elsewhere, and as good as those that the lead makes."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from securefl import load_federation, shared_layout
from securefl.cli.main import command_line
from securefl.config.federation import FederationConfig
from securefl.crypto.channel_keys import PacketPlace, open_packet, seal_packet
from securefl.crypto.dealt_keys import Dealing, KeyKind, deal
from securefl.crypto.sealed_box import KemKey
from securefl.errors import ConfigError, IdentityError
from securefl.identity.signing import SigningKey
from securefl.provisioning.dealt_files import load_dealt_keys, save_dealt_keys
from securefl.provisioning.own_keys import make_keys, read_request
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder

FEDERATION = """
[federation]
name = "own"
[encryption]
scheme = "none"
[cohort]
clients = [{ r = 1 }, { r = 2 }, { r = 3 }, { r = 4 }]
samples_cap = 40
"""
LAYOUT = shared_layout({"hidden": (6, 5)}, {"out": (2, 6)})
OWNERS = ("client-1", "client-3")
"""Members that make their own keys: they come last in the roster, in this order."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``federation`` as the lead makes it, and the folders ``client-1`` and ``client-3`` as their owners have them."""
    base = tmp_path_factory.mktemp("own")
    requests = []
    for owner in OWNERS:
        make_keys(base / owner, owner)
        requests.append(read_request(base / owner / "request.json"))
    provision(config_of(base), base / "federation", emit=lambda event: None, layout=LAYOUT, requests=requests)
    for owner in OWNERS:
        shutil.copytree(base / "federation" / owner, base / owner, dirs_exist_ok=True)
    return base


def config_of(base: Path) -> FederationConfig:
    (base / "FED.toml").write_text(FEDERATION)
    return load_federation(base / "FED.toml", own_models=True)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy of all folders."""
    return shutil.copytree(made, tmp_path / "own")


@pytest.fixture
def dealt(copied: Path) -> Path:
    """A copy of all folders, in which the owner ahead has dealt to the one behind."""
    assert command_line(["keys", "deal", str(copied / "client-1")]) == 0
    shutil.copytree(copied / "client-1" / "deals" / "client-3", copied / "client-3", dirs_exist_ok=True)
    return copied


def loaded(folder: Path) -> ClientFolder:
    return ClientFolder.load(folder, now=datetime.now(UTC))


def everybody(base: Path) -> list[ClientFolder]:
    """All members in the roster's order."""
    hosted = [base / "federation" / member for member in ("client-2", "client-4")]
    return [loaded(folder) for folder in (*hosted, *(base / owner for owner in OWNERS))]


def test_members_with_own_keys_stand_last_in_the_roster(made: Path) -> None:
    federation = loaded(made / "federation" / "client-2").federation
    assert federation.cohort == ("client-2", "client-4", "client-1", "client-3")
    assert [member.rank for member in federation.roster] == [2, 4, 1, 3]


def test_no_private_key_of_such_a_member_is_in_the_leads_folders(made: Path) -> None:
    folder = made / "federation" / "client-1"
    assert {path.name for path in folder.iterdir()} >= {"federation.json", "client.toml", "dealt.keys"}
    assert not {"signing.key", "kem.key", "shared.key", "channels.key"} & {
        path.name for path in folder.iterdir()
    }
    seed = (made / "client-1" / "kem.key").read_bytes()[8:40]
    files = [path for path in (made / "federation").rglob("*") if path.is_file()]
    assert not any(seed in path.read_bytes() or seed.hex().encode() in path.read_bytes() for path in files)


def test_every_pair_of_members_can_talk(dealt: Path) -> None:
    members = everybody(dealt)
    for i, sender in enumerate(members):
        for j, recipient in enumerate(members):
            if i != j:
                place = PacketPlace(b"A" * 32, i, j, b"b" * 32)
                packet = seal_packet(sender.channels.pair(j), b"share", place=place)
                assert open_packet(recipient.channels.pair(i), packet, place=place) == b"share"


def test_all_members_hold_the_same_shared_keys(dealt: Path) -> None:
    members = everybody(dealt)
    assert len({member.keys.encode() for member in members}) == 1
    assert len({member.channels.group.key for member in members}) == 1


def test_what_the_keys_arrived_in_is_removed_and_the_folder_starts_again(dealt: Path) -> None:
    first = [loaded(dealt / owner).channels.encode() for owner in OWNERS]
    for owner in OWNERS:
        names = {path.name for path in (dealt / owner).iterdir()}
        assert not {name for name in names if name.startswith("dealt") or name == "own.deals"}
        assert stat.S_IMODE((dealt / owner / "channels.key").stat().st_mode) == 0o600
    assert [loaded(dealt / owner).channels.encode() for owner in OWNERS] == first


def test_a_file_that_is_left_behind_by_a_crash_changes_nothing(dealt: Path) -> None:
    left = (dealt / "client-3" / "dealt.keys").read_bytes()
    first = loaded(dealt / "client-3").channels.encode()
    (dealt / "client-3" / "dealt.keys").write_bytes(left)
    assert loaded(dealt / "client-3").channels.encode() == first
    assert not (dealt / "client-3" / "dealt.keys").exists()


def test_a_member_that_has_not_dealt_is_told_to(copied: Path) -> None:
    with pytest.raises(IdentityError, match=r"has not dealt its keys.*securefl keys deal"):
        loaded(copied / "client-1")


def test_a_member_that_nobody_dealt_to_is_told_who_must(copied: Path) -> None:
    with pytest.raises(IdentityError, match=r"no key that client-1 dealt.*securefl keys deal"):
        loaded(copied / "client-3")


def test_keys_are_dealt_once(dealt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["keys", "deal", str(dealt / "client-1")]) == 2
    assert "already" in capsys.readouterr().err
    loaded(dealt / "client-1")
    assert command_line(["keys", "deal", str(dealt / "client-1")]) == 2


def forged(base: Path, dealer: int, *, kind: KeyKind, signer: SigningKey) -> None:
    """A file in client-3's folder with a key that somebody else dealt in a member's name."""
    federation = loaded(base / "federation" / "client-2").federation
    use = Dealing(federation.digest, 1, kind, dealer, 3)
    recipient = federation.roster[3].kem_key
    own = deal(b"k" * 32, use, recipient_key=recipient, signing_key=signer)
    path = base / "client-3" / "dealt.keys"
    others = [one for one in load_dealt_keys(path) if one.dealing != use]
    save_dealt_keys(path, [*others, own])


@pytest.mark.parametrize(("dealer", "kind"), [(0, KeyKind.GROUP), (0, KeyKind.PAIR), (1, KeyKind.PAIR)])
def test_a_key_that_the_server_dealt_is_refused(dealt: Path, dealer: int, kind: KeyKind) -> None:
    forged(dealt, dealer, kind=kind, signer=SigningKey.generate())
    with pytest.raises(IdentityError, match="is refused, because a signature does not hold"):
        loaded(dealt / "client-3")
    assert not (dealt / "client-3" / "channels.key").exists()


def test_two_keys_of_one_dealer_are_refused_and_kept_as_proof(dealt: Path) -> None:
    signer = SigningKey.load(dealt / "client-1" / "signing.key")
    federation = loaded(dealt / "federation" / "client-2").federation
    use = Dealing(federation.digest, 1, KeyKind.PAIR, 2, 3)
    second = deal(b"k" * 32, use, recipient_key=federation.roster[3].kem_key, signing_key=signer)
    save_dealt_keys(dealt / "client-3" / "dealt-again.keys", [second])
    with pytest.raises(IdentityError, match="two different keys were dealt by the member at index 2"):
        loaded(dealt / "client-3")
    assert (dealt / "client-3" / "dealt-again.keys").exists()


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: b"x" + data, lambda data: data + b"\0"]
)
def test_a_damaged_file_of_dealt_keys_is_refused(dealt: Path, change: Callable[[bytes], bytes]) -> None:
    path = dealt / "client-3" / "dealt.keys"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IdentityError, match="another version, or damaged"):
        loaded(dealt / "client-3")


def test_damaged_own_deals_are_refused(dealt: Path) -> None:
    path = dealt / "client-1" / "own.deals"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IdentityError, match="own deals is damaged"):
        loaded(dealt / "client-1")


def test_the_lead_must_be_a_member(tmp_path: Path) -> None:
    requests = [make_keys(tmp_path / f"client-{number}", f"client-{number}") for number in range(1, 5)]
    with pytest.raises(ConfigError, match="nobody is left to deal"):
        provision(
            config_of(tmp_path), tmp_path / "out", emit=lambda event: None, layout=LAYOUT, requests=requests
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(["stranger"], "'stranger' is of no client"), (["client-1", "client-1"], "'client-1' is there twice")],
)
def test_requests_that_fit_no_client_are_refused(tmp_path: Path, names: list[str], sentence: str) -> None:
    requests = [make_keys(tmp_path / str(number), name) for number, name in enumerate(names)]
    with pytest.raises(ConfigError, match=sentence):
        provision(
            config_of(tmp_path), tmp_path / "out", emit=lambda event: None, layout=LAYOUT, requests=requests
        )


@pytest.mark.parametrize("key", ["id", "signing_key", "kem_key", "signature"])
def test_a_request_with_a_field_changed_is_refused(tmp_path: Path, key: str) -> None:
    make_keys(tmp_path / "a", "client-1")
    path = tmp_path / "a" / "request.json"
    request = json.loads(path.read_text())
    other = {
        "id": "client-2",
        "signing_key": SigningKey.generate().public_key.hex(),
        "kem_key": KemKey.generate().public_key.hex(),
        "signature": "00" * 64,
    }
    path.write_text(json.dumps(request | {key: other[key]}))
    with pytest.raises(IdentityError, match="not signed by the key that it names"):
        read_request(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 3}', '{"version": 2}', '{"version": 4}'])
def test_what_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "request.json").write_text(text)
    with pytest.raises(IdentityError):
        read_request(tmp_path / "request.json")


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make_keys(tmp_path / "a", "client-1")
    before = (tmp_path / "a" / "kem.key").read_bytes()
    with pytest.raises(ConfigError, match="not empty"):
        make_keys(tmp_path / "a", "client-1")
    assert (tmp_path / "a" / "kem.key").read_bytes() == before


def test_own_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    make_keys(tmp_path / "a", "client-1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()}
    assert modes["kem.key"] == modes["signing.key"] == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["server", "lead", "", "Hospital A", "../client-1"])
def test_what_can_be_no_clients_id_makes_no_keys(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no client's id"):
        make_keys(tmp_path / "a", name)


def test_the_commands_print_the_fingerprints_that_people_compare(
    tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["keys", "make", str(tmp_path / "own"), "--id", "client-1"]) == 0
    assert read_request(tmp_path / "own" / "request.json").fingerprint in capsys.readouterr().out
    assert command_line(["keys", "show", str(made / "federation" / "client-2")]) == 0
    said = capsys.readouterr().out
    federation = loaded(made / "federation" / "client-2").federation
    assert federation.fingerprint in said
    assert read_request(made / "client-1" / "request.json").fingerprint in said
