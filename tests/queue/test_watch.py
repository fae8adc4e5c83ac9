"""Who counts as lost: silence for a whole lease, seen without a gap."""

from workers.pulse import Watch

LEASE_S = 30.0


def _observe(watch: Watch, beats: list[tuple[float, int]]) -> list[str]:
    """Show the watch agent `a`'s beat at each second; return what it said at the last."""
    said: list[str] = []
    for at, beat in beats:
        said = watch.silent({"a": beat}, at)
    return said


def test_an_agent_silent_for_a_lease_is_lost() -> None:
    assert _observe(Watch(LEASE_S), [(at, 7) for at in range(0, 31, 5)]) == ["a"]


def test_an_agent_silent_for_less_than_a_lease_is_not_lost() -> None:
    assert _observe(Watch(LEASE_S), [(at, 7) for at in range(0, 30, 5)]) == []


def test_a_beat_begins_the_lease_anew() -> None:
    assert _observe(Watch(LEASE_S), [(at, 7 if at < 25 else 8) for at in range(0, 50, 5)]) == []


def test_a_gap_in_observation_proves_nothing() -> None:
    """The observer's host slept for an hour, or its clock jumped."""
    assert _observe(Watch(LEASE_S), [(0, 7), (5, 7), (3605, 7)]) == []


def test_an_observer_that_looks_too_seldom_finds_the_dead_all_the_same() -> None:
    """Its host is overloaded: minutes pass between its looks."""
    watch = Watch(LEASE_S)

    assert _observe(watch, [(at, 7) for at in range(0, 360, 120)]) == []
    assert _observe(watch, [(at, 7) for at in range(360, 600, 120)]) == ["a"]


def test_broken_contact_begins_every_lease_anew() -> None:
    watch = Watch(LEASE_S)
    _observe(watch, [(at, 7) for at in range(0, 30, 5)])

    watch.forget()

    assert _observe(watch, [(30, 7), (35, 7)]) == []


def test_an_agent_that_has_stopped_is_no_longer_watched() -> None:
    watch = Watch(LEASE_S)
    _observe(watch, [(at, 7) for at in range(0, 30, 5)])

    assert watch.silent({}, 30.0) == []
