"""Device and precision follow from what the machine can do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.training.devices import (
    EAGER_UP_TO_TOKENS,
    choose_compute,
    multiplies_bf16,
    prepare_torch,
    seed_torch,
    training_threads,
)

pytestmark = pytest.mark.slow


def with_capabilities(monkeypatch, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "avx2": True}, "float32"),
    ],
)
def test_a_cpu_trains_in_bf16_exactly_where_it_multiplies_bf16(monkeypatch, capabilities, precision):
    with_capabilities(monkeypatch, **capabilities)
    assert choose_compute(TrainingSection(), max_length=64).precision == precision


def test_a_wish_for_float32_is_granted_everywhere(monkeypatch):
    with_capabilities(monkeypatch, avx512_bf16=True)
    compute = choose_compute(TrainingSection(precision="float32"), max_length=64)
    assert (compute.precision, compute.attention) == ("float32", "sdpa")


def test_plain_attention_is_for_short_texts_in_bf16_on_a_cpu(monkeypatch):
    with_capabilities(monkeypatch, avx512_bf16=True)
    lengths = (EAGER_UP_TO_TOKENS, EAGER_UP_TO_TOKENS + 1)
    chosen = [choose_compute(TrainingSection(), max_length=length).attention for length in lengths]
    assert chosen == ["eager", "sdpa"]


def test_cuda_where_there_is_none_is_a_sentence(monkeypatch):
    with_capabilities(monkeypatch)
    with pytest.raises(ConfigError, match=r"no CUDA device .*training.device.*set device to 'auto' or 'cpu'"):
        choose_compute(TrainingSection(device="cuda"), max_length=64)


def test_metrics_are_measured_without_autocast_whatever_training_uses(monkeypatch):
    with_capabilities(monkeypatch, avx512_bf16=True)
    compute = choose_compute(TrainingSection(), max_length=64)
    product = {}
    for enabled in (True, False):
        with compute.casting(enabled=enabled):
            product[enabled] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert product == {True: torch.bfloat16, False: torch.float32}


def test_this_machine_gives_one_answer():
    assert multiplies_bf16(torch.device("cpu")) == multiplies_bf16(torch.device("cpu"))


def test_torch_is_seeded_by_purpose():
    drawn = []
    for purpose in (("training", 1), ("training", 1), ("training", 2)):
        seed_torch(7, *purpose)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("4,2", 4), (" 2 ", 2)])
def test_training_uses_the_threads_that_the_variable_says(said, threads):
    assert training_threads({"OMP_NUM_THREADS": said}) == threads


@pytest.mark.parametrize("environment", [{}, {"OMP_NUM_THREADS": ""}, {"OMP_NUM_THREADS": "many"}])
def test_training_uses_every_core_where_nothing_is_said(monkeypatch, environment):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert training_threads(environment) == 3


def test_a_client_started_by_hand_trains_on_all_its_cores_and_keeps_numpy_to_one():
    # As securefl client does it: the variable for numpy is set before numpy is imported, and torch comes after.
    program = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy, torch
from securefl.training.devices import prepare_torch
prepare_torch(torch.device("cpu"))
print(torch.get_num_threads(), len(os.sched_getaffinity(0)))
"""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("NUM_THREADS")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    torchs, cores = ran.stdout.split()
    assert torchs == cores


def test_memory_of_new_tensors_is_not_filled_under_deterministic_kernels(monkeypatch):
    """Filling would take a kernel for every tensor that a step makes."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda _: None)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    prepare_torch(torch.device("cuda"))
    assert torch.utils.deterministic.fill_uninitialized_memory is False
