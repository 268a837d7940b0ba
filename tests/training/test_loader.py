import threading
from concurrent.futures import Future

import numpy as np
import pandas as pd
import pytest
import torch

from ikem.augmentations.registry import PUBLISHED
from ikem.augmentations.views import Views
from ikem.errors import InputError
from ikem.seeding import batches, epoch_order
from ikem.skeleton import load_skeleton
from ikem.training import loader as clips_module
from ikem.training.loader import Batch, Clips, training_clips

CPU = torch.device("cpu")
SKELETON = load_skeleton("ntu25")
COUNT, FRAMES = 30, 12


@pytest.fixture
def position(tmp_path):
    """A prepared data set of 40 clips; 30 of them, in no order, are trained on."""
    random = np.random.default_rng(0)
    path = tmp_path / "position.npy"
    np.save(path, random.normal(size=(40, 3, FRAMES, 5, 2)).astype(np.float32))
    table = {"name": [f"clip{n}" for n in range(40)], "label": np.arange(40) % 7, "bodies": 2}
    pd.DataFrame(table | {"frames": random.integers(5, 90, 40)}).to_csv(tmp_path / "samples.csv", index=False)
    return path


@pytest.fixture
def indices():
    return np.random.default_rng(1).permutation(40)[:COUNT]


def cut(size, drop_last=False):
    return batches(epoch_order(3, 0, COUNT), size, drop_last)


def test_a_batch_is_what_the_files_hold(position, indices):
    clips = Clips(position, indices, CPU, resident=False)
    array, frames = np.load(position), pd.read_csv(position.with_name("samples.csv"))["frames"].to_numpy()
    assert (clips.count, clips.frames, clips.classes) == (COUNT, FRAMES, 7)
    assert np.array_equal(clips.labels, indices % 7)
    seen = []
    for rows, batch in zip(cut(8), clips.batches(cut(8)), strict=True):
        assert np.array_equal(batch.rows.numpy(), rows)
        assert np.array_equal(batch.position.numpy(), array[indices[rows]].transpose(0, 4, 1, 2, 3))
        assert np.array_equal(batch.frames.numpy(), frames[indices[rows]])
        assert batch.position.is_contiguous()
        seen += rows.tolist()
    assert sorted(seen) == list(range(COUNT))


@pytest.mark.parametrize("size", [1, 7, 30])
def test_resident_and_streamed_batches_are_the_same_bits(position, indices, size):
    resident, streamed = (Clips(position, indices, CPU, resident=kept) for kept in (True, False))
    assert resident.resident and not streamed.resident
    for one, other in zip(resident.batches(cut(size)), streamed.batches(cut(size)), strict=True):
        assert torch.equal(one.position, other.position)
        assert torch.equal(one.rows, other.rows) and torch.equal(one.frames, other.frames)


def test_what_fits_stays_on_the_device(position, indices, monkeypatch):
    needed = 4 * 3 * FRAMES * 5 * 2 * COUNT
    for free, resident in ((2 * needed, True), (2 * needed - 1, False)):
        monkeypatch.setattr(clips_module, "_free_bytes", lambda device, free=free: free)
        assert Clips(position, indices, CPU).resident is resident


def test_no_batch_is_no_work(position, indices):
    for resident in (True, False):
        assert list(Clips(position, indices, CPU, resident=resident).batches([])) == []


def views_of_all(clips, size, order_seed=3):
    """Both views of every clip, by clip, from batches of a size."""
    views, found = Views(PUBLISHED, SKELETON, 5, 2, COUNT, views=2), {}
    for batch in clips.batches(batches(epoch_order(order_seed, 0, COUNT), size, False)):
        for view in (0, 1):
            for row, value in zip(batch.rows.tolist(), views(batch.position, batch.rows, view), strict=True):
                found[row, view] = value
    return found


def test_augmentation_does_not_depend_on_the_layout_of_batches(position, indices):
    clips = Clips(position, indices, CPU, resident=True)
    expected = views_of_all(clips, COUNT)
    for size, order_seed in ((1, 3), (7, 3), (8, 4)):
        found = views_of_all(clips, size, order_seed)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            assert torch.equal(value, expected[key])


def test_views_are_those_of_the_clips(position, indices):
    """Random numbers belong to a clip by its row."""
    clips = Clips(position, indices, CPU, resident=True)
    (batch,) = clips.batches([np.array([4, 17])])
    expected = Views(PUBLISHED, SKELETON, 5, 2, COUNT, views=2)(batch.position, torch.tensor([4, 17]), 1)
    assert torch.equal(Views(PUBLISHED, SKELETON, 5, 2, COUNT + 1, views=2)(batch.position, batch.rows, 1), expected)
    assert not torch.equal(Views(PUBLISHED, SKELETON, 5, 2, COUNT, views=2)(batch.position, batch.rows, 0), expected)


def test_two_batches_are_read_ahead(position, indices, monkeypatch):
    """While the first is trained on, the next two are read, by another thread; not more."""
    clips = Clips(position, indices, CPU, resident=False)
    asked, readers, read = [], set(), Clips._read

    def watched(self, rows):
        readers.add(threading.current_thread())
        return read(self, rows)

    class Reader:
        """Reads when a result is asked for, and notes what was submitted."""

        def __init__(self, threads):
            assert threads == 1

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            return None

        def submit(self, function, rows):
            asked.append(rows)
            future = Future()
            future.set_result(function(rows))
            return future

    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "ThreadPoolExecutor", Reader)
        stream = clips.batches(cut(5))
        next(stream)
        assert len(asked) == 3
        next(stream)
        assert len(asked) == 4
        assert len(list(stream)) == 4 and len(asked) == 6
    monkeypatch.setattr(Clips, "_read", watched)
    list(clips.batches(cut(5)))
    assert len(readers) == 1 and threading.main_thread() not in readers


def test_a_reader_s_error_reaches_the_training(position, indices, monkeypatch):
    clips = Clips(position, indices, CPU, resident=False)

    def broken(self, rows):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Clips, "_read", broken)
    with pytest.raises(OSError, match="disk is gone"):
        list(clips.batches(cut(5)))


def test_training_that_ends_early_leaves_no_reader(position, indices):
    clips = Clips(position, indices, CPU, resident=False)
    before = threading.active_count()
    stream = clips.batches(cut(2))
    assert isinstance(next(stream), Batch)
    stream.close()
    assert threading.active_count() == before


def test_training_clips_of_a_split(position, tmp_path):
    split = tmp_path / "split.json"
    split.write_text('{"train": [3, 1, 2], "test": [0]}')
    clips = training_clips(position, split, CPU)
    assert clips.count == 3 and clips.labels.tolist() == [3, 1, 2]
    with pytest.raises(InputError):
        training_clips(tmp_path / "absent.npy", split, CPU)
