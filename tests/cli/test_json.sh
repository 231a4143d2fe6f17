# Documents parse, carry the promised fields, and say the same as the text.
. "$(dirname "$0")/lib.sh"
tiny m.gguf llama ctx=1024
tiny g.gguf gemma3
fields="{'text', 'prompt_tokens', 'generated_tokens', 'prefill_tokens_per_s',
    'decode_tokens_per_s', 'peak_rss_bytes', 'kv', 'version'}"
kv="{'bytes_full', 'bytes', 'policy_bytes', 'kept_share', 'layers'}"

run run -m m.gguf -p "hello world" -n 8 --json
want_code 0
want_no_err
want_json "$fields <= set(d) and $kv <= set(d['kv']) and d['version'] == 1"
want_json "d['generated_tokens'] == 8 and len(d['text']) > 3 and d['prompt_tokens'] > 20"
want_json "d['prefill_tokens_per_s'] > 0 and d['decode_tokens_per_s'] > 0
    and d['peak_rss_bytes'] > 1e6"
want_json "d['kv']['kept_share'] == 1 and d['kv']['bytes'] == d['kv']['bytes_full'] > 0"
want_json "[len(l['kept']) for l in d['kv']['layers']] == [2, 2]"
want_json "all(k == d['prompt_tokens'] + 8 for l in d['kv']['layers'] for k in l['kept'])"
cp out full

run run -m m.gguf -p "hello world" -n 8 --json --dump-kept kept.json \
    --policy window:share=layer,pool=7,every=1,window=4 --budget 16
want_code 0
want_json "d['kv']['kept_share'] < 0.5 and all(l['kept'] == [16, 16] for l in d['kv']['layers'])"
want_json "d['kv']['bytes'] < json.load(open('full'))['kv']['bytes']
    and d['policy'].startswith('window')"
want_json "sum(b - a for a, b in d['kv']['dropped_spans']) > 0"
want_json "d['tokens_seen'] > 60 and [len(l['kept']) for l in d['layers']] == [2, 2]" kept.json
want_json "all(k == sorted(set(k)) and len(k) == 16 and k[:4] == [0, 1, 2, 3]
    and k[-1] == d['tokens_seen'] - 1
    for l in d['layers'] for k in l['kept'])" kept.json
want_json "all(l['kept'][0] == l['kept'][1] for l in d['layers'])" kept.json
python3 - <<'PY' || wrong "dropped_spans are not what no lane of --dump-kept holds"
import json
d, k = json.load(open("out")), json.load(open("kept.json"))
held = {t for l in k["layers"] for h in l["kept"] for t in h}
gone = {t for a, b in d["kv"]["dropped_spans"] for t in range(a, b)}
raise SystemExit(gone != set(range(k["tokens_seen"])) - held)
PY

# Ragged lanes; sliding windows are marked and not counted.
run run -m g.gguf -p "hello to all the world, and then some more" -n 4 --json \
    --policy adakv:base=keydiff --budget 20
want_code 0
want_json "sum(sum(l['kept']) for l in d['kv']['layers'] if not l['window']) >= 40"
want_json "{l['window'] for l in d['kv']['layers']} == {True, False}
    and d['kv']['bytes_window'] > 0"

# The text says the same.
run run -m m.gguf -p "hello world" -n 8
want_code 0
want_err "wrote 8 at" "policy full: kept 100.0%" "tokens held per layer"
want_json "d['text'] == open('out', encoding='utf-8', newline='').read()[:-1]" full
run run -m m.gguf -p "hello world" -n 8 --policy streaming --budget 16
want_err "gone everywhere:" "policy streaming"
run run -m m.gguf -p "hello world" -n 8 --quiet
want_no_err

run run -m m.gguf -p "hello world" -n 8 --json --stream
want_code 0
python3 - <<'PY' || wrong "--stream: lines of pieces, then the document"
import json
lines = [json.loads(x) for x in open("out", encoding="utf-8")]
text = "".join(x["piece"] for x in lines[:-1])
raise SystemExit(len(lines) < 4 or text != lines[-1]["text"] or lines[-1]["generated_tokens"] != 8)
PY
for seed in 1 2 3 4 5 6 7 8; do # an end may be drawn early: several texts
    run run -m m.gguf -p "every byte there is" -n 300 --temp 3 --top-k 0 --top-p 1 --min-p 0 \
        --seed $seed --json
    want_code 0
    want_json "'\ufffd' in d['text'] or d['generated_tokens'] < 40"
done

printf 'hello\nand then?\n' >talk
RUN_IN=talk run chat -m m.gguf -n 4 --json
want_code 0
want_json "[t['user'] for t in d['turns']] == ['hello', 'and then?']
    and d['text'] == d['turns'][1]['assistant']"
want_json "d['prompt_tokens'] == sum(t['prompt_tokens'] for t in d['turns'])
    and d['generated_tokens'] == 8"
want_json "d['kv']['layers'][0]['kept'][0] >= d['prompt_tokens'] + 8
    and d['prefill_tokens_per_s'] > 0"
printf 'caf\xe9 \xff\xfe!\n' >talk
RUN_IN=talk run chat -m m.gguf -n 2 --json
want_json "[t['user'] for t in d['turns']] == ['caf\ufffd \ufffd\ufffd!']"
printf 'hello\nand then?\n' >talk
printf 'a document\n' >doc
RUN_IN=talk run chat -m m.gguf -f doc -p "a question" -n 2 --json
want_json "[t['user'] for t in d['turns']] == ['a document\n\n\na question', 'hello', 'and then?']"
run plan -m m.gguf -p "hello world" -n 8 --json
want_code 0
want_json "d['total_peak_bytes'] >= d['kv_peak_bytes'] + d['scratch_bytes'] > 0
    and d['prompt_tokens'] > 20"
run inspect m.gguf --json
want_code 0
want_json "d['file']['format'] == 'GGUF' and len(d['tensor']) == 21
    and 'llama' in d['key']['general.architecture']"
run run -m m.gguf -p x -n 1 -q --pin 1:2 --pin 4:9 --save s
run inspect s --json
want_json "d['file']['pinned 0'] == '[1, 2)' and d['file']['pinned 1'] == '[4, 9)'"
run inspect m.gguf
want_out "general.architecture" "blk.1.ffn_up.weight"
run pull --list --json
want_code 0
want_json "{m['name'] for m in d['models']} >= {'smollm2', 'gemma3'}
    and all(len(m['sha256']) == 64 for m in d['models'])"
run run -m m.gguf -p x -n 1 -q --dump-kept no/such/folder/k.json
want_code 1
want_err no/such/folder
finish 40
