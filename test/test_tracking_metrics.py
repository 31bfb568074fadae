# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""HOTA, IDF1, MOTA and switches: cases counted by hand, and the reference implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.tracking_metrics import (
    THRESHOLDS,
    TrackedFrame,
    TrackingScore,
    mask_ious,
    mask_overlaps,
    score_sequence,
)


def one_track(found: Sequence[int | None], overlap: float = 1.0) -> list[TrackedFrame]:
    """Frames in which object 1 is always there and found under an id, or not at all."""
    return [TrackedFrame([1], [] if k is None else [k], np.full((1, int(k is not None)), overlap))
            for k in found]


def drawn(seed: int) -> list[TrackedFrame]:
    """Tracks with misses, false detections, swapped and new ids, and rough masks."""
    rng = np.random.default_rng(seed)
    name = np.arange(int(rng.integers(1, 7)))
    frames = []
    for time in range(int(rng.integers(1, 60))):
        there = np.flatnonzero(rng.random(len(name)) < 0.85)
        if len(name) > 1 and rng.random() < 0.1:
            a, b = rng.choice(len(name), 2, replace=False)
            name[[a, b]] = name[[b, a]]
        if rng.random() < 0.1:
            name[rng.integers(len(name))] = name.max() + 1
        seen = np.flatnonzero(rng.random(len(there)) < 0.9)
        found = name[there[seen]].tolist() + [1000 + time] * int(rng.random() < 0.2)
        similarity = rng.uniform(0, 0.3, (len(there), len(found)))
        similarity *= rng.random(similarity.shape) < 0.4
        similarity[seen, np.arange(len(seen))] = np.round(rng.uniform(0.3, 1, len(seen)), 2)
        frames.append(TrackedFrame((there + 3).tolist(), found, similarity))
    return frames


def test_perfect_tracking() -> None:
    frames = [TrackedFrame([4, 9], [2, 1], np.eye(2)) for _ in range(5)]
    score = score_sequence(frames)
    figures = score.to_dict()
    for name in ('HOTA', 'DetA', 'AssA', 'LocA', 'IDF1', 'MOTA'):
        assert figures[name] == 1, name
    assert figures['id_switches'] == 0 and figures['truths'] == 10


def test_id_that_changes_once() -> None:
    # found as 5 in six frames, then as 6 in four
    score = score_sequence(one_track([5] * 6 + [6] * 4))
    # every detection is right: DetA 1; a true positive under id 5 has 6 of 10, under 6 has 4 of 10
    association = (6 * 6 / 10 + 4 * 4 / 10) / 10
    assert score.hota == pytest.approx(np.sqrt(association))
    # the whole track goes to id 5: 6 right detections; 2 * 6 / (10 + 10)
    assert score.idf1 == pytest.approx(0.6)
    assert score.switches == 1 and score.mota == pytest.approx(1 - 1 / 10)


def test_misses_lower_detection_and_association_alike() -> None:
    score = score_sequence(one_track([1, None, None, 1]))
    # DetA 2/4; the two matches share 2 of the 4 frames in which either is there
    assert score.hota == pytest.approx(np.sqrt(0.5 * 0.5))
    assert score.idf1 == pytest.approx(2 * 2 / (4 + 2))
    assert score.mota == pytest.approx(0.5) and score.switches == 0


def test_return_under_another_id_is_a_switch_also_after_a_gap() -> None:
    assert score_sequence(one_track([1, None, None, 2])).switches == 1
    assert score_sequence(one_track([1, None, 1])).switches == 0
    # there and back again
    assert score_sequence(one_track([1, 2, 1])).switches == 2


def test_false_detections() -> None:
    frames = [TrackedFrame([1], [1, 10 + k], np.array([[1.0, 0.0]])) for k in range(4)]
    score = score_sequence(frames)
    # DetA 4 / (4 + 4 false), AssA 1
    assert score.hota == pytest.approx(np.sqrt(0.5))
    assert score.idf1 == pytest.approx(2 * 4 / (4 + 8))
    assert score.mota == pytest.approx(0.0)


