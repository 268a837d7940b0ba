"""What figures show of errors, classes, embeddings and clips: cases with a known answer."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from ikem.data.store import write_samples
from ikem.errors import InputError
from ikem.files import write_json
from ikem.report import accuracy, clip
from ikem.report.accuracy import draw_costs, draw_label_use, method_line
from ikem.report.agreement import draw_agreement, read_errors, shared_errors
from ikem.report.clip import ClipFile, draw_clips, liveliest
from ikem.report.confusion import ConfusionFile, draw_gains, recall
from ikem.report.costs import Cost
from ikem.report.curves import Curve, draw_curves
from ikem.report.embedding_map import EmbeddingFile, choose, draw_embeddings, joined
from ikem.report.layout import lay_out
from ikem.report.style import drawing
from ikem.report.summary import Cell
from ikem.training.checkpoint import save_tensors
from report_samples import NAMING, SIX, row


def test_shared_errors_are_the_jaccard_index() -> None:
    errors = {"joint": np.array([1, 1, 0, 0, 1], bool), "bone": np.array([1, 0, 0, 1, 1], bool),
              "motion": np.zeros(5, bool)}  # fmt: skip
    shared = shared_errors(errors, ["joint", "bone", "motion"])
    assert shared[0, 1] == shared[1, 0] == 50.0, "2 of the 4 clips that either gets wrong"
    assert shared[0, 2] == 0.0
    assert np.isnan(shared[2, 2]), "nobody errs"


def test_errors_are_read_from_scores(tmp_path: Path) -> None:
    scores = torch.tensor([[0.0, -1.0], [0.0, -1.0], [-2.0, 0.0]], dtype=torch.float16)
    path = tmp_path / "linear.scores.safetensors"
    tensors = {"scores/joint": scores, "scores/bone": -scores, "scores/motion": scores.clone()}
    tensors |= {"labels": torch.tensor([0, 1, 1])}
    save_tensors(path, tensors | {"classes": torch.arange(2)}, {"names": ["a", "b", "c"]})
    assert {name: list(value) for name, value in read_errors(path).items()} == {
        "joint": [False, True, False], "bone": [True, False, True], "motion": [False, True, False],
    }  # fmt: skip
    files = [ConfusionFile(tmp_path / "linear.confusion.npz", "demo", "xsub", "ikem-6", "linear")]
    with drawing():
        (drawn,) = draw_agreement(files, tmp_path, NAMING)
        assert (
            draw_agreement([dataclasses.replace(files[0], path=tmp_path / "x.confusion.npz")], tmp_path, NAMING) == []
        )
    assert (tmp_path / drawn.file).exists()
    tensors.pop("scores/motion")
    save_tensors(path, tensors | {"classes": torch.arange(2)}, {"names": ["a", "b", "c"]})
    assert draw_agreement(files, tmp_path, NAMING) == [], "two modalities share one number"
    save_tensors(path, {"scores/joint": scores}, {})
    with pytest.raises(InputError, match="no scores of clips"):
        read_errors(path)


def test_gains_are_of_recalls_with_the_same_streams(tmp_path: Path) -> None:
    assert list(recall(np.array([[3, 1], [0, 5]]))) == [75.0, 100.0]
    assert np.isnan(recall(np.array([[0, 0], [1, 3]]))[0])
    better, worse = np.array([[9, 1], [0, 10]]), np.array([[5, 5], [2, 8]])
    np.savez(tmp_path / "a.npz", **{SIX: better, "joint": worse})
    np.savez(tmp_path / "b.npz", joint=worse, bone=better)
    files = [ConfusionFile(tmp_path / f"{name}.npz", "demo", "xsub", method, "linear")
             for name, method in (("a", "ikem-6"), ("b", "skeletonclr"), ("a", "random"))]  # fmt: skip
    naming = dataclasses.replace(NAMING, baselines=("skeletonclr",))
    with drawing():
        (drawn,) = draw_gains(files, tmp_path, naming)
        assert draw_gains(files, tmp_path, NAMING) == [], "there is no baseline"
        wider = dataclasses.replace(naming, encoders={"ikem-6": "ST-GCN 16/256", "skeletonclr": "ST-GCN 8/64"})
        assert draw_gains(files, tmp_path, wider) == [], "its encoder is another"
    assert drawn.title == "Gain by class: IKEM-6 over SkeletonCLR, joint only, demo xsub"
    assert ", joint: accuracy of a class" in drawn.caption, "the streams that both have"


def test_a_method_and_its_stages_share_a_panel(tmp_path: Path) -> None:
    for name, epochs in (("a", (1, 2)), ("b", (3, 4))):
        (tmp_path / f"{name}.csv").write_text(
            "epoch,learning_rate,joint\n" + "".join(f"{e},0.1,{e}.5\n" for e in epochs)
        )
    curves = [Curve(tmp_path / f"{name}.csv", "Demo xsub", "IKEM-6", "demo/xsub") for name in "ab"]
    with drawing():
        (drawn,) = draw_curves(curves, tmp_path)
        (short,) = draw_curves(curves[:1], tmp_path)
        (seeds,) = draw_curves(curves[:1] * 2, tmp_path)
    assert "dotted line" in drawn.caption and "dotted line" not in short.caption
    assert "seeds" in seeds.caption and "seeds" not in drawn.caption
    assert drawn.title == "Learning curves, Demo xsub"


def test_a_jump_of_the_sensor_is_not_lively() -> None:
    position = np.zeros((3, 3, 16, 4, 1), np.float32)
    position[1] += np.linspace(0, 3, 16, dtype=np.float32)[:, None, None]  # moves all the time
    position[2, :, 8] = 50.0  # is lost for a frame
    chosen, frame = liveliest(position, np.ones(3, bool))
    assert chosen == 1 and 4 <= frame < 12
    assert liveliest(position, np.array([True, False, False]))[0] == 0, "clips of one body first"
    assert liveliest(position, np.zeros(3, bool))[0] == 1
    many = np.concatenate([position] * 30)
    assert liveliest(many, np.arange(90) == 80)[0] == 80, "also where the first clips are all of two bodies"


def test_a_clip_is_drawn_with_the_name_of_its_class(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    np.save(tmp_path / "position.npy", generator.normal(size=(2, 3, 16, 25, 2)).astype(np.float32))
    table = {"name": ["a", "b"], "label": [0, 0], "frames": [16, 16], "bodies": [1, 1]}
    write_samples(tmp_path / "samples.csv", pd.DataFrame(table))
    files = dict.fromkeys(("joint", "bone", "motion"), tmp_path / "position.npy")
    naming = dataclasses.replace(NAMING, classes={"demo": ("waving",)}, datasets={"demo": "Demo"})
    file = ClipFile("demo", tmp_path / "position.npy", tmp_path / "samples.csv", files, "ntu25")
    with drawing():
        (drawn,) = draw_clips([file], tmp_path, naming)
    assert drawn.title == "A clip in joint, bone, motion: waving, Demo"
    assert (tmp_path / drawn.file).with_suffix(".pdf").exists()


def test_embeddings_are_of_test_clips_and_of_length_one(tmp_path: Path) -> None:
    labels = np.arange(12).repeat(3)
    test = np.arange(0, 36, 2)
    chosen = choose(test, labels)
    assert set(chosen) <= set(test) and set(labels[chosen]) == set(range(10)), "ten classes at most"
    assert len(choose(np.arange(5000), np.zeros(5000, np.int64))) == 300
    save_tensors(
        tmp_path / "e.safetensors",
        {"joint": 3 * torch.eye(36), "bone": torch.ones(36, 2), "joint.mean": torch.ones(36)},
        {},
    )
    values = joined(tmp_path / "e.safetensors", chosen)
    assert values.shape == (len(chosen), 38)
    assert np.allclose((values**2).sum(axis=1), 2), "each modality counts alike"


def embeddings_of(folder: Path, values: np.ndarray, test: int) -> list[EmbeddingFile]:
    """Files of two methods with the same embeddings of 20 clips, of which the last ones test."""
    save_tensors(folder / "e.safetensors", {"joint": torch.from_numpy(values)}, {})
    names = [str(number) for number in range(20)]
    table = {"name": names, "label": [0, 1] * 10, "frames": [9] * 20, "bodies": [1] * 20}
    write_samples(folder / "samples.csv", pd.DataFrame(table))
    split = {"train": [0], "test": list(range(20 - test, 20)), "unused": 19 - test, "complete": True}
    write_json(folder / "split.json", split)
    paths = [folder / name for name in ("e.safetensors", "samples.csv", "split.json")]
    return [EmbeddingFile(*paths, "demo", "xsub", method) for method in ("ikem-6", "random")]


@pytest.mark.parametrize(("values", "test"), [(np.eye(20), 2), (np.ones((20, 3)), 19)])
def test_what_cannot_be_mapped_is_not_drawn(tmp_path: Path, values: np.ndarray, test: int) -> None:
    assert draw_embeddings(embeddings_of(tmp_path, values, test), tmp_path, NAMING) == []


def test_maps_are_the_same_each_time(tmp_path: Path) -> None:
    files = embeddings_of(tmp_path, np.random.default_rng(0).normal(size=(20, 8)), 19)
    pictures = []
    for _ in range(2):
        with drawing():
            (drawn,) = draw_embeddings(files, tmp_path, NAMING)
        pictures.append((tmp_path / drawn.file).read_bytes())
    assert pictures[0] == pictures[1]


def test_a_method_has_one_color_in_all_figures() -> None:
    """Whichever other methods a figure has; the floor and the ceiling have markers of their own."""
    naming = dataclasses.replace(NAMING, compared=("random", "skeletonclr", "ikem-3", "supervised"))
    alone, among = (method_line("ikem-3", names, naming) for names in (["ikem-3"], ["skeletonclr", "ikem-3"]))
    assert alone == among == method_line("ikem-3", [], naming)
    assert alone != method_line("skeletonclr", ["skeletonclr"], naming)
    assert len({method_line(name, [], naming)[0] for name in naming.compared}) == 4
    rest = dataclasses.replace(naming, methods=dict.fromkeys((*naming.compared, "crossclr", "ikem-6"), ""))
    alone, among = (method_line("ikem-6", names, rest) for names in (["ikem-6"], ["crossclr", "ikem-6"]))
    assert alone == among, "nor does what no benchmark compares depend on the table"


def test_marks_of_costs_are_whole_and_what_is_not_trained_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(accuracy, "save", lambda figure, folder, stem: figures.append(figure))
    seconds = {"random": None, "skeletonclr": 50.0, "ikem-6": 90.0}
    costs = {Cell(name, SIX, "demo", "xsub"): Cost(10, 2.0, time, "CPU") for name, time in seconds.items()}
    table = lay_out([row(method=name, streams=SIX) for name in seconds], [], "linear", NAMING, costs)
    with drawing():
        (drawn,) = draw_costs(table, ("demo", "xsub"), tmp_path, NAMING)
    assert drawn.caption.endswith("Not trained, so on the left only: Random encoder.")
    for axes, largest in zip(figures[0].axes, (2.0, 90.0), strict=True):
        assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 1.05 * largest


def test_use_of_labels_compares_methods(tmp_path: Path) -> None:
    shares = ("semi-10", "finetune")
    rows = [row(method=name, evaluation=share) for name in ("skeletonclr", "ikem-6") for share in shares]
    with drawing():
        for count, some in ((1, rows), (0, rows[:2])):
            tables = [lay_out(some, [], share, NAMING) for share in shares]
            assert len(draw_label_use(tables, ("demo", "xsub"), tmp_path, NAMING)) == count


def test_the_panel_of_a_clip_holds_the_paths_of_its_joints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(clip, "save", lambda figure, folder, stem: figures.append(figure))
    position = np.random.default_rng(0).normal(size=(1, 3, 16, 25, 1)).astype(np.float32)
    position[:, 0] += 5 * np.arange(16, dtype=np.float32)[:, None, None]  # walks to the right
    np.save(tmp_path / "position.npy", position)
    table = {"name": ["a"], "label": [0], "frames": [16], "bodies": [1]}
    write_samples(tmp_path / "samples.csv", pd.DataFrame(table))
    file = ClipFile(
        "demo", tmp_path / "position.npy", tmp_path / "samples.csv", {"joint": tmp_path / "position.npy"}, "ntu25"
    )
    with drawing():
        draw_clips([file], tmp_path, NAMING)
    (axes,) = figures[0].axes
    across, down = (np.concatenate(values) for values in zip(*(line.get_data() for line in axes.lines), strict=True))
    assert np.ptp(across) > 10, "the paths are drawn"
    for values, (low, high) in ((across, axes.get_xlim()), (down, axes.get_ylim())):
        assert low < values.min() and values.max() < high
