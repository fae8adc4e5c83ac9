"""Templates without a browser."""

from service.web.templates import FOLDER, _environment


def test_every_template_names_only_filters_and_macros_that_there_are() -> None:
    environment = _environment()

    names = [path.name for path in FOLDER.glob("*.html")]

    assert len(names) > 10
    for name in names:
        environment.get_template(name)
