"""Images over HTTP: an archive becomes a dataset, and a broken one says what is wrong with it."""

from tests.ingest.pictures import picture, tarred_and_zipped, two_classes, zipped
from tests.server import Server
from tests.training.images import shaded


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


def test_losses_are_compared_on_images(server: Server) -> None:
    dataset_id = server.upload(zipped(shaded({"dark": 40, "dim": 20, "light": 12})))
    training = {"max_epochs": 2, "batch_size": 16}

    jobs = [
        server.submit(dataset_id, learner={"kind": "auto"}, loss={"kind": kind}, training=training) for kind in ("cross_entropy", "focal")
    ]

    for job in map(server.finish, jobs):
        assert job["state"] == "succeeded", job["error"]
        assert job["spec"]["learner"] == {"kind": "resnet", "depth": 20, "width": 16, "augmentation": "crop_flip"}
        assert job["spec"]["exclude"] == ["file"]
        splits = server.read(f"/jobs/{job['id']}/evaluation")["splits"]
        assert {share["label"]: share["count"] for share in splits["test"]["classes"]} == {"dark": 8, "dim": 4, "light": 2}
        assert splits["test"]["metrics"]["macro_f1"]["value"] is not None


def test_a_plan_for_images_reckons_with_their_pixels(server: Server) -> None:
    dataset_id = server.upload(zipped(shaded({"dark": 40, "light": 12})))

    plan = server.client.post("/jobs?dry_run=true", json={"dataset_id": dataset_id, "learner": {"kind": "resnet", "depth": 32}}).json()

    assert "52 images of 3 x 8 x 8 bytes" in plan["memory"]["basis"]
