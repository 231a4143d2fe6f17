"""layer_runs.py: the trainings that bench/compare_layers.py queues, and how long they may be.

A size is that of the configs in share/mneme/train. `compare` is made for this: a third and more of
the work of `laptop`, of which 12 hours would pay 22 trainings with 6 to 8 million tokens each, less
than the corpus has; in the same time `compare` reads it about once. `smoke` is for tests."""
import math
import os

SIZES = ("compare", "smoke")
LENGTH = {"compare": 512, "smoke": 64}  # train.length of the configs
# Of equal parameters in all and in a token's pass: the first six (dense: in a token's pass alone).
# memoryformer has dense's width and dense_thin's FLOPs outside attention.
MODELS = ("dense", "moe", "pkm", "memory_plus", "ultramem", "ultramem_v2", "memoryformer",
          "dense_thin", "linformer", "performer", "cosformer")
SHAPE = {("dense_thin", "smoke"): ("dense", ["model.width=32"])}

# UltraMem's steps, each with those before it, in the order of its paper's table (arXiv 2411.12364,
# table 2). Rows and feed-forward layers are sized anew at each, so that parameters stay equal, all
# and active. Not a step of their own: no softmax, rows of half the width and one query for two heads
# come with the search by products (rank 1). The published code has no convolution of queries, nor
# have we. Names, config, what changes, and its shape at size `compare`.
BARE = ["memory.rank=1", "memory.cores=1", "memory.expand=1", "train.value_times=1"]
PLAIN = ["train.value_rate=0"]  # rows learn as all else does, until the last step
STEPS = (
    ("pkm", "PKM, one memory", "pkm", PLAIN + ["memory.query_norm=raw", "memory.insert=2:2"],
     ["model.hidden=476", "memory.keys=372"]),
    ("skip", "three memories that skip blocks", "pkm", PLAIN + ["memory.query_norm=raw"], []),
    ("norm", "norms of queries and keys", "pkm", PLAIN + ["memory.key_norm=yes"], []),
    ("product", "products of scores, no softmax, rows of half the width, a projection", "ultramem",
     BARE, ["model.hidden=456"]),
    ("expand", "rows expanded four times", "ultramem", BARE[:2] + BARE[3:], ["model.hidden=376"]),
    ("rank", "a Tucker core of rank 2", "ultramem", BARE[1:2] + BARE[3:], []),
    ("cores", "two cores", "ultramem", BARE[3:], []),
    ("first", "first values of the paper", "ultramem", BARE[3:] + ["memory.first=paper"], []),
    ("rate", "rows learn four times as fast at first", "ultramem", ["memory.first=paper"], []),
)
STEP_SHARE = 0.25  # of the others' tokens
MOST_TOKENS = 32_000_000  # about two and a half times the corpus
ROOM = 0.9  # of the hours is given out: speeds of a shared machine differ from those probed


class Run:
    def __init__(self, key, label, group, seed, config, sets):
        self.key, self.label, self.group, self.seed = key, label, group, seed
        self.name = f"{key}.s{seed}"
        self.config, self.sets = config, sets

    def share(self):
        return STEP_SHARE if self.group == "steps" else 1


def all_runs(size, seeds, folder):
    """In the queue's order: all models once, again with the next seed, then the steps."""
    def path(arch):
        return os.path.join(folder, f"{arch}.{size}.ini")

    runs = []
    for seed in seeds:
        for arch in MODELS:
            config, sets = SHAPE.get((arch, size), (arch, []))
            runs.append(Run(arch, arch, "models", seed, path(config), list(sets)))
    for seed in seeds:
        for i, (name, label, arch, what, shape) in enumerate(STEPS, 1):
            runs.append(Run(f"step{i}_{name}", label, "steps", seed, path(arch),
                            what + (shape if size == "compare" else [])))
    return runs


def tokens_of(run, tokens):
    return max(1, int(tokens * run.share()))


def estimate(run, probes, tokens, limit):
    """Seconds."""
    p = probes[run.key]
    return tokens_of(run, tokens) / p["tokens_per_s"] + p["start_s"] + limit * p["choice_s"]


def fitting_tokens(runs, probes, hours, limit):
    """The most tokens a training, in hundreds of thousands, with which all fit into the hours."""
    fixed = sum(estimate(r, probes, 0, limit) for r in runs)
    a_token = sum(r.share() / probes[r.key]["tokens_per_s"] for r in runs)
    tokens = (hours * 3600 * ROOM - fixed) / a_token
    return min(MOST_TOKENS, int(math.floor(tokens / 1e5) * 1e5))
