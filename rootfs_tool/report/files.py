"""A report as a file: JSON for programs, JUnit XML for CI."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from rootfs_tool.bringup import CheckResult, Report

# What XML 1.0 can't carry, not even escaped (section 2.2, Char).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(report: Report) -> str:
    """All of the report; times are in seconds since the epoch."""
    table = {**asdict(report), "exit_code": report.exit_code}
    return json.dumps(table, indent=2) + "\n"


def to_junit(report: Report) -> str:
    """The <testsuite> that CI systems read; a broken check is an error, a failed one a failure."""
    count = {
        outcome: sum(one.outcome == outcome for one in report.results)
        for outcome in ("failed", "broken", "skipped")
    }
    suite = ET.Element(
        "testsuite",
        name=f"bringup {report.board}",
        tests=str(len(report.results)),
        failures=str(count["failed"]),
        errors=str(count["broken"]),
        skipped=str(count["skipped"]),
        time=f"{report.seconds:.3f}",
        timestamp=datetime.fromtimestamp(report.started, UTC).isoformat(timespec="seconds"),
    )
    for result in report.results:
        suite.append(_case(report, result))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(report: Report, result: CheckResult) -> ET.Element:
    case = ET.Element(
        "testcase", classname=report.board, name=_clean(result.name), time=f"{result.seconds:.3f}"
    )
    tags = {"failed": "failure", "broken": "error", "skipped": "skipped"}
    if result.outcome in tags:
        inner = ET.SubElement(
            case, tags[result.outcome], message=_clean(result.message.partition("\n")[0])
        )
        why = (f"cause: {one.cause}\nmend: {one.mend}" for one in result.diagnoses)
        inner.text = _clean("\n".join(filter(None, (result.message, result.hint, *why))))
    if result.output:
        ET.SubElement(case, "system-out").text = _clean(result.output)
    return case


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def save(report: Report, path: Path) -> None:
    """Write report.json, whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(to_json(report))
    new.replace(path)
