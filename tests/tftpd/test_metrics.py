"""Figures in the format that Prometheus reads."""

from __future__ import annotations

import re
from pathlib import Path

from rootfs_tool.tftpd import metrics
from rootfs_tool.tftpd.base import Totals

TOTALS = Totals(
    begun=7, ended=4, failed=2, refused=3, bytes_sent=1 << 40, bytes_received=5, retransmissions=6
)


def parsed(text: str) -> dict[str, float]:
    """Every line is a comment of a known kind or a sample of a metric that has both."""
    samples = {}
    told: dict[str, set[str]] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if comment := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) .+", line):
            told.setdefault(comment[2], set()).add(comment[1])
            continue
        sample = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[a-z]+"\})? ([0-9.e+]+)', line)
        assert sample, line
        assert told[sample[1]] == {"HELP", "TYPE"}
        samples[sample[1] + (sample[2] or "")] = float(sample[3])
    return samples


def test_every_figure_is_there() -> None:
    assert parsed(metrics.text(TOTALS, active=1, started=1.7e9)) == {
        'rootfs_tool_tftp_requests_total{outcome="ended"}': 4,
        'rootfs_tool_tftp_requests_total{outcome="failed"}': 2,
        'rootfs_tool_tftp_requests_total{outcome="refused"}': 3,
        'rootfs_tool_tftp_bytes_total{direction="sent"}': 1 << 40,
        'rootfs_tool_tftp_bytes_total{direction="received"}': 5,
        "rootfs_tool_tftp_retransmissions_total": 6,
        "rootfs_tool_tftp_active_transfers": 1,
        "rootfs_tool_tftp_start_time_seconds": 1.7e9,
    }


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "tftp.prom"
    path.write_text("old\n")
    with path.open() as before:
        metrics.write(path, "new\n")
        assert before.read() == "old\n"
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]
