#!/usr/bin/env python3
"""Golden files of memory layers, of MemoryFormer's block and of the attentions that it is compared
with; in double precision and plain Python, straight from the formulas of their papers. Gradients
are complex steps, d f = Im f(x + i h) / h, so that no backward pass is written twice. Nothing of
the library is used.
  layers.py DIR    write the files
"""
import cmath
import hashlib
import json
import math
import os
import random
import struct
import sys

SEED, H = 91, 1e-30


# ---- functions that a complex step may pass ----

def size(z):
    return z if z.real > 0 else -z if z.real < 0 else 0.0


def exp(z):
    return cmath.exp(z) if isinstance(z, complex) else math.exp(z)


def root(z):
    return cmath.sqrt(z) if isinstance(z, complex) else math.sqrt(z)


def real(x):
    return [real(v) for v in x] if isinstance(x, list) else x.real


# ---- formulas ----

def choice(z):
    code = 0
    for v in z:
        code = code * 2 + (1 if v.real >= 0 else 0)
    return code


def score(z, mode, temperature):
    p = 1.0
    for v in z:
        p = p / (1 + exp(-2 * size(v) / temperature))
    return p * sum(size(v) for v in z) if mode == "l1_prob" else p


def memory(x, tables, bias, tau, mode="l1_prob", temperature=1):
    """x [N][K tau], tables [K][2^tau][D]."""
    rows = []
    for row in x:
        y = list(bias)
        for k, table in enumerate(tables):
            z = row[k * tau:(k + 1) * tau]
            s, chosen = score(z, mode, temperature), table[choice(z)]
            y = [a + s * b for a, b in zip(y, chosen)]
        rows.append(y)
    return rows


def rms_norm(x, scale, eps):
    rows = []
    for row in x:
        r = root(sum(v * v for v in row) / len(row)) + eps
        rows.append([g * v / r for g, v in zip(scale, row)])
    return rows


def layer_norm(x, weight, bias, eps):
    rows = []
    for row in x:
        mean = sum(row) / len(row)
        r = root(sum((v - mean) * (v - mean) for v in row) / len(row) + eps)
        rows.append([w * (v - mean) / r + b for w, v, b in zip(weight, row, bias)])
    return rows


