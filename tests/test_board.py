"""Board profiles: the shipped ones, those of one's own, and what is said of wrong ones."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rootfs_tool import board, paths
from rootfs_tool.arch import Arch
from rootfs_tool.board import Board
from rootfs_tool.errors import ConfigError

SHIPPED = sorted(paths.packaged("boards").glob("*.toml"), key=lambda path: path.stem)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's boards/, first on the search path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROOTFS_TOOL_PATH", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "boards").mkdir()
    return tmp_path / "boards"


def mistakes(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Board.load(path)
    return [line.removeprefix(f"{path.parent}/") for line in str(caught.value).splitlines()]


RIGHT = """
    name = "mine"
    description = "My board"
    arch = "aarch64"
    [network]
    hostname = "mine"
    [kernel]
"""


def test_those_that_come_along() -> None:
    assert [path.stem for path in SHIPPED] == [
        "qemu-aarch64",
        "raspberrypi3",
        "raspberrypi3-qemu",
        "raspberrypi4",
        "raspberrypizero2w",
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_board(path: Path) -> None:
    found = Board.load(path)
    assert found.name == path.stem
    assert found.arch is Arch.aarch64
    assert found.suite == "trixie"
    interface = "usb0" if found.name == "raspberrypizero2w" else "eth0"
    assert [one.name for one in found.network.interface] == [interface]
    assert found.network.loopback
    assert found.root_password is None
    assert Board.model_validate_json(found.model_dump_json(), strict=True) == found


@pytest.mark.parametrize(
    ("name", "cmdline"),
    [
        ("qemu-aarch64", "panic=-1 console=ttyAMA0,115200"),
        ("raspberrypi3", "panic=10 root=/dev/mmcblk0p2 console=ttyS1,115200"),
        ("raspberrypi3-qemu", "panic=-1 root=/dev/mmcblk0p2 console=ttyS1,115200"),
        ("raspberrypi4", "panic=10 root=/dev/mmcblk0p2 console=ttyS1,115200"),
        ("raspberrypizero2w", "panic=10 root=/dev/mmcblk0p2 console=ttyS1,115200"),
    ],
)
def test_the_last_console_is_the_one_of_the_profile(name: str, cmdline: str) -> None:
    assert Board.find(name)[0].kernel_cmdline == cmdline


def test_the_twin_differs_only_where_qemu_does() -> None:
    twin, pi = Board.find("raspberrypi3-qemu")[0], Board.find("raspberrypi3")[0]
    same = set(Board.model_fields) - {
        *("name", "description", "cmdline", "modules", "network", "kernel", "target")
    }
    assert {key: getattr(twin, key) for key in same} == {key: getattr(pi, key) for key in same}
    assert twin.kernel.device_tree == "broadcom/bcm2837-rpi-3-b.dtb"
    assert twin.modules.index("phy-generic") < twin.modules.index("dwc2")


def test_a_minimal_board(own: Path) -> None:
    (own / "mine.toml").write_text(RIGHT)
    found, path = Board.find("mine")
    assert path == own / "mine.toml"
    assert found.kernel_cmdline == "console=ttyAMA0,115200"


def test_every_mistake_at_once_in_the_file_that_has_it(own: Path) -> None:
    (own / "base.toml").write_text(RIGHT.replace("mine", "base") + 'packge = "x"\n')
    assert sorted(
        mistakes(
            own / "mine.toml",
            """
            name = "other"
            extends = "base"
            descripton = "x"
            suite = "Trixie"
            cmdline = "a\\nb"
            root-password = "secret"
            modules = ["virtio_net", "a b"]
            [console]
            device = "/dev/ttyS1"
            baud = 9600
            [[network.interface]]
            name = "eth0"
            address = "10.0.2.15/24"
            gateway = "10.0.3.1"
            [[image]]
            type = "cpoi"
            [[target]]
            type = "qmeu"
            """,
        )
    ) == [
        'base.toml: kernel.packge: unknown key; did you mean "package"?',
        (
            "mine.toml: cmdline: must be up to 1,980 printable ASCII characters on one line, not "
            '"a\\nb"'
        ),
        'mine.toml: console.baud: unknown key; did you mean "baudrate"?',
        (
            "mine.toml: console.device: must be a device's name without /dev/, such as ttyAMA0, "
            "not "
            '"/dev/ttyS1"'
        ),
        'mine.toml: descripton: unknown key; did you mean "description"?',
        'mine.toml: image[0].type: unknown kind "cpoi"; did you mean "cpio"?',
        (
            "mine.toml: modules[1]: must be a kernel module's name: letters, digits, _ and -, not "
            '"a b"'
        ),
        'mine.toml: name: must be "mine", as the file is called',
        "mine.toml: network.interface[0].gateway: 10.0.3.1 is outside the subnet 10.0.2.0/24",
        (
            "mine.toml: root-password: must be a hash, never the password itself; this makes one: "
            "openssl passwd -6"
        ),
        'mine.toml: suite: must be the code name of a Debian release, such as trixie, not "Trixie"',
        'mine.toml: target[0].type: unknown kind "qmeu"; did you mean "qemu"?',
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("arch", '"arm64"', 'must be "aarch64", not "arm64"'),
        ("description", '"a\\nb"', 'must be one line of text, not "a\\nb"'),
        ("suite", '"trixie; reboot"', "must be the code name of a Debian release"),
        ("root-password", '"$6$a:b"', "must be a hash"),
        ("root-password", '"$1$abc$def"', "must be a hash"),
        ("root-password", '"$y$j9T$abc$def"', "is yescrypt, which BusyBox does not know"),
        ("modules", '["-a"]', "must be a kernel module's name"),
        ("console", '{ baudrate = "fast" }', 'must be a whole number, not "fast"'),
        ("console", '{ login = "gety" }', 'must be "shell" or "getty", not "gety"; did you mean'),
        ("console", '{ user = "Root:" }', "must be a user's name"),
    ],
)
def test_a_wrong_value(own: Path, key: str, value: str, said: str) -> None:
    lines = [line for line in RIGHT.splitlines() if not line.strip().startswith(f"{key} =")]
    found = mistakes(own / "mine.toml", f"{key} = {value}\n" + "\n".join(lines))
    assert said in found[-1]
    assert found[-1].startswith(f"mine.toml: {key}")


def test_a_file_whose_name_can_be_no_board(own: Path) -> None:
    (line,) = mistakes(
        own / "My_Board.toml", RIGHT.replace('name = "mine"', 'name = "My_Board"', 1)
    )
    assert line == (
        "My_Board.toml: name: must be a board's name: small letters, digits and hyphens, not "
        '"My_Board"'
    )


@pytest.mark.parametrize("value", ["", "$5$salt$hash", "$6$rounds=5000$a/b.c$d"])
def test_a_root_password(own: Path, value: str) -> None:
    (own / "mine.toml").write_text(f'root-password = "{value}"\n' + RIGHT)
    assert Board.find("mine")[0].root_password == value


def test_what_is_missing(own: Path) -> None:
    assert mistakes(own / "mine.toml", "") == [
        f"mine.toml: {key}: is missing"
        for key in ("name", "description", "arch", "network", "kernel")
    ]


def test_a_name_is_never_inherited(own: Path) -> None:
    assert mistakes(own / "mine.toml", 'extends = "qemu-aarch64"') == [
        "mine.toml: name: is missing"
    ]


def test_an_unknown_base_hides_no_other_mistake(own: Path) -> None:
    text = 'name = "mine"\nextends = "raspberypi3"\n[console]\ndevice = "tty S"\n'
    assert mistakes(own / "mine.toml", text) == [
        'mine.toml: extends: no board is called "raspberypi3"; did you mean "raspberrypi3"?',
        (
            "mine.toml: console.device: must be a device's name without /dev/, such as ttyAMA0, "
            "not "
            '"tty S"'
        ),
    ]


def test_a_circle(own: Path) -> None:
    (own / "a.toml").write_text('name = "a"\nextends = "b"')
    assert mistakes(own / "b.toml", 'name = "b"\nextends = "a"') == [
        "a.toml: extends: goes round in a circle: b extends a extends b"
    ]


def test_ones_own_comes_first_and_may_extend_the_packaged_one(own: Path) -> None:
    (own / "qemu-aarch64.toml").write_text(
        'name = "qemu-aarch64"\nextends = "qemu-aarch64"\n[network]\nloopback = false\n'
    )
    found, path = Board.find("qemu-aarch64")
    assert path == own / "qemu-aarch64.toml"
    assert not found.network.loopback
    assert found.network.interface[0].name == "eth0"
    assert board.known()["qemu-aarch64"] == path


def test_an_unknown_board() -> None:
    with pytest.raises(ConfigError) as caught:
        Board.find("qemu-arch64")
    assert str(caught.value) == 'no board is called "qemu-arch64"; did you mean "qemu-aarch64"?'
    assert str(caught.value.hint).startswith("there are ")


# The JSON Schema


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(json.dumps(board.schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def wrong(validator: jsonschema.Draft202012Validator, text: str) -> Iterator[str]:
    for error in validator.iter_errors(tomllib.loads(text)):
        yield "/".join(map(str, error.absolute_path)) or error.message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_schema_takes_a_shipped_board(
    validator: jsonschema.Draft202012Validator, path: Path
) -> None:
    assert list(wrong(validator, path.read_text())) == []


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("packge = 1", "kernel"),
        ('[[image]]\ntype = "cpoi"', "image/0"),
        ('[[image]]\ncompression = "none"', "image/0"),
        (
            '[[network.interface]]\nname = "eth 0"\naddress = "10.0.0.1/24"',
            "network/interface/0/name",
        ),
        (
            '[[network.interface]]\nname = "eth0"\naddress = "10.0.0.1"',
            "network/interface/0/address",
        ),
        ('[console]\nlogin = "gety"', "console/login"),
        ("[console]\nbaudrate = '115200'", "console/baudrate"),
    ],
)
def test_the_schema_refuses(
    validator: jsonschema.Draft202012Validator, more: str, where: str
) -> None:
    assert list(wrong(validator, RIGHT)) == []
    assert list(wrong(validator, RIGHT + more)) == [where]


def test_the_schema_of_a_profile_that_extends(
    validator: jsonschema.Draft202012Validator,
) -> None:
    part = 'name = "mine"\nextends = "x"\n[network]\nloopback = false\n'
    assert list(wrong(validator, part)) == []
    assert list(wrong(validator, part.replace('extends = "x"\n', ""))) == [
        "'description' is a required property",
        "'arch' is a required property",
        "'kernel' is a required property",
        "network",
    ]
    assert list(wrong(validator, 'extends = "x"')) == ["'name' is a required property"]


def test_every_key_of_the_schema_is_described() -> None:
    schema: dict[str, Any] = board.schema()
    bare = [
        f"{name}.{key}"
        for name, table in [("", schema), *schema["$defs"].items()]
        for key, field in table.get("properties", {}).items()
        if key != "type" and "description" not in field
    ]
    assert bare == []
