"""Numbers that the documents state are the numbers that the code has, so that neither can change alone."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import securefl
from securefl.cli.main import app
from securefl.config import load_federation
from securefl.config.encryption import GridSection
from securefl.crypto import tags as tags_module
from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv_profiles import BFV_PROFILES, BfvProfile
from securefl.crypto.contributor import Contributor
from securefl.crypto.tags import TAG_PRIME, SectionTag
from securefl.crypto.wireform import Ciphertexts, wire_form
from securefl.errors import ForgeryError
from securefl.transport.limits import DEFAULT_KEEPALIVE

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
NAMED_PATH = re.compile(
    r"(?<![\w/])(?:tests|benchmarks|securefl|clients|server|examples|protos)(?:/[a-z0-9_]+)+(?:\.[a-z]+|/)"
)
SHOWN_COMMAND = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?securefl ([a-z][^`\n|#]*)")
SECURITY = " ".join((ROOT / "SECURITY.md").read_text().split())
PRECISION = GridSection().precision_bits
TINY = BfvProfile(
    name="tiny", plain_modulus=17, lanes=1, lane_bits=4, dropped_bits=0, poly_modulus_degree=8, data_prime=97
)
A = Contributor("a", bytes(32))
SMALL = replace(BFV_PROFILES[0], name="small", poly_modulus_degree=8)
TRIALS = 4000


def exponent(probability: float) -> int:
    """The nearest power of two, as documents write it: 58 for 2^-58."""
    return round(-log2(probability))


def stated(pattern: str, *, text: str = SECURITY) -> list[tuple[str, ...]]:
    found = [match.groups() for match in re.finditer(pattern, text)]
    assert found, f"nothing like {pattern!r} is stated"
    return found


def test_the_macs_soundness_is_that_of_the_ciphertexts_prime() -> None:
    bits = exponent(1 / wire_form("bfv", BFV_PROFILES[0]).modulus)
    assert stated(r"but for 2\^-(\d+) an attempt") == [(str(bits),)]
    assert f"(2^-{bits})" in CiphertextMac.__doc__  # type: ignore[operator]


def test_the_tags_soundness_is_stated() -> None:
    bits = exponent(2 / TAG_PRIME) - 1
    assert f"at most 2/p, below 2^-{bits}" in " ".join(SectionTag.__doc__.split())  # type: ignore[union-attr]
    assert 2**-bits > 2 / TAG_PRIME


def test_a_difference_passes_the_tag_no_more_often_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted with a tiny p under many keys: about 2/p - 1/p^2, as the proof says, and not 1/p."""
    p, passed = 17, 0
    monkeypatch.setattr(tags_module, "TAG_PRIME", p)
    altered = np.zeros((2, 8), np.int64)
    altered[0, 3] = 5
    for trial in range(TRIALS):
        tag = SectionTag(bytes(32), SMALL, context=trial.to_bytes(4, "big"), ciphertexts=2)
        tagged = tag.attach(np.zeros((2, 8), np.int64), contributor=A)
        passed += _passes(lambda tag=tag, tagged=tagged: tag.check(tagged + altered, [A]))
    expected = TRIALS * (2 / p - 1 / p**2)
    assert abs(passed - expected) < 5 * expected**0.5


def test_a_difference_passes_the_mac_no_more_often_than_stated() -> None:
    form, passed = wire_form("bfv", TINY), 0
    residues = np.zeros((1, 8), np.uint64)
    residues[0, 3] = 5
    for trial in range(TRIALS):
        mac = CiphertextMac(bytes(32), form, context=trial.to_bytes(4, "big"))
        honest = mac._expected(np.zeros((1, 8), np.uint64), first=0, contributions=[(A, bytes(64))])
        passed += _passes(
            lambda mac=mac, honest=honest: mac.verify(Ciphertexts(residues, honest), [(A, bytes(64))])
        )
    expected = TRIALS / form.modulus
    assert abs(passed - expected) < 5 * expected**0.5


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    """But for what 0.1.0's part of the changelog names, which tells of that version."""
    text = (ROOT / name).read_text(encoding="utf-8").partition("## [0.1.0]")[0]
    named = set(NAMED_PATH.findall(text))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_result_that_the_benchmarks_document_names_is_there() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])results/[\w.*-]+", text))
    assert len(named) > 3
    assert {path for path in named if not [*(ROOT / "benchmarks").glob(path)]} == set()


