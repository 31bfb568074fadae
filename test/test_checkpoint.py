# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configs and weights on disk: the published layout, our own, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from instructsam import checkpoint
from instructsam.configuration import InstructSAMConfig
from instructsam.modeling import InstructSAM

# Tensors per part of the published checkpoint.
PUBLISHED_COUNTS = {
    'model.visual.': 315, 'model.language_model.': 310, 'model.mask_queries': 1,
    'model.mask_hidden_fcs.': 4, 'model.text_hidden_fcs.': 4,
    'model.grounding_model.model.vision_encoder.': 538,
    'model.grounding_model.model.detr_encoder.': 156,
    'model.grounding_model.model.detr_decoder.': 238,
    'model.grounding_model.model.mask_decoder.': 32,
    'model.grounding_model.model.dot_product_scoring.': 10,
    'model.grounding_model.model.geometry_encoder.': 94,
    'model.grounding_model.model.text_projection.': 2}


@pytest.fixture
def saved(tiny_config, tiny_tokenizer, tmp_path):
    """A checkpoint of a random tiny network, and the network."""
    torch.manual_seed(0)
    model = InstructSAM(tiny_config).eval()
    model.save_pretrained(tmp_path, tokenizer=tiny_tokenizer)
    return tmp_path, model


def edit(directory: Path, change) -> None:
    """Rewrite a checkpoint's tensors."""
    tensors = load_file(directory / 'model.safetensors')
    change(tensors)
    (directory / 'model.safetensors').unlink()
    save_file(tensors, directory / 'model.safetensors')


def test_published_names_and_shapes():
    with torch.device('meta'):
        model = InstructSAM(InstructSAMConfig())
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(shapes) == 1704
    for prefix, count in PUBLISHED_COUNTS.items():
        assert sum(name.startswith(prefix) for name in shapes) == count, prefix
    assert sum(PUBLISHED_COUNTS.values()) == 1704
    total = sum(tensor.numel() for tensor in model.state_dict().values())
    assert round(total / 1e9, 2) == 2.62
    some = {
        'model.language_model.embed_tokens.weight': (151936, 2048),
        'model.language_model.layers.27.self_attn.q_proj.weight': (2048, 2048),
        'model.language_model.layers.27.self_attn.k_proj.weight': (1024, 2048),
        'model.language_model.layers.0.self_attn.q_norm.weight': (128,),
        'model.language_model.layers.0.mlp.gate_proj.weight': (6144, 2048),
        'model.visual.patch_embed.proj.weight': (1024, 3, 2, 16, 16),
        'model.visual.pos_embed.weight': (2304, 1024),
        'model.visual.blocks.23.mlp.linear_fc1.weight': (4096, 1024),
        'model.visual.deepstack_merger_list.2.linear_fc2.weight': (2048, 4096),
        'model.mask_queries': (10, 2048),
        'model.mask_hidden_fcs.0.0.weight': (2048, 2048),
        'model.mask_hidden_fcs.0.2.weight': (256, 2048),
        'model.text_hidden_fcs.0.2.bias': (256,),
        'model.grounding_model.model.vision_encoder.backbone.layers.31.mlp.fc1.weight':
            (4736, 1024),
        'model.grounding_model.model.vision_encoder.backbone.embeddings.position_embeddings':
            (1, 576, 1024),
        'model.grounding_model.model.detr_encoder.layers.5.mlp.fc1.weight': (2048, 256),
        'model.grounding_model.model.text_projection.weight': (256, 1024)}
    assert {name: shapes.get(name) for name in some} == some
    assert not any('presence' in name or 'lm_head' in name for name in shapes)


def test_parity_checkpoint_has_exactly_the_names(parity):
    with torch.device('meta'):
        model = InstructSAM(parity.config)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in parity.weights.items()}


def test_round_trip(saved):
    directory, model = saved
    loaded = InstructSAM.from_pretrained(directory)
    assert loaded.config == model.config
    assert not loaded.training and loaded.dtype == torch.float32
    state = loaded.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, loaded.get_buffer(name)), f'{name} was not made again'
    pixels = torch.randn(16, 1536)
    with torch.no_grad():
        tokens = [m.encode_vlm_image(pixels, [(1, 4, 4)]).tokens[0] for m in (model, loaded)]
    assert torch.equal(*tokens)


