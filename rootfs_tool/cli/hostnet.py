"""``rootfs-tool hostnet``."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import sys
from dataclasses import asdict

import click

from rootfs_tool import paths
from rootfs_tool.cli.progress import progress
from rootfs_tool.errors import ConfigError
from rootfs_tool.hostnet import hostnet
from rootfs_tool.hostnet.hostnet import Status
from rootfs_tool.hostnet.wanted import AUTO, Wanted

TAP = "tap0"
ADDRESS = "10.0.0.1/24"


@click.group("hostnet")
def command() -> None:
    """Set up this host's side of a board's network, and put back what was.

    A machine of QEMU's with `network = "tap0"`, or a board at the other end of a cable, is then in
    a real subnet with this host, and reaches the world through it.
    """


@command.command("up", short_help="Make the TAP, its address, forwarding and NAT.")
@click.option("--tap", metavar="NAME", help=f"The TAP to make.  [default: {TAP}]")
@click.option("--cable", metavar="IFACE", help="In place of a TAP: a port that a board is at.")
@click.option("--address", default=ADDRESS, show_default=True, help="This host's, there.")
@click.option(
    "--uplink",
    metavar="IFACE|auto|none",
    default=AUTO,
    show_default=True,
    help="The way to the world, by NAT; auto is that of the default route.",
)
@click.option("--dhcp", is_flag=True, help="Give addresses, and names, to boards that ask.")
@click.option("--user", metavar="NAME", help="Whose QEMU may use the TAP; by default sudo's.")
@click.option("--print", "as_lines", is_flag=True, help="Print it as a script, and do nothing.")
def up(
    tap: str | None,
    cable: str | None,
    address: str,
    uplink: str,
    dhcp: bool,
    user: str | None,
    as_lines: bool,
) -> None:
    """Make the TAP, its address, forwarding and NAT; the same again changes nothing.

    All of it is written down in /run/rootfs-tool before it is done, and `down` puts back what was,
    also after a crash. A firewall that would stop the boards' packets is left alone: it is said
    which lines let them through.
    """
    if tap is not None and cable is not None:
        raise click.UsageError("--tap and --cable exclude each other")
    wanted = Wanted(
        device=cable or tap or TAP,
        cable=cable is not None,
        address=address,
        uplink=uplink,
        dhcp=dhcp,
        user=_user(user),
    )
    with progress():
        if as_lines:
            click.echo("\n".join(hostnet.lines(wanted)))
            return
        _need_root()
        new = hostnet.up(wanted)
    if not new:
        click.echo(f"{wanted.device} is up already", err=True)
    for one in hostnet.status():
        if one.wanted.device == wanted.device:
            click.echo(_as_line(one))


@command.command("down")
@click.argument("device", required=False)
def down(device: str | None) -> None:
    """Put back what was before `up`, of DEVICE or of all."""
    _need_root()
    names = [device] if device else [one.wanted.device for one in hostnet.status()]
    with progress():
        done = [name for name in names if hostnet.down(name)]
    for name in done:
        click.echo(f"{name} is down, and all is as it was")
    if not done:
        what = f"{device} is not" if device else "nothing is"
        click.echo(f"{what} up by hostnet: nothing to do", err=True)


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(as_json: bool) -> None:
    """Show what is up. Exits 1 if something of it is missing."""
    found = hostnet.status()
    if as_json:
        click.echo(json.dumps([_as_object(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(_as_line(one))
        if not found:
            click.echo("nothing is up", err=True)
    sys.exit(any(one.missing or one.stale for one in found))


def _as_object(one: Status) -> dict[str, object]:
    first, last = one.wanted.leases()
    return {
        **asdict(one.wanted),
        "uplink": one.uplink,
        "leases": [str(first), str(last)] if one.wanted.dhcp else None,
        "carrier": one.carrier,
        "missing": list(one.missing),
        "stale": one.stale,
    }


def _as_line(one: Status) -> str:
    """Such as "tap0: 10.0.0.1/24, NAT to eth0, for anna, no carrier"."""
    wanted = one.wanted
    first, last = wanted.leases()
    parts = [
        wanted.address,
        f"NAT to {one.uplink}" if one.uplink else "no uplink",
        f"leases {first} to {last}" if wanted.dhcp else "",
        "" if wanted.cable else f"for {_name(wanted.user)}",
        "in use" if one.carrier else "no carrier" if wanted.cable else "not in use",
        f"MISSING: {', '.join(one.missing)}" if one.missing and not one.stale else "",
        "gone with a restart of this host" if one.stale else "",
    ]
    return f"{wanted.device}: {', '.join(filter(None, parts))}"


def _user(name: str | None) -> int:
    """Who may open the TAP: who is named, who called sudo, or who we are."""
    if name is None:
        caller = os.environ.get("SUDO_UID", "")
        return int(caller) if caller.isdecimal() else os.getuid()
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"--user {name}: there is no such user") from None


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _need_root() -> None:
    """Raise ConfigError with the line to type."""
    if os.geteuid() == 0:
        return
    raise ConfigError(
        "only root may change this host's network",
        hint=f"sudo {shlex.join([*paths.program(), *sys.argv[1:]])}",
    )
