"""Momentum contrast of one or more modalities, each alone (stage 1) or exchanging knowledge (stage 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.dropout import Seed
from ikem.encoders.heads import exchange_head, projection_head
from ikem.encoders.initialization import initialize
from ikem.encoders.pooling import pool
from ikem.encoders.registry import build_encoder
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.losses.queue import Queues
from ikem.parallel_apply import parallel_apply
from ikem.seeding import StepSeeds, seed_for
from ikem.settings.encoders import EncoderOptions, Initialization
from ikem.skeleton import Skeleton
from ikem.training.process_group import gather, own


class Branch(nn.Module):
    """An encoder and the head on it."""

    def __init__(self, skeleton: Skeleton, settings: EncoderOptions, head: nn.Module) -> None:
        super().__init__()
        self.encoder = build_encoder(settings, skeleton)
        self.head = head

    def forward(self, x: Tensor, dropout_seed: Seed) -> tuple[Tensor, Tensor]:
        """(N, M, C, T, V) to the embedding (N, hidden_dim) and the normalized feature (N, D), float32 at least."""
        embedding = self.encoder(x, dropout_seed)
        return embedding, unit(self.head(embedding))

    def features(self, x: Tensor, dropout_seed: int) -> Tensor:
        """(N, M, C, T, V) to what the encoder pools, (N * M, hidden_dim, T', V); `project` takes it further."""
        features: Tensor = self.encoder.features(x, dropout_seed)  # type: ignore[operator]
        return features

    def project(self, features: Tensor, bodies: int) -> Tensor:
        """(N * M, hidden_dim, T', V) of M bodies to the normalized feature (N, D)."""
        return unit(self.head(pool(features, bodies)))


def unit(x: Tensor) -> Tensor:
    """Rows divided by their length, in float32 at least."""
    return F.normalize(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x, dim=-1)


class MomentumContrast(nn.Module):
    """Query encoders, their key encoders, the exchange heads, and a queue of keys for each modality.

    A state holds, for each modality m, `query.m.*`, `key.m.*`, `queue.m` (D, K), and the common `queue.pointer`; with
    several modalities also `exchange_head.m.*`. What is drawn for a modality depends on the seed and the modality only
    (an exchange head also on how many there are), so states of single modalities load by name into one of several.

    Where several processes share a job, each has the encoders and heads of its `own` modalities, and all queues; its
    state holds these, and loads from a state of all.

    Args:
        modalities: names, in order.
        skeleton: gives the graph.
        settings: the encoder and its head.
        queue_size: K.
        key_momentum: share of a key parameter that stays in a momentum (EMA) update.
        temperature: of all losses, 0.025 or more.
        top_k: positives that a modality mines for another.
        seed: fixes parameters and queues.
        initialization: see `ikem.encoders.initialization`.
        mask_own_keys: whether older keys of a query's own clip are left out of the queue.
        head: makes the projection head of a branch, from its two widths.
        exchanges: whether several modalities have exchange heads.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        skeleton: Skeleton,
        settings: EncoderOptions,
        queue_size: int,
        key_momentum: float,
        temperature: float,
        top_k: int,
        seed: int,
        initialization: Initialization = "published",
        mask_own_keys: bool = False,
        head: Callable[[int, int], nn.Module] = projection_head,
        exchanges: bool = True,
    ) -> None:
        super().__init__()
        self.modalities, self.own = tuple(modalities), own(modalities)
        self.key_momentum, self.temperature, self.top_k = key_momentum, temperature, top_k
        self.query, self.key, self.exchange_head = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        dims = settings.hidden_dim, settings.feature_dim
        with torch.random.fork_rng(devices=[]):  # the layers draw before `initialize` does
            for name in self.own:
                for branches in (self.query, self.key):
                    branches[name] = Branch(skeleton, settings, head(*dims))
                if exchanges and len(self.modalities) > 1:
                    self.exchange_head[name] = exchange_head(*dims, len(self.modalities))
        for name in self.own:
            initialize(self.query[name], seed_for(seed, "encoder", name), initialization)
            self.key[name].load_state_dict(self.query[name].state_dict())
            if name in self.exchange_head:
                initialize(
                    self.exchange_head[name], seed_for(seed, "exchange", name, len(self.modalities)), initialization
                )
        self.key.requires_grad_(False)
        seeds = [seed_for(seed, "queue", name) for name in self.modalities]
        self.queue = Queues(self.modalities, settings.feature_dim, queue_size, seeds, mask_own_keys)
        self.mask_own_keys = mask_own_keys

    def trained_parameters(self) -> list[nn.Parameter]:
        """Those of queries and exchange heads; one without a gradient is neither moved nor decayed."""
        return [*self.query.parameters(), *self.exchange_head.parameters()]

    def losses(
        self,
        query_view: Mapping[str, Tensor],
        key_view: Mapping[str, Tensor],
        stage: Literal["contrast", "exchange"],
        momentum_modalities: Collection[str] | None = None,
        explicit: bool = True,
        implicit: bool = True,
        dropout_seed: int | StepSeeds = 0,
        clips: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The forward half of a step: momentum update; keys; queries; losses; the queues take the keys.

        Args:
            query_view: each modality (B, M, C, T, V) of the first view.
            key_view: the same of the second view.
            stage: "contrast": each modality by itself, all key encoders are updated; "exchange": the losses below.
            momentum_modalities: modalities whose key encoder is updated in the exchange; None: all.
            explicit: whether positives are mined by the other modalities.
            implicit: whether features are contrasted with the concatenated keys of all modalities.
            dropout_seed: fixes all dropout masks of the step.
            clips: (B,) int64, number of each clip; with `mask_own_keys` only.

        Returns:
            the loss of each modality; their sum is to be minimized.
        """
        names = self.modalities
        exchange = stage == "exchange"
        if exchange and (len(names) < 2 or not (explicit or implicit)):
            raise ValueError("an exchange needs two modalities or more, and an explicit or an implicit loss")
        # First: the queries' activations, once there, stay until the backward pass.
        keys = self.keys(key_view, dropout_seed, momentum_modalities if exchange else None)
        masked = self.own_keys(clips)
        options = {} if masked is None else {"masked": masked}  # the kernels have no argument for it
        embedded, queries = self.queries(query_view, dropout_seed)
        if exchange:
            losses = queries.new_zeros(len(names))
            if explicit:
                pairs = mined_losses(queries, keys, self.queue.stacked, self.temperature, self.top_k, **options)
                losses = losses + pairs.sum(dim=1) / (len(names) - 1)
            if implicit:
                heads = [self.exchange_head[name] for name in self.own]
                exchanged = torch.stack([unit(head(part)) for head, part in zip(heads, embedded, strict=True)])
                exchanged = gather(exchanged, len(names))
                losses = losses + implicit_losses(exchanged, keys, self.queue.stacked, self.temperature, **options)
        else:
            each = zip(queries, keys, self.queue.stacked, strict=True)
            losses = torch.stack([info_nce(*parts, self.temperature, **options) for parts in each])
        self.enqueue(keys, clips)
        return dict(zip(names, losses.unbind(), strict=True))

    @torch.no_grad()
    def keys(
        self,
        view: Mapping[str, Tensor],
        dropout_seed: int | StepSeeds,
        momentum_modalities: Collection[str] | None = None,
    ) -> Tensor:
        """Begin a step: the queues take the keys that are pending, the key encoders have their momentum (EMA) update.

        Args:
            view: each modality (B, M, C, T, V) of the keys' view; those of this process.
            dropout_seed: fixes all dropout masks of the step.
            momentum_modalities: modalities whose key encoder is updated; None: all.

        Returns:
            the keys, (A, B, D) for A modalities.
        """
        self.queue.flush()
        self._update_keys(self.modalities if momentum_modalities is None else momentum_modalities)
        views = [(view[name], seed_for(dropout_seed, name, "key")) for name in self.own]
        keys = torch.stack([key for _, key in parallel_apply([self.key[name] for name in self.own], views)])
        return gather(keys, len(self.modalities))

    def queries(self, view: Mapping[str, Tensor], dropout_seed: int | StepSeeds) -> tuple[list[Tensor], Tensor]:
        """Embeddings (B, hidden_dim) of each of its own modalities, and the queries (A, B, D) of all A modalities."""
        views = [(view[name], seed_for(dropout_seed, name, "query")) for name in self.own]
        embedded, queries = zip(*parallel_apply([self.query[name] for name in self.own], views), strict=True)
        return list(embedded), gather(torch.stack(queries), len(self.modalities))

    def own_keys(self, clips: Tensor | None) -> Tensor | None:
        """(B, K): which columns of the queues are older keys of a clip itself; None unless `mask_own_keys`."""
        if not self.mask_own_keys:
            return None
        assert clips is not None
        return self.queue.clips == clips[:, None]

    def enqueue(self, keys: Tensor, clips: Tensor | None) -> None:
        """Give the keys (A, B, D) of the clips (B,) to the queues.

        They take them when `queue.flush` is called, by the next step or before the state is saved at the latest: the
        backward pass still needs what they hold.
        """
        self.queue.enqueue(keys, clips if self.mask_own_keys else None)

    def _update_keys(self, names: Collection[str]) -> None:
        """Move key parameters towards the queries'; BatchNorm buffers are the keys' own."""
        for name in self.own:
            if name in names:
                keys: list[Tensor] = list(self.key[name].parameters())
                queries: list[Tensor] = list(self.query[name].parameters())
                torch._foreach_mul_(keys, self.key_momentum)
                torch._foreach_add_(keys, queries, alpha=1.0 - self.key_momentum)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *arguments: Any) -> None:
        others = [name for name in self.modalities if name not in self.own]
        parts = tuple(f"{prefix}{part}.{name}." for part in ("query", "key", "exchange_head") for name in others)
        for key in [key for key in state_dict if key.startswith(parts)]:
            del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *arguments)
