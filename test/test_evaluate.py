# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluation command on a tiny untrained network."""

import json

import numpy as np
import pytest
import torch

from instructsam import evaluate as command
from instructsam.evaluation import ABLATIONS, FrameRunner, evaluate
from instructsam.modeling import InstructSAM
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.tabletop.splits import load


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def say_two_phrases(session):
    """In place of greedy decoding: an untrained network never ends a phrase."""
    config = session.model.config
    first = int(session.logits[:64].argmax())
    for words in ((first, 65), (66,)):
        for token in (config.ref_start_token_index, *words, config.ref_end_token_index):
            session.feed(token)
    return session.finish('stop', config.im_end_token_id)


@pytest.fixture(scope='module')
def segmenter(make_tiny_config, tiny_tokenizer):
    torch.manual_seed(3)
    # Untrained scores lie about one half.
    model = InstructSAM(make_tiny_config(score_threshold=0.3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('instructsam.evaluation.greedy', say_two_phrases)
        patch.setattr('instructsam.segmenter.greedy', say_two_phrases)
        yield InstructSAMSegmenter(model, tiny_tokenizer, 'cpu')


@pytest.fixture(scope='module')
def frames():
    return [load('val', index, width=96, height=64) for index in range(2)]


def test_runner_finds_what_the_segmenter_finds(segmenter, frames):
    runner = FrameRunner(segmenter)
    count = 0
    for sample in frames:
        features = runner.features(sample)
        for one, answer in zip(sample.instructions, runner.answers(sample), strict=True):
            expected = segmenter.segment(sample.frame.image, one.text)
            found = runner.instances(sample, features, answer, 0.3)
            assert runner.phrases(answer) == expected.phrases
            count += len(found)
            assert [i.phrase for i in found] == [i.phrase for i in expected.instances]
            for mine, theirs in zip(found, expected.instances, strict=True):
                # The same operations on the same numbers.
                assert mine.score == pytest.approx(theirs.score, abs=1e-6)
                assert np.array_equal(mine.mask, theirs.mask)
    assert count > 0


def test_phrase_features_from_outside_do_the_same(segmenter, frames):
    from instructsam.evaluation import ground_text

    runner = FrameRunner(segmenter)
    model = segmenter.model
    with torch.inference_mode():
        features = runner.features(frames[0]).select(torch.zeros(1, dtype=torch.long))
        slots = torch.randn(1, model.config.max_seg_nums, model.config.hidden_size)
        ids, mask = torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.bool)
        one = model.ground(features, slots, ids, mask)
        other = ground_text(model, features, slots, model.phrase_text(ids, mask))
    assert torch.equal(one.score_logits, other.score_logits)
    assert torch.equal(one.mask_logits, other.mask_logits)


def test_ablations_replace_what_they_say(segmenter, frames, monkeypatch):
    runner = FrameRunner(segmenter)
    seen = []

    def spy(*arguments, **keywords):
        seen.append(keywords)
        return []

    monkeypatch.setattr(FrameRunner, 'instances', spy)
    for ablate in (None, 'mean-slots', 'no-phrase'):
        evaluate(segmenter, lambda: iter(frames), ablate=ablate)
    plain, slots, text = np.array_split(np.array(seen), 3)
    assert all(k['slots'] is None and k['text'] is None for k in plain)
    answers = [answer for sample in frames for answer in runner.answers(sample)]
    mean = torch.cat([answer.slots for answer in answers]).mean(0)
    # The same mean, summed in another order.
    torch.testing.assert_close(slots[0]['slots'], mean, rtol=1e-4, atol=1e-5)
    assert all(k['text'] is None for k in slots)
    assert all(k['slots'] is None and k['text'].shape == (segmenter.model.config.out_dim,)
               for k in text)


def test_sweep_keeps_less_at_higher_thresholds(segmenter, frames):
    ticks = []
    result = evaluate(segmenter, lambda: iter(frames), threshold=0.4, sweep=(0.0, 0.5, 1.0),
                      on_frame=lambda: ticks.append(1))
    assert len(ticks) == result.frames == 2
    assert list(result.metrics) == [0.0, 0.4, 0.5, 1.0]
    report = result.to_dict()
    assert report['overall']['queries'] == sum(len(s.instructions) for s in frames)
    # Nothing scores above 1: every absent query is right, every other missed.
    nothing = result.metrics[1.0].overall()
    assert nothing.m_iou == 0
    assert nothing.absent_accuracy in (1.0, None)
    json.dumps(report)
    # The command must not load torch just to list them.
    assert command.ABLATIONS == ABLATIONS
    with pytest.raises(ValueError, match='unknown ablation'):
        evaluate(segmenter, lambda: iter(frames), ablate='no-image')
    with pytest.raises(ValueError, match=r'0\.\.1'):
        evaluate(segmenter, lambda: iter(frames), threshold=2.0)


def test_command(segmenter, tiny_tokenizer, tmp_path, capsys):
    segmenter.model.save_pretrained(tmp_path / 'model', tokenizer=tiny_tokenizer)
    out = tmp_path / 'figures' / 'val.json'
    code = command.main(['--split', 'val', '--limit', '1', '--model', str(tmp_path / 'model'),
                         '--device', 'cpu', '--workers', '0', '--json', str(out)])
    assert code == 0
    report = json.loads(out.read_text())
    assert report['frames'] == 1
    assert report['split'] == 'val'
    assert set(report['groups']) <= {'naming', 'referring'}
    assert 0 <= report['overall']['gIoU'] <= 1
    printed = capsys.readouterr().out
    assert all(word in printed for word in ('gIoU', 'answer', 'by number of true objects'))


def test_worker_renders_the_same():
    for mine, theirs in zip(command.samples('test', 1, 0), command.samples('test', 1, 1),
                            strict=True):
        assert mine.instructions == theirs.instructions
        assert np.array_equal(mine.frame.image, theirs.frame.image)


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--model', 'no/such/model/here'], 'no/such/model/here'),
    (['--limit', '0'], '--limit'),
    (['--workers', '-1'], '--workers'),
    (['--json', '.'], 'directory'),
    (['--device', 'toaster', '--model', '.'], 'toaster'),
])
def test_wrong_requests(arguments, message, capsys):
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
