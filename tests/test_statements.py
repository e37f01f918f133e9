"""Numbers that the documents state are the numbers that the code has, so that neither can change alone."""

from __future__ import annotations

import ast
import re
from math import log2
from pathlib import Path

import numpy as np
import pytest

import securefl
from securefl.cli.main import app
from securefl.config import load_federation
from securefl.config.cohort import MAX_COHORT, MIN_COHORT
from securefl.config.encryption import GridSection
from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import profile_for
from securefl.crypto.tags import SlotTags
from securefl.crypto.wireform import Ciphertexts, wire_form
from securefl.errors import ForgeryError
from securefl.transport.limits import DEFAULT_KEEPALIVE

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
NAMED_PATH = re.compile(
    r"(?<![\w/])(?:tests|benchmarks|securefl|clients|server|examples|protos)(?:/[a-z0-9_]+)+(?:\.[a-z]+|/)"
)
SECURITY = " ".join((ROOT / "SECURITY.md").read_text().split())
PRECISION = GridSection().precision_bits
TINY = Profile(
    name="tiny", plain_modulus=17, lanes=1, lane_bits=4, dropped_bits=0, poly_modulus_degree=8, data_prime=97
)
TRIALS = 4000


def exponent(probability: float) -> int:
    """The nearest power of two, as documents write it: 58 for 2^-58."""
    return round(-log2(probability))


def of_tags(profile: Profile) -> float:
    """What passes both tags at most: (2/t)^2."""
    return 4 / profile.plain_modulus**2


def stated(pattern: str, *, text: str = SECURITY) -> list[tuple[str, ...]]:
    found = [match.groups() for match in re.finditer(pattern, text)]
    assert found, f"nothing like {pattern!r} is stated"
    return found


def test_the_macs_soundness_is_that_of_the_ciphertexts_prime() -> None:
    bits = exponent(1 / wire_form("bfv", BFV_PROFILES[0]).modulus)
    assert stated(r"but for 2\^-(\d+) an attempt") == [(str(bits),)]
    assert f"2^-{bits} for BFV" in CiphertextMac.__doc__  # type: ignore[operator]


def test_the_tags_soundness_is_stated_for_cohorts_as_their_profiles_have_it() -> None:
    assert f"at {PRECISION} bits" in SECURITY
    for bits, cohort in stated(r"2\^-(\d+) for a cohort of (\d+)"):
        assert int(bits) == exponent(of_tags(profile_for(int(cohort), PRECISION)))
    [(least, first)] = stated(r"2\^-(\d+) from (\d+) members on")
    soundness = {
        cohort: exponent(of_tags(profile_for(cohort, PRECISION)))
        for cohort in range(MIN_COHORT, MAX_COHORT + 1)
    }
    assert {bits for cohort, bits in soundness.items() if cohort >= int(first)} == {int(least)}
    assert all(bits > int(least) for cohort, bits in soundness.items() if cohort < int(first))


def test_the_weakest_tags_and_plain_macs_are_stated() -> None:
    smallest = min(BFV_PROFILES, key=lambda profile: profile.plain_modulus)
    assert stated(r"at most 1/t an attempt \(2\^-(\d+) at the smallest t\)") == [
        (str(exponent(1 / smallest.plain_modulus)),)
    ]
    assert f"2^-{exponent(of_tags(smallest))} for the smallest" in SlotTags.__doc__  # type: ignore[operator]
    assert smallest.plain_modulus == wire_form("none", smallest).modulus


def test_a_difference_passes_both_tags_no_more_often_than_stated() -> None:
    """Counted with a tiny t under many keys: about (2/t - 1/t^2)^2, as the proof says, and not (1/t)^2."""
    t, passed = TINY.plain_modulus, 0
    honest, altered = np.zeros((2, 8), np.uint64), np.zeros((2, 8), np.uint64)
    altered[0, 3] = 5
    for trial in range(TRIALS):
        tags = SlotTags(bytes(32), TINY, context=trial.to_bytes(4, "big"), ciphertexts=2)
        tagged = tags.attach(honest, member="a")
        passed += _passes(
            lambda tags=tags, tagged=tagged: tags.check((tagged + altered) % np.uint64(t), ["a"])
        )
    spread = 5 * (TRIALS * of_tags(TINY)) ** 0.5
    assert 2 * TRIALS / t**2 < passed < TRIALS * of_tags(TINY) + spread


def test_a_difference_passes_the_mac_no_more_often_than_stated() -> None:
    form, passed = wire_form("none", TINY), 0
    residues = np.zeros((1, 8), np.uint64)
    residues[0, 3] = 5
    for trial in range(TRIALS):
        mac = CiphertextMac(bytes(32), form, context=trial.to_bytes(4, "big"))
        honest = mac._expected(np.zeros((1, 8), np.uint64), first=0, contributors=[("a", b"")])
        passed += _passes(
            lambda mac=mac, honest=honest: mac.verify(Ciphertexts(residues, honest), [("a", b"")])
        )
    expected = TRIALS / form.modulus
    assert abs(passed - expected) < 5 * expected**0.5


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    """But for what 0.1.0's part of the changelog names, which tells of that version."""
    text = (ROOT / name).read_text(encoding="utf-8").partition("## [0.1.0]")[0]
    named = set(NAMED_PATH.findall(text))
    assert {path for path in named if not (ROOT / path).exists()} == set()


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
