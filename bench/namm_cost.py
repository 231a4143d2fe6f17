#!/usr/bin/env python3
"""What a NAMM costs: reading, memory, a generation of its evolution, and what it gives to writing.

    bench/namm_cost.py [--mneme build/release/mneme] [--model smollm2] [--data DIR] [--only PART,...]
        [--paper FILE] [--ship FILE] [--rounds 5] [--out FILE]

prefill     seconds of reading 4k tokens with a NAMM that sees and scores everything and drops nothing
            (a threshold far below all scores), over the full cache without a policy. paper: BAM of 32
            hidden on age and spectrogram, every 512 tokens. ship: the linear one, at the prompt's end
            as it is made for; ship-reading: the same every 512 tokens. At most 1.6 and 1.25, aim 1.3
            and 1.12.
memory      of the same runs: bytes that a policy keeps, over those of keys and values. At most 42%,
            aim 25%.
generation  seconds of one generation, 32 candidates on 16 prompts of 4k tokens, by fidelity: the
            median of those after the first one, which has the same prompts. What is done once for a
            prompt (capturing its attention, reading it under the full cache) stands apart as once_s.
            true, and frozen of a network that attends over the lane (paper), are measured on a share
            (--share, 4 candidates on 4 prompts) and scaled by candidates times prompts. At most 20,
            180 and 1500 s, aim 4, 45 and 480, with AMX.
run         tokens/s of writing behind a document of 7k tokens, and bytes of the cache, with 25% kept,
            over the full cache. At least 1 and at most 40%, aim 1.5 and 25%.

Sides take turns within a round; medians over the rounds are compared. Files that are not given are
made: one short generation from the shape, so that weights are drawn ones. Times do not depend on
them. Exit 5 where a row misses. Only the standard library is used."""
import argparse
import json
import lzma
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

PARTS = ("prefill", "generation", "run")  # memory comes with prefill
ALL = "scale=raw,rule=threshold,threshold=-1e30"  # scores everything, keeps everything
QUESTION = "\n\nQuestion: who speaks in this text?\nAnswer:"
PREFILL = {"paper": ("paper", "", 1.6, 1.3), "ship": ("ship", ",chunk=0,every=0", 1.25, 1.12),
           "ship-reading": ("ship", ",chunk=512", None, None)}
GENERATION = {"retained": (20, 4), "frozen": (180, 45), "true": (1500, 480)}


def call(command):
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return time.monotonic() - begin, done.stdout


def told(text):
    print(text, file=sys.stderr, flush=True)


# ---- what is measured with ----

def make_namm(args, folder, shape):
    """A file of that shape with drawn weights."""
    out = os.path.join(folder, shape)
    call([args.mneme, "evolve", "-m", args.model, "--stage", "niah", "--data", args.data, "--lengths",
          "300", "-c", "1024", "--limit", "2", "--prompts", "2", "--population", "4", "--generations",
          "1", "--fidelity", "retained", "--from", shape, "--out", out, "-q"] + args.common)
    return os.path.join(out, "best.namm.gguf")


class Text:
    """Prompts of about so many tokens from one book."""

    def __init__(self, args, folder):
        self.args, self.path = args, os.path.join(folder, "prompt.txt")
        book = args.text or os.path.join(args.data, "corpus", "en-books.valid.txt.xz")
        with lzma.open(book) if book.endswith(".xz") else open(book, "rb") as f:
            self.book = f.read(1 << 20).decode("utf-8", "ignore")
        self.write(4000)
        tokens = self.run("full", "", 1024, 1)["prompt_tokens"]
        self.per_token = 4000 / tokens

    def write(self, n_char):
        if n_char > len(self.book):
            sys.exit(f"the text has {len(self.book)} characters, {n_char} are wanted")
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(self.book[:n_char] + QUESTION)

    def of_tokens(self, n):
        self.write(int(n * self.per_token))

    def run(self, policy, budget, n, n_write):
        command = [self.args.mneme, "run", "-m", self.args.model, "--raw", "-f", self.path, "-n",
                   str(n_write), "-c", str(n + 512), "--json", "--no-progress", "--policy", policy]
        command += (["--budget", budget] if budget else []) + self.args.common
        return json.loads(call(command)[1])


def read_seconds(doc):
    return doc["prompt_tokens"] / doc["prefill_tokens_per_s"]


def in_turns(name, rounds, sides):
    """Documents of each side, [rounds]."""
    found = {side: [] for side in sides}
    for i in range(rounds):
        for side, work in sides.items():
            found[side].append(work())
            told(f"{name} round {i + 1}: {side} done")
    return found


# ---- parts ----

