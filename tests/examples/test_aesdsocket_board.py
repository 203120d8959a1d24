"""examples/aesdsocket on a board: its recipe is built, brought up, and used as a person would."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.command import outcomes, rootfs_tool, the_report
from tests.examples.board import Example, copied, first_answer
from tests.examples.lines import ask, to_the_end
from tests.terminal.typist import Typist

pytestmark = [pytest.mark.qemu, pytest.mark.network]

# It is stopped after aesdsocket, as its number is smaller, and tells what the log has by then.
WITNESS = """
[[service]]
name = "witness"
command = '''/bin/sh -c 'trap "grep aesdsocket /var/log/messages >/dev/console; exit" TERM; \\
    sleep 1000 & wait' '''
order = 2
background = true
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Example:
    """A build of it with SSH, and with the witness."""
    directory = tmp_path_factory.mktemp("example") / "aesdsocket"
    example = copied(directory, key.with_suffix(".pub"), WITNESS)
    ran = rootfs_tool("build", example.recipe, "-o", example.out, timeout=600)
    assert ran.status == 0, ran.said
    return example


def test_the_bringup_passes_with_all_that_the_recipe_asks(example: Example) -> None:
    ran = rootfs_tool("bringup", example.out, timeout=240)
    assert ran.status == 0, ran.said
    report = the_report(example.out)
    found = outcomes(report)
    assert set(found.values()) == {"passed"}, ran.said
    assert {"tcp 9000, 50 clients, 1000 packets", "reboot", "service aesdsocket"} <= set(found)
    assert report["incidents"] == [], "the reboot was asked for"
    names = [one["name"] for one in report["results"]]
    assert names.count("service aesdsocket") == 2, "on each of the boots"
    (many,) = (one for one in report["results"] if "1000 packets" in one["name"])
    assert many["message"].startswith("1000 answered")


def without_late(said: bytes, answer: bytes) -> bytes:
    """What was said, ``answer`` first: an attempt that waited in vain may be delivered after it."""
    head, rest = said[: len(answer)], said[len(answer) :].splitlines(keepends=True)
    return head + b"".join(line for line in rest if not line.startswith(b"attempt "))


def test_a_person_runs_it_and_talks_to_it_and_powers_it_off(example: Example, key: Path) -> None:
    person = Typist("run", example.out)
    try:
        person.until(f"127.0.0.1:{example.port} -> the board's TCP port 9000".encode())
        connection, answer = first_answer(example.port)
        with connection:
            assert without_late(ask(connection, b"two\n"), answer) == answer + b"two\n"
            there = rootfs_tool("ssh", "-i", key, example.out, "cat", "/var/tmp/aesdsocketdata")
            assert there.status == 0, there.stderr
            assert without_late(there.stdout.encode(), answer) == answer + b"two\n"
            person.until(b"~ # ", 60)
            person.type(b"poweroff\r")
            assert to_the_end(connection) == b""
        person.until(b"Caught signal, exiting", 60)
        person.until(b"Power down", 60)
        assert person.end(60) == 0
    finally:
        person.close()
    log = re.findall(rb"aesdsocket\[\d+\]: (.*?)\r", person.seen)
    assert log[0] == b"Listening on port 9000"
    assert log[-2:] == [b"Closed connection from 10.0.2.2", b"Caught signal, exiting"]