def test_rough_masks_count_up_to_their_overlap() -> None:
    score = score_sequence(one_track([1] * 3, overlap=0.6))
    # 0.05 to 0.60 are reached: 12 of 19 thresholds, equality counts
    assert score.hota == pytest.approx(12 / 19)
    assert score.detection_accuracy.tolist() == [1.0] * 12 + [0.0] * 7
    assert score.idf1 == 1 and score.mota == 1
    # below one half only HOTA sees it
    low = score_sequence(one_track([1] * 3, overlap=0.45))
    assert low.hota == pytest.approx(9 / 19) and low.idf1 == 0 and low.mota == -1


def test_crossing_tracks_are_matched_as_wholes() -> None:
    # In the middle frame the masks of 1 and 2 fit the other's id a little better.
    clear = TrackedFrame([1, 2], [1, 2], np.eye(2))
    unclear = TrackedFrame([1, 2], [1, 2], np.array([[0.6, 0.7], [0.7, 0.6]]))
    score = score_sequence([clear] * 4 + [unclear] + [clear] * 4)
    assert score.idf1 == 1 and score.switches == 0
    # where the true pair reaches the threshold it is a perfect tracking
    at_half = THRESHOLDS.tolist().index(0.5)
    assert score.association_accuracy[at_half] == 1


def test_sequences_are_pooled_not_averaged() -> None:
    long, short = one_track([1] * 8), one_track([1, 2])
    total = score_sequence(long) + score_sequence(short)
    # DetA 1; AssA over ten true positives: eight times 1, twice 1/2
    assert total.hota == pytest.approx(np.sqrt((8 + 2 * 0.5) / 10))
    assert total.idf1 == pytest.approx(2 * (8 + 1) / 20)
    assert total.switches == 1 and total.truths == 10
    mean = (score_sequence(long).hota + score_sequence(short).hota) / 2
    assert total.hota != pytest.approx(mean, abs=1e-3)


def test_nothing_there_and_nothing_found() -> None:
    nothing = TrackedFrame([], [], np.zeros((0, 0)))
    assert score_sequence([]).hota == score_sequence([nothing]).hota == 0
    only_false = score_sequence([TrackedFrame([], [1], np.zeros((0, 1)))])
    only_missed = score_sequence([TrackedFrame([1], [], [])])  # type: ignore[arg-type]
    for score in (only_false, only_missed):
        assert score.hota == score.idf1 == score.mota == 0
    # they still weigh in a pool
    pool = score_sequence(one_track([1])) + only_false + only_missed
    assert pool.hota == pytest.approx(np.sqrt(1 / 3)) and pool.idf1 == pytest.approx(2 / 4)


