"""Small damages to texts and bytes: what a typing error, a broken disk or an attacker makes of a document."""

from __future__ import annotations

import random

#: What parsers stumble over: limits of numbers, quotes, separators, signs, things that look like other things.
TOKENS = (
    *b"0 -1 1e9 0x 4294967296 18446744073709551616 -9223372036854775809 \xd9\xa3 yes true null NaN".split(),
    *b"'' \" ' \\ , : = ; [ ] [[ () { } / // % %00 $IP .. ../.. json: json:{} file: nbd:".split(),
    *b"&amp; &x; <!----> <a> </a> <?x?> <![CDATA[]]> xmlns='' \x01 \x7f \xff \xc3 \xef\xbb\xbf \xed\xa0\x80".split(),
    *(b"\0", b"\n", b"\r\n", b"\t", b" ", b"\\\n", b"<!DOCTYPE a>", b"9" * 40),
)


def mutate(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with one to six damages."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 32)))
        kind = rng.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * rng.choice((1, 2, 100))
        elif kind == 3:
            data[at:at] = rng.choice(TOKENS)
        elif kind == 4:
            data[at:end] = rng.choice(TOKENS)
        elif kind == 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            data[at:end] = other[start : start + rng.choice((4, 16, 64))]
        elif kind == 6:
            del data[at:]
        else:
            # A value: what stands between two quotes, or a number.
            quote = data.find(b"'", at)
            close = data.find(b"'", quote + 1)
            if 0 <= quote < close:
                data[quote + 1 : close] = rng.choice(TOKENS).replace(b"<", b"").replace(b"'", b"")
    return bytes(data)
