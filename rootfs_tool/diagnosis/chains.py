"""All rules in their order, and what they make of a failure."""

from __future__ import annotations

from rootfs_tool.diagnosis import binding, interfaces, modules, programs, reach, system, tftp
from rootfs_tool.diagnosis.base import Diagnosis, Evidence, Rule

# Each rule of a chain rests on those before it: without a cable nobody answers. So the first that
# finds something has the cause, and what the rest would find only follows from it.
CHAINS: tuple[tuple[Rule, ...], ...] = (
    (interfaces.lo_down, reach.to_itself, binding.listens),
    (
        *(modules.driver, interfaces.addresses, interfaces.no_carrier, interfaces.gateway),
        *(interfaces.duplicate, reach.from_host),
        *(tftp.not_found, tftp.not_allowed, tftp.silent, system.names, reach.from_board),
    ),
    (binding.not_ours, binding.taken, binding.privileged),
    (
        *(programs.interpreter, programs.library, programs.other_machine),
        *(programs.not_allowed, programs.busy),
    ),
    (modules.no_module,),
    (system.clock,),
    (system.read_only, system.full),
)


def diagnose(evidence: Evidence) -> tuple[Diagnosis, ...]:
    """The causes that the rules find, each once; nothing where none knows."""
    found: dict[str, Diagnosis] = {}
    for chain in CHAINS:
        for rule in chain:
            if causes := list(rule(evidence)):
                found |= {one.cause: one for one in causes}
                break
    return tuple(found.values())
