# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers, states, holds and refusals of instructions."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.perception.instruction_desk import InstructionDesk, InstructionState

State = InstructionState
MESSAGE = Path(__file__).resolve().parent.parent / 'msg' / 'InstructionStatus.msg'


class Desk(InstructionDesk):
    """A desk with a clock to set and a record of its events."""

    def __init__(self):
        self.now = 100.0
        self.events = []
        super().__init__(self.events.append, lambda: self.now)

    @property
    def changes(self):
        """Numbers and states, in order."""
        return [(event.instruction_id, event.state) for event in self.events]


def test_states_are_those_of_the_message():
    declared = {
        line.split('=')[0].split('_', 1)[1]: int(line.split('=')[1].split()[0])
        for line in MESSAGE.read_text().splitlines()
        if line.startswith('uint8 STATE_')
    }
    assert declared == {state.name: state.value for state in State}


def test_an_instruction_goes_through_its_states_with_one_event_per_change():
    desk = Desk()
    receipt = desk.submit('  the   red mug ', 'topic')
    assert (receipt.accepted, receipt.instruction_id, receipt.message) == (True, 1, '')
    assert desk.standing.text == 'the red mug'
    for count in (2, 1, 0, 0, 3):
        desk.begin(1)
        desk.finish(1, count)
    assert desk.changes == [
        (1, State.ACCEPTED), (1, State.ACTIVE), (1, State.FOUND), (1, State.NOT_FOUND),
        (1, State.FOUND)]  # fmt: skip
    assert desk.clear().accepted
    assert desk.changes[-1] == (1, State.CLEARED)
    assert desk.standing is None
    assert {event.source for event in desk.events} == {'topic'}


def test_a_newer_instruction_supersedes_and_late_results_change_nothing():
    desk = Desk()
    desk.submit('the red mug', 'topic')
    desk.begin(1)
    desk.submit('the blue mug', 'voice')
    desk.finish(1, 3)
    desk.begin(1)
    assert desk.changes == [
        (1, State.ACCEPTED), (1, State.ACTIVE), (1, State.SUPERSEDED), (2, State.ACCEPTED)]
    desk.clear()
    desk.finish(2, 1)
    assert desk.changes[-1] == (2, State.CLEARED)


@pytest.mark.parametrize(('text', 'cause'), [
    ('', 'empty'), (' \n ', 'empty'), ('x' * 1001, '1001 characters'),
    ('word ' * 20000, '99999 characters'), ('the \ufffd mug', 'UTF-8'),
    ('the \udc80 mug', 'UTF-8'), ('the\0mug', 'UTF-8'),
])  # fmt: skip
def test_unusable_text_is_refused_with_a_number_and_a_reason(text, cause):
    desk = Desk()
    desk.submit('the red mug', 'topic')
    receipt = desk.submit(text, 'voice')
    assert not receipt.accepted
    assert receipt.instruction_id == 0
    assert cause in receipt.message
    last = desk.events[-1]
    assert (last.instruction_id, last.state, last.source) == (2, State.REJECTED, 'voice')
    assert last.message == receipt.message
    assert len(last.text) <= 120
    last.text.encode()
    assert desk.standing.instruction_id == 1
    assert desk.submit('the blue mug', 'topic').instruction_id == 3


def test_a_hold_outranks_others_until_it_ends():
    desk = Desk()
    assert desk.submit('the red mug', 'planner', hold=5.0).accepted
    desk.now += 4.0
    for source in ('voice', 'topic'):
        refused = desk.submit('the blue mug', source)
        assert not refused.accepted
        assert '"planner" is held for another 1.0 s' in refused.message
    assert not desk.submit('the blue mug', 'other planner', hold=9.0).accepted
    assert not desk.clear('voice', text='stop').accepted
    assert desk.events[-1].text == 'stop'
    assert desk.standing.text == 'the red mug'
    # the holder itself, and with its new instruction the old hold is over
    assert desk.submit('the green mug', 'planner', hold=0.0).accepted
    assert desk.submit('the blue mug', 'voice').accepted


