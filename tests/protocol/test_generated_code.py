"""The committed stubs are what the proto says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import run

import pytest
from google.protobuf import descriptor_pb2

from securefl.v2 import aggregator_pb2 as pb

ROOT = Path(__file__).parents[2]
PROTO = "securefl/v2/aggregator.proto"


@pytest.mark.slow
def test_the_committed_stubs_are_freshly_generated(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools comes with the extra 'dev'")
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", f"--python_out={tmp_path}"]
    run([*command, f"--pyi_out={tmp_path}", f"protos/{PROTO}"], cwd=ROOT, check=True, timeout=60)
    for name in ("aggregator_pb2.py", "aggregator_pb2.pyi"):
        committed, fresh = ROOT / "securefl/v2" / name, tmp_path / "securefl/v2" / name
        assert committed.read_text() == fresh.read_text(), "generate again: see protos/SPEC.md"


def test_the_specification_lists_every_field_with_its_number() -> None:
    specification = (ROOT / "protos/SPEC.md").read_text(encoding="utf-8")
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        section = specification.partition(f"### {message.name}\n")[2].partition("\n#")[0]
        assert section, f"{message.name} has no section"
        for field in message.fields:
            assert f"| {field.number} | `{field.name}` |" in section, f"{message.name}.{field.name}"


def test_the_specification_lists_the_numbers_that_are_kept() -> None:
    specification = (ROOT / "protos/SPEC.md").read_text(encoding="utf-8")
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        section = specification.partition(f"### {message.name}\n")[2].partition("\n#")[0]
        written = descriptor_pb2.DescriptorProto()
        message.CopyToProto(written)
        kept = [f"Numbers {entry.start} to {entry.end - 1} are kept" for entry in written.reserved_range]
        assert re.findall(r"Numbers \d+ to \d+ are kept", section) == kept, message.name
