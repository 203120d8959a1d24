"""Where the output goes: a pipe that closes, a full disk, nowhere at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import PROGRAM, Ran

# Python writes at once, or when its buffer is full: what can't be written is met in other places.
UNBUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])
PRINTING = pytest.mark.parametrize("words", ["--help", "--version", "boards schema"])


@UNBUFFERED
@PRINTING
def test_a_reader_that_has_gone_is_no_failed_check(words: str, unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [PROGRAM, *words.split()],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@UNBUFFERED
@PRINTING
def test_a_full_disk_is_one_line_and_exit_2(words: str, unbuffered: str) -> None:
    ran = in_shell(f"rootfs-tool {words} >/dev/full", unbuffered)
    assert ran.status == 2, ran.said
    assert ran.stderr.startswith("error: ")
    assert "No space left on device" in ran.stderr
    assert "Exception" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_standard_output_is_named() -> None:
    ran = in_shell("rootfs-tool boards >/dev/full", "")
    assert ran.stderr == "error: standard output: No space left on device\n"


@UNBUFFERED
def test_an_error_that_nobody_can_be_told_has_its_code(unbuffered: str) -> None:
    assert in_shell("rootfs-tool nosuch 2>/dev/full", unbuffered).status == 2
    assert in_shell("rootfs-tool build nosuch 2>/dev/full", unbuffered).status == 2


def test_closed_streams_are_nothing_to_fall_over(tmp_path: Path) -> None:
    for closed in (">&-", "<&- >&- 2>&-"):
        assert in_shell(f"rootfs-tool --help {closed}", "").said == ""
    for words, status in ((f"render qemu-aarch64 -o {tmp_path}", 0), ("clean nosuch", 2)):
        ran = in_shell(f"rootfs-tool {words} <&- >&- 2>&-", "")
        assert ran.status == status, ran.said
        assert ran.said == ""


def test_no_file_becomes_the_standard_error_of_the_programs_it_starts(tmp_path: Path) -> None:
    (tmp_path / "server.c").write_text("int main(void) { return x; }\n")
    ran = in_shell(f"cd {tmp_path}; rootfs-tool cc server.c -o server 2>&-", "")
    assert ran.status == 5, ran.said
    assert [path.name for path in tmp_path.iterdir()] == ["server.c"]


def test_a_directory_that_has_been_removed_is_said(tmp_path: Path) -> None:
    ran = in_shell(f"cd {tmp_path} && rmdir {tmp_path} && rootfs-tool boards", "")
    assert ran.status == 2, ran.said
    assert "the current directory has been removed" in ran.stderr


def in_shell(script: str, unbuffered: str) -> Ran:
    place = str(PROGRAM.parent)
    done = subprocess.run(
        ["sh", "-c", script],
        env={
            **os.environ,
            "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": unbuffered,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
