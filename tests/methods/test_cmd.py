"""CMD: its loss against a slow transcription, and a step in its parts."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from helpers import EVERY_METHOD, Narrow, units
from ikem.errors import InputError
from ikem.losses.infonce import info_nce
from ikem.methods.cmd.losses import mutual_distillation
from ikem.methods.cmd.trainer import step_losses
from ikem.settings.loading import load_config
from ikem.skeleton import load_skeleton
from ikem.training.moco import MomentumContrast
from ikem.workflow.plan import Plan
from transcription.losses import best

NAMES = ("joint", "motion", "bone")
COUNT, BATCH, DIM, SIZE = 3, 4, 5, 11
TEMPERATURES = 0.05, 0.1

pytestmark = pytest.mark.usefixtures("threads")


def tensors():
    queries = units(COUNT, BATCH, DIM, seed=3).requires_grad_()
    return queries, units(COUNT, BATCH, DIM, seed=1), units(COUNT, DIM, SIZE, seed=2, dim=1)


def probabilities(similarities, temperature):
    weights = [(similarity / temperature).exp() for similarity in similarities]
    return [weight / sum(weights) for weight in weights]


def slow(queries, keys, queues, neighbors, teacher_temperature, student_temperature):
    """Pair by pair, clip by clip, neighbor by neighbor."""
    losses = torch.zeros(COUNT, COUNT, dtype=torch.float64)
    for a in range(COUNT):
        for b in range(COUNT):
            for clip in range(BATCH if a != b else 0):
                nearness = [keys[a, clip] @ column for column in queues[a].t()]
                chosen = best(nearness, neighbors)
                teacher = probabilities([nearness[j] for j in chosen], teacher_temperature)
                student = probabilities([queries[b, clip] @ queues[b][:, j] for j in chosen], student_temperature)
                divergence = sum(p * (p.log() - q.log()) for p, q in zip(teacher, student, strict=True))
                losses = losses.index_put((torch.tensor(a), torch.tensor(b)), divergence / BATCH, accumulate=True)
    return losses


@pytest.mark.parametrize("neighbors", [1, 4, SIZE])
def test_against_transcription(neighbors):
    queries, keys, queues = tensors()
    found = mutual_distillation(queries, keys, queues, neighbors, *TEMPERATURES)
    expected = slow(queries, keys, queues, neighbors, *TEMPERATURES)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    weight = torch.rand(COUNT, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = [torch.autograd.grad((losses * weight).sum(), queries)[0] for losses in (found, expected)]
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-10)
    if neighbors == 1:
        assert not found.any()  # one neighbor has all the probability, for teacher and student


def test_gradients():
    queries, keys, queues = tensors()
    assert torch.autograd.gradcheck(lambda q: mutual_distillation(q, keys, queues, 4, *TEMPERATURES), queries)
    keys.requires_grad_()
    queues.requires_grad_()
    mutual_distillation(queries, keys, queues, 4, *TEMPERATURES).sum().backward()
    assert keys.grad is None and queues.grad is None


def test_known_answers():
    """No divergence from a teacher that sees the same; log 2 and the entropy of a teacher that is sure."""
    _, keys, queues = tensors()
    same = mutual_distillation(keys[:1].repeat(2, 1, 1), keys[:1].repeat(2, 1, 1), queues[:1].repeat(2, 1, 1), 6, 1, 1)
    assert torch.allclose(same, torch.zeros_like(same), atol=1e-12)
    key = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    queue = torch.eye(2).expand(2, 2, 2)
    query = F.normalize(torch.ones(2, 1, 2), dim=-1)  # as near to one column as to the other
    sure = mutual_distillation(query, key, queue, 2, 0.01, 0.1)
    assert math.isclose(sure[0, 1].item(), math.log(2), rel_tol=1e-5) and sure[0, 0] == 0
    p = 1 / (1 + math.exp(-1 / 0.5))
    unsure = mutual_distillation(query, key, queue, 2, 0.5, 0.1)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert math.isclose(unsure[1, 0].item(), math.log(2) - entropy, rel_tol=1e-5)


def views(seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(BATCH, 2, 3, 8, 25, generator=generator) for name in NAMES}


def model(names=NAMES, **options):
    narrow = Narrow(dropout=0.0)
    return MomentumContrast(
        names, load_skeleton("ntu25"), narrow, SIZE, 0.9, 0.07, 1, 0, narrow.initialization, exchanges=False, **options
    )


def losses(one, query, key, weight=2.0, clips=None):
    temperatures = dict(zip(("teacher_temperature", "student_temperature"), TEMPERATURES, strict=True))
    options = {"neighbors": 5, "distillation_weight": weight} | temperatures
    return step_losses(one, query, key, options, 0, clips)


def test_a_step_in_its_parts():
    """The key encoders are updated before they see their view; the queues take the keys after the losses."""
    one = model()
    with torch.no_grad():  # so that queries and keys differ
        for parameter in one.query.parameters():
            parameter.add_(0.01)
    before, queues = copy.deepcopy(one), one.queue.stacked.clone()
    found = losses(one, views(1), views(2))
    with torch.no_grad():
        for key, query in zip(before.key.parameters(), before.query.parameters(), strict=True):
            key.copy_(0.9 * key + 0.1 * query)
        keys, queries = (
            torch.stack([branches[name](view[name], 0)[1] for name in NAMES])
            for branches, view in ((before.key, views(2)), (before.query, views(1)))
        )
        distilled = mutual_distillation(queries, keys, queues, 5, *TEMPERATURES)
        for number, name in enumerate(NAMES):
            contrast = info_nce(queries[number], keys[number], queues[number], 0.07)
            expected = contrast + 2 * sum(distilled[teacher, number] for teacher in range(COUNT))
            assert torch.allclose(found[name], expected, atol=1e-5)
            columns = one.state_dict()[f"queue.{name}"]
            assert torch.allclose(columns[:, :BATCH], keys[number].t(), atol=1e-5)
            assert torch.equal(columns[:, BATCH:], queues[number][:, BATCH:])


def test_gradients_reach_queries_alone():
    one = model()
    torch.stack(list(losses(one, views(1), views(2)).values())).sum().backward()
    assert all(parameter.grad is not None for parameter in one.query.parameters())
    assert all(parameter.grad is None for parameter in one.key.parameters())


def test_what_is_drawn_for_a_modality_depends_on_no_other():
    three, two = model().state_dict(), model(NAMES[1:])
    two = two.state_dict()
    assert all(torch.equal(value, three[name]) for name, value in two.items())


def test_masked_columns_are_as_if_they_were_not_there():
    """Also where a clip keeps fewer columns than it has neighbors."""
    queries, keys, queues = tensors()
    masked = torch.rand(BATCH, SIZE, generator=torch.Generator().manual_seed(4)) < 0.4
    masked[0], masked[1, 3:] = False, True
    found = mutual_distillation(queries, keys, queues, 5, *TEMPERATURES, masked)
    expected = 0
    for clip in range(BATCH):
        columns = queues[:, :, ~masked[clip]]
        alone = queries[:, clip : clip + 1], keys[:, clip : clip + 1], columns
        expected = expected + mutual_distillation(*alone, min(5, columns.shape[2]), *TEMPERATURES) / BATCH
    assert torch.allclose(found, expected, rtol=1e-9)
    gradients = [torch.autograd.grad(losses.sum(), queries)[0] for losses in (found, expected)]
    assert torch.allclose(*gradients, rtol=1e-9)


def test_own_keys_are_masked():
    """The second time a clip comes, its key of the first time is in the queue, and is left out."""
    one = model(mask_own_keys=True)
    clips = torch.arange(BATCH)
    step = [losses(one, views(1), views(2), 1.0, clips) for _ in range(2)]
    assert torch.equal(one.queue.clips, torch.tensor([0, 1, 2, 3] + [-1] * 7))
    plain = model()
    plain.load_state_dict({name: value for name, value in one.state_dict().items() if name != "queue.clips"})
    again = losses(one, views(1), views(2), 1.0, clips)
    unmasked = losses(plain, views(1), views(2), 1.0)
    assert all(again[name] < unmasked[name] for name in NAMES) and step[0].keys() == again.keys()


def test_neighbors_are_a_share_of_the_queue():
    plan = Plan(load_config(*EVERY_METHOD))
    (cmd,) = (job for job in plan.all_jobs() if dict(job.name.keys).get("method") == "cmd" and job.name.kind == "cmd")
    assert cmd.settings["neighbors"] == 10 and cmd.settings["last_epoch"] == 4
    with pytest.raises(InputError, match="modalities: two or more"):
        load_config(*EVERY_METHOD, changes={"methods": {"cmd": {"modalities": ["joint"]}}})
