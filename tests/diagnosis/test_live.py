"""A board that is made faulty: the cause is found on it, and the line that mends it does."""

from __future__ import annotations

import re

import pytest

from rootfs_tool.diagnosis import asking
from tests.diagnosis.conftest import FaultyBoard
from tests.diagnosis.fault import HOST, Fault
from tests.diagnosis.faults import FAULTS

pytestmark = [pytest.mark.qemu, pytest.mark.network]

MENDED = {"lo-down", "wrong-netmask", "port-taken"}


@pytest.mark.parametrize("fault", [one for one in FAULTS if str(one) in MENDED], ids=str)
def test_the_line_that_mends_it_does(fault: Fault, faulty: FaultyBoard) -> None:
    assert fault.mends
    shell = faulty.bench.shell
    said, subject = faulty.fail(fault)
    (one,) = asking.why(
        shell, said, subject, network=fault.network, seen_host=HOST, reach=lambda port: None
    )
    assert one.rule == fault.rule
    line = re.split("; (?:for good|dmesg|or )", one.mend.removeprefix("on the board: "))[0]
    assert shell.run(line).status == 0
    again = shell.run(fault.command)
    faulty.undo(fault)
    assert again.status == 0, again.text
