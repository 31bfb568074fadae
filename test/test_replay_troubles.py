# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a replay: one line that names the cause, and what was done is kept."""

from __future__ import annotations

import errno
import json
import os
import resource
import threading
from pathlib import Path
from types import SimpleNamespace

import bags
import pytest

from instructsam_ros.cli import main
from instructsam_ros.perception import segmenter as segmenter_module
from instructsam_ros.perception.cores import spare_a_core
from instructsam_ros.replay.ahead import read_ahead
from instructsam_ros.replay.placing import root
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.writing import BagWriter

FRAMES = 10
ASKED = ('--instruction', 'the mug')


class Nothing:
    """A segmenter that finds nothing; ``calls`` counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def segment(self, image, instruction, *, threshold=None):
        self.calls += 1
        return SimpleNamespace(answer='nothing', phrases=(), instances=(), timings={'all': 0.001})


@pytest.fixture(autouse=True)
def model(monkeypatch):
    made = Nothing()
    monkeypatch.setattr(segmenter_module, 'load_segmenter', lambda *_: made)
    return made


@pytest.fixture
def bag(tmp_path):
    return bags.write(tmp_path / 'bag', bags.camera(FRAMES))


def replay(*arguments):
    return main(['replay', *map(str, arguments)])


def metrics_of(folder):
    return json.loads((folder / 'metrics.json').read_text())


def complaint(capsys):
    """The one line on standard error."""
    line, = capsys.readouterr().err.strip().splitlines()
    return line


# ---- bags


def empty_file(path):
    path.with_suffix('.mcap').write_bytes(b'')
    return path.with_suffix('.mcap')


def no_messages(path):
    with BagWriter(path) as writer:
        writer.add_topic(bags.IMAGE, type(bags.image(0, 0)))
    return path


def two_cameras(path):
    return bags.write(path, [('/left/image_raw', bags.image(0, 0, 'l'), 0.0),
                             ('/right/image_raw', bags.image(0, 0, 'r'), 0.0)])


def unknown_types(path):
    with BagWriter(path) as writer:
        writer.add_raw_topic('/image', 'acme_msgs/msg/Picture', 'uint8[] pixels')
        writer.write_raw('/image', b'\0\1\0\0\0\0\0\0', bags.at(0))
    return path


@pytest.mark.parametrize(('make', 'options', 'told'), [
    (empty_file, (), ['is empty (0 bytes)']),
    (no_messages, (), ['no messages in this bag']),
    (two_cameras, (), ['several image topics', '/left/image_raw', '/right/image_raw', '--image']),
    (unknown_types, (), ['no image topic', 'sensor_msgs/msg/Image',
                         '/image (acme_msgs/msg/Picture, 1)']),
    (unknown_types, ('--image', '/picture'), ['no topic /picture', '/image (acme_msgs']),
], ids=lambda one: getattr(one, '__name__', None))
def test_what_is_no_use_is_told_in_a_line(tmp_path, capsys, make, options, told):
    path = make(tmp_path / 'bag')
    assert replay(path, '--out', tmp_path / 'out', *ASKED, *options) == 2
    line = complaint(capsys)
    assert str(path) in line
    for part in told:
        assert part in line
    assert not (tmp_path / 'out').exists()


def test_a_clock_that_goes_back_is_noted_and_all_is_searched(tmp_path, model):
    second = [(topic, message, seconds - 60.0) for topic, message, seconds in bags.camera(
        FRAMES, first=FRAMES)]
    # the second run of the camera is a minute before the first
    path = bags.write(tmp_path / 'bag', [*bags.camera(FRAMES), *second])
    assert replay(path, '--out', tmp_path / 'out', *ASKED) == 0
    metrics = metrics_of(tmp_path / 'out')
    assert metrics['frames']['processed'] == model.calls == 2 * FRAMES
    assert any('the clock went back by' in one for one in metrics['warnings'])


# ---- where results go


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_searched(
    bag, tmp_path, capsys, model
):
    if os.getuid():
        closed = tmp_path / 'closed'
        closed.mkdir(mode=0o500)
    else:
        # not even root may write here
        closed = Path('/proc')
    assert replay(bag, '--out', closed / 'out', *ASKED) == 2
    assert str(closed / 'out') in complaint(capsys)
    assert model.calls == 0


def test_when_results_cannot_be_written_on_the_report_is_about_what_was_done(
    bag, tmp_path, capsys, monkeypatch, model
):
    """The disk is full while the results are written, and then there is room again."""
    write, done = BagWriter.write, []

    def full(self, *arguments):
        done.append(arguments)
        if len(done) > 35:
            raise self._failure(OSError(errno.ENOSPC, 'No space left on device'))
        write(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(BagWriter, 'write', full)
        assert replay(bag, '--out', tmp_path / 'out', *ASKED) == 2
    assert 'the disk is full; what was written before is kept' in ' '.join(
        capsys.readouterr().out.split())
    part = metrics_of(tmp_path / 'out')
    # 10 messages per picture: the fourth fails, and that shows some pictures later
    assert 3 <= part['frames']['processed'] <= FRAMES
    assert any('the disk is full' in one for one in part['warnings'])
    assert (tmp_path / 'out/report.html').is_file()
    with BagReader(tmp_path / 'out/results') as results:
        assert not (tmp_path / 'out/results/metadata.yaml').exists() and results.notes
    assert replay(bag, '--out', tmp_path / 'out', *ASKED, '--resume') == 0
    # answers are written down before their results: what was asked is not asked again
    assert model.calls == FRAMES
    assert metrics_of(tmp_path / 'out')['frames']['processed'] == FRAMES
    with BagReader(tmp_path / 'out/results') as results:
        assert results.topics['/instructsam/instances'].count == FRAMES


def test_when_there_is_no_room_for_a_report_the_answers_are_kept(bag, tmp_path, capsys, model):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    try:
        # no file may grow beyond this: writing fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
        assert replay(bag, '--out', tmp_path / 'out', *ASKED) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    assert 'there is no report: make room, then go on with --resume' in complaint(capsys)
    before = model.calls
    assert before and replay(bag, '--out', tmp_path / 'out', *ASKED, '--resume') == 0
    assert model.calls <= FRAMES + 1
    assert metrics_of(tmp_path / 'out')['frames']['processed'] == FRAMES


# ---- results of a live node


def test_only_the_pictures_that_a_live_node_answered(bag, tmp_path, capsys):
    assert replay(bag, '--out', tmp_path / 'some', *ASKED, '--every', 3) == 0
    assert replay(bag, '--out', tmp_path / 'out', *ASKED,
                  '--frames-of', tmp_path / 'some/results') == 0
    assert [one['index'] for one in metrics_of(tmp_path / 'out')['per_frame']] == [0, 3, 6, 9]
    assert replay(bag, '--out', tmp_path / 'out', *ASKED, '--frames-of', bag) == 2
    assert 'holds no results of a node' in complaint(capsys)


# ---- parts


def test_reading_ahead_gives_all_and_what_went_wrong():
    def items():
        yield from range(30)
        raise ValueError('broken')

    found = []
    with pytest.raises(ValueError, match='broken'):
        found.extend(read_ahead(items(), 4))
    assert list(read_ahead(iter(range(5)), 1)) == list(range(5))
    ahead = read_ahead(items(), 4)
    assert [next(ahead) for _ in range(30)] == list(range(30))
    with pytest.raises(ValueError, match='broken'):
        next(ahead)


def test_reading_ahead_is_not_far_ahead_and_ends_when_nobody_wants_more():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    before = threading.active_count()
    ahead = read_ahead(items(), 4)
    assert next(ahead) == 0
    ahead.close()
    # 4 wait, one is on its way in, and one was given
    assert len(taken) <= 6
    assert threading.active_count() == before


def test_the_root_of_a_tree():
    parents = {'optical': 'link', 'link': 'base', 'base': 'map', 'a': 'b', 'b': 'a'}
    assert root(parents, 'optical') == 'map'
    assert root(parents, 'map') == root(parents, 'elsewhere') == ''
    # TF with a circle must not hang
    assert root(parents, 'a') == 'b'


@pytest.mark.parametrize(('cores', 'threads'), [({0}, '1'), ({0, 1}, '1'), (set(range(8)), '7')])
def test_a_network_leaves_a_core_to_the_rest(monkeypatch, cores, threads):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: cores)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    spare_a_core()
    assert os.environ['OMP_NUM_THREADS'] == threads
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    spare_a_core()
    assert os.environ['OMP_NUM_THREADS'] == '5'
