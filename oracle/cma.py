#!/usr/bin/env python3
"""Golden files of CMA-ES and of a candidate's fitness, in double precision and plain Python,
straight from the formulas (eigenvectors by Jacobi's rotations). Nothing of the library is used.
  cma.py DIR    write the files
"""
import hashlib
import json
import math
import os
import random
import sys

SEED = 20265


def constants(n, lam, ratio):
    mu = max(1, int(lam * ratio))
    raw = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]

    def effective(w):
        return sum(w) ** 2 / sum(x * x for x in w) if w else 0.0

    mu_eff, mu_minus, m = effective(raw[:mu]), effective(raw[mu:]), min(n, 40000)
    c_1 = 2 / ((m + 1.3) ** 2 + mu_eff)
    c_mu = min(1 - c_1 - 1e-8, 2 * (mu_eff - 2 + 1 / mu_eff) / ((m + 2) ** 2 + mu_eff))
    most = min(1 + c_1 / c_mu, 1 + 2 * mu_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu))
    plus, minus = sum(w for w in raw if w > 0), -sum(w for w in raw if w < 0)
    c_s = (mu_eff + 2) / (n + mu_eff + 5)
    return {"n": n, "pop_size": lam, "elite_ratio": ratio, "elite_size": mu,
            "weights": [w / plus if w >= 0 else most * w / minus for w in raw],
            "mu_eff": mu_eff, "c_1": c_1, "c_mu": c_mu, "c_sigma": c_s,
            "d_sigma": 1 + 2 * max(0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_s,
            "c_c": (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n),
            "expected_norm": math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * m * m))}


# ---- small matrices: lists of rows ----

def times(a, x):
    return [sum(p * q for p, q in zip(row, x)) for row in a]


def turned(a):
    return [list(col) for col in zip(*a)]


def norm(x):
    return math.sqrt(sum(v * v for v in x))


def jacobi(a):
    """Eigenvalues and vectors (columns) of a symmetric matrix."""
    n = len(a)
    a, v = [row[:] for row in a], [[float(i == j) for j in range(n)] for i in range(n)]
    for _ in range(100):
        if sum(a[i][j] ** 2 for i in range(n) for j in range(n) if i != j) < 1e-30:
            break
        for p in range(n):
            for q in range(p + 1, n):
                if a[p][q] == 0:
                    continue
                theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                t = math.copysign(1, theta) / (abs(theta) + math.hypot(theta, 1))
                c = 1 / math.hypot(t, 1)
                s = t * c
                for m in (a, v):
                    for row in m:
                        row[p], row[q] = c * row[p] - s * row[q], s * row[p] + c * row[q]
                a[p], a[q] = ([c * x - s * y for x, y in zip(a[p], a[q])],
                              [s * x + c * y for x, y in zip(a[p], a[q])])
    return [a[i][i] for i in range(n)], v


# ---- a trace ----

