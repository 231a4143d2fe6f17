#!/usr/bin/env python3
"""Compare two results of `mneme bench --json`: speed of B over speed of A, row by row.

    bench/compare.py bench/results/OLD.json NEW.json [--fail-below 0.95]

Rows are matched by model, policy, cpu, phase and depth. Ratios to the peer are compared where both files
have them, since they hold between hours of a noisy machine where single speeds do not."""
import argparse
import json
import sys


def rows(path):
    with open(path, encoding="utf-8") as f:
        doc = json.load(f)
    keys = ("model", "policy", "cpu", "phase", "depth")
    return {tuple(r[k] for k in keys): r for r in doc["rows"]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("old")
    ap.add_argument("new")
    ap.add_argument("--fail-below", type=float, help="exit 5 when a comparison falls below this")
    args = ap.parse_args()
    old, new, worst = rows(args.old), rows(args.new), None
    print(f"{'policy':20} {'phase':8} {'depth':>6} {'old':>9} {'new':>9} {'new/old':>8} {'by peer':>8}")
    for key in sorted(old.keys() & new.keys(), key=lambda k: (k[1], k[3], k[4])):
        a, b = old[key], new[key]
        direct = b["tokens_per_s"] / a["tokens_per_s"]
        by_peer = b["ratio"] / a["ratio"] if "ratio" in a and "ratio" in b else None
        judged = by_peer if by_peer is not None else direct
        worst = judged if worst is None else min(worst, judged)
        shown = f"{by_peer:8.3f}" if by_peer is not None else f"{'-':>8}"
        print(f"{key[1]:20} {key[3]:8} {key[4]:6} {a['tokens_per_s']:9.1f} {b['tokens_per_s']:9.1f} {direct:8.3f} {shown}")
    if worst is None:
        sys.exit("no rows in common")
    if args.fail_below is not None and worst < args.fail_below:
        print(f"worst comparison {worst:.3f} is below {args.fail_below}", file=sys.stderr)
        sys.exit(5)


if __name__ == "__main__":
    main()
