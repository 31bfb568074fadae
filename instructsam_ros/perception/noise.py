# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How wrong a depth pixel is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DepthNoise:
    """Standard deviation of depth: sigma_z(z) = constant + quadratic * z**2, metres.

    The quadratic term is triangulation's: sigma_z = z**2 * sigma_d / (f * b) with disparity noise
    sigma_d, baseline b and focal length f in pixels. The defaults are those of a RealSense D400
    at VGA (b = 50 mm, f = 600 px, sigma_d = 0.08 px).
    """

    constant: float = 0.0005
    quadratic: float = 0.0027

    def sigma(self, z: float) -> float:
        """Standard deviation in metres at depth z (metres)."""
        return self.constant + self.quadratic * z * z

    def jump(self, z: float) -> float:
        """Depth difference at depth z that noise alone hardly ever makes (6 sigma)."""
        return 6 * self.sigma(z)
