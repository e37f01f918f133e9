"""A language model of every usual family trains, measures, writes, and is saved as plain transformers load it."""

from __future__ import annotations

import json
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cards import code_of
from support.tiny_language_models import (
    CHATML,
    DATED,
    FAMILIES,
    MARKED,
    THINKING,
    save_tiny_language_model,
    write_sums,
)

from securefl.adapters.state import GlobalState
from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.model import LoraTerms
from securefl.config.recipes.choices import Recipe
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError, ModelError
from securefl.protocol.terms import CausalLmTerms
from securefl.training.backbones import skeleton_of
from securefl.training.folders.exports import Form, write_form
from securefl.training.folders.reader import load_saved
from securefl.training.model_files import model_digest
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import IGNORED
from securefl.training.target_modules import resolved_targets
from securefl.training.tasks.causal.answer_loss import answer_metric
from securefl.training.tasks.causal.dialogues import DialogueRows
from securefl.training.tasks.causal.rouge import rouge_l
from securefl.training.tasks.causal.task import CausalLm
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow

SEED = 11
SUMS = ({"prompt": "say a", "completion": "aa"}, {"prompt": "say b", "completion": "bbb"})


def examples(rows=SUMS) -> Examples:
    texts = tuple((row["prompt"], row["completion"]) for row in rows)
    return Examples(texts, np.empty((len(texts), 0), dtype=np.int64), form="prompt")


def task(**choices) -> CausalLm:
    return CausalLm(CausalLmTerms(name="causal-lm", max_new_tokens=6, **choices))


