# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages: every encoding to RGB and depth to metres, and what is wrong with bad ones."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.bridge.encodings import BAYER, ENCODINGS
from instructsam_ros.bridge.images import (
    array_to_compressed,
    array_to_image,
    compressed_to_array,
    depth_to_compressed,
    depth_to_metres,
    image_to_array,
)

from sensor_msgs.msg import CompressedImage, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip

HEADER = Header(frame_id='camera')
# pixels share their neighbours' chroma, steps of 12 levels in x and y; swapped chroma costs 100
YUV_ERROR = 25


def picture(height: int = 12, width: int = 16) -> np.ndarray:
    """Smooth RGB: a red ramp along x, a green one along y, a dash of blue."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 220, width)
    image[..., 1] = np.linspace(200, 60, height)[:, None]
    image[..., 2] = 90
    return image


def encoded(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """The picture's pixels in an encoding, by other means than the code under test."""
    wide = rgb.astype(np.uint16) * 257
    red, green, blue = (rgb[..., k] for k in range(3))
    alpha = np.full_like(red, 255)
    plain = {
        'rgb8': rgb, 'bgr8': rgb[..., ::-1], '8UC3': rgb[..., ::-1],
        'rgba8': np.dstack([red, green, blue, alpha]),
        'bgra8': np.dstack([blue, green, red, alpha]),
        '8UC4': np.dstack([blue, green, red, alpha]),
        'rgb16': wide, 'bgr16': wide[..., ::-1],
        'rgba16': np.dstack([wide, np.full_like(wide[..., :1], 65535)]),
        'bgra16': np.dstack([wide[..., ::-1], np.full_like(wide[..., :1], 65535)]),
    }
    if encoding in plain:
        return np.ascontiguousarray(plain[encoding])
    if encoding in BAYER:
        pattern = encoding[len('bayer_'):-1].rstrip('1')
        pixels = wide if encoding.endswith('16') else rgb
        mosaic = np.empty(pixels.shape[:2], pixels.dtype)
        for k, letter in enumerate(pattern):
            at = (slice(k // 2, None, 2), slice(k % 2, None, 2))
            mosaic[at] = pixels[..., 'rgb'.index(letter)][at]
        return mosaic
    # ITU-R BT.601, limited range
    y = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    u = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
    v = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    y, u, v = (np.rint(plane).astype(np.uint8) for plane in (y, u, v))
    packed = np.empty((*y.shape, 2), np.uint8)
    luma, chroma = (1, 0) if encoding in ('uyvy', 'yuv422') else (0, 1)
    packed[..., luma] = y
    packed[:, 0::2, chroma], packed[:, 1::2, chroma] = u[:, 0::2], v[:, 0::2]
    if not encoding.startswith('nv'):
        return packed
    first, second = (u, v) if encoding == 'nv12' else (v, u)
    planes = np.empty((y.shape[0] // 2, y.shape[1]), np.uint8)
    planes[:, 0::2], planes[:, 1::2] = first[::2, ::2], second[::2, ::2]
    return np.vstack([y, planes])


def message_of(pixels: np.ndarray, encoding: str, size: tuple[int, int], pad: int = 0,
               big: bool = False) -> Image:
    """An image message with ``pad`` bytes at the end of every row."""
    rows = len(pixels)
    if big:
        pixels = pixels.astype(pixels.dtype.newbyteorder('>'))
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(rows, -1)
    step = data.shape[1] + pad
    padded = np.full((rows, step), 77, np.uint8)
    padded[:, :data.shape[1]] = data
    return Image(header=HEADER, height=size[0], width=size[1], encoding=encoding, step=step,
                 is_bigendian=int(big), data=array('B', padded.tobytes()))


COLOURS = [name for name, layout in ENCODINGS.items()
           if layout.picture and name not in ('mono8', 'mono16', '8UC1')]


@pytest.mark.parametrize('big', [False, True], ids=['little', 'big'])
@pytest.mark.parametrize('pad', [0, 6], ids=['tight', 'padded'])
@pytest.mark.parametrize('encoding', COLOURS)
def test_every_colour_encoding_gives_the_same_picture(encoding: str, pad: int, big: bool) -> None:
    rgb = picture()
    message = message_of(encoded(rgb, encoding), encoding, rgb.shape[:2], pad, big)

    found = image_to_array(message)

    assert found.dtype == np.uint8 and found.shape == rgb.shape
    exact = encoding in ('rgb8', 'bgr8', '8UC3', 'rgba8', 'bgra8', '8UC4') or (
        '16' in encoding and encoding not in BAYER)
    # interpolated from neighbours: a step of the ramps, at the rim two
    tolerance = 0 if exact else 2 * 17 if encoding in BAYER else YUV_ERROR
    inner = slice(1, -1) if encoding in BAYER else slice(None)
    error = np.abs(found.astype(int) - rgb)[inner, inner]
    assert error.max() <= tolerance


@pytest.mark.parametrize('encoding', ['mono8', 'mono16', '8UC1'])
def test_grey_becomes_equal_channels(encoding: str) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    pixels = grey.astype(np.uint16) * 257 if encoding == 'mono16' else grey
    for big in (False, True):
        found = image_to_array(message_of(pixels, encoding, grey.shape, 2, big))
        np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize('carrier', [bytes, lambda data: array('B', data),
                                     lambda data: np.frombuffer(data, np.uint8)],
                         ids=['bytes', 'array', 'numpy'])
def test_data_of_any_carrier(carrier: object) -> None:
    rgb = picture()
    message = Image(height=12, width=16, encoding='rgb8', step=48, data=carrier(rgb.tobytes()))
    np.testing.assert_array_equal(image_to_array(message), rgb)


def test_last_row_may_come_without_padding() -> None:
    rgb = picture()
    message = message_of(rgb, 'rgb8', (12, 16), 6)
    message.data = message.data[:-6]
    np.testing.assert_array_equal(image_to_array(message), rgb)


@pytest.mark.parametrize(('change', 'cause', 'mend'), [
    ({'encoding': 'h264'}, "'h264' is not supported", 'bgr8'),
    ({'encoding': '16UC1', 'step': 32}, 'holds depth', 'remap'),
    ({'width': 0}, 'no pixels', 'camera driver'),
    ({'height': 0}, 'no pixels', 'camera driver'),
    ({'step': 0}, 'step 0', '48 bytes'),
    ({'step': 47}, 'step 47', '48 bytes'),
    ({'height': 13}, 'needs 624 bytes, but has 576', 'publisher'),
    ({'data': array('B')}, 'but has 0', 'publisher'),
    ({'encoding': 'mono16', 'step': 49}, 'step 49', 'publisher'),
    ({'encoding': 'nv12', 'height': 7}, 'divisible', 'size'),
])
def test_bad_images_are_named(change: dict[str, object], cause: str, mend: str) -> None:
    message = message_of(picture(), 'rgb8', (12, 16))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=cause) as caught:
        image_to_array(message)
    assert mend in str(caught.value)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200), st.integers(0, 600),
       st.sampled_from(sorted(ENCODINGS)), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_header_makes_it_read_out_of_bounds(height: int, width: int, step: int, size: int,
                                               encoding: str, big: bool) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding,
                    is_bigendian=int(big), data=array('B', bytes(size)))
    try:
        found = image_to_array(message)
    except ValueError:
        return
    assert found.shape == (height, width, 3)
    assert not found.any() or 'yuv' in encoding or 'yv' in encoding or 'nv' in encoding


@pytest.mark.parametrize(('encoding', 'dtype', 'channels'), [
    ('rgb8', np.uint8, 3), ('mono8', np.uint8, 1), ('16UC1', np.uint16, 1),
    ('32FC1', np.float32, 1)])
def test_array_to_image_fills_every_field(encoding: str, dtype: type, channels: int) -> None:
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    message = array_to_image(pixels, encoding, HEADER)
    assert (message.height, message.width, message.encoding) == (5, 7, encoding)
    assert message.step == 7 * channels * np.dtype(dtype).itemsize
    assert message.is_bigendian == 0 and message.header == HEADER
    assert isinstance(message.data, array) and message.data.typecode == 'B'
    assert bytes(message.data) == pixels.tobytes()


def test_array_to_image_of_a_view() -> None:
    rgb = picture()
    flipped = rgb[::-1, ::-1]
    np.testing.assert_array_equal(image_to_array(array_to_image(flipped, 'rgb8', HEADER)), flipped)


@pytest.mark.parametrize('pixels', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32),
                                    np.zeros(4, np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_array_to_image_refuses_what_the_encoding_is_not(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match='rgb8 needs uint8 with 3 channel'):
        array_to_image(pixels, 'rgb8', HEADER)


# compressed


def compressed(pixels: np.ndarray, extension: str, form: str) -> CompressedImage:
    done, data = cv2.imencode(extension, pixels)
    assert done
    return CompressedImage(format=form, data=array('B', data.tobytes()))


def test_jpeg_there_and_back() -> None:
    rgb = picture(48, 64)
    message = array_to_compressed(rgb, HEADER, 95)
    assert 'jpeg' in message.format and message.header == HEADER
    # JPEG at quality 95 with subsampled colour; swapped channels would differ by a hundred
    assert np.abs(compressed_to_array(message).astype(int) - rgb).max() <= 16


def test_lower_quality_is_smaller() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert len(array_to_compressed(rgb, HEADER, 20).data) < len(
        array_to_compressed(rgb, HEADER, 90).data)
    for quality in (0, 101):
        with pytest.raises(ValueError, match='1 to 100'):
            array_to_compressed(rgb, HEADER, quality)


@pytest.mark.parametrize('form', ['bgr8; png compressed bgr8', 'rgb8; png compressed bgr8', 'png'])
def test_png_of_bgr(form: str) -> None:
    rgb = picture()
    message = compressed(rgb[..., ::-1], '.png', form)
    np.testing.assert_array_equal(compressed_to_array(message), rgb)


def test_png_of_rgb_says_so() -> None:
    rgb = picture()
    message = compressed(rgb, '.png', 'rgb8; png compressed rgb8')
    np.testing.assert_array_equal(compressed_to_array(message), rgb)


def test_png_of_16_bit_alpha_grey_and_bayer() -> None:
    rgb = picture()
    wide = rgb[..., ::-1].astype(np.uint16) * 257
    np.testing.assert_array_equal(
        compressed_to_array(compressed(wide, '.png', 'bgr16; png compressed bgr16')), rgb)
    alpha = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 9, np.uint8)])
    np.testing.assert_array_equal(
        compressed_to_array(compressed(alpha, '.png', 'bgra8; png compressed bgr8')), rgb)
    grey = compressed_to_array(compressed(rgb[..., 0], '.png', 'mono8; png compressed '))
    np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, axis=2))
    mosaic = encoded(rgb, 'bayer_gbrg8')
    np.testing.assert_array_equal(
        compressed_to_array(compressed(mosaic, '.png', 'bayer_gbrg8; png compressed ')),
        image_to_array(message_of(mosaic, 'bayer_gbrg8', rgb.shape[:2])))


