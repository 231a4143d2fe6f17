#!/usr/bin/env python3
"""Golden files of a NAMM's networks: BAM, MLP and the order of the parameters, in double precision
and plain Python, straight from the formulas. Nothing of the library is used.
  namm_net.py DIR           write the files
  namm_net.py --check DIR   compare golden files of the same kinds, of whatever origin
"""
import glob
import hashlib
import json
import math
import os
import random
import sys

SEED = 51


# ---- parameters: [name, rows, columns] in their order ----

def bam_tensors(net):
    e, d, bias = net["emb_dim"], net["hidden_dim"], net["attn_bias"]
    out = (2 if net["mult"] else 1) * e
    return [("W_qkv", e, 3 * d), ("b_qkv", bias, 3 * d), ("W_o", d, out), ("b_o", bias, out),
            ("W_m", e, 1), ("b_m", 1, 1)]


def mlp_tensors(net):
    width = [net["emb_dim"]] + [net["hidden_dim"]] * (net["depth"] - 1) + [1]
    shapes = []
    for i, (a, b) in enumerate(zip(width, width[1:])):
        shapes += [(f"W{i}", a, b), (f"b{i}", net["bias"], b)]
    return shapes


def unpack(tensors, flat):
    """Matrices by name; a bias that is not there is zero."""
    out, at = {}, 0
    for name, rows, cols in tensors:
        out[name] = [flat[at + r * cols:at + (r + 1) * cols] for r in range(int(rows))]
        at += int(rows) * cols
        if not rows:
            out[name] = [[0.0] * cols]
    assert at == len(flat)
    return out


def affine(x, w, b):
    return [sum(xi * row[o] for xi, row in zip(x, w)) + b[0][o] for o in range(len(w[0]))]


# ---- networks ----

def attend(net, qkv, i, mask):
    """o of token i over itself and the newer tokens that are keys."""
    d, out = net["hidden_dim"], []
    size = d // net["num_heads"]
    for h in range(net["num_heads"]):
        part = slice(h * size, (h + 1) * size)
        keys = [j for j in range(i, len(qkv)) if mask[j]]
        z = [sum(a * b for a, b in zip(qkv[i][0:d][part], qkv[j][d:2 * d][part])) / math.sqrt(size)
             for j in keys]
        top = max(z, default=0)
        p = [math.exp(x - top) for x in z]
        values = [qkv[j][2 * d:][part] for j in keys]
        out += [sum(a * v[c] for a, v in zip(p, values)) / (sum(p) or 1) for c in range(size)]
    return out


def bam(net, params, rows, mask):
    t, e = unpack(bam_tensors(net), params), net["emb_dim"]
    qkv = [affine(x, t["W_qkv"], t["b_qkv"]) for x in rows]
    outs, scores = [], []
    for i, x in enumerate(rows):
        o = affine(attend(net, qkv, i, mask), t["W_o"], t["b_o"])
        m = o[e:] if net["mult"] else [0.0] * e
        outs.append(o)
        scores.append(affine([a * (1 + b) + r for a, b, r in zip(x, m, o)], t["W_m"], t["b_m"])[0])
    return outs, scores


def mlp(net, params, x):
    t, last = unpack(mlp_tensors(net), params), net["depth"] - 1
    for i in range(last):
        y = [max(0.0, v) for v in affine(x, t[f"W{i}"], t[f"b{i}"])]
        add = net["residual"] if i else net["residual_first"]
        x = [a + b for a, b in zip(x, y)] if add else y
    return affine(x, t[f"W{last}"], t[f"b{last}"])[0]


# ---- files ----

def drawn(rng, size, *shape):
    if not shape:
        return round(rng.gauss(0, size), 4)
    return [drawn(rng, size, *shape[1:]) for _ in range(shape[0])]


def count(tensors):
    return sum(int(rows) * cols for _, rows, cols in tensors)


def bam_file(rng, heads, n, masked, **net):
    net["n_params"] = count(bam_tensors(net))
    params = drawn(rng, 0.4, net["n_params"])
    rows = drawn(rng, 1, heads, n, net["emb_dim"])
    mask = [int(not masked or rng.random() < 0.7) for _ in range(n - 1)] + [1]
    results = [bam(net, params, x, mask) for x in rows]
    return {**net, "params": params, "kv_heads": heads, "n_tokens": n, "token_mask": mask,
            "embeddings": rows, "attention_output": [a for a, _ in results],
            "scores": [s for _, s in results]}


