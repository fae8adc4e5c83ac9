"""Archives of images become a table and a file of pixels: every image in its place, upright, in colour, of one size."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from counterweight.contracts.images import PIXELS_FILE, PIXELS_NAME
from tests.ingest.conftest import Read, Refuse, Result
from tests.ingest.pictures import encoded, picture, plain, tarred, tarred_and_zipped, two_classes, zipped


def _pixels(result: Result) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = load_file(result.path.with_name(PIXELS_FILE))[PIXELS_NAME]
    return found


@pytest.mark.parametrize("packed", [zipped, tarred, tarred_and_zipped])
def test_each_folder_is_a_class_and_each_image_a_row(packed: Callable[..., bytes], read: Read) -> None:
    result = read(packed(two_classes(cats=3, dogs=2)))

    assert (result.facts.kind, result.facts.rows, result.facts.image_size) == ("image", 5, 8)
    assert [(column.name, column.type) for column in result.facts.columns] == [
        ("image", "image"),
        ("file", "text"),
        ("label", "categorical"),
    ]
    assert (result.classes, result.facts.target, result.facts.positive_label) == ({"cat": 3, "dog": 2}, "label", "dog")
    assert result.column("file") == ["cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"]


def test_pixels_stand_in_the_order_of_the_rows_and_are_those_of_the_files(read: Read) -> None:
    files = two_classes()

    result = read(zipped(files))

    expected = [np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1) for content in files.values()]
    assert np.array_equal(_pixels(result), expected)


def test_equal_images_have_equal_cells_so_that_repeats_are_counted(read: Read) -> None:
    same = picture()

    result = read(zipped({"a/1.png": same, "a/2.png": same, "b/1.png": picture(seed=1)}))

    cells = result.column("image")
    assert cells[0] == cells[1] != cells[2]
    assert result.facts.columns[0].distinct == 2


def test_folders_above_the_classes_name_the_parts(read: Read) -> None:
    names = ["set/train/cat/1", "set/Valid/cat/2", "set/test/cat/3", "set/train/dog/1", "set/Valid/dog/2", "set/test/dog/3"]

    result = read(tarred({f"{name}.png": picture(seed=seed) for seed, name in enumerate(names)}))

    assert result.column("part") == ["train", "validation", "test"] * 2
    assert result.facts.part_classes["part"]["validation"] == {"cat": 1, "dog": 1}


def test_parts_that_only_some_folders_name_are_no_column_and_are_noted(read: Read) -> None:
    files = {"train/cat/1.png": picture(), "train/dog/1.png": picture(seed=1), "more/cat/2.png": picture(seed=2)}

    result = read(zipped(files))

    assert [column.name for column in result.facts.columns] == ["image", "file", "label"]
    assert any("more/cat/2.png" in note for note in result.facts.notes)


def test_labels_csv_labels_the_images_and_brings_its_other_columns(read: Read) -> None:
    files = {f"pictures/{index}.png": picture(seed=index) for index in range(3)}
    table = b"label;file;patient\nill;pictures/2.png;7\nwell;./pictures/0.png;7\nwell;pictures\\1.png;9\n"

    result = read(zipped({**files, "labels.csv": table}))

    assert result.column("label") == ["well", "well", "ill"]
    assert result.column("patient") == ["7", "9", "7"]
    assert result.facts.positive_label == "ill"


def test_labels_csv_may_lie_beside_the_images_in_a_folder(read: Read) -> None:
    files = {"birds/a.png": picture(), "birds/b.png": picture(seed=1), "birds/labels.csv": b"file,label\na.png,owl\nb.png,hen\n"}

    assert read(tarred(files)).column("label") == ["owl", "hen"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,class\n0.png,a\n1.png,b\n", "none named 'label'"),
        ("file,label\n0.png,a\n1.png,b\n1.png,b\n", "rows 2 and 3 are both about '1.png'"),
        ("file,label\n0.png,a\n1.png,b\n2.png,b\n", "names the file '2.png', which the archive does not hold"),
        ("file,label,image\n0.png,a,x\n1.png,b,x\n", "a column is named 'image'"),
        ("file,label\n0.png,a\n1.png\n", "Line 3 has 1 field"),
    ],
)
def test_a_labels_csv_that_does_not_fit_is_refused_at_its_flaw(table: str, said: str, refuse: Refuse) -> None:
    answer = refuse(zipped({"0.png": picture(), "1.png": picture(seed=1), "labels.csv": table.encode()}))

    assert "labels.csv" in answer.detail
    assert said in answer.detail


def test_an_image_without_a_line_in_labels_csv_is_refused_by_name(refuse: Refuse) -> None:
    answer = refuse(zipped({"0.png": picture(), "1.png": picture(seed=1), "labels.csv": b"file,label\n0.png,a\n"}))

    assert answer.code == "no_class"
    assert "'1.png'" in answer.detail


def test_an_image_with_an_empty_label_is_refused_by_name(refuse: Refuse) -> None:
    answer = refuse(zipped({"0.png": picture(), "1.png": picture(seed=1), "labels.csv": b"file,label\n0.png,a\n1.png,\n"}))

    assert answer.code == "missing_labels"
    assert "1.png" in answer.detail


def test_two_files_of_labels_are_refused(refuse: Refuse) -> None:
    files = {"a/0.png": picture(), "labels.csv": b"file,label\na/0.png,x\n", "a/labels.csv": b"file,label\n0.png,x\n"}

    assert refuse(zipped(files)).code == "bad_labels_file"


def test_a_class_may_be_called_as_missing_cells_are(read: Read) -> None:
    assert read(zipped({"NA/1.png": picture(), "null/1.png": picture(seed=1)})).classes == {"NA": 1, "null": 1}


def test_labels_are_renamed_as_asked(read: Read) -> None:
    result = read(zipped(two_classes()), rename_labels={"cat": "animal", "dog": "beast"}, positive_label="beast")

    assert result.classes == {"animal": 4, "beast": 4}


def test_images_of_several_sizes_become_squares_of_one_and_a_note_says_so(read: Read) -> None:
    result = read(zipped({"a/1.png": plain((100, 200)), "a/2.png": plain((90, 30)), "b/1.png": plain((300, 300))}))

    assert result.facts.image_size == 64
    assert _pixels(result).shape == (3, 3, 64, 64)
    assert any("3 sizes, from 90 x 30 to 300 x 300" in note for note in result.facts.notes)


def test_small_images_of_several_sizes_are_not_blown_up(read: Read) -> None:
    assert read(zipped({"a/1.png": plain((10, 20)), "b/1.png": plain((9, 9))})).facts.image_size == 10


def test_the_size_is_as_asked(read: Read) -> None:
    result = read(zipped(two_classes(side=32)), image_size=16)

    assert _pixels(result).shape == (8, 3, 16, 16)


def test_the_size_of_images_is_no_option_of_tables(refuse: Refuse) -> None:
    assert "options.image_size" in refuse("a,b,y\n1,2,no\n3,4,yes\n", target="y", image_size=16).detail


def test_a_wide_image_keeps_its_middle(read: Read) -> None:
    wide = Image.new("RGB", (24, 8), "red")
    wide.paste((0, 255, 0), (8, 0, 16, 8))

    result = read(zipped({"a/1.png": encoded(wide), "b/1.png": plain((8, 8))}), image_size=8)

    assert np.unique(_pixels(result)[0, 1]).tolist() == [255]
    assert np.unique(_pixels(result)[0, 0]).tolist() == [0]


def test_a_turned_photograph_is_set_upright(read: Read) -> None:
    seen = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).convert("RGB")
    notes = Image.Exif()
    notes[0x0112] = 6  # held so that it must be turned a quarter to the right
    stored = seen.transpose(Image.Transpose.ROTATE_90)

    result = read(zipped({"a/1.png": encoded(stored, "PNG", exif=notes), "b/1.png": plain((8, 8))}))

    assert np.array_equal(_pixels(result)[0, 0], np.asarray(seen)[:, :, 0])


def test_grey_palette_bilevel_and_cmyk_images_become_rgb(read: Read) -> None:
    files = {
        "a/grey.png": plain((8, 8), 77, mode="L"),
        "a/bilevel.png": plain((8, 8), 1, mode="1"),
        "b/palette.gif": encoded(Image.new("RGB", (8, 8), (255, 0, 0)).convert("P"), "GIF"),
        "b/cmyk.tiff": plain((8, 8), (0, 255, 255, 0), form="TIFF", mode="CMYK"),
    }

    result = read(zipped(files))

    assert _pixels(result)[:, :, 0, 0].tolist() == [[77, 77, 77], [255, 255, 255], [255, 0, 0], [255, 0, 0]]
    assert any("CMYK" in note and "b/cmyk.tiff" in note for note in result.facts.notes)


def test_transparent_pixels_are_laid_on_white(read: Read) -> None:
    result = read(zipped({"a/1.png": plain((8, 8), (9, 9, 9, 0), mode="RGBA"), "b/1.png": plain((8, 8), (9, 9, 9, 255), mode="RGBA")}))

    assert _pixels(result)[:, 0, 0, 0].tolist() == [255, 9]
    assert any("2 images have transparency" in note for note in result.facts.notes)


@pytest.mark.parametrize(("form", "suffix"), [("PNG", "png"), ("TIFF", "tiff"), ("PPM", "pgm")])
def test_of_sixteen_bits_the_upper_eight_are_read(form: str, suffix: str, read: Read) -> None:
    deep = Image.fromarray(np.full((8, 8), 0x4321, dtype=np.uint16))

    result = read(zipped({f"a/1.{suffix}": encoded(deep, form), "b/1.png": plain((8, 8))}))

    assert _pixels(result)[0, 0, 0, 0] == 0x43
    assert any("16 bits" in note for note in result.facts.notes)


def test_of_an_animation_the_first_frame_is_read(read: Read) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]

    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    result = read(zipped({"a/1.gif": moving, "b/1.png": plain((8, 8))}))

    assert _pixels(result)[0, :, 0, 0].tolist() == [255, 0, 0]
    assert any("1 image has several frames" in note for note in result.facts.notes)


def test_what_systems_leave_beside_images_is_left_out_and_noted(read: Read) -> None:
    litter = {".DS_Store": b"x", "__MACOSX/a/._1.png": b"x", "a/Thumbs.db": b"x", "README.md": b"# Cats"}

    result = read(zipped({**two_classes(), **litter}))

    assert result.facts.rows == 8
    assert any("README.md" in note and ".DS_Store" in note for note in result.facts.notes)


def test_of_ten_thousand_frames_the_first_is_read(read: Read) -> None:
    one = encoded(Image.new("P", (8, 8), 1), "GIF")
    frame = one[one.index(b",", 13 + 3 * 256) if b"," in one[13 + 3 * 256 :] else one.rindex(b",") : -1]

    assert read(zipped({"a/1.gif": one[:-1] + frame * 10_000 + b";", "b/1.png": plain((8, 8))})).facts.rows == 2


def test_names_that_differ_in_case_only_are_two_images(read: Read) -> None:
    """Nothing is unpacked, so that none can overwrite the other."""
    assert read(zipped({"a/x.png": picture(), "a/X.png": picture(seed=1), "b/1.png": picture(seed=2)})).facts.rows == 3
