"""config.txt as one model of Raspberry Pi reads it.

The form is that of raspberrypi.com/documentation/computers/config_txt.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rootfs_tool.firmware.bootfiles import BootFiles
from rootfs_tool.firmware.models import PiModel

LINE = 98  # characters of a line that the firmware reads
NAME = 64  # characters of a file's name after `include` and `initramfs`

_MODELS = re.compile(r"pi(0|0w|02|1|2|3|3\+|4|400|5|500)|cm(0|1|3|3\+|4|4s|5|5l)")
# True only of one board, or of what is plugged into it: what stands below them is not looked at.
_CIRCUMSTANCES = re.compile(
    r"0x[0-9a-f]+|gpio\d+=[01]|edid=.+|hdmi:[01]|tryboot|partition=\d+|boot_[a-z_]+=.+"
)
_SETTING = re.compile(r"([A-Za-z0-9_]+(?::\d+)?)=((?:\S.*)?)")
_INITRAMFS = re.compile(r"initramfs\s+(\S+)(?:\s+(followkernel|0x[0-9a-fA-F]+|\d+))?")


@dataclass(frozen=True, slots=True)
class Said:
    """``where`` is the file and the line, as "config.txt:7"."""

    value: str
    where: str


@dataclass(slots=True)
class Config:
    """The settings that count, the last of each name; the overlays in their order.

    ``mistakes`` is a sentence for each line that the firmware does not read as it was meant.
    """

    settings: dict[str, Said] = field(default_factory=dict)
    overlays: list[Said] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        said = self.settings.get(name)
        return default if said is None else said.value

    def where(self, name: str) -> str:
        """The line of a setting, with what an error puts behind it; nothing if it is not set."""
        said = self.settings.get(name)
        return "" if said is None else f"{said.where}: "

    def number(self, name: str, default: int = 0) -> int:
        """Decimal or 0x; the default for what is no number."""
        try:
            return int(self.get(name), 0)
        except ValueError:
            return default


def parse(files: BootFiles, model: PiModel, name: str = "config.txt") -> Config:
    """What ``name`` says to ``model``; nothing if there is no such file."""
    config = Config()
    if name in files:
        filters: dict[str, bool] = {}
        for where, line in _lines(files, name, config, filters, ()):
            if line.startswith("["):
                _filter(line, where, model, filters, config)
            elif all(filters.values()):
                _setting(line, where, config)
    return config


def _lines(
    files: BootFiles, name: str, config: Config, filters: dict[str, bool], above: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Each line that is not empty, with its place; those of included files in their place."""
    for number, raw in enumerate(files.text(name).splitlines(), start=1):
        where, line = f"{name}:{number}", raw.strip()
        if not line or line.startswith("#"):
            continue
        if len(line) > LINE:
            config.mistakes.append(
                f"{where}: has {len(line)} characters, and the firmware reads {LINE} of a line"
            )
        included = re.fullmatch(r"include\s+(\S+)", line)
        if included is None:
            yield where, line
        elif all(filters.values()):
            inner = included[1]
            if inner not in files:
                config.mistakes.append(f"{where}: there is no {inner} to include")
            elif inner in (name, *above):
                config.mistakes.append(f"{where}: {inner} includes itself")
            else:
                yield from _lines(files, inner, config, filters, (name, *above))


def _filter(
    line: str, where: str, model: PiModel, filters: dict[str, bool], config: Config
) -> None:
    """Take in a section's name: filters of one kind replace each other, others must hold too."""
    inside = re.fullmatch(r"\[\s*([^\]]*?)\s*\].*", line)
    name = inside[1].lower() if inside else ""
    board_type = re.fullmatch(r"board-type=(0x[0-9a-f]+|\d+)", name)
    if name == "all":
        filters.clear()
    elif name == "none":
        filters["none"] = False
    elif _MODELS.fullmatch(name):
        filters["model"] = name in model.filters
    elif board_type:
        filters["board-type"] = int(board_type[1], 0) == model.board_type
    elif _CIRCUMSTANCES.fullmatch(name):
        filters[re.split(r"[=:\dx]", name, maxsplit=1)[0]] = False
    else:
        filters["unknown"] = False
        config.mistakes.append(f"{where}: {line} is no filter that the firmware knows")


def _setting(line: str, where: str, config: Config) -> None:
    line = line[:LINE]
    setting, initramfs = _SETTING.fullmatch(line), _INITRAMFS.fullmatch(line)
    if initramfs:
        config.settings["ramfsfile"] = Said(initramfs[1], where)
        config.settings["ramfsaddr"] = Said((initramfs[2] or "0"), where)
        if len(initramfs[1]) > NAME:
            config.mistakes.append(f"{where}: the firmware reads {NAME} characters of a name here")
    elif re.match(r"initramfs\b", line):
        config.mistakes.append(
            f"{where}: must be `initramfs FILE followkernel`, or an address in the place of "
            f"followkernel, and without =; it is `{line}`"
        )
    elif setting is None:
        config.mistakes.append(f"{where}: `{line}` is not NAME=VALUE, without spaces around the =")
    elif setting[1] == "dtoverlay":
        name = setting[2].partition(",")[0].strip()
        if name:
            config.overlays.append(Said(name, where))
    else:
        config.settings[setting[1]] = Said(setting[2], where)
