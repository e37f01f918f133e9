"""The MAC: exactly the sum of one contribution of each member passes, and every failure looks the same."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto import linearform
from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv import BfvCiphertexts
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.contributor import Contributor
from securefl.crypto.linearform import LinearForms
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import profile_named
from securefl.crypto.wireform import Ciphertexts, WireForm, wire_form
from securefl.errors import ForgeryError, WireError

KEY = bytes(range(32))
CONTEXT = b"epoch 1, round 1"
MEMBERS = ("client-1", "client-2", "client-3")
PROFILE = profile_named("t40-2x20-d6")
FORM = wire_form("bfv", PROFILE)
SALT = bytes(range(32, 64))


def who(member: str, *, salt: bytes = SALT) -> Contributor:
    return Contributor(member, salt)


def contribution(form: WireForm, member: str, *, ciphertexts: int = 3, seed: int = 0) -> BfvCiphertexts:
    rng = np.random.default_rng([seed, *member.encode()])
    residues = rng.integers(0, form.upload_limit, (ciphertexts, form.degree), dtype=np.uint64)
    return BfvCiphertexts(residues, rng.bytes(form.seeds_bytes(ciphertexts)))


def added(form: WireForm, parts: list[BfvCiphertexts], macs: list[np.ndarray]) -> Ciphertexts:
    """The server's sums, in Python's integers."""
    residues = sum(part.residues.astype(object) for part in parts) * 2**form.dropped_bits % form.modulus
    total = sum(mac.astype(object) for mac in macs) % form.modulus
    return Ciphertexts(residues.astype(np.uint64), total.astype(np.uint64))


class Round:
    """Three contributions and their sum."""

    def __init__(self, form: WireForm, *, context: bytes = CONTEXT, key: bytes = KEY, seed: int = 0) -> None:
        self.mac = CiphertextMac(key, form, context=context)
        self.parts = {member: contribution(form, member, seed=seed) for member in MEMBERS}
        self.macs = {
            member: self.mac.macs(part.residues, part.seeds, contributor=who(member))
            for member, part in self.parts.items()
        }
        self.total = added(form, list(self.parts.values()), list(self.macs.values()))
        self.contributors = [(who(member), part.seeds) for member, part in self.parts.items()]


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
def test_the_sum_of_all_contributions_passes(profile: Profile) -> None:
    made = Round(wire_form("bfv", profile))
    made.mac.verify(made.total, made.contributors)


def test_the_order_of_contributors_does_not_matter() -> None:
    made = Round(FORM)
    made.mac.verify(made.total, reversed(made.contributors))


@pytest.mark.slow
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), profile=st.sampled_from(BFV_PROFILES))
def test_macs_agree_with_big_integers(
    seed: int, profile: Profile, reference: Callable[[str], ModuleType]
) -> None:
    form = wire_form("bfv", profile)
    slow = cached_reference(reference, form)
    mac = CiphertextMac(KEY, form, context=CONTEXT)
    part = contribution(form, "client-1", ciphertexts=2, seed=seed)
    part.residues[0, :3] = 0, form.upload_limit - 1, 1
    seeds = [part.seeds[i * form.seed_bytes : (i + 1) * form.seed_bytes] for i in range(2)]
    expected = slow.macs(part.residues.tolist(), seeds, "client-1", SALT, form.dropped_bits)
    assert mac.macs(part.residues, part.seeds, contributor=who("client-1")).tolist() == expected
    total = added(form, [part], [np.array(expected, dtype=np.uint64)])
    assert slow.holds(total.residues.tolist(), total.macs.tolist(), [("client-1", SALT, seeds)])
    mac.verify(total, [(who("client-1"), part.seeds)])


_SLOW: dict[int, Any] = {}


def cached_reference(reference: Callable[[str], ModuleType], form: WireForm) -> Any:
    """One slow MAC a modulus: its keystream takes a quarter of a second."""
    if form.modulus not in _SLOW:
        module = reference("authentication")
        _SLOW[form.modulus] = module.Mac(KEY, CONTEXT, degree=form.degree, modulus=form.modulus)
    return _SLOW[form.modulus]


def with_residue(total: Ciphertexts, row: int, column: int, change: int, modulus: int) -> Ciphertexts:
    residues = total.residues.copy()
    residues[row, column] = (int(residues[row, column]) + change) % modulus
    return Ciphertexts(residues, total.macs)


@pytest.mark.slow
@settings(max_examples=60)
@given(row=st.integers(0, 2), column=st.integers(0, 4095), change=st.integers(1, 2**40))
def test_a_total_altered_in_one_residue_is_refused(row: int, column: int, change: int) -> None:
    form = FORM
    made = rounds(form)
    change = change % (form.modulus - 1) + 1
    with pytest.raises(ForgeryError):
        made.mac.verify(with_residue(made.total, row, column, change, form.modulus), made.contributors)


_ROUNDS: dict[int, Round] = {}


def rounds(form: WireForm) -> Round:
    return _ROUNDS.setdefault(form.modulus, Round(form))


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("change", [1, -1, "half"])
def test_an_altered_mac_is_refused(row: int, change: int | str) -> None:
    form = FORM
    made = rounds(form)
    macs = made.total.macs.copy()
    step = form.modulus // 2 if change == "half" else int(change)
    macs[row] = (int(macs[row]) + step) % form.modulus
    with pytest.raises(ForgeryError):
        made.mac.verify(Ciphertexts(made.total.residues, macs), made.contributors)


def _scaled(factor: int) -> Callable[[WireForm, Round], Ciphertexts]:
    def scaled(form: WireForm, made: Round) -> Ciphertexts:
        residues = made.total.residues.astype(object) * factor % form.modulus
        macs = made.total.macs.astype(object) * factor % form.modulus
        return Ciphertexts(residues.astype(np.uint64), macs.astype(np.uint64))

    return scaled


def _of(*members: str) -> Callable[[WireForm, Round], Ciphertexts]:
    return lambda form, made: added(
        form, [made.parts[member] for member in members], [made.macs[member] for member in members]
    )


def _swapped(form: WireForm, made: Round) -> Ciphertexts:
    return Ciphertexts(made.total.residues[[1, 0, 2]], made.total.macs[[1, 0, 2]])


def _zero(form: WireForm, made: Round) -> Ciphertexts:
    return Ciphertexts(np.zeros_like(made.total.residues), np.zeros_like(made.total.macs))


def _moved(form: WireForm, made: Round) -> Ciphertexts:
    """x times the total: the coefficients one place on."""
    return Ciphertexts(np.roll(made.total.residues, 1, axis=1), made.total.macs)


def _of_another_round(form: WireForm, made: Round) -> Ciphertexts:
    return Round(form, context=b"epoch 1, round 2").total


def _mixed_with_another_round(form: WireForm, made: Round) -> Ciphertexts:
    other = Round(form, context=b"epoch 1, round 2", seed=5)
    parts = [made.parts["client-1"], made.parts["client-2"], other.parts["client-3"]]
    return added(form, parts, [made.macs["client-1"], made.macs["client-2"], other.macs["client-3"]])


def _of_another_key(form: WireForm, made: Round) -> Ciphertexts:
    return Round(form, key=bytes(32)).total


FORGERIES: dict[str, Callable[[WireForm, Round], Ciphertexts]] = {
    "one alone": _of("client-1"),
    "all but one": _of("client-1", "client-2"),
    "one twice": _of("client-1", "client-2", "client-2"),
    "all and one twice": _of("client-1", "client-2", "client-3", "client-3"),
    "twice the sum": _scaled(2),
    "the sum negated": _scaled(-1),
    "nothing": _zero,
    "ciphertexts in another order": _swapped,
    "coefficients moved by one": _moved,
    "another round": _of_another_round,
    "one of another round": _mixed_with_another_round,
    "another key": _of_another_key,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_total_of_anything_else_is_refused(forgery: str) -> None:
    made = rounds(FORM)
    with pytest.raises(ForgeryError):
        made.mac.verify(FORGERIES[forgery](FORM, made), made.contributors)


@pytest.mark.parametrize("change", ["one less", "one twice", "renamed"])
def test_contributors_other_than_the_real_ones_are_refused(change: str) -> None:
    made = rounds(FORM)
    (first, seeds_1), (second, seeds_2), third = made.contributors
    claimed = {
        "one less": [(first, seeds_1), (second, seeds_2)],
        "one twice": [(first, seeds_1), (second, seeds_2), third, third],
        "renamed": [(first, seeds_1), (who("client-4"), seeds_2), third],
    }[change]
    with pytest.raises(ForgeryError):
        made.mac.verify(made.total, claimed)


@pytest.mark.parametrize("bit", [0, 511, 64 * 8 * 3 - 1])
def test_a_seed_with_one_other_bit_is_refused(bit: int) -> None:
    made = rounds(FORM)
    wrong = bytearray(made.contributors[1][1])
    wrong[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ForgeryError):
        made.mac.verify(
            made.total, [made.contributors[0], (who("client-2"), bytes(wrong)), made.contributors[2]]
        )


def test_two_members_whose_seeds_are_exchanged_are_refused() -> None:
    made = rounds(FORM)
    (first, seeds_1), (second, seeds_2), third = made.contributors
    with pytest.raises(ForgeryError):
        made.mac.verify(made.total, [(first, seeds_2), (second, seeds_1), third])


def test_a_part_sealed_again_under_fresh_seeds_has_unrelated_macs() -> None:
    mac = CiphertextMac(KEY, FORM, context=CONTEXT)
    part = contribution(FORM, "client-1")
    again = BfvCiphertexts(part.residues, bytes(len(part.seeds)))
    macs, others = (
        mac.macs(part.residues, part.seeds, contributor=who("client-1")),
        mac.macs(again.residues, again.seeds, contributor=who("client-1")),
    )
    differences = (macs.astype(object) - others) % FORM.modulus
    # Equal residues, so the pads alone differ: no two in the same way.
    assert len({0, *differences.tolist()}) == 4


def test_macs_of_equal_ciphertexts_differ_by_place_member_and_round() -> None:
    part = BfvCiphertexts(np.zeros((3, 4096), dtype=np.uint64), bytes(192))
    seen = set()
    for context in (b"round 1", b"round 2"):
        for member in MEMBERS:
            seen |= set(
                CiphertextMac(KEY, FORM, context=context)
                .macs(part.residues, part.seeds, contributor=who(member))
                .tolist()
            )
    assert len(seen) == 18


def test_macs_of_equal_ciphertexts_differ_by_salt() -> None:
    """After a restart a member has another salt, so even equal seeds give other pads."""
    part = BfvCiphertexts(np.zeros((3, 4096), dtype=np.uint64), bytes(192))
    mac = CiphertextMac(KEY, FORM, context=CONTEXT)
    macs, others = (
        mac.macs(part.residues, part.seeds, contributor=who("client-1", salt=salt)).astype(object)
        for salt in (SALT, bytes(32))
    )
    assert len({0, *((macs - others) % FORM.modulus).tolist()}) == 4


def test_a_refusal_ends_the_use_of_the_keys() -> None:
    made = rounds(FORM)
    with pytest.raises(ForgeryError) as caught:
        made.mac.verify(_zero(FORM, made), made.contributors)
    assert caught.value.refuses_keys


def test_a_name_cannot_run_over_into_the_context() -> None:
    part = BfvCiphertexts(np.zeros((1, 4096), dtype=np.uint64), bytes(64))
    first = CiphertextMac(KEY, FORM, context=b"round 1").macs(
        part.residues, part.seeds, contributor=who("2-client")
    )
    second = CiphertextMac(KEY, FORM, context=b"round 12").macs(
        part.residues, part.seeds, contributor=who("-client")
    )
    assert first[0] != second[0]


def test_the_verdict_is_the_same_whatever_failed() -> None:
    made = rounds(FORM)
    verdicts = set()
    for forgery in FORGERIES.values():
        with pytest.raises(ForgeryError) as caught:
            made.mac.verify(forgery(FORM, made), made.contributors)
        verdicts.add((type(caught.value), str(caught.value), caught.value.code, caught.value.retryable))
    assert len(verdicts) == 1


def test_every_ciphertext_is_looked_at_before_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    made = rounds(FORM)
    looked_at: list[int] = []
    of = LinearForms.of

    def counted(forms: LinearForms, rows: np.ndarray) -> np.ndarray:
        looked_at.append(rows.shape[0])
        return of(forms, rows)

    monkeypatch.setattr(linearform.LinearForms, "of", counted)
    for row in range(3):
        with pytest.raises(ForgeryError):
            made.mac.verify(with_residue(made.total, row, 0, 1, FORM.modulus), made.contributors)
    assert looked_at == [3, 3, 3]


def test_seeds_of_another_length_are_refused() -> None:
    made = rounds(FORM)
    with pytest.raises(WireError, match="192 bytes belong"):
        made.mac.verify(made.total, [(who("client-1"), bytes(191))])
    with pytest.raises(WireError, match="192 bytes belong"):
        made.mac.macs(made.total.residues, b"", contributor=who("client-1"))


def test_macs_look_uniform_to_whoever_has_no_key() -> None:
    mac = CiphertextMac(KEY, FORM, context=CONTEXT)
    part = BfvCiphertexts(np.zeros((4096, 4096), dtype=np.uint64), np.random.default_rng(1).bytes(64 * 4096))
    counts = np.histogram(
        mac.macs(part.residues, part.seeds, contributor=who("client-1")), bins=16, range=(0, FORM.modulus)
    )[0]
    # 99.9999 % quantile of chi-square with 15 degrees of freedom.
    assert ((counts - 256) ** 2 / 256).sum() < 58


def test_a_mac_shows_nothing_of_its_key() -> None:
    assert repr(CiphertextMac(KEY, FORM, context=CONTEXT)) == "CiphertextMac(<redacted>)"
