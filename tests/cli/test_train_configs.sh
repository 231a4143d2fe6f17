# Configs that are shipped: each can be, is found by name, and is what its head says; formulas give the
# parameters that layers declare; those of one size that are compared
# have as many parameters, all of them and in a token's pass.
. "$(dirname "$0")/lib.sh"
configs=$MNEME_SOURCE/share/mneme/train
run plan dense.smoke
if grep -q "reads no INI files" err; then
    echo "built without inih"
    exit 77
fi
want_code 0
archs="dense moe pkm memory_plus ultramem ultramem_v2 memoryformer lookup_ffn performer cosformer linformer"

for arch in $archs; do
    for size in smoke laptop paper; do
        check "$arch.$size.ini is shipped" compgen -G "$configs/$arch.$size*.ini" >/dev/null
    done
done
for file in "$configs"/*.ini; do
    name=$(basename "$file" .ini)
    run plan "$name" -t 1 --json
    want_code 0
    cp out "$name.json"
    check "$name: its head says what it comes to" python3 - "$file" "$name.json" <<'PY'
import json, re, sys
head = " ".join(x[2:].strip() for x in open(sys.argv[1]) if x.startswith(";"))
d = json.load(open(sys.argv[2]))
def says(pattern, found):
    m = re.search(r"([\d.]+) ?(k|M|G)?" + pattern, head)
    said = float(m[1]) * {None: 1, "k": 1e3, "M": 1e6, "G": 1e9}[m[2]]
    if abs(said - found) > 0.006 * found:
        sys.exit(f"{sys.argv[1]}: {m[0]}: {found} found")
says(" parameters, [\d.]+ [kMG] of them", d["parameters"])
says(" of them in a token's pass", d["active"])
says("FLOPs a token forward", d["forward_flops"])
says(" steps", d["steps"])
says(" tokens,", d["tokens"])
PY
    check "$name: formulas and layers agree" python3 - "$name.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
for p in d["parts"]:
    n = p["params"]
    if p["part"] != "norms and biases" and n["formula"] != n["counted"]:
        sys.exit(f"{p['part']}: {n}")
if not d["all"]["flops"]["counted"] > 0:
    sys.exit("no work")
PY
done
check "equal parameters at sizes that are compared" python3 - <<'PY'
import json
for size in ("laptop", "compare"):
    c = {a: json.load(open(f"{a}.{size}.json"))
         for a in ("dense", "moe", "pkm", "memory_plus", "ultramem", "ultramem_v2")}
    for a, d in c.items():
        assert abs(d["active"] / c["moe"]["active"] - 1) < 0.01, a
        assert a == "dense" or abs(d["parameters"] / c["moe"]["parameters"] - 1) < 0.005, a
        assert (d["steps"], d["tokens"]) == (c["moe"]["steps"], c["moe"]["tokens"]), a
PY
for name in memoryformer dense_thin; do
    run plan "$configs/$name.compare.ini" --json
    want_code 0
    cp out "$name.plan.json"
done
check "memoryformer and dense_thin: equal FLOPs but for pairs of positions" python3 - <<'PY'
import json
def outside(name):
    d = json.load(open(name + ".plan.json"))
    pairs = [p for p in d["parts"] if p["part"] == "pairs of positions"]
    return d["all"]["flops"]["counted"] - pairs[0]["flops"]["counted"]
assert abs(outside("memoryformer") / outside("dense_thin") - 1) < 0.005
PY
# What the papers say of their models, embeddings and heads apart.
check "the papers' own sizes" python3 - <<'PY'
import json
said = {"dense.paper": (0.15e9, 1), "moe.paper": (2.04e9, 1), "ultramem.paper": (2.03e9, 1),
        "memory_plus.paper": (1.19e9, 1), "ultramem_v2.paper": (1.18e9, 1),
        "memoryformer.paper-tiny": (415e6, 2), "memoryformer.paper-small": (1869e6, 2),
        "memoryformer.paper-base": (6644e6, 2)}
for name, (parameters, tables) in said.items():
    d = json.load(open(name + ".json"))
    found = d["parameters"] - tables * d["vocab"] * d["width"]
    assert abs(found / parameters - 1) < 0.015, (name, found)
PY
finish 100
