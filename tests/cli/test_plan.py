"""``securefl plan`` before anything runs: what it shows, what it writes, and what it refuses."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.federations import make_federation
from support.tiny_model import save_tiny_bert

from securefl.config import load_federation
from securefl.planning import speed_process
from securefl.planning.forecast import forecast
from securefl.planning.sizes import sizes_of
from securefl.planning.speed import Speed, measure_speed
from securefl.provisioning.preview import preview

from .conftest import Said

FEDERATION = """
[federation]
name = "colours"
rounds = 2
labels = ["red", "blue", "green"]
[model]
path = "{model}"
max_length = 32
[data]
train = "not-needed.csv"
[lora]
target_modules = [{modules}]
[payload]
name = "{payload}"{rank}
{more}
[grid]
precision_bits = {bits}
[encryption]
scheme = "none"
[cohort]
samples_cap = 100
clients = [{clients}]
"""
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_tiny_bert(folder)
    return folder


@pytest.fixture(scope="module")
def speed() -> Speed:
    """This machine's speed, measured once and in this process."""
    return measure_speed(make_federation(scheme="none").federation)


@pytest.fixture(autouse=True)
def _measured_once(request: pytest.FixtureRequest, speed: Speed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts no process to measure speed, but for the test that is about it and therefore slow."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(speed_process, "measure_speed_in_process", lambda federation: speed)


@pytest.fixture
def write(tmp_path: Path, model: Path) -> Write:
    """Writes a federation's file on a tiny model."""

    def written(
        *,
        ranks: tuple[int, ...] = (2, 4, 8),
        payload: str = "dense",
        bits: int = 16,
        more: str = "",
        rank: str = "",
        modules: str = '"query", "value"',
    ) -> Path:
        clients = ", ".join(f"{{ r = {rank} }}" for rank in ranks)
        path = tmp_path / "FED.toml"
        path.write_text(
            FEDERATION.format(
                model=model,
                payload=payload,
                bits=bits,
                more=more,
                rank=rank,
                clients=clients,
                modules=modules,
            )
        )
        return path

    return written


def _words(said: Said) -> str:
    return " ".join(said.out.split())


@pytest.mark.slow
def test_a_plan_shows_the_proof_the_costs_and_what_is_not_promised(
    write: Write, cli: Callable[..., Said]
) -> None:
    said = cli("plan", write())
    assert said.code == 0
    shown = _words(said)
    # Three clients of 16 bits, each within 32767, under two lanes of 18 bits.
    assert "lane holds its sum n M < 2^(L-1) 98301 131071 4" in shown
    for part in (
        "float32, r = 8",
        "16 bits, plain",
        "1000 Mbit/s",
        "* dense",
        "core",
        "on this machine just now",
    ):
        assert part in shown
    assert "The server sees every update" in shown


def test_an_encrypted_plan_says_what_the_server_learns_with_one_client(
    write: Write, cli: Callable[..., Said]
) -> None:
    path = write()
    path.write_text(path.read_text().replace('scheme = "none"', 'scheme = "bfv"'))
    shown = _words(cli("plan", path))
    assert (
        "The server alone learns no update and no sum; together with one client it learns every update"
        in shown
    )


def test_a_plan_with_a_plain_part_says_what_the_server_reads(write: Write, cli: Callable[..., Said]) -> None:
    path = write()
    chosen = 'scheme = "bfv"\nselect = { fraction = 0.3 }\nallow_plaintext = true'
    path.write_text(path.read_text().replace('scheme = "none"', chosen))
    shown = _words(cli("plan", path))
    assert "values of every client's update in a round from round 2 on" in shown
    assert "The server alone learns no update" not in shown


def test_a_plan_says_which_payload_is_the_default_for_the_ranks_and_why(
    write: Write, cli: Callable[..., Said]
) -> None:
    path = write(ranks=(2, 4, 8, 16))
    shown = _words(cli("plan", path))
    reason = "ranks 2, 4, 8, 16 share 4 directions, below the median 6"
    assert f"payload dense chosen by recipe or file; the default here would be sketch: {reason}" in shown
    path.write_text(path.read_text().replace('name = "dense"', 'name = "auto"'))
    assert f"payload sketch sketch is the default here: {reason}" in _words(cli("plan", path))


def test_a_plan_sets_every_upload_beside_the_clients_own_float32_factors(
    write: Write, cli: Callable[..., Said]
) -> None:
    path = write(ranks=(2, 4, 8, 16), payload="state")
    found = forecast(preview(load_federation(path)), speed=None)
    shown = _words(cli("plan", path))
    ratios = (f"{found.upload_ratios[f'client-{n}']:.2f} (r = {2**n})" for n in (1, 2, 3, 4))
    assert f"own float32 factors and head: {', '.join(ratios)}." in shown


def test_a_plan_says_what_is_summed_and_what_members_weigh(write: Write, cli: Callable[..., Said]) -> None:
    path = write(more='sums = "products"\n[recipe]\nname = "flexlora"')
    shown = _words(cli("plan", path))
    assert "whole products are summed, and their mean replaces the global state" in shown
    assert "members weigh by their rows, none above the cap" in shown
    assert "One of the first round's values is the client's weight" in shown
    # Where no number of samples weighs, a cap of them is refused.
    uncapped = path.read_text().replace("samples_cap = 100\n", "")
    path.write_text(uncapped + '[aggregation]\nweights = "equal"\nsplit = "sqrt"\n')
    shown = _words(cli("plan", path))
    assert "all members weigh the same; singular values of a mean split sqrt" in shown
    assert "No round has a weight: all clients count the same." in shown


def test_nothing_is_cut_off_in_80_columns(
    write: Write, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("plan", write(payload="basis", modules='"intermediate.dense"', ranks=(2, 4, 8) * 100))
    assert "securefl, even" in said.out
    assert "…" not in said.out


def test_the_json_is_the_plan_of_the_federation_that_the_file_describes(
    write: Write, cli: Callable[..., Said]
) -> None:
    path = write(payload="sketch", rank="\nrank = 4")
    said = cli("plan", path, "--json", "-")
    plan = json.loads(said.out)
    sizes = sizes_of(preview(load_federation(path)), 1)
    (entry,) = plan["per_round"]
    assert (entry["values"], entry["ciphertexts"]) == (sizes.values, sizes.ciphertexts)
    assert entry["up_bytes"] == sizes.up
    assert set(plan["speed"]["encrypt"]) == {"once_s", "each_ciphertext_s"}
    assert "MB" in said.err


def _with_data(path: Path, rows: str, *, pinned: bool = True) -> Path:
    """Puts a csv file where the federation's file looks for its data."""
    (path.parent / "not-needed.csv").write_text("text,label\n" + rows)
    if not pinned:
        path.write_text(path.read_text().replace('labels = ["red", "blue", "green"]', ""))
    return path


def test_a_plan_shows_the_rows_and_labels_of_every_client(write: Write, cli: Callable[..., Said]) -> None:
    path = _with_data(write(), "a,red\nb,red\nc,blue\n" * 20)
    shown = _words(cli("plan", path))
    assert "client train valid. test labels most frequent client-1 14 2 4 2 of 3 " in shown
    assert "client-2 14 2 4 2 of 3 red: 15, blue: 5" in shown
    assert "No client trains on a row of green." in shown


def test_a_plan_says_which_data_it_has_not_read(write: Write, cli: Callable[..., Said]) -> None:
    said = cli("plan", write())
    assert f"Not on this machine, so not read: {write().parent / 'not-needed.csv'}." in said.out.replace(
        "\n", ""
    )


def test_the_json_of_a_plan_has_all_counts(write: Write, cli: Callable[..., Said]) -> None:
    path = _with_data(write(), "a,red\nb,red\nc,blue\n" * 20)
    data = json.loads(cli("plan", path, "--json", "-").out)["data"]
    assert data["labels"] == ["red", "blue", "green"]
    assert sum(client["labels"]["red"] for client in data["clients"].values()) == 40
    assert {client["labels"]["green"] for client in data["clients"].values()} == {0}


@pytest.mark.parametrize("command", ["plan", "init"])
def test_labels_that_look_like_one_are_warned_of(
    command: str, write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = _with_data(write(), "a,red\nb,Red\nc,blue\n" * 20, pinned=False)
    said = cli(command, path, *([tmp_path / "out"] if command == "init" else []))
    assert said.code == 0
    assert "warning: the labels 'Red' (20 rows) and 'red' (20 rows) are 2 classes" in " ".join(
        said.err.split()
    )


@pytest.mark.parametrize("command", ["plan", "init"])
@pytest.mark.parametrize("row", ["c,", "c", "c,d,e"])
def test_a_wrong_row_is_refused_before_a_key_is_made(
    command: str, row: str, write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = _with_data(write(), f"a,red\nb,blue\n{row}\n" * 20)
    said = cli(command, path, *([tmp_path / "out"] if command == "init" else []))
    assert said.code == 2
    assert "line 4, row 3" in said.err
    assert not (tmp_path / "out").exists()


def test_init_shows_the_rows_and_labels_of_every_client(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    said = cli("init", _with_data(write(), "a,red\nb,green\nc,blue\n" * 20), tmp_path / "out")
    assert "client-3 14 2 4 3 of 3 " in _words(said)


def test_a_founded_file_with_a_byte_order_mark_can_be_planned(
    tmp_path: Path, cli: Callable[..., Said]
) -> None:
    path = tmp_path / "federation.json"
    path.write_text(make_federation(scheme="none").federation.to_json_text(), encoding="utf-8-sig")
    assert json.loads(cli("plan", path, "--json", "-").out)["data"] is None


def test_odd_and_even_rounds_of_basis_have_a_line_each(write: Write, cli: Callable[..., Said]) -> None:
    # 48 x 32 weights: a left factor has more rows than a right one columns, and both still fill one ciphertext.
    plan = json.loads(cli("plan", write(payload="basis", modules='"intermediate.dense"'), "--json", "-").out)
    assert [entry["applies_to"] for entry in plan["per_round"]] == ["odd rounds", "even rounds"]
    odd, even = (entry["values"] for entry in plan["per_round"])
    assert odd > even


def test_a_founded_federations_file_can_be_planned_without_torch(
    tmp_path: Path, cli: Callable[..., Said]
) -> None:
    path = tmp_path / "federation.json"
    path.write_text(make_federation(scheme="none").federation.to_json_text())
    said = cli("plan", path, "--json", "-")
    assert json.loads(said.out)["clients"] == {
        "client-1": 2,
        "client-2": 4,
        "client-3": 8,
        "client-4": 16,
    }


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"ranks": (2,) * 200, "bits": 24}, None),
        ({"ranks": (2, 4, 99)}, r"rank 99 does not fit a weight of 32 x 32 .*give no client a rank above 32"),
        ({"rank": "\nrank = 4"}, r"unknown key 'payload.rank' .*name = .sketch. has a key 'rank'"),
        ({"bits": 30}, r"'grid.precision_bits' is wrong .*from 8 to 24"),
        ({"modules": '"qurey"'}, r"'qurey' matches no module .*query"),
    ],
)
def test_what_cannot_be_made_safe_is_refused_with_the_knob(
    choices: dict[str, object], said: str | None, write: Write, cli: Callable[..., Said]
) -> None:
    answer = cli("plan", write(**choices))
    if said is None:
        # The widest profile still adds these.
        assert answer.code == 0
        return
    assert answer.code == 2
    assert re.search(said, answer.err)
    assert answer.out == ""


def test_a_file_that_is_not_there_is_said(tmp_path: Path, cli: Callable[..., Said]) -> None:
    for name in ("nothing.toml", "nothing.json"):
        answer = cli("plan", tmp_path / name)
        assert answer.code == 2
        assert f"there is no file {tmp_path / name}" in answer.err


def test_a_plan_shows_how_many_members_train_each_layer_in_each_round(
    write: Write, cli: Callable[..., Said]
) -> None:
    path = write()
    path.write_text(path.read_text() + '[layers]\nallocation = "geometric"\nshares = [0.5, 1.0, 1.0]\n')
    shown = _words(cli("plan", path))
    assert "members that train a layer, by round layer weights every round 0 2 3 1 2 0" in shown
    assert "Layers that each can train, of 2: client-1 1, client-2 2, client-3 2." in shown
    assert "fewer than 3 would train" in shown


def test_a_plan_without_layers_has_no_table_of_them(write: Write, cli: Callable[..., Said]) -> None:
    assert "train a layer" not in _words(cli("plan", write()))


PRIVATE = """
[recipe]
name = "ffa"
personal = "none"
[aggregation]
weights = "equal"
[head]
rows = "together"
start = "zeros"
logit_adjustment = false
[privacy]
unit = "client"
target_epsilon = 8
"""


def test_a_plan_shows_epsilon_and_refuses_noise_that_drowns_the_signal(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = write(payload="core", more=PRIVATE)
    text = path.read_text().replace("samples_cap = 100\n", "").replace('scheme = "none"', 'scheme = "kahe"')
    path.write_text(text)
    refused = cli("plan", path, "--json", tmp_path / "plan.json")
    assert refused.code == 2
    assert 'privacy of unit "client": epsilon' in refused.out
    assert "leaves a predicted cosine of" in " ".join(refused.err.split())
    path.write_text(text.replace("target_epsilon = 8", "target_epsilon = 8\nforce = true"))
    said = cli("plan", path, "--json", tmp_path / "plan.json")
    assert said.code == 0
    values = json.loads((tmp_path / "plan.json").read_text())["privacy"]["all"]
    assert values["epsilon"] <= 8
    assert values["affordable_rounds"] == 2
    assert values["release"].startswith("distributed-discrete-gaussian ")


def test_a_plan_counts_one_share_of_noise_where_single_contributions_can_be_read(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = write(payload="core", more=PRIVATE)
    text = path.read_text().replace("samples_cap = 100\n", "")
    path.write_text(text.replace("target_epsilon = 8", "target_epsilon = 8\nforce = true"))
    said = cli("plan", path, "--json", tmp_path / "plan.json")
    assert said.code == 0
    words = " ".join(said.out.split())
    assert (
        'Under scheme "none" the server reads single contributions, so each carries all of the noise' in words
    )
    values = json.loads((tmp_path / "plan.json").read_text())["privacy"]["all"]
    assert values["release"].endswith(" honest=1")
    assert values["epsilon"] <= 8


REACHED = """
[server]
client_address = "127.0.0.1:7443"
"""


def test_a_promise_to_clients_is_founded_with_its_noise_unless_it_drowns_the_signal(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = write(payload="core", more=PRIVATE + REACHED)
    text = path.read_text().replace("samples_cap = 100\n", "").replace('scheme = "none"', 'scheme = "kahe"')
    path.write_text(text)
    rows = "".join(
        f"{color} thing {number},{color}\n" for number in range(9) for color in ("red", "blue", "green")
    )
    (tmp_path / "not-needed.csv").write_text("text,label\n" + rows)
    said = cli("init", path, tmp_path / "members")
    assert said.code == 2
    assert "leaves a predicted cosine of" in " ".join(said.err.split())
    assert not (tmp_path / "members").exists()
    path.write_text(text.replace("target_epsilon = 8", "target_epsilon = 8\nforce = true"))
    assert cli("init", path, tmp_path / "members").code == 0
    pinned = json.loads((tmp_path / "members" / "client-1" / "federation.json").read_text())
    assert pinned["terms"]["privacy"].keys() >= {"honest", "dimension", "clip_steps", "share_variance_16ths"}


def _rows(path: Path, each: int) -> None:
    rows = "".join(
        f"{color} thing {number},{color}\n" for number in range(each) for color in ("red", "blue", "green")
    )
    path.write_text("text,label\n" + rows)


def test_a_promise_to_rows_is_planned_beside_what_was_measured_of_adapter_and_head(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    path = write(more=PRIVATE.replace('"client"', '"example"\naccountant = "rdp"') + REACHED)
    text = path.read_text().replace("samples_cap = 100\n", "")
    path.write_text(text + "[training]\nper_device_train_batch_size = 64\n")
    _rows(tmp_path / "not-needed.csv", 400)
    said = cli("plan", path, "--json", tmp_path / "plan.json")
    assert said.code == 0
    words = " ".join(said.out.split())
    found = json.loads((tmp_path / "plan.json").read_text())["adapter_or_head"]
    assert found["nearest"]["labels"] == 2
    assert (
        f"Adapter or head alone: in the nearest measured case ({found['nearest']['data']}: 2 labels," in words
    )
    assert not found["head_only"]
    made = cli("init", path, tmp_path / "members")
    assert made.code == 0
    assert "Adapter or head alone: in the nearest measured case" in " ".join(made.out.split())


def test_a_plan_of_the_head_alone_sends_its_values_and_no_adapters(
    write: Write, cli: Callable[..., Said], tmp_path: Path
) -> None:
    said = cli("plan", write(payload="head-only"), "--json", tmp_path / "plan.json")
    assert said.code == 0
    assert "payload head-only" in said.out
    values = json.loads((tmp_path / "plan.json").read_text())
    assert values["adapter_or_head"] is None
    # Three rows of 32 features and a bias, and each row's weight is summed before the first round.
    assert values["per_round"][0]["values"] == 3 * 33
