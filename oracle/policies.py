#!/usr/bin/env python3
"""Golden files of the eviction policies: scores, kept sets, pyramid budgets and rotations, in
double precision and plain Python, straight from the formulas. Nothing of the library is used.
  policies.py DIR           write the files
  policies.py --check SPEC  compare with the table of golden vectors printed in a specification
"""
import hashlib
import json
import math
import os
import random
import re
import sys

SEED = 20261
PROTECTED = None


# ---- inputs ----

class Rows:
    """q, k [head][token][channel] before rotation, v; wo [out][head * channel]."""

    def __init__(self, q, k, v, wo, freq, adjacent):
        self.q0, self.k0, self.v, self.wo, self.freq, self.adjacent = q, k, v, wo, freq, adjacent
        self.n_head, self.n_kv, self.n, self.d = len(q), len(k), len(q[0]), len(q[0][0])
        self.group = self.n_head // self.n_kv
        self.q = [[self.rotate(x, i) for i, x in enumerate(h)] for h in q]
        self.k = [[self.rotate(x, i) for i, x in enumerate(h)] for h in k]

    def pairs(self):
        half = len(self.freq)
        return [(2 * c, 2 * c + 1) if self.adjacent else (c, c + half) for c in range(half)]

    def rotate(self, x, pos):
        y = list(x)
        for (a, b), theta in zip(self.pairs(), self.freq):
            c, s = math.cos(theta * pos), math.sin(theta * pos)
            y[a], y[b] = c * x[a] - s * x[b], s * x[a] + c * x[b]
        return y

    def heads_of(self, g):
        return range(g * self.group, (g + 1) * self.group)


FORMULA = {"q": [0.9, 1.7, 2.3, 0.5], "k": [0.6, -1.1, 0.9, 0.2, 0.5, 1.3],
           "v": [0.4, 0.3, 0.5, 0.03], "wo": [0.5, 0.8]}


def closed_form(n, n_head, n_kv, d, width, formula, freq):
    a, b, e, f = (formula[x] for x in ("q", "k", "v", "wo"))
    q = [[[math.sin(a[0] * i + a[1] * c + a[2] * h + a[3]) for c in range(d)] for i in range(n)]
         for h in range(n_head)]
    k = [[[math.cos(b[0] * i + b[1] * c + b[2] * g + b[3]) * (1 + b[4] * math.sin(b[5] * i + g))
           for c in range(d)] for i in range(n)] for g in range(n_kv)]
    v = [[[math.sin(e[0] * i * (c + 1) + e[1] + e[2] * g) * (1 + e[3] * i) for c in range(d)]
          for i in range(n)] for g in range(n_kv)]
    wo = [[math.cos(f[0] * r + f[1] * c) for c in range(n_head * d)] for r in range(width)]
    return Rows(q, k, v, wo, freq, False)


def drawn(rng, n, n_head, n_kv, d, width, freq, adjacent):
    def block(*shape):
        if not shape:
            return round(rng.gauss(0, 1), 4)
        return [block(*shape[1:]) for _ in range(shape[0])]
    q = [[[round(1.5 * x, 4) for x in row] for row in head] for head in block(n_head, n, d)]
    return Rows(q, block(n_kv, n, d), block(n_kv, n, d), block(width, n_head * d), freq, adjacent)


# ---- parts ----

def dot(x, y):
    return sum(a * b for a, b in zip(x, y))


def norm(x):
    return math.sqrt(dot(x, x))


def softmax(z):
    top = max(z)
    e = [math.exp(x - top) for x in z]
    total = sum(e)
    return [x / total for x in e]


def mean_of(rows):
    return [sum(x) / len(rows) for x in zip(*rows)]


