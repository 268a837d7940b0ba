import math

import pytest
import torch
import torch.nn.functional as F

from helpers import near, units, vectors
from ikem.losses import softmax as kernels
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.losses.relational_distillation import relational_losses
from transcription import losses as slow

COUNT, BATCH, DIM, SIZE, T = 3, 4, 5, 11, 0.07

pytestmark = pytest.mark.usefixtures("threads")


@pytest.fixture(params=[1, 1 << 20], ids=["many chunks", "one chunk"], autouse=True)
def chunk(request, monkeypatch):
    """The queue is cut to pieces of 2 columns, or not at all."""
    monkeypatch.setattr(kernels, "_CPU_VALUES", request.param)
    monkeypatch.setattr(kernels, "_LEAST_COLUMNS", 2)


def constants(dtype=torch.float64):
    keys, queues = units(COUNT, BATCH, DIM, seed=1, dtype=dtype), units(COUNT, DIM, SIZE, seed=2, dim=1, dtype=dtype)
    return keys, queues


def same(ours, theirs, parameters, weight):
    """Values and gradients of a weighted sum agree."""
    theirs = torch.stack(list(theirs)) if not isinstance(theirs, torch.Tensor) else theirs
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    for parameter in parameters:
        (expected,) = torch.autograd.grad((theirs * weight).sum(), parameter, retain_graph=True)
        (got,) = torch.autograd.grad((ours * weight).sum(), parameter, retain_graph=True)
        assert torch.allclose(got, expected, rtol=1e-8, atol=1e-9)


def test_info_nce_against_transcription():
    keys, queues = constants()
    query = units(BATCH, DIM, seed=3).requires_grad_()
    same(info_nce(query, keys[0], queues[0], T), slow.contrast(query, keys[0], queues[0], T), [query], 1.7)
    assert torch.autograd.gradcheck(lambda q: info_nce(q, keys[0], queues[0], T), query)


