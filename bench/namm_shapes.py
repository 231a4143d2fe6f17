#!/usr/bin/env python3
"""The paper's networks beside each other: BAM, BAM without its gate, an MLP, evolved alike.

    bench/namm_shapes.py [--mneme build/release/mneme] [--work build/shapes] [--generations 10]
        [--population 16] [--prompts 16] [--ctx 2048] [--seed 1] [--publish bench/results]

Age and spectrogram are what each sees, a threshold decides, as in arXiv 2410.13166, once, at the
prompt's end; CMA-ES alone makes them, from networks that keep everything, with as many evaluations
for each. The paper's tasks are longer than what a small model reads well; of the same kinds, --ctx
tokens at most: stage 1 is a needle (niah), stage 2 adds questions whose paragraphs stand among
others (ruler_qa), stage 3 text of books (lm_books). Rated by frozen prefill (docs/evolve.md),
divergence from the full cache, with a term for what is kept beyond --share. What a stage ends with
is evaluated on rows of all of LongBench that no stage has seen, beside rules at the same share.
Interrupted, the same command goes on. The data is read from MNEME_DATA (docs/data.md).

Only the standard library is used."""
import argparse
import os
import shutil
import subprocess
import sys

import records

SHAPES = ("paper", "paper-additive", "paper-mlp")
STAGES = ("niah", "+ruler_qa_1,ruler_qa_2", "+lm_books")
RULES = "streaming:chunk=0,knorm,h2o,tova,observed,window:share=layer,pool=7"


def call(command):
    print(" ".join(command), file=sys.stderr, flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(status)


def evolve(args, shape):
    """The files that the stages ended with."""
    out, made = os.path.join(args.work, shape), []
    for k in range(len(STAGES)):
        file = os.path.join(args.work, f"{shape}-stage{k + 1}.namm.gguf")
        made.append(file)
        if os.path.exists(file):
            continue
        command = [args.mneme, "evolve", "-m", args.model, "--from", shape]
        for stage in STAGES[:k + 1]:
            command += ["--stage", stage]
        call(command + [
            "--generations", str(args.generations), "--population", str(args.population),
            "--prompts", str(args.prompts), "--held-out", "4", "--validate", "2",
            "--sigma", "0.065", "--covariance", "separable", "--ctx", str(args.ctx),
            "--lengths", str(args.ctx * 3 // 4), "--limit", "16", "--budgets", "none",
            "--target-share", args.share,
            "--namm-options", "chunk=0,every=0", "--seed", str(args.seed), "--out", out])
        shutil.copy(os.path.join(out, "best.namm.gguf"), file + ".new")
        os.replace(file + ".new", file)
    return made


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--mneme", default="build/release/mneme")
    p.add_argument("--model", default="smollm2")
    p.add_argument("--work", default="build/shapes")
    p.add_argument("--generations", type=int, default=10, help="of each stage")
    p.add_argument("--population", type=int, default=16)
    p.add_argument("--prompts", type=int, default=16)
    p.add_argument("--ctx", type=int, default=2048)
    p.add_argument("--share", default="25%")
    p.add_argument("--limit", type=int, default=2,
                   help="rows of each task that they are compared on")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--publish", metavar="DIR")
    args = p.parse_args()
    if not os.environ.get("MNEME_DATA"):
        p.error("MNEME_DATA must name the folder of the evaluation sets")
    os.makedirs(args.work, exist_ok=True)
    files = [f for shape in SHAPES for f in evolve(args, shape)]
    policies = ",".join(f"namm:file={f},chunk=0,every=0" for f in files) + "," + RULES
    table = os.path.join(args.work, "namm-shapes")
    call([args.mneme, "eval", "-m", args.model, "--tasks", "longbench", "--split", "test",
          "--limit", str(args.limit), "--ctx", str(args.ctx), "--budgets", args.share,
          "--seed", "7", "--policies", policies, "--evict", "prompt", "-n", "1", "--jobs", str(args.jobs),
          "--out", table])
    call([args.mneme, "report", table, "--quiet"])
    if args.publish:
        target = os.path.join(args.publish, "namm-shapes")
        records.publish(table, target)
        for shape in SHAPES:
            call([args.mneme, "report", os.path.join(args.work, shape), "--quiet"])
            shutil.copy(os.path.join(args.work, shape, "report.json"),
                        os.path.join(target, shape + ".json"))


if __name__ == "__main__":
    main()