def rotate(head, n_rot, base):
    """head [T][dim]: pairs (i, i + n_rot/2) by the position."""
    out = []
    for t, row in enumerate(head):
        row = list(row)
        for i in range(n_rot // 2):
            angle = t * base ** (-2 * i / n_rot)
            a, b, c, s = row[i], row[i + n_rot // 2], math.cos(angle), math.sin(angle)
            row[i], row[i + n_rot // 2] = a * c - b * s, b * c + a * s
        out.append(row)
    return out


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def weigh(weights, rows):
    total = sum(weights)
    return [sum(w * r[c] for w, r in zip(weights, rows)) / total for c in range(len(rows[0]))]


def softmax_row(q, keys, values):
    scores = [dot(q, k) / math.sqrt(len(q)) for k in keys]
    top = max(s.real for s in scores)
    return weigh([exp(s - top) for s in scores], values)


def softmax(q, k, v):
    return [softmax_row(q[t], k[:t + 1], v[:t + 1]) for t in range(len(q))]


def features(x, projection, eps, shift):
    u = [a / len(x) ** 0.25 for a in x]
    half = dot(u, u) / 2
    return [(exp(dot(w, u) - half - shift) + eps) / math.sqrt(len(projection)) for w in projection]


def exponents(x, projection):
    return [dot(w, x).real / len(x) ** 0.25 for w in projection]


def performer(q, k, v, projection, eps):
    top = max(max(exponents(x, projection)) for x in k)
    fk = [features(x, projection, eps, top) for x in k]
    fq = [features(x, projection, eps, max(exponents(x, projection))) for x in q]
    return [weigh([dot(fq[t], f) for f in fk[:t + 1]], v[:t + 1]) for t in range(len(q))], fq, fk


def cosformer(q, k, v, m):
    def relu(x):
        return [a if a.real > 0 else 0.0 for a in x]
    out = []
    for i, x in enumerate(q):
        weights = [dot(relu(x), relu(k[j])) * math.cos(math.pi / 2 * (i - j) / m)
                   for j in range(i + 1)]
        out.append(weigh(weights, v[:i + 1]))
    return out


def compress(mix, rows):
    return [[sum(mix[t][s] * row[c] for t, row in enumerate(rows)) for c in range(len(rows[0]))]
            for s in range(len(mix[0]))]


def linformer(q, k, v, e, f, masked=False):
    kc, vc = compress(e, k), compress(f, v)
    return [softmax_row(x, kc[:t + 1] if masked else kc, vc[:t + 1] if masked else vc)
            for t, x in enumerate(q)]


def linformer_blocks(q, k, v, e, f, block, slots):
    e, f = [r[:slots] for r in e[:block]], [r[:slots] for r in f[:block]]
    out, keys, values = [], [], []
    for t, x in enumerate(q):
        own = t // block * block
        if t == own and t:
            keys += compress(e, k[own - block:own])
            values += compress(f, v[own - block:own])
        out.append(softmax_row(x, keys + k[own:t + 1], values + v[own:t + 1]))
    return out


def hadamard(x):
    return [sum(-v if bin(i & j).count("1") % 2 else v for j, v in enumerate(x))
            for i in range(len(x))]


def bh4(x, weight, padded, block):
    x, out = x + [0.0] * (padded - len(x)), []
    for stages in weight:
        y = x
        for blocks in stages:
            y = hadamard([dot(row, y[b * block:(b + 1) * block])
                          for b, matrix in enumerate(blocks) for row in matrix])
        out += y
    return out


def blend(x, weight, bias, padded, block, alpha):
    mapped, whole = bh4(x, weight, padded, block), x + [0.0] * (padded - len(x))
    return [alpha * mapped[i] + (1 - alpha) * whole[i % padded] + b for i, b in enumerate(bias)]


def block_forward(x, p, c):
    """x [batch][T][d] -> y and what lies between."""
    inter = {n: [] for n in ("norm1", "q", "k", "v", "attn_out", "norm2", "ffn1", "mid_ln", "ffn2")}
    ys = []
    for rows in x:
        a = rms_norm(rows, p["norm1_scale"], c["rms_eps"])
        q, k, v = (memory(a, p[n + "_tables"], p[n + "_bias"], c["tau"]) for n in "qkv")
        heads, dim = [], c["d"] // c["heads"]
        for h in range(c["heads"]):
            part = [[r[h * dim:(h + 1) * dim] for r in m] for m in (q, k, v)]
            turned = [rotate(m, c["rotary_dims"], c["rotary_base"]) for m in part[:2]]
            heads.append(softmax(*turned, part[2]))
        att = [sum((head[t] for head in heads), []) for t in range(len(rows))]
        z = [[s + t for s, t in zip(r, m)] for r, m in zip(rows, att)]
        b = rms_norm(z, p["norm2_scale"], c["rms_eps"])
        u = memory(b, p["ffn1_tables"], p["ffn1_bias"], c["tau"])
        w = layer_norm(u, p["mid_ln_weight"], p["mid_ln_bias"], c["mid_ln_eps"])
        f = memory(w, p["ffn2_tables"], p["ffn2_bias"], c["tau"] + c["extra_bit"])
        ys.append([[s + t for s, t in zip(r, m)] for r, m in zip(z, f)])
        for name, value in zip(inter, (a, q, k, v, att, b, u, w, f)):
            inter[name].append(value)
    return ys, inter


# ---- gradients ----

def flat(x):
    return [v for row in x for v in flat(row)] if isinstance(x, list) else [x]


def gradient(f, holder, key, weights):
    """d sum(weights f()) / d holder[key], shaped alike."""
    w = flat(weights)

    def step(node):
        if isinstance(node[0], list):
            return [step(child) for child in node]
        out = []
        for i, keep in enumerate(node):
            node[i] = complex(keep, H)
            out.append(sum(a * b.imag for a, b in zip(w, flat(f())) if isinstance(b, complex)) / H)
            node[i] = keep
        return out
    return step(holder[key])


# ---- files ----

rng = random.Random(SEED)


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def draw(*shape, scale=1.0):
    if not shape:
        return round(rng.gauss(0, scale), 4)
    return [draw(*shape[1:], scale=scale) for _ in range(shape[0])]


def away(x, least=2e-3):
    """No coordinate so near zero that float noise could turn its bit."""
    return [away(v) for v in x] if isinstance(x, list) else x if abs(x) > least else least


def write(folder, name, root_):
    with open(os.path.abspath(__file__), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    root_["note"] = f"oracle/layers.py, seed {SEED}, sha256 {digest}"
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(json.loads(json.dumps(root_), parse_float=lambda s: single(float(s))), file)
        file.write("\n")


def memory_file(folder, name, mode, temperature, b, k, tau, d):
    o = {"x": away(draw(b, k * tau)), "tables": draw(k, 2 ** tau, d), "bias": draw(d)}
    o["x"][0][:tau] = [0.0] * tau
    o["x"][1][0] = -0.0
    g = draw(b, d)

    def f():
        return memory(o["x"], o["tables"], o["bias"], tau, mode, temperature)
    chunks = [[row[i * tau:(i + 1) * tau] for i in range(k)] for row in o["x"]]
    write(folder, name, {
        "kind": "memory_layer", "case": name, "score_mode": mode, "temperature": temperature,
        "dims": {"B": b, "K": k, "tau": tau, "d_in": k * tau, "d_out": d}, **o,
        "code": [[choice(z) for z in row] for row in chunks],
        "score": [[score(z, mode, temperature) for z in row] for row in chunks], "y": f(),
        "grad_y": g, "grad_x": gradient(f, o, "x", g), "grad_tables": gradient(f, o, "tables", g),
        "grad_bias": gradient(f, o, "bias", g)})


def block_file(folder, name, d, k, tau, extra, batch, seq, heads, n_rot):
    c = {"batch": batch, "seq": seq, "d": d, "heads": heads, "K": k, "tau": tau,
         "extra_bit": extra, "rotary_dims": n_rot, "rotary_base": 500, "rms_eps": 0.01,
         "mid_ln_eps": 0.02}
    m = k * (tau + extra)
    p = {"norm1_scale": draw(d), "norm2_scale": draw(d)}
    for n in "qkv":
        p[n + "_tables"], p[n + "_bias"] = draw(k, 2 ** tau, d), draw(d)
    p.update(ffn1_tables=draw(k, 2 ** tau, m), ffn1_bias=draw(m), mid_ln_weight=draw(m),
             mid_ln_bias=draw(m), ffn2_tables=draw(k, 2 ** (tau + extra), d), ffn2_bias=draw(d))
    o, g = {"x": draw(batch, seq, d)}, draw(batch, seq, d)
    y, inter = block_forward(o["x"], p, c)
    least = min(abs(v) for n in ("norm1", "norm2", "mid_ln") for v in flat(inter[n]))
    assert least > 5e-4, f"{name}: a hash input of {least}: draw another seed"

    def f():
        return block_forward(o["x"], p, c)[0]
    write(folder, name, {
        "kind": "memoryformer_block", "case": name, "dims": c, "min_abs_hash_input": least,
        "params": p, **o, "inter": inter, "y": y, "grad_y": g, "grad_x": gradient(f, o, "x", g),
        "grads": {n: gradient(f, p, n, g) for n in p}})


def attention_file(folder, name, kind, heads, seq, dim, more, formula):
    """formula(q, k, v of one head, o) -> y; `more`: numbers that have gradients, by name."""
    o = {n: draw(heads, seq, dim) for n in "qkv"}
    o.update(more.get("params", {}))
    g = draw(heads, seq, dim)

    def f():
        return [formula(o["q"][h], o["k"][h], o["v"][h], o) for h in range(heads)]
    file = {"kind": kind, "case": name, **o, "y": f(), "grad_y": g,
            "dims": {"heads": heads, "seq": seq, "head_dim": dim, **more["dims"]}}
    for n in ["q", "k", "v"] + more.get("learnt", []):
        file["grad_" + n] = gradient(f, o, n, g)
    for n, other in more.get("also", {}).items():
        file[n] = [other(o["q"][h], o["k"][h], o["v"][h], o) for h in range(heads)]
    file.update(more.get("fields", {}))
    write(folder, name, file)


def attention_files(folder):
    eps, m = 1e-6, 11
    attention_file(folder, "performer", "performer_causal", 3, 9, 4, {
        "dims": {"features": 7}, "params": {"projection": draw(7, 4)}, "fields": {"eps": eps},
        "also": {"q_prime": lambda q, k, v, o: performer(q, k, v, o["projection"], eps)[1],
                 "k_prime": lambda q, k, v, o: performer(q, k, v, o["projection"], eps)[2],
                 "exact_softmax_y": lambda q, k, v, o: softmax(q, k, v)}},
        lambda q, k, v, o: performer(q, k, v, o["projection"], eps)[0])
    attention_file(folder, "cosformer", "cosformer_causal", 2, 8, 6, {
        "dims": {"m": m}, "fields": {"eps": 1e-6}}, lambda q, k, v, o: cosformer(q, k, v, m))
    attention_file(folder, "linformer", "linformer", 2, 11, 4, {
        "dims": {"proj": 5, "block": 3, "block_slots": 2}, "learnt": ["E", "F"],
        "params": {"E": draw(11, 5), "F": draw(11, 5)},
        "also": {"y_slot_mask": lambda q, k, v, o: linformer(q, k, v, o["E"], o["F"], True),
                 "y_block_causal": lambda q, k, v, o:
                     linformer_blocks(q, k, v, o["E"], o["F"], 3, 2)}},
        lambda q, k, v, o: linformer(q, k, v, o["E"], o["F"]))


def bh4_file(folder, name, b, d_in, block, d_out, alpha):
    padded = block
    while padded < d_in:
        padded *= 2
    repeat = -(-d_out // padded)
    o = {"x": draw(b, d_in), "bias": draw(d_out),
         "weight": draw(repeat, 4, padded // block, block, block, scale=0.3)}
    g = draw(b, d_out)

    def f():
        return [blend(x, o["weight"], o["bias"], padded, block, alpha) for x in o["x"]]
    write(folder, name, {
        "kind": "bh4", "case": name, "alpha": alpha, **o,
        "dims": {"B": b, "d_in": d_in, "padded": padded, "block": block, "repeat": repeat,
                 "d_out": d_out},
        "fwht_of_x": [hadamard(x + [0.0] * (padded - d_in)) for x in o["x"]],
        "bh4": [bh4(x, o["weight"], padded, block) for x in o["x"]], "y": f(), "grad_y": g,
        "grad_x": gradient(f, o, "x", g), "grad_weight": gradient(f, o, "weight", g),
        "grad_bias": gradient(f, o, "bias", g)})


def main():
    folder = sys.argv[1]
    memory_file(folder, "memory_l1", "l1_prob", 1, 7, 3, 5, 6)
    memory_file(folder, "memory_prob", "prob_t", 1.5, 8, 4, 2, 3)
    block_file(folder, "block", 8, 4, 2, 1, 2, 4, 2, 4)
    attention_files(folder)
    bh4_file(folder, "bh4", 2, 7, 2, 11, 0.6)


if __name__ == "__main__":
    main()
