# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros demo``: what it compares, prints and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from stand_ins import Answer, ColorSegmenter, Found, Oracle

from instructsam.tabletop import splits
from instructsam_ros.cli import main
from instructsam_ros.commands.comparison import TrueObject, compare, visible_centroid
from instructsam_ros.commands.demo_page import DemoStep, summary, write_page
from instructsam_ros.perception import segmenter as segmenter_module
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

CHECKPOINT = Path(__file__).resolve().parents[1] / 'model' / 'checkpoints' / 'tabletop'


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
        DemoStep(1, 'several_instances', 'find <b>', 'a & b', '01.png', rows, 0.1),
        DemoStep(2, 'absent', 'the unicorn', 'unicorn', '02.png', [], 0.1),
    ]
    write_page(tmp_path / 'index.html', steps)
    page = (tmp_path / 'index.html').read_text()
    assert 'find &lt;b&gt;' in page
    assert '<b>' not in page
    assert page.count('<article>') == 2
    assert 'src="02.png"' in page
    assert summary(steps)[0].startswith('2 of 2')


def demo(monkeypatch, tmp_path, stand_in, frames=3):
    monkeypatch.setattr(segmenter_module, 'load_segmenter', lambda model, device: stand_in)
    monkeypatch.setenv('COLUMNS', '160')
    return main(['demo', '--frames', str(frames), '--out', str(tmp_path / 'demo')])


def test_a_perfect_model_scores_perfectly(monkeypatch, tmp_path, capsys):
    oracle = Oracle([splits.load('test', index) for index in range(3)])
    assert demo(monkeypatch, tmp_path, oracle) == 0
    printed = capsys.readouterr().out
    assert '6 of 6 instructions answered exactly right' in printed
    assert 'Median IoU' in printed
    folder = tmp_path / 'demo'
    entries = json.loads((folder / 'result.json').read_text())['results']
    assert len(entries) == 6
    page = (folder / 'index.html').read_text()
    for entry in entries:
        assert (folder / entry['overlay']).is_file()
        assert f'src="{entry["overlay"]}"' in page
    # kinds take turns, so the first frames already show several
    assert len({entry['overlay'].split('_', 2)[2] for entry in entries}) >= 4


def test_a_wrong_model_is_told_so(monkeypatch, tmp_path, capsys):
    assert demo(monkeypatch, tmp_path, ColorSegmenter(), frames=2) == 0
    printed = capsys.readouterr().out
    assert 'missed' in printed
    assert '4 of 4' not in printed


@pytest.mark.parametrize('frames', ['0', '-1', 'many', '301'])
def test_senseless_frame_counts_are_refused(frames, capsys):
    with pytest.raises(SystemExit) as error:
        main(['demo', '--frames', frames])
    assert error.value.code == 2
    assert 'whole number' in capsys.readouterr().err


@pytest.mark.skipif(
    not (CHECKPOINT / 'model.safetensors').is_file(),
    reason=f'no default checkpoint in {CHECKPOINT}',
)
def test_the_default_checkpoint_gets_most_of_the_demo_right(tmp_path, capsys):
    assert main(['demo', '--frames', '3', '--device', 'cpu', '--out', str(tmp_path / 'd')]) == 0
    printed = capsys.readouterr().out
    right, _, rest = printed.partition(' of 6 instructions')
    assert rest
    # a broken path gets one right by chance, the absent one
    assert int(right.split()[-1]) >= 2
