"""The table that a run of the console's benchmark prints, a row as soon as it is known."""

from __future__ import annotations

from dataclasses import dataclass, field

TOOLS = ("ours", "labgrid", "pexpect")
_WIDTHS = (46, 16, 24, 24, 26)


@dataclass(slots=True)
class Table:
    """``missed`` are the rows whose goal was not met."""

    missed: list[str] = field(default_factory=list)

    def head(self) -> None:
        self._print("", *TOOLS, "goal", "")

    def row(self, name: str, said: dict[str, str], goal: str, met: bool | None) -> None:
        """What each tool did; ``met`` is None where there is no goal to meet."""
        if met is False:
            self.missed.append(name)
        verdict = {True: "ok", False: "MISSED", None: ""}[met]
        self._print(name, *(said.get(tool, "-") for tool in TOOLS), goal, verdict)

    def ratio(self, name: str, seconds: dict[str, float | None], goals: dict[str, float]) -> None:
        """Medians in seconds, None where a tool never came to an end; ours over theirs at most."""
        ours = seconds["ours"]
        said = {tool: told(one) for tool, one in seconds.items()}
        met, goal = ours is not None, []
        for peer, most in goals.items():
            theirs = seconds.get(peer)
            if ours is None or theirs is None:
                goal.append(f"{most:.2f} x {peer}: beaten" if ours is not None else "an answer")
                continue
            met = met and ours <= most * theirs
            said[peer] += f" ({ours / theirs:.2f})"
            goal.append(f"{most:.2f} x {peer}")
        self.row(name, said, ", ".join(goal), met if goals else None)

    def _print(self, *cells: str) -> None:
        head = "".join(f"{cell:<{width}} " for cell, width in zip(cells[:-1], _WIDTHS, strict=True))
        print(f"{head}{cells[-1]}".rstrip(), flush=True)


def told(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
