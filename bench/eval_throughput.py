#!/usr/bin/env python3
"""What `mneme eval` costs beside the bare work, and many policies beside one.

    bench/eval_throughput.py --text BOOK.txt[.xz] [--mneme build/release/mneme] [--model smollm2]
        [--prompts 100] [--tokens 4096] [--write 32] [--rounds 3] [--parts bare,policies] [--out FILE]

Prompts are stretches of the text of about so many tokens, with a question behind each, the same for
all sides; sides take turns, and medians over the rounds are compared.

bare      wall time of an evaluation of all prompts with one policy (snapkv at 25%), against the time
          that `mneme run` reports for reading each prompt under the full cache and writing as many
          tokens. The evaluation's time also holds the start of the program, the model, the store,
          the likelihood of the gold answer, and four cases that always join: full, empty, truncation
          and random. Exit 5 above 1.2.
policies  wall time of an evaluation with twelve policies that act at the prompt's end, at three
          budgets each, against one of them at one budget (each with the four). Exit 5 at 3 or more.

Only the standard library is used."""
import argparse
import json
import lzma
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MOST_BARE, MOST_POLICIES = 1.2, 3.0
TWELVE = ("snapkv,pyramidkv,adakv:base=snapkv,h2o,tova,knorm,expected,cur,observed,tova:pool=7,"
          "window:share=layer,pool=7,keyformer")
QUESTION = "Question: who speaks in this text?\nAnswer:"


def read_text(path):
    with lzma.open(path) if path.endswith(".xz") else open(path, "rb") as f:
        return f.read().decode("utf-8")


def seconds_of(command):
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    spent = time.monotonic() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return spent, done.stdout


class Work:
    """The prompts, in files, and how each side reads them."""

    def __init__(self, args, folder):
        self.args, self.folder, self.n_run = args, folder, 0
        text = read_text(args.text)
        self.prompt = os.path.join(folder, "prompt.txt")
        n_char = self.length(text)
        need = n_char * args.prompts
        if len(text) < n_char:
            sys.exit(f"{args.text}: {len(text)} characters, a prompt takes {n_char}")
        step = n_char if len(text) >= need else max(1, (len(text) - n_char) // args.prompts)
        self.contexts = [text[i * step:i * step + n_char] for i in range(args.prompts)]
        self.rows = os.path.join(folder, "prompts.jsonl")
        with open(self.rows, "w", encoding="utf-8") as f:
            for context in self.contexts:
                row = {"context": context, "input": QUESTION, "answers": ["the narrator"]}
                f.write(json.dumps(row, ensure_ascii=False) + "\n")

    def bare_one(self, context, n_write):
        """Seconds of reading and of writing, and the prompt's tokens."""
        with open(self.prompt, "w", encoding="utf-8") as f:
            f.write(context + "\n\n" + QUESTION)
        command = [self.args.mneme, "run", "-m", self.args.model, "--raw", "-f", self.prompt, "-n",
                   str(n_write), "--json", "--policy", "full", "--no-progress"] + self.args.common
        doc = json.loads(seconds_of(command)[1])
        rates = doc["prefill_tokens_per_s"], doc["decode_tokens_per_s"]
        read = doc["prompt_tokens"] / rates[0]
        return read + (doc["generated_tokens"] / rates[1] if rates[1] else 0), doc["prompt_tokens"]

    def length(self, text):
        """Characters of so many tokens: of a stretch about as long, from the middle (books begin
        with titles and lists)."""
        n = 4 * self.args.tokens
        begin = max(0, (len(text) - n) // 2)
        sample = text[begin:begin + n]
        return int(len(sample) * self.args.tokens / self.bare_one(sample, 1)[1])

    def bare(self):
        found = [self.bare_one(context, self.args.write) for context in self.contexts]
        self.mean_tokens = statistics.mean(n for _, n in found)
        return sum(spent for spent, _ in found)

    def evaluate(self, policies, budgets):
        self.n_run += 1
        out = os.path.join(self.folder, f"run-{self.n_run}")
        command = [self.args.mneme, "eval", "-m", self.args.model, "--task-file", self.rows,
                   "--metric", "qa_f1", "-n", str(self.args.write), "--policies", policies,
                   "--budgets", budgets, "--out", out, "-q", "--no-progress"] + self.args.common
        spent, _ = seconds_of(command)
        shutil.rmtree(out)
        return spent


def compare(name, most, sides, rounds):
    """Sides in turns; the median of each, and their ratio."""
    times = {side: [] for side in sides}
    for i in range(rounds):
        for side, work in sides.items():
            times[side].append(work())
            print(f"{name} round {i + 1}: {side} {times[side][-1]:.1f} s", file=sys.stderr, flush=True)
    above, below = (statistics.median(t) for t in times.values())
    return {"name": name, "seconds": times, "ratio": above / below, "at_most": most}


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--text", required=True, help="UTF-8, also .xz")
    ap.add_argument("--mneme", default="build/release/mneme")
    ap.add_argument("--model", default="smollm2")
    ap.add_argument("--prompts", type=int, default=100)
    ap.add_argument("--tokens", type=int, default=4096)
    ap.add_argument("--write", type=int, default=32)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--threads", type=int)
    ap.add_argument("--parts", default="bare,policies")
    ap.add_argument("--out", help="JSON; default: bench/results/DATE-eval.json")
    args = ap.parse_args()
    args.common = ["-t", str(args.threads)] if args.threads else []
    parts = args.parts.split(",")
    if set(parts) - {"bare", "policies"} or min(args.prompts, args.tokens, args.rounds) < 1:
        ap.error("--parts: bare, policies; at least one prompt, token and round")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Work(args, folder)
        if "bare" in parts:
            rows.append(compare("bare", MOST_BARE, {
                "eval, one policy": lambda: work.evaluate("snapkv", "25%"),
                "run, full cache": work.bare}, args.rounds))
            rows[-1]["prompt_tokens"] = work.mean_tokens
        if "policies" in parts:
            rows.append(compare("policies", MOST_POLICIES, {
                "eval, 12 policies x 3 budgets": lambda: work.evaluate(TWELVE, "50%,25%,12.5%"),
                "eval, one policy": lambda: work.evaluate("snapkv", "25%")}, args.rounds))
    print(f"{'':10}{'side':32}{'median s':>10}{'a prompt':>10}{'ratio':>8}{'at most':>9}")
    for row in rows:
        for k, (side, times) in enumerate(row["seconds"].items()):
            m = statistics.median(times)
            last = f"{row['ratio']:8.2f}{row['at_most']:9.1f}" if k else ""
            print(f"{'' if k else row['name']:10}{side:32}{m:10.1f}{m / args.prompts:10.2f}{last}")
    version = subprocess.run([args.mneme, "--version"], capture_output=True, text=True,
                             check=True).stdout.strip()
    path = args.out or os.path.join(os.path.dirname(__file__), "results",
                                    time.strftime("%Y-%m-%d-eval.json"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"version": 1, "mneme": version, "model": os.path.basename(args.model),
                   "prompts": args.prompts, "tokens": args.tokens, "write": args.write,
                   "policies": TWELVE, "rows": rows}, f, indent=1)
        f.write("\n")
    missed = any(r["ratio"] > r["at_most"] if r["name"] == "bare" else r["ratio"] >= r["at_most"]
                 for r in rows)
    sys.exit(5 if missed else 0)


if __name__ == "__main__":
    main()
