"""Names of well-known ports, and of the protocols of raw sockets."""

from __future__ import annotations

import socket

from rootfs_tool.sockets import Kind

# What boards have; the rest is this host's /etc/services, which a lean host has not. The registry
# of service names is RFC 6335's.
_KNOWN = {
    22: "ssh",
    23: "telnet",
    53: "domain",
    67: "bootps",
    68: "bootpc",
    69: "tftp",
    80: "http",
    123: "ntp",
    443: "https",
    502: "modbus",
    514: "syslog",
    1883: "mqtt",
    5353: "mdns",
    5683: "coap",
}
_RAW = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 255: "raw"}  # RFC 5237
# Ports from here on are given to whoever asks for any: a name would be chance (RFC 6335, 6).
_ANYBODY = 49152


def name(port: int, protocol: Kind) -> str | None:
    """The name of a ``port``, or, of a raw socket, of the protocol that stands in its place."""
    if protocol == "raw":
        return _RAW.get(port)
    if port in _KNOWN:
        return _KNOWN[port]
    try:
        return socket.getservbyport(port, protocol) if 0 < port < _ANYBODY else None
    except OSError:
        return None
