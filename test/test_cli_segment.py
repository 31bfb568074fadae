# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros segment``, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from raycast import Box, look_at, render
from stand_ins import ColorSegmenter

from instructsam_ros.cli import main
from instructsam_ros.perception import segmenter as segmenter_module
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.results import decode_rle

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / 'shared' / 'data'
CHECKPOINT = REPOSITORY / 'model' / 'checkpoints' / 'tabletop'
CAMERA = CameraModel.from_k([300, 0, 159.5, 0, 300, 119.5, 0, 0, 1], 320, 240)


@pytest.fixture
def color_model(monkeypatch):
    """Put a segmenter by colour in the model's place."""
    stand_in = ColorSegmenter()
    monkeypatch.setattr(segmenter_module, 'load_segmenter', lambda model, device: stand_in)
    return stand_in


@pytest.fixture
def scene(tmp_path):
    """A folder with a picture of a red and a blue box, its depth and its camera info."""
    shapes = [Box((-0.1, 0, 0.03), (0.06, 0.1, 0.06), 0.4), Box((0.1, 0, 0.04), (0.08,) * 3, 0)]
    depth, index = render(shapes, CAMERA, look_at((0, -0.5, 0.5), (0, 0, 0.03)))
    image = np.full((240, 320, 3), 120, np.uint8)
    image[index == 1] = (220, 20, 20)
    image[index == 2] = (20, 20, 220)
    cv2.imwrite(str(tmp_path / 'scene.png'), image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'depth.png'), (depth * 1000).astype(np.uint16))
    meta = {'width': 320, 'height': 240, 'K': CAMERA.matrix.tolist()}
    (tmp_path / 'meta.json').write_text(json.dumps(meta))
    return tmp_path


def segment(folder, *arguments, image='scene.png', instruction='the red thing'):
    out = folder / 'out'
    command = ['segment', str(folder / image), '--instruction', instruction, '--out', str(out)]
    return main(command + [str(argument) for argument in arguments])


def results(folder):
    return json.loads((folder / 'out' / 'result.json').read_text())['results']


def test_pictures_json_and_table(scene, color_model, capsys):
    code = segment(scene, '--depth', scene / 'depth.png', '--meta', scene / 'meta.json')
    assert code == 0
    (entry,) = results(scene)
    (target,) = entry['targets']
    # seen along the camera's axis, 0.7 m away, 0.1 m to the left
    assert target['geometry']['position'][0] == pytest.approx(-0.1, abs=0.005)
    assert target['geometry']['distance'] == pytest.approx(0.7, abs=0.05)
    assert target['status'] == ['NO_TF']
    overlay = cv2.imread(str(scene / 'out' / entry['overlay']))
    assert overlay.shape == (240, 320, 3)
    printed = capsys.readouterr().out
    assert 'red' in printed
    assert 'no_tf' in printed


def test_without_depth_it_is_2d(scene, color_model):
    assert segment(scene) == 0
    (entry,) = results(scene)
    assert len(entry['instances']) == 1
    assert entry['targets'][0]['geometry'] is None
    assert 'NO_DEPTH' in entry['targets'][0]['status']


def test_nothing_found_is_a_result_too(scene, color_model, capsys):
    assert segment(scene, instruction='the green thing') == 0
    (entry,) = results(scene)
    assert entry['instances'] == []
    assert 'nothing found' in capsys.readouterr().out


def test_the_threshold_holds(scene, color_model):
    assert segment(scene, '--threshold', 0.9) == 0
    assert results(scene)[0]['instances'] == []


def test_depth_that_is_all_invalid_keeps_the_2d_result(scene, color_model):
    cv2.imwrite(str(scene / 'none.png'), np.zeros((240, 320), np.uint16))
    code = segment(scene, '--depth', scene / 'none.png', '--meta', scene / 'meta.json')
    assert code == 0
    (entry,) = results(scene)
    assert len(entry['instances']) == 1
    assert entry['targets'][0]['status'] == ['NO_DEPTH']


