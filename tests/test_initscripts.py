"""The init files: right for sh, those that each board had, and no value leaves its quotes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootfs_tool import initscripts
from rootfs_tool.board import Board, known
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.initscripts import Early, Init
from rootfs_tool.recipe import Recipe
from rootfs_tool.tree import Device, Directory, File, Symlink, Tree
from tests.initfiles import network, rendered

GOLDEN = Path(__file__).parent / "data" / "init"
BOARDS = [
    *("qemu-aarch64", "raspberrypi3", "raspberrypi3-qemu", "raspberrypi4"),
    "raspberrypizero2w",
]


def of_board(name: str) -> dict[str, str]:
    board, _ = Board.find(name)
    modules = Recipe(board=board).all_modules
    return rendered(board.network, line=board.console, modules=modules, root=board.root)


@pytest.mark.parametrize("name", BOARDS)
def test_init_files_of_a_board(name: str) -> None:
    """A change of a template shows as a change of tests/data/init; see tests/data/init/README."""
    golden = {
        f"/{path.relative_to(GOLDEN / name)}": path.read_text()
        for path in (GOLDEN / name).rglob("*")
        if path.is_file()
    }
    assert of_board(name) == golden


def test_every_shipped_board_has_golden_files() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) == BOARDS
    assert set(BOARDS) <= known().keys()


VARIANTS = {
    "getty": rendered(network(), line=Line(login="getty"), root_password=""),
    "no interface": rendered(network(interface=[])),
    "no loopback": rendered(network(loopback=False)),
    "two interfaces": rendered(
        network(
            interface=[
                {"name": "eth0", "kernel-name": "usb0", "address": "10.0.2.15/24"},
                {"name": "eth1", "address": "10.0.3.13/30", "gateway": "10.0.3.14"},
            ],
            dns=["10.0.2.3", "9.9.9.9"],
        ),
        modules=("virtio_net", "phy-generic"),
    ),
}


@pytest.mark.parametrize("name", [*BOARDS, *VARIANTS])
def test_scripts_are_posix_and_clean(name: str, tmp_path: Path) -> None:
    texts = VARIANTS[name] if name in VARIANTS else of_board(name)
    scripts = {path: text for path, text in texts.items() if path.startswith("/etc/init.d/")}
    assert {"/etc/init.d/rcS", "/etc/init.d/rcK", "/etc/init.d/S05loopback"} <= scripts.keys()
    files = []
    for path, text in scripts.items():
        assert text.startswith("#!/bin/sh\n# ")
        assert "\n\n\n" not in text
        files.append(tmp_path / Path(path).name)
        files[-1].write_text(text)
        for shell in (["sh"], ["busybox", "sh"]):
            subprocess.run([*shell, "-n", files[-1]], check=True)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", *files], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


EARLY = {
    "card": Early(
        root="/dev/mmcblk0p2", modules=("ext4",), wait=20, overlay=False, data=None, grow=0
    ),
    "card that grows": Early(
        root="/dev/mmcblk0p2", modules=("ext4",), wait=20, overlay=False, data=None, grow=2
    ),
    "overlay": Early(
        root="/dev/vda2", modules=("overlay",), wait=9, overlay=True, data=None, grow=0
    ),
    "overlay with data": Early(
        root="/dev/vda2", modules=("overlay",), wait=9, overlay=True, data="/dev/vda3", grow=3
    ),
}


@pytest.mark.parametrize("name", EARLY)
def test_the_init_that_finds_a_card_is_posix_and_clean(name: str, tmp_path: Path) -> None:
    tree = Tree()
    initscripts.early(tree, EARLY[name])
    node = tree.get("/init")
    assert isinstance(node, File)
    assert isinstance(node.content, bytes)
    assert node.mode == 0o755
    assert b"\n\n\n" not in node.content
    script = tmp_path / "init"
    script.write_bytes(node.content)
    for shell in (["sh"], ["busybox", "sh"]):
        subprocess.run([*shell, "-n", script], check=True)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_the_words_of_the_main_job() -> None:
    texts = rendered(network())
    assert "    ifconfig lo 127.0.0.1 up\n" in texts["/etc/init.d/S05loopback"]
    start = texts["/etc/init.d/S40network"]
    for words in (
        "ifconfig eth0 10.0.2.15 netmask 255.255.255.0 broadcast 10.0.2.255 up",
        "route add -net 10.0.2.0 netmask 255.255.255.0 dev eth0",
        "route add default gw 10.0.2.2 dev eth0",
    ):
        assert words in start
    assert "ttyAMA0::respawn:-/bin/sh\n" in texts["/etc/inittab"]
    assert texts["/etc/hostname"] == "board\n"
    assert "127.0.1.1\tboard\n" in texts["/etc/hosts"]


def test_what_is_not_wanted_is_not_there() -> None:
    texts = rendered(network(interface=[]))
    assert not {"/etc/init.d/S10modules", "/etc/init.d/S40network", "/etc/resolv.conf"} & set(texts)


def test_lo_left_down_says_so() -> None:
    text = rendered(network(loopback=False))["/etc/init.d/S05loopback"]
    assert "because the profile says loopback = false" in text
    assert "\n    ifconfig lo 127.0.0.1 up" not in text


@pytest.mark.parametrize(
    ("password", "line"),
    [(None, "root:*:::::::"), ("", "root::::::::"), ("$6$salt$hash", "root:$6$salt$hash:::::::")],
)
def test_root_password(password: str | None, line: str) -> None:
    assert rendered(network(), root_password=password)["/etc/shadow"].splitlines()[0] == line
    tree = Tree()
    how = Init(network=network(), line=Line(), modules=(), root_password=password)
    initscripts.add(tree, how)
    shadow = tree.get("/etc/shadow")
    assert isinstance(shadow, File)
    assert shadow.mode == 0o600


def test_skeleton() -> None:
    tree = Tree()
    initscripts.skeleton(tree)
    assert tree.get("/sbin") == Symlink("usr/bin")
    assert str(tree.resolve("/sbin/init")) == "/usr/bin/init"
    assert str(tree.resolve("/usr/sbin/init")) == "/usr/bin/init"
    assert tree.get("/dev/console") == Device(kind="char", major=5, minor=1)
    assert tree.get("/tmp") == Directory(mode=0o1777)


# Templates of one's own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's templates/init."""
    monkeypatch.chdir(tmp_path)  # not in the checkout, whose templates are the packaged ones
    directory = tmp_path / "templates" / "init"
    directory.mkdir(parents=True)
    return directory


