# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts, pages, comparisons and COCO truth of replays."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instructsam.metrics import SegmentationMetrics
from instructsam.tracking_metrics import mask_ious
from instructsam_ros.perception.outlines import outline_of
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.replay import charts
from instructsam_ros.replay.compare import paired_difference, render_comparison
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.evaluating import Evaluator, Outcome, count_pixels
from instructsam_ros.replay.report import render_report
from instructsam_ros.replay.schedule import Query
from instructsam_ros.replay.truth import CocoTruth, TrueObject, named_by

finite = st.floats(-1e6, 1e6)


def figure(value):
    return {'value': value, 'low': value, 'high': value}


def group(queries, value):
    names = ('gIoU', 'cIoU', 'AP', 'AP50', 'AP75', 'P@0.5', 'P@0.9', 'absent_accuracy')
    return {'queries': queries, **{name: figure(value) for name in names}}


@pytest.fixture
def metrics():
    """What a replay writes, small."""
    stage = {'p50': 0.01, 'p95': 0.02, 'max': 0.03, 'mean': 0.01}
    per_frame = [{
        'index': i, 'stamp_ns': i * 10**8, 'time': i / 10, 'instruction': 'the <b>mug</b>',
        'kind': 'category', 'iou': 0.5 + i / 40, 'timings': {'frame': 0.05 + i / 1000},
        'targets': [{'id': 1 + i // 6, 'truth_id': 3, 'phrase': 'mug & <cup>',
                     'centroid_error': 0.001 * i, 'centre_error': None}]} for i in range(12)]
    return {
        'bag': {'path': '/bags/<run>.mcap', 'storage': 'mcap', 'duration': 1.2},
        'command': 'instructsam-ros replay', 'environment': {'device': 'CPU'},
        'settings': {'every': 1}, 'warnings': ['a <script>alert(1)</script>'],
        'frames': {'images': 12, 'matched': 12, 'unmatched': {'no depth near it': 2}, 'flat': {},
                   'dropped': {}, 'processed': 12},
        'summary': group(12, 0.6), 'by_kind': {'category': group(12, 0.6)}, 'by_count': {},
        'tracking': {'HOTA': 0.9, 'IDF1': 0.8, 'id_switches': 1, 'id_switches_per_minute': 50.0},
        'errors_3d': {'centroid_m': {'n': 12, 'median': 0.005, 'p95': 0.01, 'rms': 0.006}},
        'timings': {'frame': stage}, 'per_frame': per_frame,
        'cases': [{'status': 'best', 'right': True, 'index': 1, 'time': 0.1,
                   'instruction': 'the <b>mug</b>', 'kind': 'category', 'iou': 0.9,
                   'found': ['mug'], 'meant': ['mug'], 'picture': 'best_1.jpg'}]}


def test_the_page_needs_no_network_and_escapes_what_bags_say(metrics):
    page = render_report(metrics, {'best_1.jpg': b'jpeg'})
    assert '<script' not in page
    assert '<b>mug' not in page
    assert '&lt;b&gt;mug' in page
    assert 'http:' not in page
    assert 'https:' not in page
    assert 'src="data:image/jpeg;base64,' in page
    assert '50.0 id switches a minute' in page


def test_a_page_without_truth_or_pictures(metrics):
    nothing = {'value': None, 'low': None, 'high': None}
    metrics |= {'summary': {'queries': 0, 'gIoU': nothing}, 'by_kind': {}, 'tracking': None,
                'errors_3d': {}, 'cases': [], 'per_frame': [], 'timings': {}}
    page = render_report(metrics, {})
    assert 'What was understood' not in page


def test_another_id_is_another_color_but_for_another_instruction(metrics):
    def colors():
        page = render_report(metrics, {'best_1.jpg': b'jpeg'})
        drawing = page[page.index('aria-label="ids of each object'):].partition('</svg>')[0]
        return [part[:2] for part in drawing.split('<rect class="')[1:]]

    for one in metrics['per_frame']:
        one['instruction_id'] = 1
    assert colors() == ['c0', 'c1']
    for one in metrics['per_frame'][6:]:
        one['instruction_id'] = 2
    assert colors() == ['c0', 'c0']


def test_areas_of_what_is_not_there_are_no_figure(metrics):
    absent = group(4, None) | {'gIoU': figure(0.75), 'cIoU': figure(0.0), 'mIoU': figure(None),
                               'absent_accuracy': figure(0.75)}
    metrics['by_count'] = {'0': absent}
    metrics['summary']['mIoU'] = figure(0.6)
    page = render_report(metrics, {'best_1.jpg': b'jpeg'})
    row = page[page.index('nothing there'):].partition('</tr>')[0]
    assert row.count('0.750') == 2 and '0.000' not in row


