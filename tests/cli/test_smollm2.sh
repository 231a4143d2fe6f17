# A real model, when it is in the cache: it answers under every kind of cache and at a lower level.
. "$(dirname "$0")/lib.sh"
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
finish 12