@pytest.mark.parametrize(('frame', 'message'), [
    (TrackedFrame([1], [1, 2], np.zeros((2, 2))), r'\(2, 2\), the ids make it \(1, 2\)'),
    (TrackedFrame([1, 1], [1], np.zeros((2, 1))), 'occurs twice'),
])
def test_wrong_frames_are_refused(frame: TrackedFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_sequence([frame])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_names_of_ids_do_not_matter_and_all_is_within_bounds(seed: int) -> None:
    frames = drawn(seed)
    score = score_sequence(frames)
    renamed = score_sequence(
        TrackedFrame([7 * k + 2 for k in f.truth], [5000 - k for k in f.found], f.similarity)
        for f in frames)
    # ties between equal matches may fall otherwise, which the drawn similarities make rare
    assert renamed.to_dict() == pytest.approx(score.to_dict(), abs=0.02)
    assert 0 <= score.hota <= 1 and 0 <= score.idf1 <= 1 and score.mota <= 1
    assert (np.diff(score.matched) <= 0).all()


# What TrackEval 1.3.0 gives for `drawn(seed)`, and for all of them together.
_REFERENCE: dict[int | str, tuple[float, ...]] = {
    0: (0.347406345555, 0.494721470898, 0.244540121846, 0.776460270497, 0.389473684211,
        0.316582914573, 18),
    1: (0.27814352924, 0.473214010633, 0.165088685711, 0.753582703231, 0.240506329114,
        0.088607594937, 12),
    2: (0.4185282878, 0.499147671743, 0.352054774378, 0.770755943263, 0.479041916168,
        0.176470588235, 7),
    3: (0.563866532684, 0.600500390496, 0.53035720688, 0.792479009431, 0.68, 0.4, 1),
    4: (0.408900902697, 0.524995426437, 0.318814866955, 0.778487927843, 0.515283842795,
        0.422594142259, 8),
    'all': (0.384391050685, 0.507355347236, 0.292051987399, 0.773993930535, 0.441879637263,
            0.312599681021, 46),
}
_NAMES = ('HOTA', 'DetA', 'AssA', 'LocA', 'IDF1', 'MOTA', 'id_switches')


@pytest.mark.parametrize('seed', range(5))
def test_figures_are_those_of_the_reference(seed: int) -> None:
    figures = score_sequence(drawn(seed)).to_dict()
    # the same definition to the last digits that are written here
    assert [figures[name] for name in _NAMES] == pytest.approx(_REFERENCE[seed], abs=1e-9)


def test_pooled_figures_are_those_of_the_reference() -> None:
    total = sum((score_sequence(drawn(k)) for k in range(5)), TrackingScore())
    figures = total.to_dict()
    assert [figures[name] for name in _NAMES] == pytest.approx(_REFERENCE['all'], abs=1e-9)


def test_against_the_reference_where_it_is_installed() -> None:
    # pip install --no-deps trackeval tabulate; its other needs replace OpenCV without windows
    metrics = pytest.importorskip('trackeval.metrics', reason='TrackEval is not installed')
    for seed in range(100, 130):
        figures = score_sequence(drawn(seed)).to_dict()
        assert [figures[name] for name in _NAMES] == pytest.approx(
            reference(metrics, seed), abs=1e-9), seed


def reference(metrics: Any, seed: int) -> tuple[float, ...]:
    """What TrackEval makes of the same frames."""
    frames = drawn(seed)
    truths = sorted({k for f in frames for k in f.truth})
    found = sorted({k for f in frames for k in f.found})
    data = {
        'num_gt_dets': sum(len(f.truth) for f in frames), 'num_gt_ids': len(truths),
        'num_tracker_dets': sum(len(f.found) for f in frames), 'num_tracker_ids': len(found),
        'num_timesteps': len(frames),
        'gt_ids': [np.array([truths.index(k) for k in f.truth], int) for f in frames],
        'tracker_ids': [np.array([found.index(k) for k in f.found], int) for f in frames],
        'similarity_scores': [f.similarity for f in frames]}
    quiet = {'PRINT_CONFIG': False}
    hota = metrics.HOTA().eval_sequence(data)
    clear = metrics.CLEAR(quiet).eval_sequence(data)
    identity = metrics.Identity(quiet).eval_sequence(data)
    return (*(float(np.mean(hota[name])) for name in _NAMES[:4]), identity['IDF1'],
            clear['MOTA'], clear['IDSW'])


def test_mask_overlaps() -> None:
    rng = np.random.default_rng(0)
    first = [rng.random((30, 40)) < 0.4 for _ in range(3)] + [np.zeros((30, 40), bool)]
    second = [rng.random((30, 40)) < 0.6 for _ in range(2)] + [np.zeros((30, 40), bool)]
    overlaps, ious = mask_overlaps(first, second), mask_ious(first, second)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            assert overlaps[i, j] == (a & b).sum()
            assert ious[i, j] == pytest.approx((a & b).sum() / max((a | b).sum(), 1))
    assert mask_ious(first, []).shape == (4, 0) and mask_overlaps([], second).shape == (0, 3)
