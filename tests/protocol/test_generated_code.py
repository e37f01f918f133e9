"""The committed stubs are what the proto says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import run

import pytest

from securefl.v3 import aggregator_pb2 as pb

ROOT = Path(__file__).parents[2]
VERSIONS = ("v3",)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_committed_stubs_are_freshly_generated(tmp_path: Path, version: str) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools comes with the extra 'dev'")
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", f"--python_out={tmp_path}"]
    proto = f"protos/securefl/{version}/aggregator.proto"
    run([*command, f"--pyi_out={tmp_path}", proto], cwd=ROOT, check=True, timeout=60)
    for name in ("aggregator_pb2.py", "aggregator_pb2.pyi"):
        committed, fresh = ROOT / "securefl" / version / name, tmp_path / "securefl" / version / name
        assert committed.read_text() == fresh.read_text(), "generate again: see protos/SPEC.md"


def test_the_specification_lists_every_field_with_its_number() -> None:
    specification = (ROOT / "protos/SPEC.md").read_text(encoding="utf-8")
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        section = specification.partition(f"### {message.name}\n")[2].partition("\n#")[0]
        assert section, f"{message.name} has no section"
        for field in message.fields:
            assert f"| {field.number} | `{field.name}` |" in section, f"{message.name}.{field.name}"


def test_the_specification_describes_no_message_and_no_field_that_is_not_there() -> None:
    specification = (ROOT / "protos/SPEC.md").read_text(encoding="utf-8")
    described = {part.partition("\n")[0]: part for part in specification.split("\n### ")[1:]}
    assert set(described) == set(pb.DESCRIPTOR.message_types_by_name)
    for name, part in described.items():
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", part, re.MULTILINE)
        fields = pb.DESCRIPTOR.message_types_by_name[name].fields
        assert rows == [(str(field.number), field.name) for field in fields], name


def test_the_specification_lists_every_call() -> None:
    specification = (ROOT / "protos/SPEC.md").read_text(encoding="utf-8")
    for method in pb.DESCRIPTOR.services_by_name["Aggregator"].methods:
        request, reply = (
            f"{'stream of ' if streams else ''}`{message.name}`"
            for streams, message in (
                (method.client_streaming, method.input_type),
                (method.server_streaming, method.output_type),
            )
        )
        assert f"| `{method.name}` | {request} | {reply} |" in specification, method.name