def test_several_pictures_pair_with_their_depth_in_order(scene, color_model):
    near = cv2.imread(str(scene / 'depth.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(scene / 'far.png'), near * 2)
    (scene / 'again').mkdir()
    (scene / 'again' / 'scene.png').write_bytes((scene / 'scene.png').read_bytes())
    out = scene / 'out'
    code = main(['segment', str(scene / 'scene.png'), str(scene / 'again' / 'scene.png'),
                 '--instruction', 'red', '--depth', str(scene / 'depth.png'),
                 str(scene / 'far.png'), '--meta', str(scene / 'meta.json'), '--out', str(out)])
    assert code == 0
    first, second = (entry['targets'][0]['geometry']['distance'] for entry in results(scene))
    assert second == pytest.approx(2 * first, rel=0.02)
    assert len(list(out.glob('*_overlay.png'))) == 2, 'one name must not hide the other'


@pytest.mark.parametrize('kind', ['alpha', 'deep', 'grey'])
def test_other_kinds_of_pictures_work(scene, color_model, kind):
    picture = cv2.imread(str(scene / 'scene.png'))
    made = {
        'alpha': np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]),
        'deep': picture.astype(np.uint16) * 257,
        'grey': picture[..., 0],
    }[kind]
    cv2.imwrite(str(scene / 'other.png'), made)
    assert segment(scene, image='other.png') == 0
    assert color_model.images[0].shape == (240, 320, 3)
    assert color_model.images[0].dtype == np.uint8
    assert len(results(scene)[0]['instances']) == (0 if kind == 'grey' else 1)


def test_camera_info_of_another_size_is_scaled(scene, color_model):
    K = CAMERA.matrix * 2
    K[2, 2] = 1
    K[:2, 2] += 0.5
    meta = {'width': 640, 'height': 480, 'K': K.tolist()}
    (scene / 'large.json').write_text(json.dumps(meta))
    assert segment(scene, '--depth', scene / 'depth.png', '--camera-info',
                   scene / 'large.json') == 0
    large = results(scene)[0]['targets'][0]['geometry']['position']
    assert segment(scene, '--depth', scene / 'depth.png', '--meta', scene / 'meta.json') == 0
    np.testing.assert_allclose(results(scene)[0]['targets'][0]['geometry']['position'], large,
                               atol=1e-5)


BAD = {
    'no such file': (['{}/none.png'], 'none.png: no such file'),
    'not a picture': (['{}/meta.json'], 'cannot be read as a picture'),
    'a folder': (['{}'], 'is a folder'),
    '1x1': (['{}/dot.png'], '1x1 pixels, too small'),
    'empty instruction': (['{}/scene.png', '--instruction', ' '], 'instruction is empty'),
    'long instruction': (['{}/scene.png', '--instruction', 'x' * 10_000], '10000 characters'),
    'depth of another size': (
        ['{}/scene.png', '--depth', '{}/small.png', '--meta', '{}/meta.json'],
        'depth is 160x120, the image 320x240',
    ),
    'no such depth': (
        ['{}/scene.png', '--depth', '{}/none.png', '--meta', '{}/meta.json'],
        'none.png: no such file',
    ),
    'depth is a colour picture': (
        ['{}/scene.png', '--depth', '{}/scene.png', '--meta', '{}/meta.json'],
        'use 16-bit millimetres',
    ),
    'extrinsics without a depth camera': (
        ['{}/scene.png', '--depth', '{}/depth.png', '--meta', '{}/meta.json',
         '--depth-extrinsics', '0', '0', '0', '0', '0', '0', '1'],
        '--depth-camera-info',
    ),
    'no rotation': (
        ['{}/scene.png', '--depth', '{}/depth.png', '--meta', '{}/meta.json',
         '--depth-camera-info', '{}/meta.json',
         '--depth-extrinsics', '0', '0', '0', '0', '0', '0', '0'],
        'quaternion',
    ),
    'depth without K': (['{}/scene.png', '--depth', '{}/depth.png'], '--camera-info'),
    'depth for half of the pictures': (
        ['{}/scene.png', '{}/scene.png', '--depth', '{}/depth.png', '--meta', '{}/meta.json'],
        '2 pictures but 1 depth files',
    ),
    'NaN in K': (
        ['{}/scene.png', '--depth', '{}/depth.png', '--meta', '{}/nan.json'],
        'contains NaN',
    ),
    'K for another camera': (
        ['{}/scene.png', '--depth', '{}/depth.png', '--meta', '{}/wide.json'],
        'another aspect ratio',
    ),
    'out is a file': (['{}/scene.png', '--out', '{}/meta.json'], 'choose another folder'),
    'senseless threshold': (['{}/scene.png', '--threshold', '7'], 'number from 0 to 1'),
    'unknown option': (['{}/scene.png', '--depth', '{}/depth.png', '--what'], '--what'),
}


