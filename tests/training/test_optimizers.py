"""Learning rates: of an epoch, and of a layer."""

import numpy as np
import pytest
import torch
from torch import nn

from ikem.encoders.registry import build_encoder, encoder_options
from ikem.errors import InputError
from ikem.skeleton import load_skeleton
from ikem.training.classifier import Classifier, ClassifierTrainer
from ikem.training.loader import Clips
from ikem.training.optimizers import build_optimizer, layer_groups, learning_rate, set_learning_rate
from stage_support import CPU, write_prepared

SCHEDULE = {
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "optimizer": {"kind": "adamw", "betas": [0.9, 0.95]},
    "decay": {"kind": "cosine", "warmup_epochs": 20, "warmup_from_zero": False, "final": 0.5, "epochs": 400},
}
ENCODERS = {
    "transformer": {"kind": "transformer", "hidden_dim": 8, "heads": 2, "blocks": 3},
    "stgcn": {"kind": "stgcn", "hidden_channels": 2, "hidden_dim": 8},
}


def test_cosine_with_warm_up():
    rates = [learning_rate(SCHEDULE, epoch) for epoch in range(400)]
    assert rates[0] == pytest.approx(0.1 / 21) and rates[19] == pytest.approx(0.1 * 20 / 21)
    assert rates[20] == 0.1 and rates[210] == pytest.approx(0.075) and 0.05 < rates[-1] < 0.0501
    assert sorted(rates[:20]) == rates[:20] and sorted(rates[20:], reverse=True) == rates[20:]


def classifier(kind):
    return Classifier(build_encoder(encoder_options(ENCODERS[kind]), load_skeleton("ntu25")), 8, 3)


@pytest.mark.parametrize("kind", ENCODERS)
def test_rates_fall_from_layer_to_layer(kind):
    model = classifier(kind)
    blocks = len(model.encoder.blocks)
    factors = {}
    for group in layer_groups(model, "encoder.blocks", 0.8):
        factors |= {id(parameter): group["rate_factor"] for parameter in group["params"]}
    assert len(factors) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if ".blocks." in name:
            layer = 1 + int(name.split(".")[2])
        else:
            layer = blocks + 1 if name.startswith(("classifier", "encoder.norm")) else 0
        assert factors[id(parameter)] == pytest.approx(0.8 ** (blocks + 1 - layer)), name


def test_groups_are_those_of_the_optimizer():
    model = classifier("transformer")
    optimizer = build_optimizer(layer_groups(model, "encoder.blocks", 0.5), SCHEDULE)
    assert [group["rate_factor"] for group in optimizer.param_groups] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]
    assert {group["betas"][1] for group in optimizer.param_groups} == {0.95}
    set_learning_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.05, 0.1, 0.2, 0.4]
    plain = build_optimizer(model.parameters(), SCHEDULE)
    set_learning_rate(plain, 0.4)
    assert [group["lr"] for group in plain.param_groups] == [0.4]


def test_an_encoder_without_blocks():
    with pytest.raises(InputError, match="no blocks, so layer_decay has no meaning"):
        layer_groups(nn.Sequential(nn.Linear(2, 2)), "encoder.blocks", 0.8)


def test_smoothed_labels(tmp_path):
    """A tenth of each label is shared by all classes."""
    clips = Clips(write_prepared(tmp_path, 4), np.arange(4), CPU, resident=True)
    settings = {
        "seed": 0,
        "skeleton": "ntu25",
        "encoder": ENCODERS["stgcn"] | {"dropout": 0.0},
        "augmentations": [],
        "precision": "float32",
        "schedule": SCHEDULE,
    }
    trainer = ClassifierTrainer(settings, "joint", 3, clips, CPU, layer_decay=0.8, label_smoothing=0.1)
    (batch,) = clips.batches([np.arange(4)])
    logits = trainer.model(batch.position)
    wanted = torch.full((4, 3), 0.1 / 3).scatter_add(1, trainer.labels[:, None], torch.full((4, 1), 0.9))
    expected = -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()
    trainer.begin_epoch(0)
    assert torch.allclose(trainer.step(batch, 0, 0)["joint"], expected)
    assert len(trainer.optimizer.param_groups) == 12
