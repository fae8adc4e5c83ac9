"""Archives that are broken, hostile or no archives of images: each refused by what is wrong, soon, and with nothing left behind."""

import gzip
import io
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from counterweight.contracts.messages import IngestRefused
from tests.ingest.conftest import Refuse, run
from tests.ingest.pictures import encoded, picture, plain, tarred, tarred_and_zipped, two_classes, zipped
from workers.ingest import members, unpacking

UNSAFE_NAMES = ["../cat/1.png", "a/../../1.png", "/etc/1.png", "C:\\cat\\1.png", "c:/cat/1.png", "cat\\1.png", "cat/\x071.png", "a" * 2000]


def _zip_with(info: zipfile.ZipInfo, content: bytes) -> bytes:
    buffer = io.BytesIO(zipped(two_classes()))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()


def _tar_with(info: tarfile.TarInfo, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, image in two_classes().items():
            plain_info = tarfile.TarInfo(name)
            plain_info.size = len(image)
            archive.addfile(plain_info, io.BytesIO(image))
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_a_name_that_leads_elsewhere_is_refused_in_a_zip_archive(name: str, refuse: Refuse) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name

    assert refuse(_zip_with(info, picture())).code == "unsafe_archive"


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_a_name_that_leads_elsewhere_is_refused_in_a_tar_archive(name: str, refuse: Refuse) -> None:
    assert refuse(_tar_with(tarfile.TarInfo(name), picture())).code == "unsafe_archive"


def test_a_nul_in_a_name_is_refused_in_a_zip_archive(refuse: Refuse) -> None:
    assert (
        refuse(zipped({"cat/1.png": picture(), "dog/x.png": picture(seed=1)}).replace(b"dog/x.png", b"dog/\0.png")).code == "unsafe_archive"
    )


def test_a_name_that_is_not_utf_8_is_refused(refuse: Refuse) -> None:
    assert refuse(tarred({"cat/1.png": picture(), "dog/x.png": picture(seed=1)}).replace(b"dog/x.png", b"dog/\xff.png")).code in (
        "unsafe_archive",
        "damaged_archive",
    )


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused_in_a_tar_archive(kind: bytes, refuse: Refuse) -> None:
    info = tarfile.TarInfo("cat/link.png")
    info.type, info.linkname = kind, "/etc/passwd"

    answer = refuse(_tar_with(info))

    assert answer.code == "unsafe_archive"
    assert "cat/link.png" in answer.detail


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused_in_a_zip_archive(kind: int, refuse: Refuse) -> None:
    info = zipfile.ZipInfo("cat/link.png")
    info.external_attr = (kind | 0o644) << 16

    assert refuse(_zip_with(info, b"/etc/passwd")).code == "unsafe_archive"


def test_a_sparse_member_is_refused(refuse: Refuse) -> None:
    info = tarfile.TarInfo("cat/hole.png")
    info.type = tarfile.GNUTYPE_SPARSE

    assert refuse(_tar_with(info)).code in ("unsafe_archive", "damaged_archive")


def test_a_name_twice_is_refused(refuse: Refuse) -> None:
    info = zipfile.ZipInfo("cat/./0.png")

    answer = refuse(_zip_with(info, picture(seed=99)))

    assert answer.code == "duplicate_member"
    assert "'cat/0.png'" in answer.detail


def test_an_encrypted_member_is_refused(refuse: Refuse) -> None:
    content = bytearray(zipped(two_classes()))
    at = content.find(b"PK\x01\x02")
    content[at + 8] |= 1

    assert refuse(bytes(content)).code == "encrypted_archive"


def test_a_member_of_an_unusual_compression_is_refused(refuse: Refuse) -> None:
    assert refuse(zipped(two_classes(), zipfile.ZIP_LZMA)).code == "unsupported_format"


def test_a_zip_bomb_is_refused_by_what_it_unpacks_to(refuse: Refuse) -> None:
    layers = {f"cat/{index}.png": bytes(30 << 20) for index in range(3)}

    assert refuse(zipped(layers, zipfile.ZIP_DEFLATED)).code in ("archive_bomb", "bad_image")


def test_members_that_share_their_bytes_are_refused_by_what_they_unpack_to(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 42.zip and its kin: the list of members points to the same bytes again and again."""
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1000)
    image = encoded(Image.new("RGB", (200, 200)), "BMP")
    whole = zipped({f"cat/{index:03}.bmp": image for index in range(40)}, zipfile.ZIP_DEFLATED)
    directory = whole.index(b"PK\x01\x02")
    entry_bytes = (len(whole) - 22 - directory) // 40
    first = whole.index(b"PK\x03\x04", 1)
    entries = [bytearray(whole[directory + entry_bytes * index : directory + entry_bytes * (index + 1)]) for index in range(40)]
    for entry in entries:
        entry[42:46] = bytes(4)
    end = bytearray(whole[-22:])
    struct.pack_into("<I", end, 16, first)

    answer = refuse(whole[:first] + b"".join(entries) + bytes(end))

    assert answer.code in ("archive_bomb", "damaged_archive")


def test_a_tar_bomb_is_refused_while_it_is_unpacked(refuse: Refuse) -> None:
    bomb = gzip.compress(tarred(two_classes()) + bytes(100 << 20))

    assert refuse(bomb).code == "archive_bomb"


def test_a_tar_header_that_announces_gigabytes_is_refused_before_they_are_read(refuse: Refuse) -> None:
    info = tarfile.TarInfo("cat/huge.png")
    info.size = 8 << 30
    huge_name = tarfile.TarInfo("././@LongLink")
    huge_name.type, huge_name.size = tarfile.GNUTYPE_LONGNAME, 8 << 30

    for header in (info, huge_name):
        assert refuse(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048)).code == "too_large_member"


def test_a_chain_of_tar_headers_is_refused(refuse: Refuse) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 5

    assert refuse((header.tobuf(tarfile.GNU_FORMAT) + b"name\0".ljust(512, b"\0")) * 5000).code == "damaged_archive"


def test_more_members_than_are_read_are_refused(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MEMBER_LIMIT", 5)

    assert refuse(zipped(two_classes())).code == "too_many_members"
    assert refuse(tarred(two_classes())).code == "too_many_members"


def test_a_list_of_members_without_end_is_refused_before_it_is_read(refuse: Refuse) -> None:
    content = bytearray(zipped(two_classes()))
    struct.pack_into("<I", content, len(content) - 10, 0xF0000000)

    assert refuse(bytes(content)).code == "too_many_members"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_archive_is_refused(share: float, refuse: Refuse) -> None:
    files = two_classes()

    for content in (zipped(files), tarred(files).rstrip(b"\0"), gzip.compress(tarred(files), mtime=0)):
        assert refuse(content[: int(len(content) * share)]).code == "damaged_archive"


def test_a_tar_archive_cut_between_two_files_is_refused(refuse: Refuse) -> None:
    """Nothing but the missing end tells that images are missing."""
    content = tarred(two_classes())
    at = content.index(b"dog/0.png")

    assert refuse(content[:at]).code == "damaged_archive"


def test_a_member_whose_checksum_differs_is_refused_by_name(refuse: Refuse) -> None:
    image = picture()
    content = zipped({"cat/1.png": image, "dog/1.png": picture(seed=1)}).replace(image, image[:-1] + b"!")

    answer = refuse(content)

    assert answer.code == "damaged_archive"
    assert "cat/1.png" in answer.detail


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cat/empty.png", b"", "the file is empty"),
        ("cat/drawing.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("cat/page.jpg", b"<!DOCTYPE html><script>alert(1)</script>", "a web page"),
        ("cat/words.png", b"hello", "none of JPEG, PNG"),
        ("cat/cut.png", picture(side=64)[:2000], "cat/cut.png"),
        ("cat/cut.jpg", picture(side=64, form="JPEG")[:700], "cat/cut.jpg"),
        ("cat/inner.zip", zipped(two_classes()), "none of JPEG, PNG"),
        ("cat/script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "none of JPEG, PNG"),
        ("cat/float.tiff", encoded(Image.new("F", (8, 8), 0.5), "TIFF"), "32 bits"),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_name(name: str, content: bytes, said: str, refuse: Refuse) -> None:
    answer = refuse(zipped({**two_classes(), name: content}))

    assert answer.code == "bad_image"
    assert name in answer.detail
    assert said in answer.detail


def test_an_image_that_is_also_a_web_page_is_only_its_pixels(refuse: Refuse) -> None:
    polyglot = picture(side=8, form="JPEG") + b"<script>alert(1)</script>"

    answer = refuse(zipped({"cat/1.jpg": polyglot, "cat/2.jpg": b"GIF89a/*" + polyglot}))

    assert answer.code == "bad_image"
    assert "cat/2.jpg" in answer.detail


def test_an_image_of_too_many_pixels_is_refused_by_its_header(refuse: Refuse) -> None:
    for width in (65_535, 8_000):
        header = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IEND\xaeB`\x82"

        answer = refuse(zipped({"cat/bomb.png": bomb, "dog/1.png": picture()}))

        assert answer.code == "too_many_pixels"
        assert "cat/bomb.png" in answer.detail


def test_more_pixels_in_all_than_can_be_kept_are_refused(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.ingest.image_source.PIXEL_BYTES_LIMIT", 1000)

    assert "options.image_size" in refuse(zipped(two_classes())).detail


def test_more_pixels_in_all_than_can_be_decoded_are_refused(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.ingest.image_survey.TOTAL_PIXEL_LIMIT", 200)

    assert refuse(zipped(two_classes())).code == "too_many_pixels"


def test_broken_notes_of_a_camera_do_not_stop_a_photograph(refuse: Refuse) -> None:
    noise = np.random.default_rng(0).bytes(3000)
    noted = picture(form="JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + noise)

    answer = refuse(zipped({"cat/1.jpg": noted, "cat/2.jpg": picture(form="JPEG")}))

    assert answer.code == "one_class"  # the images were read; that there is nothing to tell apart comes last


def test_images_in_no_folder_have_no_class(refuse: Refuse) -> None:
    answer = refuse(zipped({"1.png": picture(), "2.png": picture(seed=1)}))

    assert answer.code == "no_class"
    assert "labels.csv" in answer.detail


def test_folders_that_name_parts_alone_are_no_classes(refuse: Refuse) -> None:
    answer = refuse(zipped({"train/cat.1.png": picture(), "test/dog.1.png": picture(seed=1)}))

    assert answer.code == "no_class"


def test_one_class_is_refused(refuse: Refuse) -> None:
    assert refuse(zipped({"cat/1.png": picture(), "cat/2.png": picture(seed=1)})).code == "one_class"


def test_an_archive_of_nothing_but_litter_holds_no_images(refuse: Refuse) -> None:
    assert refuse(zipped({"cat/.DS_Store": b"x", "README.md": b"hello"})).code == "no_images"


def test_an_archived_table_is_to_be_unpacked(refuse: Refuse) -> None:
    answer = refuse(zipped({"bank.csv": b"a,b\n1,2\n"}))

    assert answer.code == "unsupported_format"
    assert "unpack" in answer.detail


def test_an_excel_workbook_is_told_from_images(refuse: Refuse) -> None:
    answer = refuse(zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"}))

    assert answer.code == "unsupported_format"
    assert "CSV" in answer.detail


def test_an_image_alone_is_to_be_put_into_an_archive(refuse: Refuse) -> None:
    assert "zip archive" in refuse(plain((8, 8))).detail


def test_the_option_of_another_format_is_refused(refuse: Refuse) -> None:
    assert refuse(zipped(two_classes()), format="csv").code == "format_mismatch"
    assert refuse(tarred(two_classes()), format="zip").code == "format_mismatch"


def test_a_count_of_a_million_members_is_refused_before_they_are_read(refuse: Refuse) -> None:
    whole = zipped(two_classes())
    long_end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 10**6, 10**6, 1000, 0)
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(whole) - 22, 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

    assert refuse(whole[:-22] + long_end + locator + end).code == "too_many_members"


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pack=st.sampled_from([zipped, lambda files: zipped(files, zipfile.ZIP_DEFLATED), tarred, tarred_and_zipped]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.floats(0.2, 1),
)
def test_whatever_bytes_are_damaged_the_answer_is_an_answer(
    pack: Callable[[dict[str, bytes]], bytes], changes: list[tuple[float, int]], kept: float, tmp_path: Path
) -> None:
    others = {f"cat/other.{form}": picture(form=form) for form in ("JPEG", "GIF", "WEBP")}
    files = two_classes(cats=2, dogs=2) | others
    content = bytearray(pack(files))
    for place, value in changes:
        content[int(place * len(content))] = value

    answer, folder = run(tmp_path, bytes(content[: max(int(kept * len(content)), 1)]))

    assert isinstance(answer, IngestRefused) or answer.facts.rows == 7
    shutil.rmtree(folder)
