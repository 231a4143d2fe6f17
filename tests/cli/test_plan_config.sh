# What configs cost: a table and a document with the same numbers; what cannot be is refused.
. "$(dirname "$0")/lib.sh"
cat >former.ini <<'INI'
[model]
arch = memoryformer
vocab = 50304
width = 768
blocks = 12
heads = 12
tied = no
[train]
length = 2048
INI
cat >mem.ini <<'INI'
[model]
arch = ultramem
vocab = 50432
width = 1024
blocks = 12
heads = 16
hidden = 4096
activation = gelu
[memory]
insert = 2:4/5:7/8:10
keys = 1100
keep = 42
[train]
length = 2048
INI

run plan former.ini
want_code 0
want_no_err
want_out "memoryformer, 12 blocks of width 768" "tables" "1869 M" "a decode step reads" \
    "14.5 G -> 0.8 G" "over 90%" "19%"
run plan former.ini --json
want_code 0
want_json "{'config', 'arch', 'parts', 'all', 'decode', 'claims', 'train_flops', 'train_bytes',
    'version'} <= set(d)"
want_json "len(d['parts']) == 8 and [r['batch'] for r in d['decode']] == [1, 8, 64]"
want_json "all(p['params']['formula'] == p['params']['counted']
    for p in d['parts'] if p['part'] != 'norms and biases')"
want_json "d['parts'][6]['params']['counted'] == 12 * 96 * 256 * (3 * 768 + 960 + 4 * 768)"
want_json "d['claims']['rows'] < 0.1 * d['claims']['dense']"

run plan mem.ini --json --set model.vocab=32000 --set train.batch=2
want_code 0
want_json "d['parts'][0]['params']['counted'] == 32000 * 1024 and d['claims'] is None"
want_json "d['decode'][2]['paper_layer'] == 64 * 84 * 512"
want_json "d['train_bytes']['all'] > 16 * d['all']['params']['counted']"

# Every config that is shipped: each part's formula gives the parameters that its layers declare.
mkdir shipped
for config in "$MNEME_SOURCE"/share/mneme/train/*.ini; do
    [ -e "$config" ] || continue
    run plan "$config" --set model.vocab=8192 -t 1 --json
    want_code 0
    cp out "shipped/$(basename "$config")"
done
check "formulas and layers of shipped configs differ" python3 - shipped/* <<'PY'
import json, sys
for path in (p for p in sys.argv[1:] if "*" not in p):
    d = json.load(open(path))
    for p in d["parts"]:
        n = p["params"]
        if p["part"] != "norms and biases" and n["formula"] != n["counted"]:
            sys.exit(f"{path}: {p['part']}: {n}")
    if not d["all"]["flops"]["counted"] > 0:
        sys.exit(f"{path}: no work")
PY

refused 1 plan none.ini -- "none.ini"
refused 2 plan former.ini --set model.widht=3 -- "no key 'widht' in section [model]: did you mean 'width'?"
refused 3 plan former.ini --set model.heads=7 -- "model.heads: a divisor of width 768 wanted"
refused 2 plan former.ini other.ini -- "files follow -f"
finish
