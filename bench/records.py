#!/usr/bin/env python3
"""The tables of evaluations that we report, each by its name.

    bench/records.py NAME... [--mneme build/release/mneme] [--work build/records] [--jobs 2]
        [--limit N] [--write N] [--namm FILE] [--publish bench/results]
    bench/records.py NAME... --show [--work DIR]
    bench/records.py --list

Every name is one `mneme eval`, whose folder stands under --work: interrupted, the same command goes
on. --limit takes fewer rows of each task than all; more may be asked for later. --write ends
answers after N tokens: likelihood and divergence are those of the gold answer and stay as they are.
With --publish the report (HTML, CSV, JSON) and the records themselves (results.sqlite.xz) are put
there, in a folder of the table's name. --show prints those of --work (bench/results: what was
published) in Markdown, each NAMM's difference from the others beside them, and where answers were
written their scores. The data is read from MNEME_DATA (docs/data.md).

Only the standard library is used."""
import argparse
import contextlib
import json
import lzma
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

TABLE = ("full,streaming,random,knorm,h2o,tova,snapkv,pyramidkv,adakv:base=snapkv,expected,keydiff,"
         "lagkv,observed,tova:pool=7,window:share=layer,pool=7")
# What a learned policy is compared with: all act where the evaluation says.
RULES = ("streaming:chunk=0,knorm,h2o,tova,snapkv,adakv:base=snapkv,expected,observed,tova:pool=7,"
         "window:share=layer,pool=7")
LOOP = "streaming,knorm:chunk=512,h2o:chunk=512,observed:chunk=512,tova:pool=7,chunk=512"
# Answers are written by few: a token at a time is what takes long.
ANSWERS = "NAMM,streaming:chunk=0,h2o,window:share=layer,pool=7"
READING = "smollm2-reading"
# Every set of long contexts in English, Chinese and code; made ones at a length of their own.
LONG = ("longbench,bamboo,leval,loogle,qmsum_test,simplewiki,lost_in_the_middle,babilong,longeval,"
        "niah,ruler,infinitebench_kv_retrieval,infinitebench_passkey,lm_books")
HELD_OUT = ["--tasks", LONG, "--split", "test", "--ctx", "4096", "--lengths", "2000",
            "--budgets", "25%", "--seed", "7"]
# The full cache of these takes hours to read.
NEEDLES = ["--tasks", "infinitebench_passkey,infinitebench_kv_retrieval", "--budgets", "2048",
           "--positions", "compact", "--seed", "7", "--alone"]

# name: (what it shows, options of `mneme eval`); NAMM stands for the policy under test, READING for
# the shipped one that was made to forget before the question is known.
TABLES = {
    "longbench-prompt": (
        "LongBench, every policy, the question inside the prompt",
        ["--tasks", "longbench", "--ctx", "8192", "--budgets", "50%,25%,12.5%",
         "--policies", TABLE, "--evict", "prompt"]),
    "longbench-context": (
        "LongBench, every policy, the question behind the cut",
        ["--tasks", "longbench", "--ctx", "8192", "--budgets", "50%,25%,12.5%",
         "--policies", TABLE, "--evict", "context"]),
    "namm-prompt": (
        "a NAMM and every rule on rows that it was not trained on",
        HELD_OUT + ["--policies", "NAMM," + RULES, "--evict", "prompt"]),
    "namm-totals": (
        "the same, a NAMM given less beside rules at 25%: the bytes of its own state counted",
        ["25%,24%" if x == "25%" else x for x in HELD_OUT] +
        ["--policies", "NAMM,streaming:chunk=0,knorm,h2o,snapkv,adakv:base=snapkv,observed,"
                       "tova:pool=7,window:share=layer,pool=7", "--evict", "prompt"]),
    "namm-context": (
        "the same, the question behind the cut",
        HELD_OUT + ["--policies", "READING,NAMM," + RULES, "--evict", "context"]),
    "namm-loop": (
        "the same, forgetting every 512 tokens while reading",
        HELD_OUT + ["--policies", "READING:chunk=512,NAMM:chunk=512," + LOOP, "--evict", "prompt"]),
    "namm-answers": (
        "what a NAMM writes, beside the full cache: the tasks' own scores",
        HELD_OUT + ["--policies", ANSWERS, "--evict", "prompt"]),
    "namm-gemma3": (
        "the same file on a model that it never saw",
        ["-m", "gemma3"] + HELD_OUT + ["--policies", "NAMM," + RULES, "--evict", "prompt"]),
    "namm-gemma3-answers": (
        "what that model writes with it",
        ["-m", "gemma3"] + HELD_OUT + ["--policies", ANSWERS, "--evict", "prompt"]),
    "namm-japanese": (
        "the same file on Japanese questions",
        ["--tasks", "ja_wiki_qa", "--ctx", "4096", "--lengths", "2000", "--budgets", "25%",
         "--seed", "7", "--policies", "NAMM," + RULES, "--evict", "prompt"]),
    "namm-passkeys": (
        "passkeys in long texts through a cache of 2,048, a model that knows what is asked for",
        ["-m", "gemma3", "--tasks", "infinitebench_passkey"] + NEEDLES[2:] +
        ["--lengths", "64000,200000", "--ctx", "210000", "--policies",
         "READING:chunk=512,streaming:sinks=0"]),
    "namm-64k": (
        "needles in 64,000 tokens through a cache of 2,048",
        NEEDLES + ["--lengths", "64000", "--ctx", "70000", "--policies",
                   "READING:chunk=512,NAMM:chunk=512,streaming,streaming:sinks=0,keydiff,"
                   "observed:chunk=512"]),
    "namm-200k": (
        "needles in 200,000 tokens through a cache of 2,048",
        NEEDLES + ["--lengths", "200000", "--ctx", "210000", "--policies",
                   "READING:chunk=512,streaming:sinks=0,keydiff"]),
}


