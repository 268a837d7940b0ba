import copy

import pytest
import torch
import torch.nn.functional as F

from helpers import Narrow, alike
from ikem.losses.relational_distillation import relational_losses
from ikem.methods.relational_distillation.model import RelationalDistillation, mining_numbers
from ikem.skeleton import load_skeleton
from ikem.training.moco import MomentumContrast

NTU = load_skeleton("ntu25")
TEACHER = ("joint", "bone", "angular_velocity")
STUDENTS = ("joint", "motion")

pytestmark = pytest.mark.usefixtures("threads")


def teacher(dropout=0.5):
    contrast = MomentumContrast(TEACHER, NTU, Narrow(dropout=dropout), 20, 0.9, 0.07, 1, seed=1)
    query, key = views(seed=7), views(seed=8)
    contrast.losses(query, key, "contrast", dropout_seed=3)  # moves BatchNorm away from its start
    return contrast


def model(students=STUDENTS, seed=0, state=None, dropout=0.5, **options):
    settings = {"temperature": 0.07, "top_k": 1, "queue_size": 20} | options
    narrow = Narrow(dropout=dropout)
    distillation = RelationalDistillation(TEACHER, students, NTU, narrow, narrow, seed=seed, **settings)
    distillation.load_teacher(teacher(dropout).state_dict() if state is None else state)
    return distillation


def views(clips=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    names = (*TEACHER, "motion")
    return {name: torch.randn(clips, 2, 3, 8, 25, generator=generator) for name in names}


def sgd(distillation, learning_rate, momentum, weight_decay):
    return torch.optim.SGD(distillation.student.parameters(), learning_rate, momentum, weight_decay=weight_decay)


def step(distillation, optimizer, seed):
    optimizer.zero_grad(set_to_none=True)
    losses = distillation.losses(views(seed=seed), views(seed=seed + 100), dropout_seed=seed)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def test_mining_numbers():
    assert mining_numbers(TEACHER, "corrected") == [0, 1, 2]
    assert mining_numbers(TEACHER, "published") == [0, 1, 1]
    six = ("joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity")
    assert mining_numbers(six, "published") == [0, 1, 2, 3, 4, 2]
    assert mining_numbers(("joint", "angular_velocity"), "published") == [0, 1]  # no bone queue to slip into


@pytest.mark.parametrize("mining", ["corrected", "published"])
def test_a_step_in_its_parts(mining):
    distillation = model(dropout=0.0, top_k=2, mining_queue=mining)
    queues, joined_queue = distillation.queue.stacked.clone(), distillation.joined_queue.stacked[0].clone()
    students = copy.deepcopy(distillation.student)
    first, second = views(seed=1), views(seed=2)
    losses = distillation.losses(first, second)
    with torch.no_grad():
        branches = distillation.teacher.eval()
        features = torch.stack([F.normalize(branches[n].head(branches[n].encoder(first[n])), dim=1) for n in TEACHER])
        joined = F.normalize(torch.cat(list(features), dim=1), dim=1)
        learnt = torch.stack([F.normalize(students[n].head(students[n].encoder(second[n])), dim=1) for n in STUDENTS])
        expected = relational_losses(
            learnt, joined, features, queues, joined_queue, 0.07, 2, mining_numbers(TEACHER, mining)
        ).mean(dim=1)
    assert torch.allclose(torch.stack(list(losses.values())), expected, atol=1e-5)
    state = distillation.state_dict()
    assert int(state["queue.pointer"]) == int(state["joined_queue.pointer"]) == 4
    assert torch.allclose(state["joined_queue.all"][:, :4], joined.t(), atol=1e-6)
    assert torch.allclose(state["queue.bone"][:, :4], features[1].t(), atol=1e-6)
    assert torch.equal(state["joined_queue.all"][:, 4:], joined_queue[:, 4:])


def test_plain_distillation_contrasts_with_the_joined_feature_alone():
    distillation = model(relations=False)
    features = F.normalize(torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1)), dim=2)
    students = F.normalize(torch.randn(2, 4, 24, generator=torch.Generator().manual_seed(2)), dim=2).requires_grad_()
    for _ in range(2):  # the second time the queue has what the first put there
        distillation.joined_queue.flush()
        joined_queue = distillation.joined_queue.stacked[0].clone()
        pairs = distillation.relate(students, features)
        for student, (loss,) in zip(students, pairs, strict=True):
            each = []
            for z, clip in zip(student, range(4), strict=True):
                teacher = torch.cat(list(features[:, clip]))
                teacher = teacher / teacher.norm()
                logits = torch.stack([z @ teacher, *(z @ column for column in joined_queue.t())]) / 0.07
                each.append(logits.exp().sum().log() - logits[0])
            assert torch.allclose(loss, sum(each) / 4, atol=1e-5)
    assert torch.equal(joined_queue[:, :4], F.normalize(features.transpose(0, 1).flatten(1), dim=1).t())
    step(distillation, sgd(distillation, 0.1, 0.9, 1e-4), 1)


def test_the_teacher_is_frozen():
    distillation = model()
    before = copy.deepcopy(distillation.teacher.state_dict())
    optimizer = sgd(distillation, 0.1, 0.9, 1e-4)
    step(distillation, optimizer, 1)
    distillation.train()
    step(distillation, optimizer, 2)
    assert all(torch.equal(before[name], value) for name, value in distillation.teacher.state_dict().items())
    assert not distillation.teacher.training and distillation.student.training


def test_the_published_teacher_is_in_training_mode():
    distillation = model(teacher_mode="published")
    before = copy.deepcopy(distillation.teacher.state_dict())
    step(distillation, sgd(distillation, 0.1, 0.9, 1e-4), 1)
    after = distillation.teacher.state_dict()
    for name, value in before.items():
        moved = not torch.equal(after[name], value)
        assert moved == ("running_" in name or "num_batches" in name), name


def test_teacher_is_that_of_the_state():
    state = teacher().state_dict()
    distillation = model(state=state)
    for name, value in distillation.teacher.state_dict().items():
        assert torch.equal(value, state[f"query.{name}"])
    with pytest.raises(RuntimeError, match="angular_velocity"):
        model(state={name: value for name, value in state.items() if "angular" not in name})


def test_a_student_does_not_depend_on_the_other_students(threads):
    both, one = model(), model(["motion"])
    losses = step(both, sgd(both, 0.1, 0.9, 1e-4), 1)
    assert alike(step(one, sgd(one, 0.1, 0.9, 1e-4), 1)["motion"], losses["motion"], threads)
    for name, value in one.student.state_dict().items():
        assert alike(both.student.state_dict()[name], value, threads)


def test_a_state_is_all_there_is():
    one = model()
    first = sgd(one, 0.1, 0.9, 1e-4)
    step(one, first, 1)
    two = RelationalDistillation(TEACHER, STUDENTS, NTU, Narrow(), Narrow(), 20, 0.07, 1, seed=5)
    two.load_state_dict(one.state_dict())
    second = sgd(two, 0.1, 0.9, 1e-4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in (2, 3):
        assert step(one, first, seed) == step(two, second, seed)


def test_loss_falls():
    distillation = model(dropout=0.0)
    optimizer = sgd(distillation, 0.1, 0.9, 0)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = torch.stack(list(distillation.losses(views(), views()).values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    distillation = model()
    step(distillation, sgd(distillation, 0.1, 0.9, 0), 1)
    assert torch.equal(torch.get_rng_state(), before)
