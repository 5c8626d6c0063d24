"""A small writer of SVG: every element escaped, every number of fixed form, so that the same plot is the same bytes."""

from collections.abc import Iterable, Sequence
from html import escape

Number = int | float
Point = tuple[Number, Number]


def number_text(value: Number) -> str:
    """Return a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Drawing:
    """One SVG image of `width` by `height` units; `title` is what a reader who cannot see it is told.

    Looks come from CSS classes, which the page defines, so that print and screen can differ.
    """

    def __init__(self, width: Number, height: Number, *, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []

    def line(self, start: Point, end: Point, css: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._element("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def rectangle(self, corner: Point, width: Number, height: Number, css: str) -> None:
        """Draw a rectangle from its upper left corner."""
        self._element("rect", css, x=corner[0], y=corner[1], width=width, height=height)

    def circle(self, centre: Point, radius: Number, css: str, *, label: str = "") -> None:
        """Draw a circle; `label` shows when it is pointed at."""
        self._element("circle", css, label=label, cx=centre[0], cy=centre[1], r=radius)

    def text(self, at: Point, content: str, css: str, *, anchor: str = "start") -> None:
        """Write `content` with its baseline at `at`; `anchor` is start, middle or end."""
        x, y = (number_text(value) for value in at)
        self._parts.append(f'<text class="{css}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>')

    def path(self, points: Sequence[Point], css: str) -> None:
        """Draw a line through all points."""
        if points:
            joined = " L".join(f"{number_text(x)} {number_text(y)}" for x, y in points)
            self._parts.append(f'<path class="{css}" d="M{joined}"/>')

    def bars(self, bars: Iterable[tuple[Point, Number, Number]], css: str) -> None:
        """Draw many rectangles, each (corner, width, height), as one path."""
        outline = "".join(
            f"M{number_text(x)} {number_text(y)}h{number_text(w)}v{number_text(h)}h{number_text(-w)}z"
            for (x, y), w, h in bars
        )
        if outline:
            self._parts.append(f'<path class="{css}" d="{outline}"/>')

    def render(self) -> str:
        """Return the image as an element for a page."""
        size = f"{number_text(self.width)} {number_text(self.height)}"
        title = escape(self._title)
        return (
            f'<svg viewBox="0 0 {size}" role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{title}</title>{''.join(self._parts)}</svg>"
        )

    def _element(self, name: str, css: str, *, label: str = "", **attributes: Number) -> None:
        written = "".join(f' {key}="{number_text(value)}"' for key, value in attributes.items())
        start = f'<{name} class="{css}"{written}'
        self._parts.append(f"{start}><title>{escape(label)}</title></{name}>" if label else f"{start}/>")


class Scale:
    """A linear map from values `low` to `high` onto coordinates `start` to `end`; what is outside is clamped."""

    def __init__(self, low: float, high: float, start: Number, end: Number) -> None:
        self.low = low
        self.high = high if high > low else low + 1
        self._start = start
        self._end = end

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self, about: int = 6, *, least_step: float = 0) -> list[float]:
        """Return round values on the scale, about that many, `least_step` or more apart."""
        rough = max((self.high - self.low) / about, least_step)
        power = 10.0 ** _floor_log10(rough)
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = -(-self.low // step)
        count = int((self.high - first * step) / step + 1e-9) + 1
        return [round((first + n) * step, 9) for n in range(count)]


def _floor_log10(value: float) -> int:
    exponent = 0
    while value >= 10:
        value, exponent = value / 10, exponent + 1
    while value < 1:
        value, exponent = value * 10, exponent - 1
    return exponent
