from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER_MODULES = (
    "crypto.addition",
    "crypto.framing",
    "crypto.wireform",
    "crypto.profiles",
    "crypto.packing",
    "crypto.integer_twin",
    "identity.signing",
    "identity.certificates",
)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def test_only_the_cipher_and_the_benchmarks_baseline_import_tenseal() -> None:
    sources = [
        path for package in ("securefl", "clients", "server") for path in (ROOT / package).rglob("*.py")
    ]
    importers = {path.relative_to(ROOT).as_posix() for path in sources if "tenseal" in imported(path)}
    assert importers == {"securefl/crypto/bfv.py", "securefl/bench/aggregation/ckks.py"}


@pytest.mark.slow
@pytest.mark.parametrize("module", SERVER_MODULES)
def test_what_a_server_needs_imports_neither_tenseal_nor_keys(module: str) -> None:
    program = (
        "import sys\n"
        "sys.modules['tenseal'] = sys.modules['torch'] = None\n"
        f"import securefl.{module}\n"
        "assert 'securefl.crypto.keys' not in sys.modules\n"
        "assert 'securefl.crypto.bfv' not in sys.modules\n"
        "assert 'securefl.crypto.authentication' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)