def command_of(name, args):
    options = list(TABLES[name][1])
    at = options.index("--policies") + 1
    options[at] = with_files(options[at], args.namm)
    if "-m" not in options:
        options = ["-m", args.model] + options
    if args.limit:
        options += ["--limit", str(args.limit)]
    if args.write:
        options += ["-n", str(args.write)]
    return [args.mneme, "eval", *options, "--jobs", str(args.jobs), "--out",
            os.path.join(args.work, name)]


def with_files(policies, namm):
    """READING, NAMM and either with options, as policies of their files or of the one shipped."""
    for name, file in (("READING", READING), ("NAMM", namm)):
        if file:
            policies = policies.replace(name + ":", f"namm:file={file},")
            policies = policies.replace(name, f"namm:file={file}")
    return policies.replace("NAMM", "namm")


def publish(folder, target):
    os.makedirs(target, exist_ok=True)
    for name in ("report.html", "report.csv", "report.json"):
        shutil.copy(os.path.join(folder, name), target)
    with open(os.path.join(folder, "results.sqlite"), "rb") as store, \
            lzma.open(os.path.join(target, "results.sqlite.xz"), "wb", preset=9) as packed:
        shutil.copyfileobj(store, packed)


# ---- what was found, as text ----

def pair_of(report, budget, measure, a, b):
    """a less b with its interval: (difference, low, high), or None."""
    for r in report["pairs"]:
        if r["budget"] == budget and r["measure"] == measure and {r["a"], r["b"]} == {a, b} and \
                r["difference"] is not None:
            sign = 1 if r["a"] == a else -1
            ends = [sign * x for x in r["ci95"] or (float("nan"),) * 2]
            return sign * r["difference"], min(ends), max(ends)
    return None


def without_hash(policy):
    """A NAMM by its file's name, options and all."""
    return re.sub("#[0-9a-f]+", "", policy)


def show(report):
    """Policies by their divergence, best first; beside them what each NAMM is less them."""
    budgets = sorted({r["budget"] for r in report["summary"] if r["budget"]})
    for budget in budgets:
        rows = [r for r in report["summary"] if r["budget"] == budget and r["nll"] is not None]
        if any(r["kl"] is not None for r in rows):
            rows = [r for r in rows if r["kl"] is not None]
        rows.sort(key=lambda r: r["nll"] if r["kl"] is None else r["kl"])
        if not rows:
            continue
        namms = sorted({r["policy"] for r in rows if r["policy"].startswith("namm")})
        print(f"{rows[0]['n']} prompts, {budget} kept, {report['runs'][0]['evict']}\n")
        alone = rows[0]["kl"] is None  # no full cache beside them
        measures = ("nll",) if alone else ("kl", "nll")
        heads = ["policy"] + (["NLL"] if alone else ["KL", "change of NLL"]) + [
            f"{m.upper()}: `{without_hash(n)}` less it" for m in measures for n in namms]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for r in rows:
            ends = "" if r["kl_ci95"] is None else " [{:.3f}, {:.3f}]".format(*r["kl_ci95"])
            cells = [f"`{r['policy']}`"] + ([f"{r['nll']:.3f}"] if alone else [
                f"{r['kl']:.3f}{ends}", f"{r['nll_change']:+.3f}"])
            for measure, namm in ((m, n) for m in measures for n in namms):
                found = namm != r["policy"] and pair_of(report, budget, measure, namm, r["policy"])
                cells.append("{:+.3f} [{:+.3f}, {:+.3f}]".format(*found) if found else "")
            print("| " + " | ".join(cells) + " |")
        print()


def writes_answers(report):
    """Longer ones than the token that --write 1 leaves?"""
    return json.loads(report["runs"][0]["options"])["max_new"] != 1


def values_of(folder, column):
    """(budget, policy) to the column of each prompt: 'full' and other policies without a budget
    have None for it."""
    packed, found = os.path.join(folder, "results.sqlite.xz"), {}
    with tempfile.TemporaryDirectory() as room:
        store = os.path.join(folder, "results.sqlite")
        if not os.path.exists(store):
            store = os.path.join(room, "results.sqlite")
            with lzma.open(packed) as f, open(store, "wb") as to:
                shutil.copyfileobj(f, to)
        with contextlib.closing(sqlite3.connect(store)) as db:
            for policy, budget, prompt, value in db.execute(
                    f"select policy, budget, prompt, {column} from record"
                    f" where {column} is not null"):
                found.setdefault((budget or None, policy), {})[prompt] = value
    return found


