# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What people say to a robot, through several recognisers, as instructions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.perception.voice import (
    UtteranceKind,
    is_clear_command,
    parse_voice,
    without_fillers,
)


def instruction(data, wake_word=''):
    utterance = parse_voice(data, wake_word)
    assert utterance.kind is UtteranceKind.INSTRUCTION, utterance
    return utterance.text


@pytest.mark.parametrize(('said', 'meant'), [
    ('the red mug', 'the red mug'),
    ('  the   red\nmug ', 'the red mug'),
    ('um, the red mug', 'the red mug'),
    ('the, uh, red mug', 'the, red mug'),
    ('Umm... the red er mug', 'the red mug'),
    ('Okay, so, find the the red mug, thanks.', 'find the red mug'),
    ('hey robot, pick up the mug', 'robot, pick up the mug'),
    ('you know, the blue one', 'the blue one'),
    ('I mean, the blue one', 'the blue one'),
    ('[BLANK_AUDIO] the red mug (music playing)', 'the red mug'),
    ('♪ the red mug ♪', 'the red mug'),
])  # fmt: skip
def test_hesitations_openings_and_noise_marks_are_dropped(said, meant):
    assert instruction(said) == meant


@pytest.mark.parametrize('said', [
    'Could you please pick up the mug?',
    'Please find the red mug.',
    'do you know where the mug is?',
    'everything but the cubes',
    'the right mug',
    'the mug next to the can',
    'the stop sign',
    'is there a clear bottle?',
    'something to cancel noise with',
    'what kind of cup is nearest?',
    'the two-handled well-worn mug',
    "segment 'the red mug' in this image",
    'the hammer',
    'Gemüse auf dem Teller',
])  # fmt: skip
def test_words_with_a_meaning_stay(said):
    assert instruction(said) == said


@pytest.mark.parametrize('said', [
    'stop', 'Stop.', 'STOP!', 'stop stop stop', 'never mind', 'Never mind.', 'nevermind',
    'cancel', 'cancel that', 'forget it', 'forget about it', 'uh, never mind', 'okay stop',
    'please stop', 'Robot, stop!', "that's all", 'no, never mind', 'stop now please',
    'pick up the red mug, no, never mind', 'the red mug. Forget it.',
])  # fmt: skip
def test_taking_back_is_understood(said):
    assert parse_voice(said).kind is UtteranceKind.CLEAR


@pytest.mark.parametrize('said', [
    '', '   ', 'um', 'uh, hmm...', 'okay', '[BLANK_AUDIO]', '(coughs)', '...',
    '{"partial": "the red"}', '{"partial": ""}', '{"text": ""}', '{"text": "the", "final": false}',
    '{"transcript": "the red", "is_final": false}', '[]',
])  # fmt: skip
def test_silence_fillers_and_partial_results_are_ignored_with_a_reason(said):
    utterance = parse_voice(said)
    assert utterance.kind is UtteranceKind.IGNORED
    assert utterance.reason


@pytest.mark.parametrize('document', [
    {'text': 'the red mug'},
    {'text': 'the red mug', 'result': [{'word': 'the', 'conf': 0.9, 'start': 0, 'end': 1}]},
    {'text': 'the red mug', 'partial': 'the red'},
    {'alternatives': [{'text': 'the red mug', 'confidence': 9.0}, {'text': 'the rat mug'}]},
    {'text': ' the red mug', 'segments': [{'text': ' the red mug', 'no_speech_prob': 0.1}],
     'language': 'en'},
    {'segments': [{'text': ' the red'}, {'text': ' mug'}]},
    {'transcription': [{'offsets': {'from': 0, 'to': 900}, 'text': ' the red mug'}]},
    {'transcript': 'the red mug', 'is_final': True},
    [{'text': 'the red'}, {'text': 'mug'}],
])  # fmt: skip
def test_json_of_recognisers(document):
    assert instruction(json.dumps(document)) == 'the red mug'


@pytest.mark.parametrize(('data', 'cause'), [
    ('{"text": "the red', 'broken JSON'),
    ('{', 'broken JSON'),
    ('{}', 'no transcript'),
    ('{"txt": "the red mug"}', 'it has txt'),
    ('{"text": 5}', 'no transcript'),
    ('{"alternatives": []}', 'no transcript'),
    ('{"segments": [{"no": 1}]}', 'part without text'),
    ('[1, 2]', 'part without text'),
    ('{"a":' * 20000, 'broken JSON'),
])  # fmt: skip
def test_broken_json_is_refused_with_cause_and_mend(data, cause):
    with pytest.raises(ValueError, match=cause) as caught:
        parse_voice(data)
    assert 'plain text, or JSON' in str(caught.value)
    assert len(str(caught.value)) < 250


def test_with_a_wake_word_only_what_follows_it_counts():
    assert instruction('blah blah hey Robot, the red mug', 'hey robot') == 'the red mug'
    assert instruction('Hey, robot! Pick up the robot toy', 'hey robot') == 'Pick up the robot toy'
    assert parse_voice('robot, stop', 'robot').kind is UtteranceKind.CLEAR
    # neither a sentence nor "stop" to somebody else
    for said in ('the red mug', 'stop', 'the robotic mug'):
        ignored = parse_voice(said, 'robot')
        assert ignored.kind is UtteranceKind.IGNORED
        assert 'wake word "robot"' in ignored.reason
    assert parse_voice('robot', 'robot').kind is UtteranceKind.IGNORED
    with pytest.raises(ValueError, match='no letters'):
        parse_voice('the red mug', '!?')


@given(st.text(max_size=200))
def test_any_text_is_an_utterance_or_a_clear_error(data):
    try:
        utterance = parse_voice(data)
    except ValueError as error:
        assert data.strip().startswith(('{', '['))
        assert 'plain text, or JSON' in str(error)
    else:
        assert (utterance.kind is UtteranceKind.IGNORED) == bool(utterance.reason)


@given(st.lists(st.sampled_from(
    ['um', 'uh,', 'okay', 'so,', 'the', 'red', 'mug', 'thanks', '...', 'you know,', 'stop']),
    max_size=12))  # fmt: skip
def test_cleaning_twice_changes_nothing_more(words):
    once = without_fillers(' '.join(words))
    assert without_fillers(once) == once
    assert is_clear_command(once) == is_clear_command(once.upper())
