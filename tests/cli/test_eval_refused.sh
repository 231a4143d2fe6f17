# `mneme eval`: what cannot be is told in a sentence before a set is read, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
printf '{"context":"the sea is wide %s","input":"Which word?","answers":["sea"]}\n' 1 2 3 >own.jsonl
common=(-m m.gguf -n 6 --gold-tokens 8)
own=("${common[@]}" --task-file own.jsonl --metric f1)

nothing() { # refused, and no folder of records made
    refused "$@"
    check "no store wanted, found $(ls x 2>&1)" [ ! -e x ]
}

# Budgets, of what was asked for and of what always joins.
nothing 2 eval "${own[@]}" --out x --policies h2o --budgets abc -- "budget \`abc\`"
nothing 2 eval "${own[@]}" --out x --policies h2o --budgets 150% -- "budget \`150%\`"
nothing 2 eval "${own[@]}" --out x --policies h2o --budgets 50%,0 -- "budget \`0\`"
nothing 2 eval "${own[@]}" --out x --policies full@abc -- "budget \`abc\`"
nothing 2 eval "${own[@]}" --out x --policies h2o --budgets , -- "a budget wanted"
nothing 2 eval "${own[@]}" --out x --policies h2o --budgets 1 -- "mneme: h2o@1: policy h2o" "leaves 1 tokens to a head"
nothing 2 eval "${own[@]}" --out x --policies snapkv@64 --budgets 1 \
    -- "random@1, which is always among them: policy random: the budget leaves 1"
# They are looked at before the rows.
nothing 2 eval "${common[@]}" --task-file nowhere.jsonl --metric f1 --out x --budgets abc -- "budget \`abc\`"

# Files and metrics.
nothing 1 eval "${common[@]}" --task-file nowhere.jsonl --metric f1 --out x -- "nowhere.jsonl"
nothing 2 eval "${common[@]}" --task-file own.jsonl --metric qa_g1 --out x -- "qa_f1"
nothing 3 eval "${common[@]}" --tasks trec --data . --out x -- "put the set there"

# A set of which files are missing: what is there is asked, each other task told once, unless it was
# named itself, or nothing would be left.
mkdir -p data/longctx/longbench
printf '{"context":"the sea","input":"which?","answers":["sea"],"all_classes":["sea"],"dataset":"trec"}\n' \
    >data/longctx/longbench/trec.jsonl
run eval "${common[@]}" --tasks longbench --data data --out y --budgets 60%
want_code 0
want_err "1 prompts, 4 records new" "left out: task hotpotqa: no data/longctx/longbench/hotpotqa.jsonl" \
    "put the set there (arXiv"
check "20 tasks left out, found: $err" [ "$(grep -c '^left out: task' err)" = 20 ]
nothing 3 eval "${common[@]}" --tasks longbench,hotpotqa --data data --out x \
    --quiet -- "task hotpotqa: no data/longctx/longbench/hotpotqa.jsonl"
nothing 3 eval "${common[@]}" --tasks longbench,leval --data data --out x --quiet \
    -- "task leval_coursera: no data/longctx/leval/leval.jsonl"
nothing 3 eval "${common[@]}" --tasks longbench --out x -- "data directory"

# Malformed lines: the first is told when some are left out, and when all are.
printf '{bad\n{"context":"a","input":"b","answers":["c"]}\n[]\n' >bad.jsonl
run eval "${common[@]}" --task-file bad.jsonl --metric f1 --out y --skip-bad --budgets 60%
want_code 0
want_err "2 malformed lines left out, the first is bad.jsonl:1: "
printf 'no\n{"answer":1}\n' >bad.jsonl
nothing 3 eval "${common[@]}" --task-file bad.jsonl --metric f1 --out x --skip-bad \
    -- "rows of it wanted in bad.jsonl, only malformed lines found: 2, the first is bad.jsonl:1: "

# Prompts over the context. A made row is never cut, for its needle may lie there: those that fit are
# asked, and the report says what is not among them.
python3 -c 'for i in range(900): print("The world of %d is wide and old. Who read all of this?" % i)' >hay.txt
niah=("${common[@]}" --tasks niah --haystack hay.txt --needle-depths 2 --budgets 60%)
nothing 2 eval "${niah[@]}" --ctx 400 --lengths 400,900 --out x \
    -- "rows of 400 tokens: a context of 400 has room for 394 beside an answer"
run eval "${niah[@]}" --ctx 400 --lengths 300,400,900 --out made --json
want_code 0
want_err "2 prompts, 8 records new" "4 prompts left out" "left out: prompt over the context: 400 tokens"
check "one note a length wanted, found: $err" [ "$(grep -c "row .* left out" err)" = 2 ]
want_json "[c['length'] for c in d['needles'] if c['policy'] == 'full'] == [300, 300]"
want_json "[r['n'] for r in d['summary']] == [2] * 4 and d['runs'][0]['n_failed'] == 0"
want_json "[n['note'][:53] for n in d['notes']] == ['2 prompts of niah of %s tokens left out: prompt over' % n
    for n in (400, 900)]"
run eval "${niah[@]}" --ctx 400 --lengths 300,400,900 --out made
want_err "0 prompts, 0 records new" "4 prompts left out"

# A row that was read loses its middle, which is told; where too little would be left, it is refused.
for n in 10 100 200; do
    printf '{"context":"%s","input":"Which?","answers":["sea"]}\n' \
        "$(printf 'the sea is wide. %.0s' $(seq $n))"
done >long.jsonl
long=("${common[@]}" --task-file long.jsonl --metric f1 --budgets 60%)
run eval "${long[@]}" --ctx 300 --out cut --json
want_code 0
want_err "2 of 3 prompts are longer than the context and lost their middle"
want_json "any(n['note'].startswith('2 of 3 prompts lost their middle: they are longer than a context of 300')
    for n in d['notes'])"
refused 3 eval "${long[@]}" --ctx 10 --out over -q \
    -- "all 3 prompts are left out: long, row 0 left out: prompt over the context:"
run eval "${own[@]}" --ctx 60 --out short
want_code 0
want_err "3 prompts, 24 records new"
finish 100
