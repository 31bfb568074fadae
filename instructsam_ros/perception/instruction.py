# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as an instruction."""

MAX_CHARACTERS = 1000


def clean_instruction(text: str) -> str:
    """Return the instruction with white space collapsed.

    Raises ValueError when it is empty or longer than MAX_CHARACTERS (a pasted document is no
    instruction, and would not fit the model's context).
    """
    cleaned = ' '.join(text.split())
    if not cleaned:
        raise ValueError('the instruction is empty: say what to look for, like "the red mug"')
    if len(cleaned) > MAX_CHARACTERS:
        raise ValueError(
            f'the instruction has {len(cleaned)} characters, at most {MAX_CHARACTERS} are '
            'allowed: say it in a sentence'
        )
    return cleaned
