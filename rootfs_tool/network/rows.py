"""Reading an array of tables that may be models already, or may hold anything."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any


def text(row: Any, key: str) -> str:
    """What a table says under ``key``, as text; empty if nothing."""
    value = _value(row, key)
    return "" if value is None or isinstance(value, list | tuple | dict) else str(value)


def texts(row: Any, key: str) -> list[str]:
    """What a table says under ``key``, where that is one text or an array of them."""
    value = _value(row, key)
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [text(row, key)] if text(row, key) else []


def plain(address: str) -> str:
    """An address as Python writes it, so that two ways to write one are the same text."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def table(row: Any, key: str) -> Any:
    """The table under ``key``, None if there is none."""
    value = _value(row, key)
    return None if isinstance(value, str | int | float | list) else value


def _value(row: Any, key: str) -> Any:
    return row.get(key) if isinstance(row, dict) else getattr(row, key.replace("-", "_"), None)
