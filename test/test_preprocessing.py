# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of any kind to what the two image encoders take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from instructsam import preprocessing
from instructsam.preprocessing import sam_pixels, smart_resize, to_rgb_uint8, vlm_pixels
from instructsam.resampling import Filter, resize_uint8

PUBLISHED: dict[str, int] = {
    'patch_size': 16, 'merge_size': 2, 'temporal_patch_size': 2,
    'min_pixels': 65536, 'max_pixels': 16777216}
# Small pictures stay as they are with these bounds.
UNRESIZED = {**PUBLISHED, 'min_pixels': 1024, 'max_pixels': 65536}


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize('name', ['200x150', '640x480'])
def test_matches_the_reference_processors(shared_dir: Path, name: str) -> None:
    from safetensors.torch import load_file

    folder = shared_dir / 'parity' / 'preproc'
    reference = load_file(folder / 'reference_uint8.safetensors')
    stored = cv2.imread(str(folder / f'{name}.png'))
    assert stored is not None
    image = torch.from_numpy(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))

    def decoded(key: str) -> Tensor:
        return (reference[f'{name}.{key}'].float() / 255 - 0.5) / 0.5

    patches, grid = vlm_pixels(image, **PUBLISHED)
    # The same 8-bit values are scaled: only the rounding of the scaling may differ (1e-7).
    torch.testing.assert_close(sam_pixels(image, 1008), decoded('sam'), atol=1e-6, rtol=0)
    torch.testing.assert_close(patches, decoded('qwen'), atol=1e-6, rtol=0)
    assert torch.equal(grid, reference[f'{name}.grid'])


