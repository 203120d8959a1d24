"""What takes the space in an image: a table for the terminal, a treemap as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rootfs_tool import paths
from rootfs_tool.imagesize import Usage
from rootfs_tool.printable import printable
from rootfs_tool.report.listing import bytes_of, columns

LEAST = 0.01  # of all: what takes less is one line together with its like
TINY = 0.0002  # of the map's area: what is smaller is not drawn by itself
WIDTH, HEIGHT = 16.0, 10.0  # of the map; only their ratio matters
NAME, EDGE = 0.28, 0.04  # of the same measure: a line of text, a margin


@dataclass(frozen=True, slots=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A file, or a directory around its tiles; ``colour`` is the hue of its uppermost directory."""

    usage: Usage
    name: str
    at: Rectangle
    colour: int
    depth: int


def images(sizes: Mapping[str, int]) -> list[str]:
    """A line for each image file and its size in bytes, the largest first."""
    rows = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))
    return columns([(bytes_of(size), name) for name, size in rows], right=(0,))


def table(whole: Usage, depth: int) -> list[str]:
    """A line for each directory and file down to ``depth``, the largest first, under a heading."""
    packed = whole.taken != whole.size
    heading = ("size", "in the image", "share", "path") if packed else ("size", "share", "path")
    rows: list[Sequence[str]] = [heading]
    for name, size, taken in _lines(whole, depth, 0, whole.taken or 1):
        share = f"{taken / (whole.taken or 1):.0%}"
        packed_size = (bytes_of(taken),) if packed else ()
        rows.append((bytes_of(size), *packed_size, share, name))
    return columns(rows, right=range(len(heading) - 1))


def _lines(one: Usage, depth: int, level: int, total: int) -> Iterator[tuple[str, int, int]]:
    yield "  " * level + (one.path or "all partitions"), one.size, one.taken
    if not depth:
        return
    large = [part for part in one.parts if part.taken >= LEAST * total]
    for part in large:
        yield from _lines(part, depth - 1, level + 1, total)
    small = one.parts[len(large) :]
    if small:
        size, taken = sum(part.size for part in small), sum(part.taken for part in small)
        yield "  " * (level + 1) + f"({len(small)} smaller)", size, taken


def page(whole: Usage, title: str) -> str:
    """A page that needs nothing else: a squarified treemap, each tile with its path and size."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(list(paths.search_path("templates"))),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(bytes_of=bytes_of, printable=printable)
    found = list(tiles(whole))
    template = templates.get_template("report/size.html.j2")
    return template.render(title=title, whole=whole, tiles=found, width=WIDTH, height=HEIGHT)


def tiles(whole: Usage) -> Iterator[Tile]:
    """Every tile that is large enough to be seen, directories before what is in them."""
    top = Tile(usage=whole, name="", at=Rectangle(0, 0, WIDTH, HEIGHT), colour=0, depth=0)
    todo = [top]
    while todo:
        tile = todo.pop()
        parts = [part for part in tile.usage.parts if part.taken]
        laid = enumerate(_laid(parts, _below_name(tile)))
        inner = [_inside(tile, part, at, index) for index, (part, at) in laid]
        inner = [one for one in inner if one.at.area >= TINY * WIDTH * HEIGHT]
        yield from inner
        todo += inner


def _below_name(tile: Tile) -> Rectangle:
    """The room for what is in a directory; a large one keeps some for its name and its edge."""
    at = tile.at
    if not tile.depth or at.width < 4 * NAME or at.height < 4 * NAME:
        return at
    return Rectangle(at.x + EDGE, at.y + NAME, at.width - 2 * EDGE, at.height - NAME - EDGE)


def _inside(tile: Tile, part: Usage, at: Rectangle, index: int) -> Tile:
    # the golden angle: all differ; from blue, for red would say that something is wrong
    colour = tile.colour if tile.depth else (210 + index * 137) % 360
    name = PurePosixPath(part.path).name or part.path
    return Tile(usage=part, name=name, at=at, colour=colour, depth=tile.depth + 1)


def _laid(parts: Sequence[Usage], into: Rectangle) -> Iterator[tuple[Usage, Rectangle]]:
    """Rectangles as near to squares as a greedy way gets them, by what each part takes.

    Bruls, Huizing, van Wijk: Squarified Treemaps (2000). ``parts`` come largest first.
    """
    left, total = list(parts), sum(part.taken for part in parts)
    while left:
        scale = into.area / total if total else 0.0
        side = min(into.width, into.height)
        count = 1
        while count < len(left) and _worst(left[: count + 1], side, scale) <= _worst(
            left[:count], side, scale
        ):
            count += 1
        row, left = left[:count], left[count:]
        taken = sum(part.taken for part in row)
        yield from _row(row, into, taken / total)
        into = _rest(into, taken / total)
        total -= taken


def _worst(row: Sequence[Usage], side: float, scale: float) -> float:
    """The largest ratio of a tile's sides, if the row stands along a side of that length."""
    areas = [part.taken * scale for part in row]
    total = sum(areas)
    if not total or not side:
        return float("inf")
    square = side * side
    return max(square * max(areas) / total**2, total**2 / (square * min(areas)))


def _row(row: Sequence[Usage], into: Rectangle, share: float) -> Iterator[tuple[Usage, Rectangle]]:
    """The parts along the shorter side, in that share of the room."""
    total, done = sum(part.taken for part in row), 0.0
    for part in row:
        along = part.taken / total
        if into.width >= into.height:
            y, height = into.y + done * into.height, along * into.height
            yield part, Rectangle(into.x, y, into.width * share, height)
        else:
            x, width = into.x + done * into.width, along * into.width
            yield part, Rectangle(x, into.y, width, into.height * share)
        done += along


def _rest(into: Rectangle, share: float) -> Rectangle:
    if into.width >= into.height:
        taken = into.width * share
        return Rectangle(into.x + taken, into.y, into.width - taken, into.height)
    taken = into.height * share
    return Rectangle(into.x, into.y + taken, into.width, into.height - taken)
