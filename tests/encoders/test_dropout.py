import pytest
import torch

from ikem.encoders.dropout import dropout, random_bits, random_words

CPU = torch.device("cpu")
SHAPE = (8, 16, 30, 25)
STEP, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def split_mix(state):
    """One step of SplitMix64 in Python's numbers: the new state and its output."""
    state = (state + STEP) & MASK
    word = state
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = ((word ^ (word >> shift)) * multiplier) & MASK
    return state, word ^ (word >> 31)


@pytest.mark.parametrize(("state", "expected"), [(1234567, 6457827717110365317), (0, 0xE220A8397B1DCDAF)])
def test_the_generator_is_split_mix_64(state, expected):
    """Outputs that its authors and others publish for these states."""
    assert split_mix(state)[1] == expected


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**62 + 7, 2**63 - 1])
def test_bits_by_hand(seed):
    state = split_mix(seed)[1]
    words = []
    for _ in range(3):
        state, word = split_mix(state)
        words += [word >> 16 * part & 0xFFFF for part in range(4)]
    bits = random_bits(10, split_mix(seed)[1], CPU)
    assert bits.dtype == torch.int16
    assert [int(value) % 2**16 for value in bits] == words[:10]


def test_words_by_hand():
    seeds = [0, 1, 12345, 2**62 + 7, -5]
    for seed, row in zip(seeds, random_words(torch.tensor(seeds), 3).tolist(), strict=True):
        state = split_mix(seed & MASK)[1]
        for word in row:
            state, expected = split_mix(state)
            assert word & MASK == expected
    assert torch.equal(random_words(torch.tensor([7]), 3).view(torch.int16)[0], random_bits(12, split_mix(7)[1], CPU))


@pytest.mark.parametrize("seed", [0, 1, 2**62 + 7, 2**63 - 1])
def test_a_seed_on_the_device_gives_the_same_bits(seed):
    x, given = torch.ones(7, 143), torch.tensor(seed)
    assert torch.equal(dropout(x, given, 0.4), dropout(x, seed, 0.4))
    assert int(given) == seed


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.3, 0.5, 0.9, 0.999999])
def test_mask(probability):
    y = dropout(torch.ones(SHAPE), 3, probability)
    dropped = (y == 0).double()
    share = round(probability * 65536) / 65536 if probability < 0.99999 else 65535 / 65536
    assert abs(dropped.mean() - share) < 0.005
    assert (dropped.mean(dim=(0, 2, 3)) - share).abs().max() < 0.03
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - share), dtype=torch.float32))
    flat = dropped.flatten() - dropped.mean()
    for lag in (1, 2, 3, 4, 8, 25):
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 0.01
    for seed in (4, 5, 2**62):
        other = (dropout(torch.ones(SHAPE), seed, probability) == 0).double().flatten() - share
        for lag in (0, 1, 400, 12000):
            assert abs((flat[lag:] * other[: len(flat) - lag]).mean()) < 0.01


def test_a_function_of_seed_and_index():
    """Not of the layout in memory, the precision, the number of threads, or the state of PyTorch's generator."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    x = torch.ones(SHAPE)
    mask = dropout(x, 3, 0.5) != 0
    torch.rand(2)
    for other in (x, x.to(memory_format=torch.channels_last), x.double(), x.bfloat16()):
        y = dropout(other, 3, 0.5)
        assert y.dtype == other.dtype and torch.equal(y != 0, mask)
    assert torch.equal(dropout(x[:2], 3, 0.5) != 0, mask[:2])
    assert not torch.equal(dropout(x, 4, 0.5) != 0, mask)
    torch.set_rng_state(before)
    assert torch.equal(dropout(x, 3, 0.5) != 0, mask)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_mask_of_a_gpu_is_that_of_a_cpu(seed):
    assert torch.equal(random_bits(1001, seed, torch.device("cuda")).cpu(), random_bits(1001, seed, CPU))


def test_gradient_and_nan():
    x = torch.ones(4, 1000, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 1, 0.25)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert dropout(torch.full((4,), torch.nan), 1, 0.5).isnan().all()
