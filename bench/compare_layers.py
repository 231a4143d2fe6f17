#!/usr/bin/env python3
"""Language models of dense layers, experts, memories or look-ups, trained alike and compared.

    bench/compare_layers.py [--work build/layers] [--hours H] [--only NAME,...] [--list] [--dry]
        [--mneme build/release/mneme] [--data DIR] [--publish bench/results] [--done DIR]

A queue whose state is the folder --work. First it probes how fast each config learns here and
writes plan.json: how many tokens a training may read for all of them to fit into --all-hours (12),
or as --tokens says. Then, one after the other: `mneme train`, `mneme export`, the multiple-choice
sets by `mneme eval`, speed by `mneme run` (`mneme bench` reads 512 tokens and then writes: more than
the context that cosFormer is trained for); after each, results.json and report.html are written anew.
First all models with one seed, then with the next, then UltraMem's steps at a quarter of the tokens
(layer_runs.py lists them). Killed anywhere, the same command goes on: what was planned holds.

--hours     stop before a run that would end later than so many hours from now
--only      these runs, by name (dense.s1) or by what stands before its dot (dense)
--list      the runs, which are done, and hours
--dry       the commands, none of which is run
--publish   copy plan, results, page, and the trainings' logs and configs there, in a folder of
            today's date; nothing is trained
--done      what was published there, plan and runs, counts: an earlier night's, another machine's
--keep      keep checkpoints and exported files of runs that are done (some 20 GB in all)

Probe on a machine that does nothing else. Trainings read the books and wiki of DATA/corpus with one
tokenizer, learnt by the first. Only the standard library is used; Linux."""
import argparse
import ctypes
import fcntl
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import layer_runs
import layer_tables

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The six of MemoryFormer's paper, and others in English.
TASKS = ("piqa,winogrande,wsc273,arc_easy,arc_challenge,logiqa,hellaswag,sciq,openbookqa,copa,"
         "lambada_openai")
PROBE_STEPS, PROBE_SKIP, PROBE_ROWS = 8, 2, 1
SPEED_ROUNDS = 3
PROMPT = ("It was late in the year, and the road to the coast had been empty since noon. Whoever "
          "came that way had to cross the river by the old bridge, of which the village told ")
EVAL_ROOM = 128  # tokens that an evaluation has behind its context; cosFormer ends at its length
GO_ON = ("size", "seeds", "keys", "set", "corpus", "valid", "tasks", "limit")


def say(text):
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def write_json(path, doc):
    """Whole or not at all."""
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def put_copy(path, target, places):
    """Text with names in place of this machine's folders; what is no text, as it is."""
    if os.path.abspath(path) == os.path.abspath(target):
        return
    if path.endswith(".sqlite"):
        shutil.copy(path, target)
        return
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for folder in sorted(places, key=len, reverse=True):
        text = text.replace(folder, places[folder])
    with open(target, "w", encoding="utf-8") as f:
        f.write(text)


class Failed(Exception):
    pass


def dies_with_us():
    """A killed queue leaves nothing behind that would hold the folder of a training."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def call(command, log):
    """Standard output. What goes wrong stands in the log's last line."""
    with open(log, "a", encoding="utf-8") as err:
        err.write("$ " + " ".join(command) + "\n")
        err.flush()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=err, text=True, preexec_fn=dies_with_us)
        try:
            out = child.communicate()[0]
        except KeyboardInterrupt:  # the child had it too, and ends with a checkpoint
            child.wait()
            raise
    if child.returncode == 130:
        raise KeyboardInterrupt
    if child.returncode:
        with open(log, encoding="utf-8", errors="replace") as f:
            raise Failed(f"exit {child.returncode}: {f.read().strip().splitlines()[-1]}")
    return out