def test_a_hold_ends_by_time_by_clear_and_when_the_clock_jumps_back():
    desk = Desk()
    desk.submit('the red mug', 'planner', hold=5.0)
    desk.now += 5.0
    assert desk.submit('the blue mug', 'voice').accepted
    desk.submit('the red mug', 'planner', hold=5.0)
    assert desk.clear().accepted
    assert desk.submit('the blue mug', 'voice').accepted
    desk.submit('the red mug', 'planner', hold=5.0)
    desk.now -= 60.0
    assert desk.submit('the blue mug', 'voice').accepted


@pytest.mark.parametrize('hold', [-1.0, float('nan'), float('inf')])
def test_an_impossible_hold_is_refused(hold):
    desk = Desk()
    receipt = desk.submit('the red mug', 'planner', hold=hold)
    assert not receipt.accepted
    assert 'hold' in receipt.message
    assert desk.standing is None


def test_clearing_nothing_is_no_event():
    desk = Desk()
    receipt = desk.clear('voice')
    assert not receipt.accepted
    assert receipt.message
    assert desk.events == []


def test_something_that_is_no_instruction_is_recorded_shortly():
    desk = Desk()
    desk.refuse('{"text":' * 50000, 'voice', 'broken JSON')
    assert desk.changes == [(1, State.REJECTED)]
    assert desk.events[0].message == 'broken JSON'
    assert len(desk.events[0].text) <= 120


@pytest.mark.parametrize(('name', 'kept'), [
    ('', 'service'), ('  ', 'service'), ('a\nb', 'a b'), ('x' * 500, 'x' * 64),
])  # fmt: skip
def test_source_names_are_short_and_on_one_line(name, kept):
    desk = Desk()
    desk.submit('the red mug', name)
    assert desk.standing.source == kept


@given(st.lists(st.tuples(
    st.sampled_from(['submit', 'begin', 'finish', 'clear', 'wait']),
    st.integers(0, 6), st.sampled_from(['planner', 'voice', 'topic']),
    st.one_of(st.none(), st.floats(0, 3))), max_size=40))  # fmt: skip
def test_whatever_happens_events_tell_a_consistent_story(steps):
    desk = Desk()
    for action, number, source, hold in steps:
        if action == 'submit':
            desk.submit(f'thing {number}', source, hold=hold)
        elif action == 'begin':
            desk.begin(number)
        elif action == 'finish':
            desk.finish(number, number % 2)
        elif action == 'clear':
            desk.clear(source)
        else:
            desk.now += number
    allowed = {
        None: {State.ACCEPTED, State.REJECTED},
        State.ACCEPTED: set(State) - {State.REJECTED, State.ACCEPTED},
        State.ACTIVE: {State.FOUND, State.NOT_FOUND, State.SUPERSEDED, State.CLEARED},
        State.FOUND: {State.NOT_FOUND, State.SUPERSEDED, State.CLEARED},
        State.NOT_FOUND: {State.FOUND, State.SUPERSEDED, State.CLEARED},
    }
    last = {}
    for number, state in desk.changes:
        assert state in allowed.get(last.get(number), set())
        last[number] = state
    ended = (State.REJECTED, State.SUPERSEDED, State.CLEARED)
    alive = [number for number, state in last.items() if state not in ended]
    assert alive == ([] if desk.standing is None else [desk.standing.instruction_id])
    assert sorted(last) == list(range(1, len(last) + 1))


def test_many_threads_get_different_numbers_in_the_order_of_events():
    desk = Desk()
    start = threading.Barrier(8)

    def ask():
        start.wait()
        for _ in range(50):
            desk.submit('the red mug', 'topic')

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = [number for number, state in desk.changes if state is State.ACCEPTED]
    assert accepted == list(range(1, 401))
    assert sum(state is State.SUPERSEDED for _, state in desk.changes) == 399
