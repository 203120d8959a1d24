"""Up, down, and how it stands. Each change is written down, made, and undone in reverse."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rootfs_tool.errors import ConfigError, RootfsToolError
from rootfs_tool.events import note, step
from rootfs_tool.hostnet import journal, plan
from rootfs_tool.hostnet.changes import Change
from rootfs_tool.hostnet.journal import Journal
from rootfs_tool.hostnet.leases import Dnsmasq
from rootfs_tool.hostnet.links import links
from rootfs_tool.hostnet.nat import Nat
from rootfs_tool.hostnet.wanted import AUTO, Wanted

_UNSEEN = ["# as root, it is also printed what this host's firewall would need"]
CARRIER = 3.0  # seconds in which two ports agree on a speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``missing`` are the kinds of changes that are not in effect any more, and the uplink."""

    wanted: Wanted
    uplink: str | None
    stale: bool
    carrier: bool
    missing: tuple[str, ...]


def up(wanted: Wanted) -> bool:
    """Set it all up, or nothing. Returns False if it was there already.

    What was taken away since, such as a dnsmasq that has ended, is made again. Raises ConfigError
    with the reason why it may not be done, MissingToolError, CommandError.
    """
    with journal.locked():
        old = _current(wanted.device)
        if old is not None and old.whole:
            return _again(old, wanted)
        if old is not None:
            note(f"an earlier up or down of {wanted.device} was broken off: put back first")
            _undo(old)
        here = links()
        plan.refuse(wanted, here)
        out = plan.uplink(wanted, here)
        plan.see_through(wanted, out)
        changes = plan.plan(wanted, out, here)
        new = Journal(
            wanted=wanted,
            uplink=out,
            changes=(),
            whole=False,
            boot=journal.boot(),
            namespace=journal.namespace(),
        )
        try:
            with step(f"set up {wanted.device}"):
                for number, change in enumerate(changes, start=1):
                    new = replace(new, changes=changes[:number])
                    new.save()
                    change.do()
                replace(new, whole=True).save()
        except BaseException:
            _undo(new)
            raise
    if wanted.cable:
        _see_carrier(wanted.device)
    return True


def down(device: str) -> bool:
    """Put back what was before `up`. Returns False if there is nothing to put back.

    It may be called after a crash of `up` or of `down` at any point. Raises ConfigError,
    CommandError.
    """
    with journal.locked():
        old = _current(device)
        if old is None:
            return False
        with step(f"take down {device}"):
            _undo(old)
    return True


def status() -> list[Status]:
    """How every network that is up stands, as far as this user may see it."""
    found = []
    for one in journal.every():
        here = links()
        link = here.get(one.wanted.device)
        gone = ("uplink",) if one.uplink is not None and one.uplink not in here else ()
        found.append(
            Status(
                wanted=one.wanted,
                uplink=one.uplink,
                stale=one.stale,
                carrier=link is not None and link.carrier,
                missing=(*gone, *(change.kind for change in one.changes if _is_missing(change))),
            )
        )
    return found


def lines(wanted: Wanted) -> list[str]:
    """What `up` would do as a shell script, and what undoes it; nothing is changed.

    Where it would refuse for the sake of a firewall, the lines that let boards through come first;
    only root can see that.
    """
    here = links()
    if journal.read(wanted.device) is not None:
        raise ConfigError(
            f"{wanted.device} is up already", hint=f"rootfs-tool hostnet down {wanted.device}"
        )
    plan.refuse(wanted, here)
    out = plan.uplink(wanted, here)
    changes = plan.plan(wanted, out, here)
    back = [line for one in reversed(changes) for line in one.back()]
    return [
        "#!/bin/sh",
        "set -eu",
        *(plan.openings(wanted, out) if os.geteuid() == 0 else _UNSEEN),
        *(line for one in changes for line in one.lines()),
        "# and back:",
        *(f"#   {line}" for line in back),
    ]


def _current(device: str) -> Journal | None:
    """What was done, if it still is. Raises ConfigError if it was done in another network."""
    old = journal.read(device)
    if old is None:
        return None
    if old.stale:
        note(f"this host has been restarted since {device} was set up: nothing of it is left")
        old.drop()
        return None
    if old.namespace != journal.namespace():
        raise ConfigError(
            f"{device} was set up in another network namespace",
            hint=f"ip netns exec NAME rootfs-tool hostnet down; or, if that is gone: rm {old.path}",
        )
    return old


def _again(old: Journal, wanted: Wanted) -> bool:
    differ = plan.differences(old.wanted, wanted)
    if differ:
        raise ConfigError(
            f"{wanted.device} is up, but {', '.join(differ)}",
            hint=f"rootfs-tool hostnet down {wanted.device}, then the same again",
        )
    here = links()
    if old.uplink is not None and old.uplink not in here:
        raise ConfigError(
            f"{wanted.device} is up, but its uplink {old.uplink} is gone",
            hint=f"rootfs-tool hostnet down {wanted.device}, then the same again",
        )
    if wanted.uplink == AUTO and (now := plan.uplink(wanted, here)) != old.uplink:
        note(
            f"the default route led to {old.uplink or 'nowhere'}, and now to {now or 'nowhere'}: "
            "down and up follows it"
        )
    plan.see_through(wanted, old.uplink)
    return _mend(old)


def _mend(old: Journal) -> bool:
    """Make again what does not hold any more."""
    done = False
    for change in old.changes:
        if not _holds(change):
            with step(f"make {change.kind} of {old.wanted.device} again"):
                change.do()
            done = True
    return done


def _is_missing(change: Change) -> bool:
    """As far as this user may tell: rules and others' processes are for root to see."""
    seen = os.geteuid() == 0 or not isinstance(change, Nat | Dnsmasq)
    return seen and not _holds(change)


def _holds(change: Change) -> bool:
    try:
        return change.holds()
    except RootfsToolError:
        return False


def _undo(old: Journal) -> None:
    """In reverse order; what is behind us is taken from the journal, so that it may be killed."""
    left: Sequence[Change] = old.changes
    replace(old, whole=False).save()
    while left:
        *left, last = left
        if not plan.shared(last, old.wanted.device) and (said := last.undo()):
            note(said)
        replace(old, changes=tuple(left), whole=False).save()
    old.drop()


def _see_carrier(device: str) -> None:
    deadline = time.monotonic() + CARRIER
    while not (link := links().get(device)) or not link.carrier:
        if time.monotonic() > deadline:
            note(f"{device} has no carrier: is the cable in at both ends, and the board powered?")
            return
        time.sleep(0.1)