def test_a_missing_picture_is_an_error(metrics):
    with pytest.raises(KeyError):
        render_report(metrics, {})


@given(st.lists(finite, max_size=60), st.text(max_size=20))
def test_histograms_are_well_formed_and_count_everything(values, label):
    label = ''.join(c for c in label if c.isprintable())
    svg = charts.histogram(values, label, marks={'here <': 1.0})
    if not values:
        assert svg == ''
        return
    drawing = ElementTree.fromstring(svg)
    counts = [int(one.text.rpartition(': ')[2]) for one in drawing.iter('title')]
    assert sum(counts) == len(values)


@given(st.lists(st.tuples(st.floats(0, 1e5), st.none() | st.floats(0, 1e6)), max_size=40))
def test_series_have_a_dot_per_value(pairs):
    times, values = zip(*pairs, strict=True) if pairs else ((), ())
    svg = charts.series(times, {'ms': values}, 'milliseconds')
    dots = sum(v is not None for v in values)
    assert (svg == '') == (dots == 0)
    if dots:
        assert len(list(ElementTree.fromstring(svg).iter('circle'))) == dots


def test_series_of_long_bags_stay_small_and_keep_the_extremes():
    times = np.arange(50_000) / 10
    values = np.sin(times) + 2
    values[[777, 40_000]] = 9.0, 0.001
    svg = charts.series(times.tolist(), {'ms': values.tolist()}, 'milliseconds')
    heights = [float(one.get('cy')) for one in ElementTree.fromstring(svg).iter('circle')]
    # two in each of 500 slots; the last one has its own
    assert 500 < len(heights) <= 1002
    top, bottom = (charts.series([0.0, 1.0], {'ms': [9.0, 0.001]}, '').partition(f'cy="{y}')
                   for y in (f'{min(heights):.1f}', f'{max(heights):.1f}'))
    assert top[1] and bottom[1]


def test_an_object_keeps_its_id_among_two_that_cover_it():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    smaller = mask.copy()
    smaller[5] = False
    truth = [TrueObject(7, 'carrot', outline_of(mask), mask.shape)]
    evaluator, entries = Evaluator(), []
    for number in range(4):
        # of two on one carrot, ids 1 and 2, the other one fits better in every picture
        found = [SimpleNamespace(mask=one, score=0.9, phrase='carrot')
                 for one in ((mask, smaller) if number % 2 else (smaller, mask))]
        targets = [SimpleNamespace(id=identity, phrase='carrot', score=0.9, geometry=None,
                                   status=SimpleNamespace(names=[])) for identity in (1, 2)]
        entries.append(evaluator.add(Outcome(
            SimpleNamespace(index=number, stamp_ns=number), float(number),
            Query('the carrot', number=1),
            PerceptionResult('the carrot', float(number),
                             SimpleNamespace(instances=found, answer='carrot'), targets, {}),
            truth, {'frame': 0.1})))
    owners = [[target['id'] for target in one['targets'] if target['truth_id'] == 7]
              for one in entries]
    assert owners == [[2]] * 4
    assert [one['targets'][1]['iou'] for one in entries] == [1.0, 0.9, 1.0, 0.9]
    assert evaluator.figures()['tracking']['id_switches'] == 0


some_masks = arrays(np.bool_, st.tuples(st.integers(0, 4), st.just(9), st.just(11)))


@given(some_masks, some_masks)
def test_pixels_counted_in_outlines_give_the_figures_of_whole_masks(found, true):
    counts = count_pixels(*([outline_of(one) for one in group] for group in (found, true)))
    scores = [0.9 - 0.1 * k for k in range(len(found))]
    whole, counted = SegmentationMetrics(), SegmentationMetrics()
    assert whole.add(found, scores, true) == counted.add_counts(counts, scores)
    assert whole.overall() == counted.overall()
    np.testing.assert_array_equal(counts.ious, mask_ious(found, true))


def test_truth_of_another_size_than_the_pictures_is_refused():
    mask = np.ones((20, 20), bool)
    found = [SimpleNamespace(mask=mask, score=0.9, phrase='carrot')]
    result = PerceptionResult(
        'the carrot', 0.0, SimpleNamespace(instances=found, answer='carrot'), (), {})
    truth = [TrueObject(7, 'carrot', outline_of(mask), (40, 40))]
    with pytest.raises(ValueError, match='as large as the pictures'):
        Evaluator().add(Outcome(SimpleNamespace(index=0, stamp_ns=0), 0.0,
                                Query('the carrot', number=1), result, truth, {}))


