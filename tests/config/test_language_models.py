"""The task of language models: its keys, what goes with it, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.task import CausalLmSection
from securefl.errors import ConfigError

MINIMAL = '[federation]\nname = "words"\n[model]\npath = "m"\n[data]\ntrain = "rows.jsonl"\n'
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def load(tmp_path: Path, text: str) -> FederationConfig:
    path = tmp_path / "FED.toml"
    path.write_text(MINIMAL + text)
    return load_federation(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    return str(error.value)


def test_a_word_chooses_the_task_and_the_rest_has_defaults(tmp_path):
    task = load(tmp_path, '[task]\nname = "causal-lm"\n').task
    assert isinstance(task, CausalLmSection)
    assert (task.prompt_form, task.answers, task.metric, task.metrics) == ("auto", "all", "answer_loss", None)
    table = {"federation": {"name": "a"}, "model": {"path": "m"}, "task": "causal-lm"}
    assert validated(FederationConfig, table, where="").task == task


def test_a_task_without_a_name_classifies(tmp_path):
    assert load(tmp_path, '[task]\nmetric = "mcc"\n').task.name == "sequence-classification"


def test_a_key_of_the_other_task_is_refused_with_the_task_that_has_it(tmp_path):
    said = refused(tmp_path, '[task]\nname = "causal-lm"\npooling = "mean"\n')
    assert "'task.pooling' is not a known key" in said or "pooling" in said
    assert "sequence-classification" in said
    assert "causal-lm" in refused(tmp_path, "[task]\nmax_new_tokens = 5\n")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('metric = "accuracy"', "answer_loss"),
        ('metrics = ["bleu"]', "rouge_l"),
        ("metrics = []", "empty list"),
        (f'chat_template = "{TEMPLATE}"\nprompt_form = "plain"', "leave one of them out"),
        ("max_new_tokens = 0", "from 1 to 8192"),
    ],
)
def test_a_wrong_choice_is_refused_with_what_to_write(tmp_path, keys, said):
    assert said in refused(tmp_path, f'[task]\nname = "causal-lm"\n{keys}\n')


def test_a_template_is_a_text_or_a_path_that_counts_from_the_file(tmp_path):
    task = load(tmp_path, f'[task]\nname = "causal-lm"\nchat_template = "{TEMPLATE}"\n').task
    assert task.chat_template == TEMPLATE
    task = load(tmp_path, '[task]\nname = "causal-lm"\nchat_template = "chat.jinja"\n').task
    assert task.chat_template == str(tmp_path / "chat.jinja")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('labels = ["a", "b"]', "'federation.labels' is set"),
        ('rows = "together"\nstart = "zeros"', "'head' is set"),
    ],
)
def test_what_speaks_of_classes_is_refused(tmp_path, text, said):
    section = "" if "labels" in text else "[head]\n"
    whole = f'[task]\nname = "causal-lm"\n{section}{text}\n'
    if section:
        assert said in refused(tmp_path, whole)
        return
    path = tmp_path / "FED.toml"
    path.write_text(MINIMAL.replace("[model]", f"{text}\n[model]") + '[task]\nname = "causal-lm"\n')
    with pytest.raises(ConfigError, match=said):
        load_federation(path)


def test_the_head_that_provisioning_leaves_is_not_refused(tmp_path):
    config = load(tmp_path, '[task]\nname = "causal-lm"\n')
    refuse_misfits(config.model_copy(update={"head": config.head.none()}))
