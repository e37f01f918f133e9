"""One round of NVFlare's homomorphic encryption, with NVFlare's own classes and their defaults.

Run by an interpreter that has nvflare[he]; job and measurement as in ``harness``. The classes and arguments are those
of NVFlare's example job ``cifar10_fedavg_he``, whose arguments are all defaults; the context is the one that its
provisioning makes (``HEBuilder``: CKKS, N = 8192, [60, 40, 40], scale 2^40, symmetric). What goes over the network is
what its cells send: the ``Shareable`` in its FOBS encoding.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import Job, Laps, Round, measure
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_opt.he.intime_accumulate_model_aggregator import HEInTimeAccumulateWeightedAggregator
from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
from nvflare.app_opt.he.model_shareable_generator import HEModelShareableGenerator
from nvflare.fuel.sec.security_content_service import SecurityContentService
from nvflare.fuel.utils import fobs
from nvflare.lighter.impl.he import HEBuilder

ROUND = 0


def provision(folder: Path) -> None:
    """The contexts that NVFlare's provisioning would put into the startup kits."""
    builder = HEBuilder()
    builder.initialize(None, None)
    (folder / "client_context.tenseal").write_bytes(builder.get_serialized_context(is_client=True))
    (folder / "server_context.tenseal").write_bytes(builder.get_serialized_context())
    SecurityContentService.initialize(str(folder))


def context(identity: str) -> FLContext:
    """What a component is told about its surroundings; the files above are not signed, so not in secure mode."""
    peer = FLContext()
    peer.set_prop(ReservedKey.IDENTITY_NAME, identity, private=False, sticky=False)
    here = FLContext()
    here.set_peer_context(peer)
    here.set_prop(FLContextKey.SECURE_MODE, False, private=True, sticky=False)
    here.set_prop(AppConstants.CURRENT_ROUND, ROUND, private=True, sticky=False)
    return here


def started(component: object, here: FLContext) -> object:
    component.handle_event(EventType.START_RUN, here)
    return component


def tensors(vector: np.ndarray, count: int) -> dict[str, np.ndarray]:
    return {f"layer{index:02d}.lora": part for index, part in enumerate(np.array_split(vector, count))}


def run(job: Job, vector: Callable[[int], np.ndarray]) -> Round:
    laps, up_bytes = Laps(), []
    count = job["settings"]["tensors"]
    here = context("server")
    encryptor = started(HEModelEncryptor(), here)
    aggregator = started(HEInTimeAccumulateWeightedAggregator(), here)
    generator = started(HEModelShareableGenerator(), here)
    zeros = tensors(np.zeros(job["values"], dtype=np.float32), count)
    here.set_prop(AppConstants.GLOBAL_MODEL, make_model_learnable(zeros, {}), private=True, sticky=False)
    for client in range(job["cohort"]):
        sent = contribution(tensors(vector(client), count), encryptor, context(f"site-{client}"), laps)
        up_bytes.append(len(sent))
        with laps.lap("server_add"):
            received = fobs.loads(sent)
            received.set_peer_props({ReservedKey.IDENTITY_NAME: f"site-{client}"})
            if not aggregator.accept(received, here):
                raise RuntimeError("NVFlare's aggregator refused a contribution")
        del sent, received
    with laps.lap("server_finish"):
        model = generator.shareable_to_learnable(aggregator.aggregate(here), here)
        published = fobs.dumps(generator.learnable_to_shareable(model, here))
    decryptor = started(HEModelDecryptor(), here)
    with laps.lap("decrypt"):
        opened = from_shareable(decryptor.process(fobs.loads(published), here)).data
        mean = np.concatenate([np.asarray(opened[name], dtype=np.float64) for name in zeros])
    return Round(laps, up_bytes, len(published), mean)


def contribution(
    params: dict[str, np.ndarray], encryptor: HEModelEncryptor, here: FLContext, laps: Laps
) -> bytes:
    """A client's result through its encryption filter, as bytes."""
    meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: 1}
    shareable = DXO(DataKind.WEIGHT_DIFF, data=params, meta=meta).to_shareable()
    shareable.add_cookie(AppConstants.CONTRIBUTION_ROUND, ROUND)
    with laps.lap("client"):
        return fobs.dumps(encryptor.process(shareable, here))


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as workspace:
        provision(Path(workspace))
        # One tensor is warm-up enough: every tensor brings a context of its own, which would stay in memory.
        measure(
            run,
            packages=("nvflare", "tenseal", "numpy"),
            settings={"poly_modulus_degree": 8192, "coeff_mod_bit_sizes": "60, 40, 40", "scale_bits": 40},
            warm_up={"tensors": 1},
        )
