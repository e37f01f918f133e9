"""The house rules that a machine can check, so that nobody has to remember them."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import securefl

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("securefl", "clients", "server")
MAX_LINES = 500
BANNED_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
# Process edges: nobody above them could catch an error, or say it better.
EDGES = {"securefl/cli/main.py"}
ABSOLUTE_PATH = re.compile(r"(?<![\w.~}/:])/(?:tmp|root|work|home|Users|farm|opt)/\w")
CHECKED_TEXT = (".py", ".toml", ".md", ".txt", ".proto", ".yml", ".yaml", ".cfg")


def _files(*suffixes: str) -> list[Path]:
    """What git tracks or would track; without git, what lies in the project's own folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode == 0:
        names = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        names = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*")]
    return [path for path in names if path.suffix in suffixes and path.is_file()]


def _sources() -> list[Path]:
    generated = {ROOT / "securefl" / "v3"}
    return [path for path in _files(".py") if path.parent not in generated]


def _shipped() -> list[Path]:
    return [path for path in _sources() if path.relative_to(ROOT).parts[0] in PACKAGES]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_is_something_to_check() -> None:
    assert len(_shipped()) > 20


def test_no_source_file_is_longer_than_one_idea() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _sources()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_nothing_unpickles_or_runs_code_of_a_model() -> None:
    found = [f"{_name(path)}: {what}" for path in _shipped() for what in _dangerous(_tree(path))]
    assert found == []


def _dangerous(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in BANNED_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            found.append("torch.load")
        elif isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            found += [] if ast.unparse(node.value) == "False" else ["trust_remote_code"]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(x)",
        "f(trust_remote_code=True)",
        "f(trust_remote_code=x)",
    ],
)
def test_the_search_for_dangerous_calls_finds_them(source: str) -> None:
    assert _dangerous(ast.parse(source))


def test_errors_are_caught_by_name_except_at_a_process_edge() -> None:
    broad = [
        f"{_name(path)}:{handler.lineno}"
        for path in _shipped()
        if _name(path) not in EDGES
        for handler in ast.walk(_tree(path))
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler)
    ]
    assert broad == []


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = "" if handler.type is None else ast.unparse(handler.type)
    return not caught or bool({"Exception", "BaseException"} & set(re.findall(r"\w+", caught)))


def test_every_module_says_what_its_idea_is() -> None:
    silent = [
        _name(path)
        for path in _shipped()
        if not ast.get_docstring(_tree(path)) and path.read_text(encoding="utf-8").strip()
    ]
    assert silent == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
    found = [_name(path) for path in _shipped() if marks.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_no_path_of_one_machine_is_written_down() -> None:
    files = [*_files(*CHECKED_TEXT), ROOT / "Makefile", ROOT / ".ci" / "run"]
    found = [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in files
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if ABSOLUTE_PATH.search(line)
    ]
    assert found == []


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## [{securefl.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_and_its_metadata_agree_on_the_version() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{securefl.__version__}"\n' in metadata


def test_every_requirement_is_pinned_in_the_tested_set() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = {
        _package(line) for line in [*project["dependencies"], *(line for extra in extras for line in extra)]
    }
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert wanted - {"securefl"} <= {_package(line) for line in pins}
    assert all("==" in line for line in pins)


def _package(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()
