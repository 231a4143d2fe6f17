# bench/compare_layers.py at a toy size: killed in its midst it goes on, and comes to the numbers of
# one that is not; what it finds as JSON and as a page; what it refuses.
. "$(dirname "$0")/lib.sh"
run plan "$MNEME_SOURCE/share/mneme/train/dense.smoke.ini"
if grep -q "reads no INI files" err; then
    echo "built without inih"
    exit 77
fi
tiny m.gguf llama
awk 'NR > 1 && NR % 3 == 0 { print "<|endoftext|>" } { print }' \
    "$MNEME_SOURCE/tests/data/moonstone.txt" >corpus.txt
mkdir -p data/mc
python3 -c 'import json
for i in range(3):
    print(json.dumps({"context": "The door was", "continuations": [" open.", " a green moon."],
                      "gold": 0, "source_id": str(i)}))' >data/mc/piqa.jsonl
cat >chart.js <<'JS'
var Chart = {};
JS

export PYTHONDONTWRITEBYTECODE=1 # the tree stays as it is
command=(python3 "$MNEME_SOURCE/bench/compare_layers.py" --mneme "$MNEME" --data data
    --size smoke --seeds 1 --keys dense,ultramem,cosformer,step9_rate --tokens 16384 --corpus corpus.txt
    --valid corpus.txt --tasks piqa --limit 2 --write 32 --chart chart.js --threads 2
    --set train.length=256 --set train.batch=1 --set report.peak=no --set report.every=1
    --set report.save_every=2 --set report.valid_every=16 --set report.valid_rows=2
    --set report.sample_tokens=0 --set data.tokenizer=m.gguf --set model.vocab=0)
queue() { # folder, options
    said="compare_layers.py ${*:2}"
    "${command[@]}" --work "$1" "${@:2}" </dev/null >out 2>err
    code=$? out=$(<out) err=$(<err)
}

queue q --list
want_code 0
want_out "ultramem.s1" "not probed"
queue q --dry
want_code 0
check "four trainings and what follows, found $(wc -l <out)" [ "$(wc -l <out)" = 19 ]
check "nothing was begun" [ ! -e q ]
queue q --only dense,nothing
want_code 1
want_err "nothing: no such run"

# What is to be compared is equal at the size that is trained.
check "equal parameters at every step of UltraMem" python3 - "$MNEME" "$MNEME_SOURCE" <<'PY'
import json, os, subprocess, sys
mneme, source = sys.argv[1:]
sys.path.insert(0, os.path.join(source, "bench"))
import layer_runs
sizes = {}
for r in layer_runs.all_runs("compare", [1], os.path.join(source, "share", "mneme", "train")):
    sets = [x for s in r.sets for x in ("--set", s)]
    done = subprocess.run([mneme, "plan", r.config, "--json"] + sets,
                          capture_output=True, text=True, check=True)
    sizes[r.key] = json.loads(done.stdout)
steps = [k for k in sizes if k.startswith("step")]
assert len(steps) == 9 and len(sizes) == 20
for k in steps + ["ultramem"]:
    for what in ("parameters", "active"):
        assert abs(sizes[k][what] / sizes["moe"][what] - 1) < 0.005, (k, what)
PY

# Where one of two has a seed more, those are compared that both have.
check "means over seeds of both" python3 - "$MNEME_SOURCE/bench" <<'PY'
import sys
sys.path.insert(0, sys.argv[1])
import layer_tables
def row(key, seed, loss): return {"group": "models", "key": key, "seed": seed, "valid_loss": loss}
rows = [row("dense", 1, 4.0), row("dense", 2, 2.0), row("ultramem", 1, 3.5), row("pkm", 2, 3.0)]
found, = layer_tables.statements(rows)
assert found["text"] == "UltraMem below dense" and found["seeds"] == [1]
assert found["difference"] == -0.5 and found["holds"] and found["holds_each"]
PY
if command -v node >/dev/null; then
    check "and between steps" node - "$MNEME_SOURCE/bench/layers_page/page.js" <<'JS'
