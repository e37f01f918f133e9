"""A file that is no TOML is told by line and column, with what to write there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from securefl.config.syntax import read_toml
from securefl.errors import ConfigError

TOMLLIB = re.compile(
    r"Invalid|Illegal|Expected|Unterminated|Unclosed|Cannot|Duplicate|statement|scalar|namespace|initial character"
)


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str | bytes) -> Path:
        path = tmp_path / "FED.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return written


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("path = models/minilm", 'put a text in quotes, such as "models/minilm"'),
        ("path = models/minilm  # a folder", 'such as "models/minilm"'),
        ("labels = [yes sir, no]", 'such as "yes sir"'),
        ("path = package:gt-minilm", 'such as "package:gt-minilm"'),
        ("personal = True", "write true, in lower-case letters"),
        ("personal = False", "write false, in lower-case letters"),
        ("personal = yes", "write true"),
        ("labels = None", "leave the key out"),
        ("labels = null", "leave the key out"),
        ('name = "banks', "a quote is missing"),
        ("name = 'banks", "a quote is missing"),
        ('name = """banks', "a quote is missing"),
        ('name = banks"', 'put a text in quotes, such as "banks"'),
        ("rounds = 3\nrounds = 4", '"rounds" stands in the file twice'),
        ("[lora]\n[lora]", '"[lora]" stands in the file twice'),
        ("a = { b = 1, b = 2 }", "stands in the file twice"),
        ("a = 1\n[a]", "stands in the file twice"),
        ("rounds 3", "have = between them"),
        ("rounds: 3", "write = instead of :"),
        ("rounds =", "a value is missing there"),
        ("alpha = .5", "a digit before its point"),
        ("alpha = 0,5", "a number has a point and no comma"),
        ("rounds = 03", "a number does not begin with 0"),
        ("rounds = 3 rounds", '"rounds" is left over after the value'),
        ("name = 'it's'", "is left over after the value"),
        ("[federation", "a section's name stands in brackets"),
        ("[[cohort.clients]", "a section's name stands in brackets"),
        (r'train = "C:\data\train.csv"', "put the text in single quotes"),
        (r'train = "C:\users\x.csv"', "put the text in single quotes"),
        ("labels = [1 2]", "a comma between two entries"),
        ("labels = [1, 2", "lacks its ]"),
        ("split = { by = 1", "lacks its }"),
        ("split = { by = 1 alpha = 2 }", "a comma between two keys"),
        ("split = { by = 1,\n alpha = 2 }", "stands on one line"),
        ("split = { by = 1, }", "no comma before its }"),
        ("name = \u201cbanks\u201d", "there is a typographic quote at column 8"),
        ("rounds\u00a0= 3", "no plain one at column 7"),
        ('name = "ba\x01nks"', "a character that does not print"),
        ("= 3", "a line is a section such as [training]"),
    ],
)
def test_a_slip_is_told_by_line_and_what_to_write(write, line: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_toml(write(f"# a file\n\n{line}"))
    sentence = str(error.value)
    assert re.search(r"FED\.toml is no TOML \(line [34], column \d+\)", sentence), sentence
    assert words in sentence
    assert len(sentence.splitlines()) == 1
    assert not TOMLLIB.search(sentence)


def test_the_line_is_the_one_that_is_wrong(write) -> None:
    with pytest.raises(ConfigError, match=r'line 3, column 8\): at "path = models/x", '):
        read_toml(write('[federation]\r\nname = "a"\r\npath = models/x\r\nrounds = 3\r\n'))


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_what_the_reader_cannot_hold_is_refused(write, text: str) -> None:
    with pytest.raises(ConfigError, match="is no TOML"):
        read_toml(write(text))


@pytest.mark.parametrize("text", ["\ufeffa = 1", "\ta\t=\t1\t# tabs", "a = 1\r\n"])
def test_a_byte_order_mark_tabs_and_line_ends_of_windows_are_accepted(write, text: str) -> None:
    assert read_toml(write(text)) == {"a": 1}


def test_a_text_of_sixteen_bits_is_told_to_be_saved_anew(write) -> None:
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        read_toml(write("a = 1".encode("utf-16")))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder; name a TOML file"):
        read_toml(tmp_path)