class Queue:
    def __init__(self, args):
        self.args, self.work = args, args.work
        self.runs = layer_runs.all_runs(args.size, args.seeds, args.configs)
        unknown = set(args.keys) - {r.key for r in self.runs}
        if unknown:
            sys.exit(f"--keys {','.join(sorted(unknown))}: no such runs; --list names them")
        self.runs = [r for r in self.runs if r.key in args.keys or not args.keys]
        self.plan, self.done_plan = read_json(self.path("plan.json")), None
        if args.done:
            self.done_plan = read_json(os.path.join(args.done, "plan.json"))
            if not self.done_plan:
                sys.exit(f"--done {args.done}: no plan.json there")
            self.plan = self.plan or self.done_plan

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def folder(self, run):
        return self.path("runs", run.name)

    def home(self, run):
        """Where its result lies, or will."""
        published = os.path.join(self.args.done or "", run.name)
        for folder in [self.folder(run)] + [published] * bool(self.args.done):
            if os.path.exists(os.path.join(folder, "result.json")):
                return folder
        return self.folder(run)

    def result(self, run):
        return read_json(os.path.join(self.home(run), "result.json"))

    # ---- commands ----

    def train(self, run, out, more):
        args = self.args
        sets = [f"data.corpus={args.corpus}", f"data.valid_corpus={args.valid}",
                f"data.shards={os.path.abspath(self.path('shards'))}", f"train.seed={run.seed}",
                "report.sample_every=0"] + run.sets + args.set + more
        return [args.mneme, "train", run.config, "--out", out, "--no-progress",
                *(x for s in sets for x in ("--set", s))] + args.common

    def commands(self, run, tokens):
        args, at = self.args, self.folder(run)
        model, fast = (os.path.join(at, n) for n in ("model.gguf", "fast.gguf"))
        # A rounded sign reads another row: look-ups keep their matrices in f32.
        matrices = "f32" if run.key == "memoryformer" else "q8"
        # Drawn tokens: a text that repeats itself would read the same rows again and again.
        speed = ["--raw", "-p", PROMPT, "-n", str(args.write), "-c", str(self.length()), "--temp",
                 "1", "--top-k", "0", "--json", "--no-progress"] + args.common
        found = {"train": self.train(run, at, ["train.steps=0", f"train.tokens={tokens}"])}
        if run.group == "models":
            found.update({
                "export": [args.mneme, "export", at, "-o", model, "--json"],
                "export_fast": [args.mneme, "export", at, "-o", fast, "--type", matrices,
                                "--tables", "int8", "--json"],
                "choice": self.evaluate(model, os.path.join(at, "choice"), args.limit),
                "speed": [args.mneme, "run", "-m", model] + speed,
                "speed_fast": [args.mneme, "run", "-m", fast] + speed})
        return found

    def length(self):
        said = [o for o in self.args.set if o.startswith("train.length=")]
        return int(said[-1].split("=")[1]) if said else layer_runs.LENGTH[self.args.size]

    def evaluate(self, model, out, limit):
        args = self.args
        return [args.mneme, "eval", "-m", model, "--tasks", args.tasks, "--limit", str(limit),
                "--ctx", str(self.length() - EVAL_ROOM), "--policies", "full", "--data",
                args.data, "--out", out, "--json", "--no-progress"] + args.common

    # ---- plan ----

    def probe(self, run):
        """What a config costs here: tokens/s, seconds of a start, seconds a row of every set."""
        done = self.path("probe", run.key + ".json")
        if read_json(done):
            return read_json(done)
        out, log = self.path("probe", run.key), self.path("probe", run.key + ".log")
        shutil.rmtree(out, ignore_errors=True)
        begin = time.monotonic()
        lines = call(self.train(run, out, [
            f"train.steps={PROBE_STEPS}", "train.tokens=0", "report.every=1", "report.peak=no",
            "report.valid_every=0", "report.valid_rows=1", "report.sample_tokens=0"]) + ["--json"],
            log).splitlines()
        spent = time.monotonic() - begin
        rates = [json.loads(x)["tokens_per_s"] for x in lines]
        step = json.loads(lines[0])["tokens"]
        found = {"tokens_per_s": statistics.median(rates[PROBE_SKIP:]),
                 "start_s": max(0, spent - sum(step / r for r in rates)), "choice_s": 0}
        if run.group == "models":
            model = os.path.join(out, "model.gguf")
            call([self.args.mneme, "export", out, "-o", model], log)
            begin = time.monotonic()
            call(self.evaluate(model, os.path.join(out, "choice"), PROBE_ROWS), log)
            found["choice_s"] = (time.monotonic() - begin) / PROBE_ROWS
        write_json(done, found)
        shutil.rmtree(out)
        say(f"{run.key}: {found['tokens_per_s']:.0f} tokens/s")
        return found

    def make_plan(self):
        args = self.args
        os.makedirs(self.path("probe"), exist_ok=True)
        # Tokenizer and tokens are made once; no probe is to be charged with them.
        if not read_json(self.path("probe", "data.json")):
            say("tokenizer and tokens")
            shutil.rmtree(self.path("probe", "data"), ignore_errors=True)
            call(self.train(self.runs[0], self.path("probe", "data"), [
                "train.steps=1", "train.tokens=0", "report.peak=no", "report.sample_tokens=0",
                "report.valid_rows=1"]), self.path("probe", "data.log"))
            shutil.rmtree(self.path("probe", "data"))
            write_json(self.path("probe", "data.json"), {"is_made": True})
        probes = {r.key: self.probe(r) for r in self.runs if r.seed == args.seeds[0]}
        tokens = args.tokens or layer_runs.fitting_tokens(self.runs, probes, args.all_hours,
                                                          args.limit)
        if tokens <= 0:
            sys.exit(f"no training fits: starts and evaluations alone take {args.all_hours} hours")
        plan = {**self.asked(), "tokens": tokens,
                "step_share": layer_runs.STEP_SHARE, "probes": probes,
                "mneme": call([args.mneme, "--version"], self.path("probe", "data.log")).strip(),
                "hours": sum(layer_runs.estimate(r, probes, tokens, args.limit)
                             for r in self.runs) / 3600}
        write_json(self.path("plan.json"), plan)
        self.plan = plan
        say(f"plan: {len(self.runs)} runs of {tokens} tokens (steps: a quarter), "
            f"{plan['hours']:.1f} hours")

    def asked(self):
        """What all runs have in common, with files by name and size: a folder may be elsewhere."""
        said = {k: getattr(self.args, k) for k in GO_ON}
        for key in ("corpus", "valid"):
            for f in said[key].split(","):
                if not os.path.exists(f):
                    sys.exit(f"{f}: missing")
            said[key] = ",".join(f"{os.path.basename(f)} ({os.path.getsize(f)} bytes)"
                                 for f in said[key].split(","))
        return {"version": 1, **said}

    def check_plan(self):
        """What a plan said once holds for all runs of its folder."""
        args, now = self.args, self.asked()
        now["tokens"] = args.tokens or self.plan["tokens"]
        for folder, plan in ((self.work, self.plan), (args.done, self.done_plan)):
            for key, value in now.items() if plan else ():
                if plan[key] != value:
                    sys.exit(f"{os.path.join(folder, 'plan.json')}: {key} is {plan[key]!r} there, "
                             f"{value!r} here: take another folder, or what was planned")

    def seconds_left(self, run):
        """By the probe, and by how far those that are done were from theirs."""
        p, done = self.plan, [x for r in self.runs for x in [self.result(r)] if x]
        planned = sum(x["planned_s"] for x in done)
        scale = sum(x["seconds"] for x in done) / planned if planned else 1
        whole = layer_runs.estimate(run, p["probes"], p["tokens"], p["limit"])
        read = layer_tables.tokens_read(self.folder(run))
        return scale * max(0, whole - read / p["probes"][run.key]["tokens_per_s"])

    # ---- a run ----

    def do(self, run):
        at, tokens = self.folder(run), layer_runs.tokens_of(run, self.plan["tokens"])
        os.makedirs(at, exist_ok=True)
        log, found = os.path.join(at, "queue.log"), {}
        seconds_path = os.path.join(at, "seconds.json")
        for stage, command in self.commands(run, tokens).items():
            kept = os.path.join(at, stage + ".json")
            found[stage] = read_json(kept) if stage != "train" else None
            if found[stage]:
                continue
            say(f"{run.name}: {stage}")
            begin = time.monotonic()
            if stage.startswith("speed"):
                made = {"rounds": [json.loads(call(command + ["--seed", str(i)], log))
                                   for i in range(SPEED_ROUNDS)]}
            else:
                out = call(command, log)
                made = json.loads(out) if out.startswith("{") else {}
            seconds = read_json(seconds_path) or {}
            seconds[stage] = time.monotonic() - begin
            write_json(seconds_path, seconds)
            if stage != "train":
                found[stage] = made
                write_json(kept, made)
        p = self.plan
        row = layer_tables.row_of(run, at, found)
        row["seconds"] = row["train_s"] + sum(
            v for k, v in (read_json(seconds_path) or {}).items() if k != "train")
        row["planned_s"] = layer_runs.estimate(run, p["probes"], p["tokens"], p["limit"])
        write_json(os.path.join(at, "result.json"), row)
        if not self.args.keep:
            for name in ("checkpoint.gguf", "checkpoint.gguf.1", "model.gguf", "fast.gguf"):
                if os.path.exists(os.path.join(at, name)):
                    os.remove(os.path.join(at, name))
        say(f"{run.name}: validation {row['valid_loss']:.4f}, {row['seconds'] / 3600:.2f} hours")

    def wanted(self):
        only = [x for x in (self.args.only or "").split(",") if x]
        names = {r.name for r in self.runs} | {r.key for r in self.runs}
        for x in only:
            if x not in names:
                sys.exit(f"--only {x}: no such run; --list names them")
        return [r for r in self.runs if not only or r.name in only or r.key in only]

    def write(self):
        if not os.path.exists(self.path("plan.json")):
            write_json(self.path("plan.json"), self.plan)
        rows = [x for r in self.runs for x in [self.result(r)] if x]
        layer_tables.write(self.work, self.plan, rows,
                           [r.name for r in self.runs if not self.result(r)], self.args.chart)

    def work_off(self):
        begin, failed = time.monotonic(), []
        if not self.plan:
            self.make_plan()
        for run in self.wanted():
            if self.result(run):
                continue
            need = self.seconds_left(run)
            if self.args.hours and time.monotonic() - begin + need > self.args.hours * 3600:
                say(f"{run.name} would take {need / 3600:.2f} hours: stopped before it")
                break
            try:
                self.do(run)
            except Failed as why:
                say(f"{run.name}: {why}")
                failed.append(run.name)
            self.write()
        self.write()
        left = [r.name for r in self.runs if not self.result(r)]
        say(f"{len(self.runs) - len(left)} of {len(self.runs)} runs done: "
            f"{self.path('report.html')}")
        return 1 if failed else 0

    # ---- what is told without work ----

    def list(self):
        total = 0
        for run in self.wanted():
            row = self.result(run)
            need = 0 if row or not self.plan else self.seconds_left(run)
            total += need
            state = (f"validation {row['valid_loss']:.4f}" if row else
                     f"{layer_tables.tokens_read(self.folder(run))} tokens read")
            hours = f"{need / 3600:6.2f} h left" if self.plan else "not probed"
            print(f"{run.name:20} {hours:>12}  {state:24} {run.label}")
        if self.plan:
            print(f"{total / 3600:.2f} hours left, {self.plan['tokens']} tokens a model")

    def dry(self):
        tokens = self.plan["tokens"] if self.plan else self.args.tokens or 0
        for run in self.wanted():
            if not self.result(run):
                said = layer_runs.tokens_of(run, tokens) if tokens else "AS-PROBED"
                for command in self.commands(run, said).values():
                    print(" ".join(command))

    def publish(self):
        target = os.path.join(self.args.publish, time.strftime("%Y-%m-%d-layers"))
        if not self.plan:
            sys.exit(f"{self.path('plan.json')}: missing: nothing to publish before a first run")
        self.write()
        if not os.path.exists(self.path("report.html")):
            sys.exit(f"{self.path('report.html')}: missing: a page wants {self.args.chart}")
        os.makedirs(target, exist_ok=True)
        files = (self.args.corpus + "," + self.args.valid).split(",")
        places = {**{os.path.dirname(os.path.abspath(f)): "CORPUS" for f in files},
                  os.path.abspath(self.work): "WORK", self.args.data: "DATA", ROOT: "MNEME",
                  os.getcwd(): "."}
        places.pop("/", None)
        for name in ("plan.json", "results.json", "report.html"):
            put_copy(self.path(name), os.path.join(target, name), places)
        for run in self.runs:
            if self.result(run):
                to = os.path.join(target, run.name)
                os.makedirs(to, exist_ok=True)
                for name in ("train.ini", "run.json", "log.sqlite", "result.json"):
                    put_copy(os.path.join(self.home(run), name), os.path.join(to, name), places)
        say(target)


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", default="build/layers")
    p.add_argument("--mneme", default="build/release/mneme")
    p.add_argument("--data", default=os.environ.get("MNEME_DATA"), help="or MNEME_DATA")
    p.add_argument("--hours", type=float)
    p.add_argument("--all-hours", type=float, default=12, help="of the plan")
    p.add_argument("--only")
    p.add_argument("--list", action="store_true")
    p.add_argument("--dry", action="store_true")
    p.add_argument("--publish", metavar="DIR")
    p.add_argument("--done", metavar="DIR")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--size", choices=layer_runs.SIZES, default="compare")
    p.add_argument("--keys", type=lambda s: s.split(","), default=[],
                   help="models and steps that the queue has at all, instead of every one")
    p.add_argument("--tokens", type=int, help="of a training, instead of what fits")
    p.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2])
    p.add_argument("--corpus", help="instead of the books and wiki of DATA/corpus")
    p.add_argument("--valid", help="the same, to validate on")
    p.add_argument("--tasks", default=TASKS)
    p.add_argument("--limit", type=int, default=100, help="rows of each set")
    p.add_argument("--write", type=int, default=256, help="tokens whose speed is measured")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
                   help="an option of all trainings")
    p.add_argument("--configs", default=os.path.join(ROOT, "share", "mneme", "train"))
    p.add_argument("--chart", default="/usr/share/javascript/chart.js/chart.min.js")
    p.add_argument("--threads", type=int)
    args = p.parse_args()
    if not args.data:
        p.error("--data or MNEME_DATA: the folder of corpus and evaluation sets")
    args.data = os.path.abspath(args.data)
    for key, side in (("corpus", "train"), ("valid", "valid")):
        files = (os.path.join(args.data, "corpus", f"en-{n}.{side}.txt.xz")
                 for n in ("books", "simplewiki"))
        setattr(args, key, getattr(args, key) or ",".join(files))
    args.common = ["-t", str(args.threads)] if args.threads else []
    return args


def main():
    args = arguments()
    queue = Queue(args)
    if queue.plan:
        queue.check_plan()
    if args.list or args.dry:
        return queue.list() if args.list else queue.dry()
    os.makedirs(args.work, exist_ok=True)
    lock = open(queue.path("queue.lock"), "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"{args.work}: another queue works there")
    if args.publish:
        return queue.publish()
    try:
        return queue.work_off()
    except KeyboardInterrupt:
        say("interrupted; the same command goes on")
        return 130
    except Failed as why:  # of a probe: nothing can be planned
        sys.exit(f"probe: {why}")


if __name__ == "__main__":
    sys.exit(main())
