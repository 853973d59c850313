"""The paper that motifs are drawn on: shapes, tones derived from one colour, and a pattern to decorate with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

WHITE, BLACK = "#ffffff", "#1d1a16"
LEAF, LEAF_DARK, STEM = "#7f9c5f", "#5c7a45", "#6d8550"
WOOD, WOOD_DARK, STEEL, STEEL_DARK, BRASS = "#d2a870", "#a87b47", "#c3cbd0", "#8d979e", "#c9a24b"
PAPER, THREAD, COAL, SOIL = "#f7f1e3", "#fdfaf3", "#33312f", "#5a4232"
PETALS = ("#d9776a", "#e3b34c", "#8fa9d0", "#c78fb5", "#f2efe6")


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a `share` (0 to 1) of `other` in it."""
    pairs = ((int(colour[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(mine + (theirs - mine) * share):02x}" for mine, theirs in pairs)


class Sheet:
    """A square of 400 × 400. `seed` decides the details, `pick` hands them out one after the other."""

    def __init__(self, tone: str, seed: bytes) -> None:
        self.tone = tone
        self.light = mixed(tone, WHITE, 0.35)
        self.pale = mixed(tone, WHITE, 0.65)
        self.dark = mixed(tone, BLACK, 0.28)
        self.deep = mixed(tone, BLACK, 0.5)
        self._seed = int.from_bytes(seed, "big")
        # The first draw goes to the wall, so that neighbours in a list do not all stand before the same one.
        self._wall = (mixed(tone, "#fbf7ef", 0.86), "#f3ede1", "#e9eeec", "#f4e9e2")[self.pick(4)]
        self._lean = self.pick(41) - 20
        self._parts: list[str] = []
        self._clips = 0

    def pick(self, choices: int) -> int:
        """A number below `choices`."""
        self._seed, chosen = divmod(self._seed, choices)
        return chosen

    # Shapes

    def path(self, d: str, fill: str, opacity: float = 1) -> None:
        """A filled path."""
        self._parts.append(f'<path d="{d}" fill="{fill}"{_opacity(opacity)}/>')

    def line(self, d: str, colour: str, width: float = 4, opacity: float = 1) -> None:
        """A stroke along a path, with round ends."""
        self._parts.append(
            f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round" '
            f'stroke-linejoin="round"{_opacity(opacity)}/>'
        )

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str, opacity: float = 1) -> None:
        """An ellipse around (x, y)."""
        self._parts.append(f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}"{_opacity(opacity)}/>')

    def dot(self, x: float, y: float, r: float, fill: str, opacity: float = 1) -> None:
        """A circle around (x, y)."""
        self.oval(x, y, r, r, fill, opacity)

    def box(self, x: float, y: float, w: float, h: float, fill: str, r: float = 0, opacity: float = 1) -> None:
        """A rectangle with corners rounded by `r`."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}"{_opacity(opacity)}/>'
        )

    @contextmanager
    def moved(self, transform: str) -> Iterator[None]:
        """What is drawn inside is transformed: ``rotate(30 200 200)``."""
        self._parts.append(f'<g transform="{transform}">')
        yield
        self._parts.append("</g>")

    @contextmanager
    def within(self, d: str) -> Iterator[None]:
        """What is drawn inside is cut off at a path."""
        self._clips += 1
        self._parts.append(
            f'<clipPath id="c{self._clips}"><path d="{d}"/></clipPath><g clip-path="url(#c{self._clips})">'
        )
        yield
        self._parts.append("</g>")

    # What things are made of

    def shadow(self, x: float = 200, y: float = 322, rx: float = 110, ry: float = 14) -> None:
        """The shadow on the table under something that stands there."""
        self.oval(x, y, rx, ry, BLACK, 0.14)

    def body(self, d: str, fill: str = "url(#body)", *, decorated: bool = True) -> None:
        """A shape with light from the left and, if `decorated`, this picture's pattern."""
        self.path(d, fill)
        if decorated:
            with self.within(d):
                self.pattern()

    def pattern(self) -> None:
        """One of six patterns over the whole sheet; draw it within something."""
        kind, step = self.pick(6), 16 + 4 * self.pick(4)
        if kind == 0:
            self._speckles()
        elif kind == 1:
            top = 170 + 10 * self.pick(6)
            self.box(0, top, 400, step, self.pale, opacity=0.75)
            self.box(0, top + step + 6, 400, 5, self.pale, opacity=0.75)
        elif kind == 2:
            for y in range(100, 340, step):
                self.box(0, y, 400, step / 3, self.dark, opacity=0.3)
        elif kind == 3:
            for row, y in enumerate(range(100, 340, step + 6)):
                for x in range(40 + row % 2 * (step // 2), 380, step + 6):
                    self.dot(x, y, 4, self.pale, 0.8)
        elif kind == 4:
            self.path("M0 0H400V175Q350 190 300 178T200 180T100 178T0 182Z", self.pale, 0.55)
        else:
            for x in range(60, 360, step + 14):
                self.leaf(x, 300, 40, -90 + self._lean, self.pale, 0.7)
                self.leaf(x + 12, 240, 30, -60 + self._lean, self.pale, 0.55)

    def _speckles(self) -> None:
        for index in range(46):
            x = 60 + (index * 97 + self._lean * 13) % 280
            y = 90 + (index * 61 + self._lean * 7) % 240
            self.dot(x, y, 1.2 + index % 3 * 0.7, self.deep, 0.45)

    def grain(self, x: float, y: float, w: float, h: float, lines: int = 5) -> None:
        """Wood grain, as wavy lines along a rectangle."""
        for index in range(lines):
            at = y + h * (index + 0.7) / (lines + 0.4)
            sway = 4 + (index * 3 + self._lean) % 5
            self.line(f"M{x} {at:.1f}q{w / 4} {-sway} {w / 2} 0t{w / 2} 0", self.dark, 2, 0.35)

    def leaf(self, x: float, y: float, length: float, angle: float, fill: str = LEAF, opacity: float = 1) -> None:
        """A leaf from (x, y) in a direction in degrees; 0 is to the right, -90 up."""
        half = length * 0.28
        with self.moved(f"rotate({angle} {x} {y})"):
            self.path(f"M{x} {y}q{length / 2} {-half} {length} 0q{-length / 2} {half} {-length} 0Z", fill, opacity)

    def flower(self, x: float, y: float, r: float, fill: str) -> None:
        """Five petals around a yellow middle."""
        for turn in range(0, 360, 72):
            with self.moved(f"rotate({turn} {x} {y})"):
                self.oval(x, y - r * 0.7, r * 0.48, r * 0.62, fill)
        self.dot(x, y, r * 0.36, "#e8c25a")

    def document(self, title: str) -> str:
        """The whole picture; `title` is escaped already."""
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img">'
            f"<title>{title}</title><defs>"
            f'<linearGradient id="body"><stop offset="0" stop-color="{self.light}"/>'
            f'<stop offset=".45" stop-color="{self.tone}"/><stop offset="1" stop-color="{self.dark}"/></linearGradient>'
            f'<radialGradient id="glow"><stop offset="0" stop-color="#fff3c4" stop-opacity=".95"/>'
            '<stop offset="1" stop-color="#fff3c4" stop-opacity="0"/></radialGradient></defs>'
            f'<rect width="400" height="400" fill="{self._wall}"/>'
            f'<rect y="290" width="400" height="110" fill="{mixed(self._wall, BLACK, 0.07)}"/>'
            + "".join(self._parts)
            + "</svg>"
        )


Motif = Callable[[Sheet], None]


def _opacity(value: float) -> str:
    return "" if value == 1 else f' opacity="{value}"'
