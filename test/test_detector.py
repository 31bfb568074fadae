# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM3's detector driven by external queries: parity, names, dtypes, devices, gradients."""

from __future__ import annotations

import copy
import importlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Sam3Config

from instructsam.detector import Sam3Detector
from instructsam.features import ImageFeatures, sine_table

PREFIX = 'model.grounding_model.model.'
# Parity was recorded on another machine. Its matrix kernels sum in another order than this one's:
# a few units in the last place (6e-8) of values up to 8, through some twenty layers.
PARITY: dict[str, Any] = {'atol': 1e-5, 'rtol': 0.0}
# Two orders of the same sums on one machine, values up to 5.
REORDERED: dict[str, Any] = {'atol': 5e-6, 'rtol': 1e-5}


def config(side: int = 64, patch: int = 16, window: int = 2, width: int = 32, channels: int = 16,
           dropout: float = 0.0, **backbone: Any) -> Sam3Config:
    transformer = {'hidden_size': channels, 'intermediate_size': 32, 'num_attention_heads': 2,
                   'dropout': dropout}
    return Sam3Config(
        vision_config={
            'model_type': 'sam3_vision_model', 'fpn_hidden_size': channels,
            'backbone_config': {
                'model_type': 'sam3_vit_model', 'hidden_size': width, 'intermediate_size': 48,
                'num_hidden_layers': 3, 'num_attention_heads': 2, 'image_size': side,
                'patch_size': patch, 'window_size': window, 'global_attn_indexes': [1],
                'pretrain_image_size': patch * window, **backbone}},
        detr_encoder_config={**transformer, 'num_layers': 2},
        detr_decoder_config={**transformer, 'num_layers': 3, 'num_queries': 10},
        mask_decoder_config={'hidden_size': channels, 'num_attention_heads': 2})


def build(**overrides: Any) -> Sam3Detector:
    torch.manual_seed(1)
    detector = Sam3Detector(config(**overrides), unused_parts=False)
    for parameter in detector.parameters():
        # The stock standard deviation of 0.02 leaves every output near zero at this width.
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return detector.eval()


class Inputs:
    """Random inputs for P phrases about G images."""

    def __init__(self, images: int = 2, phrases: int = 5, side: int = 64, channels: int = 16):
        generator = torch.Generator().manual_seed(2)
        self.pixels = torch.rand(images, 3, side, side, generator=generator) * 2 - 1
        self.text = torch.randn(phrases, 6, channels, generator=generator)
        self.mask = torch.arange(6) < torch.arange(1, phrases + 1)[:, None]
        self.queries = torch.randn(phrases, 10, channels, generator=generator)
        self.image = torch.arange(phrases) * images // phrases


def run(detector: Sam3Detector, inputs: Inputs, features: ImageFeatures | None = None,
        ) -> dict[str, Tensor]:
    if features is None:
        features = detector.encode_image(inputs.pixels).select(inputs.image)
    text, mask = inputs.text, inputs.mask
    states = detector.fuse(features, text, mask)
    decoded = detector.decode(inputs.queries, states, features, text, mask)
    pixels = detector.pixel_embedding(states, features, text, mask)
    return {
        'states': states, 'hidden': decoded.hidden, 'references': decoded.references,
        'scores': detector.score_logits(decoded.hidden, text, mask),
        'masks': detector.mask_logits(decoded.hidden, pixels)}


@pytest.fixture(scope='module')
def published(parity: Any) -> Sam3Detector:
    """The parity network, built on meta and filled, as a checkpoint is loaded."""
    with torch.device('meta'):
        detector = Sam3Detector(parity.config.sam3, unused_parts=True)
    weights = {name[len(PREFIX):]: value for name, value in parity.weights.items()
               if name.startswith(PREFIX)}
    detector.load_state_dict(weights, strict=True, assign=True)
    return detector.eval().to('cpu')


