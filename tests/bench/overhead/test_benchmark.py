"""The three ways of running one federation: what they share, what differs, what their figures come to."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.bench.host import this_machine
from securefl.bench.overhead import benchmark as overhead
from securefl.bench.overhead.benchmark import Measured, OverheadRequest, _run, run_overhead
from securefl.bench.overhead.measure import measure_federation, variant_of
from securefl.bench.overhead.measurement import (
    PHASES,
    VARIANTS,
    OverheadJob,
    OverheadMeasurement,
    PhaseLap,
    Variant,
    read_overhead,
)
from securefl.bench.overhead.report import INSIDE, OverheadReport, federation_seconds
from securefl.bench.overhead.tables import markdown, notes
from securefl.bench.processes import Program
from securefl.cli.main import command_line
from securefl.config import load_federation
from securefl.errors import WireError

pytestmark = pytest.mark.slow

TOML = """
[federation]
name = "tiny"
rounds = 3
[model]
path = "{model}"
max_length = 16
[data]
train = "{rows}"
[training]
learning_rate = 1e-2
[payload]
name = "sketch"
rank = 4
[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 4 }}]
"""
MEMBERS = {"client-1", "client-2", "client-3"}


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clients of ranks 2, 4 and 4 with a random two-layer BERT and a third of 480 rows each."""
    folder = tmp_path_factory.mktemp("overhead")
    save_tiny_bert(folder / "model")
    write_rows(folder / "rows.jsonl")
    path = folder / "tiny.toml"
    path.write_text(TOML.format(model=folder / "model", rows=folder / "rows.jsonl"))
    return path


def job(federation: Path, variant: Variant, **changes: object) -> OverheadJob:
    return OverheadJob(
        **{"variant": variant, "federation": str(federation), "rounds": 2, "test": True, **changes}
    )


