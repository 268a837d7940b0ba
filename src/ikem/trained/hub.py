"""Exported encoders: a folder in the layout that the Hugging Face hub expects, and sending it there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ikem.errors import InputError
from ikem.files import write_text
from ikem.trained.description import CONFIG, Description, write_description
from ikem.trained.graph import INSTALL, TOLERANCE, export_graphs
from ikem.trained.load import TENSORS, Trained, load_trained
from ikem.training.checkpoint import save_tensors

CARD = "README.md"

GRAPHS = {"torch-export": "model.pt2", "onnx": "model.onnx"}
"""The file of each format of a graph."""

FORMATS = ("safetensors", *GRAPHS)


def export(trained: Trained, folder: Path, formats: Sequence[str] = ("safetensors",)) -> dict[str, float]:
    """Write config.json, model.safetensors, the model card README.md, and the graphs that are asked for.

    Args:
        trained: what is exported.
        folder: created if it is missing.
        formats: of `FORMATS`; safetensors are always written.

    Returns:
        of each graph the largest difference to the encoders, see `export_graphs`.

    Raises:
        InputError: an unknown format, a folder of something else or that cannot be written to, or a graph cannot be
            exported.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"unknown format {unknown[0]!r}", hint=f"Use {', '.join(FORMATS)}")
    if folder.exists() and not _replaceable(folder):
        raise InputError("holds something else", location=str(folder), hint="Name a new or empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, *GRAPHS.values()):  # what is left of an earlier export would not fit
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        hint = "Name a folder that can be written to"
        raise InputError(f"cannot be written to ({error.strerror})", location=str(folder), hint=hint) from error
    graphs = [GRAPHS[name] for name in GRAPHS if name in formats]
    off = export_graphs(trained, [folder / name for name in graphs])
    save_tensors(folder / TENSORS, trained.tensors, {"model_type": trained.description.model_type})
    write_text(folder / CARD, card(trained.description, graphs))
    write_description(folder, trained.description)
    return off


def _replaceable(folder: Path) -> bool:
    """Whether it is a folder without files of others."""
    ours = {CONFIG, TENSORS, CARD, *GRAPHS.values(), ".cache"}
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= ours


def card(description: Description, graphs: Sequence[str] = ()) -> str:
    """The model card: metadata in YAML, then Markdown."""
    template = jinja2.Environment(  # noqa: S701 - Markdown, not HTML
        loader=jinja2.PackageLoader("ikem.trained", "."), undefined=jinja2.StrictUndefined
    ).get_template("card.md.jinja")
    values = description.model_dump(mode="json")
    metadata = yaml.safe_dump(_metadata(description), sort_keys=False, allow_unicode=True)
    return f"---\n{metadata}---\n\n{template.render(values, graphs=graphs, tolerance=f'{TOLERANCE:g}')}\n"


def _metadata(description: Description) -> dict[str, Any]:
    about = description.provenance
    license_: dict[str, str] = {"license": "mit"}  # as the code: no terms apply to generated recordings
    if not about.synthetic:
        license_ = {"license": "other", "license_name": "terms-of-the-data"}
        license_ |= {"license_link": about.terms[0]} if about.terms else {}
    metrics = [
        {
            "type": "accuracy",
            "name": "Top-1 in percent, " + ", ".join(filter(None, (each.evaluation, each.condition, each.streams))),
            "value": round(each.top1, 4),
        }
        for each in about.figures
    ]
    data = {"type": description.dataset, "name": f"{about.dataset_title}, {description.protocol}", "split": "test"}
    task = {"type": "action-recognition", "name": "Skeleton-based action recognition"}
    name = f"{description.method}-{description.dataset}-{description.protocol}-seed{description.seed}"
    return {
        **license_,
        "library_name": "ikem-bench",
        "pipeline_tag": "feature-extraction",
        "tags": ["skeleton", "action-recognition", "self-supervised-learning", "ikem-bench", *description.modalities],
        "datasets": [description.dataset],
        "metrics": ["accuracy"],
        "model-index": [
            {"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}] if metrics else []}
        ],
    }


def push(folder: Path, repository: str, private: bool = False) -> str:
    """Upload an exported folder to a repository of models of the Hugging Face hub, which is created if it is missing.

    The account is the one that `hf auth login` or the variable HF_TOKEN gives; HF_ENDPOINT names another hub.

    Args:
        folder: what `export` wrote; files that it did not write stay here.
        repository: "USER/NAME".
        private: of a new repository.

    Returns:
        the address of the commit.

    Raises:
        InputError: the folder is no whole export, the package huggingface_hub is missing, or the hub refuses.
    """
    for name in (CONFIG, TENSORS, CARD):
        if not (folder / name).is_file():
            hint = "Name a folder that `python -m ikem export` wrote"
            raise InputError("is no exported encoder", location=str(folder / name), hint=hint)
    load_trained(folder).encoders()  # what cannot be loaded is not sent
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(f"pushing needs the package {error.name}", hint=INSTALL) from None
    try:
        hub = huggingface_hub.HfApi()
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[CONFIG, TENSORS, CARD, *GRAPHS.values()],
            commit_message="Trained encoder of IKEM-Bench",
        )
    except Exception as error:  # of the network, of the hub, of the name: each has its own class
        words = " ".join(str(error).split())[:300] or type(error).__name__
        hint = "Check the name, the network, and the account (`hf auth login`), then push again"
        raise InputError(f"could not be pushed ({words})", location=repository, hint=hint) from error
    return str(commit)
