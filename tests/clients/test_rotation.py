"""New keys between two rounds: for the whole roster or for nobody, fresh in everything, and whole after any stop."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rotations import (
    MARK,
    MEMBERS,
    D,
    advert,
    dealt_to,
    first,
    journal_of,
    lived,
    loaded,
    note,
    requested,
    rotated,
)

from securefl.cli.main import command_line
from securefl.crypto.channel_keys import PacketPlace, open_packet, seal_packet
from securefl.crypto.dealt_keys import KeyKind
from securefl.crypto.sealed_box import KemKey
from securefl.errors import AuthenticationError, IdentityError, StateError
from securefl.identity.signing import SigningKey
from securefl.protocol.member_records import (
    AttemptSettled,
    ContributionStaged,
    HeaderCommitted,
    SumApplied,
    SumRefused,
    VoteSigned,
)
from securefl.protocol.rotation_requests import RotationRequest
from securefl.provisioning.dealt_files import load_dealt_keys
from securefl.provisioning.keys_file import load_kem_key, load_shared_keys
from securefl_client import process
from securefl_client.folder import load_federation_file
from securefl_client.member_rotation import abandon_rotation, rotate_keys


def test_all_members_have_one_set_of_new_keys(base: Path) -> None:
    before = [loaded(base / member) for member in MEMBERS]
    after = rotated(base)
    assert {own.keys.key_epoch for own in after} == {2} == {own.channels.key_epoch for own in after}
    assert len({own.keys.encode() for own in after}) == 1 == len({own.channels.group.key for own in after})
    assert after[0].channels.pair(2).key == after[2].channels.pair(0).key
    for old, new in zip(before, after, strict=True):
        assert not {old.keys.mac, old.keys.tag, old.keys.chain} & {new.keys.mac, new.keys.tag, new.keys.chain}
        assert old.channels.group.key != new.channels.group.key
        assert not {old.channels.pair(i).key for i in old.channels.pairs} & {
            new.channels.pair(i).key for i in new.channels.pairs
        }


def test_a_call_that_is_repeated_begins_no_other_rotation(base: Path) -> None:
    rotated(base)
    assert {own.keys.key_epoch for own in rotated(base)} == {2}
    assert rotate_keys(base / "client-2").finished
    assert loaded(base / "client-2").keys.key_epoch == 2


def test_keys_can_change_again(base: Path) -> None:
    rotated(base)
    lived(base)
    assert {own.keys.key_epoch for own in rotated(base)} == {3}


def test_a_copy_of_a_folder_from_before_opens_nothing_of_what_the_new_keys_seal(
    base: Path, tmp_path: Path
) -> None:
    thief = loaded(shutil.copytree(base / "client-3", tmp_path / "copy"))
    requests = requested(base)
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    boxes = [each for path in dealt_to("client-3", dealt) for each in load_dealt_keys(path)]
    assert {each.dealing.kind for each in boxes} == {KeyKind.PAIR, KeyKind.GROUP, KeyKind.SHARED}
    for box in boxes:
        dealer = thief.federation.roster[box.dealing.dealer]
        with pytest.raises(AuthenticationError):
            box.accept(box.dealing, dealer_key=dealer.signing_key, kem_key=thief.kem_key)
    rotate_keys(base / "client-2", dealt_to("client-2", dealt))
    rotate_keys(base / "client-3", dealt_to("client-3", dealt))
    place = PacketPlace(b"A" * 32, 0, 2, b"b" * 32)
    packet = seal_packet(loaded(base / "client-1").channels.pair(2), b"share", place=place)
    assert open_packet(loaded(base / "client-3").channels.pair(0), packet, place=place) == b"share"
    with pytest.raises(AuthenticationError):
        open_packet(thief.channels.pair(0), packet, place=place)


def test_nothing_that_could_open_the_new_keys_again_is_left(base: Path) -> None:
    requests = requested(base)
    seeds = [load_kem_key(base / member / "rotation" / "kem.key").encode()[8:40] for member in MEMBERS]
    rotate_keys(base / "client-1", requests)
    rotated(base)
    files = [path for path in base.rglob("*") if path.is_file()]
    assert not any(seed in path.read_bytes() for seed in seeds for path in files)
    assert not [*base.glob("*/rotation"), *base.glob("*/.rotation")]


def test_only_the_owner_reads_what_a_rotation_keeps(base: Path) -> None:
    rotate_keys(base / "client-1")
    kept = base / "client-1" / "rotation"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert stat.S_IMODE((kept / "kem.key").stat().st_mode) == 0o600


def test_a_member_that_asked_for_new_keys_does_not_start_under_the_old_ones(base: Path) -> None:
    rotate_keys(base / "client-1")
    with pytest.raises(IdentityError, match=r"keys are being changed.*securefl keys rotate"):
        loaded(base / "client-1")


def test_new_keys_come_only_with_the_requests_of_the_whole_roster(base: Path) -> None:
    requests = requested(base)
    progress = rotate_keys(base / "client-1", [requests[1]])
    assert (progress.missing, progress.finished) == (("client-3",), False)
    assert not (base / "client-1" / "rotation" / "own.deals").exists()


def test_what_was_asked_and_dealt_once_is_the_same_when_it_is_called_again(base: Path) -> None:
    requests = requested(base)
    dealt = rotate_keys(base / "client-2", requests)
    files = [requests[1], *dealt.deals.values()]
    first_bytes = [path.read_bytes() for path in files]
    assert rotate_keys(base / "client-2", requests).fingerprint == dealt.fingerprint
    assert [path.read_bytes() for path in files] == first_bytes


def forged(path: Path, **changes: object) -> None:
    """Change a request as somebody without the member's signing key can."""
    request = RotationRequest.parse(path.read_text(), where="")
    wish = request.wish.model_copy(update=changes)
    path.write_text(request.model_copy(update={"wish": wish}).to_text())


