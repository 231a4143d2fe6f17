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
finish 25
