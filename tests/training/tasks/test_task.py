"""The protocol of tasks holds for a task that shares no head and makes its targets of tokens."""

from __future__ import annotations

from support.next_token import LanguageTask

from securefl.adapters.state import GlobalState
from securefl.training.trainer import LocalTrainer


def test_a_task_without_a_head_trains_fuses_and_is_saved(settings_of, client_data, tmp_path):
    trainer = LocalTrainer(settings_of(task=LanguageTask()), client_data)
    base = trainer.baseline()
    start = GlobalState.start(trainer.layout, seed=1).redistributed(4, scaling=2.0)
    update = trainer.train_round(1, start).update
    assert update.heads == {}
    after = trainer.measure("global")
    assert after.merit > base.merit
    assert after.figures["perplexity"] == after.value < base.value
    trainer.train_personal(1)
    trainer.fuse()
    trainer.save_adapter("fused", tmp_path)
    assert '"modules_to_save": null' in (tmp_path / "adapter_config.json").read_text()
    assert '"task": "next-token"' in (tmp_path / "task.json").read_text()
