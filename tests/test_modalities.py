import contextlib

import numpy as np
import pytest
import torch

from helpers import in_memory, near, vectors
from ikem.errors import InputError
from ikem.kernels.dispatch import plain
from ikem.modalities import MODALITIES, generate, generate_all
from ikem.skeleton import load_skeleton
from transcription import modalities as slow

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")
NAMES = list(MODALITIES)

pytestmark = pytest.mark.usefixtures("threads")


def made(clips=3, bodies=2, frames=7, joints=25, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    position = torch.randn(clips, bodies, 3, frames, joints, generator=generator, dtype=dtype)
    return position, torch.tensor([4, 7, 60, 9][:clips])


def test_published_order():
    assert NAMES == ["joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity"]


@pytest.mark.parametrize("way", [plain, contextlib.nullcontext], ids=["torch", "kernel"])
def test_reference_vectors(way):
    held = vectors("modalities")
    position, frames = in_memory(held["position"]), torch.from_numpy(held["frames"])
    with way():
        made = generate_all(NAMES, position, frames, NTU)
    for name in NAMES[1:]:
        near(made[name].permute(0, 2, 3, 4, 1), held[name])
    assert torch.equal(made["joint"], position)


@pytest.mark.parametrize("way", [plain, contextlib.nullcontext], ids=["torch", "kernel"])
@pytest.mark.parametrize("name", NAMES)
def test_against_transcription(name, way):
    position, frames = made()
    with way():
        ours = generate(name, position, frames, NTU)
    for clip in range(len(position)):
        for body in range(2):
            points = position[clip, body].permute(1, 2, 0).tolist()
            theirs = np.array(slow.modality(name, points, int(frames[clip])))
            assert np.allclose(ours[clip, body].permute(1, 2, 0), theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("way", [plain, contextlib.nullcontext], ids=["torch", "kernel"])
def test_rotation_about_a_fixed_axis(way):
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
    with way():
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


@pytest.mark.parametrize("skeleton", [NTU, KINECT], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("frames", [1, 2, 3, 11])
@pytest.mark.parametrize("bodies", [1, 3])
def test_kernel_equals_torch(skeleton, frames, bodies):
    position, raw = made(4, bodies, frames, skeleton.joint_count)
    position[1, 0] = 0  # an absent body
    position[2, 0, :, :, 3] = position[2, 0, :, :, 2]  # a bone without length
    with plain():
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


def test_a_further_modality_is_one_entry(monkeypatch):
    monkeypatch.setitem(MODALITIES, "jerk", lambda clips: clips.velocity(clips.acceleration, 4))
    position, raw = made()
    made_both = generate_all(["jerk", "bone"], position, raw, NTU)
    assert list(made_both) == ["jerk", "bone"]
    assert made_both["jerk"].shape == position.shape


def test_refusals():
    position, raw = made()
    with pytest.raises(InputError, match="unknown modality 'depth'"):
        generate("depth", position, raw, NTU)
    with pytest.raises(InputError, match="shape"):
        generate("bone", position, raw, KINECT)
    with pytest.raises(InputError, match="frame counts"):
        generate("bone", position, raw[:2], NTU)
