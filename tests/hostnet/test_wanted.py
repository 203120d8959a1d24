"""Which addresses are left for boards that ask."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from rootfs_tool.hostnet.wanted import Wanted


def wanted(address: str) -> Wanted:
    return Wanted(device="tap0", cable=False, address=address, uplink="none", dhcp=True, user=0)


@pytest.mark.parametrize("prefix", [8, 16, 24, 27, 28, 29, 30])
def test_leases_are_of_hosts_other_than_ours(prefix: int) -> None:
    subnet = IPv4Network(f"10.0.0.0/{prefix}")
    ours = [subnet[1], subnet[2], subnet[-2], subnet[-3], subnet[subnet.num_addresses // 2]]
    for address in ours:
        first, last = wanted(f"{address}/{prefix}").leases()
        assert subnet.network_address < first <= last < subnet.broadcast_address, address
        assert not first <= address <= last
        assert int(last) - int(first) < 100


def test_the_common_case() -> None:
    assert tuple(map(str, wanted("10.0.0.1/24").leases())) == ("10.0.0.155", "10.0.0.254")
