"""The states of a job, and which may follow which: one table."""

from counterweight.contracts.jobs import Action, JobState

NEXT: dict[JobState | None, frozenset[JobState]] = {
    None: frozenset({"queued"}),
    "queued": frozenset({"running", "cancelled", "failed"}),
    # Back to queued: a lost worker, or an attempt that may be tried again.
    "running": frozenset({"queued", "cancelling", "succeeded", "failed"}),
    # A result that is being published when the cancel arrives is kept; a lost worker leaves nothing to cancel.
    "cancelling": frozenset({"cancelled", "succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

TERMINAL: frozenset[JobState] = frozenset(state for state, after in NEXT.items() if state is not None and not after)
HELD: frozenset[JobState] = frozenset({"running", "cancelling"})
"""States in which a worker holds the job."""


def is_terminal(state: JobState) -> bool:
    return state in TERMINAL


def allows(before: JobState | None, after: JobState) -> bool:
    return after in NEXT[before]


def allowed_actions(state: JobState) -> list[Action]:
    """What a user may do to a job in this state."""
    return ["cancel"] if state in ("queued", "running") else []