def test_a_request_that_its_member_did_not_sign_is_refused(base: Path, tmp_path: Path) -> None:
    requests = requested(base)
    forged(requests[1], kem_key=KemKey.generate().public_key)
    with pytest.raises(IdentityError, match="new keys of client-2 is not signed"):
        rotate_keys(base / "client-1", requests)
    assert not (base / "client-1" / "rotation" / "own.deals").exists()


@pytest.mark.parametrize("changes", [{"applied": 7}, {"key_epoch": 9}, {"newest_sum": D}])
def test_requests_after_different_sums_are_refused(base: Path, changes: dict[str, object]) -> None:
    requests = requested(base)
    request = RotationRequest.parse(requests[1].read_text(), where="")
    signing_key = SigningKey.load(base / "client-2" / "signing.key")
    other = RotationRequest.signed(request.wish.model_copy(update=changes), signing_key)
    requests[1].write_text(other.to_text())
    with pytest.raises(IdentityError, match="another federation, rotation or sum"):
        rotate_keys(base / "client-1", requests)


def test_keys_that_the_server_dealt_in_a_members_name_are_refused(base: Path) -> None:
    requests = requested(base)
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    path = dealt[0].deals["client-3"]
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IdentityError, match="a key dealt in the name of client-1 is refused"):
        rotate_keys(base / "client-3", dealt_to("client-3", dealt))
    assert load_shared_keys(base / "client-3" / "shared.key").key_epoch == 1


def test_a_file_that_does_not_hold_is_not_kept_and_the_right_one_is_taken_after_it(
    base: Path, tmp_path: Path
) -> None:
    requests = requested(base)
    lie = Path(shutil.copy(requests[1], tmp_path / "lie.json"))
    forged(lie, kem_key=KemKey.generate().public_key)
    with pytest.raises(IdentityError, match="new keys of client-2 is not signed"):
        rotate_keys(base / "client-1", [lie])
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    boxes = dealt_to("client-3", dealt)
    data = bytearray(boxes[0].read_bytes())
    data[-70] ^= 1
    (tmp_path / "lie.keys").write_bytes(bytes(data))
    with pytest.raises(IdentityError, match="in the name of client-1 is refused"):
        rotate_keys(base / "client-3", [tmp_path / "lie.keys"])
    assert rotate_keys(base / "client-3", boxes).finished