@pytest.fixture(scope="module")
def ran(federation: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[OverheadRequest, Measured]:
    """All three variants, once, two rounds each, in this process."""
    request = OverheadRequest(federation=federation, name="tiny", rounds=2, repeats=1, timeout_s=480)
    return request, {
        variant: (measure_federation(job(federation, variant), tmp_path_factory.mktemp(variant)),)
        for variant in VARIANTS
    }


@pytest.fixture
def report(ran: tuple[OverheadRequest, Measured]) -> OverheadReport:
    return OverheadReport(ran[0], this_machine(), ran[1])


def changed(report: OverheadReport, variant: Variant, **changes: object) -> OverheadReport:
    """The report, had one variant's run been another one."""
    run = report.measured[variant][0].model_copy(update=changes)
    return replace(report, measured={**report.measured, variant: (run,)})


def test_all_three_variants_run_all_rounds_with_all_members(report: OverheadReport) -> None:
    assert tuple(report.measured) == VARIANTS
    for (run,) in report.measured.values():
        assert {(each.round_number, each.member) for each in run.transfers} == {
            (r, m) for r in (1, 2) for m in MEMBERS
        }
        assert set(run.members) == MEMBERS
        assert all(each.up_bytes and each.down_bytes for each in run.transfers)


def test_a_run_in_a_process_of_its_own_ends_as_one_here(federation: Path, report: OverheadReport) -> None:
    request = replace(report.request, repeats=1)
    run = _run("encrypted", request, test=False)
    here = report.measured["encrypted"][0]
    assert run.integers_sha256 == here.integers_sha256
    assert run.transfers == here.transfers
    assert [one.accuracy for one in run.members.values()] == [None] * 3


def test_variants_take_turns_and_only_the_first_runs_are_tested(
    report: OverheadReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[Variant, bool]] = []

    def told(_: Program, text: str, **__: object) -> OverheadMeasurement:
        given = OverheadJob.model_validate_json(text)
        played.append((given.variant, given.test))
        return report.measured[given.variant][0]

    monkeypatch.setattr(overhead, "run_told", told)
    measured = run_overhead(replace(report.request, repeats=3), line_sink=lambda _: None)
    assert [variant for variant, _ in played[::3]] == list(VARIANTS)
    assert all({variant for variant, _ in played[first : first + 3]} == set(VARIANTS) for first in (0, 3, 6))
    assert [tested for _, tested in played] == [True] * 3 + [False] * 6
    assert {len(runs) for runs in measured.values()} == {3}


def test_with_and_without_the_cipher_integers_and_adapters_are_the_same(report: OverheadReport) -> None:
    twin, encrypted = report.measured["integer_twin"][0], report.measured["encrypted"][0]
    assert len(encrypted.integers_sha256) == 2
    assert twin.integers_sha256 == encrypted.integers_sha256
    assert twin.members == encrypted.members
    assert report.identical


def test_another_sum_in_one_round_is_not_identical(report: OverheadReport) -> None:
    integers = ("0" * 64, report.measured["encrypted"][0].integers_sha256[1])
    assert not changed(report, "encrypted", integers_sha256=integers).identical


def test_another_adapter_of_one_member_is_not_identical(report: OverheadReport) -> None:
    members = dict(report.measured["encrypted"][0].members)
    members["client-2"] = members["client-2"].model_copy(update={"adapter_sha256": "0" * 64})
    assert not changed(report, "encrypted", members=members).identical


def test_float32_sends_factors_of_the_own_rank_and_the_head(report: OverheadReport) -> None:
    # Two layers of query and value, 32 x 32 each, and a head of 3 x 32 with its bias; then count and header.
    first_round = {
        each.member: each.up_bytes
        for each in report.measured["float32"][0].transfers
        if each.round_number == 1
    }
    assert first_round["client-2"] - first_round["client-1"] == 4 * 4 * (4 - 2) * 64
    assert 0 < first_round["client-2"] - 4 * (4 * 4 * 64 + 3 * 32 + 3) < 600


def test_every_phase_of_a_round_is_timed_for_whoever_does_it(report: OverheadReport) -> None:
    client = {"train", "encode", "encrypt", "upload", "download", "decrypt", "redistribute", "evaluate"}
    run = report.measured["encrypted"][0]
    for number in (1, 2):
        laps = {(lap.role, lap.phase) for lap in run.laps if lap.round_number == number}
        assert {(member, phase) for member in MEMBERS for phase in client} <= laps
        assert {("server", "add"), ("server", "publish")} <= laps


def test_the_phases_make_up_the_total(report: OverheadReport) -> None:
    for figures in report.figures().values():
        assert figures.wall.total == pytest.approx(sum(figures.wall.phases[phase] for phase in INSIDE))
        # What is in no phase is under "other": journals, signatures and shares, as many whatever is trained.
        assert figures.wall.phases["other"] > 0


def test_what_is_outside_is_in_no_total(report: OverheadReport) -> None:
    laps = report.measured["encrypted"][0].laps
    later = PhaseLap(round_number=0, role="server", phase="prepare", wall_s=1000, cpu_s=1000)
    slow = changed(report, "encrypted", laps=(*laps, later))
    assert slow.ratios() == report.ratios()


def laps_of(*seconds: tuple[int, str, str, float]) -> tuple[PhaseLap, ...]:
    """Laps from (round, role, phase, seconds)."""
    return tuple(
        PhaseLap.model_validate({"round_number": r, "role": role, "phase": phase, "wall_s": s, "cpu_s": s})
        for r, role, phase, s in seconds
    )


def test_clients_on_machines_of_their_own_wait_for_the_slowest_twice(report: OverheadReport) -> None:
    laps = laps_of(
        (1, "client-1", "train", 3.0),
        (1, "client-1", "encrypt", 2.0),
        (1, "client-2", "train", 4.0),
        (1, "server", "add", 0.5),
        (1, "client-1", "decrypt", 1.0),
        (1, "client-2", "decrypt", 7.0),
        (2, "client-1", "train", 10.0),
        (2, "server", "test", 100.0),
    )
    run = report.measured["encrypted"][0].model_copy(update={"laps": laps})
    assert federation_seconds(run, 0) == 5.0 + 0.5 + 7.0 + 10.0


def test_ratios_are_taken_pair_by_pair(report: OverheadReport) -> None:
    def runs(variant: Variant, *pairs: tuple[float, float]) -> tuple[OverheadMeasurement, ...]:
        run = report.measured[variant][0]
        return tuple(
            run.model_copy(
                update={"laps": laps_of((1, "client-1", "train", train), (1, "client-1", "encode", rest))}
            )
            for train, rest in pairs
        )

    measured = {
        "float32": runs("float32", (99.0, 1.0), (198.0, 2.0), (99.0, 1.0)),
        "integer_twin": runs("integer_twin", (99.0, 2.0), (198.0, 2.0), (99.0, 2.0)),
        "encrypted": runs("encrypted", (99.0, 3.0), (205.0, 15.0), (99.0, 5.0)),
    }
    ratios = replace(report, measured=measured).ratios()["encrypted"]
    assert (ratios.lowest, ratios.total, ratios.highest) == pytest.approx((1.02, 1.04, 1.10))
    assert ratios.at_equal_training == pytest.approx(1.04)
    assert ratios.exchange == pytest.approx(5.0)
    assert ratios.exchange_share == pytest.approx(0.05)


def test_the_personal_adapter_is_nobodys_and_only_float32_leaves_the_payload(federation: Path) -> None:
    config = load_federation(federation)
    variants = {variant: variant_of(config, job(federation, variant, rounds=1)) for variant in VARIANTS}
    assert not any(each.recipe.has_personal for each in variants.values())
    assert [each.payload.name for each in variants.values()] == ["dense", "sketch", "sketch"]
    assert [each.encryption.scheme for each in variants.values()] == ["none", "none", "kahe"]
    assert {each.federation.rounds for each in variants.values()} == {1}


def test_no_variant_ends_early(federation: Path) -> None:
    config = load_federation(federation)
    training = config.training.model_copy(update={"early_stopping_rounds": 1})
    config = config.model_copy(update={"training": training})
    variants = [variant_of(config, job(federation, variant, rounds=1)) for variant in VARIANTS]
    assert {each.training.early_stopping_rounds for each in variants} == {None}


def test_the_json_has_the_headline_and_every_run(report: OverheadReport) -> None:
    result = json.loads(json.dumps(report.to_json()))
    assert result["benchmark"] == "overhead"
    assert result["identical"] is True
    encrypted = result["variants"]["encrypted"]
    assert result["ratio_to_float32"] == encrypted["ratios_to_float32"]["total"]
    assert result["variants"]["float32"]["ratios_to_float32"] is None
    assert set(encrypted["wall"]["phases"]) == set(PHASES)
    assert len(encrypted["repeats"]) == 1
    assert result["bars"][0]["limit"] == 1.05


def test_the_report_says_what_no_noise_touches_and_when_sums_differ(report: OverheadReport) -> None:
    assert "of float32's total" in " ".join(notes(report))
    assert "| encrypted |" in markdown(report)
    differs = changed(report, "encrypted", integers_sha256=("0" * 64,))
    assert "did NOT end" in " ".join(notes(differs))


def test_an_answer_of_another_variant_is_none(report: OverheadReport) -> None:
    line = report.measured["float32"][0].model_dump_json().encode()
    with pytest.raises(WireError, match="a measurement of float32"):
        read_overhead(line, variant="encrypted")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], federation: Path) -> Callable[..., tuple[int, str, str]]:
    """Run ``securefl bench overhead`` on the tiny federation; exit code, stdout, stderr."""

    def call(*arguments: object, file: Path = federation) -> tuple[int, str, str]:
        code = command_line(["bench", "overhead", str(file), *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rounds", "0"), "0 is not in the range"),
        (("--repeat", "0"), "0 is not in the range"),
        (("--repeat", "two"), "'two' is not a valid int"),
        (("--json", "nowhere/out.json"), "there is no folder nowhere (--json)"),
        (("--json", "out.md"), "out.md would be overwritten"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_runs(
    arguments: tuple[str, ...], sentence: str, said: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, errors = said(*arguments)
    assert code == 2
    assert sentence in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_file_that_is_not_there_is_one_sentence(
    said: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, errors = said(file=tmp_path / "no.toml")
    assert code == 2
    assert "there is no file" in errors


def test_what_the_federation_refuses_is_said_with_its_variant(
    said: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "empty.toml"
    path.write_text('[federation]\nname = "e"\n[model]\npath = "nowhere"\n[data]\ntrain = "nowhere.jsonl"\n')
    code, _, errors = said("--repeat", "1", file=path)
    assert code == 1
    assert "the float32 federation could not be measured" in errors
    assert "nowhere" in errors


def test_a_report_leaves_table_and_plot(
    said: Callable[..., tuple[int, str, str]],
    ran: tuple[OverheadRequest, Measured],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("securefl.bench.overhead.benchmark.run_overhead", lambda *_, **__: ran[1])
    code, out, _ = said("--rounds", "2", "--repeat", "1", "--json", tmp_path / "out.json")
    assert code == 0
    assert "times float32" in out
    assert json.loads((tmp_path / "out.json").read_text())["clients"] == 3
    assert "| encrypted |" in (tmp_path / "out.md").read_text()
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    assert (tmp_path / "out.png").is_file()