def test_exif_does_not_turn_the_picture() -> None:
    rgb = picture(24, 40)
    message = array_to_compressed(rgb, HEADER, 95)
    data = bytes(message.data)
    # an EXIF segment that says: rotated by 90 degrees (orientation 6)
    tiff = (b'II*\0\x08\0\0\0' + b'\x01\0' + b'\x12\x01\x03\0\x01\0\0\0\x06\0\0\0' + b'\0\0\0\0')
    body = b'Exif\0\0' + tiff
    segment = b'\xff\xe1' + (len(body) + 2).to_bytes(2, 'big') + body
    message.data = array('B', data[:2] + segment + data[2:])
    turned = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape[:2] == (40, 24)
    assert compressed_to_array(message).shape == rgb.shape


@pytest.mark.parametrize('data', [b'', b'no picture', b'\x89PNG\r\n\x1a\n' + bytes(30)])
def test_undecodable_data_is_named(data: bytes) -> None:
    with pytest.raises(ValueError, match='cannot be decoded.*JPEG or PNG'):
        compressed_to_array(CompressedImage(format='bgr8; jpeg compressed bgr8',
                                            data=array('B', data)))


def test_compressed_depth_is_no_picture() -> None:
    message = depth_to_compressed(np.full((4, 4), 900, np.uint16), HEADER)
    with pytest.raises(ValueError, match='is depth: remap'):
        compressed_to_array(message)


