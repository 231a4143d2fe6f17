# A real model, when it is in the cache: it answers under every kind of cache and at a lower level.
. "$(dirname "$0")/lib.sh"
[ -z "$MNEME_SANITIZE" ] || { echo "a real model takes too long under a sanitizer"; exit 77; }
smollm2_or_skip
ask=(run --offline -n 12 -p "What is the capital of France?")
run "${ask[@]}" --json
want_code 0
want_json "'Paris' in d['text'] and len(d['kv']['layers']) == 30 and d['cpu']"
want_json "1e8 < d['peak_rss_bytes'] < 1e9"
# A build of plain kernels alone takes a minute for an answer.
grep -q '"cpu": *"ref"' out && finish 2

for options in "" "--kv-type q8" "--policy tova --budget 90%" "--cpu avx2"; do
    run "${ask[@]}" $options
    if [ "$options" = "--cpu avx2" ] && [ "$code" = 2 ]; then continue; fi
    want_code 0
    want_out Paris
    want_err "wrote "
done

# An answer that was cut is closed as the template would: <|im_end|> and a newline.
printf 'Who?\nWho?\n' >talk
RUN_IN=talk run chat --offline -n 3 --json
want_code 0
want_json "[t['generated_tokens'] for t in d['turns']] == [3, 3]"
want_json "d['turns'][1]['prompt_tokens'] == d['turns'][0]['prompt_tokens'] + 2"
finish 15
