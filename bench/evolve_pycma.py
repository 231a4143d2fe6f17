#!/usr/bin/env python3
"""Our CMA-ES beside pycma (`pip install cma`): evaluations until f <= 1e-10.

    bench/evolve_pycma.py [--mneme build/release/mneme] [--seeds 20] [--cases NAME-N,...] [--out FILE]

Both start with sigma 2 at a mean drawn uniformly from [-4, 4]^n and take 4 + floor(3 ln n) candidates
and every other default of their own. Sphere, ellipsoid and rosenbrock run without restarts, rastrigin
with IPOP and 200,000 evaluations. A run that misses the target counts as infinitely long. The table
shows medians with quartiles and the ratio ours / pycma; the JSON every single run. Needs numpy, cma."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

START, SIGMA, TARGET = 4.0, 2.0, 1e-10
CASES = [("sphere", 10, 0), ("sphere", 40, 0), ("ellipsoid", 10, 0), ("ellipsoid", 40, 0),
         ("rosenbrock", 10, 0), ("rosenbrock", 40, 0), ("rastrigin", 10, 200000)]
LONGEST = 400000  # evaluations of a run without restarts


def functions(np):
    """The same formulas as `mneme evolve --function`."""
    def ellipsoid(x):
        return float(np.dot(10 ** (6 * np.arange(len(x)) / (len(x) - 1)), x * x))

    def rosenbrock(x):
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    def rastrigin(x):
        return float(10 * len(x) + np.sum(x * x - 10 * np.cos(2 * np.pi * x)))

    return {"sphere": lambda x: float(np.dot(x, x)), "ellipsoid": ellipsoid,
            "rosenbrock": rosenbrock, "rastrigin": rastrigin}


def run_pycma(name, n, most, seeds):
    """Evaluations of each run, None where the target was missed."""
    import warnings
    warnings.simplefilter("ignore")
    import cma
    import numpy as np
    f, runs = functions(np)[name], []
    for seed in range(1, seeds + 1):
        draw = np.random.RandomState(seed)
        options = {"ftarget": TARGET, "maxfevals": most or LONGEST, "seed": seed, "verbose": -9,
                   "verb_log": 0}
        _, es = cma.fmin2(lambda x: f(np.asarray(x)), lambda: draw.uniform(-START, START, n), SIGMA,
                          options, restarts=99 if most else 0, incpopsize=2)
        runs.append(int(es.result.evaluations) if es.result.fbest <= TARGET else None)
    return runs


def run_mneme(mneme, name, n, most, seeds):
    command = [mneme, "evolve", "--function", name, "--dim", str(n), "--sigma", str(SIGMA), "--start",
               str(START), "--target", str(TARGET), "--runs", str(seeds), "--seed", "1", "--json",
               "--max-evaluations", str(most or LONGEST)] + (["--restart", "ipop"] if most else [])
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    last = json.loads(out.splitlines()[-1])
    return [r["evaluations"] if r["reached"] else None for r in last["runs"]]


def quartiles(runs):
    x = sorted(float("inf") if r is None else r for r in runs)
    return [x[len(x) // 4], statistics.median(x), x[-1 - len(x) // 4]]


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--mneme", default=os.path.join(here, "build/release/mneme"))
    ap.add_argument("--seeds", type=int, default=20)
    ap.add_argument("--cases", default="")
    ap.add_argument("--out", default="")
    ap.add_argument("--peer", default="", help="a file of --out whose runs of pycma are taken over")
    args = ap.parse_args()
    known = {}
    if args.peer:
        with open(args.peer) as f:
            known = {(r["function"], r["dim"]): r["pycma"] for r in json.load(f)["rows"]}
    wanted = set(args.cases.split(",")) if args.cases else None
    rows, worst = [], 0.0
    print(f"{'function':12}{'n':>4}  {'ours: median [quartiles]':>34}  {'pycma: median [quartiles]':>34}"
          f"  {'ratio':>6}  reached")
    for name, n, most in CASES:
        if wanted and f"{name}-{n}" not in wanted:
            continue
        begin = time.time()
        theirs = known.get((name, n)) or run_pycma(name, n, most, args.seeds)
        ours = run_mneme(args.mneme, name, n, most, args.seeds)
        a, b = quartiles(ours), quartiles(theirs)
        ratio = a[1] / b[1] if b[1] < float("inf") else float("nan")
        hits = [sum(r is not None for r in runs) for runs in (ours, theirs)]
        show = ["{1:.0f} [{0:.0f}, {2:.0f}]".format(*q) for q in (a, b)]
        print(f"{name:12}{n:4}  {show[0]:>34}  {show[1]:>34}  {ratio:6.3f}  "
              f"{hits[0]}/{len(ours)} {hits[1]}/{len(theirs)}", flush=True)
        if not most:
            worst = max(worst, ratio)
        rows.append({"function": name, "dim": n, "restart": "ipop" if most else "none",
                     "max_evaluations": most or LONGEST, "mneme": ours, "pycma": theirs,
                     "ratio": None if ratio != ratio or ratio == float("inf") else ratio,
                     "seconds": round(time.time() - begin, 1)})
    if args.out:
        with open(args.out, "w") as f:
            json.dump({"version": 1, "start": START, "sigma": SIGMA, "target": TARGET, "rows": rows}, f)
            f.write("\n")
    print(f"worst ratio of the runs without restarts: {worst:.3f}")
    sys.exit(5 if worst > 1.2 else 0)


if __name__ == "__main__":
    main()