def loaded(path, task):
    skeleton = skeleton_of(path)
    return task.model(skeleton, path, attention="eager")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of a random model of each family."""
    return {kind: save_tiny_language_model(kind, tmp_path_factory.mktemp(kind)) for kind in FAMILIES}


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> DataSection:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_sums(path)
    return DataSection(train=str(path))


@pytest.fixture(scope="module")
def trainer_of(settings_of, sums):
    """A trainer of a model on the rows; keyword arguments replace settings."""

    def trainer(path, **changes):
        learnt = changes.pop("task", None) or task()
        data = load_client_data(sums, CohortSection(), member="client-1", task=DialogueRows(sums), seed=SEED)
        usual = resolved_targets(skeleton_of(path).backbone, ("auto",))
        settings = replace(
            settings_of(recipe=Recipe(name="default", personal=changes.pop("personal", "alone"))),
            model_path=path,
            model_digest=model_digest(path),
            task=learnt,
            max_length=changes.pop("max_length", 48),
            lora=LoraTerms(lora_alpha=8, use_rslora=False, target_modules=usual),
            training=TrainingSection(
                learning_rate=2e-2, per_device_train_batch_size=4, device="cpu", precision="float32"
            ),
            rank=2,
            update_rank=2,
            personal_rank=2,
            **changes,
        )
        return LocalTrainer(settings, data)

    return trainer


@pytest.fixture(scope="module")
def trained(models, trainer_of):
    """A Llama without a filling token after a round."""
    return after_a_round(trainer_of(models["llama"], task=task(metrics=("exact_match", "rouge_l"))))


def after_a_round(trainer):
    start = GlobalState.start(trainer.layout, seed=1).redistributed(2, scaling=4.0)
    assert trainer.train_round(1, start).update.heads == {}
    trainer.train_personal(1)
    trainer.fuse()
    return trainer


def run_card(folder: Path, monkeypatch) -> dict:
    names: dict = {}
    monkeypatch.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code_of(folder), "card", "exec"), names)
    return names


@pytest.mark.parametrize(("max_length", "all_are"), [(9, True), (48, False)])
def test_rows_that_fill_the_length_are_counted(models, trainer_of, max_length, all_are):
    trainer = trainer_of(models["llama"], personal="none", max_length=max_length)
    assert trainer.longest == (trainer.samples if all_are else 0)


def test_training_lowers_the_loss_and_figures_of_writing_stand_in_reports_alone(trained):
    base, test = trained.baseline(), trained.measure("global")
    assert test.value == test.loss < base.value
    assert test.merit > base.merit
    assert set(test.figures) == {"answer_loss", "loss", "samples", "perplexity", "exact_match", "rouge_l"}
    assert test.figures["perplexity"] == pytest.approx(math.exp(test.value))
    assert "rouge_l" not in trained.measure("global", part="validation").figures


def test_a_shared_adapter_has_no_head_and_leaves_the_models_own_alone(trained):
    assert trained.layout.heads == ()
    assert all("lm_head" not in tensor.name for tensor in trained.layout.adapted)
    assert trained.calibrate() is None


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_cards_code_gives_the_reported_loss_of_every_family(
    models, trainer_of, sums, kind, tmp_path, monkeypatch
):
    trainer = trainer_of(models[kind])
    ends = {tensor.name.rpartition(".")[2] for tensor in trainer.layout.adapted}
    assert ends == ({"c_attn"} if kind == "gpt2" else {"q_proj", "v_proj"})
    after_a_round(trainer)
    reported = trainer.measure("fused")
    trainer.save_adapter("fused", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["task_type"], config["modules_to_save"]) == ("CAUSAL_LM", None)
    assert sorted(config["target_modules"]) == sorted(ends)
    names = run_card(tmp_path, monkeypatch)
    data = load_client_data(sums, CohortSection(), member="client-1", task=DialogueRows(sums), seed=SEED)
    rows = [dict(zip(("prompt", "completion"), texts, strict=True)) for texts in data.test.texts]
    assert names["answer_loss"](rows) == pytest.approx(reported.value, abs=2e-6)
    assert names["answer_loss"](rows) != pytest.approx(trainer.baseline().value, abs=1e-3)


def test_a_saved_folder_measures_and_writes_as_its_card_does(trained, sums, tmp_path, monkeypatch):
    trained.save_adapter("fused", tmp_path)
    saved = load_saved(tmp_path)
    data = load_client_data(sums, CohortSection(), member="client-1", task=DialogueRows(sums), seed=SEED)
    assert saved.measure(data.test, batch_size=3).value == pytest.approx(
        trained.measure("fused").value, abs=1e-6
    )
    names = run_card(tmp_path, monkeypatch)
    questions = ["say a", "say bb"]
    assert saved.answers(questions, batch_size=2) == [names["answer"](question) for question in questions]


def test_a_merged_folder_is_a_language_model_with_the_same_loss(trained, sums, tmp_path, monkeypatch):
    trained.save_adapter("global", tmp_path / "global")
    (tmp_path / "merged").mkdir()
    write_form(tmp_path / "global", tmp_path / "merged", Form(merge=True))
    data = load_client_data(sums, CohortSection(), member="client-1", task=DialogueRows(sums), seed=SEED)
    expected = trained.measure("global").value
    assert load_saved(tmp_path / "merged").measure(data.test, batch_size=8).value == pytest.approx(
        expected, abs=1e-5
    )
    rows = [dict(zip(("prompt", "completion"), texts, strict=True)) for texts in data.test.texts]
    names = run_card(tmp_path / "merged", monkeypatch)
    assert names["answer_loss"](rows) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("form", [Form(merge=True), Form(hub=True)])
def test_a_folder_with_a_tokenizer_has_the_federations_template_in_it(models, trainer_of, tmp_path, form):
    from transformers import AutoTokenizer

    trainer_of(models["gpt2"], personal="none", task=task(chat_template=CHATML)).save_adapter(
        "global", tmp_path / "global"
    )
    (tmp_path / "out").mkdir()
    write_form(tmp_path / "global", tmp_path / "out", form)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == CHATML


@pytest.mark.parametrize("template", [CHATML, DATED, MARKED, THINKING])
def test_the_card_of_a_chat_renders_conversations_as_members_did(tmp_path, trainer_of, template, monkeypatch):
    path = save_tiny_language_model("qwen2", tmp_path / "model", template=template)
    trainer = trainer_of(path, personal="none")
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "and"},
        {"role": "assistant", "content": "so"},
    ]
    trainer.save_adapter("global", tmp_path / "global")
    rows = Examples(((json.dumps(turns),),), np.empty((1, 0), dtype=np.int64), form="messages")
    expected = load_saved(tmp_path / "global").measure(rows, batch_size=1).value
    names = run_card(tmp_path / "global", monkeypatch)
    assert names["answer_loss"]([{"messages": turns}]) == pytest.approx(expected, abs=1e-6)


def test_a_card_of_instructions_has_alpacas_sentences(tmp_path, models, monkeypatch):
    from securefl.training.folders.answer_code import answer_code
    from securefl.training.folders.task_file import FolderRecord
    from securefl.training.tasks.causal.prompts import Prompter

    record = FolderRecord(
        base_model="m", base_model_sha256="0", max_length=9, task="causal-lm", prompt_form="alpaca"
    )
    code = answer_code(record, base='"m"', loaded="")
    [function] = re.findall(r"def question_of.*?\n    \)\n", code, flags=re.DOTALL)
    names: dict = {}
    exec(compile(function, "card", "exec"), names)
    prompter = Prompter(load_tokenizer(models["llama"]), form="alpaca")
    for more in ("", "it {instruction}"):
        row = prompter.row(("do {input}", "", more), "instruction")
        assert names["question_of"]({"instruction": "do {input}", "input": more}) == row.text


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_loss_is_the_plain_models_on_answers_alone_whatever_fills_the_rows(models, kind):
    learnt = task()
    model = loaded(models[kind], learnt)
    rows = learnt.tokenise(examples(), load_tokenizer(models[kind]), max_length=48)
    batch = rows.batch(np.arange(2), device=torch.device("cpu"))
    with torch.no_grad():
        figures = model.outcomes(batch).double().numpy()
        for row, (ids, targets) in enumerate(zip(rows.ids, rows.targets, strict=True)):
            labels = torch.tensor([[IGNORED, *targets[:-1]]])
            plain = model.network(input_ids=torch.tensor(ids)[None], labels=labels).loss
            assert figures[row, 0] / figures[row, 1] == pytest.approx(float(plain), rel=1e-5)
        mean = figures[:, 0].sum() / figures[:, 1].sum()
        assert float(model.loss(batch)) == pytest.approx(mean, rel=1e-5)
    assert figures[:, 1].tolist() == [3, 4]


def test_answers_do_not_depend_on_the_rows_beside_them(models):
    learnt = task()
    tokenizer = load_tokenizer(models["gpt2"])
    model = loaded(models["gpt2"], learnt)
    prompts = [
        torch.from_numpy(learnt.prompt(text, tokenizer)) for text in ("say a", "say something b", "c" * 250)
    ]
    alone = [model.answers([prompt])[0] for prompt in prompts]
    assert model.answers(prompts) == alone


def test_a_prompt_without_room_for_an_answer_is_refused(models):
    learnt = task()
    model = loaded(models["gpt2"], learnt)
    prompt = torch.from_numpy(learnt.prompt("c" * 300, load_tokenizer(models["gpt2"])))
    with pytest.raises(Exception, match="no position for an answer"):
        model.answers([prompt])


def test_written_answers_are_compared_with_the_last_ones(models):
    learnt = task(metrics=("exact_match", "rouge_l"))
    tokenizer, model = load_tokenizer(models["llama"]), loaded(models["llama"], learnt)
    said = model.answers([torch.from_numpy(learnt.prompt("say a", tokenizer))])[0]
    rows = learnt.tokenise(
        examples([{"prompt": "say a", "completion": said}, {"prompt": "say a", "completion": "zz zz"}]),
        tokenizer,
        max_length=48,
    )
    read, width = model.reading(final=True)
    figures = read(rows.batch(np.arange(2), device=torch.device("cpu"))).detach().numpy()
    assert width == figures.shape[1] == 4
    assert figures[:, 2].tolist() == [1.0, 0.0]
    assert model.reading(final=False)[1] == 2


@pytest.mark.parametrize(
    ("written", "reference", "expected"),
    [
        # Figures of rouge_score 0.1.2, use_stemmer=False.
        ("the quick brown fox", "the quick brown fox", 1.0),
        ("testing one two", "testing", 0.5),
        ("The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log.", 10 / 17),
        ("police killed the gunman", "police kill the gunman", 0.75),
        ("the gunman police killed", "police kill the gunman", 0.5),
        ("", "a", 0.0),
        ("a", "...", 0.0),
        ("Über uns", "über uns!", 1.0),
    ],
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(written, reference, expected):
    assert rouge_l(written, reference) == pytest.approx(expected)
    assert rouge_l(reference, written) == pytest.approx(expected)


def test_a_metric_divides_all_losses_by_all_tokens_once():
    outcomes = np.array([[4.0, 2.0, 1.0, 1.0], [9.0, 3.0, 0.0, 0.5]])
    metric = answer_metric(outcomes, main="perplexity", further=("exact_match", "rouge_l"))
    assert (metric.name, metric.loss) == ("perplexity", 13 / 5)
    assert metric.value == pytest.approx(math.exp(13 / 5))
    assert metric.extras == {"answer_loss": 13 / 5, "exact_match": 0.5, "rouge_l": 0.75}
    assert metric.scores.tolist() == [-2.0, -3.0]
    assert metric.smaller_is_better
    assert metric.resampled(np.array([1, 1]))["answer_loss"] == 3.0
    huge = answer_metric(np.array([[1e6, 1.0]]), main="answer_loss", further=())
    assert math.isfinite(huge.figures["perplexity"])


def test_the_head_is_adapted_by_no_name(models):
    skeleton = skeleton_of(models["llama"])
    with pytest.raises(ModelError, match="'lm_head' matches no module"):
        resolved_targets(skeleton.backbone, ("lm_head",))
    everything = task().layout(skeleton, ("all-linear",))
    assert not any("lm_head" in tensor.name for tensor in everything.adapted)
    assert len(everything.adapted) == 14


def test_an_encoder_is_refused_before_training(tiny_bert):
    with pytest.raises(ModelError, match="a bert model is no causal language model"):
        task().check(skeleton_of(tiny_bert))


def test_a_model_that_reads_backwards_is_found_out_by_trying(tmp_path, tiny_bert):
    from support.tiny_models import save_tiny_model
    from transformers import XLNetConfig, XLNetLMHeadModel

    save_tiny_model("xlnet", tmp_path, tokenizer_of=tiny_bert)
    XLNetLMHeadModel(XLNetConfig(vocab_size=36, d_model=32, n_layer=2, n_head=4, d_inner=48)).save_pretrained(
        tmp_path
    )
    with pytest.raises(ModelError, match="a xlnet model is no causal language model"):
        loaded(str(tmp_path), task())


def test_files_without_the_head_of_an_untied_model_are_refused(models, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(models["llama"], folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="no weights for 1 of the language model's tensors"):
        loaded(str(folder), task())


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"chat_template": "{% for %}"}, "the template is no Jinja"),
        ({"prompt_form": "chat"}, "no chat template"),
    ],
)
def test_a_template_that_is_none_is_refused_before_training(models, choices, said):
    with pytest.raises(ConfigError, match=said):
        task(**choices).check(skeleton_of(models["llama"]))


def test_a_saved_language_model_is_measured_and_asked_by_commands(trained, tmp_path, capsys):
    from securefl.cli.main import command_line as main

    trained.save_adapter("global", tmp_path / "global")
    rows, told, said = tmp_path / "rows.jsonl", tmp_path / "told.json", tmp_path / "said.json"
    rows.write_text("".join(json.dumps({"question": "say a", "completion": "aa"}) + "\n" for _ in range(3)))
    given = ["--column", "prompt=question", "--device", "cpu", "--json", str(told)]
    assert main(["evaluate", str(tmp_path / "global"), str(rows), *given]) == 0
    measured = json.loads(told.read_text())
    assert (measured["name"], measured["samples"]) == ("answer_loss", 3)
    assert set(measured["figures"]) == {"answer_loss", "loss", "perplexity", "exact_match", "rouge_l"}
    asked = ["say a", "--device", "cpu", "--json", str(said)]
    assert main(["predict", str(tmp_path / "global"), *asked]) == 0
    [answer] = json.loads(said.read_text())["predictions"]
    assert answer == {
        "text": "say a",
        "answer": load_saved(tmp_path / "global").answers(["say a"], batch_size=1)[0],
    }
    assert capsys.readouterr().out.endswith("\tsay a\n")
    assert main(["evaluate", str(tmp_path / "global"), str(rows), "--column", "question"]) == 2
    assert "write KEY=NAME, such as prompt=question" in capsys.readouterr().err


def test_an_evaluation_says_how_many_rows_it_left_out(trained, tmp_path, capsys):
    from securefl.cli.main import command_line as main

    trained.save_adapter("global", tmp_path / "global")
    rows, told = tmp_path / "rows.jsonl", tmp_path / "told.json"
    questions = ["say a", "say a" * 1000, "say a"]
    rows.write_text("".join(json.dumps({"prompt": one, "completion": "aa"}) + "\n" for one in questions))
    command = ["evaluate", str(tmp_path / "global"), str(rows), "--device", "cpu"]
    assert main([*command, "--json", str(told)]) == 0
    measured = json.loads(told.read_text())
    assert (measured["samples"], measured["left_out"]) == (2, 1)
    assert "rows: 1, whose answers begin after" in capsys.readouterr().out
