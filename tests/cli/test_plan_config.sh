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
if grep -q "reads no INI files" err; then
    echo "built without inih"
    exit 77
fi
want_code 0
want_no_err
want_out "memoryformer, softmax attention, 12 blocks of width 768" "tables" "1869 M" "a decode step reads" \
    "14.5 G -> 0.8 G" "over 90%" "19%"
run plan former.ini --json
want_code 0
want_json "{'config', 'arch', 'parts', 'all', 'decode', 'claims', 'token_flops',
    'train_bytes', 'bytes', 'version'} <= set(d)"
want_json "len(d['parts']) == 8 and [r['batch'] for r in d['decode']] == [1, 8, 64]"
want_json "all(p['params']['formula'] == p['params']['counted']
    for p in d['parts'] if p['part'] != 'norms and biases')"
want_json "d['parts'][6]['params']['counted'] == 12 * 96 * 256 * (3 * 768 + 960 + 4 * 768)"
want_json "d['claims']['rows'] < 0.1 * d['claims']['dense']"

run plan mem.ini --json --set model.vocab=32000 --set train.batch=2
want_code 0
want_json "d['parts'][0]['params']['counted'] == 32000 * 1024 and d['claims'] is None"
want_json "d['decode'][2]['paper_layer'] == 64 * 84 * 512"
want_json "d['train_bytes'] > 16 * d['all']['params']['counted']"

# A shipped config by name; the tokenizer's vocabulary; no end that is known, one that is.
run plan dense.smoke
want_code 0
want_out "dense.smoke.ini: dense, softmax attention, 4 blocks of width 64, 512 tokens, length 64" \
    "a step: 256 tokens" "60 steps, 15.36 k tokens"
run plan dense.smoke --set model.vocab=0 --set train.steps=0
want_code 0
want_out "as many tokens as the tokenizer has (8192 counted)" "how many, the config does not say"
run plan dense.smoke --set model.vocab=0 --set train.steps=0 --set model.mixer=performer --json
want_code 0
want_json "(d['vocab'], d['vocab_counted'], d['steps'], d['tokens']) == (0, 8192, 0, 0)
    and d['mixer'] == 'performer'
    and d['parts'][0]['params']['counted'] == 8192 * 64"
run plan dense.smoke --set train.steps=0 --set train.tokens=5000 --set train.passes=3 --json
want_json "(d['vocab'], d['width'], d['blocks'], d['length']) == (512, 64, 4, 64)
    and (d['steps'], d['tokens']) == (6, 6 * 768)
    and d['parameters'] == d['all']['params']['counted']
    and d['active'] == d['all']['active']['counted']
    and d['forward_flops'] == d['token_flops']['forward']
    and d['step_flops'] == 768 * (d['forward_flops'] + d['token_flops']['backward'])
    and d['train_bytes'] == sum(d['bytes'].values())"

# What a training refuses in its config is refused here, in the same words.
cp "$MNEME_SOURCE/share/mneme/train/dense.smoke.ini" dense.ini
printf '[model]\nwidth = 64\nwidht = 3\n' >bad.ini
printf '[model]\nwidth 64\n' >line.ini
same() {
    run train --out bad "${@:2}"
    want_code "$1"
    check "no folder is made" [ ! -e bad ]
    cp err train.err
    run plan "${@:2}"
    want_code "$1"
    want_no_out
    check "the sentence of train wanted: $(<train.err)" cmp -s err train.err
}
same 2 bad.ini
same 3 line.ini
same 1 absent.ini
same 1 dense.smok
for option in modle.width=64 width train.rate=fast; do same 2 dense.ini --set "$option"; done
for option in model.heads=5 model.width=0 train.batch=9999999 train.steps=100000000000; do
    same 3 dense.ini --set "$option"
done
same 3 dense.ini --set train.steps=0 --set train.tokens=255
same 3 memoryformer.smoke --set lookup.tables=5
same 3 pkm.smoke --set memory.keep=33
same 3 moe.smoke --set experts.keep=1000

refused 1 plan none.ini -- "none.ini"
refused 2 plan former.ini --set model.widht=3 -- "no key 'widht' in section [model]: did you mean 'width'?"
refused 3 plan former.ini --set model.heads=7 -- "model.heads: a divisor of width 768 wanted"
refused 2 plan former.ini other.ini -- "files follow -f"
refused 2 plan -m m.gguf former.ini -- "files follow -f"
refused 2 plan -m m.gguf --set model.width=64 -- "--set" "none given"
finish 90
