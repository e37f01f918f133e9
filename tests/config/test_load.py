"""Every way in which a federation's file can be wrong is one sentence that names the key and says what to do."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from securefl.config import load_federation
from securefl.config.member import client_settings_of, load_client_settings
from securefl.config.personal import PersonalSection
from securefl.config.training import OwnTrainingSection, TrainingSection
from securefl.errors import ConfigError
from securefl.protocol.terms import TrainingTerms

MINIMAL = """
[federation]
name = "banks"
[model]
path = "models/minilm"
[data]
train = "data/train.jsonl"
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "FED.toml"
        path.write_text(text)
        return path

    return written


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load_federation(path)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def test_a_minimal_file_has_defaults_for_the_rest(write) -> None:
    config = load_federation(write(MINIMAL))
    assert config.ranks == {"client-1": 8, "client-2": 8, "client-3": 8, "client-4": 8}
    assert config.encryption.scheme == "kahe"


def test_relative_paths_count_from_the_files_folder(write, tmp_path: Path) -> None:
    (tmp_path / "models" / "minilm").mkdir(parents=True)
    config = load_federation(write(MINIMAL))
    assert config.data.train == str(tmp_path / "data" / "train.jsonl")
    assert config.model.path == str(tmp_path / "models" / "minilm")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "FED.toml"
    path.write_bytes(MINIMAL.lstrip().encode(encoding))
    assert load_federation(path).federation.name == "banks"
    settings = client_settings_of(load_federation(path), "client-2")
    (tmp_path / "client.toml").write_bytes(settings.to_toml().encode(encoding))
    assert load_client_settings(tmp_path) == settings


def test_a_text_format_reaches_the_clients_own_file(write, tmp_path: Path) -> None:
    text = MINIMAL + 'encoding = "cp1252"\ndelimiter = "\\t"\nquotes = false\n'
    settings = client_settings_of(load_federation(write(text)), "client-1")
    (tmp_path / "client.toml").write_text(settings.to_toml())
    data = load_client_settings(tmp_path).data
    assert (data.encoding, data.delimiter, data.quotes) == ("cp1252", "\t", False)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (MINIMAL, 64),
        (MINIMAL + '[task]\nname = "causal-lm"\n', 512),
        (MINIMAL.replace("[data]", "max_length = 64\n[data]") + '[task]\nname = "causal-lm"\n', 64),
    ],
)
def test_dialogues_have_more_tokens_than_texts_unless_the_file_says(write, text, length) -> None:
    assert load_federation(write(text)).model.max_length == length


