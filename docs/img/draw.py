"""Draws the pictures of docs/losses.md from the formula itself: `python docs/img/draw.py [FOLDER]` writes them beside this file.

Plain SVG, readable on a light and on a dark page; a test holds the committed files against what this writes.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterweight.contracts.loss_curves import loss_curve
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal, Ldam, LogitAdjusted, Poly
from counterweight.contracts.terms import ClassCounts, LossTerms, losses_by_class

ROWS, POINTS = 10_000, 3999
DENSE, EVERY = 20, 25
"""Of the points, the first few (where a loss is steep) and every so many are drawn."""
WIDTH, HEIGHT = 760, 330
TOP, BOTTOM, LEFT, GAP, PANEL = 74, 278, 58, 66, 306

STYLE = """
:root { --back: #ffffff; --ink: #1f2733; --soft: #5b6675; --grid: #e3e7ec; }
.s0 { --line: #7d8896; } .s1 { --line: #2563eb; } .s2 { --line: #0f8a6a; } .s3 { --line: #c76a06; } .s4 { --line: #b3246e; }
@media (prefers-color-scheme: dark) {
  :root { --back: #12161d; --ink: #e6eaf0; --soft: #a3adba; --grid: #2a313c; }
  .s0 { --line: #8f9aa8; } .s1 { --line: #6ea8ff; } .s2 { --line: #3fd0a8; } .s3 { --line: #ffb257; } .s4 { --line: #ff86bb; }
}
.back { fill: var(--back); } text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--soft); }
.title { font-size: 13px; font-weight: 600; fill: var(--ink); } .key { fill: var(--ink); }
.grid { stroke: var(--grid); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; }
.backdrop { fill: none; stroke: var(--soft); stroke-width: 1.2; }
.curve { fill: none; stroke: var(--line); stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.s0.curve { stroke-dasharray: 5 4; } .dot { fill: var(--line); stroke: var(--back); stroke-width: 1.5; }
"""


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; on a logarithmic one these and the ticks are the values themselves."""

    title: str
    low: float
    high: float
    ticks: Sequence[float]
    is_logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands, from 0 to 1."""
        scale = math.log if self.is_logarithmic else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


@dataclass(frozen=True)
class Panel:
    """One diagram: a curve for each name of the picture's key; a single point is a dot. `backdrop` is a curve without a name."""

    title: str
    x: Axis
    y: Axis
    curves: Sequence[Sequence[tuple[float, float]]]
    has_dots: bool = False
    backdrop: Sequence[tuple[float, float]] = ()


def picture(what: str, key: Sequence[str], panels: Sequence[Panel]) -> str:
    """Return an SVG of panels side by side under one key; the first curve, dashed, is what to compare with."""
    body = [_key(key)]
    for index, panel in enumerate(panels):
        body.append(_panel(panel, LEFT + index * (PANEL + GAP), index))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{what}">\n<title>{what}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="10"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _key(names: Sequence[str]) -> str:
    parts, x = [], float(LEFT)
    for index, name in enumerate(names):
        parts.append(f'<path class="curve s{index}" d="M{x:.1f} 24h22"/><text class="key" x="{x + 29:.1f}" y="28">{name}</text>')
        x += 29 + 6.3 * len(name) + 24
    return "\n".join(parts)


def _panel(panel: Panel, left: float, number: int) -> str:
    def at(x: float, y: float) -> tuple[float, float]:
        return left + PANEL * panel.x.place(x), BOTTOM - (BOTTOM - TOP) * panel.y.place(y)

    parts = [f'<clipPath id="c{number}"><rect x="{left - 1}" y="{TOP - 1}" width="{PANEL + 2}" height="{BOTTOM - TOP + 2}"/></clipPath>']
    parts.append(f'<text class="title" x="{left}" y="{TOP - 14}">{panel.title}</text>')
    for tick in panel.y.ticks:
        _, y = at(panel.x.low, tick)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{PANEL}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in panel.x.ticks:
        x, _ = at(tick, panel.y.low)
        parts.append(f'<path class="axis" d="M{x:.1f} {BOTTOM}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<path class="axis" d="M{left} {BOTTOM}h{PANEL}"/>')
    parts.append(f'<text x="{left + PANEL / 2}" y="{BOTTOM + 38}" text-anchor="middle">{panel.x.title}</text>')
    if panel.backdrop:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in panel.backdrop))
        parts.append(f'<path class="backdrop" d="M{line}"/>')
    for index, curve in enumerate(panel.curves):
        points = [at(*point) for point in curve]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path class="curve s{index}" clip-path="url(#c{number})" d="M{line}"/>')
        if panel.has_dots or len(points) == 1:
            parts += [f'<circle class="dot s{index}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    return "\n".join(parts)


P = Axis("probability of the true class, p_t", 0, 1, [0, 0.25, 0.5, 0.75, 1])
LOSS = Axis("", 0, 5, [0, 1, 2, 3, 4, 5])
PULL = Axis("", 0, 1.2, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2])


def _against_p(losses: Sequence[AnyLoss], positive_rows: int = ROWS // 2, *, of_positive: bool = True) -> list[list[tuple[float, float]]]:
    return [_points(loss, positive_rows, of_positive=of_positive) for loss in losses]


def _points(loss: AnyLoss, positive_rows: int, *, of_positive: bool) -> list[tuple[float, float]]:
    drawn = loss_curve(loss, ROWS, positive_rows, POINTS)
    return _drawn(drawn.p, (drawn.positive if of_positive else drawn.negative).loss)


def _drawn(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    points = list(zip(xs, ys, strict=True))
    return [*points[:DENSE], *points[DENSE:-DENSE:EVERY], *points[-DENSE:]]


def _pulls(losses: Sequence[AnyLoss]) -> list[list[tuple[float, float]]]:
    """Return the size of the gradient against p_t, for each loss."""
    drawn = [loss_curve(loss, ROWS, ROWS // 2, POINTS) for loss in losses]
    return [_drawn(each.p, [abs(value) for value in each.positive.gradient]) for each in drawn]


def _loss_and_pull(what: str, key: Sequence[str], losses: Sequence[AnyLoss], loss: Axis = LOSS, pull: Axis = PULL) -> str:
    return picture(what, key, [Panel("Loss", P, loss, _against_p(losses)), Panel("Size of the gradient", P, pull, _pulls(losses))])


def cross_entropy() -> str:
    smoothings = (0, 0.1, 0.3)
    losses = [CrossEntropy(label_smoothing=share) for share in smoothings]
    key = ["cross-entropy", *(f"label smoothing {share:g}" for share in smoothings[1:])]
    return _loss_and_pull("Cross-entropy, plain and with label smoothing, against the probability of the true class", key, losses)


def balanced_cross_entropy() -> str:
    counts = ClassCounts(("common", "rarer", "rarest"), (9000, 900, 100))
    schemes = {
        "unweighted": CrossEntropy(),
        "sqrt_inverse_frequency": BalancedCrossEntropy(weights="sqrt_inverse_frequency"),
        "effective_number": BalancedCrossEntropy(weights="effective_number"),
        "inverse_frequency": BalancedCrossEntropy(),
    }
    rows = Axis("rows of the class, of 10,000", 60, 15_000, [100, 900, 9000], is_logarithmic=True)
    weight = Axis("", 0.2, 60, [0.2, 1, 5, 20, 50], is_logarithmic=True)
    share = Axis("", 0, 1, [0, 0.25, 0.5, 0.75, 1])
    weights = [loss.terms(counts).weights for loss in schemes.values()]
    of_weights = [list(zip(counts.counts, each, strict=True)) for each in weights]
    of_shares = [[(n, w * n / counts.total) for n, w in each] for each in of_weights]
    panels = [
        Panel("Weight of a row", rows, weight, of_weights, has_dots=True),
        Panel("Share of the class in the whole weight", rows, share, of_shares, has_dots=True),
    ]
    return picture("Weights of three classes under each scheme", list(schemes), panels)


def focal() -> str:
    gammas = (0, 0.5, 1, 2, 5)
    key = ["gamma 0 (cross-entropy)", *(f"gamma {gamma:g}" for gamma in gammas[1:])]
    return _loss_and_pull("Focal loss and its gradient for five gammas", key, [Focal(gamma=gamma) for gamma in gammas], pull=_pull_to(1.4))


def logit_adjusted() -> str:
    losses = [LogitAdjusted(tau=tau) for tau in (0, 0.5, 1)]
    panels = [
        Panel("Loss of a row of the rare class (1%)", P, _loss_to(8), _against_p(losses, ROWS // 100)),
        Panel("Loss of a row of the common class (99%)", P, _loss_to(8), _against_p(losses, ROWS // 100, of_positive=False)),
    ]
    key = ["tau 0 (cross-entropy)", "tau 0.5", "tau 1 (balanced softmax)"]
    return picture("Logit-adjusted loss of a rare and of a common class", key, panels)


def ldam() -> str:
    counts = ClassCounts(("common", "rare"), (9900, 100))
    with_margins = Ldam().terms(counts)
    without = LossTerms(with_margins.weights, with_margins.shift, (0.0, 0.0), scale=with_margins.scale)
    lead = Axis("lead of the true class's cosine over the other's", -1, 1, [-1, -0.5, 0, 0.5, 1])
    rows = Axis("rows of the class, for each row of the rarest", 1, 1000, [1, 10, 100, 1000], is_logarithmic=True)
    sizes = [10 ** (exponent / 40) for exponent in range(121)]
    margin = Axis("", 0, 0.6, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    common, rare = with_margins.margin
    dots = [[(1.0, 0.0), (1000.0, 0.0)], [(1.0, rare)], [(99.0, common)]]
    panels = [
        Panel("Margin", rows, margin, dots, backdrop=[(size, rare * size**-0.25) for size in sizes]),
        Panel(
            "Loss at scale 30",
            lead,
            Axis("", 0, 30, [0, 5, 10, 15, 20, 25, 30]),
            [_along(lead, lambda x: _of(x, without, 1)), _along(lead, lambda x: _of(x, with_margins, 1)), _common(lead, with_margins)],
        ),
    ]
    key = ["no margin", "the rarest class", "a class of 99 times its rows"]
    return picture("LDAM: the margin of a class by its rows, and the loss with it", key, panels)


def poly() -> str:
    epsilons = (0, -0.9, 1, 3)
    key = ["epsilon 0 (cross-entropy)", *(f"epsilon {epsilon:g}" for epsilon in epsilons[1:])]
    losses = [Poly(epsilon=epsilon) for epsilon in epsilons]
    return _loss_and_pull("Poly-1 and its gradient for four epsilons", key, losses, _loss_to(8), _pull_to(1.6))


def _loss_to(high: int) -> Axis:
    return Axis("", 0, high, range(0, high + 1, 2))


def _pull_to(high: float) -> Axis:
    return Axis("", 0, high, [tick / 5 for tick in range(round(high * 5) + 1)])


def _along(axis: Axis, value: Callable[[float], float]) -> list[tuple[float, float]]:
    grid = [axis.low + (axis.high - axis.low) * step / 200 for step in range(201)]
    return [(x, value(x)) for x in grid]


def _of(lead: float, terms: LossTerms, true_class: int) -> float:
    logits = [0.0, 0.0]
    logits[true_class] = lead
    return losses_by_class(logits, terms)[true_class]


def _common(lead: Axis, terms: LossTerms) -> list[tuple[float, float]]:
    return _along(lead, lambda x: _of(x, terms, 0))


PICTURES = (cross_entropy, balanced_cross_entropy, focal, logit_adjusted, ldam, poly)

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for draw in PICTURES:
        (folder / f"{draw.__name__}.svg").write_text(draw(), encoding="utf-8")
