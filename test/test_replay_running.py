# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replays of real bags on disk, with a model that knows the truth or errs on purpose."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import bags
import numpy as np
import pytest
from stand_ins import Answer, Found

from instructsam_ros.bridge.results import targets_of
from instructsam_ros.cli import main
from instructsam_ros.perception import segmenter as segmenter_module
from instructsam_ros.replay.assembling import FrameAssembler
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.record_tabletop import TabletopRecording, record_tabletop
from instructsam_ros.replay.schedule import BagSchedule
from instructsam_ros.replay.topics import choose_topics
from instructsam_ros.replay.truth import TopicTruth

FRAMES = 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """12 small pictures of one table, three instructions."""
    path = tmp_path_factory.mktemp('bags') / 'table'
    record_tabletop(path, TabletopRecording(
        seconds=FRAMES / 5, rate=5, seed=3, instructions=3, width=320, height=240))
    return path


class Knowing:
    """A segmenter that reads the truth of a bag, and may lose some of it."""

    def __init__(self, bag, lose=0):
        self.calls = 0
        self._lose = lose
        self._answers = {}
        with BagReader(bag) as reader:
            topics = choose_topics(reader)
            truth, schedule = TopicTruth(topics), BagSchedule(reader, topics)
            for frame in FrameAssembler(reader, topics, companions=truth.companions).frames():
                for query in schedule.queries(0, frame.bag_ns):
                    pixels = bytes(frame.image.data)[:4000:7]
                    self._answers[pixels, query.text] = list(truth.objects(frame, query))

    def segment(self, image, instruction, *, threshold=None):
        self.calls += 1
        known = self._answers[image.tobytes()[:4000:7], instruction]
        found = [SimpleNamespace(mask=one.mask, score=0.9, box=one.box, phrase=one.phrase)
                 for one in known[self._lose:]]
        return SimpleNamespace(
            answer=', '.join(one.phrase for one in found) or 'nothing',
            phrases=tuple(one.phrase for one in found), instances=tuple(found),
            timings={'all': 0.001})


@pytest.fixture
def model(bag, monkeypatch):
    """Replace the model that commands load; return a setter."""
    def use(one):
        monkeypatch.setattr(segmenter_module, 'load_segmenter', lambda *_: one)
        return one

    use(Knowing(bag))
    return use


def replay(*arguments):
    return main(['replay', *map(str, arguments)])


def metrics_of(folder):
    return json.loads((folder / 'metrics.json').read_text())


def without_timings(value):
    """Drop what may differ between two runs."""
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items()
                if k not in ('timings', 'command')}
    return [without_timings(one) for one in value] if isinstance(value, list) else value


def test_a_model_that_knows_everything_is_judged_perfect(bag, model, tmp_path, capsys):
    assert replay(bag, '--out', tmp_path) == 0
    metrics = metrics_of(tmp_path)
    assert metrics['frames']['processed'] == FRAMES
    summary = metrics['summary']
    assert summary['queries'] == FRAMES
    assert summary['gIoU'] == {'value': 1.0, 'low': 1.0, 'high': 1.0}
    assert summary['AP']['value'] == pytest.approx(1.0)
    assert metrics['tracking']['IDF1'] == 1.0
    assert metrics['tracking']['id_switches'] == 0
    errors = metrics['errors_3d']['centroid_m']
    assert errors['n'] == sum(len(one['found']) for one in metrics['per_frame'])
    # true masks and a stereo camera's noise at under 2 m
    assert errors['median'] < 0.004
    assert 'gIoU'.lower() in capsys.readouterr().out


