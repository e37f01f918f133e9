"""Device and precision of training's arithmetic, and what makes it the same the next time.

The rule kept here: device and precision follow from what the machine can do, never from how long something
took, so that two runs on one machine are bit-identical. Metrics are measured in float32 whatever training
uses.

bf16 on a CPU pays only where the processor multiplies bf16 itself: training MiniLM with one thread on an
AVX512-BF16 machine went from 104 to 185 sentences a second, and half of that gain came from plain ("eager")
attention, because the fused kernel's backward pass converts element by element there (5 times slower at 64
tokens).

The seam for several GPUs: ``Compute.device`` is one device, the place of every batch and of the whole model. A model in
parts would need its place by module in ``loading.load_bank``, where it moves to the device, and batches on the device
of the embeddings; batches dealt to copies of the model would be parts of one batch as ``loops`` adds them up, by terms
of the loss.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from securefl.adapters.seeding import seeded_generator
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.machine import cores

Attention = Literal["sdpa", "eager"]
EAGER_UP_TO_TOKENS = 256
"""Measured: above it, the memory traffic of the attention matrix costs more than the fused kernel's backward."""
_CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Capabilities under which a CPU (x86, x86, ARM) multiplies bf16 in hardware."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Device and precision that training runs on.

    Attributes:
        device: The device.
        autocast: The type of matrix products in training; None for float32.
        attention: The implementation of attention in the base model.
        base: The type of the base model's numbers; see ``base_weights``.
    """

    device: torch.device
    autocast: torch.dtype | None
    attention: Attention
    base: torch.dtype = torch.float32

    @property
    def precision(self) -> str:
        """``float32`` or ``bf16``."""
        return "float32" if self.autocast is None else "bf16"

    @property
    def words(self) -> dict[str, str]:
        """Device and precision by name, for a record of a run; the accelerator's own name too, where there is one."""
        named = {"device": self.device.type, "precision": self.precision}
        if self.device.type == "cuda":
            named["accelerator"] = torch.cuda.get_device_name(self.device)
        return named

    def casting(self, *, enabled: bool) -> torch.autocast:
        """The context of a forward pass; without ``enabled``, float32."""
        dtype = self.autocast or torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=enabled and self.autocast is not None)


def choose_compute(section: TrainingSection, *, max_length: int) -> Compute:
    """Device, precision and attention for the section's wishes on this machine.

    Args:
        section: ``[training]``.
        max_length: Most tokens of a text.

    Raises:
        ConfigError: if CUDA is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if section.device == "cuda" and not there:
        raise ConfigError(
            "this machine has no CUDA device that torch can use",
            where="training.device",
            hint="set device to 'auto' or 'cpu', or install a torch built for CUDA",
        )
    device = torch.device("cuda" if there and section.device != "cpu" else "cpu")
    base = torch.bfloat16 if section.base_precision == "bf16" else torch.float32
    bf16 = section.precision == "bf16" or (
        section.precision == "auto" and (base == torch.bfloat16 or multiplies_bf16(device))
    )
    eager = bf16 and device.type == "cpu" and max_length <= EAGER_UP_TO_TOKENS
    return Compute(device, torch.bfloat16 if bf16 else None, "eager" if eager else "sdpa", base)


def multiplies_bf16(device: torch.device) -> bool:
    """True if the device has bf16 products in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in _CPU_BF16)


def prepare_torch(device: torch.device) -> None:
    """Set torch up for one member's process: threads, and deterministic kernels on CUDA."""
    torch.set_num_threads(training_threads(os.environ))
    if device.type == "cuda":
        # cuBLAS reads it when its first handle is made; without it deterministic products are refused.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # Nothing here reads memory that nobody has written, and filling all of it costs a kernel an operation.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def training_threads(environment: Mapping[str, str]) -> int:
    """Number of threads that a member trains with: what OMP_NUM_THREADS says, else every core that the process may use.

    A member that is started by hand has its machine to itself. ``securefl run``, whose members share one, gives each
    its share of the cores in that variable. Results are the same bits again only with the same number: sums in
    another order are other bits.

    Args:
        environment: The process's. A list, one number for each level of nesting, counts by its first; what is no
            positive number is passed over, as OpenMP itself does.
    """
    said = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isdecimal() and int(said) > 0 else cores()


def seed_torch(seed: int, *purpose: str | int) -> None:
    """Seeds torch's own generators (dropout) for one purpose; see ``adapters.seeding``."""
    torch.manual_seed(int(seeded_generator(seed, "torch", *purpose).integers(2**63)))
