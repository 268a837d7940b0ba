"""Changes of bytes and of YAML texts."""

from __future__ import annotations

import random
import re

PIECES = [
    *(
        b"",
        b"0",
        b"-",
        b"-1",
        b"nan",
        b"1e999",
        b"1" * 30,
        b"999999999",
        b"0x10",
        b"1_0",
        b"\xd9\xa1",
        b"true",
        b"null",
    ),
    *(b"\x00", b"\xff\xfe", b"\n", b"\r", b"\x0b", b"\x1c", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b",", b'"', b" ", b"\t"),
    *(b"[", b"}", b":"),
]

VALUES = [
    *("-1", "0", "1", "2", "1e308", "1e999", "1e-3", ".nan", ".inf", "9" * 30, "9" * 6000, "010", "0x10", "1_000"),
    *("1:30", "2024-13-45", "true", "no", "~", "''", "'x'", "[]", "{}", "[1]", "{a: 1}", "[[1, 2]]", "!!int x", "!x y"),
    *("!!python/name:os.system", "&a [*a]", "*none", "../x", "/", ".", "a//b/", "{x}", "caf\\xe9", '"\\ud800"', "=1+1"),
    *("https://user:pw@host/x", "https://host/x", "x" * 300, "joint", "ikem-6", "linear", "tiny", "tables", "results"),
    *("- 1", "%", "@", "`", "|", ">", "? a", "\u2028", "\u0661", "[" * 200, "3.0", "1e2", "[0, 1, 2]", "[joint, bone]"),
]


def mutated(draw: random.Random, data: bytes) -> bytes:
    """The bytes with one to five changes: flips, cuts, pieces, lines and fields repeated or exchanged."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        if not changed:
            break
        position, kind = draw.randrange(len(changed)), draw.randrange(8)
        if kind == 0:
            changed[position] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[position:]
        elif kind == 2:
            changed[position:position] = draw.choice(PIECES)
        elif kind == 3:
            changed[position : position + draw.randrange(1, 9)] = draw.choice(PIECES)
        elif kind in (4, 5):
            separator = b"\n" if kind == 4 else b","
            parts = bytes(changed).split(separator)
            index = draw.randrange(len(parts))
            again = [parts[index]]
            parts[index : index + 1] = draw.choice(
                ([], again * 2, again * 40, [b""], parts[-1:], [draw.choice(PIECES)])
            )
            changed = bytearray(separator.join(parts))
        elif kind == 6:
            other = draw.randrange(len(changed))
            changed[position : position + 20], changed[other : other + 20] = (
                changed[other : other + 20],
                changed[position : position + 20],
            )
        else:
            changed[position] = draw.randrange(256)
    return bytes(changed)


def mutated_yaml(draw: random.Random, text: str) -> bytes:
    """A YAML text with changed values, keys, lines or bytes, or with a bomb before it."""
    kind = draw.randrange(8)
    if kind == 0:
        return mutated(draw, text.encode())
    if kind == 1:
        return bomb(draw).encode() + text.encode()
    for _ in range(draw.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        index = draw.randrange(len(lines))
        if kind in (2, 3):  # a value
            found = list(re.finditer(r"(?<=[:,\[] )?[\w.+-]+(?=[,\]}\n])", text))
            if found:
                chosen = draw.choice(found)
                text = text[: chosen.start()] + draw.choice(VALUES) + text[chosen.end() :]
            continue
        if kind == 4:  # a key: a letter exchanged, left out or doubled
            found = list(re.finditer(r"[\w-]+(?=:)", text))
            chosen = draw.choice(found)
            key, position = chosen[0], draw.randrange(len(chosen[0]))
            new = draw.choice((key[:position] + key[position + 1 :], key + key[-1], draw.choice(found)[0], key.upper()))
            text = text[: chosen.start()] + new + text[chosen.end() :]
            continue
        if kind == 5:  # a line again
            lines.insert(draw.randrange(len(lines)), lines[index])
        elif kind == 6:
            lines[index] = draw.choice(
                ("", " " + lines[index], lines[index][1:], lines[index] + " " + draw.choice(VALUES))
            )
        else:
            del lines[index]
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


def bomb(draw: random.Random) -> str:
    """Aliases of aliases, or lists in lists."""
    width, depth = draw.randrange(2, 30), draw.randrange(2, 40)
    if draw.random() < 0.3:
        return "deep: " + draw.choice(("[", "{a: ")) * draw.randrange(20, 20_000) + "\n"
    if draw.random() < 0.5:
        levels = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'a'] * width)}]" for n in range(depth)]
    else:
        levels = [
            f"x{n}: &x{n} {{{', '.join(f'k{i}: ' + (f'*x{n - 1}' if n else '1') for i in range(width))}}}"
            for n in range(depth)
        ]
    return "\n".join(levels) + f"\n{draw.choice(('seeds', 'datasets', 'y'))}: *x{depth - 1}\n"
