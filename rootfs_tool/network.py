"""The board's network: interfaces, addresses, routes and names, as ifconfig and route want them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated

from pydantic import Field

from rootfs_tool.model import Model
