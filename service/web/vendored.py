"""What in `static/vendor/` others wrote: which release, under which licence, and what its files hash to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Vendored:
    """An unpacked npm package; `files` maps names in `static/vendor/<folder>/` to SHA-256 digests."""

    folder: str
    package: str
    version: str
    licence: str
    files: dict[str, str]


VENDORED = [
    Vendored(
        folder="htmx",
        package="htmx.org",
        version="4.0.1",
        licence="0BSD",
        files={
            "LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
            "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
        },
    ),
    Vendored(
        folder="swagger-ui",
        package="swagger-ui-dist",
        version="5.35.0",
        licence="Apache-2.0",
        files={
            "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
            "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
            "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
            "swagger-ui-bundle.js.LICENSE.txt": "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb",
            "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
        },
    ),
    Vendored(
        folder="uplot",
        package="uplot",
        version="1.6.32",
        licence="MIT",
        files={
            "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
            "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
            "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        },
    ),
]
"""Taken byte for byte from the package; nothing of it is edited."""