def mean(values):
    return sum(values) / len(values)


def interval(differences, n_draw=10000):
    """95% of the means of what is drawn with replacement."""
    draw = random.Random(1)
    means = sorted(sum(draw.choices(differences, k=len(differences))) / len(differences)
                   for _ in range(n_draw))
    return means[n_draw // 40], means[-1 - n_draw // 40]


def show_scores(scores):
    """What was written, by the tasks' own scores: means over all prompts, beside the full cache."""
    full = next((s for (_, policy), s in scores.items() if policy == "full"), None)
    if not full or not sum(full.values()):
        return
    print(f"{len(full)} prompts, mean of the tasks' scores\n")
    print("| policy | kept | score | of full | less full |\n|---|---|---|---|---|")
    rows = [(mean(s.values()), budget, policy, s)
            for (budget, policy), s in scores.items() if s.keys() == full.keys()]
    for score, budget, policy, s in sorted(rows, key=lambda r: -r[0]):
        less = [s[k] - full[k] for k in sorted(full)]
        print(f"| `{without_hash(policy)}` | {budget or ''} | {score:.3f} |"
              f" {score / mean(full.values()):.2f} |" + (
                  " |" if policy == "full" else
                  " {:+.3f} [{:+.3f}, {:+.3f}] |".format(mean(less), *interval(less))))
    print()


def show_totals(folder):
    """Each NAMM at the least budget, each rule at the greatest, by all that they hold."""
    kl, nll = values_of(folder, "kl"), values_of(folder, "nll")
    held = values_of(folder, "kv_bytes + policy_bytes")
    budgets = sorted({b for b, _ in kl if b}, key=lambda b: float(b.rstrip("%")))
    rows = [(b, p) for b, p in kl if b == (budgets[0] if p.startswith("namm") else budgets[-1])]
    rows.sort(key=lambda r: mean(kl[r].values()))
    namms = [r for r in rows if r[1].startswith("namm")]
    print("| policy | kept | keys, values and state, MB | KL | change of NLL |" + "".join(
        f" {m}: `{without_hash(p)}` less it |" for m in ("KL", "NLL") for _, p in namms))
    print("|" + "---|" * (5 + 2 * len(namms)))
    for row in rows:
        cells = [f"`{without_hash(row[1])}`", row[0], f"{mean(held[row].values()) / 1e6:.1f}",
                 f"{mean(kl[row].values()):.3f}",
                 "{:+.3f}".format(mean([nll[row][k] - nll[None, "full"][k] for k in kl[row]]))]
        for of, namm in ((of, n) for of in (kl, nll) for n in namms):
            less = [of[namm][k] - of[row][k] for k in kl[row]] if row != namm else None
            cells.append("{:+.3f} [{:+.3f}, {:+.3f}]".format(mean(less), *interval(less))
                         if less else "")
        print("| " + " | ".join(cells) + " |")
    print()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("name", nargs="*", metavar="NAME", help="of a table, see --list")
    p.add_argument("--list", action="store_true", help="names and what they show")
    p.add_argument("--mneme", default="build/release/mneme")
    p.add_argument("--model", default="smollm2")
    p.add_argument("--work", default="build/records")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--limit", type=int)
    p.add_argument("--write", type=int, metavar="N")
    p.add_argument("--namm", metavar="FILE", help="instead of the NAMM shipped for the model")
    p.add_argument("--publish", metavar="DIR")
    p.add_argument("--show", action="store_true")
    args = p.parse_args()
    if args.list:
        for name, (meaning, _) in TABLES.items():
            print(f"{name:20} {meaning}")
        return
    unknown = [n for n in args.name if n not in TABLES]
    if unknown or not args.name:
        p.error(f"no table '{unknown[0]}'; --list names them" if unknown else "a NAME is wanted")
    for name in args.name if args.show else ():
        folder = os.path.join(args.work, name)
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as f:
            report = json.load(f)
        show(report)
        if writes_answers(report):
            show_scores(values_of(folder, "score"))
        if name == "namm-totals":
            show_totals(folder)
    if args.show:
        return
    if not os.environ.get("MNEME_DATA"):
        p.error("MNEME_DATA must name the folder of the evaluation sets")
    for name in args.name:
        if args.namm and not any("NAMM" in option for option in TABLES[name][1]):
            p.error(f"no NAMM but the shipped one for reading is in '{name}'")
        command = command_of(name, args)
        print(" ".join(command), file=sys.stderr)
        status = subprocess.run(command).returncode
        if status:
            sys.exit(status)
        folder = os.path.join(args.work, name)
        status = subprocess.run([args.mneme, "report", folder, "--quiet"]).returncode
        if status:
            sys.exit(status)
        if args.publish:
            publish(folder, os.path.join(args.publish, name))


if __name__ == "__main__":
    main()
