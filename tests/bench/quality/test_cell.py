"""A cell is the real federation: its figures are the product's, on the same rows as the central training's."""

from collections.abc import Callable

import numpy as np
import pytest
from support.quality import central_cell, colours_cell, finished, job_of, save_colours
from support.tiny_model import save_tiny_bert

from securefl.bench.quality.cell import _check_reported, run_cell
from securefl.bench.quality.cell_figures import identical, places_of
from securefl.bench.quality.measurement import CellMeasurement, CellOrder
from securefl.bench.quality.sites import RoundSums
from securefl.bench.quality.suite import LOCAL, Cell
from securefl.config.training import TrainingSection
from securefl.errors import ProtocolError, TrainingError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import StageContribution
from securefl.simulation.traffic import Traffic, Uploaded
from securefl.training.devices import choose_compute
from securefl.training.tasks.base import Metric

pytestmark = pytest.mark.slow
HEAD = StageContribution(Attempt(bytes(32), 1, 1, 1), bytes(32), bytes(32), b"", ())
CONTRIBUTION = Uploaded(HEAD, b"")
OVERRIDES = ("federation.rounds=2", "fusion.max_samples=40", "training.learning_rate=1e-2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CellMeasurement]:
    """Run a cell of three clients with a random two-layer BERT, on 120 rows in all."""
    folder = tmp_path_factory.mktemp("cell")
    save_tiny_bert(folder / "model")
    save_colours(folder / "data")

    def call(cell: Cell, **changes: object) -> CellMeasurement:
        order = CellOrder(
            job=job_of(cell, **{"overrides": OVERRIDES, **changes}),
            data_folder=str(folder / "data"),
            model=str(folder / "model"),
        )
        return run_cell(order, tmp_path_factory.mktemp("run"))

    return call


@pytest.fixture(scope="module")
def federation(run: Callable[..., CellMeasurement]) -> CellMeasurement:
    return run(colours_cell())


def test_every_client_has_every_column_on_its_own_test_rows(federation: CellMeasurement) -> None:
    assert [*federation.clients] == ["client-1", "client-2", "client-3"]
    assert sum(client.test_rows for client in federation.clients.values()) == 60
    for client in federation.clients.values():
        assert [*client.scores] == ["base", "local", "global", "fused"]
        assert client.values == {name: pytest.approx(np.mean(row)) for name, row in client.scores.items()}


def test_all_training_rows_are_dealt_and_part_of_them_choose(federation: CellMeasurement) -> None:
    clients = federation.clients.values()
    assert sum(client.train_rows + client.validation_rows for client in clients) == 120
    assert all({"local", "global", "fused"} == {*client.validation} for client in clients)
    assert federation.rounds == 2
    assert all({"1", "2"} <= {*client.curve} for client in clients)


def test_a_cell_run_again_ends_in_the_same_adapters(
    federation: CellMeasurement, run: Callable[..., CellMeasurement]
) -> None:
    again = run(colours_cell())
    adapters = [client.adapters_sha256 for client in federation.clients.values()]
    assert [client.adapters_sha256 for client in again.clients.values()] == adapters
    assert len({each["personal"] for each in adapters}) == 3


def test_bytes_are_those_of_an_encrypted_upload(federation: CellMeasurement) -> None:
    for client in federation.clients.values():
        assert len(client.up_bytes) == 2
        # The tiny model's own factors are a few kilobytes; a ciphertext is more than that.
        assert min(client.up_bytes) > 10_000
        assert client.float32_bytes == 4 * (client.rank * 4 * 64 + 3 * 32 + 3)


def test_the_encrypted_run_ends_as_its_twin_bit_for_bit(
    federation: CellMeasurement, run: Callable[..., CellMeasurement]
) -> None:
    cell = colours_cell()
    encrypted = finished(cell, run(cell, scheme="kahe"), scheme="kahe")
    assert encrypted.measured.integers_sha256
    assert identical(finished(cell, federation), encrypted)


def test_central_is_measured_on_the_federation_s_rows(
    federation: CellMeasurement, run: Callable[..., CellMeasurement]
) -> None:
    central = run(central_cell())
    (place,) = places_of([finished(colours_cell(), federation), finished(central_cell(), central)])
    found = place.difference("global", "central")
    assert found is not None
    global_, beside = place.value("global"), place.value("central")
    assert global_ is not None
    assert beside is not None
    assert found.mean == pytest.approx(global_ - beside)
    assert {"1.0", "0.3"} == {*central.settings["rate_scales"]}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["federation", "central", "local"])
