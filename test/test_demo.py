# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros demo``: what it compares, prints and writes."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live import wait_until
from stand_ins import Answer, Found

from instructsam_ros.cli import main
from instructsam_ros.commands import demo
from instructsam_ros.demo.comparison import TrueObject, compare, visible_centroid
from instructsam_ros.demo.page import DemoStep, summary, write_page
from instructsam_ros.demo.script import requests
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.images import read_image
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / 'model' / 'checkpoints' / 'tabletop'
needs_checkpoint = pytest.mark.skipif(
    not (CHECKPOINT / 'model.safetensors').is_file(),
    reason=f'no default checkpoint in {CHECKPOINT}',
)


def square(left, top=2, side=4):
    mask = np.zeros((12, 24), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def true_object(name, mask, at=(0.0, 0.0, 1.0)):
    return TrueObject(name, mask, np.array(at), np.array(at) + (0, 0, 0.05), np.full(3, 0.1))


def result_of(*masks, at=(0.0, 0.0, 1.01)):
    pose = np.eye(4)
    pose[:3, 3] = at
    geometry = TargetGeometry(
        pose, np.array([0.11, 0.1, 0.1]), np.array(at), -np.eye(3)[2], np.eye(6),
        float(np.linalg.norm(at)),
    )
    found = tuple(Found(mask, 0.9, f'thing {k}') for k, mask in enumerate(masks))
    targets = tuple(
        Target(k + 1, one.phrase, 0.9, TargetStatus.OK, geometry) for k, one in enumerate(found)
    )
    return PerceptionResult('x', 0.0, Answer(found), targets, {'segment': 0.1})


def test_targets_are_matched_to_the_objects_they_cover():
    wanted = [true_object('left', square(1)), true_object('right', square(12))]
    rows = compare(result_of(square(13), square(1)), wanted)
    assert [(row.wanted, row.found) for row in rows] == [('left', 'thing 1'), ('right', 'thing 0')]
    assert rows[0].iou == 1.0
    assert rows[0].verdict == 'found'
    # 12 of 20 pixels
    assert rows[1].iou == pytest.approx(12 / 20)


def test_errors_are_in_metres():
    (row,) = compare(result_of(square(1)), [true_object('it', square(1))])
    assert row.distance == pytest.approx(1.01)
    assert row.distance_error == pytest.approx(0.01)
    assert row.centroid_error == pytest.approx(0.01)
    assert row.centre_error == pytest.approx(0.04)
    # sides 0.10, 0.10, 0.11 against 0.10
    assert row.size_error == pytest.approx(0.0, abs=1e-9)


def test_missed_and_extra_objects_are_told():
    rows = compare(result_of(square(18)), [true_object('it', square(1))])
    assert [row.verdict for row in rows] == ['missed', 'wrong']
    assert rows[0].found is None
    assert rows[1].wanted is None
    assert compare(result_of(), []) == []


def test_a_loose_mask_is_not_found():
    (row,) = compare(result_of(square(1, side=8)), [true_object('it', square(1))])
    assert row.iou == pytest.approx(16 / 64)
    assert row.verdict == 'wrong'


def test_the_visible_centroid_is_the_mean_of_the_seen_points():
    camera = CameraModel.from_k([10, 0, 11.5, 0, 10, 5.5, 0, 0, 1], 24, 12)
    depth = np.full((12, 24), 2.0, np.float32)
    depth[3, 3] = np.nan
    mask = square(3, top=3, side=2)
    # the pixels (4, 3), (3, 4) and (4, 4)
    expected = np.mean([[-1.5, -0.5, 2], [-1.7, -0.3, 2], [-1.5, -0.3, 2]], axis=0)
    np.testing.assert_allclose(visible_centroid(mask, depth, camera), expected, atol=1e-6)


def test_the_page_shows_every_step_and_escapes_words(tmp_path):
    rows = compare(result_of(square(1)), [true_object('<it>', square(1))])
    steps = [
        DemoStep(1, 'several_instances', 'topic', 'find <b>', 'a & b', '01.png', rows, 0.1, 0.1),
        DemoStep(2, 'absent', 'voice', 'the unicorn', 'unicorn', '02.png', [], 0.1, 0.1),
    ]
    write_page(tmp_path / 'index.html', steps)
    page = (tmp_path / 'index.html').read_text()
    assert 'find &lt;b&gt;' in page
    assert '<b>' not in page
    assert page.count('<article class=right>') == 2
    assert 'src="02.png"' in page
    assert summary(steps)[0].startswith('2 of 2')


def start_demo(folder, *arguments):
    """The command as a process, in a process group of its own as a terminal gives it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / 'model')])
    return subprocess.Popen(
        [sys.executable, '-m', 'instructsam_ros.cli', 'demo', '--device', 'cpu', '--out',
         str(folder), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, 'PYTHONPATH': path, 'COLUMNS': '160'})


def node_processes(log):
    """Numbers of the processes that the demo's log names as started."""
    return [int(number) for number in re.findall(r'started, process (\d+)', log.read_text())]


def is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@needs_checkpoint
def test_the_live_demo_asks_by_every_way_and_judges_the_answers(ros_domain, tmp_path):
    process = start_demo(tmp_path / 'demo', '--scenes', '2', '--instructions', '3')
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed
    assert ' of 6 instructions answered exactly right' in printed
    found = re.search(r'Median IoU of the (\d+) objects found: (\d\.\d+)', printed)
    # far below the model card's figures, far above what a broken path would give
    assert found and int(found[1]) >= 4 and float(found[2]) >= 0.6, printed
    folder = tmp_path / 'demo'
    for way in ('(topic)', '(voice)', '(service)'):
        assert printed.count(way) == 2, printed
    entries = json.loads((folder / 'result.json').read_text())['results']
    assert len(entries) == 6
    page = (folder / 'index.html').read_text()
    for entry in entries:
        # a picture of the right size, with something drawn in or not
        assert read_image(folder / entry['overlay']).shape == (480, 640, 3)
        assert f'src="{entry["overlay"]}"' in page
    assert len({entry['overlay'].split('_', 1)[1] for entry in entries}) == 6  # six kinds
    log = folder / 'nodes.log'
    assert log.read_text().count('ended with exit code 0') == 2
    assert len(node_processes(log)) == 2
    assert not any(is_running(number) for number in node_processes(log))


@needs_checkpoint
def test_ctrl_c_ends_both_processes_and_keeps_what_was_answered(ros_domain, tmp_path):
    folder = tmp_path / 'demo'
    process = start_demo(folder, '--scenes', '50')

    def pictures():
        assert process.poll() is None, process.communicate()[0]
        # the staging folder gets one with each answer
        return list(folder.glob('.instructsam-*/*.jpg'))

    wait_until(pictures, timeout=120)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert 'interrupted' in printed
    assert list(folder.glob('*.jpg'))
    assert (folder / 'index.html').is_file()
    assert not list(folder.glob('.instructsam-*'))
    assert not any(is_running(number) for number in node_processes(folder / 'nodes.log'))


def test_ctrl_c_counts_though_what_it_raised_was_lost(monkeypatch):
    with demo._noting_ctrl_c() as check:
        check()
        # as in a destructor, whose exceptions Python drops
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_model_that_fails_to_load_ends_the_demo_with_its_reason(ros_domain, tmp_path):
    process = start_demo(tmp_path / 'demo', '--model', str(tmp_path / 'nothing'))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 2, printed
    assert str(tmp_path / 'nothing') in ''.join(printed.split('\n'))
    assert 'Traceback' not in printed


@pytest.mark.parametrize('count', ['0', '-1', 'many', '101'])
def test_senseless_counts_are_refused(count, capsys):
    with pytest.raises(SystemExit) as error:
        main(['demo', '--scenes', count])
    assert error.value.code == 2
    assert 'whole number' in capsys.readouterr().err


def test_the_script_takes_kinds_and_ways_in_turn_and_names_what_is_wanted():
    asked = list(requests(0, 3, 3, width=320, height=240))
    assert [one.scene for one in asked] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [one.way for one in asked[:4]] == ['topic', 'voice', 'service', 'topic']
    # nine kinds; a scene without a kind's objects passes it to the next one
    assert len({one.kind for one in asked}) >= 7
    assert asked == list(requests(0, 3, 3, width=320, height=240))
    for one in asked:
        assert (not one.wanted) == (one.kind == 'absent')
        assert all(number >= 1 for number in one.wanted)