def test_a_hub_id_stays_what_it_is(write) -> None:
    config = load_federation(
        write(MINIMAL.replace("models/minilm", "sentence-transformers/all-MiniLM-L6-v2"))
    )
    assert config.model.path == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "[traning]\n", "unknown key 'traning'"),
        (MINIMAL + "[traning]\n", "did you mean 'training'"),
        (
            MINIMAL + "[lora]\nrank = 4\n",
            "known here: lora_alpha, lora_dropout, one_scaling, r, target_modules",
        ),
        (MINIMAL + "[fusion]\nmax_sample = 30\n", "did you mean 'max_samples'"),
        (MINIMAL + 'split = { by = "dirichlet", alfa = 1.0 }\n', "did you mean 'alpha'"),
        (MINIMAL + '[cohort]\nclients = [{ r = 2, trian = "x" }, {}, {}]\n', "did you mean 'train'"),
        (MINIMAL + "[lora]\nr = 0\n", "'lora.r' is wrong"),
        (MINIMAL + '[privacy]\nunit = "group"\n', "'privacy.unit' is wrong"),
        (
            MINIMAL + "[encryption]\nselect = { fraction = 0.1 }\n",
            "set allow_plaintext = true to accept that",
        ),
        (MINIMAL + "[encryption]\nselect = { fraction = 0.1 }\n", 'or select = "all"'),
        (MINIMAL + "[encryption]\nselect = { fractoin = 0.1 }\n", "did you mean 'fraction'"),
        (MINIMAL + "[encryption]\nselect = { fraction = 0.0 }\n", "'encryption.select.fraction' is wrong"),
        (MINIMAL + "[encryption]\nselect = { fraction = 1.5 }\n", "'encryption.select.fraction' is wrong"),
        (MINIMAL + '[encryption]\nselect = "most"\n', 'select is "all", or a table'),
        (MINIMAL + "[encryption]\nselect = 0.1\n", 'select is "all", or a table'),
        (MINIMAL + "[cohort]\nclients = [{}, {}]\n", "each member reads the other's update"),
        (MINIMAL + '[cohort]\nclients = [{ id = "a" }, { id = "a" }, {}]\n', "two clients carry the same id"),
        (MINIMAL + '[server]\naddress = "localhost"\n', "'server.address' is wrong"),
        (MINIMAL + '[server]\naddress = "localhost:70000"\n', "the port must be between"),
        (MINIMAL + '[cohort]\nclients = [{ train = "x" }, {}, {}]\n', "client-1 has a train file of its own"),
        (MINIMAL + 'split = { by = "none" }\n', "client-1 has no train file"),
        (MINIMAL.replace('train = "data/train.jsonl"', ""), "'data.train' is missing"),
        (MINIMAL + 'encoding = "utf-9"\n', "'data.encoding' is wrong"),
        (MINIMAL + 'encoding = "hex"\n', "name one such as utf-8, latin-1 or utf-16"),
        (MINIMAL + 'encoding = ""\n', "it is an empty text"),
        (MINIMAL + 'delimiter = ""\n', "'data.delimiter' is wrong"),
        (MINIMAL + 'delimiter = ";;"\n', "delimiter is one character"),
        (MINIMAL + "delimiter = '\"'\n", "no quote or end of line"),
        (MINIMAL + 'delimiter = "\\n"\n', "no quote or end of line"),
        (MINIMAL.replace('name = "banks"', ""), "'federation.name' is missing"),
        (MINIMAL.replace('"banks"', '"../banks"'), "'federation.name' is wrong"),
        ("[federation", "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(write, text: str, words: str) -> None:
    assert words in refused(write(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no file" in refused(tmp_path / "nowhere.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "FED.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(path)


def test_a_clients_own_file_reads_back_and_names_no_other_clients_files(write, tmp_path: Path) -> None:
    text = MINIMAL.replace('train = "data/train.jsonl"', 'split = { by = "none" }') + (
        '[cohort]\nclients = [{ train = "one.csv" }, { train = "two.csv" }, { train = "three.csv" }]\n'
    )
    settings = client_settings_of(load_federation(write(text)), "client-2")
    (tmp_path / "client.toml").write_text(settings.to_toml())
    assert load_client_settings(tmp_path) == settings
    assert "two.csv" in settings.to_toml()
    assert "one.csv" not in settings.to_toml()


def test_a_folder_without_a_clients_file_is_no_clients_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no client's folder"):
        load_client_settings(tmp_path)


@pytest.mark.parametrize(
    "section", ["", '[encryption]\nselect = "all"\n', "[encryption]\nselect = { fraction = 1 }\n"]
)
def test_everything_is_encrypted_unless_a_file_says_otherwise(write, section: str) -> None:
    assert load_federation(write(MINIMAL + section)).encryption.select.share == 1


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_a_fraction_is_the_number_that_was_written(write, scheme: str) -> None:
    section = f'[encryption]\nscheme = "{scheme}"\nselect = {{ fraction = 0.1 }}\nallow_plaintext = true\n'
    assert load_federation(write(MINIMAL + section)).encryption.select.share == Fraction(1, 10)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ('"query"', ("query",)),
        ('"all-linear"', ("all-linear",)),
        ('["query", "value", "query"]', ("query", "value")),
    ],
)
def test_a_target_module_may_stand_alone(write, written, names) -> None:
    config = load_federation(write(MINIMAL + f"[lora]\ntarget_modules = {written}\n"))
    assert config.lora.target_modules == names


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("[]", "it is an empty list"),
        ('""', "it is an empty text"),
        ('["all-linear", "query"]', "leave the other names out"),
    ],
)
def test_target_modules_that_say_nothing_or_two_things_are_refused(write, written, reason) -> None:
    assert reason in refused(write(MINIMAL + f"[lora]\ntarget_modules = {written}\n"))


