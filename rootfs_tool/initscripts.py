"""The init files of a rootfs: templates/init becomes /init, /etc and /etc/init.d of a tree."""

from __future__ import annotations

import re
import shlex
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rootfs_tool import paths
from rootfs_tool.account import User, accounts, groups_of
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.network import Network
from rootfs_tool.service import Service, script
from rootfs_tool.tree import Device, Directory, File, Symlink, Tree

if TYPE_CHECKING:
    import jinja2

# template -> (where it goes, its mode)
FILES = {
    "inittab.j2": ("/etc/inittab", 0o644),
    "rcS.j2": ("/etc/init.d/rcS", 0o755),
    "rcK.j2": ("/etc/init.d/rcK", 0o755),
    "hostname.j2": ("/etc/hostname", 0o644),
    "hosts.j2": ("/etc/hosts", 0o644),
    "fstab.j2": ("/etc/fstab", 0o644),
    "resolv.conf.j2": ("/etc/resolv.conf", 0o644),
    "interfaces.j2": ("/etc/network/interfaces", 0o644),
    "udhcpc.script.j2": ("/etc/udhcpc/default.script", 0o755),
    "passwd.j2": ("/etc/passwd", 0o644),
    "group.j2": ("/etc/group", 0o644),
    "shadow.j2": ("/etc/shadow", 0o600),
    "profile.j2": ("/etc/profile", 0o644),
    "securetty.j2": ("/etc/securetty", 0o644),
    "shells.j2": ("/etc/shells", 0o644),
    "respawn.j2": ("/usr/lib/rootfs-tool/respawn", 0o755),
}

# Debian's merged /usr, so that its packages' /bin, /sbin and /lib land there; the two directories
# of programs are one, as nobody here has use for the difference. Daemons know /run by an old name.
LINKS = {
    "/bin": "usr/bin",
    "/sbin": "usr/bin",
    "/lib": "usr/lib",
    "/usr/sbin": "bin",
    "/var/run": "../run",
}

# Directories that must be there, because something is mounted on them or written to them.
DIRECTORIES = {
    **dict.fromkeys(("/dev", "/mnt", "/proc", "/run", "/sys"), 0o755),
    **dict.fromkeys(("/usr/bin", "/usr/lib", "/var/log", "/etc/init.d"), 0o755),
    "/root": 0o700,
    "/tmp": 0o1777,
    "/var/tmp": 0o1777,
}

# What BusyBox ifup and ifdown run the programs of, and fail without.
IFUPDOWN = tuple(f"/etc/network/if-{when}.d" for when in ("pre-up", "up", "down", "post-down"))

_SCRIPT = re.compile(r"S[0-9]{2}[A-Za-z0-9_-]+\.j2")
_ORIGIN = "the init files"


def skeleton(tree: Tree) -> None:
    """Add the directories, links and devices that are to be there before any package is."""
    for path, to in LINKS.items():
        tree.add(path, Symlink(to), origin=_ORIGIN)
    for path, mode in DIRECTORIES.items():
        tree.add(path, Directory(mode=mode), origin=_ORIGIN)
    # The kernel opens /dev/console for init before there is a devtmpfs.
    tree.add("/dev/console", Device(kind="char", major=5, minor=1), origin=_ORIGIN)
    tree.add("/dev/null", Device(kind="char", major=1, minor=3, mode=0o666), origin=_ORIGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """What the init files are made from: a board's facts, and what a recipe adds.

    ``root_password`` is a crypt(5) hash, empty for none, None for a locked root; ``root`` says
    where / is, as in a board's profile; ``services`` come with their order, as `ordered` gives.
    """

    network: Network
    line: Line
    modules: Sequence[str]
    root_password: str | None
    root: str = "ram"
    services: Sequence[tuple[int, Service]] = ()
    users: Sequence[User] = ()
    syslog: bool = False


def add(tree: Tree, how: Init) -> None:
    """Render every template of init into ``tree``; one that renders to nothing adds nothing.

    Raises ConfigError naming the template and its line.
    """
    templates = environment()
    values = {field.name: getattr(how, field.name) for field in fields(how)}
    values["accounts"], values["groups"] = accounts(how.users), groups_of(how.users)
    for name, (path, mode) in {**FILES, **_scripts()}.items():
        text = _render(templates, f"init/{name}", **values)
        if text.strip():
            tree.add(path, File(content=text.encode(), mode=mode), origin=f"the template {name}")
    known = {account.name: account for account in values["accounts"]}
    for order, service in how.services:
        account = known.get(service.user or "")
        text = _render(templates, "init/service.j2", service=service, account=account, **values)
        file = File(content=text.encode(), mode=0o755)
        tree.add(script(order, service), file, origin=f"service {service.name}")
    for directory in IFUPDOWN if how.network.net_tool == "ifupdown" else ():
        tree.add(directory, Directory(), origin=_ORIGIN)
    tree.add("/init", Symlink("sbin/init"), origin=_ORIGIN)


def scripts() -> dict[str, str]:
    """The S-scripts that templates make, by the name that a service would have."""
    return {path.stem[3:]: path.stem for path in map(Path, _scripts())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """How / is found on a card.

    ``root`` and ``data`` are partitions in /dev; with ``overlay`` changes to the root are laid over
    it, kept in ``data`` or, if that is None, lost. ``grow`` is the number of the last partition if
    it is to get the rest of the card, 0 if not. ``modules`` are loaded first, then ``wait`` is how
    many seconds a partition may take to appear.
    """

    root: str
    modules: Sequence[str]
    wait: int
    overlay: bool
    data: str | None
    grow: int


def early(tree: Tree, how: Early) -> None:
    """Render the init of an initramfs that finds the rootfs on the card and hands over to it."""
    values = {field.name: getattr(how, field.name) for field in fields(how)}
    text = render("init/early.j2", **values)
    tree.add("/init", File(content=text.encode(), mode=0o755), origin="the template early.j2")
    for path in ("/media", "/mnt"):
        tree.add(path, Directory(), origin=_ORIGIN)


def environment() -> jinja2.Environment:
    """Templates of the search path, first match wins; packaged/… is always the packaged one.

    No value gets into a file but through a filter that says what it is there: ``sh`` (a word of a
    shell command), ``line`` (text on one line), ``field`` (text between colons); or as a number.
    """
    import jinja2

    packaged = jinja2.FileSystemLoader(paths.packaged("templates"))
    own = jinja2.FileSystemLoader(list(paths.search_path("templates")))
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PrefixLoader({"packaged": packaged}), own]),
        undefined=jinja2.StrictUndefined,
        autoescape=True,  # only so that `_filtered` can tell what super() returns from plain text
        finalize=_filtered,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for html in ("e", "escape", "forceescape", "safe", "tojson", "urlize", "xmlattr"):
        del made.filters[html]
    made.filters.update(sh=sh, line=line, field=field)
    return made


