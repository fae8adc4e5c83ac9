"""The states of a job, and which may follow which: one table."""

from counterweight.contracts.jobs import Action, JobState
from service.domain.errors import WrongState

NEXT: dict[JobState | None, frozenset[JobState]] = {
    None: frozenset({"queued"}),
    "queued": frozenset({"running", "paused", "cancelled", "failed"}),
    # Back to queued: a lost worker, or an attempt that may be tried again.
    "running": frozenset({"queued", "pausing", "cancelling", "succeeded", "failed"}),
    # A result that is being published when the pause arrives is kept; a lost worker has let go as well.
    "pausing": frozenset({"paused", "cancelling", "succeeded", "failed"}),
    "paused": frozenset({"queued", "cancelled"}),
    # A result that is being published when the cancel arrives is kept; a lost worker leaves nothing to cancel.
    "cancelling": frozenset({"cancelled", "succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

TERMINAL: frozenset[JobState] = frozenset(state for state, after in NEXT.items() if state is not None and not after)
HELD: frozenset[JobState] = frozenset({"running", "pausing", "cancelling"})
"""States in which a worker holds the job."""


AT_ONCE: dict[Action, dict[JobState, JobState]] = {
    "cancel": {"queued": "cancelled", "paused": "cancelled", "running": "cancelling", "pausing": "cancelling"},
    "pause": {"queued": "paused", "running": "pausing"},
    "resume": {"paused": "queued"},
}
"""The state that a job goes to when its owner asks for one of these, by the state that it is in."""


def is_terminal(state: JobState) -> bool:
    return state in TERMINAL


def allows(before: JobState | None, after: JobState) -> bool:
    return after in NEXT[before]


ACTIONS: dict[JobState, tuple[Action, ...]] = {
    "queued": ("cancel", "pause"),
    "running": ("cancel", "pause"),
    "pausing": ("cancel",),
    "paused": ("resume", "cancel"),
    "cancelling": (),
    # A retry is a new job with the same spec: while this one goes on, there is nothing to try again.
    **dict.fromkeys(TERMINAL, ("retry", "delete")),
}
"""What a user may do to a job in each state."""


def allowed_actions(state: JobState, is_of_study: bool) -> list[Action]:
    """Return what a user may do to a job; one of a study is deleted with it, for what the study found stands on all its jobs."""
    return [action for action in ACTIONS[state] if not (is_of_study and action == "delete")]


def require(action: Action, job_id: str, state: JobState, study_id: str | None) -> None:
    """Return when a job in this state, of this study if any, allows `action`; WrongState, with what it does allow, otherwise."""
    allowed = allowed_actions(state, study_id is not None)
    if action not in ACTIONS[state]:
        where = " or ".join(other for other, actions in ACTIONS.items() if action in actions)
        raise WrongState(f"job {job_id} is {state}; `{action}` is for one that is {where}", allowed)
    if action not in allowed:
        raise WrongState(f"job {job_id} is part of study {study_id}; delete that, and its jobs go with it", allowed)