def attention(r, h, t):
    """Row of query t of head h: causal softmax over 0..t, zeros beyond."""
    keys = r.k[h // r.group]
    p = softmax([dot(r.q[h][t], keys[i]) / math.sqrt(r.d) for i in range(t + 1)])
    return p + [0.0] * (r.n - t - 1)


def pool(x, kernel, mode):
    half, n = kernel // 2, len(x)
    if kernel < 2:
        return list(x)
    near = [x[max(0, i - half):min(n, i + half + 1)] for i in range(n)]
    return [sum(w) / kernel if mode == "avg" else max(w) for w in near]


def protect(x, first, last):
    n = len(x)
    return [PROTECTED if i < first or i >= n - last else y for i, y in enumerate(x)]


# ---- scores [KV head][token] ----

def knorm(r):
    return [[-norm(k) for k in head] for head in r.k]


def keydiff(r):
    out = []
    for head in r.k:
        unit = [[x / norm(k) for x in k] for k in head]
        anchor = mean_of(unit)
        out.append([-dot(u, anchor) / norm(anchor) for u in unit])
    return out


def window_rows(r, h, w, weight):
    """Weighted sum of the last w rows of attention of query head h."""
    out = [0.0] * r.n
    for t in range(max(0, r.n - w), r.n):
        f = weight(t)
        out = [a + f * b for a, b in zip(out, attention(r, h, t))]
    return out


def window_mean(r, w):
    return [mean_of([window_rows(r, h, w, lambda t: 1 / w) for h in r.heads_of(g)])
            for g in range(r.n_kv)]


def snapkv(r, w, kernel, mode, pool_first):
    out = []
    for g in range(r.n_kv):
        heads = [window_rows(r, h, w, lambda t: 1 / w)[:r.n - w] for h in r.heads_of(g)]
        if pool_first:
            s = mean_of([pool(x, kernel, mode) for x in heads])
        else:
            s = pool(mean_of(heads), kernel, mode)
        out.append(s + [PROTECTED] * w)
    return out


def shared_window(r, w, kernel):
    s = pool(mean_of(window_mean(r, w))[:r.n - w], kernel, "max")
    return [s + [PROTECTED] * w] * r.n_kv


def tova(r):
    s = mean_of([attention(r, h, r.n - 1) for h in range(r.n_head)])
    return [s[:-1] + [PROTECTED]] * r.n_kv


def columns(r, g):
    return mean_of([[sum(col) for col in zip(*(attention(r, h, t) for t in range(r.n)))]
                    for h in r.heads_of(g)])


def h2o(r):
    """Mean over the group, as the tables print it."""
    return [columns(r, g) for g in range(r.n_kv)]


def observed(r):
    return [[x / (r.n - i) for i, x in enumerate(columns(r, g))] for g in range(r.n_kv)]


def scissorhands(r, history, decay):
    return [mean_of([window_rows(r, h, history, lambda t: decay ** (r.n - 1 - t))
                     for h in r.heads_of(g)]) for g in range(r.n_kv)]


def finch(r, w):
    s = [mean_of([window_rows(r, h, w, lambda t: t / w) for h in r.heads_of(g)])
         for g in range(r.n_kv)]
    return [protect(x, 0, w) for x in s]


def matrix_of_rotations(r, positions):
    m = [[0.0] * r.d for _ in range(r.d)]
    for p in positions:
        for c in range(r.d):
            unit = [float(x == c) for x in range(r.d)]
            for row, x in enumerate(r.rotate(unit, p)):
                m[row][c] += x / len(positions)
    return m


def times(m, x):
    return [dot(row, x) for row in m]


def expected(r, sink, future, eps):
    turn = matrix_of_rotations(r, range(r.n, r.n + future))
    out = []
    for g in range(r.n_kv):
        heads = []
        for h in r.heads_of(g):
            q = r.q0[h][sink:]
            mu = mean_of(q)
            centred = [[a - b for a, b in zip(x, mu)] for x in q]
            cov = [[sum(x[a] * x[b] for x in centred) / len(q) for b in range(r.d)]
                   for a in range(r.d)]
            mu = times(turn, mu)
            half = [times(cov, row) for row in turn]  # turn cov, cov is symmetric
            cov = [[dot(half[a], turn[b]) for b in range(r.d)] for a in range(r.d)]
            z = [dot(k, mu) / math.sqrt(r.d) + dot(k, times(cov, k)) / (2 * r.d)
                 for k in r.k[g][sink:]]
            heads.append(softmax(z))
        s = mean_of(heads)
        out.append([PROTECTED] * sink + [(x + eps) * norm(v) for x, v in zip(s, r.v[g][sink:])])
    return out


def spread(x, after):
    lo = [min(c) for c in zip(*after)]
    hi = [max(c) for c in zip(*after)]
    out = []
    for row in x:
        z = [(a - l) / max(h - l, 1e-6 * max(1, abs(l), abs(h))) for a, l, h in zip(row, lo, hi)]
        m = sum(z) / len(z)
        out.append(math.sqrt(sum((a - m) ** 2 for a in z) / (len(z) - 1)))
    return softmax(out)


def lagkv(r, sink, lag, ranks):
    n_part = (r.n - sink) // lag
    out = []
    for g in range(r.n_kv):
        s = [PROTECTED] * r.n
        for p in range(n_part - 1):
            at, then = sink + p * lag, sink + (p + 1) * lag
            k = spread(r.k[g][at:then], r.k[g][then:then + lag])
            v = spread(r.v[g][at:then], r.v[g][then:then + lag])
            part = [(a + b) / 2 for a, b in zip(k, v)]
            if ranks:
                part = [sum(y < x for y in part) / lag for x in part]
            s[at:then] = part
        out.append(s)
    return out


def cur(r, w, sink):
    out = []
    for g in range(r.n_kv):
        kk, vv = [dot(x, x) for x in r.k[g]], [dot(x, x) for x in r.v[g]]
        s = []
        for i in range(r.n):
            near = slice(i // w * w, min(i // w * w + w, r.n))
            s.append(kk[i] / sum(kk[near]) * vv[i] / sum(vv[near]))
        total = sum(s)
        out.append(protect([x / total for x in s], sink, 0))
    return out


def dropkv(r, w):
    out = []
    for g in range(r.n_kv):
        s = [0.0] * r.n
        for h in r.heads_of(g):
            for t in range(r.n - w, r.n):
                p = attention(r, h, t)
                o = [sum(a * v[c] for a, v in zip(p, r.v[g])) for c in range(r.d)]
                for i in range(r.n):
                    odds = p[i] / max(1 - p[i], 1e-6)
                    s[i] += odds ** 2 * sum((a - b) ** 2 for a, b in zip(r.v[g][i], o))
        out.append(protect(s, 0, w))
    return out


def output_norms(r):
    """Mean over the group of |Wo[h] v|_1."""
    out = []
    for g in range(r.n_kv):
        rows = []
        for v in r.v[g]:
            rows.append(sum(sum(abs(dot(row[h * r.d:(h + 1) * r.d], v)) for row in r.wo)
                            for h in r.heads_of(g)) / r.group)
        out.append(rows)
    return out


# ---- selection ----

def best(score, m, among):
    """The m best indices: higher score first, then newer."""
    return sorted(among, key=lambda i: (-score[i], -i))[:m]


def top(scores, budget):
    out = []
    for s in scores:
        safe = [i for i, x in enumerate(s) if x is PROTECTED]
        free = [i for i, x in enumerate(s) if x is not PROTECTED]
        out.append(sorted(safe + best(s, budget - len(safe), free)))
    return out


def guarded(scores, first, last):
    return [protect(s, first, last) for s in scores]


def critical(scores, values, budget, stage_all):
    out = []
    for s, v in zip(scores, values):
        safe = [i for i, x in enumerate(s) if x is PROTECTED]
        free = [i for i, x in enumerate(s) if x is not PROTECTED]
        left = budget - len(safe)
        n_first = max(0, budget // 2 - len(safe)) if stage_all else left // 2
        one = best(s, n_first, free)
        weighed = {i: (s[i] + 1e-4) * v[i] for i in free if i not in one}
        two = best(weighed, left - n_first, list(weighed))
        out.append(sorted(safe + one + two))
    return out


def adakv(scores, budget, alpha):
    """Reserve: the best int(free budget * alpha) of each head are in, the rest competes."""
    kept, left, rest = [], 0, []
    for g, s in enumerate(scores):
        safe = [i for i, x in enumerate(s) if x is PROTECTED]
        free = [i for i, x in enumerate(s) if x is not PROTECTED]
        sure = best(s, int((budget - len(safe)) * alpha), free)
        kept.append(safe + sure)
        left += budget - len(safe) - len(sure)
        rest += [(-s[i], -i, g) for i in free if i not in sure]
    for _, i, g in sorted(rest)[:left]:
        kept[g].append(-i)
    return [sorted(x) for x in kept]


def streaming(r, sink, budget):
    return [list(range(sink)) + list(range(r.n - budget + sink, r.n))] * r.n_kv


def grouped(scores, size, budget):
    n = len(scores[0])
    total = [sum(s[i] for s in scores) for i in range(n)]
    part = [list(range(a, min(a + size, n))) for a in range(0, n, size)]
    mean = [sum(total[i] for i in p) / len(p) for p in part]
    m = max(1, int(len(part) * budget / n))
    return [sorted(i for g in best(mean, m, range(len(part))) for i in part[g])] * len(scores)


# ---- cases ----

def case(policy, scores=None, budget=None, kept=None):
    out = {"policy": policy}
    if scores is not None:
        out["scores"] = scores
    if kept is not None:
        out["budget"], out["kept"] = str(budget), kept
    return out


def section11():
    r = closed_form(12, 4, 2, 4, 16, FORMULA, [1.0, 0.01])
    snap = snapkv(r, 3, 3, "avg", False)
    snap_max = snapkv(r, 3, 3, "max", False)
    window = "window=3,kernel=3,sinks=0"
    return r, [
        case("streaming:sinks=2", None, 6, streaming(r, 2, 6)),
        case("knorm:preset=kvpress", knorm(r), 6, top(knorm(r), 6)),
        case(f"snapkv:{window},poolmode=avg", snap, 6, top(snap, 6)),
        case(f"snapkv:{window},poolmode=max,order=pool_first", snapkv(r, 3, 3, "max", True)),
        case(f"snapkv:{window},poolmode=max", snap_max, 6, top(snap_max, 6)),
        case("tova:sinks=0", tova(r), 6, top(tova(r), 6)),
        case("h2o:sinks=0", h2o(r), 6, top(guarded(h2o(r), 0, 3), 6)),
        case("observed:sinks=0", observed(r), 6, top(observed(r), 6)),
        case("expected:sinks=2,future=4", expected(r, 2, 4, 0), 6, top(expected(r, 2, 4, 0), 6)),
        case("keydiff:sinks=0", keydiff(r), 6, top(keydiff(r), 6)),
        case("lagkv:sinks=2,lag=3,cross=1", lagkv(r, 2, 3, False)),
        case("lagkv:sinks=2,lag=3", lagkv(r, 2, 3, True)),
        case("cur:window=4,sinks=2", cur(r, 4, 2)),
        case("finch:window=3,sinks=0", finch(r, 3)),
        case(f"critical:{window},poolmode=avg,stage=all", None, 6,
             critical(snap, output_norms(r), 6, True)),
        case(f"adakv:{window},poolmode=avg", None, 6, adakv(snap, 6, 0.2)),
        case("knorm:preset=kvpress,group=5", None, 6, grouped(knorm(r), 5, 6)),
    ]


def random_cases(r, b):
    snap = [protect(s, 2, 0) for s in snapkv(r, 5, 5, "max", False)]
    shared = shared_window(r, 4, 7)
    drop, win = dropkv(r, 6), guarded(window_mean(r, 6), 0, 6)
    seen = scissorhands(r, 9, 0.5)
    return [
        case("knorm:preset=kvpress", knorm(r), b, top(knorm(r), b)),
        case("keydiff:sinks=3", guarded(keydiff(r), 3, 0), b, top(guarded(keydiff(r), 3, 0), b)),
        case("snapkv:window=5,kernel=5,sinks=2", snap, b, top(snap, b)),
        case("window:share=layer,pool=7,window=4,sinks=0", shared, b, top(shared, b)),
        case("window:window=6,sinks=0", win, b, top(win, b)),
        case("tova:sinks=0", tova(r), b, top(tova(r), b)),
        case("h2o:sinks=0,recent=4", h2o(r), b, top(guarded(h2o(r), 0, 4), b)),
        case("observed:sinks=0", observed(r), b, top(observed(r), b)),
        case("scissorhands:sinks=0,history=9,decay=0.5,recent=3", seen, b,
             top(guarded(seen, 0, 3), b)),
        case("expected:sinks=4,future=7,eps=0.01", expected(r, 4, 7, 0.01), b,
             top(expected(r, 4, 7, 0.01), b)),
        case("lagkv:sinks=1,lag=4,cross=1", lagkv(r, 1, 4, False)),
        case("cur:window=8,sinks=0", cur(r, 8, 0), b, top(cur(r, 8, 0), b)),
        case("finch:window=5,sinks=0", finch(r, 5), b, top(finch(r, 5), b)),
        case("dropkv:window=6,sinks=0", drop, b, top(drop, b)),
        case("critical:window=5,kernel=5,sinks=2", None, b,
             critical(snap, output_norms(r), b, False)),
        case("adakv:window=5,kernel=5,sinks=2", None, b, adakv(snap, b, 0.2)),
    ]


# ---- budgets and rotation ----

def largest_remainder(want, total):
    """Whole numbers of the same sum: floors, then the largest fractions, the earlier first."""
    kept = [math.floor(x + 1e-9) for x in want]
    order = sorted(range(len(want)), key=lambda i: (-round(want[i] - kept[i], 9), i))
    for i in order[:total - sum(kept)]:
        kept[i] += 1
    return kept


def pyramid(layers, n, w, beta, kept_share, rule):
    mean = int(n * kept_share)
    c = mean if rule == "kvpress" else mean - w
    lo, extra = c / beta, 0 if rule == "kvpress" else w
    hi = 2 * c - lo
    if hi >= n - w:
        hi = n - w
        lo = 2 * c - hi
    want = [hi - i * (hi - lo) / (layers - 1) + extra for i in range(layers)]
    if rule == "kvpress" and not n >= hi >= lo >= w:
        want = [float(mean)] * layers
    return {"rule": rule, "layers": layers, "tokens": n, "window": w, "beta": beta, "mean": mean,
            "kept": largest_remainder(want, layers * mean)}


def budgets():
    out = [pyramid(32, 4096, 64, 20, share, "kvpress") for share in (0.5, 0.75, 0.25, 0.35)]
    out += [pyramid(layers, n, 32, beta, share, "paper")
            for layers, n, beta, share in ((30, 8000, 20, 0.25), (32, 4096, 20, 0.1),
                                           (7, 500, 5, 0.6))]
    return out


def rotations(r, rng):
    kept = top(knorm(r), 6)[0]
    out = [{"pairs": "half", "freq": r.freq, "from": kept, "to": list(range(6)),
            "rows": [r.k[0][i] for i in kept],
            "moved": [r.rotate(r.k[0][i], to - i) for to, i in enumerate(kept)]}]
    freq = [10000 ** (-c / 4) for c in range(4)]
    for pairs in ("half", "adjacent"):
        d = 8 if pairs == "half" else 12  # the last channels of the second stay as they are
        turn = Rows([[[0.0] * d]], [[[0.0] * d]], [[[0.0] * d]], [[0.0] * d], freq,
                    pairs == "adjacent")
        rows = [[round(rng.gauss(0, 1), 4) for _ in range(d)] for _ in range(5)]
        come, go = [3, 90, 700, 6001, 123456], [3, 91, 12, 65000, 7]
        out.append({"pairs": pairs, "freq": freq, "from": come, "to": go, "rows": rows,
                    "moved": [turn.rotate(x, b - a) for x, a, b in zip(rows, come, go)]})
    return out


# ---- files ----

def rounded(x):
    if isinstance(x, float):
        return float(f"{x:.9g}")
    if isinstance(x, list):
        return [rounded(y) for y in x]
    if isinstance(x, dict):
        return {k: rounded(v) if k not in ("freq",) else v for k, v in x.items()}
    return x


def write(folder, name, kind, seed, body):
    with open(os.path.abspath(__file__), "rb") as f:
        oracle = {"script": "oracle/policies.py", "sha256": hashlib.sha256(f.read()).hexdigest()}
    doc = {"kind": kind, "case": name, "oracle": oracle, "seed": seed, **rounded(body)}
    text = ",\n".join(f" {json.dumps(k)}: {lines(v)}" for k, v in doc.items())
    with open(os.path.join(folder, name + ".json"), "w") as f:
        f.write("{\n" + text + "\n}\n")


def lines(value):
    """A list of objects gets a line each."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(json.dumps(x) for x in value) + "\n ]"
    return json.dumps(value)


def shape_of(r):
    return {"tokens": r.n, "query_heads": r.n_head, "kv_heads": r.n_kv, "head_dim": r.d,
            "width": len(r.wo)}


def write_all(folder):
    r, cases = section11()
    head = {"tolerance": 1e-5, "shape": shape_of(r), "pairs": "half", "freq": r.freq}
    write(folder, "closed_form", "policy_scores", None,
          {**head, "formula": FORMULA, "cases": cases})
    shapes = {"drawn_half": (40, 8, 2, 8, 12, False), "drawn_adjacent": (33, 6, 3, 6, 10, True)}
    for i, (name, (n, n_head, n_kv, d, width, adjacent)) in enumerate(shapes.items()):
        rng = random.Random(SEED + i)
        freq = [10000 ** (-2 * c / d) for c in range(d // 2)]
        x = drawn(rng, n, n_head, n_kv, d, width, freq, adjacent)
        write(folder, name, "policy_scores", SEED + i,
              {"tolerance": 1e-5, "shape": shape_of(x), "pairs": "adjacent" if adjacent else "half",
               "freq": freq, "q": x.q0, "k": x.k0, "v": x.v, "wo": x.wo,
               "cases": random_cases(x, n // 2)})
    write(folder, "pyramid", "budget", None, {"cases": budgets()})
    write(folder, "moves", "rotation", SEED + 2,
          {"tolerance": 2e-5, "cases": rotations(r, random.Random(SEED + 2))})


# ---- the printed table ----

def printed(spec):
    """{(row label, head): [numbers or P]} of the two tables of section 11."""
    part = spec[spec.index("## 11."):spec.index("## 12.")]
    out, label = {}, ""
    for line in part.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.search(r"\d", cells[2] + cells[1]):
            continue
        label = cells[0] or label
        if cells[1] in ("0", "1", "-"):
            out[label, cells[1]] = cells[2].split(" (")[0].split()
    return out


def check(path):
    r = section11()[0]
    want = {"knorm": knorm(r), "snapkv w=3 kappa=3 avg": snapkv(r, 3, 3, "avg", False),
            "snapkv w=3 kappa=3 max, pool": snapkv(r, 3, 3, "max", True),
            "snapkv w=3 kappa=3 max, mean": snapkv(r, 3, 3, "max", False), "tova": tova(r),
            "h2o": h2o(r), "observed": observed(r), "expected": expected(r, 2, 4, 0),
            "keydiff": keydiff(r), "lagkv": lagkv(r, 2, 3, False), "`L1norm": output_norms(r),
            "cur": cur(r, 4, 2), "finch": finch(r, 3)}
    with open(path) as f:
        table = printed(f.read())
    worst, n = 0.0, 0
    for (label, head), cells in table.items():
        mine = next((v for k, v in want.items() if label.startswith(k)), None)
        if mine is None:
            sys.exit(f"{label}: no formula here")
        for x, y in zip(cells, mine[0 if head == "-" else int(head)]):
            if (x == "P") != (y is PROTECTED):
                sys.exit(f"{label}, head {head}: {x} printed, {y} here")
            if x != "P":
                worst, n = max(worst, abs(float(x) - y)), n + 1
    print(f"{n} printed scores, largest difference {worst:.1e}")
    if worst > 6e-7 or n < 200:
        sys.exit("the printed table and the formulas here disagree")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        check(sys.argv[2])
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        write_all(sys.argv[1])
    else:
        sys.exit(__doc__)