@pytest.mark.parametrize('shared_image', [True, False])
@torch.inference_mode()
def test_every_stage_matches_the_release(
        parity: Any, published: Sam3Detector, shared_image: bool) -> None:
    golden, detector = parity.golden, published
    features = detector.encode_image(golden['sam_pixel_values'][None])
    for number in range(3):
        torch.testing.assert_close(
            features.levels[number], golden[f'vision_encoder.fpn_hidden_states.{number}'],
            **PARITY)
        torch.testing.assert_close(
            features.positions[number], golden[f'vision_encoder.fpn_position_encoding.{number}'],
            **PARITY)
    features = features.select(torch.zeros(3, dtype=torch.long))
    if not shared_image:
        features = ImageFeatures(features.levels, lambda h, w: sine_table(h, w, 32))
    text, mask = golden['sam3_in.text_embeds'], golden['sam3_in.attention_mask'].bool()

    states = detector.fuse(features, text, mask)
    torch.testing.assert_close(states, golden['detr_encoder.last_hidden_state'], **PARITY)
    decoded = detector.decode(golden['sam3_in.query_embed'], states, features, text, mask)
    torch.testing.assert_close(
        decoded.hidden, golden['detr_decoder.intermediate_hidden_states'], **PARITY)
    # The release lists the boxes that go into each layer, we those that come out.
    torch.testing.assert_close(
        decoded.references[:-1], golden['detr_decoder.reference_boxes'][1:], **PARITY)
    centre, half = decoded.references[-1][..., :2], decoded.references[-1][..., 2:] / 2
    torch.testing.assert_close(
        torch.cat((centre - half, centre + half), -1), golden['sam3.pred_boxes'], **PARITY)
    scores = detector.score_logits(decoded.hidden, text, mask)
    torch.testing.assert_close(scores, golden['dot_product_scoring'][..., 0], **PARITY)
    assert torch.equal(detector.score_logits(decoded.hidden[-1], text, mask), scores[-1])
    masks = detector.mask_logits(
        decoded.hidden[-1], detector.pixel_embedding(states, features, text, mask))
    torch.testing.assert_close(masks, golden['pred_masks'], **PARITY)


def test_published_dimensions_have_the_published_names() -> None:
    with torch.device('meta'):
        detector = Sam3Detector(Sam3Config(), unused_parts=True)
    counts = Counter(name.split('.')[0] for name in detector.state_dict())
    assert counts == {
        'vision_encoder': 538, 'detr_encoder': 156, 'detr_decoder': 238, 'mask_decoder': 32,
        'dot_product_scoring': 10, 'geometry_encoder': 94, 'text_projection': 2}
    assert not any('presence' in name for name in detector.state_dict())
    assert detector.image_size == 1008
    features = detector.encode_image(torch.zeros(1, 3, 1008, 1008, device='meta'))
    assert [tuple(level.shape) for level in features.levels] == [
        (1, 256, 288, 288), (1, 256, 144, 144), (1, 256, 72, 72)]


def test_unused_parts_can_be_left_out() -> None:
    names = Sam3Detector(config(), unused_parts=False).state_dict()
    assert not any(name.startswith(('geometry_encoder', 'text_projection')) for name in names)


@torch.inference_mode()
def test_encoder_fusion_and_masks_equal_the_stock_modules() -> None:
    detector, inputs = build(), Inputs()
    stock = importlib.import_module('transformers.models.sam3.modeling_sam3')
    features = detector.encode_image(inputs.pixels)
    # With the rotary modules that ours replaced.
    encoder = stock.Sam3VisionModel(config().vision_config).eval()
    encoder.load_state_dict(detector.vision_encoder.state_dict())
    expected = encoder(inputs.pixels)
    for level, position, reference, place in zip(
            features.levels, features.positions, expected.fpn_hidden_states,
            expected.fpn_position_encoding, strict=False):
        torch.testing.assert_close(level, reference, **REORDERED)
        torch.testing.assert_close(position.expand_as(place), place, **REORDERED)

    features = features.select(inputs.image)
    states = detector.fuse(features, inputs.text, inputs.mask)
    fused = detector.detr_encoder(
        vision_features=[features.levels[-1]], text_features=inputs.text, text_mask=inputs.mask,
        vision_pos_embeds=[features.positions[-1].expand(5, -1, -1, -1)])
    torch.testing.assert_close(states, fused.last_hidden_state, **REORDERED)
    masks = detector.mask_logits(
        inputs.queries, detector.pixel_embedding(states, features, inputs.text, inputs.mask))
    head = detector.mask_decoder(
        decoder_queries=inputs.queries, backbone_features=list(features.levels),
        encoder_hidden_states=states, prompt_features=inputs.text, prompt_mask=inputs.mask)
    torch.testing.assert_close(masks, head.pred_masks, **REORDERED)


def test_levels_in_inference_are_those_of_training_also_after_a_step() -> None:
    """For inference convolutions are joined once; weights that learn must be joined anew."""
    detector, inputs = build(), Inputs()
    for _ in range(2):
        with torch.inference_mode():
            joined = detector.encode_image(inputs.pixels).levels
            again = detector.encode_image(inputs.pixels).levels
        for level, same, apart in zip(
                joined, again, detector.encode_image(inputs.pixels).levels, strict=True):
            assert torch.equal(level, same)
            torch.testing.assert_close(level, apart.detach(), **REORDERED)
        with torch.no_grad():
            for part in detector.vision_encoder.neck.parameters():
                part.add_(0.1)