def test_files_of_an_earlier_rotation_or_for_another_member_are_not_kept(base: Path) -> None:
    rotated(base)
    lived(base)
    old = base / "client-1" / "deals" / "rotation-2"
    requests = requested(base)
    with pytest.raises(IdentityError, match="another federation, rotation or sum"):
        rotate_keys(base / "client-3", [old / "rotation-client-1.json"])
    with pytest.raises(IdentityError, match="another federation, rotation or member"):
        rotate_keys(base / "client-3", [old / "client-3" / "rotated-by-client-1.keys"])
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    with pytest.raises(IdentityError, match="another federation, rotation or member"):
        rotate_keys(base / "client-3", dealt_to("client-2", dealt))
    assert rotate_keys(base / "client-3", dealt_to("client-3", dealt)).finished


def test_a_rotation_that_not_all_ask_for_is_set_aside_and_taken_up_again(base: Path) -> None:
    folder = base / "client-1"
    first_time = rotate_keys(folder)
    assert command_line(["keys", "rotate", str(folder), "--abandon"]) == 0
    assert loaded(folder).keys.key_epoch == 1
    assert rotate_keys(folder).fingerprint == first_time.fingerprint
    assert {own.keys.key_epoch for own in rotated(base)} == {2}


def test_a_member_that_went_on_after_it_set_its_rotation_aside_asks_anew(base: Path) -> None:
    folder = base / "client-1"
    first_time = rotate_keys(folder)
    abandon_rotation(folder)
    note(folder, SumApplied(first(folder), 1, D, MEMBERS, D, MEMBERS, MARK, False))
    assert rotate_keys(folder).fingerprint != first_time.fingerprint


def test_a_rotation_in_which_a_member_has_drawn_keys_is_not_abandoned(base: Path) -> None:
    rotate_keys(base / "client-2", requested(base))
    with pytest.raises(StateError, match="no rotation of keys that can be abandoned"):
        abandon_rotation(base / "client-2")
    with pytest.raises(IdentityError, match="keys are being changed"):
        loaded(base / "client-2")


