"""layer_tables.py: what bench/compare_layers.py found, as rows, as statements, as a page."""
import json
import os
import sqlite3
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STYLE = os.path.join(os.path.dirname(HERE), "src", "eval", "report")
POINTS = 150  # of a curve
LEAST_WRITTEN = 8  # tokens of a round
NEAR = 0.02  # nats a token, of the statements


def log_of(folder):
    """Steps of a training's log, oldest first; [] before it has one."""
    path = os.path.join(folder, "log.sqlite")
    if not os.path.exists(path):
        return []
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    try:
        return [dict(r) for r in db.execute("select * from step order by step")]
    except sqlite3.OperationalError:  # killed before its tables were made
        return []
    finally:
        db.close()


def tokens_read(folder):
    steps = log_of(folder)
    return steps[-1]["tokens"] if steps else 0


def mean_or_none(values):
    values = [v for v in values if v is not None]
    return statistics.fmean(values) if values else None


def thinned(points):
    """Means of neighbours, at most POINTS of them."""
    n = max(1, -(-len(points) // POINTS))
    return [[statistics.fmean(c) for c in zip(*points[i:i + n])]
            for i in range(0, len(points), n)]


def speed_of(doc):
    """Medians over rounds that wrote enough to tell."""
    told = [r for r in doc["rounds"] if r["generated_tokens"] >= LEAST_WRITTEN]
    return {f"{phase}_tokens_per_s":
            statistics.median(r[f"{phase}_tokens_per_s"] for r in told) if told else None
            for phase in ("decode", "prefill")}


def row_of(run, folder, found):
    """One run, from the files of its folder and what its commands printed."""
    steps = log_of(folder)
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        about = json.load(f)
    valid = [[s["tokens"], s["valid_loss"]] for s in steps if s["valid_loss"] is not None]
    rates = [s["tokens_per_s"] for s in steps if s["tokens_per_s"]]
    model, cost = about["config"]["model"], about["cost"]
    row = {"name": run.name, "key": run.key, "label": run.label, "group": run.group,
           "seed": run.seed, "config": os.path.basename(run.config), "set": run.sets,
           "arch": model["arch"], "mixer": model["mixer"], "tokens": steps[-1]["tokens"],
           "steps": steps[-1]["step"], "parameters": cost["parameters"], "active": cost["active"],
           "forward_flops": cost["forward_flops"], "vocab": about["data"]["vocab"],
           "tokenizer": about["data"]["tokenizer"], "corpus_tokens": about["data"]["train"]["tokens"],
           "loss": mean_or_none([s["loss"] for s in steps[-10:]]), "valid_loss": valid[-1][1],
           "train_tokens_per_s": statistics.median(rates),
           "gemm_peak_share": mean_or_none([s["gemm_peak_share"] for s in steps]),
           "train_s": sum(s["seconds"] or 0 for s in steps), "starts": len(about["starts"]),
           "curve": thinned([[s["tokens"], s["loss"]] for s in steps]), "valid_curve": valid,
           "commit": about["commit"], "compiler": about["compiler"],
           "machine": {"cpu": about["cpu"], "level": about["cpu_level"],
                       "threads": about["starts"][-1]["threads"]}}
    if "choice" in found:
        row["choice"] = {r["task"]: {"n": r["n"], "score": r["score"], "nll_byte": r["nll_byte"]}
                         for r in found["choice"]["rows"] if r["policy"] == "full"}
        row["choice_mean"] = mean_or_none([t["score"] for t in row["choice"].values()])
        for end in ("", "_fast"):
            made = found["export" + end]
            row["file" + end] = {"bytes": made["matrix_bytes"] + made["table_bytes"] +
                                 made["other_bytes"], "table_bytes": made["table_bytes"],
                                 **speed_of(found["speed" + end])}
    return row


# ---- statements ----

def losses(rows):
    """{key: {seed: validation loss}} of the models."""
    found = {}
    for r in rows:
        if r["group"] == "models":
            found.setdefault(r["key"], {})[r["seed"]] = r["valid_loss"]
    return found


def statements(rows):
    """What was to be shown, and whether it was: over the seeds that both have, by their mean and
    with each alone."""
    loss, found = losses(rows), []
    for a, b, within, text in (
            ("ultramem", "dense", 0, "UltraMem below dense"),
            ("ultramem", "pkm", 0, "UltraMem below PKM"),
            ("ultramem", "moe", NEAR, f"UltraMem within {NEAR} of MoE"),
            ("ultramem_v2", "moe", NEAR, f"UltraMemV2 within {NEAR} of MoE"),
            ("ultramem", "moe", 0, "UltraMem below MoE"),
            ("memoryformer", "dense_thin", 0,
             "MemoryFormer below a dense model of its FLOPs outside attention"),
            ("memoryformer", "dense", 0, "MemoryFormer below a dense model of its width")):
        seeds = sorted(set(loss.get(a, {})) & set(loss.get(b, {})))
        if seeds:
            differ = [loss[a][s] - loss[b][s] for s in seeds]
            mean = statistics.fmean(differ)
            found.append({"text": text, "difference": mean, "at_most": within,
                          "holds": mean <= within, "seeds": seeds, "differences": differ,
                          "holds_each": all(d <= within for d in differ)})
    return found


# ---- files ----

def put(path, text):
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as f:
        return f.read()


def page(doc, chart):
    parts = {"style": read(STYLE, "page.css"), "format": read(STYLE, "format.js"),
             "script": read(HERE, "layers_page", "page.js"), "chart": read(chart),
             "data": json.dumps(doc, separators=(",", ":")).replace("<", "\\u003c")}
    text = read(HERE, "layers_page", "page.html")
    for name, part in parts.items():
        text = text.replace(f"<!--mneme:{name}-->", part, 1)
    return text


def write(work, plan, rows, left, chart):
    """results.json and report.html of the folder."""
    doc = {"version": 1, "plan": plan, "left": left, "statements": statements(rows), "rows": rows}
    put(os.path.join(work, "results.json"), json.dumps(doc, indent=1) + "\n")
    if os.path.exists(chart):
        put(os.path.join(work, "report.html"), page(doc, chart))
    else:
        print(f"no page: {chart} is missing (apt-get install libjs-chart.js)", file=sys.stderr)