def test_every_benchmark_stands_in_their_document() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").partition("## Files")[2]
    files = {
        path.name for path in (ROOT / "benchmarks").glob("*.*") if path.suffix in (".py", ".sh", ".toml")
    }
    assert {name for name in files if name not in text} == set()


def test_the_search_for_named_files_finds_them() -> None:
    text = "`tests/attacks/test_gone.py`, `tests/storage/`; benchmarks/results has both"
    assert NAMED_PATH.findall(text) == ["tests/attacks/test_gone.py", "tests/storage/"]


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_a_document_names_the_version_it_tells_of(name: str) -> None:
    assert securefl.__version__ in (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_says_when_a_silent_peer_is_lost() -> None:
    [(silence, interval, timeout)] = stated(
        r"after (\d+) s: a ping after (\d+) s of silence, (\d+) s for its answer",
        text=(ROOT / "README.md").read_text(encoding="utf-8"),
    )
    assert float(silence) == DEFAULT_KEEPALIVE.silence_s
    assert (float(interval), float(timeout)) == (DEFAULT_KEEPALIVE.interval_s, DEFAULT_KEEPALIVE.timeout_s)


def test_the_readmes_federation_file_is_accepted(tmp_path: Path) -> None:
    [text] = re.findall(
        r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    path = tmp_path / "FED.toml"
    path.write_text(text, encoding="utf-8")
    assert list(load_federation(path).ranks.values()) == [2, 4, 8, 16]


def test_the_readmes_python_imports_public_names() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    imports = [node for node in ast.parse(code).body if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module == "securefl" for alias in node.names}
    assert names
    assert names <= set(securefl.__all__)


def test_the_readme_names_every_command_and_no_other() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| command |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `securefl (\w+)", table, flags=re.MULTILINE)
    assert {*named, "server", "client"} == {command.name for command in app.registered_commands} | {
        group.typer_instance.info.name for group in app.registered_groups
    }


def command_lines(text: str) -> set[tuple[str, ...]]:
    """Words of every line of ours that a document shows, up to what Markdown or a comment puts behind it."""
    joined = text.replace("\\\n", " ")
    return {
        tuple(found.split())
        for found in re.findall(r"(?<![\w/.-])(?:\.venv/bin/)?securefl ([a-z][^`\n|#]*)", joined)
    }


def unknown_options(words: tuple[str, ...]) -> set[str]:
    """Options that the command does not have; of words that are no command nothing is said."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    return asked - known - {"--help"}


@pytest.mark.parametrize("name", [*DOCUMENTS, "protos/SPEC.md"])
def test_every_command_line_that_a_document_shows_has_its_options(name: str) -> None:
    """But for what 0.1.0's part of the changelog shows."""
    text = (ROOT / name).read_text(encoding="utf-8").partition("## [0.1.0]")[0]
    assert {words: found for words in command_lines(text) if (found := unknown_options(words))} == {}


def test_the_search_for_options_finds_those_that_no_command_has() -> None:
    text = "    securefl bench quality --suite default \\\n        --gone x  # y\n`securefl run --witness`, z"
    lines = command_lines(text)
    assert {words: unknown_options(words) for words in lines} == {
        ("bench", "quality", "--suite", "default", "--gone", "x"): {"--gone"},
        ("run", "--witness"): set(),
    }


def _passes(check) -> bool:
    try:
        check()
    except ForgeryError:
        return False
    return True


@pytest.mark.parametrize("name", ["SECURITY.md", "CHANGELOG.md", "README.md", "protos/SPEC.md"])
def test_no_document_says_more_than_the_code_does(name: str) -> None:
    text = " ".join((ROOT / name).read_text().split())
    for overstated in (
        "tags in every plaintext",
        "tags inside every plaintext",
        "keys are not used again",
        "No pad of a MAC repeats",
        "opens nothing more under these keys",
        "fingerprints that",
    ):
        assert overstated not in text
