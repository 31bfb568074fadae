# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Light on surfaces, soft shadows, and the way from radiance to a camera's JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from .appearance import Appearance, noise_bank
from .scene import Clutter, Scene, TabletopObject

_LOW_LIGHT = 0.45  # lower light would throw shadows across the whole support


def lit(
    look: Appearance,
    rays: np.ndarray,
    normal: np.ndarray,
    albedo: np.ndarray,
    height: np.ndarray,
    reach: np.ndarray | None,
    gloss: float,
    shininess: float,
) -> np.ndarray:
    """Return display rgb float32 [3, n] of matt surfaces with a highlight.

    ``rays`` float32 [3, n] from the camera and unit ``normal`` [3, n] in the world frame,
    ``height`` [n] above the support over the body's own: lower parts get less light from the sky.
    ``reach`` [n] is the share of the main light that arrives (None for all of it).
    """
    light, fill = look.light.astype(np.float32), look.fill.astype(np.float32)
    level = (1 - look.ambient) * look.light[2] + look.fill_strength * look.fill[2] + look.ambient
    diffuse = np.maximum(light @ normal, 0)
    if reach is not None:
        diffuse *= reach
    sky = normal[2] * np.float32(0.25) + np.float32(0.75)
    sky *= np.clip(height, 0, 1) * np.float32(0.28) + np.float32(0.72)
    sky *= np.float32(look.ambient / level)
    sky += np.maximum(fill @ normal, 0) * np.float32(look.fill_strength / level)
    strength = ((1 - look.ambient) / level * look.light_rgb).astype(np.float32)
    total = strength[:, None] * diffuse
    total += sky
    # Display values: light acts through the inverse gamma.
    np.maximum(total, np.float32(0.004), out=total)
    color: np.ndarray = np.exp(np.log(total, out=total) * np.float32(0.4545), out=total)
    color *= albedo
    back = rays / -_length(rays)
    half = back + light[:, None]
    aligned = _dot(normal, half) / _length(half)
    # The highlight of exponent s is close to exp(s (cos - 1)).
    shine = np.exp((aligned - 1) * np.float32(shininess))
    shine *= diffuse > 0
    facing = 1 - np.maximum(_dot(normal, back), 0)
    shine += np.float32(0.12) * facing * facing * facing
    color += shine * np.float32(gloss)
    return color


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result: np.ndarray = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return result


