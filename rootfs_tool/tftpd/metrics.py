"""What the server has done so far, in numbers that Prometheus reads."""

from __future__ import annotations

from pathlib import Path

from rootfs_tool.tftpd.base import Totals

_PREFIX = "rootfs_tool_tftp"


def text(totals: Totals, *, active: int, started: float) -> str:
    """Prometheus' text format 0.0.4; ``started`` is in seconds since the epoch.

    ``active`` is the number of transfers that are under way.
    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    outcomes = {"ended": totals.ended, "failed": totals.failed, "refused": totals.refused}
    directions = {"sent": totals.bytes_sent, "received": totals.bytes_received}
    return "".join(
        (
            _metric("requests_total", "counter", "Requests by their outcome.", "outcome", outcomes),
            _metric("bytes_total", "counter", "Bytes of files.", "direction", directions),
            _metric(
                "retransmissions_total",
                "counter",
                "Times that something was sent again.",
                value=totals.retransmissions,
            ),
            _metric("active_transfers", "gauge", "Transfers that are under way.", value=active),
            _metric("start_time_seconds", "gauge", "When the server began.", value=started),
        )
    )


def _metric(
    name: str,
    kind: str,
    about: str,
    label: str = "",
    values: dict[str, int] | None = None,
    *,
    value: float = 0,
) -> str:
    lines = [f"# HELP {_PREFIX}_{name} {about}", f"# TYPE {_PREFIX}_{name} {kind}"]
    if values is None:
        lines.append(f"{_PREFIX}_{name} {value}")
    else:
        lines += [f'{_PREFIX}_{name}{{{label}="{one}"}} {n}' for one, n in values.items()]
    return "\n".join(lines) + "\n"


def write(path: Path, content: str) -> None:
    """Replace the file, so that whoever reads it finds all of it. Raises OSError.

    Until then it has a name that node_exporter's textfile collector passes over.
    """
    new = path.with_name(f".{path.name}.new")
    new.write_text(content)
    new.replace(path)
