"""What each file of reference vectors holds, and how the benchmark computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ikem.augmentations.crop import crop
from ikem.augmentations.shear import shear
from ikem.data.formats.ntu import read_skeleton
from ikem.data.prepare import prepare_clips
from ikem.encoders.graph import adjacency
from ikem.encoders.stgcn.network import STGCN
from ikem.errors import InputError
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.losses.queue import enqueue
from ikem.losses.relational_distillation import relational_losses
from ikem.methods.relational_distillation.model import mining_numbers
from ikem.modalities import MODALITIES, generate_all
from ikem.skeleton import load_skeleton
from ikem.verify import state_dict_names, tolerances
from ikem.verify.npz_source import Source, on_disk
from ikem.verify.tolerances import Array, Limit
from ikem.verify.trajectory import trajectory

Outputs = dict[str, tuple[Array, Limit]]
NAMES = tuple(MODALITIES)


def skeleton_files(folder: Path) -> dict[str, Path]:
    """The .skeleton files of a folder of reference vectors, by name."""
    return {path.stem: path for path in sorted((folder / "skeletons").glob("*.skeleton"))}


def _decoded(folder: Path) -> dict[str, Array]:
    """Each .skeleton file as (T, M, V, 3)."""
    files = skeleton_files(folder)
    if not files:
        raise InputError("no .skeleton file is there", location=str(folder / "skeletons"))
    return {name: read_skeleton(path.read_bytes(), path.name) for name, path in files.items()}


def decoding(source: Source) -> Outputs:
    """skeleton_xyz.npz: (3, T, V, M) of each file."""
    return {
        name: (np.ascontiguousarray(coordinates.transpose(3, 0, 2, 1)), tolerances.general)
        for name, coordinates in _decoded(source.path.parent).items()
    }


def preparation(source: Source) -> Outputs:
    """preprocess.npz: from the .skeleton files on."""
    decoded = _decoded(source.path.parent)
    order = [str(name) for name in source["names"]]
    if sorted(order) != sorted(decoded):
        raise InputError("names other clips than the .skeleton files", location="names")
    frames = np.array([len(decoded[name]) for name in order])
    starts = np.cumsum(frames) - frames
    clips = np.concatenate([decoded[name] for name in order]).astype(np.float32)
    position = prepare_clips(clips, starts, frames, load_skeleton("ntu25"), target_frames=50)
    return {"frames": (frames, tolerances.equal), "position": (position, tolerances.prepared)}


def augmentation(source: Source) -> Outputs:
    """augment.npz."""
    cropped = crop(source.clips("position"), source.tensor("crop_start"))
    sheared = shear(cropped, source.tensor("shear"))
    return {
        "cropped": (on_disk(cropped), tolerances.general),
        "cropped_sheared": (on_disk(sheared), tolerances.general),
    }


def modalities(source: Source) -> Outputs:
    """modalities.npz."""
    derived = generate_all(NAMES[1:], source.clips("position"), source.tensor("frames"), load_skeleton("ntu25"))
    return {name: (on_disk(value), tolerances.general) for name, value in derived.items()}


def encoder(source: Source) -> Outputs:
    """stgcn_*.npz: graph, number of parameters, and both modes of the encoder with a linear layer on it."""
    skeleton = load_skeleton("ntu25")
    weight, bias = source.tensor("p.fc.weight"), source.tensor("p.fc.bias")
    width = source["p.st_gcn_networks.0.gcn.conv.weight"].shape[0] // 3
    with torch.random.fork_rng(devices=[]):
        model = STGCN(skeleton, width, weight.shape[1], dropout=0.0)
    outputs: Outputs = {"p.A": (adjacency(skeleton), tolerances.general)}
    state = {}
    for ours, value in model.state_dict().items():
        theirs = f"p.{state_dict_names.of_encoder(ours)}"
        if ours.endswith("num_batches_tracked"):  # no output depends on it: it is that of a new encoder
            outputs[theirs] = (value.clone().numpy(), tolerances.equal)
        else:
            state[ours] = source.tensor(theirs)
    model.load_state_dict(state, strict=False)
    count = weight.numel() + bias.numel() + sum(parameter.numel() for parameter in model.parameters())
    outputs["n_params"] = (np.array(count), tolerances.equal)
    clips = source.clips("input")
    for mode in ("eval", "train"):
        model.train(mode == "train")
        with torch.no_grad():
            features = model(clips)
            outputs[f"{mode}_features"] = (features.numpy(), tolerances.general)
            outputs[f"{mode}_output"] = (F.linear(features, weight, bias).numpy(), tolerances.general)
    return outputs


def losses(source: Source) -> Outputs:
    """losses.npz: stage 1, and stage 2 at top-1 and top-3 with its gradients."""
    temperature = float(source["temperature"])
    outputs: Outputs = {"modalities": (np.array(NAMES), tolerances.equal)}
    query, key, queue = (source.tensor(f"stage1_{part}") for part in ("query", "key", "queue"))
    each = [info_nce(*parts, temperature) for parts in zip(query, key, queue, strict=True)]
    outputs["stage1_loss"] = (torch.stack(each).numpy(), tolerances.general)
    enqueue(queue, torch.tensor(0), key)
    outputs["stage1_queue_after"] = (queue.numpy(), tolerances.general)
    for top_k in (1, 3):
        prefix = f"stage2_top{top_k}_"
        raw = source.tensor(f"{prefix}query_raw").requires_grad_()
        exchanged = source.tensor(f"{prefix}exchange_raw").requires_grad_()
        key, queue = source.tensor(f"{prefix}key"), source.tensor(f"{prefix}queue")
        pairs = mined_losses(F.normalize(raw, dim=-1), key, queue, temperature, top_k)
        mined = pairs.sum(dim=1) / (len(pairs) - 1)
        implicit = implicit_losses(F.normalize(exchanged, dim=-1), key, queue, temperature)
        total = (mined + implicit).sum()
        total.backward()  # type: ignore[no-untyped-call]
        assert raw.grad is not None and exchanged.grad is not None
        for name, value in {
            "pair_loss": pairs.detach().fill_diagonal_(torch.nan),  # a modality does not mine for itself
            "mined_loss": mined,
            "exchange_loss": implicit,
            "total": total,
            "grad_query_raw": raw.grad,
            "grad_exchange_raw": exchanged.grad,
        }.items():
            outputs[prefix + name] = (value.detach().numpy(), tolerances.general)
    return outputs


def distillation(source: Source) -> Outputs:
    """student.npz: the published form, in which angular velocity mines in the bone queue."""
    raw = source.tensor("student_raw").requires_grad_()
    embeddings, queues = source.tensor("teacher_embedding"), source.tensor("modality_queue")
    teacher_queue = source.tensor("teacher_queue")
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)
    pairs = relational_losses(
        F.normalize(raw, dim=-1),
        teacher,
        embeddings,
        queues,
        teacher_queue,
        float(source["temperature"]),
        int(source["topk"]),
        mining_numbers(NAMES, "published"),
    )
    each = pairs.mean(dim=1)
    each.sum().backward()  # type: ignore[no-untyped-call]
    enqueue(queues, torch.tensor(0), embeddings)
    enqueue(teacher_queue, torch.tensor(0), teacher)
    assert raw.grad is not None
    values = {
        "pair_loss": pairs.detach(),
        "loss": each.detach(),
        "grad_student_raw": raw.grad,
        "modality_queue_after": queues,
        "teacher_queue_after": teacher_queue,
    }
    outputs: Outputs = {name: (value.numpy(), tolerances.general) for name, value in values.items()}
    outputs["teacher_modalities"] = (np.array(NAMES), tolerances.equal)
    outputs["student_modalities"] = (np.array(NAMES[: len(raw)]), tolerances.equal)
    return outputs


PARTS: Mapping[str, Callable[[Source], Outputs]] = {
    "skeleton_xyz.npz": decoding,
    "preprocess.npz": preparation,
    "augment.npz": augmentation,
    "modalities.npz": modalities,
    "stgcn_small.npz": encoder,
    "stgcn_paper.npz": encoder,
    "losses.npz": losses,
    "student.npz": distillation,
    "trajectory.npz": trajectory,
}
