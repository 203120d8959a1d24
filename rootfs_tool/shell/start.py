"""The agent's way onto the board: a program that takes it, which a line at the prompt takes.

Such a line is short, for a line editor draws each of its characters. Where the program does not
arrive whole, the line is one that takes it piece by piece.
"""

from __future__ import annotations

from importlib import resources

from rootfs_tool.shell import digest, typed
from rootfs_tool.shell.upload import Upload
from rootfs_tool.shell.wire import Answer, Wire

LONGEST_LINE = 4095  # characters that a terminal holds of one line; the rest is lost unseen

# All say how far they are with a byte that an echo cannot hold. The first takes one line.
_ASK = 'printf "\\036R\\n";IFS= read -r a;[ ${{#a}} = {length} ]&&eval "$a"'

# The others take lines that begin with where a piece belongs and with their own length, or are
# twice such a line: this one takes a piece after the other, and runs what is whole.
_SEED = (
    'a=;until [ ${{#a}} -ge {length} ];do printf "\\036T,${{#a}}\\n";IFS= read -r b||break;'
    'c=${{b%%~*}};[ "$b" = "$c~$c" ]&&case $c in "${{#a}},${{#c}}:"*)a=$a${{c#*:}};esac;done;'
    'eval "$a"'
)

# Takes the pieces in any order, in variables named after where they belong, and runs in a shell of
# its own with job control: bash has that only where its stderr is a terminal at first. What is
# whole is run when its digest agrees, whichever program the board has for that.
_LOADER = (
    "exec 2>/dev/null;mark={mark};flow={flow};settings=$(stty -g);"
    'trap "stty $settings" 0;trap exit INT;stty -echo -opost $flow -tostop icanon icrnl;a=;n=;'
    'while printf "\\036S$n,${{#a}}\\n";do if [ ${{#a}} -ge {length} ];then case '
    '$(printf %s "$a"|{{ md5sum||cksum||crc32; }}) in {digests}"")break;esac;a=;n=;continue;fi;'
    "b=$(dd bs=4096 count=1);c=${{b%%@*}};n=${{c%%,*}};"
    'case $b in "$c"|"$c@$c");;*)n=;esac;case $c in "$n,${{#c}}:"*);;*)n=;esac;'
    'case $n in ""|*[!0-9]*)n=;;*)eval "s$n=\\${{c#*:}}";'
    'while eval "c=\\$s${{#a}}";[ "$c" ];do a=$a$c;done;esac;done;'
    'eval "$(printf %b "$a")"'
)

# Where the prompt's shell has no job control there is no controlling terminal either.
_RUN = 'rt=\'{program}\';case $- in *m*)sh -mc "$rt";;*)setsid -c sh -mc "$rt"||sh -mc "$rt";;esac'


def agent() -> str:
    """The agent as one line: without comments, blank lines and indentation, and encoded."""
    source = resources.files("rootfs_tool.shell").joinpath("agent.sh").read_text()
    lines = (line.partition(" # ")[0].strip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def loader(mark: str, flow: str) -> str:
    """The line that takes the agent. ``flow`` is stty's word for the line's flow control."""
    text = agent()
    found = (digest.of(text.encode(), tool) for tool in ("md5sum", "cksum", "crc32"))
    digests = "".join(f"{one.partition('.')[0]}*|" for one in found)
    program = _LOADER.format(mark=mark, flow=flow, length=len(text), digests=digests)
    return _RUN.format(program=program)


def start(wire: Wire, flow: str, deadline: float, *, piecewise: bool = False) -> Answer | None:
    """Start the agent at a prompt; its first answer, or None when that was not a prompt.

    ``piecewise`` types short lines, which arrive whole now and then where a long one never does.
    ``deadline`` is a time.monotonic().
    """
    wire.forget()
    line = loader(wire.mark, flow)
    bring = _in_pieces if piecewise else _at_once
    if not bring(wire, line, deadline):
        return None
    upload = Upload(wire, agent(), "S", "@", wary=piecewise)
    answer = upload.until_answered(deadline)
    if answer is not None:
        wire.stream.boot_is_over()
        wire.copies = 3 if upload.wary else 2
    return answer


def _at_once(wire: Wire, line: str, deadline: float) -> bool:
    ask = " " + _ASK.format(length=len(line))
    return (
        typed.whole(wire, ask)
        and typed.answered(wire, b"R", deadline)
        and typed.whole(
            wire, line, end=b"\n"
        )  # a terminal that was left raw makes none of a return
    )


def _in_pieces(wire: Wire, line: str, deadline: float) -> bool:
    return typed.in_pieces(wire, _SEED.format(length=len(line))) and Upload(
        wire, line, "T", "~", wary=True, in_order=True
    ).until(b"S", deadline)