def test_a_warm_up_of_all_rounds_is_refused(write) -> None:
    path = write(MINIMAL + "[training]\nwarmup_rounds = 4\n")
    assert "'training.warmup_rounds' is 4, and 'federation.rounds' is 4" in refused(path)


def test_rates_fall_over_the_rounds_unless_the_file_says_otherwise(write) -> None:
    training = load_federation(write(MINIMAL)).training
    assert (training.lr_scheduler_type, training.warmup_rounds, training.max_grad_norm) == (
        "cosine",
        0.0,
        1.0,
    )
    said = '[training]\nlr_scheduler_type = "linear"\nwarmup_rounds = 0.5\nmax_grad_norm = 0\n'
    training = load_federation(write(MINIMAL + said)).training
    assert (training.lr_scheduler_type, training.warmup_rounds, training.max_grad_norm) == (
        "linear",
        0.5,
        0.0,
    )


def test_every_key_of_training_is_pinned_for_all_or_decided_by_each_member():
    pinned, own = set(TrainingTerms.model_fields), set(OwnTrainingSection.model_fields)
    assert pinned | own == set(TrainingSection.model_fields)
    assert not pinned & own


def test_a_client_gets_every_choice_of_training_that_is_its_own(write):
    chosen = {
        "device": "cpu",
        "precision": "bf16",
        "base_precision": "bf16",
        "gradient_checkpointing": True,
        "micro_batch_size": 3,
        "per_device_eval_batch_size": 7,
    }
    assert set(chosen) == set(OwnTrainingSection.model_fields)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.items())
    config = load_federation(write(f"{MINIMAL}\n[training]\n{lines}"))
    assert client_settings_of(config, "client-1").training.model_dump() == chosen


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            'base_precision = "bf16"\nprecision = "float32"\n',
            "'training.base_precision' is \"bf16\", whose products with float32",
        ),
        (
            "micro_batch_size = 9\nper_device_train_batch_size = 8\n",
            "'training.micro_batch_size' is 9, and a batch of this federation has 8 rows",
        ),
    ],
)
def test_choices_of_ones_hardware_that_contradict_each_other_are_refused(write, lines, sentence) -> None:
    assert sentence in refused(write(f"{MINIMAL}\n[training]\n{lines}"))


def test_a_head_averaged_as_a_whole_can_only_start_at_zero(write) -> None:
    sentence = refused(write(MINIMAL + '[head]\nrows = "together"\n'))
    assert "'head' is wrong" in sentence
    assert 'start = "zeros"' in sentence
    assert (
        load_federation(write(MINIMAL + '[head]\nrows = "together"\nstart = "zeros"\n')).head.start == "zeros"
    )


def test_a_client_gets_the_rates_of_the_personal_adapter_as_its_own_and_may_change_them(write, tmp_path):
    said = "[personal]\nlearning_rate = 1e-3\nrate_scales = [1.0, 0.5, 0.1]\n"
    settings = client_settings_of(load_federation(write(MINIMAL + said)), "client-1")
    assert settings.personal == PersonalSection(learning_rate=1e-3, rate_scales=(1.0, 0.5, 0.1))
    own = settings.to_toml().replace("learning_rate = 0.001", "learning_rate = 0.004")
    (tmp_path / "client.toml").write_text(own)
    assert load_client_settings(tmp_path).personal.learning_rate == 0.004


@pytest.mark.parametrize("scales", ["[]", "[1.0, 1.0]"])
def test_rate_scales_that_say_nothing_or_one_thing_twice_are_refused(write, scales) -> None:
    said = refused(write(MINIMAL + f"[personal]\nrate_scales = {scales}\n"))
    assert "'personal.rate_scales' is wrong" in said
    assert "such as rate_scales = [1.0, 0.3]" in said