@given(size=st.tuples(st.integers(2, 90), st.integers(2, 90)),
       resized=st.tuples(st.integers(2, 90), st.integers(2, 90)),
       kind=st.sampled_from(['bilinear', 'bicubic']), seed=st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_other_devices_resize_as_a_cpu_does(
    size: tuple[int, int], resized: tuple[int, int], kind: Filter, seed: int
) -> None:
    image = picture(*size, seed)[None]
    expected = F.interpolate(image, resized, mode=kind, antialias=True)
    assert torch.equal(resize_uint8(image, *resized, kind), expected)


@pytest.mark.parametrize('size', [(480, 640), (720, 1280), (150, 200)])
def test_cameras_are_resized_alike_on_every_device(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(*size)
    expected = sam_pixels(image, 1008), vlm_pixels(image, **PUBLISHED)[0]
    with monkeypatch.context() as patch:
        # what runs where torch resizes floats only
        patch.setattr(preprocessing.F, 'interpolate', lambda batch, size, mode, antialias:
                      resize_uint8(batch, *size, mode))
        assert torch.equal(sam_pixels(image, 1008), expected[0])
        assert torch.equal(vlm_pixels(image, **PUBLISHED)[0], expected[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('size', [(480, 640), (720, 1280), (150, 200)])
def test_a_gpu_gives_the_same_pixels(size: tuple[int, int]) -> None:
    image = picture(*size)
    # the same 8-bit values; a GPU multiplies by 1 / 255 where a CPU divides
    torch.testing.assert_close(
        sam_pixels(image.cuda(), 1008).cpu(), sam_pixels(image, 1008), atol=1e-6, rtol=0)
    ours, grid = vlm_pixels(image.cuda(), **PUBLISHED)
    expected, _ = vlm_pixels(image, **PUBLISHED)
    torch.testing.assert_close(ours.cpu(), expected, atol=1e-6, rtol=0)
    assert grid.device.type == 'cpu'


def test_patches_are_crops_in_merge_order() -> None:
    image = picture(64, 96)
    patches, grid = vlm_pixels(image, **UNRESIZED)
    assert grid.tolist() == [[1, 4, 6]]
    row = 0
    for block_y in range(2):
        for block_x in range(3):
            for y in range(2):
                for x in range(2):
                    top, left = (block_y * 2 + y) * 16, (block_x * 2 + x) * 16
                    crop = image[:, top:top + 16, left:left + 16].float() / 127.5 - 1
                    stored = patches[row].reshape(3, 2, 16, 16)
                    # A rounding step of the scaling.
                    torch.testing.assert_close(stored[:, 0], crop, atol=1e-6, rtol=0)
                    assert torch.equal(stored[:, 0], stored[:, 1])
                    row += 1
    assert row == len(patches)


def test_channels_may_come_first_or_last() -> None:
    image = picture(50, 70)
    assert torch.equal(sam_pixels(image, 112), sam_pixels(image.permute(1, 2, 0), 112))
    first, last = vlm_pixels(image, **PUBLISHED), vlm_pixels(image.permute(1, 2, 0), **PUBLISHED)
    assert torch.equal(first[0], last[0])


def test_a_batch_is_its_pictures_one_after_the_other() -> None:
    images = torch.stack([picture(48, 64, seed) for seed in range(3)])
    patches, grids = vlm_pixels(images, **PUBLISHED)
    single = [vlm_pixels(image, **PUBLISHED) for image in images]
    assert torch.equal(patches, torch.cat([pixels for pixels, _ in single]))
    assert torch.equal(grids, torch.cat([grid for _, grid in single]))
    assert torch.equal(
        sam_pixels(images, 56), torch.cat([sam_pixels(image, 56) for image in images]))


def test_sam_pixels_stretch_and_scale_to_one() -> None:
    image = torch.zeros(3, 30, 90, dtype=torch.uint8)
    image[:, :, 45:] = 255
    pixels = sam_pixels(image, 56)
    assert pixels.shape == (1, 3, 56, 56)
    assert pixels.dtype == torch.float32
    assert pixels[..., :26].eq(-1).all()
    assert pixels[..., 30:].eq(1).all()


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
@settings(max_examples=200, deadline=None)
def test_smart_resize_keeps_bounds_and_aspect(height: int, width: int) -> None:
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(ValueError, match='crop it'):
            smart_resize(height, width, 32, 65536, 16777216)
        return
    rows, columns = smart_resize(height, width, 32, 65536, 16777216)
    assert rows % 32 == columns % 32 == 0
    assert 65536 <= rows * columns <= 16777216
    # Each side is within one factor of a common scale of the picture.
    low = max((rows - 32) / height, (columns - 32) / width)
    high = min((rows + 32) / height, (columns + 32) / width)
    assert low <= high


@pytest.mark.parametrize(('size', 'expected'), [
    ((480, 640), (480, 640)), ((720, 1280), (704, 1280)), ((150, 200), (224, 320)),
    ((8000, 6000), (4704, 3520))])
def test_smart_resize_examples(size: tuple[int, int], expected: tuple[int, int]) -> None:
    # 720 / 32 = 22.5 goes to the even 22, as Python rounds.
    assert smart_resize(*size, 32, 65536, 16777216) == expected


def test_every_kind_of_array_becomes_rgb() -> None:
    rgb = picture(5, 7).permute(1, 2, 0).numpy()
    alpha = np.full((5, 7, 1), 9, np.uint8)
    grey = rgb[:, :, 0]
    thrice = np.stack([grey] * 3, axis=2)
    cases: list[tuple[Any, Any]] = [
        (rgb, rgb), (np.concatenate([rgb, alpha], 2), rgb), (grey, thrice),
        (grey[:, :, None], thrice), (np.stack([grey, alpha[:, :, 0]], 2), thrice),
        (rgb.astype(np.uint16) * 257, rgb), (grey.astype(np.uint16) * 257, thrice),
        (grey > 100, (thrice > 100) * np.uint8(255)), (rgb[:, ::-1], rgb[:, ::-1]),
        (torch.from_numpy(rgb.copy()), rgb)]
    for image, expected in cases:
        result = to_rgb_uint8(image)
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, expected)


def test_sixteen_bits_round_to_the_nearest_level() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    result = to_rgb_uint8(values)[:, :, 0].astype(float)
    # Half a level, and a little for the comparison in floats.
    assert np.abs(result - values / 257).max() <= 0.5 + 1e-9


def test_pil_pictures_are_turned_upright() -> None:
    pil = pytest.importorskip('PIL.Image')
    rgb = picture(6, 9).permute(1, 2, 0).contiguous().numpy()
    image = pil.fromarray(rgb)
    np.testing.assert_array_equal(to_rgb_uint8(image), rgb)
    image.getexif()[0x0112] = 6  # camera turned: rotate by 90 degrees clockwise to show
    np.testing.assert_array_equal(to_rgb_uint8(image), np.rot90(rgb, -1))
    deep = pil.fromarray(np.full((4, 4), 40000, np.uint16))
    assert to_rgb_uint8(deep).max() == to_rgb_uint8(deep).min() == round(40000 / 257)
    assert to_rgb_uint8(pil.fromarray(rgb).convert('P')).shape == (6, 9, 3)
    assert to_rgb_uint8(pil.fromarray(rgb).convert('CMYK')).shape == (6, 9, 3)


@pytest.mark.parametrize(('shape', 'cause'), [
    ((0, 0, 3), '0x0 pixels is empty'), ((0, 5, 3), '5x0 pixels is empty'),
    ((1, 1, 3), '1x1 pixels.*at least 2'), ((4, 4, 5), 'last axis must be'),
    ((2, 4, 4, 3), 'give one picture'), ((7,), 'give one picture')])
def test_unusable_arrays_are_named(shape: tuple[int, ...], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        to_rgb_uint8(np.zeros(shape, np.uint8))


@pytest.mark.parametrize('dtype', [np.float32, np.int64, np.int16])
def test_arrays_of_unclear_range_are_refused(dtype: type) -> None:
    with pytest.raises(ValueError, match='convert it to uint8'):
        to_rgb_uint8(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize(('shape', 'cause'), [
    ((3, 0, 0), 'is empty'), ((3, 1, 1), 'at least 2'), ((2, 10, 10), 'give RGB as'),
    ((10, 10), 'give RGB as')])
def test_unusable_tensors_are_named(shape: tuple[int, ...], cause: str) -> None:
    image = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(ValueError, match=cause):
        sam_pixels(image, 56)
    with pytest.raises(ValueError, match=cause):
        vlm_pixels(image, **PUBLISHED)


def test_a_strip_is_too_narrow_for_the_language_model() -> None:
    strip = torch.zeros(3, 2, 500, dtype=torch.uint8)
    with pytest.raises(ValueError, match='500x2 pixels: one side is more than 200 times'):
        vlm_pixels(strip, **PUBLISHED)
    with pytest.raises(ValueError, match='is empty'):
        smart_resize(0, 10, 32, 65536, 16777216)


def test_float_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match='give uint8 RGB'):
        sam_pixels(torch.zeros(3, 8, 8), 56)
