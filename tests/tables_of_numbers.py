"""Small tables made from nothing but a seed."""

import random


def two_blobs(rows: int = 600, positives: int = 60, seed: int = 0) -> bytes:
    """A CSV of two overlapping clouds: columns `a`, `b`, `colour` and the label `event` (`yes` for the rare one)."""
    source = random.Random(seed)
    lines = ["a,b,colour,event"]
    for row in range(rows):
        is_event = row < positives
        centre = 1.5 if is_event else 0.0
        colour = source.choice(["red", "green"] if is_event else ["green", "blue"])
        lines.append(f"{source.gauss(centre, 1):.6f},{source.gauss(-centre, 1):.6f},{colour},{'yes' if is_event else 'no'}")
    return "\n".join(lines).encode() + b"\n"
