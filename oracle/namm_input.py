#!/usr/bin/env python3
"""Golden files of what a NAMM looks at and keeps: spectrograms, statistics, tables, selection, and
whole updates; in double precision and plain Python, straight from the formulas. Nothing of the
library is used.
  namm_input.py DIR    write the files
"""
import cmath
import hashlib
import json
import math
import os
import random
import sys

SEED = 52


# ---- formulas ----

def hann(n):
    return [0.5 - 0.5 * math.cos(2 * math.pi * i / n) for i in range(n)]


def magnitudes(x):
    """|X[f]| of the windowed values, one-sided."""
    n, w = len(x), hann(len(x))
    return [abs(sum(w[m] * x[m] * cmath.exp(-2j * math.pi * f * m / n) for m in range(n)))
            for f in range(n // 2 + 1)]


class Token:
    """A token's whole past: what every query so far paid to it."""

    def __init__(self, birth):
        self.birth, self.paid = birth, [0.0] * birth

    def means(self, window, hop, gamma):
        """The running means after all frames, as one weighted sum over them."""
        n, a = len(self.paid), gamma ** hop
        frames = [magnitudes([self.paid[t] if t >= 0 else 0.0
                              for t in range((k + 1) * hop - window, (k + 1) * hop)])
                  for k in range(n // hop)]
        return [sum((1 - a) * a ** (len(frames) - 1 - k) * frame[f]
                    for k, frame in enumerate(frames)) for f in range(window // 2 + 1)]


def age_row(age, dim, base):
    half = dim // 2
    freq = [base ** (-j / half) for j in range(half)]
    return [math.sin(age * f) for f in freq] + [math.cos(age * f) for f in freq]


def bam(x, flat, hidden, n_head):
    """Gated, with biases: every token looks at itself and at newer ones."""
    e, at = len(x[0]), 0

    def take(rows, cols):
        nonlocal at
        m = [flat[at + r * cols:at + (r + 1) * cols] for r in range(rows)]
        at += rows * cols
        return m

    def times(v, m, b):
        return [sum(v[i] * m[i][c] for i in range(len(v))) + b[0][c] for c in range(len(b[0]))]

    w_qkv, b_qkv = take(e, 3 * hidden), take(1, 3 * hidden)
    w_o, b_o = take(hidden, 2 * e), take(1, 2 * e)
    w_m, b_m = take(e, 1), take(1, 1)
    qkv, d = [times(row, w_qkv, b_qkv) for row in x], hidden // n_head
    scores = []
    for i, row in enumerate(x):
        out = []
        for h in range(n_head):
            q = qkv[i][h * d:(h + 1) * d]
            z = [sum(a * b for a, b in zip(q, qkv[j][hidden + h * d:hidden + (h + 1) * d])) /
                 math.sqrt(d) for j in range(i, len(x))]
            p = [math.exp(v - max(z)) for v in z]
            out += [sum(p[j - i] * qkv[j][2 * hidden + h * d + c] for j in range(i, len(x))) /
                    sum(p) for c in range(d)]
        rm = times(out, w_o, b_o)
        new = [v * (1 + rm[e + c]) + rm[c] for c, v in enumerate(row)]
        scores.append(times(new, w_m, b_m)[0])
    assert at == len(flat)
    return scores


def best(scores, n_keep):
    """The highest, ties to the newer; ascending."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    return sorted(order[len(order) - n_keep:])


def keep_layer(scores, cap):
    """The newest is forced in; all heads keep as many as the one with most scores not below 0."""
    forced = [s[:-1] + [math.inf] for s in scores]
    counts = [sum(v >= 0 for v in s) for s in forced]
    n_keep = min(max(counts), cap or len(scores[0]))
    return counts, n_keep, [best(s, n_keep) for s in forced]


# ---- files ----

def causal_row(rng, n_old, n_all, newest):
    """Attention of one query over the tokens that it sees, a few of them favoured."""
    z = [math.exp(rng.gauss(0, 1.5)) if i <= newest else 0.0 for i in range(n_all)]
    return [round(v / sum(z), 5) for v in z]


def attend(rng, tokens, n_old, n_new):
    rows = [causal_row(rng, n_old, len(tokens), n_old + r) for r in range(n_new)]
    for row in rows:
        for token, p in zip(tokens, row):
            token.paid.append(p)
    return rows


def stft_ema(rng, window, hop, gamma, n_head, steps):
    heads, updates, seen = [[] for _ in range(n_head)], [], 0
    for n_new, chance in steps:
        n_old = len(heads[0])
        for tokens in heads:
            for i in range(n_new):
                token = Token(0)
                token.paid = [0.0] * seen
                tokens.append(token)
        attn = [attend(rng, tokens, n_old, n_new) for tokens in heads]
        features = [[t.means(window, hop, gamma) for t in tokens] for tokens in heads]
        kept = after = None
        if chance < 1:
            n_keep = max(1, int(chance * (n_old + n_new)))
            kept = [sorted(rng.sample(range(n_old + n_new), n_keep)) for _ in heads]
            after = [[features[h][i] for i in k] for h, k in enumerate(kept)]
            heads = [[heads[h][i] for i in k] for h, k in enumerate(kept)]
        updates.append({"n_new": n_new, "n_old": n_old, "n_all": n_old + n_new, "attn": attn,
                        "features": features, "retained": kept, "ema_state_after": after})
        seen += n_new
    return {"kind": "stft_ema", "n_fft": window, "hop": hop, "gamma": gamma,
            "window": hann(window), "heads": n_head, "n_features": window // 2 + 1,
            "updates": updates}


def moments(rows):
    n = len(rows)
    mean = [sum(c) / n for c in zip(*rows)]
    return mean, [sum((v - m) ** 2 for v in c) / n for c, m in zip(zip(*rows), mean)]


def norm_stats(rng, n_col, n_head):
    all_rows, updates = [], []

    def scaled(raw, mean, var):
        return [[[(v - m) / max(math.sqrt(s), 1e-7) for v, m, s in zip(row, mean, var)]
                 for row in head] for head in raw]

    def draw(n):
        return [[[round(rng.gauss(c, 0.1 + c), 4) for c in range(n_col)] for _ in range(n)]
                for _ in range(n_head)]

    for n in (3, 9, 6):
        raw, mask = draw(n), [int(i >= n // 4) for i in range(n)]
        all_rows += [row for head in raw for row, m in zip(head, mask) if m]
        mean, var = moments(all_rows)
        updates.append({"n_new": n, "n_all": n, "new_sequence": True, "token_mask": mask,
                        "raw_features": raw, "normalised": scaled(raw, mean, var),
                        "run_mean": mean, "run_var": var, "run_num": [len(all_rows)] * n_col})
    example = draw(4)
    a, b = [[row[0]] for row in example[0]], [[row[0]] for row in example[1]]
    (mean_a, var_a), (mean_b, var_b), (mean, var) = moments(a), moments(b), moments(a + b)
    return {"kind": "norm_stats", "n_features": n_col, "heads": n_head, "updates": updates,
            "frozen_mean": updates[-1]["run_mean"], "frozen_var": updates[-1]["run_var"],
            "frozen_num": updates[-1]["run_num"],
            "frozen_example": {"raw_features": example,
                               "normalised": scaled(example, *moments(all_rows))},
            "merge_example": {"mean_a": mean_a, "var_a": var_a, "num_a": [len(a)],
                              "mean_b": mean_b, "var_b": var_b, "num_b": [len(b)], "mean": mean,
                              "var": var, "num": [len(a) + len(b)]}}


def tables():
    ages = [0, 1, 5, 63, 64, 65, 127, 128, 999, 65535]
    recency = [{"max_position": 65535, "dim": dim, "max_freq": base, "ages": ages,
                "embedding": [age_row(a, dim, base) for a in ages]}
               for dim, base in ((8, 50000), (2, 10), (12, 777.5))]
    ntk = []
    for d, base, f, alpha in ((64, 10000.0, 8, 1), (32, 500000.0, 4, 2)):
        scaled = base * (alpha * f - (alpha - 1)) ** (d / (d - 2))
        ntk.append({"head_dim": d, "base": base, "factor": f, "alpha": alpha,
                    "scaled_base": scaled,
                    "inv_freq": [scaled ** (-2 * i / d) for i in range(d // 2)]})
    return {"kind": "tables", "recency": recency, "ntk_rope": ntk}


def selection(rng):
    cases = []
    for note, kind, cap, shift, pad in (("free", "binary", None, 0, 0), ("capped", "binary", 5, 0, 0),
                                        ("most go", "binary", None, -1.2, 0),
                                        ("padded", "binary", None, 0, 4), ("best", "topk", 6, 0, 0)):
        scores = [[round(rng.gauss(shift, 1), 4) for _ in range(18)] for _ in range(3)]
        mask = [int(i >= pad) for i in range(18)]
        seen = [[v if m else -1e30 for v, m in zip(s, mask)] for s in scores]
        counts, n_keep, kept = keep_layer(seen, cap)
        if kind == "topk":
            n_keep, kept = cap, [best(s, cap) for s in seen]
        cases.append({"note": note, "kind": kind, "cache_size": cap, "token_mask": mask,
                      "scores": scores, "n_nonneg_per_head": counts, "n_keep": n_keep,
                      "retained": kept})
    return {"kind": "selection", "cases": cases}


def full_step(rng, shape, cap, n_chunk):
    layers, n_kv, group, chunk, update, window, hop, gamma, dim, base, hidden, n_head = shape
    n_bin, e = window // 2 + 1, dim + window // 2 + 1
    n_param = e * 3 * hidden + 3 * hidden + hidden * 2 * e + 2 * e + e + 1
    flat = [round(rng.gauss(0, 0.35), 5) for _ in range(n_param)]
    mean, var = [round(0.3 / (1 + f), 5) for f in range(n_bin)], [round(0.2 / (1 + f), 5)
                                                                for f in range(n_bin)]
    cache = [[[] for _ in range(n_kv)] for _ in range(layers)]
    chunks, updates = [], []
    for c in range(n_chunk):
        start, is_update = c * chunk, (c + 1) * chunk % update == 0
        attn = []
        for layer in cache:
            rows = []
            for tokens in layer:
                n_old = len(tokens)
                for i in range(chunk):
                    token = Token(start + i)
                    token.paid = [0.0] * start
                    tokens.append(token)
                heads = [[causal_row(rng, n_old, len(tokens), n_old + r) for r in range(chunk)]
                         for _ in range(group)]
                for r in range(chunk):
                    for i, token in enumerate(tokens):
                        token.paid.append(sum(h[r][i] for h in heads) / group)
                rows += heads
            attn.append(rows)
        chunks.append({"start": start, "n": chunk, "attn": attn, "is_update": is_update})
        if not is_update:
            continue
        told = []
        for layer in cache:
            raw = [[t.means(window, hop, gamma) for t in tokens] for tokens in layer]
            rows = [[age_row(tokens[-1].birth - t.birth, dim, base) +
                     [(v - m) / max(math.sqrt(s), 1e-7) for v, m, s in zip(z, mean, var)]
                     for t, z in zip(tokens, head)] for tokens, head in zip(layer, raw)]
            scores = [bam(head, flat, hidden, n_head) for head in rows]
            assert min(abs(v) for s in scores for v in s) > 1e-3, "too near to 0: another seed"
            _, n_keep, kept = keep_layer(scores, cap)
            told.append({"n_all": len(layer[0]), "ema_raw": raw, "embeddings": rows,
                         "scores": scores, "n_keep": n_keep, "retained": kept,
                         "positions_after": [[tokens[i].birth for i in k]
                                             for tokens, k in zip(layer, kept)]})
            layer[:] = [[tokens[i] for i in k] for tokens, k in zip(layer, kept)]
        updates.append({"after_tokens": start + chunk, "layers": told})
    return {"kind": "full_step", "layers": layers, "kv_heads": n_kv, "q_heads": n_kv * group,
            "group_size": group, "update_interval": update, "chunk": chunk,
            "total_tokens": n_chunk * chunk, "n_fft": window, "hop": hop, "gamma": gamma,
            "recency_dim": dim, "recency_max_freq": base, "recency_max_position": 4096,
            "start_recency_from": 0, "hidden_dim": hidden, "num_heads": n_head, "cache_size": cap,
            "n_features": n_bin, "emb_dim": e, "n_params": n_param, "params": flat,
            "norm_mean": mean, "norm_var": var, "chunks": chunks, "updates": updates}


def rounded(x):
    """Enough digits for the tolerances, inputs exact."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, list):
        return [rounded(v) for v in x]
    return float(f"{x:.8g}") if isinstance(x, float) else x


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    with open(__file__, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()

    def rng(name):
        return random.Random(f"{SEED} {name}")

    files = {
        "stft_32": stft_ema(rng("a"), 32, 16, 0.97, 2, ((32, 0.6), (16, 1), (16, 0.5), (16, 1))),
        "stft_20": stft_ema(rng("b"), 20, 5, 0.9, 1, ((10, 1), (25, 0.5), (5, 0.5), (15, 1))),
        "stats": norm_stats(rng("c"), 3, 2),
        "tables": tables(),
        "selection": selection(rng("d")),
        "step_16": full_step(rng("e"), (1, 2, 2, 12, 24, 16, 8, 0.95, 4, 500, 6, 2), None, 6),
        "step_capped": full_step(rng("f"), (2, 1, 2, 12, 24, 8, 4, 0.9, 6, 1000, 4, 1), 15, 6),
    }
    for name, content in files.items():
        head = {"kind": content.pop("kind"), "case": name,
                "oracle": {"script": "oracle/namm_input.py", "sha256": digest}, "seed": SEED}
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump({**head, **rounded(content)}, file)
            file.write("\n")


main()
