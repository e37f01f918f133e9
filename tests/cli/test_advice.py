"""The summary says which adapter is worth using, and recommends none that chance explains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.results import client_result

from securefl.results.advice import advice, advice_for, recommendation, worth_exporting
from securefl.results.client import ClientResult, PrivacyReport
from securefl.training.worth import exact_p

from .conftest import Said


def client(
    name: str,
    *,
    base: float,
    wins: int,
    losses: int,
    chosen: str = "fused",
    rows: int = 100,
    figure: str = "accuracy",
) -> ClientResult:
    """A client whose chosen adapter wins and loses so many rows against the base; the others equal it."""
    level = {"wins": 0, "losses": 0, "p": 1.0}
    counts = {"wins": wins, "losses": losses, "p": exact_p(wins, losses)}
    values = dict.fromkeys(("local", "global", "fused"), base)
    metric: dict[str, Any] = {
        "name": figure,
        "f1": None,
        "samples": rows,
        "base": base,
        **values,
        chosen: base + (wins - losses) / rows,
        "worth": {
            "chosen": chosen,
            "validation": values,
            "validation_samples": 20,
            "against_base": {**dict.fromkeys(values, level), chosen: counts},
            "samples": rows,
        },
    }
    return ClientResult.model_validate(client_result(id=name, rank=2, metric=metric, rounds=1, rounds_log=[]))


@pytest.mark.parametrize(
    ("wins", "losses", "sentence"),
    [
        (
            8,
            1,
            "bank: use fused (0.870), 7.0 ± 5.9 points above base (0.800) on 100 test rows, beyond chance (p = 0.039)",
        ),
        (
            30,
            0,
            "bank: use fused (1.100), 30.0 ± 9.0 points above base (0.800) on 100 test rows, beyond chance (p < 0.001)",
        ),
        (
            8,
            2,
            "bank: keep base (0.800); fused (0.860) is 6.0 ± 6.3 points above it, which 100 test rows cannot tell from "
            "chance (p = 0.11): nothing here is worth deploying yet",
        ),
        (
            2,
            2,
            "bank: keep base (0.800); fused (0.800) is right on as many of the 100 test rows (p = 1): nothing here is "
            "worth deploying yet",
        ),
        (
            2,
            8,
            "bank: keep base (0.800); fused (0.740) is 6.0 ± 6.3 points below it, which 100 test rows cannot tell from "
            "chance (p = 0.11): nothing here is worth deploying yet",
        ),
        (
            1,
            10,
            "bank: use base (0.800); fused (0.710) is 9.0 ± 6.4 points below it on 100 test rows, beyond chance "
            "(p = 0.012)",
        ),
    ],
)
def test_a_client_is_told_what_to_use(wins: int, losses: int, sentence: str) -> None:
    assert advice_for(client("bank", base=0.8, wins=wins, losses=losses)) == sentence


@pytest.mark.parametrize(
    ("wins", "losses", "sentence"),
    [
        (
            8,
            1,
            "bank: use fused (0.870): it alone is right on 8 of 100 test rows and base (0.800) alone on 1, beyond "
            "chance (p = 0.039)",
        ),
        (
            1,
            10,
            "bank: use base (0.800): fused (0.710) alone is right on 1 of 100 test rows and base alone on 10, beyond "
            "chance (p = 0.012)",
        ),
        (
            8,
            2,
            "bank: keep base (0.800); fused (0.860) alone is right on 8 of 100 test rows and base alone on 2, which "
            "may be chance (p = 0.11): nothing here is worth deploying yet",
        ),
    ],
)
def test_of_another_figure_than_accuracy_the_rows_are_told_and_no_points(
    wins: int, losses: int, sentence: str
) -> None:
    assert advice_for(client("bank", base=0.8, wins=wins, losses=losses, figure="macro_f1")) == sentence


def gaining(name: str, adapter: str) -> ClientResult:
    return client(name, base=0.5, wins=20, losses=0, chosen=adapter)


def idle(name: str) -> ClientResult:
    return client(name, base=0.8, wins=1, losses=1)


MANY = [f"client-{number}" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("clients", "sentence"),
    [
        ([gaining("hospital", "fused"), gaining("plant", "fused")], "Use fused everywhere."),
        (
            [idle("hospital"), idle("plant")],
            "Keep base everywhere: no adapter beats it beyond chance at any client.",
        ),
        (
            [
                gaining("hospital", "fused"),
                *(gaining(name, "global") for name in ("city", "bank", "port")),
                gaining("plant", "fused"),
            ],
            "Use fused at hospital and plant, global elsewhere.",
        ),
        (
            [gaining("hospital", "fused"), idle("bank")],
            "Use fused at hospital, base at bank (no adapter beats it there beyond chance).",
        ),
        (
            [idle("bank"), gaining("hospital", "fused"), gaining("city", "local"), idle("plant")],
            "Use fused at hospital, local at city, base elsewhere (no adapter beats it there beyond chance).",
        ),
        (
            [*(gaining(name, "fused") for name in MANY), idle("bank")],
            "Use fused at 6 clients (named below), base at bank (no adapter beats it there beyond chance).",
        ),
    ],
)
def test_one_sentence_for_the_federation_stands_first(clients: list[ClientResult], sentence: str) -> None:
    assert recommendation(clients) == sentence
    assert advice(clients)[0] == sentence


def test_an_adapter_that_loses_to_base_beyond_chance_is_not_recommended() -> None:
    losing = client("bank", base=0.8, wins=0, losses=20)
    assert recommendation([losing, gaining("city", "fused")]) == (
        "Use fused at city, base at bank (no adapter beats it there beyond chance)."
    )


def test_the_adapter_that_validation_rows_chose_is_judged_and_no_other() -> None:
    sentence = advice_for(client("bank", base=0.5, wins=20, losses=0, chosen="global"))
    assert sentence is not None
    assert sentence.startswith("bank: use global (0.700)")


def test_the_rows_that_chose_and_the_rows_that_judged_are_named() -> None:
    *_, rows = advice([client("bank", base=0.5, wins=20, losses=0)])
    assert rows.startswith("A client's 20 validation rows chose its adapter; its test rows compared that one")


def test_where_base_holds_at_most_clients_the_federation_is_told() -> None:
    clients = [client(f"client-{number}", base=0.8, wins=2, losses=2) for number in (1, 2, 3)]
    last = advice([*clients, client("client-4", base=0.5, wins=9, losses=0)])[-1]
    assert last.startswith(
        "At 3 of 4 clients no adapter beats base beyond chance; over all clients together they win 15 test rows and "
        "lose 6"
    )
    assert "base serves this federation as well" in last


def test_a_gain_that_only_all_rows_together_show_is_told_as_one() -> None:
    clients = [client(f"client-{number}", base=0.8, wins=8, losses=2) for number in (1, 2, 3)]
    assert "together they gain" in advice(clients)[-1]


def test_where_adapters_win_at_half_the_clients_there_is_no_such_line() -> None:
    clients = [client("a", base=0.5, wins=20, losses=0), client("b", base=0.8, wins=1, losses=1)]
    assert not any(line.startswith("At ") for line in advice(clients))


def test_results_of_an_earlier_version_get_no_advice() -> None:
    table = client("bank", base=0.5, wins=20, losses=0).model_dump(by_alias=True)
    table["metric"].pop("worth")
    assert advice([ClientResult.model_validate(table)]) == []


def test_a_client_started_by_hand_ends_with_its_sentence(
    tmp_path: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = client("bank", base=0.8, wins=8, losses=1).model_dump(mode="json", by_alias=True)

    def run_client(
        folder: Path, *, server: str | None, out: Path, emit: object, metrics: object, witness: Path | None
    ) -> int:
        assert witness is None
        assert metrics == ["clinic:recall"]
        (out / "result.json").write_text(json.dumps(told))
        return 0

    monkeypatch.setattr("securefl_client.process.run_client", run_client)
    said = cli("client", tmp_path, "--out", tmp_path, "--metric", "clinic:recall")
    assert said.out.startswith("bank: use fused (0.870), 7.0 ± 5.9 points above base")


def test_the_next_step_names_an_adapter_that_beats_base_where_there_is_one() -> None:
    assert worth_exporting([idle("bank"), gaining("city", "local")]) == ("city", "personal")
    assert worth_exporting([idle("bank")]) == ("bank", "fused")
    uncompared = ClientResult.model_validate(client_result(3))
    assert worth_exporting([uncompared]) == ("client-3", "global")


def test_rows_of_a_language_model_have_smaller_losses_and_are_not_right() -> None:
    said = advice_for(client("bank", base=2.0, wins=20, losses=2, figure="answer_loss"))
    assert said is not None
    assert "use fused (2.180): beside base (2.000) it has the smaller loss on 20 of 100 test rows" in said
    assert "and the larger one on 2, beyond chance" in said
    assert "right" not in said


@pytest.mark.parametrize(
    ("wins", "losses", "words"),
    [
        (5, 3, "keep base (2.000); fused (2.020) has the smaller loss on 5 of 100 test rows and the larger"),
        (1, 30, "use base (2.000): beside it fused (1.710) has the smaller loss on 1 of 100 test rows"),
    ],
)
def test_a_language_models_base_is_kept_where_no_adapter_has_smaller_losses(
    wins: int, losses: int, words: str
) -> None:
    said = advice_for(client("bank", base=2.0, wins=wins, losses=losses, figure="perplexity"))
    assert said is not None
    assert words in said


def test_rows_of_a_language_model_are_compared_by_a_sign_test_on_losses() -> None:
    [*_, told] = advice([client("bank", base=2.0, wins=20, losses=2, figure="answer_loss")])
    assert "(the exact sign test on their losses at 5%)" in told
    assert "McNemar" not in told
    [*_, told] = advice([client("bank", base=0.8, wins=8, losses=1)])
    assert "(McNemar's exact test at 5%)" in told


def test_a_private_run_says_that_base_is_trained_without_noise() -> None:
    promised = PrivacyReport(
        unit="example",
        delta=1e-5,
        accountant="pld",
        target_epsilon=8.0,
        epsilon=3.5,
        rounds_charged=(1,),
        trainings=1,
        rounds_sat_out=(),
        budget_delta=1e-5,
        budget_epsilon=8.0,
        spent=3.5,
        left=4.5,
        affordable_rounds=1,
    )
    plain, private = idle("hospital"), idle("plant").model_copy(update={"privacy": promised})
    assert not [line for line in advice([plain]) if "without noise" in line]
    assert [line for line in advice([private]) if "Base is a head that each client trains" in line]