def test_depth_of_another_camera_is_registered(scene, color_model):
    beside = np.eye(4)
    # 0.1 m to the right, turned by two degrees about its y axis
    beside[:3, :3] = cv2.Rodrigues(np.array([0.0, -np.deg2rad(2), 0.0]))[0]
    beside[0, 3] = 0.1
    other = CameraModel.from_k([200, 0, 105.5, 0, 200, 59.5, 0, 0, 1], 212, 120)
    shapes = [Box((-0.1, 0, 0.03), (0.06, 0.1, 0.06), 0.4), Box((0.1, 0, 0.04), (0.08,) * 3, 0)]
    depth, _ = render(shapes, other, look_at((0, -0.5, 0.5), (0, 0, 0.03)) @ beside)
    cv2.imwrite(str(scene / 'beside.png'), (depth * 1000).astype(np.uint16))
    meta = {'width': 212, 'height': 120, 'K': other.matrix.tolist()}
    (scene / 'beside.json').write_text(json.dumps(meta))
    half = -np.deg2rad(1)
    assert segment(
        scene, '--depth', scene / 'beside.png', '--meta', scene / 'meta.json',
        '--depth-camera-info', scene / 'beside.json',
        '--depth-extrinsics', 0.1, 0, 0, 0, np.sin(half), 0, np.cos(half)) == 0
    registered = results(scene)[0]['targets'][0]['geometry']
    assert segment(scene, '--depth', scene / 'depth.png', '--meta', scene / 'meta.json') == 0
    aligned = results(scene)[0]['targets'][0]['geometry']
    # depth pixels of 4 mm
    np.testing.assert_allclose(registered['position'], aligned['position'], atol=0.008)


@pytest.fixture
def bad_scene(scene):
    cv2.imwrite(str(scene / 'dot.png'), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(scene / 'small.png'), np.ones((120, 160), np.uint16))
    meta = json.loads((scene / 'meta.json').read_text())
    (scene / 'wide.json').write_text(json.dumps({**meta, 'width': 640}))
    meta['K'][0][0] = float('nan')
    (scene / 'nan.json').write_text(json.dumps(meta))
    return scene


