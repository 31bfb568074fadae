# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whole training runs of a tiny network: packing, resuming, exporting, fine-tuning."""

import json

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from instructsam.modeling import InstructSAM
from instructsam.sequence import SequenceBatch, build_sequence
from instructsam.tabletop.splits import train_frame, train_instructions
from instructsam.tabletop.tokenizer import build_tokenizer
from instructsam.train import main
from instructsam.training.examples import Collator
from instructsam.training.network import initialise, scratch_config
from instructsam.training.packing import pack
from instructsam.training.precision import mixed_precision
from instructsam.training.settings import NetworkSize, TrainingSettings
from instructsam.training.sources import read_recorded, recorded_example, tabletop_example
from instructsam.training.trainer import Trainer

TINY = NetworkSize(
    sam_image=64, sam_patch=16, sam_hidden=32, sam_layers=2, sam_heads=2, sam_mlp=64,
    sam_window=2, sam_global_layers=(1,), detr_hidden=32, detr_heads=2, detr_mlp=64,
    detr_encoder_layers=1, detr_decoder_layers=2, lm_hidden=64, lm_layers=2, lm_heads=2,
    lm_kv_heads=1, lm_mlp=64, vlm_hidden=32, vlm_layers=2, vlm_heads=2, vlm_mlp=64,
    vlm_deepstack=(0,), vlm_min_pixels=4096, vlm_max_pixels=9216)


@pytest.fixture(scope='module')
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope='module')
def network(tokenizer):
    model = InstructSAM(scratch_config(TINY, tokenizer))
    initialise(model, np.random.default_rng(0).random((10, 2)).astype(np.float32), 0)
    return model.eval()


def settings(output, **changes):
    values = {
        'output': str(output), 'steps': 4, 'log_every': 2, 'save_every': 2,
        'network': TINY.__dict__, 'data': {
            'images_per_batch': 1, 'workers': 0, 'sizes': [[160, 120]],
            'anchor_frames': 8}, **changes}
    return TrainingSettings.from_dict(values)


def weights(folder):
    return InstructSAM.from_pretrained(folder).state_dict()


def test_packed_instructions_give_the_numbers_of_separate_ones(network, tokenizer):
    frame = train_frame(3, 160, 120)
    example = tabletop_example(frame, train_instructions(frame, (3,)))
    anchors = np.random.default_rng(0).random((10, 2)).astype(np.float32)
    collate = Collator(network.config, tokenizer, anchors, 16, None)
    packed = collate([example])
    images = network.encode_vlm_image(packed.vlm_patches, packed.grids)
    count = len(example.instructions)
    tokens = int(packed.grids.prod()) // 4
    separate = SequenceBatch.collate([
        build_sequence(network.config, collate.prompts.prompt_ids(i.text, tokens),
                       collate.answer_ids(i), packed.grids) for i in example.instructions])
    with torch.no_grad():
        together = network.slots(network.language(packed.sequences, images), packed.sequences)
        alone = network.slots(network.language(separate, images.select([0] * count)), separate)
    # the same sums in another order: a few fp32 ulp of values near 1
    assert torch.allclose(together, alone, atol=2e-5)
    assert sorted(packed.sequences.labels[packed.sequences.labels >= 0].tolist()) \
        == sorted(separate.labels[separate.labels >= 0].tolist())


def test_packing_refuses_different_images(network, tokenizer):
    collate = Collator(network.config, tokenizer, None, 16, None)
    prompts = [collate.prompts.prompt_ids('the mug', tokens) for tokens in (4, 9)]
    sequences = [build_sequence(network.config, p, [], [1, 2 * s, 2 * s])
                 for p, s in zip(prompts, (2, 3), strict=True)]
    with pytest.raises(ValueError, match='different images'):
        pack([sequences], network.config.vision_end_token_id)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path):
    whole = Trainer(settings(tmp_path / 'whole'), 'cpu')
    whole.run()
    stopped = Trainer(settings(tmp_path / 'parts'), 'cpu')
    save = stopped._save

    def stop_after_saving(path):
        save(path)
        raise KeyboardInterrupt

    stopped._save = stop_after_saving
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    Trainer(settings(tmp_path / 'parts'), 'cpu').run()
    a, b = weights(tmp_path / 'whole'), weights(tmp_path / 'parts')
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_bf16_on_a_cpu_goes_the_way_of_fp32(tmp_path):
    trainer = Trainer(settings(tmp_path), 'cpu')
    batch, found = trainer.batches[0], []
    for precision in ('fp32', 'bf16'):
        with mixed_precision(trainer.device, precision):
            loss = trainer.objective(batch).loss
        assert loss.dtype == torch.float32
        loss.backward()
        found.append((loss.item(), torch.cat([
            p.grad.flatten() for p in trainer.parameters if p.grad is not None])))
        trainer.objective.zero_grad()
    (loss, gradient), (half_loss, half_gradient) = found
    # 8 bits are 0.4 % a product; errors of thousands of weights hardly add up
    assert half_loss == pytest.approx(loss, rel=0.01)
    assert torch.cosine_similarity(gradient, half_gradient, dim=0) > 0.99
    assert not torch.equal(gradient, half_gradient)


