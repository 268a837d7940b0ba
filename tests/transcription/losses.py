"""The losses, sample by sample and logit by logit, in double precision; autograd gives their gradients."""

from __future__ import annotations

import torch


def unit(x):
    return x / x.norm()


def softmax_loss(logits, positives):
    """Mean of -log softmax over the positions `positives` of a list of scalars."""
    stacked = torch.stack(logits)
    total = stacked.exp().sum()
    return sum((total.log() - stacked[p]) for p in positives) / len(positives)


def best(values, k):
    return sorted(range(len(values)), key=lambda i: float(values[i].detach()), reverse=True)[:k]


def contrast(query, key, queue, temperature):
    """Stage 1: query, key (B, D), queue (D, K)."""
    each = []
    for q, k in zip(query, key, strict=True):
        logits = [q @ k / temperature] + [q @ column / temperature for column in queue.t()]
        each.append(softmax_loss(logits, [0]))
    return sum(each) / len(each)


def related(positive, own, other, chosen, temperature):
    """One sample of a pair: logits [positive, own, own * other], positives as `chosen` says."""
    count = len(own)
    logits = [positive / temperature]
    logits += [own[j] / temperature for j in range(count)]
    logits += [own[j] * other[j] / temperature for j in range(count)]
    return softmax_loss(logits, [0] + [1 + j for j in chosen] + [1 + count + j for j in chosen])


def mined(queries, keys, queues, temperature, k):
    """{(a, b): loss} of all ordered pairs."""
    result = {}
    for a in range(len(queries)):
        for b in range(len(queries)):
            if a == b:
                continue
            each = []
            for sample in range(len(queries[a])):
                own = [queries[a][sample] @ column for column in queues[a].t()]
                other = [queries[b][sample] @ column for column in queues[b].t()]
                positive = queries[a][sample] @ keys[a][sample]
                each.append(related(positive, own, other, best(other, k), temperature))
            result[a, b] = sum(each) / len(each)
    return result


def implicit(exchanged, keys, queues, temperature):
    """Loss of each modality against the joined keys and queues."""
    joined_key = torch.stack([unit(torch.cat([k[s] for k in keys])) for s in range(len(keys[0]))])
    joined = torch.stack([unit(torch.cat([q[:, j] for q in queues])) for j in range(queues.shape[2])], dim=1)
    return [contrast(z, joined_key, joined, temperature) for z in exchanged]


def relational(students, teacher, embeddings, queues, teacher_queue, temperature, k, mining):
    """[student][modality of the teacher]."""
    result = []
    for z in students:
        row = []
        for i in range(len(embeddings)):
            each = []
            for sample in range(len(z)):
                relation = [embeddings[i][sample] @ column for column in queues[mining[i]].t()]
                own = [z[sample] @ column for column in teacher_queue.t()]
                chosen = best(relation, k)
                each.append(related(z[sample] @ teacher[sample], own, relation, chosen, temperature))
            row.append(sum(each) / len(each))
        result.append(row)
    return result
