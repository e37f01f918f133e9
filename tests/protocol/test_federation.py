"""The pinned file: one digest for one federation, nothing taken on its word, nothing secret in the server's view."""

from __future__ import annotations

import json

import pytest
from support.federations import make_federation

from securefl.adapters.payloads.plan import PayloadPlan
from securefl.config.server import ServerSection
from securefl.errors import AuthenticationError, IdentityError
from securefl.protocol.federation import Federation
from securefl.protocol.server_view import ServerView

FEDERATION = make_federation(ranks=(2, 4, 8, 16)).federation


def changed(**changes: object) -> str:
    return json.dumps(json.loads(FEDERATION.to_json_text()) | changes)


def test_the_file_reads_back_as_the_same_federation() -> None:
    again = Federation.from_json_text(FEDERATION.to_json_text(), where="here")
    assert again == FEDERATION
    assert again.digest == FEDERATION.digest


def leaves(node: object, path: tuple = ()) -> list[tuple]:
    """Paths to every value of a JSON tree that ``_other`` can change."""
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        return [leaf for key, value in items for leaf in leaves(value, (*path, key))]
    return [] if node is None else [path]


@pytest.mark.parametrize(
    "path", leaves(json.loads(FEDERATION.to_json_text())), ids=lambda p: ".".join(map(str, p))
)
def test_a_file_with_any_value_changed_is_refused_or_has_another_digest(path: tuple) -> None:
    text = json.loads(FEDERATION.to_json_text())
    node = text
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = _other(node[path[-1]])
    try:
        digest = Federation.from_json_text(json.dumps(text), where="here").digest
    except IdentityError:
        return
    assert digest != FEDERATION.digest


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    assert isinstance(value, str)
    if len(value) == 64:
        return ("00" if value[:2] != "00" else "11") + value[2:]
    return {"mean": "cls", "bfv": "none", "dense": "basis", "product": "factor"}.get(value, value + "x")


def test_the_rank_of_sketches_is_pinned_and_decides_what_is_sent() -> None:
    small, large = (make_federation(payload="sketch", sketch_rank=rank).federation for rank in (2, 4))
    assert small.plan.length(1) < large.plan.length(1)
    assert Federation.from_json_text(small.to_json_text(), where="here").plan.length(1) == small.plan.length(
        1
    )


@pytest.mark.parametrize("name", ["t34-2x17-d14", "t99"])
def test_a_profile_other_than_the_one_the_terms_need_is_refused(name: str) -> None:
    with pytest.raises(IdentityError):
        Federation.from_json_text(changed(profile=name), where="here")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{", '{"version": 3}', '{"version": "2"}', '{"version": true}']
)
def test_a_malformed_file_is_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(IdentityError) as refused:
        Federation.from_json_text(text, where="federation.json")
    assert "federation.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_servers_view_holds_no_rank_label_bound_or_sample_count() -> None:
    text = FEDERATION.server_view(ServerSection()).to_json_text()
    for word in (
        "rank",
        "label",
        "bound",
        "samples",
        "lora",
        "learning_rate",
        "precision_bits",
        "layout",
        "seed",
    ):
        assert word not in text


def test_the_servers_view_reads_back() -> None:
    view = FEDERATION.server_view(ServerSection())
    assert ServerView.from_json_text(view.to_json_text(), where="here") == view


def test_a_certificate_of_no_member_is_refused() -> None:
    with pytest.raises(AuthenticationError, match="no member"):
        FEDERATION.server_view(ServerSection()).by_certificate(b"\xff" * 32)


def test_a_file_whose_smallest_cohort_the_roster_has_not_is_refused() -> None:
    file = json.loads(FEDERATION.to_json_text())
    file["terms"]["federation"]["min_clients"] = 5
    with pytest.raises(IdentityError, match="hold together"):
        Federation.from_json_text(json.dumps(file), where="here")


def test_the_server_knows_how_many_may_collude_and_no_rank() -> None:
    view = FEDERATION.server_view(ServerSection())
    assert (view.min_clients, view.max_colluders) == (3, 1)
    assert "rank" not in view.to_json_text()


def test_a_server_file_with_more_colluders_than_its_roster_bears_is_refused() -> None:
    file = json.loads(FEDERATION.server_view(ServerSection()).to_json_text()) | {"max_colluders": 2}
    with pytest.raises(IdentityError, match="hold together"):
        ServerView.from_json_text(json.dumps(file), where="here")


@pytest.mark.parametrize("key", ["00" * 1215, "00" * 1217, "ff" * 1216, "zz", 7])
def test_a_roster_whose_kem_key_is_none_is_refused(key: object) -> None:
    file = json.loads(make_federation(scheme="none").federation.to_json_text())
    file["roster"][1]["kem_key"] = key
    with pytest.raises(IdentityError, match=r"kem_key|public KEM key is none"):
        Federation.from_json_text(json.dumps(file), where="federation.json")


def test_a_members_fingerprint_changes_with_each_of_its_keys() -> None:
    member = make_federation(scheme="none").federation.roster[1]
    others = [
        member.model_copy(update={"id": "client-9"}),
        member.model_copy(update={"signing_key": bytes(32)}),
        member.model_copy(update={"kem_key": bytes(1216)}),
    ]
    assert len({one.fingerprint for one in (member, *others)}) == 4
    assert member.model_copy(update={"rank": 3}).fingerprint == member.fingerprint


def test_members_are_numbered_in_the_rosters_order() -> None:
    federation = make_federation(scheme="none").federation
    assert [federation.index_of(member) for member in federation.cohort] == [0, 1, 2, 3]


def test_a_round_is_laid_out_once_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    federation = Federation.from_json_text(FEDERATION.to_json_text(), where="here")
    laid_out: list[int] = []
    segments = PayloadPlan.segments

    def counted(plan: PayloadPlan, round_number: int):
        laid_out.append(round_number)
        return segments(plan, round_number)

    monkeypatch.setattr(PayloadPlan, "segments", counted)
    for _ in range(3):
        for number in (1, 2, 3):
            federation.sections(number)
    assert sorted(set(laid_out)) == [1, 2, 3]
    asked = len(laid_out)
    federation.sections(1)
    federation.kind_of(3)
    assert len(laid_out) == asked
    assert federation.kind_of(2) == FEDERATION.kind_of(2)