def test_figures_follow_what_is_lost(bag, model, tmp_path):
    model(Knowing(bag, lose=1))
    assert replay(bag, '--out', tmp_path) == 0
    metrics = metrics_of(tmp_path)
    for one in metrics['per_frame']:
        assert len(one['found']) == max(len(one['meant']) - 1, 0)
        if len(one['meant']) == 1:
            assert one['iou'] == 0
    mean = np.mean([one['iou'] for one in metrics['per_frame']])
    assert metrics['summary']['gIoU']['value'] == pytest.approx(mean, abs=1e-6)
    assert {one['status'] for one in metrics['cases']} <= {'best', 'worst', 'failed', 'absent'}
    model(Knowing(bag, lose=99))
    assert replay(bag, '--out', tmp_path) == 0
    metrics = metrics_of(tmp_path)
    assert {one['status'] for one in metrics['cases']} <= {'failed', 'absent'}
    assert metrics['summary']['AP']['value'] == 0


def test_two_replays_are_the_same_but_for_times(bag, model, tmp_path):
    for name in ('one', 'two'):
        assert replay(bag, '--out', tmp_path / name) == 0
    first, second = (metrics_of(tmp_path / name) for name in ('one', 'two'))
    assert without_timings(first) == without_timings(second)
    # pictures too
    for path in (tmp_path / 'one' / 'pictures').iterdir():
        assert path.read_bytes() == (tmp_path / 'two' / 'pictures' / path.name).read_bytes()


class Looking:
    """A segmenter that finds nothing; of a picture its streams look once for all instructions."""

    def __init__(self, first=None):
        self.made = [] if first is None else first.made
        self._reused = () if first is None else ('look',)

    def stream(self):
        self.made.append('stream')
        return self

    def sibling(self):
        self.made.append('sibling')
        return Looking(self)

    def segment(self, image, instruction, *, threshold=None):
        return SimpleNamespace(
            answer='', phrases=(), instances=(), timings={'look': 10.0}, reused=self._reused)


def test_instructions_about_a_picture_share_what_the_model_saw_and_times_say_what_each_needs(
    bag, model, tmp_path
):
    looking = model(Looking())
    assert replay(bag, '--out', tmp_path, '--instruction', 'a mug', '--instruction', 'a can') == 0
    assert looking.made == ['stream', 'sibling']
    entries = metrics_of(tmp_path)['per_frame']
    assert len(entries) == 2 * FRAMES
    for one in entries:
        # the first one's stand-in tells of ten seconds that have not passed
        shared = one['instruction'] == 'a can'
        assert (one['timings']['segment'] >= 10) == (one['timings']['frame'] >= 10) == shared


def test_results_are_a_bag_with_the_stamps_of_the_pictures(bag, model, tmp_path):
    assert replay(bag, '--out', tmp_path, '--target-frame', 'camera_link') == 0
    stamps = {one['stamp_ns'] for one in metrics_of(tmp_path)['per_frame']}
    with BagReader(tmp_path / 'results') as results:
        assert not results.notes
        assert not results.damage
        for name in ('instances', 'targets', 'detections', 'detections_3d', 'label_image',
                     'label_info', 'markers', 'points', 'overlay/compressed'):
            assert results.topics[f'/instructsam/{name}'].count == FRAMES
        assert results.topics['/tf_static'].latched
        for _, message, _ in results.messages(['/instructsam/targets']):
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec in stamps
            assert message.header.frame_id == 'camera_link'


def test_resume_asks_only_what_is_missing_and_ends_the_same(bag, model, tmp_path, monkeypatch):
    whole = model(Knowing(bag))
    assert replay(bag, '--out', tmp_path / 'whole') == 0
    assert whole.calls == FRAMES

    class Stopped(Knowing):
        def segment(self, *args, **kwargs):
            if self.calls == 5:
                raise KeyboardInterrupt
            return super().segment(*args, **kwargs)

    model(Stopped(bag))
    assert replay(bag, '--out', tmp_path / 'part') == 130
    part = metrics_of(tmp_path / 'part')
    # the sixth was begun
    assert part['frames']['processed'] == len(part['per_frame']) == 5
    assert (tmp_path / 'part' / 'report.html').is_file()
    assert any('interrupted' in one for one in part['warnings'])
    # a line that was cut short is asked again
    book = tmp_path / 'part' / 'answers.jsonl'
    book.write_bytes(book.read_bytes()[:-20])
    rest = model(Knowing(bag))
    assert replay(bag, '--out', tmp_path / 'part', '--resume') == 0
    assert rest.calls == FRAMES - 4
    # what is remembered counts with the time that it took then
    assert [one['timings']['segment'] for one in metrics_of(tmp_path / 'part')['per_frame'][:4]] \
        == [0.001] * 4
    assert without_timings(metrics_of(tmp_path / 'part')) == without_timings(
        metrics_of(tmp_path / 'whole'))


