"""The published names of parameters and buffers, from the benchmark's own."""

from __future__ import annotations

import re

_LAYERS = {
    "graph": "gcn.conv",
    "graph_norm": "tcn.0",
    "temporal": "tcn.2",
    "temporal_norm": "tcn.3",
    "shortcut": "residual.0",
    "shortcut_norm": "residual.1",
}
_SUFFIXES = {
    "joint": "",
    "motion": "_motion",
    "bone": "_bone",
    "acceleration": "_acceleration",
    "rotation_axis": "_rotation_axis",
    "angular_velocity": "_omega",
}
_ROLES = {"query": "encoder_q", "key": "encoder_k"}


def of_encoder(name: str) -> str:
    """Published name of a parameter or buffer of `STGCN`."""
    if match := re.fullmatch(r"blocks\.(\d+)\.edge_importance", name):
        return f"edge_importance.{match[1]}"
    if match := re.fullmatch(r"blocks\.(\d+)\.(\w+)\.(\w+)", name):
        return f"st_gcn_networks.{match[1]}.{_LAYERS[match[2]]}.{match[3]}"
    return name.replace("input_norm.", "data_bn.")


def of_contrast(name: str) -> str:
    """Published name of a parameter or buffer of `MomentumContrast`; queue pointers are not among them."""
    role, modality, *rest = name.split(".")
    if role == "queue":
        return queue(modality)
    if role == "exchange_head":
        return ".".join([f"mlp2{modality[0] if modality != 'angular_velocity' else 'o'}", *rest])
    part, inner = rest[0], ".".join(rest[1:])
    return f"{_ROLES[role]}{_SUFFIXES[modality]}." + (of_encoder(inner) if part == "encoder" else f"fc.{inner}")


def queue(modality: str) -> str:
    """Published name of a modality's queue."""
    return f"queue{_SUFFIXES[modality]}"


def queue_pointer(modality: str) -> str:
    """Published name of a modality's queue pointer."""
    return f"queue_ptr{_SUFFIXES[modality]}"


def graph(role: str, modality: str) -> str:
    """Published name of the adjacency that an encoder holds; `role` is query or key."""
    return f"{_ROLES[role]}{_SUFFIXES[modality]}.A"