# depth


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16', '32FC1'])
def test_depth_in_metres(encoding: str, big: bool) -> None:
    metres = np.array([[0.5, 1.25, np.nan], [3.0, np.nan, 0.001]], np.float32)
    pixels = metres if encoding == '32FC1' else np.nan_to_num(metres * 1000).astype(np.uint16)
    for pad in (0, 4):
        found = depth_to_metres(message_of(pixels, encoding, (2, 3), pad, big))
        assert found.dtype == np.float32 and found.dtype.isnative
        # float32 holds millimetres exactly enough: 1e-7 of 3 m
        np.testing.assert_allclose(found, metres, rtol=1e-6)


@pytest.mark.parametrize('encoding', ['rgb8', 'mono8', 'bayer_rggb16', '64FC1'])
def test_what_is_no_depth(encoding: str) -> None:
    message = message_of(picture(), encoding, (12, 16))
    with pytest.raises(ValueError, match='depth encoding.*16UC1'):
        depth_to_metres(message)


def test_compressed_millimetres_are_lossless() -> None:
    depth = np.random.default_rng(0).integers(0, 9000, (20, 30)).astype(np.uint16)
    message = depth_to_compressed(depth, HEADER)
    assert message.format == '16UC1; compressedDepth png'
    expected = np.where(depth == 0, np.nan, depth * 0.001).astype(np.float32)
    np.testing.assert_allclose(depth_to_metres(message), expected, rtol=1e-6)


