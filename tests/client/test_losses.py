"""Losses from the client and the command line, against a real service."""

import json

import pytest

from counterweight.client import Client
from counterweight.contracts.losses import LOSS_KINDS, Ldam, LogitAdjusted
from counterweight.errors import Invalid
from tests.client.conftest import CommandLine


def test_the_client_lists_resolves_and_draws(client: Client, dataset_id: str) -> None:
    assert [card.kind for card in client.losses.list()] == list(LOSS_KINDS)
    assert client.losses.resolve(dataset_id=dataset_id, loss=LogitAdjusted(tau=0.5)).requested == LogitAdjusted(tau=0.5)
    assert client.losses.curve("ldam", max_margin=0.3, points=3).requested == Ldam(max_margin=0.3)


def test_the_client_points_at_a_wrong_parameter(client: Client) -> None:
    with pytest.raises(Invalid) as raised:
        client.losses.curve("poly", tau=1)

    assert [error.pointer for error in raised.value.errors] == ["/tau"]


def test_list_prints_kinds_for_pipes_and_sentences_for_people(cli: CommandLine) -> None:
    assert cli.run("losses", "list", "--quiet").stdout.split() == list(LOSS_KINDS)
    assert "(1 - p_t)^gamma" in cli.run("losses", "list").stdout


def test_resolve_prints_weights_by_label_and_the_notes(cli: CommandLine, dataset_id: str) -> None:
    shown = cli.run("losses", "resolve", "focal", dataset_id, "--alpha", "0.25").stdout
    answer = json.loads(cli.run("losses", "resolve", "logit_adjusted", dataset_id, "--with", "tau=0.5", "-o", "json").stdout)

    assert "gives the rare class 'yes' less weight" in shown
    assert answer["requested"] == {"kind": "logit_adjusted", "tau": 0.5}
    assert set(answer["resolved"]["shift"]) == {"yes", "no"}


def test_curve_prints_a_line_for_each_p(cli: CommandLine) -> None:
    lines = cli.run("losses", "curve", "focal", "--gamma", "2", "--points", "3").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["p", "0.25", "0.5", "0.75"]
    assert lines[2].split()[1] == "0.173287"


def test_a_job_takes_any_parameter_of_its_loss(cli: CommandLine, dataset_id: str) -> None:
    options = ["--loss", "ldam", "--with", "scale=20", "--with", "deferred_reweighting=false", "--epochs", "1"]

    spec = json.loads(cli.run("jobs", "submit", dataset_id, *options, "-o", "json").stdout)["spec"]

    assert spec["loss"] == {"kind": "ldam", "max_margin": 0.5, "scale": 20.0, "deferred_reweighting": False}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["resolve", "focl", "{dataset}"], 2, "/loss/kind"),
        (["resolve", "ldam", "{dataset}", "--with", "scale"], 2, "name=value"),
        (["resolve", "ldam", "ds_00000000000000000000000000"], 4, "there is no dataset"),
        (["curve", "focal", "--with", "tau=1"], 2, "tau"),
        (["list", "-o", "yaml"], 2, "yaml"),
    ],
)
def test_what_is_wrong_is_told_with_an_exit_code(cli: CommandLine, dataset_id: str, arguments: list[str], code: int, told: str) -> None:
    ended = cli.run("losses", *(argument.format(dataset=dataset_id) for argument in arguments))

    assert (ended.returncode, told in ended.stderr) == (code, True), ended.stderr
