# A NAMM with a NaN among its parameters keeps everything: every verb that runs it says so, once.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA MNEME_NAMM
tiny m.gguf llama ctx=1024
cp "$MNEME_SOURCE/tests/fuzz/corpus/namm/params-nan" x.namm.gguf
mkdir -p data/longctx/longbench
for i in 1 2 3; do
    printf '{"dataset":"qasper","context":"paper %d the world is old and the sea is wide while hello goes to all who read this","input":"Which?","answers":["sea"],"_id":"r%d"}\n' $i $i
done >data/longctx/longbench/qasper.jsonl
kept="were no numbers: heads with such scores kept all they held"
warned() { # N: so many warnings
    check "$1 warnings wanted, found: $err" [ "$(grep -c '^warning: ' err)" = "$1" ]
}
text=(-m m.gguf --raw -p "hello world the sea is wide and old and the world is all there is to read" -n 2
    --policy namm:file=x.namm.gguf,recent=2 --budget 25%)
for form in "" --json; do
    run run "${text[@]}" $form
    want_code 0
    warned 1
    want_err "scores of policy namm:" "file=x.namm.gguf#" "$kept"
done
want_json "d['nan_scores'] > 0 and d['kv']['bytes'] == d['kv']['bytes_full']"
run run "${text[@]}" -q
want_no_err
echo 'hello world the sea is wide and old' >in.txt
RUN_IN=in.txt run chat -m m.gguf -n 2 --policy namm:file=x.namm.gguf --budget 25% --json
want_code 0
warned 1
want_err "$kept"
for form in "" --json "--out page.html"; do
    run watch "${text[@]}" $form
    want_code 0
    warned 1
    want_err "$kept"
done

# The policy at all budgets and prompts: one sentence.
evaluated=(-m m.gguf --tasks qasper --data data -c 900)
run eval "${evaluated[@]}" --budgets 50%,25% --gold-tokens 2 -n 2 --out store \
    --policies namm:file=x.namm.gguf,tova,namm:file=x.namm.gguf,recent=2@30%
want_code 0
warned 2
want_err "scores of policy namm:file=x.namm.gguf#" "were no numbers in a prompt: heads with such scores kept all they held"
run watch "${evaluated[@]}" --policy namm:file=x.namm.gguf --budget 25% --json
want_code 0
warned 1
want_err "$kept"
want_json "d['nan_scores'] > 0 and d['tasks'][0]['kept_share'] == 1"
run watch "${evaluated[@]}" --policy tova:recent=2 --budget 25% --json
want_code 0
warned 0
want_json "d['nan_scores'] == 0"
finish 30
