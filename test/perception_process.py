# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The perception node as a process of its own, with a stand-in for the network.

Everything but the segmenter is the product. Arguments before ``--ros-args``:
--delay S: each segmentation takes so long; --load S: so does loading the model;
--fail-while PATH: loading fails while PATH exists.
"""

import argparse
import re
import sys
import time
from pathlib import Path

from stand_ins import ColorSegmenter

from instructsam_ros.nodes.perception_node import PerceptionNode
from instructsam_ros.nodes.running import run_node


class SlowSegmenter(ColorSegmenter):
    """Finds colours; the instruction may ask for a ``crash``, or a duration like ``150 ms``."""

    def __init__(self, delay):
        super().__init__()
        self._delay = delay

    def segment(self, image, instruction, *, threshold=None):
        asked = re.search(r'(\d+) ms', instruction)
        end = time.monotonic() + (int(asked[1]) / 1000 if asked else self._delay)
        answer = super().segment(image, instruction, threshold=threshold)
        self.images.clear()
        # the search for colours is a part of it
        time.sleep(max(end - time.monotonic(), 0.0))
        if 'crash' in instruction:
            raise RuntimeError('the network crashed')
        return answer


def main():
    own, ros = sys.argv[1:], []
    if '--ros-args' in own:
        place = own.index('--ros-args')
        own, ros = own[:place], own[place:]
    parser = argparse.ArgumentParser()
    parser.add_argument('--delay', type=float, default=0.0)
    parser.add_argument('--load', type=float, default=0.0)
    parser.add_argument('--fail-while', type=Path)
    options = parser.parse_args(own)

    def load(model, device):
        time.sleep(options.load)
        if options.fail_while and options.fail_while.exists():
            raise FileNotFoundError(f'no checkpoint at {model}: name a folder with a config.json')
        return SlowSegmenter(options.delay)

    return run_node(lambda: PerceptionNode(load_segmenter=load), [sys.argv[0], *ros])


if __name__ == '__main__':
    sys.exit(main())
