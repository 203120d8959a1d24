"""Names that are rewritten, and patterns that no name may keep busy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd.base import Code, Refused
from rootfs_tool.tftpd.names import LONGEST, rule, wanted


@pytest.mark.parametrize(
    ("rules", "name", "path"),
    [
        (["^/?tftpboot/="], b"/tftpboot/Image", b"Image"),
        (["^/?tftpboot/="], b"boot/tftpboot/Image", b"boot/tftpboot/Image"),
        ([r"^([0-9a-f]{8})/(.*)$=pi/\2"], b"1a2b3c4d/start4.elf", b"pi/start4.elf"),
        ([r"^(?P<mac>([0-9a-f]{2}-){5}[0-9a-f]{2})/=boards/\g<mac>/"], b"dc-a6-32-01-02-03/x",
         b"boards/dc-a6-32-01-02-03/x"),
        (["a=b", "b=c"], b"a", b"c"),
        (["a=b"], b"aa", b"ba"),
        ([r"^x\x3dy$=z"], b"x=y", b"z"),
        (["^x$=a=b"], b"x", b"a=b"),
        ([r"\\=/"], b"boot\\Image", b"boot/Image"),
        (["x=y"], b"\xff", b"\xff"),
        (["^(Image|zImage)$=kernel"], b"zImage", b"kernel"),
    ],
)  # fmt: skip
def test_a_name_is_rewritten_rule_by_rule(rules: list[str], name: bytes, path: bytes) -> None:
    assert wanted(name, [rule(one) for one in rules]).paths == (path,)


@pytest.mark.parametrize("name", [b"a" * LONGEST, b"a" * (LONGEST + 1)])
def test_a_name_is_as_long_as_a_request_at_most(name: bytes) -> None:
    if len(name) > LONGEST:
        with pytest.raises(Refused) as refused:
            wanted(name)
        assert refused.value.code is Code.NOT_FOUND
    else:
        assert wanted(name).paths == (name,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "not REGEX=REPLACEMENT"),
        ("=x", "not REGEX=REPLACEMENT"),
        ("(=x", "missing \\)"),
        (r"a=\1", "invalid group reference"),
        (r"a=\g<x>", "unknown group name"),
        ("(a+)+$=x", "for ever"),
        ("(a*)*=x", "for ever"),
        ("(a|aa)+$=x", "for ever"),
        ("(.*a){20}=x", "for ever"),
        ("((a+)b?){2,}=x", "for ever"),
        (".*.*.*x=y", "too many ways"),
        ("^.*.*.*x=y", "too many ways"),
        ("a?" * 30 + "a" * 30 + "=y", "too many ways"),
        ("^(a|a)(a|a)(a|a)(a|a)(a|a).*.*x=y", "too many ways"),
    ],
)
def test_a_bad_rule_is_said_before_anything_is_served(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rule(text)


@pytest.mark.parametrize(
    "pattern",
    ["^.*.*x?x?x?x?y", ".*y", "[^b]*.?.?y", "^(a?)(a?)(a?)(a?).*.*y", "a{1,500}.?.?.?.?y"],
)
def test_no_name_keeps_the_patterns_that_are_taken_busy(pattern: str) -> None:
    """Those that are not taken need minutes, or more than the age of the universe."""
    code = (
        "import sys; from rootfs_tool.tftpd.names import LONGEST, rule, wanted\n"
        "one = rule(sys.argv[1])\n"
        "for name in (b'a', b'ab', b'x'): wanted(name * (LONGEST // len(name)), [one])"
    )
    argv = [sys.executable, "-c", code, f"{pattern}=z"]
    subprocess.run(argv, check=True, timeout=30)
