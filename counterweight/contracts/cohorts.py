"""Which jobs can be trained together, as one stack of networks in one program."""

from typing import Any

from counterweight.contracts.jobs import ResolvedSpec

MEMBERS_OWN = {"name", "labels", "loss", "evaluation", "limits", "priority"}
MEMBERS_OWN_TRAINING = {"learning_rate", "weight_decay", "ema", "early_stopping", "seed"}
"""What each member of a cohort has of its own. Whatever is not named here, fields to come too, must be the same for all."""


def shared_settings(spec: ResolvedSpec) -> dict[str, Any]:
    """Return, as JSON values, the settings that jobs must have in common to be trained together; of the loss, the kind of head it needs."""
    common = spec.model_dump(mode="json", exclude=MEMBERS_OWN | {"training", "exclude"})
    training = spec.training.model_dump(mode="json", exclude=MEMBERS_OWN_TRAINING)
    return {**common, "training": training, "exclude": sorted(set(spec.exclude)), "cosine_head": spec.loss.has_cosine_head}
