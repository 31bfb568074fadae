# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics against cases worked out by hand and against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.metrics import AP_THRESHOLDS, SegmentationMetrics

# Everything is a ratio of small integers in double precision.
EXACT = pytest.approx


def strip(start: int, stop: int, length: int = 20) -> np.ndarray:
    """A mask of one row: easy to count."""
    mask = np.zeros((1, length), dtype=bool)
    mask[0, start:stop] = True
    return mask


def test_union_iou_by_hand():
    metrics = SegmentationMetrics()
    # Predictions cover 0-8, truth 2-10: 6 of 10. The two predictions overlap each other.
    iou = metrics.add([strip(0, 5), strip(3, 8)], [0.9, 0.8], [strip(2, 6), strip(6, 10)])
    assert iou == EXACT(0.6)
    metrics.add([strip(0, 10)], [0.7], [strip(0, 10)])
    figures = metrics.overall()
    assert figures.g_iou == EXACT(0.8)
    assert figures.c_iou == EXACT(16 / 20)
    assert figures.precision == {0.5: 1.0, 0.6: 1.0, 0.7: 0.5, 0.8: 0.5, 0.9: 0.5}


def test_c_iou_weighs_by_area_and_g_iou_does_not():
    metrics = SegmentationMetrics()
    metrics.add([strip(0, 1)], [0.9], [strip(0, 2)])
    metrics.add([strip(0, 18)], [0.9], [strip(0, 18)])
    figures = metrics.overall()
    assert figures.g_iou == EXACT(0.75)
    assert figures.c_iou == EXACT(19 / 20)


@pytest.mark.parametrize(('empty_iou', 'g_iou'), [(1.0, (1 + 0 + 1) / 3), (0.0, 1 / 3)])
def test_absent_things(empty_iou, g_iou):
    metrics = SegmentationMetrics(empty_iou)
    metrics.add([], [], [])
    metrics.add([strip(0, 4)], [0.9], [])
    metrics.add([strip(0, 4)], [0.9], [strip(0, 4)])
    figures = metrics.overall()
    assert figures.g_iou == EXACT(g_iou)
    # The false alarm's 4 pixels are all in the union.
    assert figures.c_iou == EXACT(4 / 8)
    assert figures.absent_accuracy == EXACT(0.5)
    # Figures over the queries with truth do not see the absent ones.
    assert figures.m_iou == EXACT(1.0)
    assert figures.o_iou == EXACT(1.0)
    assert figures.precision[0.9] == EXACT(1.0)


def test_missed_object_is_no_absent_object():
    metrics = SegmentationMetrics()
    assert metrics.add([], [], [strip(0, 4)]) == 0
    figures = metrics.overall()
    assert figures.absent_accuracy is None
    assert figures.ap == 0
    assert figures.g_iou == 0


def test_average_precision_by_hand():
    metrics = SegmentationMetrics()
    # Ranked 0.9 hit, 0.8 miss, 0.7 hit, 0.6 miss (absent), of 3 truths:
    # precision 1, 1/2, 2/3, 1/2 at recall 1/3, 1/3, 2/3, 2/3; area 1/3 * 1 + 1/3 * 2/3 = 5/9.
    metrics.add([strip(0, 5), strip(15, 20)], [0.9, 0.8], [strip(0, 5), strip(8, 12)])
    metrics.add([strip(0, 5)], [0.7], [strip(0, 5)])
    metrics.add([strip(0, 5)], [0.6], [])
    figures = metrics.overall()
    assert figures.ap50 == EXACT(5 / 9)
    assert figures.ap75 == EXACT(5 / 9)
    assert figures.ap == EXACT(5 / 9)