def test_resume_refuses_other_options(bag, model, tmp_path, capsys):
    assert replay(bag, '--out', tmp_path) == 0
    assert replay(bag, '--out', tmp_path, '--resume', '--threshold', '0.2') == 2
    assert 'threshold differ' in capsys.readouterr().err


def test_every_and_live_drop_frames(bag, model, tmp_path):
    assert replay(bag, '--out', tmp_path / 'a', '--every', '3') == 0
    assert [one['index'] for one in metrics_of(tmp_path / 'a')['per_frame']] == [0, 3, 6, 9]
    # pictures every 200 ms and 0.47 s for each: the newest when it is free again
    assert replay(bag, '--out', tmp_path / 'b', '--live', '--latency', '0.47') == 0
    metrics = metrics_of(tmp_path / 'b')
    assert [one['index'] for one in metrics['per_frame']] == [0, 2, 4, 7, 9, 11]
    assert metrics['frames']['dropped'] == {'a newer frame came': FRAMES - 6}


def test_several_instructions_each_count(bag, model, tmp_path):
    with BagReader(bag) as reader:
        texts = [message.data for _, message, _ in reader.messages(['/instruction'])]

    class Nothing:
        def segment(self, image, instruction, *, threshold=None):
            return SimpleNamespace(answer='', phrases=(), instances=(), timings={})

    model(Nothing())
    both = ['--instruction', texts[0], '--instruction', 'the zeppelin']
    assert replay(bag, '--out', tmp_path, *both) == 0
    metrics = metrics_of(tmp_path)
    assert len(metrics['per_frame']) == 2 * FRAMES
    # nobody knows what a zeppelin would be
    judged = [one for one in metrics['per_frame'] if one['iou'] is not None]
    assert all(one['instruction'] != 'the zeppelin' for one in judged)
    assert metrics['frames']['processed'] == FRAMES


def test_bounds_decide_the_exit_code(bag, model, tmp_path, capsys):
    assert replay(bag, '--out', tmp_path, '--fail-under', 'giou=0.99') == 0
    model(Knowing(bag, lose=1))
    assert replay(bag, '--out', tmp_path, '--fail-under', 'gIoU=0.99') == 3
    assert 'giou is 0.' in capsys.readouterr().err
    assert replay(bag, '--out', tmp_path, '--fail-under', 'beauty=1') == 2
    assert 'no figure' in capsys.readouterr().err


def test_comparing_two_replays(bag, model, tmp_path, capsys):
    assert replay(bag, '--out', tmp_path / 'good') == 0
    model(Knowing(bag, lose=1))
    assert replay(bag, '--out', tmp_path / 'bad') == 0
    assert replay('--compare', tmp_path / 'bad', tmp_path / 'good') == 0
    page = (tmp_path / 'good' / 'comparison.html').read_text()
    assert 'gIoU (n = 12)' in page
    assert 'http' not in page
    shutil.rmtree(tmp_path / 'bad')
    assert replay('--compare', tmp_path / 'bad', tmp_path / 'good') == 2
    assert 'no such file' in capsys.readouterr().err


@pytest.mark.parametrize(('document', 'message'), [
    ('- instruction: a\n  begin: 3', "unknown field 'begin'"),
    ('- {instruction: a, start: 3, stop: 2}', 'must come after start'),
    ('- {instruction: a, start: now}', 'expected seconds'),
    ('- {instruction: a, objects: mug}', 'a list of ids'),
    ('- start: 1', 'needs `instruction: TEXT`'),
    ('instruction: a', 'a list of entries'),
    ('- [', 'no YAML'),
    ('- instruction: ""', 'empty'),
])
def test_bad_schedules_are_named(bag, model, tmp_path, capsys, document, message):
    path = tmp_path / 'schedule.yaml'
    path.write_text(document)
    assert replay(bag, '--out', tmp_path / 'out', '--schedule', path) == 2
    assert message in ' '.join(capsys.readouterr().err.split())


