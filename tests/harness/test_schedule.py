"""Where steps fall, when evaluations are due: the arithmetic against a walk over every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textbench.contracts.schedule import Schedule
from textbench.contracts.trainer import Phase, Position
from textbench.plan.resolve import EvaluationConfig

phases = st.lists(
    st.builds(
        Phase,
        st.sampled_from(["warm", "d", "g", "last"]),
        st.integers(0, 4),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=5,
).filter(lambda found: any(p.epochs * p.steps for p in found))


def each(every: int) -> Callable[[int], bool]:
    """Due after every so many epochs."""
    return lambda epoch: epoch % every == 0


class Step(NamedTuple):
    """One step of the naive walk, and what is known right after it."""

    at: Position
    trains: bool
    done: int
    epoch: int
    ends_epoch: bool
    ends_phase: bool


def walk(given: list[Phase], start_epoch: int = 0) -> Iterator[Step]:
    done, epoch = 0, start_epoch
    for phase in given:
        for e in range(phase.epochs):
            for i in range(phase.steps):
                done += 1
                ends_epoch = i == phase.steps - 1
                epoch += ends_epoch and phase.trains_generator
                ends_phase = ends_epoch and e == phase.epochs - 1
                at = Position(phase.name, e, i)
                yield Step(at, phase.trains_generator, done, epoch, ends_epoch, ends_phase)


@given(phases, st.integers(0, 200))
def test_positions_and_epochs_follow_the_walk(given_phases: list[Phase], start: int) -> None:
    schedule = Schedule(given_phases, start_epoch=start)
    steps = list(walk(given_phases, start))
    assert schedule.total == len(steps)
    assert schedule.epoch(0) == start
    for step in steps:
        assert schedule.at(step.done - 1) == step.at
        assert schedule.ends_epoch(step.done) == step.ends_epoch
        assert schedule.epoch(step.done) == step.epoch


@given(phases, st.integers(0, 7), st.integers(1, 4), st.integers(0, 6))
def test_evaluations_follow_the_walk(
    given_phases: list[Phase], start: int, every: int, every_steps: int
) -> None:
    schedule = Schedule(given_phases, start_epoch=start)
    for step in walk(given_phases, start):
        by_epoch = step.ends_epoch and (step.epoch % every == 0 or step.ends_phase)
        by_step = every_steps > 0 and step.done % every_steps == 0
        due = step.trains and (by_epoch or by_step)
        assert schedule.evaluates(step.done, each(every), every_steps) == due


@given(phases)
def test_every_phase_that_trains_the_generator_ends_in_an_evaluation(
    given_phases: list[Phase],
) -> None:
    schedule = Schedule(given_phases)
    for phase, end in zip(schedule.phases, schedule.ends, strict=True):
        assert schedule.evaluates(end, each(10**6), every_steps=0) == phase.trains_generator


@given(phases, st.integers(1, 4), st.integers(0, 6))
def test_the_number_of_evaluations_left_is_about_right(
    given_phases: list[Phase], every: int, every_steps: int
) -> None:
    """Only a progress bar reads it: each phase may be off by the remainders of its ends."""
    schedule, slack = Schedule(given_phases), 3 * len(given_phases)
    for done in range(schedule.total + 1):
        later = [step for step in walk(given_phases) if step.done > done and step.trains]
        by_step = [step for step in later if every_steps and step.done % every_steps == 0]
        by_epoch = [step for step in later if schedule.evaluates(step.done, each(every), 0)]
        expected = 1 + len(by_step) + len(by_epoch)  # one that is both is counted twice
        assert abs(schedule.evaluations_left(done, each(every), every_steps) - expected) <= slack
    assert schedule.evaluations_left(schedule.total, each(every), every_steps) == 1


def test_seqgans_schedule_in_figures() -> None:
    """Warm-up of 120 epochs elsewhere, 2 uncounted loads, then rounds that count as epochs."""
    pretraining = Phase("discriminator", 2, 3, trains_generator=False)
    schedule = Schedule([pretraining, Phase("adversarial", 3, 4)], start_epoch=120)
    assert schedule.total == 18
    assert [schedule.epoch(done) for done in (0, 3, 6, 9, 10, 14, 18)] == [
        *(120, 120, 120),
        *(120, 121, 122, 123),
    ]
    due = [done for done in range(1, 19) if schedule.evaluates(done, each(2), 0)]
    assert due == [14, 18]  # epoch 122, and 123 because the phase ends there
    assert schedule.at(5) == Position("discriminator", 1, 2)
    assert schedule.at(6) == Position("adversarial", 0, 0)


def test_phases_of_no_length_are_dropped() -> None:
    schedule = Schedule([Phase("a", 0, 5), Phase("b", 1, 2), Phase("c", 5, 0)])
    assert [phase.name for phase in schedule.phases] == ["b"]
    assert Schedule([]).total == 0


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_phase_may_appear_twice(done: int) -> None:
    """LeakGAN pre-trains its two sides in turn; each visit starts at its own epoch 0."""
    d, g = Phase("d", 1, 1, trains_generator=False), Phase("g", 1, 1)
    schedule = Schedule([d, g] * 3)
    assert schedule.at(2 * done + 1) == Position("g", 0, 0)
    assert schedule.epoch(2 * done + 2) == done + 1


def test_progress_counts_the_part_of_an_epoch_that_trains_the_generator() -> None:
    schedule = Schedule([Phase("d", 2, 4, trains_generator=False), Phase("g", 2, 4)], start_epoch=3)
    assert [schedule.progress(done) for done in (0, 3, 8, 9, 12, 14, 16)] == [
        *(3, 3, 3, 3.25, 4, 4.5, 5)
    ]


def test_the_grid_of_evaluations_may_be_closer_at_first() -> None:
    plan = EvaluationConfig(every=5, early_every=2, early_until=18)
    due = [epoch for epoch in range(1, 41) if plan.due(epoch)]
    assert due == [*range(2, 21, 2), 25, 30, 35, 40]
    schedule = Schedule([Phase("a", 40, 3)])
    done = [end for end in range(1, 121) if schedule.evaluates(end, plan.due, 0)]
    assert [schedule.epoch(end) for end in done] == due
    assert schedule.evaluations_left(0, plan.due, 0) == len(due) + 1
    assert schedule.evaluations_left(60, plan.due, 0) == 4 + 1
    same = EvaluationConfig(every=5, early_until=20)
    assert [epoch for epoch in range(1, 41) if same.due(epoch)] == list(range(5, 41, 5))
    assert "early_every" not in same.identity()  # recorded runs are not started anew
    assert plan.identity()["early_every"] == 2
