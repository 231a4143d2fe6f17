# A training's model through the command: exported, inspected, planned, run, measured; what is
# refused.
. "$(dirname "$0")/lib.sh"
printf 'ab cab abc 01 bac' >text

exported() { # name, then options of its config
    tiny "$1" checkpoint "${@:2}"
    run export "$1" -o "$1.gguf"
    want_code 0
    want_out "$1.gguf: " "parameters after 0 steps" "matrices"
}
for arch in dense ultramem memoryformer; do
    exported $arch model.arch=$arch
    run run -m $arch.gguf --raw -f text -p ab -n 5 --json
    want_code 0
    want_json "d['prompt_tokens'] > 5"
done
for mixer in performer linformer; do
    exported $mixer model.mixer=$mixer
    run run -m $mixer.gguf --raw -f text -p ab -n 5 -q
    want_code 0
    run run -m $mixer.gguf --raw -p ab -n 1
    want_err "attention carries a state of"
    check "nothing is gone" [ -z "$(grep "gone everywhere" err)" ]
    refused 2 run -m $mixer.gguf --raw -p ab --policy h2o --budget 8 -- "keeps no keys and values"
done

# The same answer from fewer bytes.
run run -m ultramem.gguf --raw -f text -p ab -n 8 -q
first=$out
run export ultramem/checkpoint.gguf --out small.gguf --tables int8 --name "a name" --json
want_code 0
want_json "d['file'] == 'small.gguf' and d['parameters'] > 5000 and d['table_bytes'] == 3 * 64 * 12"
run run -m small.gguf --raw -f text -p ab -n 8 -q
want_code 0
check "the same answer wanted, found '$out' and '$first'" [ "$out" = "$first" ]
run inspect small.gguf
want_code 0
want_out "mneme.model.arch" 'string "ultramem"' "memory.0.values_for_look_up.scale" "i8 [8, 64], 512 bytes" \
    "training.tokens" '"a name"'
run plan -m performer.gguf -p ab -n 4 --json
want_json "d['kv_peak_bytes'] > 0"
run run -m dense.gguf --raw -f text -p ab -n 3 --policy streaming --budget 8 --json
want_code 0
run export dense -o q8.gguf --type q8 -q
want_code 0
want_no_out
run run -m q8.gguf --raw -p ab -n 3 -q
want_code 0

# Evaluation: nothing can be dropped, so nothing else joins the full cache.
printf '{"context":"ab cab abc","input":"ab?","answers":["abc"]}\n' >rows.jsonl
run eval -m performer.gguf --task-file rows.jsonl --metric qa_f1 --policies full --budgets 50% --out ev -n 2 -q
want_code 0
refused 2 watch -m performer.gguf --raw -f text -- "keeps no tokens"

# Refused.
refused 2 export -o x.gguf -- "one training's folder or checkpoint is wanted, 0 given"
refused 2 export dense -- "--out FILE is wanted"
refused 2 export dense -o x.gguf --type q4 -- "q4"
refused 1 export nosuch -o x.gguf -- "nosuch"
refused 3 export dense.gguf -o x.gguf -- "not a checkpoint of a training"
rm dense/tokenizer.gguf
refused 2 export dense -o x.gguf -- "a tokenizer is wanted"
check "nothing written" [ ! -e x.gguf ]
finish
