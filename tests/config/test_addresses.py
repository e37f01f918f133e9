"""Where a server listens and where clients find it are two things; what cannot be connected to is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.cli.main import command_line
from securefl.config import FederationConfig, load_federation
from securefl.config.member import client_settings_of, require_reachable_server
from securefl.config.names import is_everywhere
from securefl.config.server import ServerSection
from securefl.errors import ConfigError

FEDERATION = """
[federation]
name = "banks"
[model]
path = "models/minilm"
[data]
train = "train.jsonl"
[server]
{server}
"""


def config(folder: Path, server: str) -> FederationConfig:
    path = folder / "FED.toml"
    path.write_text(FEDERATION.format(server=server))
    return load_federation(path)


EVERYWHERE = ["0.0.0.0:7443", "[::]:7443", ":::7443", "0:7443"]


@pytest.mark.parametrize("address", [*EVERYWHERE, "fl.example.org:0"])
def test_init_asks_for_the_name_that_clients_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    config(tmp_path, f'address = "{address}"')
    assert command_line(["init", str(tmp_path / "FED.toml"), str(tmp_path / "members")]) == 2
    said = capsys.readouterr().err
    assert f"the server listens at '{address}'" in said
    assert "client_address" in said
    assert not (tmp_path / "members").exists()


@pytest.mark.parametrize("address", EVERYWHERE)
def test_clients_and_the_certificate_have_the_name_that_clients_use(tmp_path: Path, address: str) -> None:
    read = config(tmp_path, f'address = "{address}"\nclient_address = "fl.example.org:9000"')
    require_reachable_server(read)
    assert client_settings_of(read, "client-1").client.server == "fl.example.org:9000"
    assert read.server.certificate_names == ("fl.example.org", "localhost", "127.0.0.1", "::1")


def test_a_server_behind_another_address_has_both_names_in_its_certificate() -> None:
    server = ServerSection(address="10.0.0.5:7443", client_address="[2001:db8::1]:443")
    assert server.reached_at == "[2001:db8::1]:443"
    assert server.certificate_names[:2] == ("2001:db8::1", "10.0.0.5")


def test_a_run_on_one_machine_needs_no_name(tmp_path: Path) -> None:
    read = config(tmp_path, 'address = "0.0.0.0:7443"')
    assert client_settings_of(read, "client-1").client.server == "127.0.0.1:7443"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ('address = ":7443"', "0.0.0.0 listens at every address"),
        ('address = "7443"', "write host:port, such as"),
        ('address = "fl.example.org"', "write host:port, such as"),
        ('address = "fl.example.org:٧٤٤٣"', "write host:port, such as"),
        ('address = "fl.example.org:65536"', "the port must be between"),
        ('address = "fl example:1"', "which is no address: write host:port"),
        ('client_address = "0.0.0.0:7443"', "no client can connect to"),
        ('client_address = "[::]:7443"', "no client can connect to"),
        ('client_address = "fl.example.org:0"', "no client can connect to"),
        ('client_address = "fl.example.org"', "write host:port, such as"),
    ],
)
def test_what_is_no_address_is_one_sentence(tmp_path: Path, server: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, server)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "everywhere"), [("0.0.0.0", True), ("::", True), ("0", True), ("::1", False), ("a.b", False)]
)
def test_hosts_that_stand_for_every_address_are_known(host: str, everywhere: bool) -> None:
    assert is_everywhere(host) is everywhere


@pytest.mark.parametrize("name", ["lead", "server"])
def test_the_names_of_other_folders_are_no_clients(tmp_path: Path, name: str) -> None:
    path = tmp_path / "FED.toml"
    clients = f'[cohort]\nclients = [{{ id = "{name}" }}, {{}}, {{}}]\n'
    path.write_text(FEDERATION.format(server="") + clients)
    with pytest.raises(ConfigError, match=f"a client is called '{name}'.*write another id"):
        load_federation(path)