@pytest.mark.parametrize("top_k", [1, 3])
def test_mined_losses_against_transcription(top_k):
    keys, queues = constants()
    queries = units(COUNT, BATCH, DIM, seed=3).requires_grad_()
    pairs = slow.mined(queries, keys, queues, T, top_k)
    expected = torch.zeros(COUNT, COUNT, dtype=torch.float64)
    for (a, b), value in pairs.items():
        expected = expected.index_put((torch.tensor(a), torch.tensor(b)), value)
    weight = torch.rand(COUNT, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same(mined_losses(queries, keys, queues, T, top_k), expected, [queries], weight)
    assert torch.autograd.gradcheck(lambda q: mined_losses(q, keys, queues, T, top_k), queries)


def test_implicit_losses_against_transcription():
    keys, queues = constants()
    exchanged = units(COUNT, BATCH, COUNT * DIM, seed=4).requires_grad_()
    queues = queues * torch.linspace(0.5, 2, COUNT * SIZE, dtype=torch.float64).view(COUNT, 1, SIZE)
    weight = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    same(implicit_losses(exchanged, keys, queues, T), slow.implicit(exchanged, keys, queues, T), [exchanged], weight)


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("mining", [[0, 1, 2], [0, 1, 1]])
def test_relational_losses_against_transcription(top_k, mining):
    embeddings, queues = constants()
    students = units(2, BATCH, COUNT * DIM, seed=5).requires_grad_()
    teacher, teacher_queue = units(BATCH, COUNT * DIM, seed=6), units(COUNT * DIM, SIZE, seed=7, dim=0)

    def ours(z):
        return relational_losses(z, teacher, embeddings, queues, teacher_queue, T, top_k, mining)

    rows = slow.relational(students, teacher, embeddings, queues, teacher_queue, T, top_k, mining)
    expected = torch.stack([torch.stack(row) for row in rows])
    weight = torch.rand(2, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same(ours(students), expected, [students], weight)
    assert torch.autograd.gradcheck(ours, students)


def test_only_queries_get_gradients():
    keys, queues = constants()
    keys.requires_grad_(), queues.requires_grad_()
    queries = units(COUNT, BATCH, DIM, seed=3).requires_grad_()
    exchanged = units(COUNT, BATCH, COUNT * DIM, seed=4).requires_grad_()
    total = mined_losses(queries, keys, queues, T).sum() + implicit_losses(exchanged, keys, queues, T).sum()
    (total + info_nce(queries[0], keys[0], queues[0], T)).backward()
    assert keys.grad is None and queues.grad is None
    assert queries.grad is not None and exchanged.grad is not None


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_uniform_logits_give_the_log_of_their_number(temperature):
    """A query at right angles to all keys: each of the logits is 0."""
    query = torch.zeros(COUNT, BATCH, 2 * DIM)
    query[..., 0] = 1
    keys, queues = torch.zeros(COUNT, BATCH, 2 * DIM), torch.zeros(COUNT, 2 * DIM, SIZE)
    keys[..., 1], queues[:, 2] = 1, 1
    assert info_nce(query[0], keys[0], queues[0], temperature).item() == pytest.approx(math.log(1 + SIZE), rel=1e-5)
    pairs = mined_losses(query, keys, queues, temperature)
    expected = torch.full((COUNT, COUNT), math.log(1 + 2 * SIZE)).fill_diagonal_(0)
    assert torch.allclose(pairs, expected, rtol=1e-5)
    exchanged = torch.zeros(COUNT, BATCH, COUNT * 2 * DIM)
    exchanged[..., 0] = 1
    implicit = implicit_losses(exchanged, keys, queues, temperature)
    assert torch.allclose(implicit, torch.full((COUNT,), math.log(1 + SIZE)), rtol=1e-5)


def test_identical_modalities_lose_alike():
    keys, queues = constants()
    queries = units(1, BATCH, DIM, seed=3).expand(COUNT, -1, -1)
    pairs = mined_losses(queries, keys[:1].expand(COUNT, -1, -1), queues[:1].expand(COUNT, -1, -1), T)
    off = pairs[~torch.eye(COUNT, dtype=torch.bool)]
    assert torch.allclose(off, off[0].expand_as(off)) and off[0] > 0


def test_a_perfect_match_loses_nothing():
    query = units(BATCH, 64, seed=3)
    assert info_nce(query, query, -query.t().contiguous(), 0.05) < 1e-6


@pytest.mark.parametrize("value", [0.0249, 0.0, -1.0, float("nan")])
def test_low_temperatures_are_refused(value):
    keys, queues = constants()
    with pytest.raises(ValueError, match="temperature"):
        info_nce(keys[0], keys[0], queues[0], value)
    with pytest.raises(ValueError, match="temperature"):
        mined_losses(keys, keys, queues, value)
    with pytest.raises(ValueError, match="temperature"):
        implicit_losses(units(COUNT, BATCH, COUNT * DIM), keys, queues, value)
    with pytest.raises(ValueError, match="temperature"):
        relational_losses(
            units(1, BATCH, COUNT * DIM), units(BATCH, COUNT * DIM), keys, queues, queues.view(-1, SIZE), value
        )


def test_the_lowest_temperature_is_exact():
    keys, queues = constants()
    queries = units(COUNT, BATCH, DIM, seed=3)
    exact = mined_losses(queries, keys, queues, 0.025)
    single = mined_losses(queries.float(), keys.float(), queues.float(), 0.025)
    assert torch.allclose(single.double(), exact, rtol=1e-4)
    far = -keys[0].float()
    assert torch.isfinite(info_nce(keys[0].float(), far, far.t().contiguous(), 0.025))


def test_half_precision_is_widened():
    keys, queues = constants(torch.float32)
    queries = units(COUNT, BATCH, DIM, seed=3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        pairs = mined_losses(queries, keys, queues, T)
        alone = info_nce(queries[0], keys[0], queues[0], T)
    assert torch.equal(pairs, mined_losses(queries, keys, queues, T))
    assert torch.equal(alone, info_nce(queries[0], keys[0], queues[0], T))
    assert info_nce(queries[0].bfloat16(), keys[0], queues[0], T).dtype == torch.float32


def test_stage_1_reference_vectors():
    held = {name: torch.from_numpy(value) for name, value in vectors("losses").items() if name != "modalities"}
    for i in range(6):
        parts = (held[f"stage1_{part}"][i] for part in ("query", "key", "queue"))
        near(info_nce(*parts, 0.07), held["stage1_loss"][i])


@pytest.mark.parametrize("top_k", [1, 3])
def test_stage_2_reference_vectors(top_k):
    prefix = f"stage2_top{top_k}_"
    held = {
        name.removeprefix(prefix): torch.from_numpy(value)
        for name, value in vectors("losses").items()
        if name.startswith(prefix)
    }
    raw, exchanged = held["query_raw"].requires_grad_(), held["exchange_raw"].requires_grad_()
    pairs = mined_losses(F.normalize(raw, dim=-1), held["key"], held["queue"], 0.07, top_k)
    implicit = implicit_losses(F.normalize(exchanged, dim=-1), held["key"], held["queue"], 0.07)
    off = ~torch.eye(6, dtype=torch.bool)
    near(pairs.detach()[off], held["pair_loss"][off])
    near(implicit.detach(), held["exchange_loss"])
    (pairs.sum() / 5 + implicit.sum()).backward()
    near(raw.grad, held["grad_query_raw"])
    near(exchanged.grad, held["grad_exchange_raw"])


def test_distillation_reference_vectors():
    held = vectors("student")
    embeddings, queues, teacher_queue, raw = (
        torch.from_numpy(held[name]) for name in ("teacher_embedding", "modality_queue", "teacher_queue", "student_raw")
    )
    raw.requires_grad_()
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)
    students = F.normalize(raw, dim=-1)
    pairs = relational_losses(students, teacher, embeddings, queues, teacher_queue, 0.07, 1, [0, 1, 2, 3, 4, 2])
    near(pairs.detach(), held["pair_loss"])
    pairs.mean(dim=1).sum().backward()
    near(raw.grad, held["grad_student_raw"])
    corrected = relational_losses(students, teacher, embeddings, queues, teacher_queue, 0.07)
    assert torch.equal(corrected[:, :5], pairs[:, :5]) and not torch.allclose(corrected[:, 5], pairs[:, 5])


@pytest.mark.parametrize(("batch", "dim", "size"), [(1, 8, 1), (5, 16, 700), (80, 24, 3000)])
def test_float32_kernels_against_float64(batch, dim, size, monkeypatch):
    """The compiled kernels, rows more and fewer than threads, sizes that are no multiple of anything."""
    monkeypatch.setattr(kernels, "_LEAST_COLUMNS", 997)
    keys, queues = units(COUNT, batch, dim, seed=1), units(COUNT, dim, size, seed=2, dim=1)
    results = []
    for dtype in (torch.float64, torch.float32):
        queries = units(COUNT, batch, dim, seed=3).to(dtype).requires_grad_()
        exchanged = units(COUNT, batch, COUNT * dim, seed=4).to(dtype).requires_grad_()
        fixed = keys.to(dtype), queues.to(dtype)
        teacher_queue = units(COUNT * dim, size, seed=6, dim=0).to(dtype)
        losses = torch.cat(
            [
                mined_losses(queries, *fixed, T).flatten(),
                implicit_losses(exchanged, *fixed, T),
                relational_losses(exchanged, exchanged[0], *fixed, teacher_queue, T).flatten(),
            ]
        )
        losses.sum().backward()
        results.append([losses.detach(), queries.grad, exchanged.grad])
    for exact, single in zip(*results, strict=True):
        assert torch.allclose(single.double(), exact, rtol=1e-4, atol=1e-5 * max(1.0, exact.abs().max().item()))


def test_results_do_not_depend_on_threads(numeric_threads):
    keys, queues = (x.float() for x in constants())
    results = []
    for threads in (1, 2):
        numeric_threads(threads)
        results.append(kernels.pair_sums(torch.bmm(keys, queues), COUNT, [(0, 1), (1, 2)], T))
    assert all(torch.equal(*parts) for parts in zip(*results, strict=True))