def test_compressed_metres_are_inverse_depth() -> None:
    depth = np.linspace(0.2, 9.5, 600, dtype=np.float32).reshape(20, 30)
    depth[0, 0], depth[1, 1], depth[2, 2] = np.nan, 20.0, 0.0
    found = depth_to_metres(depth_to_compressed(depth, HEADER))
    lost = np.zeros(depth.shape, bool)
    lost[[0, 1, 2], [0, 1, 2]] = True
    np.testing.assert_array_equal(np.isnan(found), lost)
    # one level of inverse depth q is d * d / 10100 m; cutting off makes it up to one level more
    error = (found - depth)[~lost]
    assert error.min() >= -1e-5 and (error <= depth[~lost] ** 2 / 10100 * 1.2).all()


def test_compressed_depth_by_the_documented_bytes() -> None:
    levels = np.array([[1, 2], [0, 400]], np.uint16)
    done, png = cv2.imencode('.png', levels)
    assert done
    head = np.array([1], '<i4').tobytes() + np.array([10100.0, -1009.0], '<f4').tobytes()
    data = array('B', head + png.tobytes())
    message = CompressedImage(format='32FC1; compressedDepth', data=data)
    expected = [[10.0, 10100 / 1011], [np.nan, 10100 / 1409]]
    np.testing.assert_allclose(depth_to_metres(message), expected, rtol=1e-6)


def test_16_bit_png_of_the_compressed_transport_is_depth_too() -> None:
    depth = np.array([[500, 0], [1500, 250]], np.uint16)
    message = compressed(depth, '.png', '16UC1; png compressed ')
    np.testing.assert_allclose(depth_to_metres(message), [[0.5, np.nan], [1.5, 0.25]], rtol=1e-6)


@pytest.mark.parametrize(('form', 'data', 'reason'), [
    ('16UC1; compressedDepth rvl', bytes(40), 'RVL is not supported.*png'),
    ('16UC1; compressedDepth png', b'', 'only 0 bytes'),
    ('16UC1; compressedDepth png', bytes(40), 'cannot be decoded'),
    ('bgr8; jpeg compressed bgr8', bytes(40), "depth encoding 'bgr8' is not supported"),
    ('', bytes(40), "depth encoding '' is not supported"),
])
def test_bad_compressed_depth_is_named(form: str, data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        depth_to_metres(CompressedImage(format=form, data=array('B', data)))


def test_jpeg_is_no_depth() -> None:
    message = compressed(np.full((8, 8), 90, np.uint8), '.jpg', '16UC1; jpeg compressed ')
    message.data = array('B', bytes(12)) + message.data
    with pytest.raises(ValueError, match='JPEG cannot hold depth'):
        depth_to_metres(message)
