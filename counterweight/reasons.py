"""Why a number is missing, in words: the codes are those of `docs/evaluation.md` and `docs/studies.md`."""

REASONS = {
    "no_positive": "there is no row of the positive class",
    "no_negative": "there is no row of another class",
    "no_predicted_positive": "a class is never called",
    "zero_denominator": "its denominator is zero",
    "constant_scores": "all scores are the same",
    "several_classes": "there are more classes than two",
    "infeasible_constraint": "no threshold meets what was asked",
    "not_increasing": "fitting would turn the ranking round",
    "at_bound": "no finite temperature is best",
    "too_few": "a class has fewer than 5 rows",
    "degenerate": "other rows drawn from these could not differ",
    "no_runs": "no run has ended with this metric",
    "provisional": "the arms are not compared yet",
    "too_few_runs": "there are fewer than two runs",
    "identical": "both give the same predictions",
    "zero_variance": "the runs do not differ at all",
    "unstable": "it is undefined in more than 5% of the bootstrap draws",
}

OFFSETS_REASONS = {
    "no_gain": "offsets gain nothing on rows they were not fitted on",
    "too_few": "a class has fewer than 30 validation rows to fit offsets on",
    "policy": "the policy is one for two classes",
    "too_large": "there are too many rows and classes to search for offsets",
}


def reason(code: str | None) -> str:
    """Return what the code of a missing number says, as the rest of a sentence; nothing where no reason is told."""
    head, _, label = (code or "").partition(":")
    return f"class {label!r} has no rows here" if head == "class_absent" else REASONS.get(head, head.replace("_", " "))


def offsets_reason(code: str | None) -> str:
    """Return why several classes have no offsets, as the rest of a sentence."""
    return OFFSETS_REASONS.get(code or "", (code or "").replace("_", " "))
