# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Passes of fixed shapes: tokens and masks are those of passes that fit their sequence."""

from __future__ import annotations

import contextlib
import gc
import inspect
import itertools
import random
import weakref

import numpy as np
import pytest
import torch
from test_streaming import Babble, drafts_of, make_model, same
from torch.testing import assert_close

from instructsam.configuration import InstructSAMConfig
from instructsam.decoding import DecodingSession, greedy
from instructsam.drafting import DraftedPrompt
from instructsam.graphs import Lane, Shelf, bucket
from instructsam.modeling import InstructSAM
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.sequence import pad_phrases
from instructsam.stages import STAGES
from instructsam.static_frame import StaticFrame

HEIGHT, WIDTH = 48, 96
DRAFTS = 6


def picture(seed, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(segmenter, image, prompt):
    """Answer a prompt by passes that fit; return answer, scores and masks."""
    with torch.inference_mode():
        sam_image, patches, grid = segmenter._preprocess(torch.from_numpy(image))
        vlm = segmenter.model.encode_vlm_image(patches, grid)
        answer = greedy(DecodingSession(segmenter.model, prompt, vlm))
        if not len(answer.slots):
            return answer, torch.zeros(0), torch.zeros(0)
        features = segmenter.model.detector.encode_image(sam_image)
        scores, masks = segmenter._detect(features, answer)
    return answer, scores.sigmoid(), masks


@pytest.mark.parametrize(('layout', 'attention'), [
    ('released', 'hybrid'), ('training', 'hybrid'), ('training', 'causal')])
def test_padded_passes_give_what_fitting_ones_give(
        make_tiny_config, tiny_tokenizer, layout, attention, monkeypatch):
    """Random prompts, pictures and drafts; one frame for all, so that buffers are used again."""
    config = make_tiny_config(layout=layout, attention=attention)
    config.max_new_tokens, config.max_phrases = 20, 4
    model = make_model(config)
    segmenter = InstructSAMSegmenter(model, tiny_tokenizer, phrase_batch=3)
    frame = StaticFrame(model, HEIGHT, WIDTH, phrase_batch=3)
    image_tokens = frame.grid[1] * frame.grid[2] // 4
    assert image_tokens == 6  # not square: rows and columns of M-RoPE differ
    rng = random.Random(layout)
    seen = {'foreseen': set(), 'rows': set()}
    # answers of no phrase, of one and of more, one each
    wanted = [0, 1, 2]
    for seed in itertools.count():
        if not wanted:
            break
        image = picture(seed)
        # sequences on both sides of a bucket's end
        words = [rng.randrange(10, 50) for _ in range(rng.choice((1, 20, 45, 50, 60, 120)))]
        prompt_ids = [1, *[config.image_token_id] * image_tokens, *words]
        babble = Babble(config, seed)
        monkeypatch.setattr(model, 'logits', babble)
        expected, scores, masks = plain(segmenter, image,
                                        DraftedPrompt(config, prompt_ids, [frame.grid]))
        if babble.margin < 1e-4:  # where two tokens are as likely as not, rounding may choose
            continue
        phrases = min(len(expected.phrase_words), 2)
        if phrases not in wanted:
            continue
        wanted.remove(phrases)
        given = [t for t in expected.answer_ids if t != config.im_end_token_id]
        drafts = drafts_of(given, config, rng)
        for draft in ([], *(next(drafts) for _ in range(DRAFTS))):
            prompt = DraftedPrompt(config, prompt_ids, [frame.grid], draft)
            sight = frame.look(torch.from_numpy(image), prompt)
            answer = sight.answer
            assert answer.answer_ids == expected.answer_ids
            assert answer.phrase_words == expected.phrase_words
            assert answer.ending == expected.ending
            # fp32 sums in another order
            assert_close(answer.slots, expected.slots, atol=1e-5, rtol=1e-5)
            if len(masks):
                assert_close(sight.scores, scores, atol=1e-5, rtol=0)
                assert_close(torch.stack(sight.mask_logits), masks, atol=1e-4, rtol=0)
            else:
                assert sight.mask_logits == []
            seen['foreseen'].add(answer.foreseen)
            seen['rows'].add(bucket(len(prompt), 64))
    # the cases are not all of one kind
    assert len(seen['foreseen']) >= 5 and len(seen['rows']) >= 2


@pytest.fixture
def segmenters(tiny_config, tiny_tokenizer, monkeypatch):
    """The same network in passes that fit and in passes of fixed shapes."""
    tiny_config.max_new_tokens = 20
    model = make_model(tiny_config)
    monkeypatch.setattr(model, 'logits', Babble(tiny_config, 4))  # names a phrase
    return [InstructSAMSegmenter(model, tiny_tokenizer, static=static)
            for static in (False, True)]


def test_a_stream_is_the_same_in_fixed_shapes(segmenters):
    """Pictures, instructions and sizes change; results are those of each picture by itself."""
    fitting, static = segmenters
    stream = static.stream()
    texts = ['the red mug', 'the red mug', 'the red mug', "segment 'blue cup'", 'the red mug']
    instances = 0
    for number, text in enumerate(texts):
        for image in (picture(number // 2), picture(number, 64, 48), picture(number, 50, 70)):
            found = stream.segment(image, text, threshold=0.3)
            same(found, fitting.segment(image, text, threshold=0.3))
            same(found, static.segment(image, text, threshold=0.3))
            instances += len(found.instances)
            assert set(found.timings) == set(STAGES)
    assert instances
    assert stream.counters.pictures == 15


def test_one_frame_serves_both_of_two_streams(segmenters):
    """The second camera's picture must not change what the first one's gave."""
    _, static = segmenters
    streams = static.stream(), static.stream()
    first = streams[0].segment(picture(0), 'the red mug', threshold=0.3)
    masks = [one.mask.copy() for one in first.instances]
    answers = [static.segment(picture(n), 'the cup', threshold=0.3).answer for n in (1, 2)]
    streams[1].segment(picture(3), 'a cup', threshold=0.3)
    assert all(np.array_equal(one.mask, mask)
               for one, mask in zip(first.instances, masks, strict=True))
    assert [static.segment(picture(n), 'the cup', threshold=0.3).answer
            for n in (1, 2)] == answers


def test_an_instruction_longer_than_the_cache_gets_a_longer_one(segmenters):
    fitting, static = segmenters
    for text in ('cup', 'cup ' * 450, 'cup'):
        same(static.segment(picture(0), text, threshold=0.3),
             fitting.segment(picture(0), text, threshold=0.3))


def test_a_right_draft_is_read_twice(segmenters, monkeypatch):
    """Once for tokens, scores and bounds together, once for what lies around the objects."""
    _, static = segmenters
    stream = static.stream()
    for _ in range(2):
        stream.segment(picture(0), 'the red mug', threshold=0.0)
    reads = []
    copy = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self: reads.append(self.shape) or copy(self))
    assert stream.segment(picture(0), 'the red mug', threshold=0.0).instances
    assert len(reads) == 2


def published_draft(config, phrases):
    """Tokens of an answer that names so many phrases of two words."""
    one = [config.ref_start_token_index, 100, 200, config.ref_end_token_index]
    return [token for _ in range(phrases) for token in (*one, 11)][:-1]


@torch.inference_mode()
def test_nothing_is_read_before_the_results_at_the_published_size(monkeypatch):
    """On the meta device there is nothing to read: whatever asks for a number fails there.

    So would a graph's recording on CUDA. And every shape must fit at 2 B.
    """
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: contextlib.nullcontext())
    config = InstructSAMConfig()
    with torch.device('meta'):
        model = InstructSAM(config).to(torch.bfloat16).eval()
    frame = StaticFrame(model, 480, 640)
    prompt_ids = [1, *[config.image_token_id] * 300, *range(10, 30)]
    prompt = DraftedPrompt(config, prompt_ids, [frame.grid], published_draft(config, 7))
    language = frame._language_for(prompt)
    first = language.prefill(prompt)
    found = frame._detector.run(*pad_phrases(prompt.writer.phrase_ids))
    assert first.hidden.shape == (448, 2048) and first.slots.shape == (10, 10, 2048)
    assert found.scores.shape == (7, 10) and found.bounds.shape == (7, 10, 4)
    assert [tuple(masks.shape) for masks in found.mask_logits] == [(10, 288, 288)] * 7
    language.step(prompt.writer, len(prompt) - 13)
    assert len(language.cache) >= 320 + config.max_new_tokens + 10 * 12


class StandInStream:
    """A CUDA stream's part in a frame: who ran what, and who waited for whom."""

    events: list[tuple] = []
    current: list[str] = ['main']

    def __init__(self, device=None, name=None):
        self.name = name or f'lane {sum(e[0] == "stream" for e in self.events)}'
        self.events.append(('stream', self.name))

    def wait_stream(self, other):
        self.events.append(('wait', self.name, other.name))

    @classmethod
    @contextlib.contextmanager
    def entered(cls, stream):
        if stream is not None:
            cls.current.append(stream.name)
        yield
        if stream is not None:
            cls.current.pop()


class StandInGraph:
    """A recording that is replayed by running the work again, into the same tensors."""

    recorded: list[StandInGraph] = []

    def replay(self):
        StandInStream.events.append(('replay', StandInStream.current[-1], self))
        for kept, result in zip(self.results, self.work(), strict=True):
            kept.copy_(result)

    @classmethod
    @contextlib.contextmanager
    def record(cls, graph, *, pool, stream, capture_error_mode):
        StandInStream.events.append(('record', stream.name, pool))
        cls.recorded.append(graph)
        yield


@pytest.fixture
def stand_in_cuda(monkeypatch):
    """What `graphs` and `static_frame` use of torch.cuda; its real calls must take the same."""
    assert {'pool', 'stream', 'capture_error_mode'} <= set(
        inspect.signature(torch.cuda.graph.__init__).parameters)
    StandInStream.events, StandInGraph.recorded = [], []
    pools = itertools.count()
    main = StandInStream(name='main')
    for name, stand_in in {
            'Stream': StandInStream, 'CUDAGraph': StandInGraph, 'graph': StandInGraph.record,
            'graph_pool_handle': lambda: next(pools), 'stream': StandInStream.entered,
            'current_stream': lambda device=None: main, 'set_stream': lambda stream: None,
            'device': lambda device: contextlib.nullcontext()}.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    capture = Lane.capture

    def remember(lane, work):
        graph, results = capture(lane, work)
        graph.work, graph.results = work, results
        return graph, results

    monkeypatch.setattr(Lane, 'capture', remember)
    return StandInStream


def test_the_encoder_runs_beside_the_language_model(segmenters, stand_in_cuda):
    """Graphs of one stream each, the detector after both, and results as without graphs."""
    model = segmenters[0].model
    draft = segmenters[0].draft(['cup'])
    called, graphed = (StaticFrame(model, HEIGHT, WIDTH, graphs=graphs)
                       for graphs in (False, True))
    prompt = segmenters[0].prompt('the red mug', called.grid, draft)
    graphed.look(torch.from_numpy(picture(0)), prompt)
    # lanes have streams and memory of their own
    lanes = {event[1:] for event in stand_in_cuda.events if event[0] == 'record'}
    assert len(lanes) == 2 and len({name for name, _ in lanes}) == 2
    assert len({pool for _, pool in lanes}) == 2
    stand_in_cuda.events.clear()
    sights = [frame.look(torch.from_numpy(picture(1)), prompt) for frame in (called, graphed)]
    assert sights[0].answer.answer_ids == sights[1].answer.answer_ids
    assert torch.equal(sights[0].scores, sights[1].scores)
    assert torch.equal(sights[0].bounds, sights[1].bounds)
    side = graphed._side_lane.stream.name
    order = [(event[0], event[1]) for event in stand_in_cuda.events[:6]]
    # upload; SAM's encoder; vision tower, first pass; then, after the encoder, the detector
    assert order == [('wait', side), ('replay', side), ('replay', 'main'), ('replay', 'main'),
                     ('wait', 'main'), ('replay', 'main')]
    replayed = [event[2] for event in stand_in_cuda.events if event[0] == 'replay']
    assert replayed[0] is graphed._see_sam._graph and replayed[1] is graphed._see_vlm._graph


class GpuBabble(Babble):
    """Babble on a GPU: it does not ask how close the two likeliest came, which would wait."""

    def __init__(self, config, seed, dtype):
        super().__init__(config, seed)
        self.weights, self.tokens = self.weights.to('cuda', dtype), self.tokens.cuda()

    def __call__(self, hidden):
        said = hidden @ self.weights
        logits = said.new_full((*said.shape[:-1], self.size), -1e9)
        return logits.index_copy(-1, self.tokens, said)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')


@pytest.fixture
def on_cuda(tiny_config, monkeypatch):
    """Return a maker of the tiny network on the GPU, of a type."""
    tiny_config.max_new_tokens = 20

    def make(dtype):
        model = make_model(tiny_config).to('cuda', dtype)
        monkeypatch.setattr(model, 'logits', GpuBabble(tiny_config, 4, dtype))
        return model

    return make


@needs_cuda
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_graphs_give_what_single_launches_give(on_cuda, tiny_tokenizer, caplog, dtype):
    segmenter = InstructSAMSegmenter(on_cuda(dtype), tiny_tokenizer)
    assert segmenter.static
    frames = [StaticFrame(segmenter.model, HEIGHT, WIDTH, graphs=graphs)
              for graphs in (True, False)]
    phrase = segmenter.draft(['red mug'])
    for seed in range(6):
        prompt = segmenter.prompt('the red mug', frames[0].grid, ((), (5, 6, 7), phrase)[seed % 3])
        graphed, launched = (frame.look(torch.from_numpy(picture(seed)), prompt)
                             for frame in frames)
        assert graphed.answer.answer_ids == launched.answer.answer_ids
        # the same kernels on the same numbers, but libraries may choose others while recording
        tolerance = 1e-4 if dtype == torch.float32 else 0.05
        assert_close(graphed.scores, launched.scores, atol=tolerance, rtol=0)
    assert 'cannot be recorded' not in caplog.text
    assert frames[0]._see_sam._graph is not None and frames[1]._see_sam._graph is None


@needs_cuda
def test_streams_on_cuda_are_those_of_passes_that_fit(on_cuda, tiny_tokenizer):
    model = on_cuda(torch.float32)
    fitting = InstructSAMSegmenter(model, tiny_tokenizer, static=False)
    stream = InstructSAMSegmenter(model, tiny_tokenizer).stream()
    for seed in range(6):
        image = picture(seed // 2)
        same(stream.segment(image, 'the red mug', threshold=0.3),
             fitting.segment(image, 'the red mug', threshold=0.3))


@needs_cuda
@torch.inference_mode()
def test_a_pass_on_cuda_never_waits(on_cuda, tiny_tokenizer):
    segmenter = InstructSAMSegmenter(on_cuda(torch.bfloat16), tiny_tokenizer)
    frame = StaticFrame(segmenter.model, HEIGHT, WIDTH, graphs=False)
    prompt = segmenter.prompt('the red mug', frame.grid, segmenter.draft(['red mug']))
    language = frame._language_for(prompt)
    language.prefill(prompt)
    phrases = pad_phrases(prompt.writer.phrase_ids)
    frame._detector.run(*phrases)
    torch.cuda.set_sync_debug_mode('error')
    try:
        frame._upload(torch.from_numpy(picture(0)))
        frame._see_sam()
        frame._see_vlm()
        language.prefill(prompt)
        frame._detector.run(*phrases)
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_warm_up_makes_what_answers_need(segmenters):
    _, static = segmenters
    static.warm_up(HEIGHT, WIDTH)
    frame = static._frame(HEIGHT, WIDTH)
    made = []
    record = Lane.record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lane, 'record', lambda self, work: made.append(work) or record(self, work))
        static.segment(picture(0), 'the red mug')
        static.stream().segment(picture(0), "segment 'blue cup'")
    assert static._frame(HEIGHT, WIDTH) is frame
    assert made == []


def test_results_stay_in_their_place():
    """What a recording returned before changes: as on a GPU, where graphs write one place."""
    source = torch.tensor([1.0])
    recording = Lane(torch.device('cpu')).record(lambda: (source + 1,))
    first, = recording()
    source.fill_(5)
    second, = recording()
    assert first is second and first.item() == 6


def test_what_cannot_be_recorded_is_called(monkeypatch, caplog):
    lane = Lane(torch.device('cpu'))
    monkeypatch.setattr(lane, 'stream', 'a stream')

    def refuse(work):
        raise RuntimeError('operation not permitted when stream is capturing\nand more')

    monkeypatch.setattr(lane, 'capture', refuse)
    result, = lane.record(lambda: (torch.ones(2),))()
    assert result.tolist() == [1, 1]
    assert 'not permitted when stream is capturing' in caplog.text
    assert 'and more' not in caplog.text


def test_a_frame_goes_as_soon_as_nobody_needs_it(segmenters):
    """Not only when the garbage collector comes by, which a node keeps from old objects."""
    model = segmenters[1].model
    gc.disable()
    try:
        frame = StaticFrame(model, HEIGHT, WIDTH)
        frame.warm_up(segmenters[1].prompt("segment 'cup'", frame.grid,
                                           segmenters[1].draft(['cup'])))
        gone = weakref.ref(frame), weakref.ref(frame._language), weakref.ref(frame._detector)
        del frame
        assert [one() for one in gone] == [None] * 3
    finally:
        gc.enable()


def test_the_shelf_keeps_what_was_asked_for_last():
    made = []
    shelf = Shelf(2)
    for key in 'abacab':
        assert shelf.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    # c took the place of b, which came back in that of c: a had been asked for in between
    assert made == ['a', 'b', 'c', 'b']
    assert len(shelf) == 2


@pytest.mark.parametrize(('size', 'rounded'), [(0, 8), (1, 8), (8, 8), (9, 16)])
def test_buckets(size, rounded):
    assert bucket(size, 8) == rounded