def mlp_file(rng, heads, n, nets):
    variants = []
    for net in nets:
        net["n_params"] = count(mlp_tensors(net))
        params = drawn(rng, 0.4, net["n_params"])
        rows = drawn(rng, 1, heads, n, net["emb_dim"])
        variants.append({**net, "params": params, "embeddings": rows,
                         "scores_intended": [[mlp(net, params, x) for x in h] for h in rows]})
    return {"kv_heads": heads, "n_tokens": n, "variants": variants}


def flat_variant(net):
    tensors, at, offsets, entries = bam_tensors(net), 0, {}, {}
    for name, rows, cols in tensors:
        if rows:
            offsets[name] = {"offset": at, "size": rows * cols, "shape": [int(rows), cols]}
        block = [[at + r * cols + c for c in range(cols)] for r in range(int(rows))]
        entries[name] = None if not rows else block[0] if name[0] == "b" else block
        at += int(rows) * cols
    return {**net, "n_params": at, "offsets": offsets, "tensors_of_indices": entries}


def net_of(e, d, heads, bias, mult):
    return {"emb_dim": e, "hidden_dim": d, "num_heads": heads, "attn_bias": bias, "mult": mult}


def mlp_of(e, d, depth, bias, first, residual):
    return {"emb_dim": e, "hidden_dim": d, "depth": depth, "bias": bias, "residual_first": first,
            "residual": residual}


def files():
    rng = random.Random(SEED)
    yield "bam_gated", "bam_scorer", bam_file(rng, 2, 40, False, **net_of(9, 8, 1, True, True))
    yield "bam_heads_masked", "bam_scorer", bam_file(rng, 1, 67, True,
                                                     **net_of(5, 12, 3, True, True))
    yield "bam_additive", "bam_scorer", bam_file(rng, 2, 19, True, **net_of(7, 10, 2, False, False))
    nets = [mlp_of(27, 27, 1, True, False, False), mlp_of(6, 10, 2, True, False, True),
            mlp_of(8, 8, 4, True, True, True), mlp_of(8, 5, 3, False, False, False)]
    yield "mlp", "mlp_scorer", mlp_file(rng, 2, 7, nets)
    yield "flat", "flat_params", {"variants": [flat_variant(net_of(*x)) for x in (
        (3, 4, 1, True, True), (5, 6, 3, False, True), (4, 2, 2, True, False))]}


def write(folder):
    with open(__file__, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    os.makedirs(folder, exist_ok=True)
    for name, kind, content in files():
        doc = {"kind": kind, "case": name, "oracle": {"script": "oracle/namm_net.py",
                                                      "sha256": digest}, "seed": SEED, **content}
        doc = json.loads(json.dumps(doc), parse_float=lambda x: float("%.9g" % float(x)))
        with open(os.path.join(folder, name + ".json"), "w") as f:
            lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in doc.items())
            f.write("{\n" + ",\n".join(lines) + "\n}\n")


# ---- other people's files ----

def flatten(x):
    return [y for part in x for y in flatten(part)] if isinstance(x, list) else [x]


def worst(a, b):
    a, b = flatten(a), flatten(b)
    assert len(a) == len(b)
    return max(abs(x - y) / max(1, abs(x) / 2) for x, y in zip(a, b))


def difference(doc):
    if doc["kind"] == "bam_scorer":
        found = [bam(doc, doc["params"], x, doc["token_mask"]) for x in doc["embeddings"]]
        return max(worst(doc["attention_output"], [a for a, _ in found]),
                   worst(doc["scores"], [s for _, s in found]))
    if doc["kind"] == "mlp_scorer":
        return max(worst(v["scores_intended"],
                         [[mlp(v, v["params"], x) for x in h] for h in v["embeddings"]])
                   for v in doc["variants"])
    return max(worst([v["offsets"][k][x] for k in v["offsets"] for x in ("offset", "size")],
                     [flat_variant(v)["offsets"][k][x] for k in v["offsets"]
                      for x in ("offset", "size")]) for v in doc["variants"])


def check(folder):
    bad = n = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as f:
            doc = json.load(f)
        if doc["kind"] not in ("bam_scorer", "mlp_scorer", "flat_params"):
            continue
        d = difference(doc)
        n, bad = n + 1, bad + (d > 2e-5)
        print("%s: largest difference %.2g" % (os.path.basename(path), d))
    return 1 if bad or not n else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
