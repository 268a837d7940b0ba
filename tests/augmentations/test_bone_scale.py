"""Scaled bones, joint by joint, and the spread of the factors."""

import pytest
import torch

from ikem.augmentations.bone_scale import AUGMENTATION, BoneScale, bones_of, joints_of, random_factors, scale_bones
from ikem.skeleton import load_skeleton


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=["ntu25", "kinect20"])
def skeleton(request):
    return load_skeleton(request.param)


def clips(skeleton, count=3):
    shape = count, 2, 3, 4, skeleton.joint_count
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_in_loops(skeleton):
    x, factors = clips(skeleton), uniform(3, skeleton.joint_count)
    found = scale_bones(x, factors, skeleton)

    def placed(clip, joint, number):
        if joint == skeleton.center:
            return clip[..., joint]
        parent = skeleton.parents[joint]
        return placed(clip, parent, number) + (clip[..., joint] - clip[..., parent]) * factors[number, joint]

    for number, clip in enumerate(x):
        for joint in range(skeleton.joint_count):
            assert torch.allclose(found[number, ..., joint], placed(clip, joint, number))


def test_bones_and_back(skeleton):
    x = clips(skeleton)
    assert torch.allclose(joints_of(bones_of(x, skeleton), skeleton), x)
    assert torch.equal(bones_of(x, skeleton)[..., skeleton.center], x[..., skeleton.center])


def test_factors(skeleton):
    factors = random_factors(uniform(4000, 1), 25, BoneScale())
    assert factors.min() >= 0 and factors.max() < 0.5
    assert (factors.mean(dim=0) - 0.25).abs().max() < 0.01 and (factors.std(dim=0) - 0.5 / 12**0.5).abs().max() < 0.005
    assert (torch.corrcoef(factors.t()) - torch.eye(25)).abs().max() < 0.08
    other = random_factors(uniform(100, 1), 25, BoneScale(smallest=2.0, largest=3.0))
    assert other.min() >= 2 and other.max() < 3
    x = clips(skeleton, 5)
    same = AUGMENTATION.apply(x, uniform(5, 1), BoneScale(smallest=1.0, largest=1.0), skeleton)
    assert torch.allclose(same, x)