def prefill(args, folder, text, namm):
    text.of_tokens(args.tokens)
    sides = {"full": lambda: text.run("full", "", args.tokens, 1)}
    for name, (shape, more, _, _) in PREFILL.items():
        policy = f"namm:file={namm(shape)},{ALL}{more}"
        sides[name] = lambda policy=policy: text.run(policy, "", args.tokens, 1)
    found, rows = in_turns("prefill", args.rounds, sides), []
    full = [read_seconds(d) for d in found["full"]]
    for name, (_, _, most, aim) in PREFILL.items():
        seconds = [read_seconds(d) for d in found[name]]
        kv = [d["kv"] for d in found[name]]
        if any(k["bytes"] < k["bytes_full"] for k in kv):
            sys.exit(f"prefill: {name} dropped tokens")
        rows.append({"part": "prefill", "side": name, "seconds": seconds, "full_seconds": full,
                     "prompt_tokens": found[name][0]["prompt_tokens"],
                     "value": statistics.median(seconds) / statistics.median(full),
                     "unit": "of the full cache's time", "at_most": most, "aim": aim})
        rows.append({"part": "memory", "side": name, "policy_bytes": kv[0]["policy_bytes"],
                     "kv_bytes": kv[0]["bytes"], "value": kv[0]["policy_bytes"] / kv[0]["bytes"],
                     "unit": "of keys and values", "at_most": 0.42, "aim": 0.25})
    return rows


def generation(args, folder, text, namm):
    rows = []
    for shape in args.shapes.split(","):
        for fidelity in args.fidelities.split(","):
            rows.append(one_generation(args, folder, shape, fidelity))
    return rows


def one_generation(args, folder, shape, fidelity):
    n_cand, n_prompt = args.population, args.prompts
    is_share = fidelity == "true" or (fidelity == "frozen" and shape == "paper")
    if is_share:
        n_cand, n_prompt = (min(a, int(b)) for a, b in
                            zip((n_cand, n_prompt), args.share.split("x")))
    out = os.path.join(folder, f"{shape}-{fidelity}")
    n_generation = 1 + (min(args.rounds, 2) if is_share else args.rounds)
    spent, lines = call(
        [args.mneme, "evolve", "-m", args.model, "--stage", "niah", "--data", args.data, "--lengths",
         str(args.lengths), "-c", str(args.lengths + 608), "--limit", str(n_prompt), "--prompts",
         str(n_prompt), "--population", str(n_cand), "--generations", str(n_generation), "--fidelity",
         fidelity, "--from", shape, "--budgets", "25%", "--out", out, "--json"] + args.common)
    seconds = [json.loads(line)["seconds"] for line in lines.splitlines()]
    one = statistics.median(seconds[1:])
    scale = args.population * args.prompts / (n_cand * n_prompt)
    most, aim = GENERATION[fidelity]
    told(f"generation: {shape} {fidelity} {one:.2f} s")
    return {"part": "generation", "side": f"{shape} {fidelity}", "candidates": n_cand,
            "prompts": n_prompt, "lengths": args.lengths, "seconds": seconds[1:],
            "scaled_by": scale, "is_scaled": scale != 1,
            "once_s": spent - sum(seconds[1:]) - one, "value": one * scale, "unit": "s",
            "at_most": most, "aim": aim}


def run(args, folder, text, namm):
    text.of_tokens(args.document)
    file = namm("ship")
    sides = {"full": lambda: text.run("full", "", args.document, args.write)}
    for name, more in (("ship", ",chunk=0,every=0"), ("ship-reading", ",chunk=512,every=64")):
        policy = f"namm:file={file}{more}"
        sides[name] = lambda policy=policy: text.run(policy, "25%", args.document, args.write)
    found, rows = in_turns("run", args.rounds, sides), []
    full = [d["decode_tokens_per_s"] for d in found["full"]]
    for name in list(sides)[1:]:
        speed = [d["decode_tokens_per_s"] for d in found[name]]
        kv = found[name][0]["kv"]
        common = {"part": "run", "prompt_tokens": found[name][0]["prompt_tokens"],
                  "generated_tokens": found[name][0]["generated_tokens"],
                  "full_generated_tokens": found["full"][0]["generated_tokens"]}
        rows.append({**common, "side": f"{name} speed", "tokens_per_s": speed,
                     "full_tokens_per_s": full, "unit": "of the full cache's tokens/s",
                     "read_seconds": [read_seconds(d) for d in found[name]],
                     "full_read_seconds": [read_seconds(d) for d in found["full"]],
                     "value": statistics.median(speed) / statistics.median(full),
                     "at_least": 1.0, "aim": 1.5})
        rows.append({**common, "side": f"{name} cache", "kv_bytes": kv["bytes"],
                     "kv_bytes_full": kv["bytes_full"], "kv_bytes_peak": kv["bytes_peak"],
                     "policy_bytes": kv["policy_bytes"], "unit": "of the full cache's bytes",
                     "value": kv["bytes"] / kv["bytes_full"], "at_most": 0.40, "aim": 0.25})
    return rows


