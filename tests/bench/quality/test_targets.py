"""A target is a stated part of central's gain over base, on validation rows."""

from support.quality import measured, outcome

from securefl.bench.quality.measurement import CellMeasurement
from securefl.bench.quality.targets import SHARE, Reached, reached, target_of, words


def local(base: float) -> CellMeasurement:
    return measured({"a": outcome({"local": (1,)}, validation={"base": base, "local": 0.7})})


def central(figure: float) -> CellMeasurement:
    return measured({"a": outcome({"central": (1,)}, validation={"central": figure})})


def curve(*figures: float) -> CellMeasurement:
    values = {str(number): figure for number, figure in enumerate(figures)}
    return measured({"a": outcome({"global": (1,)}, curve=values)}, rounds=len(figures) - 1)


def test_the_target_lies_between_base_and_central() -> None:
    target = target_of(local=local(0.5), central=central(0.9))
    assert target is not None
    assert abs(target - (0.5 + SHARE * 0.4)) < 1e-12


def test_where_central_gains_nothing_there_is_no_target() -> None:
    assert target_of(local=local(0.9), central=central(0.9)) is None
    assert target_of(local=None, central=central(0.9)) is None
    assert words([Reached(None, None, 4)]) == "no target"


def test_the_first_round_at_the_target_counts_and_the_start_does_not() -> None:
    assert reached(curve(0.9, 0.6, 0.8, 0.9), target=0.8).round_number == 2
    assert reached(curve(0.9, 0.6), target=0.8).round_number is None


def test_a_round_counts_by_the_mean_over_clients() -> None:
    clients = {
        name: outcome({"global": (1,)}, curve={"1": first, "2": second})
        for name, (first, second) in {"a": (1.0, 1.0), "b": (0.4, 0.8)}.items()
    }
    assert reached(measured(clients, rounds=2), target=0.8).round_number == 2


def test_of_a_figure_that_a_better_model_has_less_of_all_holds_the_other_way_round() -> None:
    losses = [each.model_copy(update={"metric": "perplexity"}) for each in (local(9.0), central(4.0))]
    target = target_of(local=losses[0], central=losses[1])
    assert target is not None
    assert abs(target - (9.0 - SHARE * 5.0)) < 1e-12
    falling = curve(9.0, 6.0, 4.9).model_copy(update={"metric": "perplexity"})
    assert reached(falling, target=target).round_number == 2
    assert target_of(local=losses[1], central=losses[0]) is None


def test_seeds_are_told_together() -> None:
    assert words([Reached(0.8, 2, 4), Reached(0.8, 3, 4)]) == "2.5"
    assert words([Reached(0.8, None, 4), Reached(0.8, None, 4)]) == "not in 4"
    assert words([Reached(0.8, None, 4), Reached(0.8, 3, 4)]) == "not in 4 (1 of 2 seeds did)"
