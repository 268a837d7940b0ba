"""Heads: what maps an encoder's embedding to the space in which losses compare."""

from __future__ import annotations

from torch import nn


def projection_head(hidden_dim: int, feature_dim: int) -> nn.Sequential:
    """Linear, ReLU, Linear: (N, hidden_dim) to (N, feature_dim), `hidden_dim` wide in between (256-256-128)."""
    return _two_layers(hidden_dim, hidden_dim, feature_dim)


def exchange_head(hidden_dim: int, feature_dim: int, modalities: int) -> nn.Sequential:
    """Linear, ReLU, Linear: (N, hidden_dim) to (N, modalities x feature_dim), as wide in between (256-768-768).

    It serves the implicit exchange, and is the head of a distilled student.
    """
    return _two_layers(hidden_dim, modalities * feature_dim, modalities * feature_dim)


def _two_layers(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, between), nn.ReLU(), nn.Linear(between, outputs))
