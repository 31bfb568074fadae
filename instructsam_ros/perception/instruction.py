# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as an instruction."""

import re

MAX_CHARACTERS = 1000
# U+FFFD stands for bytes that were no UTF-8; lone surrogates and NUL cannot be passed on
_UNREADABLE = re.compile('[\ufffd\ud800-\udfff\0]')


def clean_instruction(text: str) -> str:
    """Return the instruction with white space collapsed.

    Raises ValueError when it is empty, longer than MAX_CHARACTERS (a pasted document is no
    instruction, and would not fit the model's context), or not readable as text.
    """
    cleaned = ' '.join(text.split())
    if not cleaned:
        raise ValueError('the instruction is empty: say what to look for, like "the red mug"')
    if len(cleaned) > MAX_CHARACTERS:
        raise ValueError(
            f'the instruction has {len(cleaned)} characters, at most {MAX_CHARACTERS} are '
            'allowed: say it in a sentence'
        )
    if _UNREADABLE.search(cleaned):
        raise ValueError('the instruction is not valid UTF-8 text: send it encoded as UTF-8')
    return cleaned
