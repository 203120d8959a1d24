"""Services as a person writes them, and every mistake in them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import recipe, service
from rootfs_tool.errors import ConfigError
from rootfs_tool.service import Service


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the checkout, and without templates or boards of this host's."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("ROOTFS_TOOL_PATH", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def mistakes(path: Path, text: str) -> list[str]:
    file = path / "recipe.toml"
    file.write_text(f'board = "qemu-aarch64"\n{text}')
    with pytest.raises(ConfigError) as caught:
        recipe.find(str(file))
    return [line.removeprefix(f"{file}: ") for line in str(caught.value).splitlines()]


def one(name: str, order: int | None = None) -> Service:
    return Service(name=name, command=f"/usr/bin/{name}", order=order, background=True)


def test_a_recipe_with_services(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("""
        board = "qemu-aarch64"
        [[user]]
        name = "web"
        [[service]]
        name = "aesdsocket"
        order = 99
        command = "/usr/bin/aesdsocket -d"
        pidfile = "/tmp/aesdsocket.pid"
        [[service]]
        name = "web_2-a"
        command = "/usr/bin/httpd -f -p '80 80' \\"it's\\""
        background = true
        respawn = true
        user = "web"
        environment = { LEVEL = "3" }
        directory = "/var/tmp"
        stop-timeout = 3
        """)
    found, _ = recipe.find(str(tmp_path / "recipe.toml"))
    aesdsocket, web = found.service
    assert found.all_services == found.service
    assert found.logs
    assert aesdsocket.argv == ("/usr/bin/aesdsocket", "-d")
    assert (aesdsocket.pid_path, web.pid_path) == ("/tmp/aesdsocket.pid", "/run/web_2-a.pid")
    assert web.argv == ("/usr/bin/httpd", "-f", "-p", "80 80", "it's")
    assert [service.script(*pair) for pair in service.ordered(found.service)] == [
        "/etc/init.d/S50web_2-a",
        "/etc/init.d/S99aesdsocket",
    ]


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([None, None], [(50, "a"), (51, "b")]),
        ([None, 50, None, 52], [(50, "b"), (51, "a"), (52, "d"), (53, "c")]),
        ([7, None, 0], [(0, "c"), (7, "a"), (50, "b")]),
    ],
)
def test_order(orders: list[int | None], expected: list[tuple[int, str]]) -> None:
    services = [one(name, order) for name, order in zip("abcd", orders, strict=False)]
    assert [(number, one.name) for number, one in service.ordered(services)] == expected


def test_more_services_than_orders(tmp_path: Path) -> None:
    services = [one(f"s{number}") for number in range(51)]
    assert len(service.ordered(services[:50])) == 50
    with pytest.raises(ConfigError, match="service s50: orders 50 to 99 are all taken"):
        service.ordered(services)
    text = "".join(
        f'[[service]]\nname = "{one.name}"\ncommand = "{one.command}"\nbackground = true\n'
        for one in services
    )
    assert mistakes(tmp_path, text) == [
        "service[50]: only 50 services can be without an order",
    ]


def test_an_order_that_is_given_is_not_free_for_another(tmp_path: Path) -> None:
    text = '[[service]]\nname = "{0}"\ncommand = "/bin/{0}"\nbackground = true\n'
    early = [f"{text.format(f'e{order}')}order = {order}\n" for order in range(10, 15)]
    fifty = "".join(text.format(f"s{number}") for number in range(50))
    (tmp_path / "recipe.toml").write_text(f'board = "qemu-aarch64"\n{fifty}{"".join(early)}')
    assert len(recipe.find(str(tmp_path / "recipe.toml"))[0].service) == 55
    assert mistakes(tmp_path, f"{fifty}{text.format('e')}order = 60\n") == [
        "service[50]: only 49 services can be without an order"
    ]


def test_a_pidfile_of_two(tmp_path: Path) -> None:
    """The second would find the first running and never start."""
    text = """
        [[service]]
        name = "a"
        command = "/usr/bin/a"
        pidfile = "/run/d.pid"
        [[service]]
        name = "b"
        command = "/usr/bin/a -2"
        pidfile = "/var/run/d.pid"
        [[service]]
        name = "d"
        command = "/usr/bin/d"
        background = true
        [[service]]
        name = "e"
        command = "/usr/bin/d"
        background = true
    """
    assert mistakes(tmp_path, text) == [
        'service[1].pidfile: service[0] "a" has /run/d.pid already',
        'service[2].pidfile: service[0] "a" has /run/d.pid already',
    ]


def test_a_pidfile_that_its_user_may_not_write(tmp_path: Path) -> None:
    text = """
        [[user]]
        name = "web"
        [[service]]
        name = "a"
        command = "/usr/bin/a"
        pidfile = "/run/{}.pid"
        user = "web"
    """
    assert mistakes(tmp_path, text.format("a")) == [
        (
            "service[0].pidfile: /run/a.pid is not for web to write; /run/a/… is, as that "
            "directory is made for it"
        ),
    ]
    (tmp_path / "recipe.toml").write_text(f'board = "qemu-aarch64"\n{text.format("a/a")}')
    assert recipe.find(str(tmp_path / "recipe.toml"))[0].service[0].pidfile == "/run/a/a.pid"


@pytest.mark.parametrize("syslog", ["true", "false"])
def test_a_system_log_for_its_own_sake(tmp_path: Path, syslog: str) -> None:
    (tmp_path / "recipe.toml").write_text(f'board = "qemu-aarch64"\nsyslog = {syslog}\n')
    found, _ = recipe.find(str(tmp_path / "recipe.toml"))
    assert found.logs is (syslog == "true")
    assert not recipe.find("qemu-aarch64")[0].logs


def test_every_mistake_at_once(tmp_path: Path) -> None:
    text = """
        [[user]]
        name = "web"
        authorized-key-files = ["gone.pub"]
        [[service]]
        name = "a"
        command = "/usr/bin/a"
        order = 60
        [[service]]
        name = "a"
        command = "a --fast"
        order = 60
        pidfile = "/run/a.pid"
        background = true
        [[service]]
        name = "b c"
        command = "/bin/b 'open"
        order = 100
        pidfile = "b.pid"
        respawn = true
        [[service]]
        name = "loopback"
        command = ""
        user = "wep"
        background = true
        environment = { "A-B" = "1" }
        [[service]]
        name = "e"
        command = "/bin/e >/dev/null && /bin/f"
        background = true
        user = "postgres"
        directory = "var"
        comand = 1
    """
    name = "a service's name: up to 32 letters, digits, _ and -, no hyphen first"
    path = "an absolute path on the board, without a slash behind"
    assert sorted(mistakes(tmp_path, text)) == sorted(
        [
            f"user[0].authorized-key-files[0]: there is no file {tmp_path}/gone.pub",
            'service[1].name: service[0] is called "a" already',
            'service[1].order: service[0] "a" has order 60 already; 50 is free',
            'service[1].command: must begin with an absolute path on the board, not "a"',
            "service[1].background: a daemon with a pidfile goes to the background itself: say one",
            (
                "service[0]: must say pidfile, the file that a daemon writes, or "
                "background = true, for a program that stays in the foreground"
            ),
            f'service[2].name: must be {name}, not "b c"',
            "service[2].command: is not what a shell could split: no closing quotation",
            "service[2].order: must be at most 99, not 100",
            f'service[2].pidfile: must be {path}, not "b.pid"',
            (
                "service[2].respawn: needs background = true: a daemon that forks leaves nobody "
                "to wait"
            ),
            "service[3].name: the script S05loopback is called loopback already",
            "service[3].command: is empty",
            'service[3].user: there is no user "wep"; did you mean "web"?',
            'service[3].environment: "A-B" is no name of a variable: letters, digits and _',
            (
                "service[4].command: no shell reads it, so && would be an argument; put it in "
                "/bin/sh -c '…'"
            ),
            'service[4].user: there is no user "postgres"; add one: [[user]] name = "postgres"',
            f'service[4].directory: must be {path}, not "var"',
            'service[4].comand: unknown key; did you mean "command"?',
        ]
    )


def test_a_table_where_an_array_is_wanted(tmp_path: Path) -> None:
    assert mistakes(tmp_path, '[service]\nname = "a"\n[user]\nname = 3\n') == [
        "service: must be an array of tables: write [[service]], not [service]",
        "user: must be an array of tables: write [[user]], not [user]",
    ]
    assert mistakes(tmp_path, 'service = [1]\nuser = ["a", {name = ["b"]}]\n') == [
        "service[0]: must be a table, not 1",
        'user[0]: must be a table, not "a"',
        "user[1].name: must be a text in quotes, not an array",
    ]
