"""Each of our own paths ends with the right mean, and is charged for the bytes that it really sends."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import COHORT, VALUES

from securefl.bench.aggregation.encrypted import SCHEMES, SecureflPath
from securefl.bench.aggregation.key_round import measure_key_round
from securefl.bench.aggregation.measure import OWN_PATHS, measure
from securefl.bench.aggregation.measurement import Job, read_measurement
from securefl.bench.aggregation.plaintext import Float32Path, SamePrecisionPath
from securefl.bench.aggregation.ways import Reading, Sent
from securefl.crypto.schemes import Scheme, profile_for
from securefl.crypto.thresholds import RosterConstants, threshold
from securefl.crypto.wireform import wire_form
from securefl.errors import AuthenticationError, ForgeryError, RunError, UsageError, WireError
from securefl.protocol.agreement.signed import sign
from securefl_client.key_shares import KeyShares

pytestmark = pytest.mark.slow

STEP = 0.25 / (2**15 - 1)
SIGNATURE_BYTES, DIGEST_BYTES = 64, 32


@pytest.mark.parametrize("path", ["securefl", "securefl_bfv", "plaintext_same_precision"])
@pytest.mark.parametrize("bits", [12, 16])
def test_sums_of_integers_are_exact_and_means_within_a_step_of_the_grid(
    path: str, bits: int, job: Callable[..., Job]
) -> None:
    measured = measure(job(path, precision_bits=bits))
    assert measured.max_integer_error == 0
    assert 0 < measured.max_error < 0.25 / (2 ** (bits - 1) - 1)


@pytest.mark.parametrize(("path", "largest"), [("plaintext_float32", 2e-8), ("tenseal_ckks", 1e-6)])
def test_floating_point_paths_come_near_the_exact_mean(
    path: str, largest: float, job: Callable[..., Job]
) -> None:
    measured = measure(job(path))
    assert measured.max_integer_error is None
    assert measured.max_error < largest


@pytest.mark.parametrize(("path", "scheme"), SCHEMES.items())
def test_securefl_is_charged_for_words_seeds_and_signed_headers(
    path: str, scheme: Scheme, job: Callable[..., Job]
) -> None:
    measured = measure(job(path))
    profile = profile_for(COHORT, 16, scheme=scheme)
    form = wire_form(scheme, profile)
    ciphertexts = profile.ciphertexts_for(VALUES + 1)
    header = measured.up_bytes[0] - form.upload_bytes(ciphertexts) - form.seeds_bytes(ciphertexts)
    assert 4 * DIGEST_BYTES + SIGNATURE_BYTES < header < 500
    assert set(measured.up_bytes) == {measured.up_bytes[0]}
    contributors = COHORT * (header + form.seeds_bytes(ciphertexts))
    agreed = measured.down_bytes - form.aggregate_bytes(ciphertexts) - contributors
    # An advert of every member, and the votes of t.
    signatures = COHORT + threshold(COHORT)
    assert signatures * (DIGEST_BYTES + SIGNATURE_BYTES) < agreed < signatures * 400


def test_plaintext_integers_take_their_own_bits_up_and_those_of_a_sum_down(job: Callable[..., Job]) -> None:
    measured = measure(job("plaintext_same_precision", precision_bits=12, cohort=4))
    words = (VALUES + 2) // 2
    assert set(measured.up_bytes) == {words * 24 // 8}
    assert measured.down_bytes == words * 32 // 8  # 14 bits a sum, two sums in whole bytes


def test_float32_takes_four_bytes_a_value(job: Callable[..., Job]) -> None:
    measured = measure(job("plaintext_float32"))
    assert {*measured.up_bytes, measured.down_bytes} == {4 * VALUES}


def test_a_wrong_sum_is_noticed(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    right = SecureflPath.reading

    def off_by_two(self: SecureflPath, *arguments: object) -> Reading:
        reading = right(self, *arguments)  # type: ignore[arg-type]
        assert reading.sums is not None
        reading.sums[7] -= 2
        return reading

    monkeypatch.setattr(SecureflPath, "reading", off_by_two)
    assert measure(job("securefl")).max_integer_error == 2


def test_a_wrong_mean_is_noticed(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    right = Float32Path.publish

    def moved(self: Float32Path) -> Sent[bytes]:
        mean = np.frombuffer(right(self).content, dtype="<f4") + np.float32(0.5)
        return Sent(mean.tobytes(), mean.nbytes)

    monkeypatch.setattr(Float32Path, "publish", moved)
    assert measure(job("plaintext_float32")).max_error == pytest.approx(0.5, abs=1e-6)


@given(bits=st.integers(8, 24), cohort=st.integers(2, 20), data=st.data())
def test_plaintext_words_hold_any_sum(bits: int, cohort: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 9))
    small = Job(
        path="", values=size, cohort=cohort, precision_bits=bits, bound=1.0, seed=0, vectors=(), exact_mean=""
    )
    path = SamePrecisionPath(small)
    vectors = [
        np.array(data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.0]), min_size=size, max_size=size)))
        for _ in range(cohort)
    ]
    total = np.zeros(size + 1, dtype=np.int64)
    for client, vector in enumerate(vectors):
        path.add(client, path.contribute(client, vector.astype(np.float32)))
        total += path.integers(client, vector.astype(np.float32))
    sums = path.reader(path.publish()).read().sums
    assert sums is not None
    assert sums.tolist() == total.tolist()


def test_sums_too_wide_to_share_a_word_have_words_of_their_own() -> None:
    wide = Job(path="", values=5, cohort=600, precision_bits=24, bound=1.0, seed=0, vectors=(), exact_mean="")
    path = SamePrecisionPath(wide)
    vector = np.array([1.0, -1.0, 1.0, 0.0, -1.0], dtype=np.float32)
    contribution = path.contribute(0, vector)
    for client in range(600):
        path.add(client, contribution)
    sums = path.reader(path.publish()).read().sums
    assert sums is not None
    assert sums.tolist() == (600 * path.integers(0, vector)).tolist()


@pytest.fixture
def round_of_two(job: Callable[..., Job]) -> tuple[SecureflPath, list[Sent]]:
    path = SecureflPath(job("securefl_bfv", values=2000, cohort=2))
    vector = np.linspace(-0.25, 0.25, 2000, dtype=np.float32)
    return path, [path.contribute(client, vector) for client in range(2)]


def test_a_prepared_reader_reads_what_an_unprepared_one_reads(
    round_of_two: tuple[SecureflPath, list[Sent]],
) -> None:
    path, contributions = round_of_two
    for client, contribution in enumerate(contributions):
        path.add(client, contribution)
    aggregate = path.publish()
    means = []
    for _ in range(2):
        reader = path.reader(aggregate)
        reader.prepare()
        means.append(reader.read().mean)
    assert np.array_equal(*means)
    assert np.abs(means[0] - np.linspace(-0.25, 0.25, 2000)).max() < STEP


def test_the_measured_server_refuses_what_the_member_did_not_sign(
    round_of_two: tuple[SecureflPath, list[Sent]],
) -> None:
    path, (sent, other) = round_of_two
    with pytest.raises(AuthenticationError, match="body"):
        path.add(0, replace(sent, content=replace(sent.content, body=other.content.body)))
    with pytest.raises(AuthenticationError, match="seeds"):
        path.add(0, replace(sent, content=replace(sent.content, seeds=other.content.seeds)))
    with pytest.raises(AuthenticationError, match="signature"):
        path.add(1, sent)


def test_the_measured_server_refuses_a_residue_out_of_range(
    round_of_two: tuple[SecureflPath, list[Sent]],
) -> None:
    path, (sent, _) = round_of_two
    body = b"\xff" * len(sent.content.body)
    digest = hashlib.sha256(body).digest()
    header = replace(sent.content.header.body, body_digest=digest)
    signed = sign(header, path._sample._keys["client-1"])
    forged = replace(sent, content=replace(sent.content, header=signed, body=body))
    with pytest.raises(WireError):
        path.add(0, forged)


def test_the_measured_reader_refuses_seeds_that_their_member_did_not_sign(
    round_of_two: tuple[SecureflPath, list[Sent]],
) -> None:
    path, contributions = round_of_two
    for client, contribution in enumerate(contributions):
        path.add(client, contribution)
    header, body = path.publish().content
    swapped = replace(header, seeds=header.seeds[::-1])
    with pytest.raises(AuthenticationError, match="seeds"):
        path.reader(Sent((swapped, body), 0)).prepare()


def test_the_measured_reader_refuses_a_residue_that_nobody_sent(
    round_of_two: tuple[SecureflPath, list[Sent]],
) -> None:
    path, contributions = round_of_two
    contents = [each.content for each in contributions]
    for client, contribution in enumerate(contributions):
        path.add(client, contribution)
    head, body = path.publish().content
    altered = bytes([body[0] ^ 1]) + body[1:]
    reader = path.reader(Sent((head, altered), 0))
    reader.prepare()
    with pytest.raises(AuthenticationError, match="certificate"):
        reader.read()
    reader = path.reader(Sent((path._sample.head(contents, altered), altered), 0))
    reader.prepare()
    with pytest.raises(ForgeryError):
        reader.read()


@pytest.mark.parametrize("part", ["adverts", "votes", "headers"])
def test_the_measured_reader_refuses_a_signature_that_is_not_its_members(
    round_of_two: tuple[SecureflPath, list[Sent]], part: str
) -> None:
    path, contributions = round_of_two
    head = path._sample.head([each.content for each in contributions], b"")
    match part:
        case "adverts":
            adverts = (replace(head.cohort.adverts[0], signature=bytes(64)), head.cohort.adverts[1])
            forged = replace(head, cohort=replace(head.cohort, adverts=adverts))
        case "votes":
            votes = (replace(head.certificate.votes[0], signature=bytes(64)), head.certificate.votes[1])
            forged = replace(head, certificate=replace(head.certificate, votes=votes))
        case _:
            forged = replace(head, headers=(replace(head.headers[0], signature=bytes(64)), head.headers[1]))
    with pytest.raises(AuthenticationError, match="signature"):
        path.reader(Sent((forged, b""), 0)).prepare()


def test_the_baselines_server_has_no_secret_key(job: Callable[..., Job]) -> None:
    from securefl.bench.aggregation.ckks import TensealCkksPath

    path = TensealCkksPath(job(values=100))
    assert path._members.is_private()
    assert not path._server.is_private()


def test_the_path_with_one_time_keys_has_their_costs(job: Callable[..., Job]) -> None:
    found = measure(job("securefl", values=500)).key_round
    assert found is not None
    assert found.reveals == threshold(COHORT)


def test_every_path_has_laps_of_all_roles(job: Callable[..., Job]) -> None:
    for name in OWN_PATHS:
        laps = measure(job(name, values=500)).laps
        assert (len(laps.client), len(laps.server_add)) == (COHORT, COHORT), name
        assert len(laps.server_finish) == len(laps.decrypt) == len(laps.decrypt_warm) == 1, name


def test_one_time_keys_have_costs_of_their_own_at_sixteen_members() -> None:
    found = measure_key_round(16, federation_digest=bytes(32))
    assert found is not None
    sizes = RosterConstants.of(16, min_clients=14).cohort(16)
    packet = 2 * sizes.words + 16
    assert found.packets_bytes == 15 * packet
    assert packet < found.reveal_bytes < packet + 200
    assert found.reveals == sizes.threshold == 11
    # 64 bytes of signature a vote, and 32 of header's digest a survivor.
    assert 11 * 64 + 16 * 32 < found.certificate_bytes < 3000
    assert 0 < found.acknowledgement_bytes < 500
    assert all(wall > 0 for wall, _ in (found.deal, found.open, found.reveal, found.combine))


def test_reveals_that_do_not_lead_to_the_sum_of_keys_end_the_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = KeyShares.revealed

    def of_fewer(self: KeyShares, shares: list[bytes], *rest: object) -> bytes:
        return right(self, [*shares[:-1], shares[0]], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(KeyShares, "revealed", of_fewer)
    with pytest.raises(RunError, match="do not lead to the sum"):
        measure_key_round(3, federation_digest=bytes(32))


@pytest.mark.parametrize(("path", "cohort"), [("securefl", 2), ("securefl_bfv", 3), ("plaintext_float32", 3)])
def test_paths_without_shares_have_no_costs_of_keys(path: str, cohort: int, job: Callable[..., Job]) -> None:
    assert measure(job(path, values=500, cohort=cohort)).key_round is None


def test_an_unknown_path_is_refused(job: Callable[..., Job]) -> None:
    with pytest.raises(UsageError, match="choose one of plaintext_float32"):
        measure(job("plaintext"))


@pytest.mark.slow
def test_a_measured_process_answers_on_stdout_whatever_its_libraries_print(job: Callable[..., Job]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "securefl.bench.aggregation.measure"],
        input=job("tenseal_ckks").model_dump_json().encode(),
        capture_output=True,
        check=True,
    )
    assert read_measurement(done.stdout, cohort=COHORT).max_error < 1e-6
    assert b"WARNING" in done.stderr  # TenSEAL's, about a vector that fills several ciphertexts