def test_a_member_that_begins_to_rotate_while_another_process_starts_it_is_seen(
    base: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder is read under its lock: what a rotation did just before is not overlooked."""
    folder = base / "client-3"

    @contextlib.contextmanager
    def late(path: Path, *, owner: str) -> Iterator[None]:
        rotate_keys(folder)
        yield

    monkeypatch.setattr(process, "locked", late)
    with pytest.raises(IdentityError, match="keys are being changed"):
        process.run_client(folder, server="127.0.0.1:1", out=tmp_path / "out", emit=lambda event: None)


# --- states


def test_an_open_attempt_in_which_nothing_was_let_go_is_given_up(base: Path) -> None:
    folder = base / "client-2"
    note(folder, advert(folder), ContributionStaged(first(folder), 1, D, MARK))
    (folder / "journal" / "outbox").mkdir()
    (folder / "journal" / "outbox" / "body").write_bytes(b"windows")
    rotated(base)
    assert not list((folder / "journal").glob("outbox/*"))
    with journal_of(folder, 2) as journal:
        assert (journal.state.manifest, journal.state.staged) == (None, None)


@pytest.mark.parametrize("vote", [False, True])
def test_keys_do_not_change_while_a_header_or_a_vote_is_out(base: Path, vote: bool) -> None:
    folder = base / "client-2"
    out = VoteSigned(first(folder), 1, "void", D, bytes(64)) if vote else HeaderCommitted(first(folder), 1, D)
    note(folder, advert(folder), out)
    with pytest.raises(StateError, match="cannot change its keys while attempt 1 of round"):
        rotate_keys(folder)
    assert not (folder / "rotation").exists()
    assert loaded(folder).keys.key_epoch == 1


def test_keys_change_once_the_contribution_is_settled(base: Path) -> None:
    folder = base / "client-2"
    number = first(folder)
    note(folder, advert(folder), HeaderCommitted(number, 1, D), AttemptSettled(number, 1, D, ()))
    rotated(base)
    with journal_of(folder, 2) as journal:
        assert journal.state.settled == {1: D} == journal.state.committed


def refusing(folder: Path, *, statement: bytes = D, header: bool = True) -> None:
    """The journal of a member that refused the sum of the first attempt together with its keys."""
    from securefl.protocol.agreement.signed import Attempt, sign
    from securefl.protocol.agreement.statement import SpoiledVote
    from securefl.protocol.member_records import CohortAccepted, OtherAdvert

    number = first(folder)
    attempt = Attempt(load_federation_file(folder).digest, 1, number, 1)
    signing_key = SigningKey.load(folder / "signing.key")
    vote = sign(SpoiledVote(attempt, folder.name, statement), signing_key)
    adverts = tuple(OtherAdvert(member, D, D, bytes(64)) for member in MEMBERS)
    out = (
        HeaderCommitted(number, 1, D) if header else VoteSigned(number, 1, "survivors", statement, bytes(64))
    )
    records = (advert(folder), CohortAccepted(number, 1, adverts), out)
    note(folder, *records, SumRefused(number, 1, D, statement, MEMBERS, vote.signature))
    (folder / "keys.refused").write_bytes(b"refused")


def test_a_sum_that_t_members_refused_is_settled_by_their_requests(base: Path) -> None:
    for member in MEMBERS:
        refusing(base / member)
    requests = requested(base)
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    for member in MEMBERS[1:]:
        assert rotate_keys(base / member, dealt_to(member, dealt)).finished
    for member in MEMBERS:
        assert loaded(base / member).keys.key_epoch == 2
        with journal_of(base / member, 2) as journal:
            assert journal.state.settled == {1: D}
            assert (journal.state.spoiled, journal.state.refused) == (MEMBERS, None)


def test_a_member_whose_contribution_came_too_late_settles_with_the_others(base: Path) -> None:
    """It has no header in the attempt; it voted, and refused the sum as the others did."""
    for member in MEMBERS:
        refusing(base / member, header=member != "client-2")
    requests = requested(base)
    dealt = [rotate_keys(base / member, requests) for member in MEMBERS]
    for member in MEMBERS[1:]:
        assert rotate_keys(base / member, dealt_to(member, dealt)).finished
    with journal_of(base / "client-2", 2) as journal:
        assert (journal.state.settled, journal.state.spoiled) == ({1: D}, MEMBERS)


def test_refusals_of_different_sums_settle_nothing(base: Path) -> None:
    for member, statement in zip(MEMBERS, (D, D, b"e" * 32), strict=True):
        refusing(base / member, statement=statement)
    requests = requested(base)
    with pytest.raises(StateError, match="2 members refused its sum, and it takes 3"):
        rotate_keys(base / "client-1", requests)
    assert load_shared_keys(base / "client-1" / "shared.key").key_epoch == 1


def test_a_refusal_that_its_member_did_not_sign_is_refused(base: Path) -> None:
    for member in MEMBERS:
        refusing(base / member)
    requests = requested(base)
    request = RotationRequest.parse(requests[1].read_text(), where="")
    assert request.wish.refusal is not None
    lie = request.wish.refusal.model_copy(update={"statement_digest": b"e" * 32})
    signing_key = SigningKey.load(base / "client-2" / "signing.key")
    wish = request.wish.model_copy(update={"refusal": lie})
    requests[1].write_text(RotationRequest.signed(wish, signing_key).to_text())
    with pytest.raises(IdentityError, match="new keys of client-2 is not signed"):
        rotate_keys(base / "client-1", requests)


def test_a_member_that_has_finished_asks_for_no_keys(base: Path) -> None:
    from securefl.protocol.member_records import RunEnded

    folder = base / "client-2"
    note(folder, SumApplied(first(folder), 1, D, MEMBERS, D, MEMBERS, MARK, True), RunEnded())
    with pytest.raises(StateError, match="has done its part"):
        rotate_keys(folder)