def test_a_schedule_says_when_and_what_is_meant(bag, model, tmp_path):
    path = tmp_path / 'schedule.yaml'
    path.write_text('- {instruction: the thing, stop: 1.0, objects: [1], kind: mine}\n'
                    '- {instruction: the other, start: 1.0, objects: []}\n')

    class Nothing:
        def segment(self, image, instruction, *, threshold=None):
            return SimpleNamespace(answer='', phrases=(), instances=(), timings={})

    model(Nothing())
    assert replay(bag, '--out', tmp_path / 'out', '--schedule', path) == 0
    metrics = metrics_of(tmp_path / 'out')
    assert metrics['by_kind']['mine']['queries'] == 5
    assert metrics['by_kind']['mine']['gIoU']['value'] == 0
    assert metrics['by_kind']['absent']['absent_accuracy']['value'] == 1


def test_a_bag_without_instructions_asks_for_one(tmp_path, model, capsys):
    path = tmp_path / 'silent'
    record_tabletop(path, TabletopRecording(
        seconds=0.4, rate=5, instructions=0, width=160, height=120))
    assert replay(path, '--out', tmp_path / 'out') == 2
    assert 'give --instruction' in capsys.readouterr().err


def test_an_output_that_cannot_be_written(bag, model, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert replay(bag, '--out', tmp_path / 'file') == 2
    (tmp_path / 'mine' / 'results').mkdir(parents=True)
    assert replay(bag, '--out', tmp_path / 'mine') == 2
    assert 'is of no replay' in capsys.readouterr().err
    assert (tmp_path / 'mine' / 'results').is_dir()


def test_a_damaged_bag_keeps_what_could_be_read(bag, model, tmp_path):
    broken = tmp_path / 'broken'
    shutil.copytree(bag, broken)
    file = next(broken.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:int(file.stat().st_size * 0.6)])
    assert replay(broken, '--out', tmp_path / 'out') == 2
    metrics = metrics_of(tmp_path / 'out')
    assert 0 < metrics['frames']['processed'] < FRAMES
    assert metrics['warnings']


@pytest.mark.parametrize('has_calibration', [True, False])
def test_depth_of_another_camera_is_brought_into_the_picture(tmp_path, model, has_calibration):
    other, base = 'depth_optical', '/camera/depth_sensor'
    messages = [('/tf_static', bags.transform(other, bags.FRAME, 0.05, 0), 0.0)]
    for number in range(3):
        moment = number / 10
        messages += [(bags.INFO, bags.info(moment), moment),
                     (f'{base}/image', bags.depth(200, moment, other), moment)]
        if has_calibration:
            messages.append((f'{base}/camera_info', bags.info(moment, other), moment))
        messages.append((bags.IMAGE, bags.image(number, moment), moment))
    path = bags.write(tmp_path / 'bag', messages)
    mask = np.zeros((bags.HEIGHT, bags.WIDTH), bool)
    mask[14:34, 22:42] = True

    class Middle:
        def segment(self, image, instruction, *, threshold=None):
            return Answer((Found(mask),), 'thing', ('thing',))

    model(Middle())
    assert replay(path, '--out', tmp_path / 'out', '--instruction', 'the thing') == 0
    with BagReader(tmp_path / 'out/results') as results:
        found = [targets_of(one.message)[0].geometry
                 for one in results.messages(['/instructsam/targets'])]
    warnings = ' '.join(metrics_of(tmp_path / 'out')['warnings'])
    if has_calibration:
        # a wall at 1.2 m, before both cameras
        assert [one.centroid[2] for one in found] == pytest.approx([1.2] * 3, abs=1e-3)
        assert f'by {base}/camera_info and TF' in warnings
    else:
        assert found == [None] * 3
        assert '--depth-camera-info' in warnings