def test_a_second_hit_on_the_same_object_is_false():
    metrics = SegmentationMetrics()
    # The worse one ranks first and takes the object.
    metrics.add([strip(0, 8), strip(0, 10)], [0.9, 0.8], [strip(0, 10)])
    figures = metrics.overall()
    assert figures.ap50 == EXACT(1.0)
    # At IoU 0.85 and above only the second hits, at precision 1/2: 7 and 3 of 10 thresholds.
    assert figures.ap == EXACT((7 * 1.0 + 3 * 0.5) / 10)


def test_objects_match_only_their_own_query():
    metrics = SegmentationMetrics()
    metrics.add([strip(0, 5)], [0.9], [strip(10, 15)])
    metrics.add([strip(10, 15)], [0.8], [strip(0, 5)])
    assert metrics.overall().ap50 == 0


def test_groups():
    metrics = SegmentationMetrics()
    metrics.add([strip(0, 5)], [0.9], [strip(0, 5)], kind='relation')
    metrics.add([], [], [], kind='absent')
    metrics.add([strip(0, 5)], [0.9], [strip(0, 5), strip(7, 9)], kind='relation')
    kinds = metrics.by_kind()
    assert {name: figures.queries for name, figures in kinds.items()} == \
        {'relation': 2, 'absent': 1}
    assert kinds['absent'].ap is None
    assert kinds['absent'].absent_accuracy == 1
    assert metrics.select(['relation']) == kinds['relation']
    counts = metrics.by_count()
    assert list(counts) == ['0', '1', '>=2']
    assert counts['1'].g_iou == 1
    assert counts['>=2'].g_iou == EXACT(5 / 7)


def test_nothing_at_all():
    figures = SegmentationMetrics().overall()
    assert figures.queries == 0
    assert all(value is None for name, value in figures.to_dict().items() if name != 'queries')


def test_wrong_input():
    metrics = SegmentationMetrics()
    with pytest.raises(ValueError, match='2 scores'):
        metrics.add([strip(0, 1)], [0.1, 0.2], [])
    with pytest.raises(ValueError, match='different shapes'):
        metrics.add([strip(0, 1)], [0.1], [strip(0, 1, length=7)])


def random_queries(rng: np.random.Generator, count: int):
    """Blobs with shifted, missing and additional predictions."""
    queries = []
    yy, xx = np.mgrid[:24, :32]
    for _ in range(count):
        def disc(center, radius):
            return (xx - center[0]) ** 2 + (yy - center[1]) ** 2 <= radius**2
        centers = rng.uniform((4, 4), (28, 20), (rng.integers(0, 4), 2))
        truth = [disc(center, 5) for center in centers]
        guesses = [disc(center + rng.normal(0, 1.2, 2), rng.uniform(4, 6))
                   for center in centers if rng.random() < 0.9]
        guesses += [disc(rng.uniform((4, 4), (28, 20)), 4) for _ in range(rng.integers(0, 3))]
        queries.append((guesses, rng.random(len(guesses)), truth))
    return queries


