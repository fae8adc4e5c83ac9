"""Make counterweight/data/digits-rare.csv, the data of `counterweight demo`, from the digits that scikit-learn ships.

Run as `python examples/digits_rare.py FILE`. Only every third eight is kept, so that eights are rare; the other digits become one
class. No seed is involved: the file is the same each time.
"""

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_digits

RARE_DIGIT = 8
KEEP_EVERY = 3
SIDE = 8


def write(path: Path) -> None:
    """Write a column of 0 to 16 for each pixel, and `digit`: `8` or `other`."""
    digits = load_digits()
    eights_seen = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(f"row{row}_column{column}" for row in range(SIDE) for column in range(SIDE)), "digit"])
        for pixels, digit in zip(digits.data.astype(int), digits.target, strict=True):
            if digit == RARE_DIGIT:
                eights_seen += 1
                if eights_seen % KEEP_EVERY != 1:
                    continue
            writer.writerow([*pixels, "8" if digit == RARE_DIGIT else "other"])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
