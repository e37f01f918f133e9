"""A federation of a language model pins its template, its modules and no head; its lead reads rows without labels."""

from __future__ import annotations

import pytest
from support.tiny_language_models import CHATML, save_tiny_language_model, write_sums

from securefl.config.federation import FederationConfig
from securefl.config.head import HeadSection
from securefl.errors import ConfigError, DataError, ModelError
from securefl.provisioning.data_overview import DataRules, overview_of
from securefl.provisioning.data_terms import facts_of_data
from securefl.provisioning.preview import preview


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("words")
    save_tiny_language_model("gpt2", made / "model")
    write_sums(made / "rows.jsonl")
    return made


def config(folder, **sections):
    table = {
        "federation": {"name": "words"},
        "model": {"path": str(folder / "model"), "max_length": 48},
        "task": {"name": "causal-lm"},
        "data": {"train": str(folder / "rows.jsonl"), "split": {"by": "column", "column": "task"}},
    }
    return FederationConfig.model_validate({**table, **sections})


def test_rows_are_counted_and_no_label_is_looked_for(folder):
    facts = facts_of_data(config(folder))
    assert facts.labels == ()
    overview = overview_of(facts, DataRules(epochs=1.0, batch_size=4, least_holders=None))
    assert overview.columns == ("client", "train", "valid.", "test")
    assert overview.rows[0] == ("client-1", "16", "3", "5")
    assert overview.values["clients"]["client-1"] == {
        "train": 16,
        "validation": 3,
        "test": 5,
        "labels": {},
    }


def test_an_even_split_needs_no_column(folder):
    data = {"train": str(folder / "rows.jsonl"), "split": "iid"}
    assert len(facts_of_data(config(folder, data=data)).clients) == 4


def test_a_row_that_is_no_conversation_shows_before_anybody_trains(folder, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}]}\n' * 60)
    data = {"train": str(path)}
    with pytest.raises(DataError, match="no message has the role 'assistant'"):
        facts_of_data(config(folder, data=data))


def test_what_is_pinned_names_the_usual_modules_a_template_and_no_head(folder, tmp_path):
    (tmp_path / "chat.jinja").write_text(CHATML)
    task = {"name": "causal-lm", "chat_template": str(tmp_path / "chat.jinja"), "metrics": ["rouge_l"]}
    terms = preview(config(folder, task=task)).terms
    assert terms.lora.target_modules == ("c_attn",)
    assert (terms.task.chat_template, terms.task.metrics) == (CHATML, ("rouge_l",))
    assert terms.head == HeadSection.none()
    assert terms.openings == ()


def test_a_template_that_cannot_be_read_is_a_sentence(folder, tmp_path):
    task = {"name": "causal-lm", "chat_template": str(tmp_path / "gone.jinja")}
    with pytest.raises(ConfigError, match=r"gone.jinja cannot be read \(task.chat_template\)"):
        preview(config(folder, task=task))


def test_a_head_that_is_named_as_a_target_is_refused(folder):
    with pytest.raises(ModelError, match="'lm_head' matches no module"):
        preview(config(folder, lora={"target_modules": "lm_head"}))


def conversations(tmp_path):
    """Settings of rows that are conversations."""
    line = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    (tmp_path / "rows.jsonl").write_text(f"{line}\n" * 60)
    return {"train": str(tmp_path / "rows.jsonl"), "split": "iid"}


def test_conversations_for_a_model_without_a_template_are_refused_before_anybody_trains(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"has no chat template \(task.chat_template\): write a template"):
        preview(config(folder, data=conversations(tmp_path)))


@pytest.mark.parametrize("form", ["plain", "alpaca"])
def test_conversations_under_a_form_of_single_prompts_are_refused_by_the_forms_name(folder, tmp_path, form):
    task = {"name": "causal-lm", "prompt_form": form}
    with pytest.raises(ConfigError, match=f'prompt_form = "{form}".*leave prompt_form out'):
        preview(config(folder, data=conversations(tmp_path), task=task))


def test_conversations_with_a_template_of_the_federation_are_planned(folder, tmp_path):
    task = {"name": "causal-lm", "chat_template": CHATML}
    assert preview(config(folder, data=conversations(tmp_path), task=task)).terms.task.chat_template == CHATML


def test_a_conversation_that_the_template_refuses_is_named_before_anybody_trains(folder, tmp_path):
    data = conversations(tmp_path)
    odd = '{"messages": [{"role": "system", "content": "c"}, {"role": "user", "content": "a"}, '
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write(odd + '{"role": "assistant", "content": "b"}]}\n')
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    task = {"name": "causal-lm", "chat_template": strict}
    with pytest.raises(DataError, match=r"refuses a conversation \(.*rows\.jsonl, row 61\)"):
        preview(config(folder, data=data, task=task))


def test_a_folder_that_datasets_saved_is_read_like_a_file(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_json(str(folder / "rows.jsonl")).save_to_disk(tmp_path / "set")
    data = {"train": str(tmp_path / "set"), "split": {"by": "column", "column": "task"}}
    assert facts_of_data(config(folder, data=data)).clients == facts_of_data(config(folder)).clients


def rows_of(tmp_path, prompts):
    """Settings of three clients with files of their own: rows whose prompts are so many words long."""
    paths = []
    for place, words in enumerate(prompts):
        path = tmp_path / f"rows-{place}.jsonl"
        prompt = " ".join(["add"] * words)
        path.write_text(f'{{"prompt": "{prompt}", "completion": "ten"}}\n' * 40)
        paths.append(str(path))
    return {"data": {"split": "none"}, "cohort": {"clients": [{"train": path} for path in paths]}}


def test_a_length_that_cuts_every_answer_of_a_client_is_refused_before_anybody_trains(folder, tmp_path):
    sections = rows_of(tmp_path, (5, 5, 400))
    with pytest.raises(ConfigError) as caught:
        preview(config(folder, **sections))
    assert str(caught.value) == (
        "none of the 27 training rows of client-3 has an answer within 48 tokens (model.max_length): set it higher, "
        "or shorten the prompts."
    )


def test_a_length_that_leaves_a_row_its_answer_is_accepted(folder, tmp_path):
    assert preview(config(folder, **rows_of(tmp_path, (5, 5, 6)))).terms.task.name == "causal-lm"


def test_no_row_behind_the_first_that_fits_is_tokenised(folder, tmp_path, monkeypatch):
    from securefl.training.tasks.causal import answer_tokens

    plain, seen = answer_tokens._row, []
    monkeypatch.setattr(
        answer_tokens, "_row", lambda text, *rest, **more: (seen.append(text), plain(text, *rest, **more))[1]
    )
    preview(config(folder, **rows_of(tmp_path, (5, 5, 6))))
    # One each of training, validation and test rows of three clients.
    assert len(seen) == 9
