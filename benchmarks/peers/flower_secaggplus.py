"""One round of Flower's SecAgg+, with Flower's own workflow on the server's side and its own mod on the clients'.

Run by an interpreter that has flwr; job and measurement as in ``harness``. Messages are handed over in this process
instead of by a SuperLink. SecAgg+ sends masked integers and no ciphertext: the *server* takes the masks off and reads
the sum, which is timed as its decryption. Every client's neighbours are the whole cohort and the threshold is two
thirds of it, which is the collusion that securefl's rosters are made for; quantisation and modulus are the workflow's
defaults (2^22, 2^32). ``clipping_range`` and ``max_weight`` are set to the job's bound and weight, which gives SecAgg+
its smallest error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import (
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.compat.common import recorddict_compat
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import WorkflowState
from flwr.supercore.task_identity import TaskIdentity
from harness import Job, Laps, Round, measure

NUM_SHARES, THRESHOLD = 1.0, 2 / 3
"""Neighbours of a client, and how many of their shares recover its mask: as parts of the cohort."""
EXAMPLES = 1000
"""Each client's sample count, and the workflow's ``max_weight``: all weigh the same, and as much as they can."""
SERVER = 1 << 20
"""The server's node id; the clients count from 0."""
NOTHING = Parameters(tensors=[], tensor_type="numpy.ndarray")


class Cohort:
    """The clients, in the place of Flower's Grid: what is sent to one is answered by ``secaggplus_mod``."""

    def __init__(self, size: int, vector: Callable[[int], np.ndarray], laps: Laps) -> None:
        self._contexts = [context(client) for client in range(size)]
        self._vector = vector
        self._laps = laps
        self.up_bytes = [0] * size
        self.clients_wall = self.clients_cpu = 0.0

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        # Written and read by the server, each message once, in Flower's protobuf form.
        answers = [self._answer(encoded(message)) for message in messages]
        return [decoded(answer) for answer in answers]

    def _answer(self, asked: bytes) -> bytes:
        """What a client sends back, timed from the bytes it was sent to the bytes it sends, less its training."""
        training = [0.0, 0.0]

        def train(message: Message, _: Context) -> Message:
            wall, cpu = time.perf_counter(), time.process_time()
            parameters = ndarrays_to_parameters([self._vector(message.metadata.dst_node_id)])
            result = FitRes(Status(Code.OK, ""), parameters, EXAMPLES, metrics={})
            content = recorddict_compat.fitres_to_recorddict(result, keep_input=False)
            reply = Message(content, reply_to=message)
            training[:] = time.perf_counter() - wall, time.process_time() - cpu
            return reply

        started_wall, started_cpu = time.perf_counter(), time.process_time()
        message = decoded(asked)
        client = message.metadata.dst_node_id
        answer = encoded(secaggplus_mod(message, self._contexts[client], train))
        wall, cpu = time.perf_counter() - started_wall, time.process_time() - started_cpu
        self.clients_wall += wall
        self.clients_cpu += cpu
        self._laps.add(f"client_{client}", wall - training[0], cpu - training[1])
        self.up_bytes[client] += len(answer)
        return answer


class Strategy:
    """Samples the whole cohort, and keeps what the workflow gives it instead of averaging equal copies of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.parameters = NOTHING

    def configure_fit(self, *_: object) -> list[tuple[object, FitIns]]:
        return [(Proxy(client), FitIns(NOTHING, {})) for client in range(self._size)]

    def aggregate_fit(self, _: int, results: list[tuple[object, FitRes]], failures: list[object]) -> tuple:
        if failures or len(results) != self._size:
            raise RuntimeError(f"SecAgg+ lost clients: {failures}")
        self.parameters = results[0][1].parameters
        return None, {}


class Proxy:
    def __init__(self, node_id: int) -> None:
        self.node_id = node_id


class Manager:
    def num_available(self) -> int:
        return 0


def context(node_id: int) -> Context:
    return Context(run_id=1, node_id=node_id, node_config={}, state=RecordDict(), run_config={})


def encoded(message: Message) -> bytes:
    return message_to_proto(message).SerializeToString()


def decoded(data: bytes) -> Message:
    return message_from_proto(ProtoMessage.FromString(data))


def run(job: Job, vector: Callable[[int], np.ndarray]) -> Round:
    laps, cohort_size = Laps(), job["cohort"]
    clients, strategy = Cohort(cohort_size, vector, laps), Strategy(cohort_size)
    workflow = SecAggPlusWorkflow(
        num_shares=NUM_SHARES,
        reconstruction_threshold=THRESHOLD,
        max_weight=EXAMPLES,
        clipping_range=job["bound"],
    )
    server = LegacyContext(context(SERVER), strategy=strategy, client_manager=Manager())
    server.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    server.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    state = WorkflowState()
    seconds = [
        server_share(stage, clients, server, state)
        for stage in (
            workflow.setup_stage,
            workflow.share_keys_stage,
            workflow.collect_masked_vectors_stage,
            workflow.unmask_stage,
        )
    ]
    setup, shares, collect, unmask = seconds
    for _ in range(cohort_size):
        laps.add("server_add", collect[0] / cohort_size, collect[1] / cohort_size)
    laps.add("server_finish", setup[0] + shares[0], setup[1] + shares[1])
    with laps.lap("parse"):
        (mean,) = parameters_to_ndarrays(strategy.parameters)
    ((wall, cpu),) = laps.seconds.pop("parse")
    laps.add("decrypt", unmask[0] + wall, unmask[1] + cpu)
    for client in range(cohort_size):
        laps.add("client", *map(sum, zip(*laps.seconds.pop(f"client_{client}"), strict=True)))
    return Round(laps, clients.up_bytes, sum(map(len, strategy.parameters.tensors)), mean)


def server_share(
    stage: Callable[..., bool], clients: Cohort, server: LegacyContext, state: WorkflowState
) -> tuple[float, float]:
    """Wall and CPU seconds of a stage, less what the clients spent in it."""
    wall, cpu, clients_wall, clients_cpu = (
        time.perf_counter(), time.process_time(), clients.clients_wall, clients.clients_cpu,
    )  # fmt: skip
    if not stage(clients, server, state):
        raise RuntimeError("Flower's workflow halted")
    return (
        time.perf_counter() - wall - (clients.clients_wall - clients_wall),
        time.process_time() - cpu - (clients.clients_cpu - clients_cpu),
    )


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SERVER, 1
    measure(
        run,
        packages=("flwr", "numpy"),
        settings={"num_shares": NUM_SHARES, "reconstruction_threshold": round(THRESHOLD, 4)},
        warm_up={},
    )