def test_paired_difference_by_hand():
    # Wilcoxon, 5 pairs that all grow: exact two-sided p = 2 / 2^5
    change = paired_difference([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert change.value == pytest.approx(0.3)
    assert change.p == pytest.approx(2 / 32)
    assert 0.1 <= change.low < change.value < change.high <= 0.5
    same = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (same.value, same.p) == (0, 1)
    with pytest.raises(ValueError, match='give pairs'):
        paired_difference([], [])


def test_a_comparison_names_what_changed(metrics):
    other = copy.deepcopy(metrics)
    for one in other['per_frame']:
        one['iou'] -= 0.2
    other['settings']['every'] = 2
    page = render_comparison(metrics, other)
    assert '-0.200' in page
    assert 'class="down"' in page
    assert 'every' in page
    other['per_frame'] = other['per_frame'][:3]
    assert 'Only 3 queries are in both' in render_comparison(metrics, other)
    other['per_frame'] = [{**other['per_frame'][0], 'stamp_ns': -1}]
    with pytest.raises(ValueError, match='no picture with the same instruction'):
        render_comparison(metrics, other)


def test_changes_that_round_to_nothing_have_no_sign(metrics):
    other = copy.deepcopy(metrics)
    other['per_frame'][0]['iou'] += 1e-4
    page = render_comparison(metrics, other)
    assert '0.000 to 0.000' in page
    assert '+0.000' not in page and '-0.000' not in page


@pytest.mark.parametrize(('text', 'expected'), [
    ('the red mug', {1}), ('the mugs', None), ('red mugs and the box', {1, 2}),
    ('the leftmost thing', None), ('boxing day', None), ('The RED-mug!', {1})])
def test_an_instruction_means_the_objects_that_it_names(text, expected):
    found = named_by(text, {1: 'red mug', 2: 'box', 3: ''})
    assert found == (None if expected is None else frozenset(expected))


SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def coco(tmp_path, images, **more):
    document = {
        'images': [{'id': i, 'height': 20, 'width': 30, **one} for i, one in enumerate(images)],
        'categories': [{'id': 1, 'name': 'red mug'}],
        'annotations': [{'id': 7, 'image_id': 0, 'category_id': 1, 'segmentation': SQUARE,
                         'track_id': 4, **more}]}
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(document))
    return CocoTruth(path)


def frame(index, stamp_ns):
    return SimpleNamespace(index=index, stamp_ns=stamp_ns)


@pytest.mark.parametrize('image', [
    {'stamp_ns': 1700000000600000000}, {'file_name': 'frames/1700000000600000000.png'}])
def test_coco_images_belong_to_stamps(tmp_path, image):
    truth = coco(tmp_path, [image])
    (one,) = truth.objects(frame(5, 1700000000600000000), Query('the red mug'))
    assert (one.id, one.phrase) == (4, 'red mug')
    assert np.count_nonzero(one.mask) == 36
    assert one.box == (2.0, 2.0, 8.0, 8.0)
    assert truth.objects(frame(0, 1), Query('the red mug')) is None


def test_coco_images_without_stamps_go_by_order(tmp_path):
    truth = coco(tmp_path, [{'file_name': '000.png'}, {'file_name': '001.png'}])
    assert len(truth.objects(frame(0, 99), Query('the red mug'))) == 1
    assert truth.objects(frame(2, 99), Query('the red mug')) is None
    assert truth.objects(frame(0, 99), Query('something')) is None
    assert truth.objects(frame(0, 99), Query('x', objects=frozenset())) == []


def test_coco_annotations_of_an_instruction(tmp_path):
    truth = coco(tmp_path, [{}], instruction='what I drink from')
    assert len(truth.objects(frame(0, 0), Query('what I drink from'))) == 1
    assert truth.objects(frame(0, 0), Query('the red mug')) == []


def test_what_is_no_coco_file_is_named(tmp_path):
    path = tmp_path / 'truth.json'
    for text in ('{', '[]', '{"images": []}'):
        path.write_text(text)
        with pytest.raises(BagError, match='no COCO file'):
            CocoTruth(path)
    truth = coco(tmp_path, [{}], segmentation='none')
    with pytest.raises(BagError, match='neither polygons nor RLE'):
        truth.objects(frame(0, 0), Query('the red mug'))
