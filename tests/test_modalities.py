import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import in_memory, near, vectors
from ikem.errors import InputError
from ikem.kernels.dispatch import backend
from ikem.modalities import MODALITIES, generate, generate_all, modality
from ikem.skeleton import load_skeleton
from transcription import modalities as slow

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")
NAMES = list(MODALITIES)


def made(clips=3, bodies=2, frames=7, joints=25, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    position = torch.randn(clips, bodies, 3, frames, joints, generator=generator, dtype=dtype)
    return position, torch.tensor([4, 7, 60, 9][:clips])


def test_published_order():
    assert NAMES == ["joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity"]


@pytest.mark.parametrize("name_of_backend", ["reference", "kernels"])
def test_reference_vectors(name_of_backend):
    held = vectors("modalities")
    position, frames = in_memory(held["position"]), torch.from_numpy(held["frames"])
    with backend(name_of_backend):
        made = generate_all(NAMES, position, frames, NTU)
    for name in NAMES[1:]:
        near(made[name].permute(0, 2, 3, 4, 1), held[name])
    assert torch.equal(made["joint"], position)


@pytest.mark.parametrize("name_of_backend", ["reference", "kernels"])
@pytest.mark.parametrize("name", NAMES)
def test_against_transcription(name, name_of_backend):
    position, frames = made()
    with backend(name_of_backend):
        ours = generate(name, position, frames, NTU)
    for clip in range(len(position)):
        for body in range(2):
            points = position[clip, body].permute(1, 2, 0).tolist()
            theirs = np.array(slow.modality(name, points, int(frames[clip])))
            assert np.allclose(ours[clip, body].permute(1, 2, 0), theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name_of_backend", ["reference", "kernels"])
def test_rotation_about_a_fixed_axis(name_of_backend):
    """Forearms that turn at a constant speed in the plane of the arm have a constant angular velocity."""
    frames, raw, step = 12, 6, 0.1
    position = torch.randn(1, 1, 3, 1, 25).expand(1, 1, 3, frames, 25).clone()
    shoulder, elbow, wrist = 4, 5, 6
    position[..., shoulder], position[..., elbow] = 0.0, 0.0
    position[0, 0, 0, :, elbow] = 1.0
    angle = 0.3 + step * torch.arange(frames)
    position[0, 0, 0, :, wrist] = 1.0 + 2 * angle.cos()
    position[0, 0, 1, :, wrist] = 2 * angle.sin()
    position[0, 0, 2, :, wrist] = 0.0
    with backend(name_of_backend):
        ours = generate("angular_velocity", position, torch.tensor([raw]), NTU)
    expected = torch.zeros(3, frames)
    expected[2, :-1] = -step * frames / raw  # b_wrist x b_elbow points down as the wrist turns up
    assert torch.allclose(ours[0, 0, :, :, wrist], expected, atol=1e-5)


def test_constant_speed_has_no_acceleration():
    speed = torch.randn(1, 1, 3, 1, 25)
    position = speed * torch.arange(10.0).view(1, 1, 1, 10, 1)
    made = generate_all(["motion", "acceleration"], position, torch.tensor([20]), NTU)
    assert torch.allclose(made["motion"][..., :-1, :], (speed / 2).expand(1, 1, 3, 9, 25), atol=1e-5)
    assert made["motion"][..., -1, :].abs().max() == 0
    assert made["acceleration"].abs().max() < 1e-5


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("skeleton", [NTU, KINECT], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("frames", [1, 2, 3, 11])
@pytest.mark.parametrize("bodies", [1, 3])
def test_kernel_equals_reference(skeleton, frames, bodies):
    position, raw = made(4, bodies, frames, skeleton.joint_count)
    position[1, 0] = 0  # an absent body
    position[2, 0, :, :, 3] = position[2, 0, :, :, 2]  # a bone without length
    with backend("reference"):
        slower = generate_all(NAMES, position, raw, skeleton)
    fast = generate_all(NAMES, position, raw, skeleton)
    for name in NAMES:
        assert fast[name].shape == position.shape and fast[name].is_contiguous()
        assert torch.allclose(fast[name], slower[name], rtol=1e-5, atol=1e-5), name
        assert torch.equal(generate(name, position, raw, skeleton), fast[name])
        assert torch.isfinite(fast[name]).all()


def test_kernel_reads_any_layout():
    position, raw = made()
    disk = position.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    assert torch.equal(generate("angular_velocity", disk, raw, NTU), generate("angular_velocity", position, raw, NTU))


def test_precisions():
    position, raw = made(dtype=torch.float64)
    exact = generate_all(NAMES, position, raw, NTU)
    single = generate_all(NAMES, position.float(), raw, NTU)
    for name in NAMES:
        assert exact[name].dtype == torch.float64
        assert torch.allclose(exact[name].float(), single[name], atol=1e-5)
    assert generate("bone", position.half(), raw, NTU).dtype == torch.float32


@pytest.fixture
def jerk(monkeypatch):
    """A seventh modality: one function."""
    monkeypatch.setattr("ikem.modalities.MODALITIES", dict(MODALITIES))

    @modality
    def jerk(clips):
        return clips.velocity(clips["acceleration"], 4)

    return jerk


@pytest.mark.parametrize("name_of_backend", ["reference", "kernels"])
def test_a_further_modality_is_one_function(jerk, name_of_backend):
    position, raw = made()
    with backend(name_of_backend):
        both = generate_all(["jerk", "bone"], position, raw, NTU)
        acceleration, bone = (generate(name, position, raw, NTU) for name in ("acceleration", "bone"))
    assert list(both) == ["jerk", "bone"] and torch.equal(both["bone"], bone)
    scale = (position.shape[3] / raw).view(-1, 1, 1, 1, 1)
    expected = scale * (acceleration[..., 1:5, :] - acceleration[..., :4, :])
    assert torch.allclose(both["jerk"][..., :4, :], expected) and (both["jerk"][..., 4:, :] == 0).all()


def test_names_are_read_without_torch():
    code = "import sys, ikem.schema; assert 'torch' not in sys.modules and 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_modality_says_what_it_is():
    for name, function in MODALITIES.items():
        assert function.__name__ == name and function.__doc__
        assert name == "joint" or "arXiv" in function.__doc__


def test_refusals():
    position, raw = made()
    with pytest.raises(InputError, match="unknown modality 'depth'"):
        generate("depth", position, raw, NTU)
    with pytest.raises(InputError, match="shape"):
        generate("bone", position, raw, KINECT)
    with pytest.raises(InputError, match="frame counts"):
        generate("bone", position, raw[:2], NTU)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "kernel"])
class TestProperties:
    """Of all modalities, for random clips of both skeletons."""

    CLIPS = given(
        skeleton=st.sampled_from([NTU, KINECT]),
        frames=st.integers(1, 9),
        seed=st.integers(0, 999),
        value=st.floats(0.3, 6),
    )

    @staticmethod
    def clips(skeleton, frames, seed, dtype):
        generator = torch.Generator().manual_seed(seed)
        position = torch.randn(2, 2, 3, frames, skeleton.joint_count, generator=generator, dtype=dtype)
        return position, torch.randint(1, 99, (2,), generator=generator)

    @staticmethod
    def close(one, other):
        """Near the size of the values: differences of larger numbers are behind them."""
        tolerance = (1e-10 if one.dtype == torch.float64 else 1e-4) * max([1.0, *other.abs().flatten().tolist()])
        return torch.allclose(one, other, rtol=0, atol=tolerance)

    @CLIPS
    def test_translation(self, skeleton, frames, seed, value, dtype):
        """Only the position itself follows when a clip is moved."""
        position, raw = self.clips(skeleton, frames, seed, dtype)
        offset = torch.tensor([value, -1.0, 2.0], dtype=dtype).view(3, 1, 1)
        still, moved = (generate_all(NAMES, each, raw, skeleton) for each in (position, position + offset))
        for name in NAMES:
            assert self.close(moved[name], still[name] + offset if name == "joint" else still[name]), name

    @CLIPS
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_rotation(self, skeleton, frames, seed, value, axis, dtype):
        """All modalities are vectors: they turn as the clip does, about the vertical axis as about any other."""
        position, raw = self.clips(skeleton, frames, seed, dtype)
        generator = torch.zeros(3, 3, dtype=torch.float64)
        generator[(axis + 1) % 3, (axis + 2) % 3], generator[(axis + 2) % 3, (axis + 1) % 3] = -value, value
        rotation = torch.matrix_exp(generator).to(dtype)

        def rotate(x):
            return torch.einsum("cd,nmdtv->nmctv", rotation, x).contiguous()

        still, turned = (generate_all(NAMES, each, raw, skeleton) for each in (position, rotate(position)))
        for name in NAMES:
            assert self.close(turned[name], rotate(still[name])), name

    @CLIPS
    def test_time_scale(self, skeleton, frames, seed, value, dtype):
        """A clip of k times as many raw frames has 1 / k of the speeds, and 1 / k^2 of the acceleration."""
        position, raw = self.clips(skeleton, frames, seed, dtype)
        k = round(1 + value)
        once, longer = (generate_all(NAMES, position, each, skeleton) for each in (raw, k * raw))
        powers = {"motion": 1, "angular_velocity": 1, "acceleration": 2}
        for name in NAMES:
            assert self.close(longer[name] * k ** powers.get(name, 0), once[name]), name
            if name in powers and frames > powers[name]:
                assert once[name].abs().max() > 0

    @CLIPS
    def test_time_reversal(self, skeleton, frames, seed, value, dtype):
        """Played backwards, a clip has the opposite speeds and the same accelerations."""
        position, raw = self.clips(skeleton, frames, seed, dtype)
        forward, backward = (generate_all(NAMES, each, raw, skeleton) for each in (position, position.flip(3)))
        for name, sign, valid in (("motion", -1, frames - 1), ("acceleration", 1, max(frames - 2, 0))):
            assert self.close(backward[name][..., :valid, :], sign * forward[name][..., :valid, :].flip(3))
            assert (forward[name][..., valid:, :] == 0).all()