def _length(a: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sqrt(_dot(a, a))
    return result


def shadow_map(scene: Scene, height: int, width: int) -> np.ndarray:
    """Return the factor float32 [H, W, 3] by which shadows and uneven light dim what is flat."""
    look, camera = scene.appearance, scene.camera
    hard = np.zeros((height // 2, width // 2), np.uint8)
    contact = np.zeros_like(hard)
    things: list[TabletopObject | Clutter] = [*scene.objects, *scene.clutter]
    outlines = [
        t.body.geometry.outline[t.body.geometry.casts] @ t.pose[:3, :3].T + t.pose[:3, 3]
        for t in things
    ]
    points = np.concatenate(outlines)
    lift = np.maximum(points[..., 2:], 0)
    slant = look.light[:2] / max(look.light[2], _LOW_LIGHT)
    for target, away in ((hard, slant), (contact, np.zeros(2))):
        flat = np.zeros_like(points)
        flat[..., :2] = points[..., :2] - lift * away
        pixels = (flat - camera.pose[:3, 3]) @ camera.pose[:3, :3] @ camera.K.T
        ahead = (pixels[..., 2] > 0.05).all(axis=1)
        xy = pixels[..., :2] / np.maximum(pixels[..., 2:], 0.05)
        fixed = np.clip(np.round((xy - 0.5) * 8), -20000, 20000).astype(np.int32)
        for polygon in fixed[ahead]:
            cv2.fillConvexPoly(target, cv2.convexHull(polygon), 255, cv2.LINE_AA, 4)
    reach = 0.05 * camera.K[0, 0] / float(np.linalg.norm(camera.pose[:3, 3])) / 2
    soft = cv2.GaussianBlur(hard, (0, 0), max(reach * look.softness, 0.6))
    near = cv2.GaussianBlur(contact, (0, 0), max(reach * 0.2, 0.6))
    shade = soft.astype(np.float32) * np.float32(-look.shadow / 255)
    shade += 1
    shade *= 1 - near.astype(np.float32) * np.float32(0.45 / 255)
    full = cv2.resize(shade ** np.float32(0.6), (width, height), interpolation=cv2.INTER_LINEAR)
    merged: np.ndarray = cv2.merge([full, full, full])
    return merged


def _unevenness(look: Appearance, height: int, width: int) -> np.ndarray:
    coarse = look.field.astype(np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    field *= 1 - np.float32(look.vignette / 2) * np.add.outer(y * y, x * x)
    return field


def _noise(seed: int, count: int) -> np.ndarray:
    """Return standard normal noise, float32 [count]: a window of the bank, or drawn if larger."""
    bank = noise_bank()
    if count >= bank.size:
        return np.random.default_rng(seed).standard_normal(count, dtype=np.float32)
    offset = seed % (bank.size - count)
    return bank[offset : offset + count]


def develop(image: np.ndarray, look: Appearance) -> np.ndarray:
    """Turn display-valued colour float32 [H, W, 3] (1 = white; overwritten) into a photo.

    In order: uneven light, lens blur and motion, exposure and white balance, haze, contrast and
    saturation, noise, sharpening, JPEG. Returns uint8 [H, W, 3].
    """
    h, w = image.shape[:2]
    scale = w / 640
    field = _unevenness(look, h, w)
    image *= cv2.merge([field, field, field])
    sigma = max(look.blur * (0.55 + 0.45 * scale), 0.3)
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    length, angle = look.motion
    if length:
        image = cv2.filter2D(image, -1, _motion_kernel(length * scale, angle))
    image = np.asarray(cv2.transform(image, _color_matrix(look)), np.float32)
    # Softly limit what exceeds 0.9, so that bright colours do not clip to another hue.
    over = np.maximum(image - np.float32(0.9), 0)
    image -= over
    over /= over * np.float32(8) + 1
    image += over
    image += _noise(look.seed, 3 * h * w).reshape(h, w, 3) * np.float32(look.noise)
    if look.chroma_noise > 0.004:
        # Colour noise is coarse: cameras smooth it more than brightness.
        small = _noise(look.seed // 2, (h // 4) * (w // 4) * 3).reshape(h // 4, w // 4, 3)
        image += cv2.resize(small * np.float32(look.chroma_noise * 0.6), (w, h))
    np.clip(image, 0, 1, out=image)
    picture = cv2.convertScaleAbs(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), alpha=255.0)
    if look.sharpen:
        smooth = cv2.GaussianBlur(picture, (0, 0), 1.2)
        picture = cv2.addWeighted(picture, 1 + look.sharpen, smooth, -look.sharpen, 0)
    ok, packed = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, look.jpeg])
    if not ok:
        raise RuntimeError('OpenCV could not encode a JPEG; install a build with that codec')
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def _color_matrix(look: Appearance) -> np.ndarray:
    """Return exposure, white balance, haze, contrast and saturation as one affine map [3, 4]."""
    gain = np.diag(look.white_balance * (look.exposure * 0.92 * (1 - look.haze) * look.contrast))
    offset = look.haze * look.contrast + 0.5 * (1 - look.contrast)
    mix = look.saturation * np.eye(3) + (1 - look.saturation) / 3
    return np.column_stack([mix @ gain, mix @ np.full(3, offset)]).astype(np.float32)


def _motion_kernel(length: float, angle: float) -> np.ndarray:
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = (size - 1) / 2
    for t in np.linspace(-0.5, 0.5, 4 * size):
        x = middle + t * (length - 1) * np.cos(angle)
        y = middle + t * (length - 1) * np.sin(angle)
        kernel[int(np.clip(round(y), 0, size - 1)), int(np.clip(round(x), 0, size - 1))] += 1
    return kernel / kernel.sum()
