"""Trained encoders as one graph of PyTorch's or of ONNX: from prepared positions to embeddings and scores."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ikem.errors import InputError
from ikem.files import atomic
from ikem.kernels.dispatch import backend
from ikem.modalities import generate_all
from ikem.seeding import seed_for
from ikem.trained.load import Trained

INPUTS = ("position", "frames")
TOLERANCE = 1e-4
"""How far an exported graph may be from what was exported, of the largest value or of 1."""

INSTALL = 'Install what exports need: pip install "ikem-bench[export]"'


class EncoderGraph(nn.Module):
    """What a trained encoder computes after preparation: modalities, encoders, standardization, classifiers.

    In float32, whatever precision was trained with. Inputs: position (N, M, 3, T, V) float32, prepared; frames (N,)
    int64, raw lengths of the clips. Outputs: embeddings (N, modalities * D), as `TrainedEncoder` gives them; scores
    (N, K) before the softmax, if there is a classifier.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self._skeleton = trained.description.built_skeleton()
        self.encoders = nn.ModuleDict(trained.encoders())
        for name, standardization in trained.standardizations().items():
            self.register_buffer(f"{name}_mean", standardization.mean.float())
            self.register_buffer(f"{name}_scale", standardization.scale.float())
        kept = trained.classifiers()
        part = "fused" if "fused.weight" in kept else "single"
        self._standardized, self._classified = trained.description.standardized, bool(kept)
        if kept:
            self.register_buffer("weight", kept[f"{part}.weight"])
            self.register_buffer("bias", kept[f"{part}.bias"])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return ("embeddings", "scores") if self._classified else ("embeddings",)

    def forward(self, position: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        generated = generate_all([*self.encoders], position, frames, self._skeleton)
        parts = []
        for name, encoder in self.encoders.items():
            embedding = encoder(generated[name])
            if self._standardized:
                embedding = (embedding - getattr(self, f"{name}_mean")) * getattr(self, f"{name}_scale")
            parts.append(embedding)
        embeddings = torch.stack(parts)
        joined = embeddings.transpose(0, 1).flatten(1)
        if not self._classified:
            return (joined,)
        return joined, torch.baddbmm(self.bias, embeddings, self.weight).mean(dim=0)


def example(trained: Trained, clips: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs of the graph to try it with: bodies that wander, the second one of the first clip absent."""
    about = trained.description
    random = np.random.default_rng(seed_for(seed, "export"))
    shape = (clips, about.bodies, 3, about.prepare.frames, len(about.skeleton["joints"]))
    position = random.normal(0, 0.05, shape).cumsum(axis=3).astype(np.float32)
    position[0, 1:] = 0
    return torch.from_numpy(position), torch.from_numpy(random.integers(20, 300, clips))


def export_graphs(trained: Trained, paths: Sequence[Path]) -> dict[str, float]:
    """Write the graph: to `.pt2` by torch.export, to `.onnx` by PyTorch's exporter; the number of clips is left open.

    What was written is loaded again and compared with the encoders, on other clips and another number of them.

    Returns:
        for each name of a file the largest difference, of the largest value or of 1.

    Raises:
        InputError: packages are missing, the encoder cannot be exported, or the graph computes something else.
    """
    if not paths:
        return {}
    module = EncoderGraph(trained).eval()
    inputs, others = example(trained, 3), example(trained, 2, seed=1)
    clips = torch.export.Dim("clips", min=1)
    worst: dict[str, float] = {}
    path = paths[0]
    with backend("reference"), torch.inference_mode(False), torch.no_grad(), _quiet():
        expected = module(*others)  # and joint numbers are on the device now, not first seen while tracing
        try:
            program = torch.export.export(module, inputs, dynamic_shapes=({0: clips}, {0: clips}), strict=False)
            for path in paths:
                found = _onnx(program, module, path, others) if path.suffix == ".onnx" else _pt2(program, path, others)
                worst[path.name] = _difference(found, expected)
        except (InputError, OSError):
            raise
        except Exception as error:  # exporters fail in many ways
            words = " ".join(str(error).split())[:300]
            raise InputError(f"cannot be exported ({type(error).__name__}: {words})", location=str(path)) from error
    for path in paths:
        if not worst[path.name] <= TOLERANCE:
            path.unlink(missing_ok=True)
            raise InputError(
                f"the exported graph is off by {worst[path.name]:.2g} (at most {TOLERANCE:g})", location=str(path)
            )
    return worst


def _difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    pairs = zip(found, expected, strict=True)
    return max(float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1)) for ours, theirs in pairs)


def _pt2(program: torch.export.ExportedProgram, path: Path, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        torch.export.save(program, stream)  # type: ignore[arg-type]
    with open(path, "rb") as stream:
        return [*torch.export.load(stream).module()(*inputs)]  # type: ignore[arg-type]


def _onnx(
    program: torch.export.ExportedProgram, module: EncoderGraph, path: Path, inputs: tuple[Tensor, ...]
) -> list[Tensor]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX needs the package {error.name}", location=str(path), hint=INSTALL) from None
    written: Any = torch.onnx.export(program, input_names=INPUTS, output_names=module.outputs, verbose=False)
    with atomic(path) as temporary:
        written.save(temporary, external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
    return [torch.from_numpy(value) for value in session.run(None, given)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of their own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
