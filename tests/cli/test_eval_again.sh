# `mneme eval` over what a folder holds already: nothing is made twice, and nothing old is taken for
# what another metric, answer or context would have given.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
rows() { # [GOLD] [CLASS]: four rows of one's own
    local i
    for i in 1 2 3 4; do
        printf '{"context":"the sea is wide %s","input":"Which word?","answers":["sea","%s"],"all_classes":["%s","land"],"_id":"%s"}\n' \
            $i "${1:-land}" "${2:-sea}" $i
    done
}
rows >own.jsonl
common=(-m m.gguf -n 6 --gold-tokens 8 --budgets 60% --out dir)

run eval "${common[@]}" --task-file own.jsonl --metric f1
want_code 0
want_err "4 prompts, 16 records new, 0 there already"
run eval "${common[@]}" --task-file own.jsonl --metric f1
want_err "0 prompts, 0 records new, 16 there already"

# Another metric: other scores, of that metric.
run eval "${common[@]}" --task-file own.jsonl --metric count
want_code 0
want_err "4 prompts, 16 records new, 0 there already"
run eval "${common[@]}" --task-file own.jsonl --metric count --json
want_err "0 prompts, 0 records new, 16 there already"
want_json "len(d['runs']) == 2 == len({r['run'] for r in d['rows']})
    and {r['metric'] for r in d['rows']} == {'f1', 'count'}"

# Another gold answer, though not the first; another class.
rows wide >own.jsonl
run eval "${common[@]}" --task-file own.jsonl --metric f1
want_err "4 prompts, 16 records new, 0 there already"
rows wide wide >own.jsonl
run eval "${common[@]}" --task-file own.jsonl --metric f1
want_err "4 prompts, 16 records new, 0 there already"

# Prompts that are all context have no other without it, which is nothing that is missing. (This
# vocabulary puts no token in front of a text: nothing is left.)
tiny q.gguf qwen2 ctx=1024
mkdir -p data/mc data/corpus
printf '%s\n' '{"task":"piqa","context":"hello","continuations":[" world"," wide sea"],"gold":1,"source_id":"1"}' \
    '{"task":"piqa","context":"the sea","continuations":[" is"," all"],"gold":0,"source_id":"2"}' >data/mc/piqa.jsonl
python3 -c 'for i in range(400): print("The world of %d is wide and old. Who read all of this?" % i)' \
    >data/corpus/en-books.valid.txt
for what in "--tasks piqa --data data" "--tasks lm_books --data data --lengths 200 --limit 2" \
    "--task-file own.jsonl --metric nll"; do
    rm -rf dir
    run eval "${common[@]}" -m q.gguf $what
    want_code 0
    made=$(grep -o "^[0-9]* prompts" err)
    check "prompts wanted, found: $err" [ "${made% *}" -ge 2 ]
    run eval "${common[@]}" -m q.gguf $what
    want_err "0 prompts, 0 records new"
done
finish 15