const text = require('fs').readFileSync(process.argv[2], 'utf8');
const cut = (name) => text.match(new RegExp(`^function ${name}\\([^]*?^}`, 'm'))[0];
const changeSince = new Function(cut('mean') + cut('changeSince') + 'return changeSince;')();
const row = (seed, valid_loss) => ({ seed, valid_loss });
const is = (a, b) => { if (a !== b) throw new Error(`${a} is not ${b}`); };
is(changeSince([row(1, 4), row(2, 2)], [row(1, 3.5)]), -0.5);
is(changeSince([row(2, 2)], [row(1, 3.5)]), null);
is(changeSince([], [row(1, 3.5)]), null);
JS
fi
queue nowhere --publish published
want_code 1
want_err "plan.json: missing"

# Killed while it trains: the training ends with it, and its folder is free.
"${command[@]}" --work q </dev/null >out 2>err &
pid=$!
for i in $(seq 6000); do
    [ -s q/runs/dense.s1/checkpoint.gguf ] && break
    sleep 0.01
done
kill -9 $pid
wait $pid 2>/dev/null
check "it was cut in its midst" [ -s q/plan.json ]
check "no result yet" [ ! -e q/runs/dense.s1/result.json ]
queue q --hours 0.00001
want_code 0
want_err "stopped before it"
queue q
want_code 0
want_err "4 of 4 runs done"
want_json 'd["version"] == 1 and d["left"] == [] and len(d["rows"]) == 4
    and [r["name"] for r in d["rows"]] == ["dense.s1", "ultramem.s1", "cosformer.s1", "step9_rate.s1"]
    and d["rows"][0]["starts"] == 2
    and all(r["tokens"] == t and r["seed"] == 1 and r["commit"] and r["machine"]["threads"] == 2
            for r, t in zip(d["rows"], (16384, 16384, 16384, 4096)))
    and all(r["choice"]["piqa"]["n"] == 2 and r["file"]["decode_tokens_per_s"] > 0
            and r["file_fast"]["bytes"] < r["file"]["bytes"] for r in d["rows"][:3])
    and "choice" not in d["rows"][3] and d["rows"][1]["curve"][-1][1] < d["rows"][1]["curve"][0][1]
    and d["statements"][0]["text"] == "UltraMem below dense"
    and d["statements"][0]["holds"] == (d["rows"][1]["valid_loss"] <= d["rows"][0]["valid_loss"])' \
    q/results.json
check "checkpoints of what is done are gone" [ -z "$(find q -name '*.gguf' -size +300k)" ]
check "no part of the page is left open" [ "$(grep -c 'mneme:[a-z]' q/report.html)" = 0 ]
check "the page holds the document" python3 - <<'PY'
import json, re
page = open("q/report.html").read()
held = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
assert held == json.load(open("q/results.json"))
assert not re.search(r"\b(src|href)\s*=|url\(|@import|fetch\(|innerHTML", page)
PY
queue q
want_code 0
check "nothing is done twice" [ "$(grep -c ': train' err)" = 0 ]
queue q --tokens 999
want_code 1
want_err "tokens is 16384 there"
queue q --publish published
want_code 0
check "what is published" [ -s published/*-layers/ultramem.s1/log.sqlite ]
check "names no folder of this machine" [ -z "$(grep -rl "$PWD" published)" ]

# What was published counts elsewhere.
rm -r published/*-layers/cosformer.s1
mv published/*-layers earlier
queue elsewhere --done earlier
want_code 0
check "one was missing, one is trained" [ "$(grep -c ': train' err)" = 1 ]
want_err "4 of 4 runs done"
queue elsewhere --done earlier --publish published
want_code 0
check "all are published" [ "$(find published -name result.json | wc -l)" = 4 ]
python3 - <<'PY'
import json
plan = json.load(open("earlier/plan.json"))
plan["tokens"] += 1
json.dump(plan, open("earlier/plan.json", "w"))
PY
queue elsewhere --done earlier
want_code 1
want_err "earlier/plan.json: tokens is"
queue nowhere --done nothing
want_code 1
want_err "nothing: no plan.json there"

# One that nobody kills.
queue whole --only dense
want_code 0
check "the same losses" python3 - <<'PY'
import json
a, b = (json.load(open(d + "/results.json"))["rows"][0] for d in ("q", "whole"))
assert a["name"] == b["name"] and b["starts"] == 1
for key in ("valid_loss", "curve", "valid_curve"):
    assert a[key] == b[key], (key, a[key], b[key])
PY
finish 20
