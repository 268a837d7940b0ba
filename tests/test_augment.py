import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import in_memory, near, vectors
from ikem.augment import crop, draw, shear


def test_reference_vectors():
    held = vectors("augment")
    cropped = crop(in_memory(held["position"]), torch.from_numpy(held["crop_start"]))
    near(cropped.permute(0, 2, 3, 4, 1), held["cropped"])
    near(shear(cropped, torch.from_numpy(held["shear"])).permute(0, 2, 3, 4, 1), held["cropped_sheared"])


@given(frames=st.integers(1, 30), ratio=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_crop_against_a_padded_list(frames, ratio, seed):
    padding = frames // ratio
    start = draw(seed, 0, 0, 1, frames, padding_ratio=ratio).start
    assert 0 <= start[0] <= 2 * padding
    times = list(range(frames))
    padded = times[:padding][::-1] + times + times[frames - padding :][::-1]
    clip = torch.arange(frames, dtype=torch.float32).view(1, 1, 1, frames, 1).expand(1, 2, 3, frames, 4)
    cropped = crop(clip, torch.from_numpy(start), padding_ratio=ratio)
    expected = padded[start[0] : start[0] + frames]
    assert cropped.shape == clip.shape
    assert cropped[0, 1, 2, :, 3].tolist() == expected


def test_no_padding():
    clip = torch.randn(2, 1, 3, 9, 4)
    start = draw(0, 0, 0, 2, 9, padding_ratio=0).start
    assert torch.equal(crop(clip, torch.from_numpy(start), padding_ratio=0), clip)


def test_shear_is_a_matrix_product():
    clip, matrices = torch.randn(3, 2, 3, 5, 4), torch.randn(3, 3, 3)
    sheared = shear(clip, matrices)
    for n in range(3):
        for m in range(2):
            for t in range(5):
                assert torch.allclose(sheared[n, m, :, t, 1], matrices[n] @ clip[n, m, :, t, 1], atol=1e-5)


def test_a_draw_is_a_sample_s_own():
    few, many = draw(3, 5, 1, 4, 50), draw(3, 5, 1, 1000, 50)
    assert np.array_equal(few.start, many.start[:4]) and np.array_equal(few.shear, many.shear[:4])
    for other in (draw(4, 5, 1, 1000, 50), draw(3, 6, 1, 1000, 50), draw(3, 5, 0, 1000, 50)):
        assert not np.array_equal(other.shear, many.shear)
        assert not np.array_equal(other.start, many.start)


def test_draws_are_spread_as_published():
    drawn = draw(0, 0, 0, 20000, 50)
    counts = np.bincount(drawn.start, minlength=17)
    assert len(counts) == 17 and counts.min() > 1000  # 0 .. 2 (50 // 6), 1176 each
    off = drawn.shear[:, ~np.eye(3, dtype=bool)]
    assert np.abs(off).max() <= 0.5 and abs(off.mean()) < 0.01 and abs(off.std() - 1 / 12**0.5) < 0.005
    assert np.abs(np.corrcoef(off.T) - np.eye(6)).max() < 0.05
    assert (drawn.shear[:, np.eye(3, dtype=bool)] == 1).all()
    assert np.abs(draw(0, 0, 0, 100, 50, shear_amplitude=0.1).shear[:, 0, 1]).max() <= 0.1


def test_batch_layout_does_not_matter():
    clips, drawn = torch.randn(6, 2, 3, 50, 25), draw(0, 0, 0, 6, 50)

    def view(rows):
        rows = np.array(rows)
        return shear(crop(clips[rows], torch.from_numpy(drawn.start[rows])), torch.from_numpy(drawn.shear[rows]))

    whole, parts = view([5, 0, 1, 2, 3, 4]), torch.cat([view([5, 0]), view([1, 2, 3, 4])])
    assert torch.equal(whole, parts)