class Filtered(str):
    """Text that has been through a filter; joined with other text it is plain text again."""

    __slots__ = ()


def sh(value: object) -> Filtered:
    """One word of a POSIX shell command, whatever is in it. Raises ValueError on a NUL."""
    text = str(value)
    if "\0" in text:
        raise ValueError(f"{text!r} holds a NUL character")
    return Filtered(shlex.quote(text))


def line(value: object) -> Filtered:
    """Text that cannot leave its line. Raises ValueError on a control character."""
    text = str(value)
    if not text.isprintable():
        raise ValueError(f"{text!r} holds a line break or another control character")
    return Filtered(text)


def field(value: object) -> Filtered:
    """Text that cannot leave its field of /etc/passwd. Raises ValueError on a colon too."""
    text = line(value)
    if ":" in text:
        raise ValueError(f"{text!r} holds a colon")
    return text


def _filtered(value: object) -> object:
    """Refuse what a template is about to write without having said what it is."""
    import jinja2
    from markupsafe import Markup

    match value:
        case Filtered():
            return Markup(value)
        case Markup() | int() | jinja2.Undefined():  # super(); a number; an error about to be made
            return value
        case _:
            raise ValueError(f"{str(value)!r} needs a filter: | sh, | line or | field")


def _scripts() -> dict[str, tuple[str, int]]:
    """The S?? templates of the search path, the user's own too."""
    found: dict[str, tuple[str, int]] = {}
    for directory in paths.search_path("templates"):
        for path in sorted((directory / "init").glob("S*.j2")):
            if _SCRIPT.fullmatch(path.name):
                found[path.name] = (f"/etc/init.d/{path.stem}", 0o755)
    return dict(sorted(found.items()))


def render(name: str, **values: object) -> str:
    """The text of a template, such as "boot/config.txt.j2". Raises ConfigError."""
    return _render(environment(), name, **values)


def _render(templates: jinja2.Environment, name: str, **values: object) -> str:
    import jinja2

    try:
        return templates.get_template(name).render(**values)
    except jinja2.TemplateNotFound as error:
        raise ConfigError(f"template {name}: there is no template {error.name}") from None
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.filename or error.name}: line {error.lineno}"
        raise ConfigError(f"{where}: {error.message}") from None
    except RecursionError:
        raise ConfigError(
            f"template {name} extends itself", hint=f'it can extend "packaged/{name}"'
        ) from None
    except jinja2.UndefinedError as error:
        raise ConfigError(
            f"{_where(error, name)}: {error}", hint=f"this template has {', '.join(sorted(values))}"
        ) from None
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{_where(error, name)}: {error}") from None


def _where(error: BaseException, name: str) -> str:
    """The file and line of a template that an error came out of."""
    frames: Iterator[traceback.FrameSummary] = reversed(traceback.extract_tb(error.__traceback__))
    for frame in frames:
        if Path(frame.filename).suffix == ".j2":
            return f"{frame.filename}: line {frame.lineno}"
    return f"template {name}"