def trace(case, n, lam, ratio, sigma, mean, rate, generations, draw):
    k = constants(n, lam, ratio)
    mu, w = k["elite_size"], k["weights"]
    c = [[float(i == j) for j in range(n)] for i in range(n)]
    p_s, p_c, best, best_x, out = [0.0] * n, [0.0] * n, -math.inf, None, []
    doc = {"kind": "cma_es", "case": case, "seed": SEED, "note": "", "init_sigma": sigma,
           "init_mean": mean[:], "c_m": 1, "weights_elite": w[:mu] + [0] * (lam - mu), **k}
    for g in range(1, generations + 1):
        cs = [[x + (1e-6 if g == 1 else 0) for x in row] for row in c]
        values, b = jacobi(cs)
        d = [math.sqrt(x if x > 0 else 1e-20) for x in values]
        z = [[draw.gauss(0, 1) for _ in range(n)] for _ in range(lam)]
        y = [times(b, [p * q for p, q in zip(d, zi)]) for zi in z]
        x = [[m + sigma * v for m, v in zip(mean, yi)] for yi in y]
        fitness = [rate(xi) for xi in x]
        order = sorted(range(lam), key=lambda i: -fitness[i])
        if fitness[order[0]] > best:
            best, best_x = fitness[order[0]], x[order[0]]

        def whiten(v):
            return times(b, [p / q for p, q in zip(times(turned(b), v), d)])

        y_w = [sum(w[r] * y[order[r]][j] for r in range(mu)) for j in range(n)]
        mean = [m + sigma * v for m, v in zip(mean, y_w)]
        f = math.sqrt(k["c_sigma"] * (2 - k["c_sigma"]) * k["mu_eff"])
        p_s = [(1 - k["c_sigma"]) * p + f * v for p, v in zip(p_s, whiten(y_w))]
        h = int(norm(p_s) / math.sqrt(1 - (1 - k["c_sigma"]) ** (2 * g)) <
                (1.4 + 2 / (n + 1)) * k["expected_norm"])
        left = k["c_c"] * (2 - k["c_c"])
        p_c = [(1 - k["c_c"]) * p + h * math.sqrt(left * k["mu_eff"]) * v for p, v in zip(p_c, y_w)]
        keep = 1 + k["c_1"] * (1 - h) * left - k["c_1"] - k["c_mu"] * sum(w)
        wo = [w[r] if w[r] > 0 else w[r] * n / (norm(whiten(y[order[r]])) ** 2 + 1e-20)
              for r in range(lam)]
        c = [[keep * c[i][j] + k["c_1"] * p_c[i] * p_c[j] +
              k["c_mu"] * sum(wo[r] * y[order[r]][i] * y[order[r]][j] for r in range(lam))
              for j in range(n)] for i in range(n)]
        sigma *= math.exp(k["c_sigma"] / k["d_sigma"] * (norm(p_s) / k["expected_norm"] - 1))
        out.append({"z": z, "sampling_C": cs, "B": b, "D": d, "y": y, "x": x, "fitness": fitness,
                    "mean": mean, "sigma": sigma, "p_sigma": p_s, "p_c": p_c, "C": c, "h_sigma": h,
                    "best_member": best_x, "best_fitness": best})
    assert any(abs(s["C"][0][1]) > 1e-3 for s in out), "nothing was learned"
    return {**doc, "generations": out}


def fitness_case(draw):
    examples = []
    for sizes in ([7], [5, 9, 6]):
        reference = [[draw.random() for _ in range(n + 4)] for n in sizes]
        idx = [sorted(draw.sample(range(n + 4), n)) for n in sizes]
        scores = [[draw.random() for _ in range(n)] for n in sizes]
        percent = [100 * sum(s) / len(s) for s in scores]
        base = [100 * sum(r[i] for i in ids) / len(ids) for r, ids in zip(reference, idx)]
        ratio = [p / (b + 1e-7) for p, b in zip(percent, base)]
        examples.append({"tasks": ["t%d" % t for t in range(len(sizes))], "sample_idx": idx,
                         "sample_scores": scores, "reference_scores": reference,
                         "task_score_percent": percent, "normalised": ratio,
                         "fitness": sum(ratio) / len(ratio)})
    return {"kind": "fitness", "case": "fitness", "seed": SEED, "note": "", "examples": examples}


def rounded(v):
    if isinstance(v, float):
        return float("%.12g" % v)
    if isinstance(v, list):
        return [rounded(x) for x in v]
    return {k: rounded(x) for k, x in v.items()} if isinstance(v, dict) else v


def main():
    where, draw = sys.argv[1], random.Random(SEED)
    with open(__file__, "rb") as f:
        oracle = "cma.py sha256 " + hashlib.sha256(f.read()).hexdigest()
    rows = [constants(n, lam, r) for n, lam, r in ((6, 9, 0.5), (50, 12, 0.25), (900, 33, 0.5))]
    docs = {
        "constants.json": {"kind": "cma_constants", "case": "cma_constants", "rows": rows},
        "trace_n4.json": trace("one long axis", 4, 7, 0.5, 0.5, [0.5, -1.0, 0.25, 2.0],
                               lambda x: -sum(30.0 ** i * v * v for i, v in enumerate(x)), 5, draw),
        "trace_n3_elite.json": trace("few move the mean, p_c stalls", 3, 9, 0.34, 0.02,
                                     [9.0, 9.0, -9.0], lambda x: -sum(v * v for v in x), 6, draw),
        "fitness.json": fitness_case(draw),
    }
    for name, doc in docs.items():
        with open(os.path.join(where, name), "w", encoding="utf-8") as f:
            json.dump({"oracle": oracle, **rounded(doc)}, f)
            f.write("\n")


if __name__ == "__main__":
    main()
