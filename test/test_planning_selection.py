# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which target is meant, and what is said when none is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.bridge.interfaces import TargetArray
from instructsam_ros.bridge.results import target_message
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus
from instructsam_ros.planning import select_target


def target(number: int, phrase: str, x: float = 0.5, *, score: float = 0.9,
           status: TargetStatus = TargetStatus.OK) -> Target:
    if status & (TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA):
        return Target(number, phrase, score, status)
    pose = np.eye(4)
    pose[0, 3] = x
    made = TargetGeometry(pose, np.full(3, 0.1), np.array([x - 0.05, 0.0, 0.0]),
                          np.array([-1.0, 0.0, 0.0]), np.eye(6), 0.5)
    return Target(number, phrase, score, status, made)


TABLE = [target(3, 'red mug', 0.9), target(5, 'red mug', 0.4), target(8, 'blue bowl', 0.6),
         target(9, 'green can', 0.2, status=TargetStatus.LOW_SCORE),
         target(12, 'ball', status=TargetStatus.NO_DEPTH)]


def array(targets: list[Target], frame: str = 'base_link') -> Any:
    message = TargetArray(targets=[target_message(one) for one in targets])
    message.header.frame_id = frame
    return message


@pytest.mark.parametrize(('wanted', 'found'), [
    ({'id': 3}, 3), ({'id': 3, 'label': 'bowl'}, 3), ({'label': 'blue bowl'}, 8),
    # an id that has gone: its label, if one is given
    ({'id': 4, 'label': 'bowl'}, 8),
    # the nearest of several, to the origin or to a point
    ({'label': 'red mug'}, 5), ({'label': 'red mug', 'near': [1, 0, 0]}, 3), ({}, 5),
    ({'near': (0.6, 0, 0)}, 8),
    # however it is written; by a part if only one phrase has it
    ({'label': '  Red   MUG '}, 5), ({'label': 'mug'}, 5), ({'label': 'bowl blue'}, 8),
    ({'skip': 0}, 9), ({'id': 9, 'skip': TargetStatus.SPARSE_DEPTH}, 9)])
def test_id_then_label_then_the_nearest(wanted: dict[str, Any], found: int) -> None:
    assert select_target(TABLE, **wanted).id == found
    message = array(TABLE)
    chosen = select_target(message, **wanted)
    assert chosen.id == found
    assert any(chosen is one for one in message.targets), 'the very message is returned'


@pytest.mark.parametrize(('wanted', 'said'), [
    ({'id': 4}, "no usable target with id 4: there are 3 'red mug', 5 'red mug', 8 'blue bowl', "
                "9 'green can' (it has LOW_SCORE), 12 'ball' (it was not measured (NO_DEPTH))"),
    # the mug that is meant is there: no other one will do
    ({'id': 12, 'label': 'red mug'}, "target 12 'ball' cannot be used: it was not measured"),
    ({'id': 4, 'label': 'plate'}, "no usable target with id 4 or called 'plate': there are"),
    ({'label': 'ball'}, "no usable target called 'ball'"),
    ({'label': 'mugs'}, "no usable target called 'mugs'"),
    ({'label': 'red'}, None), ({'label': 'green can'}, "9 'green can' (it has LOW_SCORE)"),
    ({'min_score': 0.95}, 'its score of 0.90 is below 0.95')])
def test_what_is_there_is_told_when_nothing_fits(wanted: dict[str, Any], said: str | None) -> None:
    if said is None:
        # two red things, one phrase
        assert select_target(TABLE, **wanted).id == 5
        return
    with pytest.raises(LookupError) as caught:
        select_target(TABLE, **wanted)
    assert said in str(caught.value)


def test_a_part_that_fits_several_phrases_is_refused() -> None:
    table = [*TABLE, target(20, 'blue mug', status=TargetStatus.NO_DEPTH)]
    with pytest.raises(LookupError, match=r"'mug' is ambiguous: .*20 'blue mug'.*whole phrase"):
        select_target(table, label='mug')
    assert select_target(table, label='red mug').id == 5
    # a phrase of exactly these words is no part of anything
    assert select_target([*table, target(30, 'mug')], label='mug').id == 30


def test_an_empty_table_is_told() -> None:
    with pytest.raises(LookupError, match='no usable target: there are no targets'):
        select_target(array([]))


@pytest.mark.parametrize(('wanted', 'match'), [
    ({'near': [1, 2]}, 'three finite numbers'), ({'near': [np.nan, 0, 0]}, 'three finite'),
    ({'label': ' '}, 'label is empty'), ({'frame': 'map'}, "'base_link', 'map' is expected")])
def test_questions_that_make_no_sense_are_refused(wanted: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        select_target(array(TABLE), **wanted)


def test_the_frame_is_checked() -> None:
    assert select_target(array(TABLE), id=3, frame='base_link').id == 3
    with pytest.raises(ValueError, match='header'):
        select_target(TABLE, frame='base_link')


@given(st.permutations(TABLE))
def test_the_order_does_not_matter(table: list[Target]) -> None:
    assert select_target(table).id == 5
    assert select_target(table, label='mug', near=[0.8, 0, 0]).id == 3
