"""Which programs may go to a board: real ones, of real compilers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import elf
from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError

MAIN = "int main(void) { return 0; }\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elf") / "a.c"
    path.write_text(MAIN)
    return path


def compiled(source: Path, name: str, compiler: str, *options: str) -> Path:
    out = source.with_name(name)
    subprocess.run([compiler, *options, "-o", out, source], check=True)
    return out


def refused(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        elf.check(path, Arch.aarch64)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("options", [("-static",), ("-static-pie",)])
def test_a_static_program_for_the_board_passes(source: Path, options: tuple[str, ...]) -> None:
    elf.check(compiled(source, "static", "aarch64-linux-gnu-gcc", *options), Arch.aarch64)


def test_a_script_passes(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    elf.check(script, Arch.aarch64)


def test_a_dynamic_program_names_its_interpreter_and_libraries(source: Path) -> None:
    error = refused(compiled(source, "dynamic", "aarch64-linux-gnu-gcc"))
    assert "/lib/ld-linux-aarch64.so.1" in str(error)
    assert "libc.so.6" in str(error)
    assert "aarch64-linux-gnu-gcc -static -o dynamic" in str(error.hint)


def test_a_program_of_the_host_is_of_the_wrong_machine(source: Path) -> None:
    if shutil.which("gcc") is None:
        path = Path("/bin/true").resolve()
    else:
        path = compiled(source, "host", "gcc")
    assert "the board is aarch64" in str(refused(path))


def test_an_object_file_is_no_program(source: Path) -> None:
    error = refused(compiled(source, "a.o", "aarch64-linux-gnu-gcc", "-c"))
    assert "not linked" in str(error)


def test_every_way_of_being_cut_short_is_said(source: Path) -> None:
    whole = compiled(source, "whole", "aarch64-linux-gnu-gcc", "-static", "-s").read_bytes()
    for length in (5, 20, 63, 100, 1000, len(whole) // 2):
        cut = source.with_name("cut")
        cut.write_bytes(whole[:length])
        error = refused(cut)
        assert "cut short" in str(error) or "damaged" in str(error)


def test_text_an_empty_file_a_directory_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").touch()
    assert "neither an ELF program nor a script" in str(refused(tmp_path / "text"))
    assert "neither an ELF program nor a script" in str(refused(tmp_path / "empty"))
    assert "not a regular file" in str(refused(tmp_path))
    assert "No such file" in str(refused(tmp_path / "none"))


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in str(refused(tmp_path / "fifo"))


def test_a_shared_library_is_no_program(source: Path) -> None:
    options = ("-shared", "-fPIC", "-nostdlib")
    assert "not linked" in str(refused(compiled(source, "a.so", "aarch64-linux-gnu-gcc", *options)))
