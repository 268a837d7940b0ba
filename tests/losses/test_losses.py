"""The losses against slow transcriptions and reference vectors, and their properties.

Double precision is that of the reference; `tests/kernels` holds the kernels against it.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from helpers import near, units, vectors
from ikem.errors import InputError
from ikem.kernels.dispatch import backend
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.losses.relational_distillation import relational_losses
from transcription import losses as slow

COUNT, BATCH, DIM, SIZE, T = 3, 4, 5, 11, 0.07


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


def kept(masked, sample):
    """Columns of the queue that a query keeps."""
    return (~masked[sample]).nonzero().flatten()


@pytest.mark.parametrize("top_k", [1, 3])
def test_masked_columns_are_as_if_they_were_not_there(top_k):
    """Against the transcriptions, sample by sample, with queues that lack the masked columns."""
    keys, queues = constants()
    masked = torch.rand(BATCH, SIZE, generator=torch.Generator().manual_seed(4)) < 0.4
    masked[0] = False
    assert masked.any() and all(len(kept(masked, sample)) >= top_k for sample in range(BATCH))
    queries = units(COUNT, BATCH, DIM, seed=3).requires_grad_()
    exchanged = units(COUNT, BATCH, COUNT * DIM, seed=5).requires_grad_()
    contrast, pairs, joined = [], torch.zeros(COUNT, COUNT, dtype=torch.float64), []
    for sample in range(BATCH):
        query, key = queries[:, sample : sample + 1], keys[:, sample : sample + 1]
        queue = queues[:, :, kept(masked, sample)]
        contrast.append(slow.contrast(query[0], key[0], queue[0], T))
        for (a, b), value in slow.mined(query, key, queue, T, top_k).items():
            pairs = pairs.index_put((torch.tensor(a), torch.tensor(b)), value / BATCH, accumulate=True)
        joined.append(torch.stack(slow.implicit(exchanged[:, sample : sample + 1], key, queue, T)))
    same(info_nce(queries[0], keys[0], queues[0], T, masked), sum(contrast) / BATCH, [queries], 1.3)
    weight = torch.rand(COUNT, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same(mined_losses(queries, keys, queues, T, top_k, masked), pairs, [queries], weight)
    same(implicit_losses(exchanged, keys, queues, T, masked), sum(joined) / BATCH, [exchanged], weight[0])


def test_kernels_do_not_mask():
    keys, queues = constants(torch.float32)
    masked = torch.zeros(BATCH, SIZE, dtype=torch.bool)
    with backend("kernels"), pytest.raises(InputError, match="mask_own_keys"):
        mined_losses(keys, keys, queues, T, 1, masked)


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "kernel"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_uniform_logits_give_the_log_of_their_number(temperature, dtype):
    """A query at right angles to all keys: each of the logits is 0."""
    query = torch.zeros(COUNT, BATCH, 2 * DIM, dtype=dtype)
    query[..., 0] = 1
    keys, queues = torch.zeros(COUNT, BATCH, 2 * DIM, dtype=dtype), torch.zeros(COUNT, 2 * DIM, SIZE, dtype=dtype)
    keys[..., 1], queues[:, 2] = 1, 1
    assert info_nce(query[0], keys[0], queues[0], temperature).item() == pytest.approx(math.log(1 + SIZE), rel=1e-5)
    pairs = mined_losses(query, keys, queues, temperature)
    expected = torch.full((COUNT, COUNT), math.log(1 + 2 * SIZE), dtype=dtype).fill_diagonal_(0)
    assert torch.allclose(pairs, expected, rtol=1e-5)
    exchanged = torch.zeros(COUNT, BATCH, COUNT * 2 * DIM, dtype=dtype)
    exchanged[..., 0] = 1
    implicit = implicit_losses(exchanged, keys, queues, temperature)
    assert torch.allclose(implicit, torch.full((COUNT,), math.log(1 + SIZE), dtype=dtype), rtol=1e-5)


def test_identical_modalities_lose_alike():
    keys, queues = constants()
    queries = units(1, BATCH, DIM, seed=3).expand(COUNT, -1, -1)
    pairs = mined_losses(queries, keys[:1].expand(COUNT, -1, -1), queues[:1].expand(COUNT, -1, -1), T)
    off = pairs[~torch.eye(COUNT, dtype=torch.bool)]
    assert torch.allclose(off, off[0].expand_as(off)) and off[0] > 0


def test_a_perfect_match_loses_nothing():
    query = units(BATCH, 64, seed=3)
    assert info_nce(query, query, -query.t().contiguous(), 0.05) < 1e-6


@pytest.mark.parametrize("name", ["reference", "kernels"])
def test_half_precision_is_widened(name):
    keys, queues = constants(torch.float32)
    queries = units(COUNT, BATCH, DIM, seed=3, dtype=torch.float32)
    with backend(name), torch.autocast("cpu", torch.bfloat16):
        pairs = mined_losses(queries, keys, queues, T)
        alone = info_nce(queries[0], keys[0], queues[0], T)
    with backend(name):
        assert torch.equal(pairs, mined_losses(queries, keys, queues, T))
        assert torch.equal(alone, info_nce(queries[0], keys[0], queues[0], T))
        assert info_nce(queries[0].bfloat16(), keys[0], queues[0], T).dtype == torch.float32


def test_losses_have_shapes_without_values():
    """On device "meta", where nothing is computed and no value can be read."""
    keys, queues = (tensor.to("meta") for tensor in constants())
    queries = keys.clone().requires_grad_()
    exchanged = torch.empty(COUNT, BATCH, COUNT * DIM, device="meta", requires_grad=True)
    teacher_queue = queues.reshape(COUNT * DIM, SIZE)
    pairs = mined_losses(queries, keys, queues, T)
    implicit = implicit_losses(exchanged, keys, queues, T)
    relational = relational_losses(exchanged, exchanged[0], keys, queues, teacher_queue, T, 2, [0, 1, 1])
    assert pairs.shape == relational.shape == (COUNT, COUNT) and implicit.shape == (COUNT,)
    (pairs.sum() + implicit.sum() + relational.sum() + info_nce(queries, keys[0], queues[0], T).sum()).backward()
    assert queries.grad.shape == queries.shape and exchanged.grad.shape == exchanged.shape


@pytest.mark.parametrize("name", ["reference", "kernels"])
def test_stage_1_reference_vectors(name):
    loaded = {name: torch.from_numpy(value) for name, value in vectors("losses").items() if name != "modalities"}
    for i in range(6):
        parts = (loaded[f"stage1_{part}"][i] for part in ("query", "key", "queue"))
        with backend(name):
            near(info_nce(*parts, 0.07), loaded["stage1_loss"][i])


@pytest.mark.parametrize("name", ["reference", "kernels"])
@pytest.mark.parametrize("top_k", [1, 3])
def test_stage_2_reference_vectors(top_k, name):
    prefix = f"stage2_top{top_k}_"
    loaded = {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in vectors("losses").items()
        if key.startswith(prefix)
    }
    raw, exchanged = loaded["query_raw"].requires_grad_(), loaded["exchange_raw"].requires_grad_()
    with backend(name):
        pairs = mined_losses(F.normalize(raw, dim=-1), loaded["key"], loaded["queue"], 0.07, top_k)
        implicit = implicit_losses(F.normalize(exchanged, dim=-1), loaded["key"], loaded["queue"], 0.07)
    off = ~torch.eye(6, dtype=torch.bool)
    near(pairs.detach()[off], loaded["pair_loss"][off])
    near(implicit.detach(), loaded["exchange_loss"])
    (pairs.sum() / 5 + implicit.sum()).backward()
    near(raw.grad, loaded["grad_query_raw"])
    near(exchanged.grad, loaded["grad_exchange_raw"])


@pytest.mark.parametrize("name", ["reference", "kernels"])
def test_distillation_reference_vectors(name):
    loaded = vectors("student")
    embeddings, queues, teacher_queue, raw = (
        torch.from_numpy(loaded[key]) for key in ("teacher_embedding", "modality_queue", "teacher_queue", "student_raw")
    )
    raw.requires_grad_()
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)
    students = F.normalize(raw, dim=-1)
    with backend(name):
        pairs = relational_losses(students, teacher, embeddings, queues, teacher_queue, 0.07, 1, [0, 1, 2, 3, 4, 2])
        corrected = relational_losses(students, teacher, embeddings, queues, teacher_queue, 0.07)
    near(pairs.detach(), loaded["pair_loss"])
    pairs.mean(dim=1).sum().backward()
    near(raw.grad, loaded["grad_student_raw"])
    assert torch.equal(corrected[:, :5], pairs[:, :5]) and not torch.allclose(corrected[:, 5], pairs[:, 5])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "kernel"])
class TestProperties:
    """Of all losses, with random sizes and values."""

    SIZES = given(
        batch=st.integers(1, 5),
        dim=st.integers(2, 6),
        size=st.integers(1, 12),
        top_k=st.integers(1, 12),
        seed=st.integers(0, 999),
    )

    @staticmethod
    def tensors(batch, dim, size, seed, dtype):
        shapes = {
            "queries": (COUNT, batch, dim),
            "keys": (COUNT, batch, dim),
            "exchanged": (COUNT, batch, COUNT * dim),
            "teacher": (batch, COUNT * dim),
        }
        columns = {"queues": (COUNT, dim, size), "teacher_queue": (COUNT * dim, size)}
        made = {name: units(*shape, seed=seed + i, dtype=dtype) for i, (name, shape) in enumerate(shapes.items())}
        return made | {
            name: units(*shape, seed=seed + 9 + i, dim=-2, dtype=dtype)
            for i, (name, shape) in enumerate(columns.items())
        }

    @staticmethod
    def losses(tensors, top_k):
        """Those of all kinds, one after another, and their gradients."""
        tensors = {name: value.clone() for name, value in tensors.items()}
        queries, exchanged = tensors["queries"].requires_grad_(), tensors["exchanged"].requires_grad_()
        keys, queues = tensors["keys"], tensors["queues"]
        losses = [
            info_nce(queries[0], keys[0], queues[0], T),
            mined_losses(queries, keys, queues, T, top_k),
            implicit_losses(exchanged, keys, queues, T),
            relational_losses(exchanged, tensors["teacher"], keys, queues, tensors["teacher_queue"], T, top_k),
        ]
        values = torch.cat([loss.flatten() for loss in losses])
        values.sum().backward()
        return values.detach(), queries.grad, exchanged.grad

    @staticmethod
    def close(one, other):
        tolerance = 1e-9 if one.dtype == torch.float64 else 2e-4
        return torch.allclose(one, other, rtol=tolerance, atol=tolerance)

    @SIZES
    def test_the_order_of_the_queue_does_not_matter(self, batch, dim, size, top_k, seed, dtype):
        tensors = self.tensors(batch, dim, size, seed, dtype)
        order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
        permuted = tensors | {name: tensors[name][..., order] for name in ("queues", "teacher_queue")}
        expected, found = (self.losses(each, min(top_k, size)) for each in (tensors, permuted))
        assert all(map(self.close, found, expected))

    @SIZES
    def test_a_rotation_of_feature_space_changes_nothing(self, batch, dim, size, top_k, seed, dtype):
        """Each modality's space is rotated by itself, and joint spaces as a whole by all of these."""
        tensors = self.tensors(batch, dim, size, seed, dtype)
        generator = torch.Generator().manual_seed(seed)
        rotations, _ = torch.linalg.qr(torch.randn(COUNT, dim, dim, generator=generator, dtype=torch.float64))
        whole = torch.block_diag(*rotations).to(dtype)
        rotations = rotations.to(dtype)
        rotated = {name: tensors[name] @ rotations for name in ("queries", "keys")}
        rotated |= {name: tensors[name] @ whole for name in ("exchanged", "teacher")}
        rotated |= {"queues": rotations.mT @ tensors["queues"], "teacher_queue": whole.T @ tensors["teacher_queue"]}
        (values, *gradients), (found, *found_gradients) = (
            self.losses(each, min(top_k, size)) for each in (tensors, rotated)
        )
        assert self.close(found, values)
        assert self.close(found_gradients[0], gradients[0] @ rotations)
        assert self.close(found_gradients[1], gradients[1] @ whole)

    @SIZES
    def test_mining_the_whole_queue_is_the_mean_over_all(self, batch, dim, size, top_k, seed, dtype):
        tensors = self.tensors(batch, dim, size, seed, dtype)
        similar = torch.einsum("mnd,mdk->mnk", tensors["queries"], tensors["queues"])
        positive = (tensors["queries"] * tensors["keys"]).sum(dim=-1, keepdim=True)
        losses = mined_losses(tensors["queries"], tensors["keys"], tensors["queues"], T, size)
        for a, b in ((0, 1), (2, 0)):
            logits = torch.cat([positive[a], similar[a], similar[a] * similar[b]], dim=1) / T
            assert self.close(losses[a, b], -F.log_softmax(logits, dim=1).mean())
        z, queue, relations = tensors["exchanged"], tensors["teacher_queue"], tensors["keys"] @ tensors["queues"]
        pairs = relational_losses(z, tensors["teacher"], tensors["keys"], tensors["queues"], queue, T, size)
        logits = (
            torch.cat([(z[1] * tensors["teacher"]).sum(-1, True), z[1] @ queue, z[1] @ queue * relations[2]], dim=1) / T
        )
        assert self.close(pairs[1, 2], -F.log_softmax(logits, dim=1).mean())