def run_and_catch(arguments):
    try:
        return main(arguments)
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line_exit_2_and_no_files(bad_scene, color_model, capfd, case):
    arguments, words = BAD[case]
    arguments = [argument.replace('{}', str(bad_scene)) for argument in arguments]
    if '--instruction' not in arguments:
        arguments += ['--instruction', 'the red thing']
    if '--out' not in arguments:
        arguments += ['--out', str(bad_scene / 'out' / 'deep')]
    before = sorted(bad_scene.rglob('*'))
    assert run_and_catch(['segment', *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == ''
    assert words in captured.err
    assert captured.err.count('\n') == 1
    assert 'Traceback' not in captured.err
    assert sorted(bad_scene.rglob('*')) == before


def test_a_later_bad_picture_leaves_nothing_of_the_earlier(bad_scene, color_model, capsys):
    out = bad_scene / 'out'
    code = main(['segment', str(bad_scene / 'scene.png'), str(bad_scene / 'dot.png'),
                 '--instruction', 'red', '--out', str(out)])
    assert code == 2
    assert 'dot.png' in capsys.readouterr().err
    assert not out.exists()


def test_an_unknown_model_is_named(scene, capfd):
    assert segment(scene, '--model', scene / 'no_model') == 2
    error = capfd.readouterr().err
    assert 'no_model' in error
    assert error.count('\n') == 1
    assert not (scene / 'out').exists()


def test_cuda_where_there_is_none(scene, capfd):
    import torch

    if torch.cuda.is_available():
        pytest.skip('this machine has CUDA')
    assert segment(scene, '--device', 'cuda') == 2
    error = capfd.readouterr().err
    assert 'cuda' in error
    assert 'cpu' in error
    assert error.count('\n') == 1


def test_help_answers_at_once_and_names_the_commands():
    # torch alone would take seconds and is not needed to print a page of help
    code = (
        'import sys; from instructsam_ros.cli import build_parser; '
        'print(build_parser().format_help()); assert "torch" not in sys.modules'
    )
    environment = {'PYTHONPATH': f'{REPOSITORY}:{REPOSITORY / "model"}'}
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=environment, check=True
    )
    assert 'segment' in done.stdout
    assert 'demo' in done.stdout


needs_checkpoint = pytest.mark.skipif(
    not (CHECKPOINT / 'model.safetensors').is_file(),
    reason=f'no default checkpoint in {CHECKPOINT}',
)


def iou(a, b):
    return np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1)


@needs_checkpoint
def test_the_default_checkpoint_finds_drawn_objects(tmp_path):
    from instructsam.tabletop import splits

    overlaps, absent_right, absent_asked = [], 0, 0
    for index in range(4):
        sample = splits.load('test', index)
        cv2.imwrite(str(tmp_path / 'scene.png'), sample.frame.image[..., ::-1])
        for instruction in sample.instructions[:3]:
            assert segment(tmp_path, instruction=instruction.text) == 0
            masks = [
                decode_rle(one['segmentation']) for one in results(tmp_path)[0]['instances']
            ]
            if not instruction.objects:
                absent_asked += 1
                absent_right += not masks
                continue
            wanted = np.isin(sample.frame.instance_map, [k + 1 for k in instruction.objects])
            found = np.any(masks, axis=0) if masks else np.zeros_like(wanted)
            overlaps.append(iou(found, wanted))
    # far below the model card's figures, far above what a broken path would give
    assert np.median(overlaps) > 0.6
    assert absent_right >= absent_asked - 1


@needs_checkpoint
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no shared test data in {SHARED}')
def test_the_default_checkpoint_on_a_real_frame(tmp_path):
    folder = SHARED / 'bin_sequence'
    (tmp_path / 'scene.jpg').write_bytes((folder / 'color_000.jpg').read_bytes())
    arguments = ('--depth', folder / 'depth_000.png', '--meta', folder / 'meta.json')
    assert segment(tmp_path, *arguments, image='scene.jpg', instruction='the red object') == 0
    targets = results(tmp_path)[0]['targets']
    assert targets
    for target in targets:
        # the bin's floor is half a metre away
        assert 0.2 < target['geometry']['distance'] < 0.6


@needs_checkpoint
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no shared test data in {SHARED}')
def test_the_default_checkpoint_finds_no_green_cube_in_a_real_frame(tmp_path):
    folder = SHARED / 'bin_sequence'
    (tmp_path / 'scene.jpg').write_bytes((folder / 'color_000.jpg').read_bytes())
    assert segment(tmp_path, image='scene.jpg', instruction='the green cube') == 0
    assert results(tmp_path)[0]['instances'] == []