def test_a_cell_says_what_its_training_computed_on(
    name: str, federation: CellMeasurement, run: Callable[..., CellMeasurement]
) -> None:
    cells = {"central": central_cell(), "local": colours_cell(LOCAL)}
    measured = federation if name == "federation" else run(cells[name])
    assert measured.settings["compute"] == choose_compute(TrainingSection(), max_length=64).words


def test_training_alone_is_the_personal_adapter_of_a_federation(
    federation: CellMeasurement, run: Callable[..., CellMeasurement]
) -> None:
    alone = run(colours_cell(LOCAL))
    for member, client in alone.clients.items():
        beside = federation.clients[member]
        assert client.test_sha256 == beside.test_sha256
        assert client.scores == {name: beside.scores[name] for name in ("base", "local")}
        assert client.adapters_sha256["personal"] == beside.adapters_sha256["personal"]
        assert {*client.validation} == {"base", "local"}


def test_central_has_a_figure_on_every_client_s_validation_rows(run: Callable[..., CellMeasurement]) -> None:
    central = run(central_cell())
    assert all({*client.validation} == {"central"} for client in central.clients.values())


def test_a_recipe_as_it_is_has_no_adapter_that_it_does_not_train(
    run: Callable[..., CellMeasurement],
) -> None:
    # Without a personal adapter nothing would read the override of the fusion.
    kept = tuple(each for each in OVERRIDES if not each.startswith("fusion."))
    plain = run(colours_cell("flexlora"), personal_for_all=False, overrides=kept)
    for client in plain.clients.values():
        assert [*client.scores] == ["base", "global"]
        assert [*client.adapters_sha256] == ["global"]


def test_with_validation_no_test_file_is_needed(
    run: Callable[..., CellMeasurement], federation: CellMeasurement
) -> None:
    held_out = run(colours_cell(), validation=True)
    for member, client in held_out.clients.items():
        assert client.adapters_sha256["global"] == federation.clients[member].adapters_sha256["global"]
        assert client.test_sha256 != federation.clients[member].test_sha256


def test_what_a_client_sent_and_decrypted_is_let_go_once_its_digest_is_known() -> None:
    traffic = Traffic(
        contributions={"a": CONTRIBUTION, "b": CONTRIBUTION},
        sums={"a": np.arange(3), "b": np.arange(3)},
    )
    sums = RoundSums()
    sums.take(traffic, member="a", round_number=1)
    sums.take(traffic, member="b", round_number=1)
    assert [*sums.digests] == [1]
    assert not traffic.contributions
    assert not traffic.sums


def test_clients_that_decrypt_different_sums_are_an_error() -> None:
    traffic = Traffic(
        contributions={"a": CONTRIBUTION, "b": CONTRIBUTION},
        sums={"a": np.arange(3), "b": np.arange(1, 4)},
    )
    sums = RoundSums()
    sums.take(traffic, member="a", round_number=1)
    with pytest.raises(ProtocolError, match="b decrypted other sums than the others in round 1"):
        sums.take(traffic, member="b", round_number=1)


def test_a_figure_that_is_not_the_reported_one_is_an_error() -> None:
    metric = Metric(name="accuracy", value=0.5, loss=1.0, samples=2)
    _check_reported({"global": 0.5}, {"global": metric}, member="client-1")
    with pytest.raises(TrainingError, match="client-1's 'global' was measured twice with two results"):
        _check_reported(
            {"global": 0.5},
            {"global": Metric(name="accuracy", value=0.75, loss=1.0, samples=2)},
            member="client-1",
        )
