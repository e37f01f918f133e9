"""Row 9 of the attacks: bytes that are no ciphertexts. Exact length, range and MAC come before any computation.

Nothing that a peer sends reaches a deserialiser of SEAL or TenSEAL: what they would have read (a false number of
elements, a compressed bomb, a whole object) is only a body of the wrong length here.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import tenseal
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, ForgeryError, RunError, WireError
from securefl.protocol.calls import SurvivorsProposed
from securefl_server.round_server import RoundServer

from .conftest import Scene, acknowledge, opened, stage


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """What is done to some bytes: set one, cut there, or insert some."""
    kinds = st.sampled_from(["set", "set", "set", "cut", "insert", "zero"])
    return draw(
        st.lists(st.tuples(kinds, st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
    )


def mutated(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    result = bytearray(data)
    for kind, place, byte in changes:
        at = place % max(1, len(result))
        if kind == "cut":
            del result[at:]
        elif kind == "insert":
            result[at:at] = bytes([byte]) * (byte + 1)
        elif kind == "zero":
            result[at : at + 300] = bytes(len(result[at : at + 300]))
        elif result:
            result[at] = byte
    return bytes(result)


@pytest.mark.slow
@settings(max_examples=300)
@given(changes=mutations())
def test_a_mutated_aggregate_is_refused_and_never_reaches_the_key(
    scene: Scene, changes: list[tuple[str, int, int]]
) -> None:
    body = scene.form.encode_aggregate(scene.total)
    altered = mutated(body, changes)
    if altered == body:
        return
    scene.spy.opened = 0
    with pytest.raises((WireError, ForgeryError)):
        scene.decrypt(altered)
    assert scene.spy.opened == 0


@settings(max_examples=100)
@given(changes=mutations(), what=st.sampled_from(["seeds", "body"]))
def test_a_mutated_contribution_is_refused_by_the_server(
    scene: Scene, changes: list[tuple[str, int, int]], what: str
) -> None:
    seeds, body = scene.seeds["client-1"], scene.played.bodies["client-1"]
    altered = {"seeds": seeds, "body": body} | {what: mutated(seeds if what == "seeds" else body, changes)}
    if altered == {"seeds": seeds, "body": body}:
        return
    with opened(scene) as server, pytest.raises(RunError):
        contribute(scene, server, **altered)


def contribute(scene: Scene, server: RoundServer, *, seeds: bytes, body: bytes) -> None:
    """Everybody's upload, and the first member's header: it signs its seeds, which nothing before it does."""
    stage(scene, server, "client-1", seeds=seeds, body=body)
    for member in scene.members[1:]:
        stage(scene, server, member, seeds=scene.seeds[member], body=scene.played.bodies[member])
    acknowledge(scene, server, "client-1")


def test_control_a_contribution_as_it_was_made_is_taken_by_the_server(scene: Scene) -> None:
    with opened(scene) as server:
        contribute(scene, server, seeds=scene.seeds["client-1"], body=scene.played.bodies["client-1"])
        for member in scene.members[1:]:
            acknowledge(scene, server, member)
        server.wake()
        assert isinstance(server.announcement, SurvivorsProposed)


def objects() -> dict[str, bytes]:
    """What TenSEAL would be glad to read."""
    context = tenseal.context(tenseal.SCHEME_TYPE.BFV, 4096, plain_modulus=1032193)
    vector = tenseal.bfv_vector(context, [1, 2, 3]).serialize()
    return {
        "a TenSEAL vector": vector,
        "a TenSEAL vector that claims 2^31 elements": vector + b"\x08\xff\xff\xff\xff\x07",
        "a context with its secret key": context.serialize(save_secret_key=True),
        "a SEAL header that claims 2^40 bytes": struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 1, 0, 0, 1 << 40),
        "a compressed bomb": struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 1, 1, 0, 10_000)
        + zlib.compress(bytes(10**7), 9),
        "nothing": b"",
    }


@pytest.mark.parametrize("name", sorted(objects()))
@pytest.mark.parametrize("padded", [False, True], ids=["as it is", "at our length"])
def test_an_object_of_seal_is_only_a_wrong_body(scene: Scene, name: str, padded: bool) -> None:
    data = objects()[name]
    if padded:
        data = data.ljust(scene.form.aggregate_bytes(2), b"\0")[: scene.form.aggregate_bytes(2)]
    scene.spy.opened = 0
    with pytest.raises((WireError, ForgeryError)):
        scene.decrypt(data)
    assert scene.spy.opened == 0


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("value", [0, 2**55, 2**56 - 1])
def test_a_residue_out_of_range_is_refused_before_its_mac_is_looked_at(
    scene: Scene, row: int, value: int
) -> None:
    residues = scene.total.residues.copy()
    residues[row, 9] = value or scene.form.modulus
    with pytest.raises(WireError, match="residue"):
        scene.decrypt(Ciphertexts(residues, scene.total.macs))


def test_the_same_residue_written_in_another_way_is_refused(scene: Scene) -> None:
    residues = scene.total.residues.copy()
    residues[0, 5] += np.uint64(scene.form.modulus)
    with pytest.raises(WireError):
        scene.decrypt(Ciphertexts(residues, scene.total.macs))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 127, 129, 10**6])
def test_seeds_of_another_length_are_refused_before_they_are_expanded(scene: Scene, length: int) -> None:
    first, _, third = scene.seeds.values()
    seeds = (first, bytes(length), third)
    scene.spy.opened = 0
    with pytest.raises(AuthenticationError):
        scene.decrypt(scene.total, scene.head(scene.members, scene.total, seeds=seeds))
    assert scene.spy.opened == 0
