"""States and checkpoints: safetensors files (nothing is unpickled) that know their own content.

A file holds tensors by name and, in its metadata, a JSON value and a SHA-256 of it all: a flipped byte is found.
The metadata have one entry: safetensors writes several in any order, and equal content must give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ikem.errors import InputError
from ikem.files import atomic, canonical_json


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Any) -> None:
    """Write tensors and a JSON value, atomically; equal content gives equal bytes."""
    loaded = {name: tensors[name].detach().to("cpu").contiguous() for name in sorted(tensors)}
    metadata = {"ikem": canonical_json({"about": about, "content": _content(loaded, canonical_json(about))})}
    with atomic(path) as temporary:
        try:
            temporary.write_bytes(save(loaded, metadata))
        except SafetensorError as error:  # which a full disk raises, too
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `save_tensors` wrote, on the CPU.

    Raises:
        InputError: the file is missing, is not of this kind, or its content has changed since it was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = json.loads(metadata["ikem"]) if "ikem" in metadata else _early(metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if not isinstance(stored, dict) or not {"about", "content"} <= stored.keys():
                raise ValueError("it does not say what it contains")
            about = canonical_json(stored["about"])
    except FileNotFoundError:
        raise InputError("is missing", location=str(path), hint="Run the workflow again") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot be read ({error})", location=str(path), hint="Delete it and run again") from error
    if stored["content"] != _content(tensors, about):
        raise InputError("its content is not what was written", location=str(path), hint="Delete it and run again")
    return tensors, stored["about"]


def _early(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What files written by early versions of this code say."""
    return {"about": json.loads(metadata["about"]), "content": metadata["content"]}


def _content(tensors: Mapping[str, Tensor], about: str) -> str:
    collected = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        collected.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        collected.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return collected.hexdigest()