@torch.inference_mode()
def test_phrases_share_an_image_without_changing_anything() -> None:
    detector, inputs = build(), Inputs()
    features = detector.encode_image(inputs.pixels).select(inputs.image)
    shared = run(detector, inputs, features)
    separate = run(detector, inputs, ImageFeatures(features.levels, detector._position_table))
    for name, value in shared.items():
        torch.testing.assert_close(value, separate[name], **REORDERED, msg=name)


@torch.inference_mode()
def test_rows_of_a_batch_and_padding_do_not_mix() -> None:
    detector, inputs = build(), Inputs()
    together = run(detector, inputs)
    row = 2
    alone = Inputs()
    alone.image, alone.queries = inputs.image[row:row + 1], inputs.queries[row:row + 1]
    alone.text, alone.mask = inputs.text[row:row + 1, :row + 1], inputs.mask[row:row + 1, :row + 1]
    single = run(detector, alone)
    for name in ('hidden', 'references', 'scores', 'masks'):
        torch.testing.assert_close(
            single[name][:, 0], together[name][:, row], **REORDERED, msg=name)


def test_selecting_twice_selects_from_the_selection() -> None:
    features = build().encode_image(Inputs(images=3).pixels)
    twice = features.select(torch.tensor([2, 0, 1])).select(torch.tensor([0, 0, 2]))
    assert twice.rows == 3
    for level, images in zip(twice.levels, features.levels, strict=True):
        assert torch.equal(level, images[[2, 2, 1]])


@pytest.mark.parametrize(('side', 'patch', 'window', 'pretrained'), [
    (224, 14, 8, 112), (224, 16, 7, 112), (224, 16, 14, 224), (64, 16, 2, 48)])