def test_a_run_in_bf16_ends_with_a_checkpoint(tmp_path):
    Trainer(settings(tmp_path, precision='bf16'), 'cpu').run()
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path).values())


def test_training_lowers_the_loss_and_writes_a_loadable_checkpoint(tmp_path):
    trainer = Trainer(settings(tmp_path, steps=12, optimizer={'lr': 3e-3}), 'cpu')
    batch = trainer.batches[0]
    first = trainer.objective(batch).loss.item()
    trainer.batches = [batch] * 12
    trainer.run()
    # one batch seen twelve times must be learned; noise of a step is far below 10 %
    assert trainer.objective(batch).loss.item() < 0.9 * first
    model = InstructSAM.from_pretrained(tmp_path)
    assert not any('dense' in name for name in model.state_dict())
    assert (tmp_path / 'log').is_dir()


def recorded_data(folder):
    picture = np.full((90, 120, 3), 200, np.uint8)
    picture[30:60, 20:60] = (30, 30, 220)
    cv2.imwrite(str(folder / 'one.png'), picture)
    mask = np.zeros((90, 120), np.uint8, order='F')
    mask[30:60, 20:60] = 1
    rle = coco_mask.encode(mask)
    rle['counts'] = rle['counts'].decode()
    line = {'image': 'one.png', 'instructions': [
        {'text': "Please segment 'red box'.", 'phrases': [{'text': 'red box', 'masks': [rle]}]},
        {'text': "Please segment 'dog'.", 'phrases': [{'text': 'dog', 'masks': []}]}]}
    path = folder / 'train.jsonl'
    path.write_text(json.dumps(line) + '\n')
    return path, mask


def test_recorded_examples_carry_their_masks(tmp_path):
    path, mask = recorded_data(tmp_path)
    example = recorded_example(read_recorded(path)[0], tmp_path)
    assert np.array_equal(example.masks[0], mask.astype(bool))
    assert tuple(example.image[45, 40]) == (220, 30, 30)  # RGB
    assert example.instructions[1].phrases[0].masks == ()


@pytest.mark.parametrize(('text', 'named'), [
    ('{"image": "a.png"}', 'line 1'), ('not json', 'line 1'), ('', 'no examples'),
    ('{"image": "a.png", "instructions": []}', 'line 1')])
def test_recorded_data_names_the_bad_line(tmp_path, text, named):
    path = tmp_path / 'bad.jsonl'
    path.write_text(text)
    with pytest.raises(ValueError, match=named):
        read_recorded(path)


def test_fine_tuning_as_published_changes_what_it_should_and_merges(tmp_path):
    start = tmp_path / 'start'
    Trainer(settings(start, steps=1), 'cpu').run()
    path, _ = recorded_data(tmp_path)
    recipe = TrainingSettings.load('finetune-stage1', [
        f'start={start}', f'output={tmp_path / "tuned"}', f'data.source={path}', 'steps=3',
        'data.images_per_batch=2', 'data.workers=0', 'precision=fp32', 'lora.rank=4',
        'loss.mask_points=64', 'optimizer.lr=1e-3', 'optimizer.lr_sam=1e-3',
        'optimizer.warmup=0', 'log_every=1'])
    Trainer(recipe, 'cpu').run()
    before, after = weights(start), weights(tmp_path / 'tuned')
    assert before.keys() == after.keys()  # adapters are merged, published names are back
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any('language_model.layers.0.self_attn.q_proj' in n for n in changed)
    assert any('detr_encoder' in n for n in changed) and 'model.mask_queries' in changed
    frozen = ('language_model.layers.0.mlp', 'vision_encoder.backbone', 'visual.blocks')
    assert not [n for n in changed if any(part in n for part in frozen)]


@pytest.mark.parametrize(('arguments', 'named'), [
    (['--config', 'missing'], 'missing'),
    (['--config', 'tabletop-cpu', '--set', 'optimizer.rate=1'], 'optimizer.rate'),
    (['--config', 'finetune-stage1', '--set', 'start=/nowhere/at/all'], 'nowhere')])
def test_the_command_names_cause_and_mend(arguments, named, capsys, tmp_path):
    assert main([*arguments, '--set', f'output={tmp_path}']) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith('error:') and named in message and '\n' not in message
