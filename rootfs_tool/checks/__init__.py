"""Bring-up checks: one question asked of a running board."""

from typing import Annotated

from rootfs_tool.checks.address import Address
from rootfs_tool.checks.base import Check
from rootfs_tool.checks.command import Command
from rootfs_tool.checks.file import File
from rootfs_tool.checks.log import Log
from rootfs_tool.checks.loopback import Loopback
from rootfs_tool.checks.ping import Ping
from rootfs_tool.checks.port import Port
from rootfs_tool.checks.program import Program
from rootfs_tool.checks.reboot import Reboot
from rootfs_tool.checks.routes import Routes
from rootfs_tool.checks.service import Service, of_services
from rootfs_tool.checks.spawn import Spawn
from rootfs_tool.checks.tcp import Tcp
from rootfs_tool.model import Kinds
from rootfs_tool.network import Network

AnyCheck = Annotated[
    Check,
    Kinds(
        *(Address, Command, File, Log, Loopback, Ping, Port, Program, Reboot, Routes, Service),
        *(Spawn, Tcp),
    ),
]

__all__ = ["AnyCheck", "Check", "Program", "Reboot", "Spawn", "of_network", "of_services"]


def of_network(network: Network) -> tuple[Check, ...]:
    """What is asked of every board: is its network what the profile says?"""
    interfaces = tuple(Address(interface=one.name) for one in network.interface)
    beyond = (Routes(), Ping()) if interfaces else ()
    return (Loopback(), *interfaces, *beyond)
