"""The charts' formulas, run in node: their own tests, and the same numbers as the trainer's."""

import json
import math
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from counterweight.contracts.losses import Loss
from counterweight.contracts.terms import ClassCounts, LossTerms
from counterweight.statistics.decisions import binary_metrics
from workers.training.loss import StackedTerms, example_loss

SCRIPTS = Path(__file__).parent / "js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="no node on this machine")

COUNTS = ClassCounts(labels=("common", "rare"), counts=(970, 30), positive=1)
MARGINS = [-30.0, -8.0, -2.5, -0.7, 0.0, 0.4, 1.9, 6.0, 12.0, 25.0]
POINTS = [(target, margin) for target in (0, 1) for margin in MARGINS]

TERMS = {
    "cross_entropy": LossTerms.neutral(2),
    "label_smoothing": LossTerms(weights=(0.6, 4.0), shift=(0, 0), margin=(0, 0), smoothing=0.1),
    "balanced": LossTerms(weights=(0.515, 16.7), shift=(0, 0), margin=(0, 0)),
    "focal": LossTerms(weights=(1.02, 0.34), shift=(0, 0), margin=(0, 0), gamma=2.0),
    "focal_below_one": LossTerms(weights=(1, 1), shift=(0, 0), margin=(0, 0), gamma=0.3),
    "shifted": LossTerms(weights=(1, 1), shift=(math.log(0.97), math.log(0.03)), margin=(0, 0)),
    "margins": LossTerms(weights=(1, 1), shift=(0, 0), margin=(0.21, 0.5), scale=30.0),
    "poly": LossTerms(weights=(1, 1), shift=(0, 0), margin=(0, 0), gamma=1.5, epsilon=-0.8),
    "everything": LossTerms(weights=(0.4, 7.0), shift=(0.3, -1.1), margin=(0.1, 0.4), scale=3.0, gamma=0.7, epsilon=2.0, smoothing=0.2),
}


def test_the_modules_pass_their_own_tests() -> None:
    found = subprocess.run([str(NODE), "--test", str(SCRIPTS)], capture_output=True, text=True)

    assert found.returncode == 0, found.stdout + found.stderr
    assert "# pass 0" not in found.stdout


def test_every_loss_is_torch_s_in_value_and_slope() -> None:
    answers = run("loss_grid.mjs", [{"terms": asdict(terms), "points": POINTS} for terms in TERMS.values()])

    for (name, terms), answer in zip(TERMS.items(), answers, strict=True):
        for (target, margin), found in zip(POINTS, answer["values"], strict=True):
            value, slope = torch_s(terms, target, margin)
            assert found["value"] == pytest.approx(value, rel=1e-6, abs=1e-9), (name, target, margin)
            assert found["slope"] == pytest.approx(slope, rel=1e-6, abs=1e-9), (name, target, margin)


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "cross_entropy": [{"label_smoothing": 0.1}],
    "balanced_cross_entropy": [{"weights": "inverse_frequency"}, {"weights": "sqrt_inverse_frequency"}],
    "focal": [{"gamma": 1.5, "alpha": 0.25}, {"alpha": "balanced"}],
    "logit_adjusted": [{"tau": 0.5}],
    "ldam": [{"max_margin": 0.3, "scale": 10.0}],
    "poly": [{"epsilon": 2.0, "gamma": 1.0}],
}


@pytest.mark.parametrize("member", get_args(get_args(Loss)[0]), ids=lambda member: str(member.model_fields["kind"].default))
def test_a_loss_comes_to_the_same_terms_as_in_the_service(member: Any) -> None:
    kind = member.model_fields["kind"].default
    losses = [member(**options) for options in [{}, *OPTIONS.get(kind, [])]]

    answers = run("loss_grid.mjs", [{"loss": loss.model_dump(mode="json"), "shares": COUNTS.shares, "points": []} for loss in losses])

    for loss, answer in zip(losses, answers, strict=True):
        terms = loss.terms(COUNTS)
        for name in ("weights", "shift", "margin", "scale", "gamma", "epsilon", "smoothing"):
            assert np.allclose(answer["terms"][name], getattr(terms, name), rtol=1e-12, atol=1e-15), (loss, name)


def test_cells_and_metrics_at_any_threshold_are_those_of_the_rows() -> None:
    source = np.random.default_rng(5)
    labels = source.random(400) < 0.1
    scores = np.round(np.clip(source.normal(0.3 + 0.3 * labels, 0.2), 0, 1), 2)  # Two decimals: many ties.
    thresholds = [*np.linspace(0, 1, 41).tolist(), *np.unique(scores).tolist()]
    distinct = np.unique(scores)[::-1]
    roc = {
        "thresholds": [1.1, *distinct.tolist()],
        "true_positive_rate": [0.0, *[float((scores[labels] >= each).mean()) for each in distinct]],
        "false_positive_rate": [0.0, *[float((scores[~labels] >= each).mean()) for each in distinct]],
    }

    positives = int(labels.sum())
    [answers] = run("cells.mjs", [{"roc": roc, "positives": positives, "negatives": 400 - positives, "thresholds": thresholds}])

    for threshold, answer in zip(thresholds, answers, strict=True):
        called = scores >= threshold
        cells = np.array([[(~called & ~labels).sum(), (called & ~labels).sum()], [(~called & labels).sum(), (called & labels).sum()]])
        assert answer["cells"] == {"tn": cells[0, 0], "fp": cells[0, 1], "fn": cells[1, 0], "tp": cells[1, 1]}
        expected = binary_metrics(cells.astype(np.float64))
        for name, found in answer["metrics"].items():
            assert (found["value"] is None) == bool(np.isnan(expected[name])), (name, threshold)
            assert found["value"] is None or found["value"] == pytest.approx(float(expected[name]), abs=1e-12), (name, threshold)


def run(script: str, cases: list[dict[str, Any]]) -> list[Any]:
    """Hand the cases to a script in node; return its answers."""
    done = subprocess.run([str(NODE), str(SCRIPTS / script)], input=json.dumps(cases), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def torch_s(terms: LossTerms, target: int, margin: float) -> tuple[float, float]:
    """Return the trainer's loss of a row of this class, and its slope, where its scaled logit leads the other's by `margin`."""
    unscaled = torch.tensor(margin / terms.scale, dtype=torch.float64, requires_grad=True)
    other = torch.zeros((), dtype=torch.float64)
    logits = torch.stack([unscaled, other] if target == 0 else [other, unscaled])[None, None, :]
    loss = example_loss(logits, torch.tensor([[target]]), StackedTerms.of([terms], dtype=torch.float64))[0, 0]
    [slope] = torch.autograd.grad(loss, unscaled)
    return loss.item(), slope.item() / terms.scale
