"""trajectory.npz: optimizer steps of the whole model, first of stage 1, then of stage 2."""

from __future__ import annotations

import numpy as np
import torch

from ikem.encoders.stgcn.encoder import STGCN
from ikem.errors import InputError
from ikem.modalities import MODALITIES, generate_all
from ikem.skeleton import load_skeleton
from ikem.training.moco import Branch, MomentumContrast
from ikem.verify import state_dict_names, tolerances
from ikem.verify.npz_source import Source
from ikem.verify.tolerances import Array, Limit

# The key encoders of these modalities keep their momentum update in stage 2.
_MOMENTUM_MODALITIES = ("motion", "acceleration", "angular_velocity")

# What no loss can show, or hardly: biases before a BatchNorm, and BatchNorm's own counts. They must be what the
# published initialization makes of them.
_SILENT = ("graph.bias", "temporal.bias", "shortcut.bias", "running_mean", "running_var", "num_batches_tracked")


def trajectory(source: Source) -> dict[str, tuple[Array, Limit]]:
    """Start from the given state and take the steps; the settings are those that the file is known to hold."""
    skeleton = load_skeleton("ntu25")
    modalities = tuple(MODALITIES)
    hidden, width = source["init.encoder_q.fc.0.weight"].shape[0], source["init.encoder_q.edge_importance.0"].shape
    features, size = source["init.queue"].shape
    channels = source["init.encoder_q.st_gcn_networks.0.gcn.conv.weight"].shape[0] // width[0]
    settings = STGCN(hidden_channels=channels, hidden_dim=hidden, feature_dim=features, dropout=0.0)
    model = MomentumContrast(
        modalities, skeleton, settings, queue_size=size, key_momentum=0.9, temperature=0.07, top_k=1, seed=0
    )
    outputs: dict[str, tuple[Array, Limit]] = {}
    state = {}
    for ours, value in model.state_dict().items():
        if ours == "queue.pointer":
            pointer = source.tensor(f"init.{state_dict_names.queue_pointer(modalities[0])}")
            if pointer.numel() != 1 or not 0 <= int(pointer) < size:
                raise InputError(
                    f"is no column of a queue of {size}",
                    location=f"init.{state_dict_names.queue_pointer(modalities[0])}",
                )
            state[ours] = pointer.reshape(())
            for modality in modalities[1:]:
                outputs[f"init.{state_dict_names.queue_pointer(modality)}"] = (pointer.numpy(), tolerances.equal)
        elif ours.endswith(_SILENT):
            outputs[f"init.{state_dict_names.of_contrast(ours)}"] = (value.clone().numpy(), tolerances.equal)
            state[ours] = value
        else:
            state[ours] = source.tensor(f"init.{state_dict_names.of_contrast(ours)}")
    for role, branches in (("query", model.query), ("key", model.key)):
        for modality, branch in branches.items():
            assert isinstance(branch, Branch)
            outputs[f"init.{state_dict_names.graph(role, modality)}"] = (
                branch.encoder.get_buffer("adjacency").numpy(),
                tolerances.general,
            )
    model.load_state_dict(state)
    outputs["loss"] = (_steps(source, model), tolerances.step_losses)

    final = model.state_dict()
    outputs["final_queue"] = (model.queue.stacked.numpy(), tolerances.final_queue)
    for ours, value in final.items():
        if not ours.startswith("query."):
            continue
        theirs = f"final.{state_dict_names.of_contrast(ours)}"
        if ".input_norm." in ours or ".head." in ours or theirs in source.names:
            outputs[theirs] = (value.detach().numpy(), _limit(ours))
    return outputs


def _limit(name: str) -> Limit:
    if name.endswith("num_batches_tracked"):
        return tolerances.equal
    if ".running_" in name:
        return tolerances.running
    if ".head." in name:
        return tolerances.final_head
    return tolerances.gross_weight if name.endswith("weight") else tolerances.gross_bias


def _steps(source: Source, model: MomentumContrast) -> Array:
    """Take all steps; (steps, modalities) losses."""
    skeleton, frames, stages = load_skeleton("ntu25"), source.tensor("frames"), source["stage"]
    optimizer = torch.optim.SGD(model.trained_parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    views = [source.tensor(name).permute(0, 1, 5, 2, 3, 4).contiguous() for name in ("view1", "view2")]
    taken = []
    for step, stage in enumerate(stages):
        query, key = (generate_all(model.modalities, view[step], frames, skeleton) for view in views)
        optimizer.zero_grad(set_to_none=True)
        losses = model.losses(query, key, "contrast" if stage == 1 else "exchange", _MOMENTUM_MODALITIES)
        total = torch.stack(list(losses.values()))
        total.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        taken.append(total.detach().double().numpy())
    return np.stack(taken)