@torch.inference_mode()
def test_small_geometries(side: int, patch: int, window: int, pretrained: int) -> None:
    detector = build(side=side, patch=patch, window=window, pretrain_image_size=pretrained)
    inputs = Inputs(images=1, phrases=2, side=side)
    result = run(detector, inputs)
    finest = 4 * (side // patch)
    assert result['masks'].shape == (3, 2, 10, finest, finest)
    assert result['references'].shape == (3, 2, 10, 4)
    assert result['scores'].shape == (3, 2, 10)
    assert all(value.isfinite().all() for value in result.values())
    assert ((result['references'] > 0) & (result['references'] < 1)).all()


@torch.inference_mode()
def test_a_network_from_meta_equals_one_built_in_place() -> None:
    built = build()
    with torch.device('meta'):
        detector = Sam3Detector(config(), unused_parts=False)
    assert not list(detector.buffers())  # nothing that a checkpoint could leave unfilled
    detector = detector.to_empty(device='cpu').eval()
    detector.load_state_dict(built.state_dict())
    inputs = Inputs()
    expected = run(built, inputs)
    for name, value in run(detector, inputs).items():
        assert torch.equal(value, expected[name]), name


@torch.inference_mode()
def test_position_tables_stay_fp32_in_bf16() -> None:
    detector, inputs = build(side=256, window=8), Inputs(side=256)
    layers = detector.vision_encoder.backbone.layers
    before = [layer.rotary_emb(inputs.pixels) for layer in layers]
    expected = run(detector, inputs)
    half = copy.deepcopy(detector).to(torch.bfloat16)
    for layer, tables in zip(half.vision_encoder.backbone.layers, before, strict=True):
        for table, reference in zip(
                layer.rotary_emb(inputs.pixels.bfloat16()), tables, strict=True):
            assert table.dtype == torch.float32
            assert torch.equal(table, reference)
    for name in ('text', 'queries'):
        setattr(inputs, name, getattr(inputs, name).bfloat16())
    result = run(half, inputs)
    assert result['references'].dtype == torch.float32
    assert result['masks'].dtype == torch.bfloat16
    # Weights and activations have 8 bits: 0.4 % a step, some thirty steps deep.
    for name in ('hidden', 'scores', 'masks'):
        error = (result[name].float() - expected[name]).abs().mean() / expected[name].abs().mean()
        assert error < 0.05, (name, error)
    assert (result['references'] - expected['references']).abs().mean() < 0.01


@torch.inference_mode()
def test_autocast_runs() -> None:
    detector, inputs = build(), Inputs()
    expected = run(detector, inputs)
    with torch.autocast('cpu', torch.bfloat16):
        result = run(detector, inputs)
    # As in bf16 above.
    error = (result['masks'].float() - expected['masks']).abs().mean()
    assert error < 0.05 * expected['masks'].abs().mean()


@torch.inference_mode()
def test_a_phrase_without_words_gives_numbers() -> None:
    detector, inputs = build(), Inputs()
    inputs.mask[1] = False
    assert all(value.isfinite().all() for value in run(detector, inputs).values())


def test_every_used_weight_learns_also_after_inference() -> None:
    detector, inputs = build(), Inputs()
    with torch.inference_mode():
        run(detector, inputs)  # fills the table caches
    detector.train()
    inputs.queries.requires_grad_()
    inputs.text.requires_grad_()
    losses = [value.square().mean() for value in run(detector, inputs).values()]
    torch.stack(losses).sum().backward()
    unused = ('vision_encoder.neck.fpn_layers.3.', 'detr_decoder.query_embed.',
              'mask_decoder.semantic_projection.', 'mask_decoder.pixel_decoder.conv_layers.2.',
              'mask_decoder.pixel_decoder.norms.2.')
    for name, parameter in detector.named_parameters():
        assert (parameter.grad is None) == name.startswith(unused), name
    for grad in (inputs.queries.grad, inputs.text.grad):
        assert grad is not None
        assert grad.abs().amax(-1)[inputs.mask if grad.shape[1] == 6 else ...].gt(0).all()


def test_shared_and_separate_rows_have_the_same_gradients() -> None:
    grads = []
    for shared in (True, False):
        detector, inputs = build(), Inputs()
        features = detector.encode_image(inputs.pixels).select(inputs.image)
        if not shared:
            features = ImageFeatures(features.levels, detector._position_table)
        run(detector, inputs, features)['masks'].square().mean().backward()
        grads.append({name: parameter.grad for name, parameter in detector.named_parameters()
                      if parameter.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    largest = max(float(grad.abs().max()) for grad in grads[0].values())
    for name, grad in grads[0].items():
        # Other orders of sums over all pixels: five digits of the largest gradient. Those of key
        # biases are zero but for rounding.
        torch.testing.assert_close(
            grad, grads[1][name], atol=1e-5 * largest, rtol=1e-4, msg=name)


def test_detached_references_change_gradients_and_nothing_else() -> None:
    detector, inputs = build(), Inputs()
    features = detector.encode_image(inputs.pixels).select(inputs.image)
    states = detector.fuse(features, inputs.text, inputs.mask)
    boxes, grads = [], []
    for detach in (False, True):
        decoded = detector.decode(inputs.queries, states, features, inputs.text, inputs.mask,
                                  detach_references=detach)
        boxes.append(decoded.references)
        # The first box reaches the last one through the boxes between only while attached.
        grads.append(torch.autograd.grad(
            decoded.references[-1].sum(), detector.detr_decoder.reference_points.weight,
            retain_graph=True)[0])
    assert torch.equal(*boxes)
    assert grads[1].abs().sum() < 0.5 * grads[0].abs().sum()


@torch.inference_mode()
def test_dropout_of_the_config_acts_in_training_only() -> None:
    detector, inputs = build(dropout=0.5), Inputs()
    first, second = run(detector, inputs), run(detector, inputs)
    assert torch.equal(first['masks'], second['masks'])
    detector.train()
    first, second = run(detector, inputs), run(detector, inputs)
    for name in ('states', 'hidden', 'scores', 'masks'):
        assert not torch.allclose(first[name], second[name]), name


def test_the_given_config_is_left_alone() -> None:
    given = config()
    before = given.to_dict()
    Sam3Detector(given, unused_parts=False)
    assert given.to_dict() == before


def test_errors_name_cause_and_mend() -> None:
    detector, inputs = build(), Inputs()
    with pytest.raises(ValueError, match=r'needs \[images, 3, 64, 64\].*sam_pixels'):
        detector.encode_image(torch.zeros(1, 3, 64, 80))
    features = detector.encode_image(inputs.pixels)
    with pytest.raises(ValueError, match='5 phrases for 2 rows.*select'):
        detector.fuse(features, inputs.text, inputs.mask)
    features = features.select(inputs.image)
    states = detector.fuse(features, inputs.text, inputs.mask)
    with pytest.raises(ValueError, match='20 queries.*num_queries'):
        detector.decode(torch.zeros(5, 20, 16), states, features, inputs.text, inputs.mask)
    with pytest.raises(ValueError, match=r'multiple of patch_size \* window_size'):
        Sam3Detector(config(side=80), unused_parts=False)
