"""Stands in for the program ``securefl`` below ``securefl run``: the same words, no work.

FAKE says how one member misbehaves: ``<member>:<how>``.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from securefl.progress import (
    AdapterKind,
    Event,
    Failed,
    Finished,
    Listening,
    MetricMeasured,
    Phase,
    PhaseEnded,
    RoundFinished,
    RoundStarted,
    Warned,
    encode,
)
from securefl.storage.whole import write_json_file

PATIENCE_S = 240.0
PHASES = ("train", "encode", "encrypt", "upload", "aggregate", "download", "decrypt", "redistribute")


def report(event: Event) -> None:
    print(encode(event), flush=True)


def misbehave(member: str) -> None:
    who, _, how = os.environ.get("FAKE", "").partition(":")
    if not member.startswith(who or "nobody"):
        return
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "refuses":
        report(
            Failed(member=member, code="data", message="there is no file train.csv: write one.", exit_code=2)
        )
        sys.exit(2)
    if how == "leaves":
        sys.exit(0)
    if how == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        report(Warned(member=member, message=f"pid {os.getpid()}"))
        time.sleep(240)


def init(folder: Path) -> None:
    misbehave("init")
    federation = _federation_file()
    for number in _numbers(federation):
        member = folder / f"client-{number}"
        member.mkdir()
        (member / "federation.json").write_text(federation)
        (member / "secret.key").write_text("opensesame")
    (folder / "server").mkdir()


def _numbers(federation: str) -> list[int]:
    return list(range(1, len(json.loads(federation)["roster"]) + 1))


def _federation_file() -> str:
    """A real one, since securefl run plans by it; tests that start this program often have made it already."""
    if "FAKE_FEDERATION" in os.environ:
        return Path(os.environ["FAKE_FEDERATION"]).read_text()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.federations import make_federation

    return make_federation((2, 4, 8), scheme="none", rounds=1).federation.to_json_text()


def server(folder: Path) -> None:
    report(Listening(address="127.0.0.1:4711"))
    misbehave("server")
    clients = folder.parent.parent / "clients"
    numbers = _numbers(_federation_file())
    expected = len(numbers) - any(how in os.environ.get("FAKE", "") for how in ("leaves", "killed"))
    _wait(
        lambda: expected == sum((clients / f"client-{number}" / "result.json").exists() for number in numbers)
    )
    write_json_file(folder / "result.json", {"peak_memory_bytes": 77})
    report(Finished(member="server", path=str(folder)))


def client(folder: Path, out: Path) -> None:
    member = folder.name
    report(RoundStarted(member=member, round_number=1, rounds=1))
    misbehave(member)
    report(PhaseEnded(member=member, round_number=1, phase=Phase.TRAIN, seconds=0.5))
    report(RoundFinished(member=member, round_number=1, seconds=0.7))
    value = 0.25 * int(member[-1])
    report(
        MetricMeasured(
            member=member, round_number=1, adapter=AdapterKind.FUSED, metric="accuracy", value=value
        )
    )
    for adapter in ("global", "personal", "fused"):
        (out / adapter).mkdir(parents=True, exist_ok=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (out / adapter / name).write_text(f"{member} {adapter} {name}")
    write_json_file(out / "result.json", _result(member, value))
    report(Finished(member=member, path=str(out)))


def _result(member: str, value: float) -> dict[str, object]:
    number = int(member[-1])
    entry = {
        "round_number": 1,
        "seconds": dict.fromkeys(PHASES, float(number)),
        "bytes": {"up": 100 * number, "down": 10 * number, "float32_up": 200 * number},
        "loss": 0.5,
        "saturated": 0,
        "reconstruction_error": None,
        "integers_sha256": "00" * 32,
    }
    return {
        "format": 2,
        "federation": "fake",
        "federation_digest": "00" * 32,
        "payload": "sketch",
        "personal_rank": 2,
        "values": 100,
        "device": "cpu",
        "precision": "float32",
        "fusion": None,
        "seconds": entry["seconds"],
        "epsilon": "infinity",
        "ledger_head": "00" * 32,
        "recipe": "default",
        "rounds": 1,
        "encryption": {"scheme": "bfv", "profile": "n4096", "fraction": 1.0, "exact": True},
        "id": member,
        "rank": 2**number,
        "samples": 100 + number,
        "metric": {
            "name": "accuracy",
            "base": 0.1,
            "local": 0.2,
            "global": 0.3,
            "fused": value,
            "f1": None,
            "samples": 100,
            "worth": {
                "chosen": "fused",
                "validation": {"fused": value},
                "validation_samples": 15,
                "against_base": {"fused": {"wins": 15 * number, "losses": 0, "p": 0.5 ** (15 * number - 1)}},
                "samples": 100,
            },
        },
        "rounds_log": [entry],
        "arguments": sys.argv[3:],
        "seconds_total": 1.0,
        "peak_memory_bytes": 1000 * number,
    }


def _wait(done: object) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not done():  # type: ignore[operator]
        time.sleep(0.02)


if __name__ == "__main__":
    command, place = sys.argv[1], Path(sys.argv[2])
    if command == "init":
        init(Path(sys.argv[3]))
    elif command == "server":
        server(place)
    else:
        client(place, Path(sys.argv[sys.argv.index("--out") + 1]))
