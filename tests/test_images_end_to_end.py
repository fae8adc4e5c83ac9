"""Images over HTTP: an archive becomes a dataset, and a broken one says what is wrong with it."""

from tests.ingest.pictures import picture, tarred_and_zipped, two_classes, zipped
from tests.server import Server


def test_an_archive_becomes_a_dataset_of_images(server: Server) -> None:
    dataset = server.read(f"/datasets/{server.upload(tarred_and_zipped(two_classes(cats=9, dogs=3)))}")

    assert (dataset["kind"], dataset["format"], dataset["rows"], dataset["image_size"]) == ("image", "tar", 12, 8)
    assert dataset["columns"][0] == {"name": "image", "type": "image", "missing": 0, "distinct": 12}
    assert (dataset["imbalance_ratio"], dataset["positive_label"]) == (3.0, "dog")


def test_a_broken_image_is_named(server: Server) -> None:
    answer = server.client.post("/datasets", files={"file": ("pets.zip", zipped({**two_classes(), "cat/cut.png": picture()[:60]}))})

    dataset = server.wait(f"/datasets/{answer.json()['id']}", lambda body: body["state"] != "processing")

    assert dataset["error"]["code"] == "bad_image"
    assert "cat/cut.png" in dataset["error"]["detail"]


def test_an_archive_as_the_body_itself_is_taken(server: Server) -> None:
    answer = server.client.post("/datasets?name=pets", content=zipped(two_classes(dogs=5)), headers={"Content-Type": "application/zip"})

    dataset = server.wait(f"/datasets/{answer.json()['id']}", lambda body: body["state"] != "processing")

    assert (dataset["state"], dataset["name"]) == ("ready", "pets")