def test_saving_over_a_loaded_checkpoint(saved):
    """The loaded model must not depend on the file that is replaced."""
    directory, model = saved
    loaded = InstructSAM.from_pretrained(directory)
    loaded.save_pretrained(directory, dtype=torch.bfloat16)
    assert torch.equal(loaded.model.mask_queries, model.model.mask_queries)
    half = InstructSAM.from_pretrained(directory, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    kernel = 'patch_embed.proj.weight'
    assert torch.equal(half.visual.get_parameter(kernel),
                       model.visual.get_parameter(kernel).bfloat16())
    assert half.detector.vision_encoder.dtype == torch.bfloat16
    # on a CPU only the image encoders are in bf16; the file held the rest in it
    assert torch.equal(half.model.mask_queries, model.model.mask_queries.bfloat16().float())
    assert half.language_model.rotary_emb.inv_freq.dtype == torch.float32
    assert not list(directory.glob('*.partial'))


def test_files_of_a_checkpoint(saved):
    directory, model = saved
    generation = json.loads((directory / 'generation_config.json').read_text())
    assert generation['do_sample'] is False
    assert model.config.im_end_token_id in generation['eos_token_id']
    tokenizer = checkpoint.load_tokenizer(directory, model.config)
    assert tokenizer.chat_template
    modes = {(directory / name).stat().st_mode for name in ('config.json', 'model.safetensors')}
    assert len(modes) == 1, 'installed for all, the weights must be readable by all'
    config = json.loads((directory / 'config.json').read_text())
    assert config['layout'] == 'training' and config['model_type'] == 'qwen3_vl'


def test_sharded_checkpoint(saved):
    directory, model = saved
    tensors = load_file(directory / 'model.safetensors')
    names = list(tensors)
    shards = {'model-00001-of-00002.safetensors': names[:50],
              'model-00002-of-00002.safetensors': names[50:]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, directory / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    index = {'metadata': {'total_size': 0}, 'weight_map': weight_map}
    (directory / 'model.safetensors.index.json').write_text(json.dumps(index))
    (directory / 'model.safetensors').unlink()
    loaded = InstructSAM.from_pretrained(directory).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())
    (directory / 'model-00002-of-00002.safetensors').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 2 weight files .*00002-of-00002'):
        InstructSAM.from_pretrained(directory)


def one_line(error) -> str:
    text = str(error.value)
    assert '\n' not in text
    return text


def test_missing_and_unexpected_tensors_are_named(saved):
    directory, _ = saved

    def change(tensors):
        del tensors['model.mask_queries']
        for i in range(6):
            tensors[f'lm_head.{i}'] = torch.zeros(1)

    edit(directory, change)
    with pytest.raises(ValueError) as error:
        InstructSAM.from_pretrained(directory)
    text = one_line(error)
    assert '1 tensors are missing (model.mask_queries)' in text
    assert '6 tensors are unexpected (lm_head.0, lm_head.1, lm_head.2, lm_head.3, ...)' in text


def test_wrong_shapes_are_named(saved):
    directory, _ = saved
    edit(directory, lambda tensors: tensors.update({'model.mask_queries': torch.zeros(3, 32)}))
    with pytest.raises(ValueError) as error:
        InstructSAM.from_pretrained(directory)
    assert 'model.mask_queries is [3, 32], not [10, 32]' in one_line(error)


@pytest.mark.parametrize('file', ['adapter_model.safetensors', 'non_lora_trainables.bin'])
def test_unmerged_lora_run(saved, file):
    directory, _ = saved
    (directory / 'model.safetensors').rename(directory / file)
    with pytest.raises(ValueError, match=f'unmerged LoRA run .*{file}.*merge') as error:
        InstructSAM.from_pretrained(directory)
    one_line(error)


def test_damaged_and_absent_files(saved):
    directory, _ = saved
    weights = directory / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match='damaged'):
        InstructSAM.from_pretrained(directory)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match='no model.safetensors'):
        InstructSAM.from_pretrained(directory)
    (directory / 'config.json').write_text('{')
    with pytest.raises(ValueError, match='not valid JSON'):
        InstructSAM.from_pretrained(directory)
    (directory / 'config.json').unlink()
    with pytest.raises(FileNotFoundError, match='no config.json'):
        InstructSAM.from_pretrained(directory)


