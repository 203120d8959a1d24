"""The program that has a console when we come to it: ended with as little harm as can be."""

from __future__ import annotations

from rootfs_tool.events import note
from rootfs_tool.shell.stream import Stream

# The keys that end a program or set it aside, the gentlest first, and what became of it then.
# Ctrl-Z comes early because it costs nobody anything: an editor's text is still there afterwards.
# At a prompt Ctrl-D would log out, which is the end of a board whose shell is its first process:
# so it is the last, when seconds have passed without a prompt.
_KEYS = (
    ("Ctrl-C", b"\x03", "was ended"),
    ("Ctrl-Z", b"\x1b\x1a", "was set aside: `fg` there goes on with it"),
    ("q", b"q", "was left"),
    ("Ctrl-\\", b"\x1c", "was killed"),
    (":q!", b"\x1b\x1b:q!\r", "was left, and what was not saved in it is gone"),
    ("Ctrl-X n", b"\x18n", "was left, and what was not saved in it is gone"),
    ("Ctrl-D", b"\x15\x04", "was told that its input ends"),
)


class Foremost:
    def __init__(self, stream: Stream) -> None:
        self.pressed: list[str] = []
        """The names of the keys that have been pressed."""

        self._stream = stream
        self._became = ""

    def press(self) -> bool:
        """Press the next of the keys; False when there is none left."""
        if len(self.pressed) == len(_KEYS):
            return False
        name, keys, self._became = _KEYS[len(self.pressed)]
        self.pressed.append(name)
        self._stream.forget()
        self._stream.write(keys)
        return True

    def leave_pager(self) -> None:
        self._became = "was left"
        self.pressed.append("q")
        self._stream.forget()
        self._stream.write(b"q")

    def tell(self) -> None:
        """Say what was done to a program, if one was there."""
        if self._became:
            note(f"a program had the console: it {self._became} ({self.pressed[-1]})")