def coco_precision(queries) -> np.ndarray:
    """AP at each IoU threshold by pycocotools, with recall samples that make it all-point."""
    coco = pytest.importorskip('pycocotools.coco')
    from pycocotools import mask as rle
    from pycocotools.cocoeval import COCOeval

    def encode(mask):
        return rle.encode(np.asfortranarray(mask.astype(np.uint8)))

    truths = sum(len(truth) for _, _, truth in queries)
    annotations, results = [], []
    for image, (guesses, scores, truth) in enumerate(queries, 1):
        for mask in truth:
            annotations.append({'id': len(annotations) + 1, 'image_id': image, 'category_id': 1,
                                'segmentation': encode(mask), 'area': int(mask.sum()),
                                'iscrowd': 0, 'bbox': [0, 0, 1, 1]})
        for mask, score in zip(guesses, scores, strict=True):
            results.append({'image_id': image, 'category_id': 1, 'segmentation': encode(mask),
                            'score': float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco.COCO()
        ground.dataset = {'images': [{'id': i + 1, 'height': 24, 'width': 32}
                                     for i in range(len(queries))],
                          'categories': [{'id': 1, 'name': 'thing'}], 'annotations': annotations}
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(results), 'segm')
        # Precision at recall just below k/N, for each k, is the envelope at the k-th hit.
        evaluation.params.recThrs = (np.arange(truths) + 0.5) / truths
        evaluation.params.maxDets = [1, 10, 100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval['precision'][:, :, 0, 0, 2].mean(axis=1)


@pytest.mark.parametrize('seed', range(4))
def test_average_precision_agrees_with_pycocotools(seed):
    queries = random_queries(np.random.default_rng(seed), 40)
    metrics = SegmentationMetrics()
    for guesses, scores, truth in queries:
        metrics.add(guesses, scores, truth)
    figures = metrics.overall()
    expected = coco_precision(queries)
    assert len(expected) == len(AP_THRESHOLDS)
    # Both sum the same fractions; 1e-6 leaves room for the order of summation only.
    assert figures.ap == pytest.approx(expected.mean(), abs=1e-6)
    assert figures.ap50 == pytest.approx(expected[0], abs=1e-6)
    assert figures.ap75 == pytest.approx(expected[5], abs=1e-6)
    assert 0.05 < figures.ap < figures.ap50 < 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_figures_are_bounded_and_do_not_depend_on_order(seed):
    queries = random_queries(np.random.default_rng(seed), 6)
    first, second = SegmentationMetrics(), SegmentationMetrics()
    for guesses, scores, truth in queries:
        first.add(guesses, scores, truth)
    for guesses, scores, truth in reversed(queries):
        second.add(guesses[::-1], scores[::-1], truth[::-1])
    one, two = first.overall().to_dict(), second.overall().to_dict()
    for name, value in one.items():
        if value is None:
            assert two[name] is None
            continue
        # Only the order of a sum of doubles differs.
        assert two[name] == pytest.approx(value, abs=1e-12)
        assert name == 'queries' or 0 <= value <= 1 + 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_perfect_predictions(seed):
    metrics = SegmentationMetrics()
    truths = 0
    for _, _, truth in random_queries(np.random.default_rng(seed), 5):
        metrics.add(truth, np.linspace(0.9, 0.5, len(truth)), truth)
        truths += len(truth)
    figures = metrics.overall()
    assert figures.g_iou == 1
    if truths:
        # The denominator of cIoU carries 1e-10.
        assert figures.c_iou == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize('kinds', [None, ['a']])
def test_intervals_are_percentiles_of_the_figures_of_resampled_pictures(kinds):
    rng = np.random.default_rng(3)
    queries = []
    for number in range(24):
        truth = rng.random((rng.integers(0, 3), 4, 4)) < 0.5
        found = rng.random((rng.integers(0, 3), 4, 4)) < 0.5
        queries.append((found, rng.random(len(found)), truth, 'ab'[number % 2], number // 3))
    metrics = SegmentationMetrics()
    for found, scores, truth, kind, _ in queries:
        metrics.add(found, scores, truth, kind=kind)
    intervals = metrics.intervals(kinds, blocks=[one[4] for one in queries], resamples=40, seed=5)
    pictures = [[one for one in queries if one[4] == number and one[3] in (kinds or 'ab')]
                for number in range(8)]
    drawn = {}
    for choice in np.random.default_rng(5).integers(8, size=(40, 8)):
        again = SegmentationMetrics()
        for one in choice:
            for found, scores, truth, kind, _ in pictures[one]:
                again.add(found, scores, truth, kind=kind)
        for name, value in again.overall().to_dict().items():
            if value is not None:
                drawn.setdefault(name, []).append(value)
    assert intervals.keys() == drawn.keys() - {'queries'}
    for name, limits in intervals.items():
        # sums in another order
        assert limits == pytest.approx(np.percentile(drawn[name], (2.5, 97.5)), abs=1e-12)