# ---- machine, table ----

def stolen():
    """Ticks that the host gave to others, and all."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(x) for x in f.readline().split()[1:9]]
    return ticks[7], sum(ticks)


def machine(args, level, before):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    after = stolen()
    return {"cpu": names[0] if names else platform.machine(), "level": level,
            "threads": args.threads or len(os.sched_getaffinity(0)), "system": platform.release(),
            "stolen_share": (after[0] - before[0]) / max(1, after[1] - before[1])}


def missed(row):
    return ((row.get("at_most") is not None and row["value"] > row["at_most"]) or
            (row.get("at_least") is not None and row["value"] < row["at_least"]))


def show(rows):
    print(f"{'part':12}{'side':22}{'value':>9}  {'unit':30}{'target':>9}{'aim':>7}")
    for r in rows:
        target = r.get("at_most", r.get("at_least"))
        scaled = f" (scaled by {r['scaled_by']:g})" if r.get("is_scaled") else ""
        print(f"{r['part']:12}{r['side']:22}{r['value']:9.3f}  {r['unit'] + scaled:30}"
              f"{'-' if target is None else target:>9}{'-' if r['aim'] is None else r['aim']:>7}"
              f"{'  missed' if missed(r) else ''}")


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--mneme", default="build/release/mneme")
    ap.add_argument("--model", default="smollm2")
    ap.add_argument("--data", default=os.environ.get("MNEME_DATA"))
    ap.add_argument("--text", help="UTF-8, also .xz (DATA/corpus/en-books.valid.txt.xz)")
    ap.add_argument("--only", default=",".join(PARTS))
    ap.add_argument("--paper", help="a NAMM of the paper's shape")
    ap.add_argument("--ship", help="the NAMM that is shipped")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int)
    ap.add_argument("--tokens", type=int, default=4096, help="of prefill")
    ap.add_argument("--document", type=int, default=7000, help="tokens of run")
    ap.add_argument("--write", type=int, default=128, help="tokens that run writes")
    ap.add_argument("--lengths", type=int, default=4000, help="tokens of a generation's prompts")
    ap.add_argument("--population", type=int, default=32)
    ap.add_argument("--prompts", type=int, default=16)
    ap.add_argument("--share", default="4x4", help="candidates x prompts, where a generation is scaled")
    ap.add_argument("--shapes", default="linear,paper", help="of generation")
    ap.add_argument("--fidelities", default="retained,frozen,true")
    ap.add_argument("--out", help="JSON; default: bench/results/DATE-namm-cost.json")
    args = ap.parse_args()
    args.common = ["-t", str(args.threads)] if args.threads else []
    parts = args.only.split(",")
    if set(parts) - set(PARTS) or args.rounds < 1 or not args.data:
        ap.error(f"--only: of {', '.join(PARTS)}; at least one round; --data or MNEME_DATA")
    before, rows, made = stolen(), [], {}
    with tempfile.TemporaryDirectory() as folder:
        def namm(shape):
            if shape not in made:
                given = args.paper if shape == "paper" else args.ship
                made[shape] = given or make_namm(args, folder,
                                                 "paper" if shape == "paper" else "linear")
            return made[shape]

        text = Text(args, folder)
        text.of_tokens(100)
        level = text.run("full", "", 1024, 1)["cpu"]
        for part in PARTS:
            if part in parts:
                rows += {"prefill": prefill, "generation": generation, "run": run}[part](
                    args, folder, text, namm)
    show(rows)
    version = call([args.mneme, "--version"])[1].strip()
    path = args.out or os.path.join(os.path.dirname(__file__), "results",
                                    time.strftime("%Y-%m-%d-namm-cost.json"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"version": 1, "mneme": version, "machine": machine(args, level, before),
                   "commit": version[version.find("(") + 1:version.rfind(")")],
                   "model": os.path.basename(args.model), "rounds": args.rounds,
                   "files": {s: "given" if f in (args.paper, args.ship) else "made"
                             for s, f in made.items()}, "rows": rows}, f, indent=1)
        f.write("\n")
    sys.exit(5 if any(missed(r) for r in rows) else 0)


if __name__ == "__main__":
    main()