def test_tokenizer_must_be_there_and_fit(saved, make_tiny_config):
    directory, model = saved
    other = make_tiny_config(ref_start_token_index=3)
    with pytest.raises(ValueError, match=r'<\|object_ref_start\|> the id 259 but .* says 3'):
        checkpoint.load_tokenizer(directory, other)
    (directory / 'tokenizer.json').unlink()
    with pytest.raises(FileNotFoundError, match='no tokenizer in'):
        checkpoint.load_tokenizer(directory, model.config)


@pytest.mark.parametrize(('name', 'match'), [
    ('/no/such/place', 'no checkpoint directory'),
    ('./nothing', 'no checkpoint directory'),
    ('a/b/c', 'no checkpoint directory'),
    ('nobody-at-all/nothing-here', 'hub')])
def test_unknown_checkpoints(name, match, monkeypatch):
    # Whatever the machine's network: the hub is not to be asked in a test.
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(FileNotFoundError, match=match) as error:
        InstructSAM.from_pretrained(name)
    one_line(error)


def test_devices_and_dtypes(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert checkpoint.resolve_device('auto') == (torch.device('cpu'), torch.float32)
    for device, dtype, match in (('cuda', None, 'no CUDA GPU'), ('toaster', None, 'unknown device'),
                                 ('cpu', torch.float16, 'not supported')):
        with pytest.raises(ValueError, match=match) as error:
            checkpoint.resolve_device(device, dtype)
        one_line(error)


def test_a_published_config_is_the_released_layout(parity):
    assert parity.config.layout == 'released'
    assert parity.config.unused_sam3_parts
    assert InstructSAMConfig().layout == 'released'
    # Older files keep the rope settings under other names, and lack seg_start_token_index.
    values = InstructSAMConfig().to_dict()
    rope = values['text_config'].pop('rope_parameters')
    values['text_config']['rope_theta'] = rope.pop('rope_theta')
    values['text_config']['rope_scaling'] = rope
    for name in ('layout', 'seg_start_token_index', 'sam3_config', 'out_dim'):
        del values[name]
    config = InstructSAMConfig.from_dict(values)
    assert config.qwen.text_config.rope_parameters['rope_theta'] == 5e6
    assert (config.layout, config.seg_start_token_index) == ('released', 151671)
    assert config.image_size == 1008 and config.out_dim == 256


@pytest.mark.parametrize(('values', 'match'), [
    ({'layout': 'sideways'}, 'layout'),
    ({'attention': 'none'}, 'attention'),
    ({'max_seg_nums': 0}, 'max_seg_nums'),
    ({'score_threshold': 2.0}, 'score_threshold'),
    ({'min_pixels': 9, 'max_pixels': 8}, 'min_pixels'),
    ({'out_dim': 99}, 'out_dim is 99 but the detector is 16'),
    ({'seg_token_index': 9999}, 'vocabulary has 268'),
    ({'seg_token_index': 258}, 'must differ'),
    ({'text_config': None}, 'no text_config')])
def test_configs_that_cannot_work(make_tiny_config, values, match):
    with pytest.raises(ValueError, match=match):
        make_tiny_config(**values)


def test_config_round_trip(tiny_config, tmp_path):
    tiny_config.attention = 'causal'
    tiny_config.score_threshold = 0.45
    tiny_config.save(tmp_path)
    assert InstructSAMConfig.load(tmp_path) == tiny_config


def test_reference_points_beyond_the_queries_are_read(tmp_path, make_tiny_config):
    config = make_tiny_config()
    config.sam3.detr_decoder_config.num_queries = 20  # SAM3's own has more than our queries
    saved = InstructSAM(config)
    saved.save_pretrained(tmp_path)
    values = json.loads((tmp_path / 'config.json').read_text())
    values['sam3_config']['detr_decoder_config']['num_queries'] = config.max_seg_nums
    (tmp_path / 'config.json').write_text(json.dumps(values))
    loaded = InstructSAM.from_pretrained(tmp_path)
    assert len(loaded.detector.detr_decoder.reference_points.weight) == 20
