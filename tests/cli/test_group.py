"""The command line itself: help, mistakes, exit codes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rootfs_tool.cli import COMMANDS
from rootfs_tool.cli.group import Lazy
from rootfs_tool.errors import ConfigError
from tests.command import PROGRAM, rootfs_tool


def test_help_is_the_same_by_the_short_way_and_by_click() -> None:
    short = rootfs_tool("--help")
    assert short.status == 0
    assert short.stdout == rootfs_tool("-v", "--help").stdout
    assert rootfs_tool().stdout == short.stdout
    for name in COMMANDS:
        assert f"  {name} " in short.stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_that_begins_as_the_list_says(name: str) -> None:
    ran = rootfs_tool(name, "--help")
    assert ran.status == 0, ran.said
    assert f"rootfs-tool {name}" in ran.stdout


def test_help_imports_nothing_that_is_not_python_s_own() -> None:
    code = "import sys; sys.argv[1:] = ['--help']; from rootfs_tool.cli import main; main(); "
    code += "print(sorted(name for name in sys.modules if 'click' in name or 'pydantic' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistyped_command_is_guessed() -> None:
    ran = rootfs_tool("brinup")
    assert ran.status == 2
    assert "did you mean 'bringup'" in ran.stderr


def test_an_unknown_board_is_guessed() -> None:
    for verb in ("build", "run", "bringup", "render"):
        ran = rootfs_tool(verb, "qemu-arch64")
        assert ran.status == 2, ran.said
        assert "qemu-arch64" in ran.stderr
        assert "qemu-aarch64" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_debug_shows_where_an_error_came_from() -> None:
    ran = rootfs_tool("--debug", "build", "nosuchboard")
    assert ran.status == 2
    assert "Traceback" in ran.stderr


def test_completion_is_offered_for_three_shells() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [PROGRAM],
            env={"PATH": "/usr/bin:/bin", "_ROOTFS_TOOL_COMPLETE": f"{shell}_source"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "_ROOTFS_TOOL_COMPLETE" in done.stdout


def test_a_program_that_is_not_for_the_board_stops_before_the_boot(tmp_path: Path) -> None:
    ran = rootfs_tool("bringup", "qemu-aarch64", "-o", tmp_path / "out", "--run", "/bin/true")
    assert ran.status == 2
    assert "the board is aarch64" in ran.stderr
    assert "aarch64-linux-gnu-gcc -static" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_two_programs_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same").write_text("#!/bin/sh\n")
    runs = [f"--run={tmp_path}/{name}/same" for name in ("a", "b")]
    ran = rootfs_tool("bringup", "qemu-aarch64", "-o", tmp_path / "out", *runs)
    assert ran.status == 2
    assert "would both be /tmp/same" in ran.stderr


def test_a_host_without_qemu_is_told_the_package(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [PROGRAM, "run", "qemu-aarch64", "-o", tmp_path / "out"],
        env={**os.environ, "PATH": without("qemu-system-aarch64", tmp_path / "bin")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "qemu-system-aarch64 is not installed" in done.stderr
    assert "apt install qemu-system-arm" in done.stderr


def test_a_tftp_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        ran = rootfs_tool("bringup", "qemu-aarch64", "-o", tmp_path / "out", "--tftp-port", port)
    assert ran.status == 2, ran.said
    assert f"UDP port {port} of 127.0.0.1 is taken" in ran.stderr


def without(program: str, directory: Path) -> str:
    """A PATH of links to every program of this host but one."""
    for place in os.environ["PATH"].split(os.pathsep):
        for path in Path(place).glob("*"):
            link = directory / path.name
            if path.name != program and not link.is_symlink():
                link.symlink_to(path)
    return str(directory)


@pytest.mark.network
def test_a_build_is_not_built_again_from_itself(tmp_path: Path) -> None:
    assert rootfs_tool("build", "qemu-aarch64", "-o", tmp_path / "out", timeout=600).status == 0
    ran = rootfs_tool("build", tmp_path / "out")
    assert ran.status == 2
    assert "is a build already" in ran.stderr


def test_what_can_t_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    junit = rootfs_tool("bringup", "qemu-aarch64", "--junit", tmp_path / "none" / "junit.xml")
    below = rootfs_tool("bringup", "qemu-aarch64", "--junit", tmp_path / "file" / "junit.xml")
    build = rootfs_tool("build", "qemu-aarch64", "-o", tmp_path / "file" / "out")
    with Path("/dev/full").open("w") as full:
        schema = subprocess.run(
            [PROGRAM, "boards", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    for status, said in (
        (junit.status, junit.stderr),
        (below.status, below.stderr),
        (build.status, build.stderr),
        (schema.returncode, schema.stderr.decode()),
    ):
        assert status == 2, said
        assert "error: " in said
        assert "Traceback" not in said
    assert f"{tmp_path}/none/junit.xml: No such file or directory" in junit.stderr
    assert f"{tmp_path}/file/junit.xml: Not a directory" in below.stderr
    assert "write Image" not in below.stderr, "it is said before the boot"


def test_a_pipe_that_breaks_is_not_taken_for_standard_output() -> None:
    """Which would be exit 141, without a word."""

    def writes() -> None:
        read, write = os.pipe()
        os.close(read)
        try:
            os.write(write, b"x")
        finally:
            os.close(write)

    group = Lazy("x", callback=writes, invoke_without_command=True)
    with pytest.raises(ConfigError, match="Broken pipe"):
        group.main([], standalone_mode=False)


def test_a_cache_that_cannot_be_made_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [PROGRAM, "build", "qemu-aarch64", "-o", tmp_path / "out"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "there can be no cache" in done.stderr
    assert "XDG_CACHE_HOME=" in done.stderr


def test_locking_and_updating_at_once_make_no_sense() -> None:
    ran = rootfs_tool("build", "qemu-aarch64", "--locked", "--update-lock")
    assert ran.status == 2


def test_a_source_that_is_not_there_is_one_of_the_mistakes_of_its_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'board = "qemu-aarch64"\noverlay = ["none"]\n'
        '[[source]]\ntype = "file"\npath = "gone"\nto = "/etc/gone"\n'
    )
    ran = rootfs_tool("build", recipe, "-o", tmp_path / "out")
    assert ran.status == 2
    assert "source[0].path: there is no file" in ran.stderr
    assert "overlay[0]: there is no directory" in ran.stderr


def test_a_template_that_extends_itself_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "templates" / "init").mkdir(parents=True)
    (tmp_path / "templates" / "init" / "rcS.j2").write_text('{% extends "init/rcS.j2" %}\n')
    done = subprocess.run(
        [PROGRAM, "render", "qemu-aarch64"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "packaged/init/rcS.j2" in done.stderr
