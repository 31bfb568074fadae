# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline, result.json and how files get onto disk."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from raycast import Box, look_at, render
from stand_ins import Answer, ColorSegmenter, Found

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.instruction import MAX_CHARACTERS, clean_instruction
from instructsam_ros.perception.pipeline import PerceptionPipeline, PerceptionResult
from instructsam_ros.perception.results import (
    SCHEMA,
    decode_rle,
    encode_rle,
    result_document,
    result_record,
    staged_output,
)
from instructsam_ros.perception.targets import Target, TargetStatus

CAMERA = CameraModel.from_k([300, 0, 159.5, 0, 300, 119.5, 0, 0, 1], 320, 240)
POSE = look_at((0, -0.5, 0.5), (0, 0, 0.03))


def scene_frame(**changes):
    depth, index = render([Box((0, 0, 0.03), (0.06, 0.1, 0.06), 0.4)], CAMERA, POSE)
    image = np.full((240, 320, 3), 120, np.uint8)
    image[index == 1] = (220, 20, 20)
    return Frame(**{'image': image, 'depth': depth, 'camera': CAMERA, 'camera_pose': POSE,
                    'stamp': 12.5, **changes})


def test_one_frame_goes_all_the_way():
    result = PerceptionPipeline(ColorSegmenter()).run(scene_frame(), '  the red\n thing ')
    assert result.instruction == 'the red thing'
    assert result.stamp == 12.5
    (target,) = result.targets
    assert (target.id, target.phrase, target.status) == (1, 'red thing', TargetStatus.OK)
    world = target.transformed(POSE).geometry
    # two pixels of 2.3 mm
    np.testing.assert_allclose(world.position, [0, 0, 0.03], atol=0.005)
    assert set(result.timings) == {'segment', 'project'}


def test_without_depth_the_2d_result_stays():
    result = PerceptionPipeline(ColorSegmenter()).run(scene_frame(depth=None), 'red')
    assert len(result.segmentation.instances) == 1
    assert result.targets[0].status == TargetStatus.NO_DEPTH


def test_the_threshold_reaches_the_model():
    run = PerceptionPipeline(ColorSegmenter()).run
    assert not run(scene_frame(), 'red', threshold=0.99).targets


@pytest.mark.parametrize('text', ['', ' \n\t', 'x' * (MAX_CHARACTERS + 1), 'word ' * 2000])
def test_instructions_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match='instruction'):
        clean_instruction(text)
    with pytest.raises(ValueError, match='instruction'):
        PerceptionPipeline(ColorSegmenter()).run(scene_frame(), text)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0\ufffd'),
               min_size=1, max_size=MAX_CHARACTERS).filter(str.strip))
def test_cleaning_changes_white_space_only(text):
    cleaned = clean_instruction(text)
    assert cleaned.split() == text.split()
    assert clean_instruction(cleaned) == cleaned


@settings(deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_masks_survive_run_length_encoding(mask):
    encoded = json.loads(json.dumps(encode_rle(mask)))
    assert encoded['size'] == list(mask.shape)
    np.testing.assert_array_equal(decode_rle(encoded), mask)


def test_the_document_holds_what_was_found():
    frame = scene_frame()
    result = PerceptionPipeline(ColorSegmenter()).run(frame, 'the red thing')
    record = result_record(result, 'a/b.png', (240, 320), 'b_overlay.png')
    document = json.loads(result_document([record]))
    assert document['schema'] == SCHEMA
    (entry,) = document['results']
    assert entry['instruction'] == 'the red thing'
    assert entry['frame'] == 'camera_optical'
    (one,) = entry['instances']
    mask = decode_rle(one['segmentation'])
    np.testing.assert_array_equal(mask, (frame.image == (220, 20, 20)).all(axis=2))
    assert one['area'] == np.count_nonzero(mask)
    (target,) = entry['targets']
    assert target['id'] == one['id']
    assert target['status'] == []
    geometry = result.targets[0].geometry
    # written with micrometres
    np.testing.assert_allclose(target['geometry']['position'], geometry.position, atol=1e-6)
    np.testing.assert_allclose(
        np.reshape(target['geometry']['covariance'], (6, 6)), geometry.covariance, atol=1e-12
    )
    assert np.linalg.norm(target['geometry']['orientation']) == pytest.approx(1, abs=1e-5)


def test_a_target_without_geometry_is_null_with_its_reason():
    found = Found(np.ones((4, 4), bool))
    status = TargetStatus.NO_DEPTH | TargetStatus.LOW_SCORE
    result = PerceptionResult(
        'x', 0.0, Answer((found,)), (Target(1, 'thing', 0.1, status),), {'segment': 0.1}
    )
    (target,) = result_record(result, 'x.png', (4, 4))['targets']
    assert target['geometry'] is None
    assert target['status'] == ['NO_DEPTH', 'LOW_SCORE']


def test_staged_files_appear_together(tmp_path):
    folder = tmp_path / 'a' / 'b'
    with staged_output(folder) as staging:
        (staging / 'one.txt').write_text('1')
        (staging / 'two.txt').write_text('2')
        assert not (folder / 'one.txt').exists()
    assert sorted(path.name for path in folder.iterdir()) == ['one.txt', 'two.txt']


def test_staged_files_replace_older_ones_and_spare_others(tmp_path):
    (tmp_path / 'result.json').write_text('old')
    (tmp_path / 'mine.txt').write_text('mine')
    with staged_output(tmp_path) as staging:
        (staging / 'result.json').write_text('new')
    assert (tmp_path / 'result.json').read_text() == 'new'
    assert (tmp_path / 'mine.txt').read_text() == 'mine'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_nothing_stays_after_an_error(tmp_path, error):
    folder = tmp_path / 'a' / 'b'
    with pytest.raises(error), staged_output(folder) as staging:
        (staging / 'half.txt').write_text('half')
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_older_results_alone(tmp_path):
    (tmp_path / 'result.json').write_text('old')
    with pytest.raises(ValueError, match='no'), staged_output(tmp_path) as staging:
        (staging / 'result.json').write_text('new')
        raise ValueError('no')
    assert [path.name for path in tmp_path.iterdir()] == ['result.json']
    assert (tmp_path / 'result.json').read_text() == 'old'


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with (
        pytest.raises(ValueError, match='choose another folder'),
        staged_output(tmp_path / 'file' / 'out'),
    ):
        pass
