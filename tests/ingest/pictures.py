"""Small images and archives of them, made in memory."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

Files = Mapping[str, bytes]


def picture(side: int = 8, *, seed: int = 0, form: str = "PNG", mode: str = "RGB", **settings: Any) -> bytes:
    """An image of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels).convert(mode), form, **settings)


def plain(size: tuple[int, int], colour: Any = (10, 20, 30), *, form: str = "PNG", mode: str = "RGB") -> bytes:
    """An image of one colour."""
    return encoded(Image.new(mode, size, colour), form)


def encoded(image: Image.Image, form: str = "PNG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def zipped(files: Files, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tarred_and_zipped(files: Files) -> bytes:
    return gzip.compress(tarred(files))


def two_classes(side: int = 8, cats: int = 4, dogs: int = 4) -> dict[str, bytes]:
    """A folder of cats and one of dogs, every image another."""
    files = {f"cat/{index}.png": picture(side, seed=index) for index in range(cats)}
    return files | {f"dog/{index}.png": picture(side, seed=1000 + index) for index in range(dogs)}
