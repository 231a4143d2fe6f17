# mneme evolve --stage: which rows a run is made of. Those that tell no candidate from another are
# left out, and said so; those held out are not in what the run begins with.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
cat >rows.py <<'PY'
# 60 rows in DIR, every third with an answer of one token; the question of row N is another
import json, os, sys
words = "the world is old and the sea is wide while hello goes to all who read this".split()
where = sys.argv[1] + "/longctx/longbench"
os.makedirs(where, exist_ok=True)
with open(where + "/qasper.jsonl", "w") as f:
    for i in range(60):
        text = "paper %d " % i + " ".join(words[(i * 7 + k * (i + 3)) % len(words)] for k in range(24))
        f.write(json.dumps({"dataset": "qasper", "context": text, "_id": "row-%d" % i,
                            "input": "Who?" if str(i) in sys.argv[2:] else "Which?",
                            "answers": ["the" if i % 3 == 0 else words[i % len(words)] + " sea"]}) + "\n")
PY
python3 rows.py data
bare=(evolve --stage qasper -m m.gguf -c 900 --population 2 --prompts 1 --budgets 40% --limit 12
    --no-progress --sigma 0.5)
common=("${bare[@]}" --data data --generations 1)
n_item() { # of a folder's log: prompts there are
    python3 -c 'import sqlite3, sys
print(sqlite3.connect("file:%s/log.sqlite?mode=ro" % sys.argv[1], uri=True).execute(
    "select n_item from stage").fetchone()[0])' "$1"
}

# The first token of an answer comes from what was read before the cut.
run "${common[@]}" --out frozen
want_code 0
left=$(grep -oE '[0-9]+ of 12 rows left out: no token of their answers is written after anything was forgotten$' err |
    cut -d' ' -f1)
want_err "frozen/best.namm.gguf: the mean of generation 1, the last: no prompts are held out to rate it on"
check "some rows are left out, said once: $err" [ "$(wc -w <<<"$left")" = 1 ]
check "not all, $left" [ "$left" -lt 12 ] && check "and not none" [ "$left" -gt 0 ]
check "the others are the stage's" [ "$(n_item frozen)" = $((12 - left)) ]
run "${common[@]}" --warm --out warm
want_code 0
check "said once, whoever looks at rows: $err" [ "$(grep -c "$left of 12 rows left out" err)" = 1 ]
run "${common[@]}" --loss nll --prompts 99 --out few
want_code 3
want_err "$left of 12 rows left out" "99 prompts for a generation and 0 held out wanted, $((12 - left)) found"
run "${common[@]}" --held-out 2 --out few -q
want_code 0 # other options: nothing was begun there

# Where something is forgotten before it, or what is asked for is more than its likelihood, all stay.
for how in "--evict context" "--loss metric" "--fidelity retained" \
    "--fidelity true --namm-options chunk=32,recent=4"; do
    read -ra words <<<"$how"
    run "${common[@]}" "${words[@]}" --out all
    want_code 0
    check "all rows with $how: $err" [ "$(grep -c 'left out' err)" = 0 ]
    check "and in the log" [ "$(n_item all)" = 12 ]
    rm -r all
done
run "${common[@]}" --fidelity true --namm-options chunk=8192 --out long
want_code 0
want_err "$left of 12 rows left out"
run "${bare[@]}" --data data --compare 3 --prompts 2 --fidelity retained,frozen --out compared
want_code 0
check "both ways leave out the same: $err" [ "$(grep -c "$left of 12 rows left out" err)" = 1 ]
refused 3 "${common[@]}" --gold-tokens 1 --out none -q -- \
    "none of 12 rows is left: no token of their answers is written after anything was forgotten"
refused 3 "${common[@]}" --gold-tokens 1 --warm --out none -q -- "none of 12 rows is left"

# Texts have no score: said before anything is made, whichever stage or way to rate wants one.
for how in "--stage +lm_books --loss metric" "--stage lm_books --fidelity retained,true --loss metric" \
    "--stage +lm_books,hotpotqa --fidelity retained,frozen --loss metric --warm"; do
    read -ra words <<<"$how"
    refused 2 "${common[@]}" "${words[@]}" --out none -q -- \
        "task lm_books has no score that loss metric could be made of: kl or nll wanted"
done
bad=(evolve --stage lm_books -m m.gguf -c 900 --data data --compare 3 --prompts 2 --budgets 40% --out none)
refused 2 "${bad[@]}" --fidelity frozen,true:metric -q -- "task lm_books has no score"
check "nothing is made then" [ ! -e none/start.namm.gguf ]
# Prompts of which nothing would be dropped show no inputs: they are left out of what is captured.
run "${common[@]}" --fidelity retained --namm-options recent=744 --prompts 8 --out short
want_code 0
check "said once: $err" [ "$(grep -cE 'not captured: nothing would be dropped of [1-9] of 12 ' err)" = 1 ]
want_err " left out: nothing was captured of it"
refused 3 "${common[@]}" --fidelity retained --namm-options recent=800 --out none -q -- \
    "no prompt can be captured: nothing would be dropped of 12 of 12"

# Without --ctx the context is the model's.
run evolve --stage qasper -m m.gguf --data data --population 2 --prompts 1 --generations 1 -q --out ctx
want_code 0
want_json 'd["options"]["ctx"] == 1024' ctx/run.json

# A run begins with what it saw of prompts that it does not hold out: of those six, two may have
# another question without a change in it.
mark() { sha256sum "$1/start.namm.gguf" | cut -d' ' -f1; }
run eval --tasks qasper --data data -m m.gguf -c 900 --split train --limit 6 --alone \
    --policies streaming --budgets 50% -n 1 --out rows -q
want_code 0
rows=$(python3 -c 'import sqlite3
print(*[r[0][4:] for r in sqlite3.connect("rows/results.sqlite").execute(
    "select source_id from prompt")])')
check "six rows: $rows" [ "$(wc -w <<<"$rows")" = 6 ]
some=("${bare[@]}" --limit 6 --loss metric --max-seconds 0.001 -q)
run "${some[@]}" --held-out 2 --data data --out begun
want_code 0
run "${some[@]}" --data data --out saw-all
want_code 0
check "what is held out was not seen" [ "$(mark begun)" != "$(mark saw-all)" ]
n_same=0
for i in $rows; do
    python3 rows.py other "$i"
    run "${some[@]}" --held-out 2 --data other --out "other-$i"
    want_code 0
    [ "$(mark "other-$i")" = "$(mark begun)" ] && n_same=$((n_same + 1))
done
check "two of six prompts are not in it, found: $n_same" [ $n_same = 2 ]
refused 3 "${some[@]}" --held-out 6 --data data --out x -- \
    "stage 1: 6 prompts held out wanted, 6 found in all"
finish 45