def test_a_template_may_extend_the_packaged_one(own: Path) -> None:
    (own / "rcS.j2").write_text(
        '{% extends "packaged/init/rcS.j2" %}\n{% block mount %}\n{{ super() }}echo "mine"\n'
        "{% endblock %}\n"
    )
    text = rendered(network())["/etc/init.d/rcS"]
    assert 'mount -a # whatever else /etc/fstab names\necho "mine"\n' in text
    assert "for script in /etc/init.d/S" in text


def test_a_script_of_ones_own_is_rendered_too(own: Path) -> None:
    (own / "S50hello.j2").write_text(
        '{% extends "init/script.j2" %}\n{% block start %}\n'
        "    echo {{ network.hostname | sh }}\n{% endblock %}\n"
    )
    (own / "S50notes.txt").write_text("not a template")
    texts = rendered(network())
    assert "start() {\n    echo board\n}" in texts["/etc/init.d/S50hello"]
    assert "/etc/init.d/S50notes" not in texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ network.hostnam | sh }}\n", "line 2: 'rootfs_tool.network.Network object' has no"),
        ("a\nb\n{% if %}\n", "line 3: Expected an expression"),
        ("{{ network.hostname | quote }}", "line 1: No filter named 'quote'"),
        ("\n{{ network.hostname }}", "line 2: 'board' needs a filter: | sh, | line or | field"),
        ("{{ network.hostname | e }}", "line 1: No filter named 'e'"),
        ("{{ (network.hostname | sh) ~ ';' }}", "line 1: 'board;' needs a filter"),
        ("{{ 'a\\nb' | line }}", "line 1: 'a\\nb' holds a line break"),
        ("{{ 'a:b' | field }}", "line 1: 'a:b' holds a colon"),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(own: Path, text: str, said: str) -> None:
    (own / "S50hello.j2").write_text(text)
    with pytest.raises(ConfigError) as caught:
        rendered(network())
    assert str(caught.value).startswith(f"{own}/S50hello.j2: {said}")


def test_a_value_that_is_not_there_comes_with_those_that_are(own: Path) -> None:
    (own / "S50hello.j2").write_text("{{ hostname | sh }}")
    with pytest.raises(ConfigError, match="'hostname' is undefined") as caught:
        rendered(network())
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(
        "this template has accounts, groups, line, modules, network,"
    )


def test_a_template_that_extends_none(own: Path) -> None:
    (own / "rcS.j2").write_text('{% extends "packaged/init/gone.j2" %}')
    with pytest.raises(ConfigError, match=r"init/rcS\.j2: there is no template packaged/init/gone"):
        rendered(network())


# Hostile values

HOSTILE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SHELL = st.text("'\"\\$`!;&|<>(){}[]*?~# \t\n\r=-%a\u00e9\x1b\x7f")


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"]], ids=["sh", "busybox"])
@settings(max_examples=40, deadline=None)
@given(values=st.lists(HOSTILE | SHELL, min_size=1, max_size=60))
def test_no_value_leaves_its_quotes(shell: list[str], values: list[str]) -> None:
    template = initscripts.environment().from_string(
        "printf '%s\\0'{% for value in values %} {{ value | sh }}{% endfor %}\n"
    )
    script = template.render(values=values)
    program = shutil.which(shell[0])
    assert program is not None
    done = subprocess.run(
        [program, *shell[1:], "-c", script],
        capture_output=True,
        env={"PATH": "/nowhere"},
        check=True,
    )
    assert done.stdout == b"".join(value.encode() + b"\0" for value in values)
    assert done.stderr == b""


@given(value=HOSTILE | SHELL)
def test_a_line_stays_one(value: str) -> None:
    try:
        text = initscripts.line(value)
    except ValueError:
        assert not value.isprintable()
    else:
        assert text == value
        assert len(text.splitlines()) <= 1


@given(value=HOSTILE | st.text("ab:\n"))
def test_a_field_stays_one(value: str) -> None:
    try:
        assert ":" not in initscripts.field(value)
    except ValueError:
        assert ":" in value or not value.isprintable()


def test_a_nul_has_no_quotes() -> None:
    with pytest.raises(ValueError, match="NUL"):
        initscripts.sh("a\0b")
