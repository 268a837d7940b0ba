"""Modalities of NTU's 25 joints, number by number, in Python floats."""

from __future__ import annotations

import math

# 1-based, child: parent.
PARENTS = {
    1: 2, 2: 21, 3: 21, 4: 3, 5: 21, 6: 5, 7: 6, 8: 7, 9: 21, 10: 9, 11: 10, 12: 11, 13: 1, 14: 13, 15: 14, 16: 15,
    17: 1, 18: 17, 19: 18, 20: 19, 22: 8, 23: 8, 24: 12, 25: 12,
}  # fmt: skip
PARTNERS = PARENTS | {23: 22, 25: 24, 21: 21}


def minus(a, b):
    return [x - y for x, y in zip(a, b, strict=True)]


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def length(a):
    return math.sqrt(sum(x * x for x in a))


def unit(a):
    size = max(length(a), 1e-12)
    return [x / size for x in a]


def angle(a, b):
    u, v = unit(a), unit(b)
    return math.atan2(length(cross(u, v)), sum(x * y for x, y in zip(u, v, strict=True)))


def bones(joints):
    """{joint: [x, y, z]} to the bones of one frame."""
    result = {child: minus(joints[child], joints[parent]) for child, parent in PARENTS.items()}
    result[21] = unit(cross(minus(result[2], result[9]), minus(result[5], result[9])))
    return result


def modality(name, clip, frames):
    """`clip` is [frame][joint from 0] = [x, y, z]; the same form comes back."""
    count = len(clip)
    scale = count / frames
    zero = [0.0, 0.0, 0.0]
    result = [[zero] * 25 for _ in range(count)]
    b = [bones({v: frame[v - 1] for v in range(1, 26)}) for frame in clip]
    for v in range(1, 26):
        velocity = [[scale * x for x in minus(clip[t + 1][v - 1], clip[t][v - 1])] for t in range(count - 1)]
        axis = [cross(b[t][v], b[t][PARTNERS[v]]) for t in range(count)]
        theta = [angle(b[t][v], b[t][PARTNERS[v]]) for t in range(count)]
        for t in range(count):
            if name == "joint":
                value = clip[t][v - 1]
            elif name == "motion":
                value = velocity[t] if t < count - 1 else zero
            elif name == "acceleration":
                value = [scale * x for x in minus(velocity[t + 1], velocity[t])] if t < count - 2 else zero
            elif name == "bone":
                value = b[t][v]
            elif name == "rotation_axis":
                value = axis[t]
            elif name == "angular_velocity":
                value = [scale * (theta[t + 1] - theta[t]) * x for x in unit(axis[t])] if t < count - 1 else zero
            result[t][v - 1] = value
    return result
