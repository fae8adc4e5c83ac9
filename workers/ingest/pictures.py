"""One image file: what it is, by its content, and its pixels as a square of bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from workers.ingest.errors import Unreadable, shown

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
PIXEL_LIMIT = 50_000_000
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MARKUP = (b"<svg", b"<?xml", b"<!doctype", b"<html")

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """What the header of an image tells. `remarks` say what reading it as three colours of eight bits changes or leaves out."""

    width: int
    height: int
    remarks: tuple[str, ...]


def look_at(content: bytes, name: str) -> Look:
    """Return what an image is without decoding it; Unreadable, by its name, when it is none or has too many pixels."""
    with _opened(content, name) as image:
        found = {
            "several frames, of which the first was read": getattr(image, "is_animated", False),
            "transparency, which was laid on white": image.has_transparency_data,
            "16 bits a colour, of which the upper 8 were read": image.mode.startswith("I"),
            "CMYK colours, which were turned into RGB without a profile": image.mode == "CMYK",
        }
        return Look(image.width, image.height, tuple(remark for remark, applies in found.items() if applies))


def pixels_of(content: bytes, name: str, side: int) -> Pixels:
    """Return an image as (3, side, side): upright, in RGB, its shorter side scaled to `side` and the longer cut around its middle."""
    with _opened(content, name) as image:
        # A photograph is decoded at a half, quarter or eighth of its size where that is enough by far.
        image.draft(None, (2 * side, 2 * side))
        upright = _turned(image)
        square = upright if upright.size == (side, side) else ImageOps.fit(_in_colour(upright), (side, side), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(_in_colour(square)).transpose(2, 0, 1))


@contextmanager
def _opened(content: bytes, name: str) -> Iterator[Image.Image]:
    """Open an image; everything that goes wrong with it, here or later, is told by its name."""
    if not content:
        raise _bad(name, "the file is empty")
    if content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        raise _bad(name, "it is SVG, XML or a web page; draw it as PNG")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise _too_many_pixels(name, f"{image.width} x {image.height} pixels")
            yield image
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise _bad(name, f"its content is of none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, "far too many pixels") from None
    except Exception as error:  # Whatever a decoder raises on bytes of unknown make: none of it is a flaw of ours.
        raise _bad(name, f"{type(error).__name__}: {error}") from None


def _turned(image: Image.Image) -> Image.Image:
    """Return the image as it is meant to be seen."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Broken notes of a camera do not make the picture worthless.
        return image
    way = _UPRIGHT.get(orientation)
    return image if way is None else image.transpose(way)


def _in_colour(image: Image.Image) -> Image.Image:
    """Return the image in RGB."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are numbers of 32 bits; save it with 8 or 16 bits a colour")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def _bad(name: str, why: str) -> Unreadable:
    return Unreadable("bad_image", f"{shown(name)} cannot be read as an image: {why[:200]}. Mend the file, or remove it.")


def _too_many_pixels(name: str, found: str) -> Unreadable:
    return Unreadable("too_many_pixels", f"{shown(name)} has {found}; at most {PIXEL_LIMIT:,} can be read. Make it smaller.")
