"""Where the reader of image archives leaves pixels for trainers."""

PIXELS_FILE = "pixels.safetensors"
"""Beside the canonical table: one uint8 tensor `pixels` (rows, 3, side, side), in the order of the table's rows."""

PIXELS_NAME = "pixels"

IMAGE_COLUMN = "image"
"""The table's column of images: each cell is a digest of the row's pixels, so that equal images have equal cells."""

SMALLEST_SIDE, LARGEST_SIDE = 8, 256
"""What a user can ask images to be scaled to, in pixels."""

PIXEL_DIGEST_BYTES = 16
"""Of BLAKE2b over the bytes of an image's pixels, written in hexadecimal."""
