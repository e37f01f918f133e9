"""A cell's federation is what a user would write for it, with the keys that tuning sets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.quality import COLOURS, TINY, TINY_RANKS, colours_cell, job_of

from securefl.bench.quality.cell_options import federation_of, overridden
from securefl.bench.quality.cohorts import ranks_for
from securefl.bench.quality.drawn_rows import DrawnRows, draw_rows
from securefl.bench.quality.suite import BASELINES, FEDERATIONS, FIRST_SEED, LEFT_OUT, cells_of
from securefl.bench.quality.suites import SUITES, suite_named
from securefl.config import FederationConfig
from securefl.config.data import DirichletSplit
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.choices import DEFAULT
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.training.rows.splits import deal_by_strata


def federation(
    tmp_path: Path,
    *overrides: str,
    recipe: str = "default",
    split: str = "iid",
    personal_for_all: bool = True,
    ranks: tuple[int, ...] = TINY_RANKS,
) -> FederationConfig:
    rows = DrawnRows(tmp_path / "train.jsonl", tmp_path / "test.jsonl", ("blue", "red"))
    return federation_of(
        replace(colours_cell(recipe, split=split), ranks=ranks),
        rows,
        model="somewhere/model",
        scheme="none",
        overrides=overrides,
        personal_for_all=personal_for_all,
        folder=tmp_path,
    )


def test_what_a_recipe_decides_is_the_recipe_s(tmp_path: Path) -> None:
    config = federation(tmp_path)
    assert config.payload == ROWS[DEFAULT].payload
    assert config.fusion == ROWS[DEFAULT].fusion
    assert config.training == TrainingSection()
    assert config.ranks == {"client-1": 2, "client-2": 4, "client-3": 4}


def test_everybody_has_a_personal_adapter_to_compare_with(tmp_path: Path) -> None:
    assert not ROWS["flexlora"].recipe.has_personal
    assert federation(tmp_path, recipe="flexlora").recipe.has_personal


def test_where_recipes_are_compared_each_is_as_its_row_has_it(tmp_path: Path) -> None:
    for name in FEDERATIONS:
        found = federation(tmp_path, recipe=name, ranks=ranks_for(name, (2, 4, 4, 8)), personal_for_all=False)
        assert found.recipe == ROWS[name].recipe


@pytest.mark.parametrize("baseline", ["central", "local"])
def test_a_training_without_a_federation_has_a_personal_adapter(baseline: str, tmp_path: Path) -> None:
    recipe = federation(tmp_path, recipe=baseline, personal_for_all=False).recipe
    assert recipe.name == DEFAULT
    assert recipe.has_personal


def test_a_data_set_may_have_a_task_of_its_own(tmp_path: Path) -> None:
    regression = replace(
        COLOURS,
        label="",
        settings=('task={ name = "sequence-classification", metric = "macro_f1" }', "data.label=number"),
    )
    cell = replace(colours_cell(), data=regression)
    job = job_of(cell, overrides=regression.settings)
    rows = DrawnRows(tmp_path / "train.jsonl", tmp_path / "test.jsonl", ())
    config = federation_of(
        cell, rows, model="somewhere/model", scheme="none", overrides=job.overrides, folder=tmp_path
    )
    assert config.federation.labels is None
    assert config.data.label == "number"
    assert config.task.metric == "macro_f1"


def test_a_key_can_be_set(tmp_path: Path) -> None:
    config = federation(
        tmp_path, "training.learning_rate=1e-3", "payload={ name = 'dense' }", "data.split.by=iid"
    )
    assert config.training.learning_rate == 1e-3
    assert config.payload.name == "dense"
    assert config.data.split.by == "iid"


def test_a_key_that_the_configuration_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learning_rat"):
        federation(tmp_path, "training.learning_rat=1e-3")


@pytest.mark.parametrize("override", ["training.learning_rate", "=3", ".a=3", "training.=3"])
def test_an_override_that_sets_no_key_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"sets no key \(--set\)"):
        overridden({}, [override])


def test_overriding_leaves_the_given_table_alone() -> None:
    table = {"data": {"split": {"by": "iid"}}}
    assert overridden(table, ["data.split.by=none"]) == {"data": {"split": {"by": "none"}}}
    assert table == {"data": {"split": {"by": "iid"}}}


def test_a_split_by_a_column_names_it(tmp_path: Path) -> None:
    assert federation(tmp_path, split="site").data.split.model_dump() == {"by": "column", "column": "site"}


def test_the_default_suite_has_every_place_of_the_bars() -> None:
    cells = cells_of(suite_named("default"), seeds=1, recipes=("default",))
    names = {
        f"{data}-{split}" for data in ("banking77", "hwu64", "sst2", "mrpc") for split in ("dirichlet", "iid")
    }
    assert {cell.place for cell in cells} == names | {"hwu64-domain"}


@pytest.mark.parametrize("name", BASELINES)
def test_a_training_without_a_federation_can_be_asked_for_by_name(name: str) -> None:
    (cell,) = cells_of(TINY, seeds=1, only=("colours-iid",), recipes=(name,))
    assert (cell.recipe, cell.federated) == (name, False)


def test_every_place_has_its_central_training() -> None:
    cells = cells_of(SUITES["default"], seeds=2)
    federations = [cell for cell in cells if cell.recipe == "default"]
    assert {cell.central for cell in federations} <= {*cells}
    assert len({cell.name for cell in cells}) == len(cells)


def test_recipes_of_clients_with_models_of_their_own_are_left_out_and_only_they() -> None:
    assert {*LEFT_OUT} == {name for name, row in ROWS.items() if row.recipe.personal == "backbone"}
    assert not {*LEFT_OUT} & {*FEDERATIONS}


def test_a_recipe_that_no_cell_runs_is_refused_with_the_reason(tmp_path: Path) -> None:
    words = "no cell runs the recipe 'pfedlora': its clients have base models of their own"
    with pytest.raises(ConfigError, match=words):
        cells_of(SUITES["recipes"], recipes=("pfedlora",))
    with pytest.raises(ConfigError, match=words):
        federation(tmp_path, "recipe.name=pfedlora", personal_for_all=False)


def test_a_suite_of_recipes_has_all_rows_of_the_catalogue_and_both_baselines() -> None:
    assert {*SUITES["recipes"].recipes} == {"central", "local", *ROWS} - {*LEFT_OUT}
    names = {(cell.data.name, cell.seed) for cell in cells_of(SUITES["recipes"])}
    assert names == {("banking77", 7), ("hwu64", 7), ("hwu64", 8), ("hwu64", 9)}


def test_a_recipe_that_the_catalogue_lacks_is_left_out() -> None:
    suite = replace(SUITES["clients"], recipes=("default", "nobody-s"))
    assert suite.unknown == ("nobody-s",)
    assert {cell.recipe for cell in cells_of(suite)} == {"default"}


def test_many_clients_are_part_of_a_cell_s_name() -> None:
    cells = cells_of(SUITES["clients"], recipes=("default",))
    assert [cell.name for cell in cells] == [
        "sst2-dirichlet-1-16-default-7",
        "mrpc-dirichlet-1-16-default-7",
        "sst2-dirichlet-1-50-default-7",
        "mrpc-dirichlet-1-50-default-7",
    ]
    assert [len(cell.ranks) for cell in cells] == [16, 16, 50, 50]
    assert {*cells[-1].ranks} == {2, 4, 8, 16}


def test_a_dirichlet_split_may_name_its_alpha(tmp_path: Path) -> None:
    alphas = [federation(tmp_path, split=name).data.split for name in ("dirichlet", "dirichlet-1")]
    assert [each.model_dump()["alpha"] for each in alphas] == [0.5, 1.0]


@pytest.mark.parametrize("name", ["recipes", "clients"])
def test_every_place_can_be_dealt_out(name: str, tmp_path: Path) -> None:
    folder = Path(__file__).parents[4] / "shared" / "data"
    for setting in SUITES[name].settings:
        if not (folder / setting.data.name).is_dir():
            pytest.skip(f"the data set {setting.data.name} is not here")
        seed = FIRST_SEED
        rows = draw_rows(
            folder, setting.data, limits=setting.limits, seed=seed, validation=False, into=tmp_path
        )
        train, test = (
            [str(json.loads(line)[setting.data.label]) for line in path.read_text().splitlines()]
            for path in (rows.train, rows.test)
        )
        split = next(iter(cells_of(replace(SUITES[name], settings=(setting,))))).dealt
        assert isinstance(split, DirichletSplit)
        deal_by_strata(train, test, clients=len(setting.ranks), alpha=split.alpha, seed=seed)


def test_only_chooses_places_and_data_sets() -> None:
    chosen = cells_of(SUITES["default"], seeds=1, only=("mrpc", "hwu64-domain"), recipes=("default",))
    assert [cell.name for cell in chosen] == [
        "hwu64-domain-default-7",
        "mrpc-dirichlet-default-7",
        "mrpc-iid-default-7",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"only": ("mrpc-idd",)}, r"no cell 'mrpc-idd' \(--only\): did you mean 'mrpc-iid'"),
        ({"recipes": ("defualt",)}, r"no recipe 'defualt' \(--recipe\): did you mean 'default'"),
    ],
)
def test_a_name_that_is_none_is_refused(given: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        cells_of(SUITES["default"], seeds=1, **given)  # type: ignore[arg-type]


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no suite 'all'"):
        suite_named("all")
