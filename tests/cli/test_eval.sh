# `mneme eval`: records are complete, the same however often a run was cut short and by how many
# processes, and mistakes get a sentence.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024

python3 - <<'PY'
import json
words = "the world is old and the sea is wide while hello goes to all who read this".split()
with open("own.jsonl", "w") as f:
    for i in range(8):
        text = " ".join(words[(i * 7 + k * (i + 3)) % len(words)] for k in range(40))
        f.write(json.dumps({"context": text, "input": "Which word?", "answers": [words[i], "sea"],
                            "_id": "row-%d" % i}) + "\n")
PY
common=(--task-file own.jsonl --metric f1 -n 6 -m m.gguf --policies h2o,window:share=layer,pool=7@64
    --budgets 48,60% --gold-tokens 8)

# What stands in a store, but for times, in an order of its own.
table() {
    python3 - "$1/results.sqlite" <<'PY'
import hashlib, sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
rows = db.execute("""select task, source_id, hash, n_token, gold, policy, budget, record.seed, acts,
    status, output, score, nll, kl, nll_token, kl_token, kept, kv_bytes, n_generated
    from record join prompt on record.prompt = prompt.key""").fetchall()
print(len(rows), len(set(r[:8] for r in rows)),
      hashlib.sha256(repr(sorted(rows, key=repr)).encode()).hexdigest())
PY
}

run eval "${common[@]}" --out whole
want_code 0
want_err "8 prompts, 88 records new, 0 there already"
whole=$(table whole)
check "88 records, none twice, wanted: $whole" [ "${whole% *}" = "88 88" ]
run eval "${common[@]}" --out whole
want_code 0
want_err "0 prompts, 0 records new, 88 there already"
check "a second run changes nothing" [ "$(table whole)" = "$whole" ]

# More policies later: only what is missing is made.
run eval "${common[@]}" --policies knorm:skip_layers=none@48 --out whole
want_err "8 prompts, 8 records new"

# The same table from two prompts at once, from few caches side by side, and in two protocols.
run eval "${common[@]}" --jobs 2 --threads 2 --out jobs
want_code 0
check "two prompts at once give the same" [ "$(table jobs)" = "$whole" ]
run eval "${common[@]}" --side 3 --out side
check "three caches side by side give the same" [ "$(table side)" = "$whole" ]
run eval "${common[@]}" --evict context --out context
want_code 0
want_out "policies act behind the context" "act at the context's end, peak "
check "another protocol, another table" [ "$(table context)" != "$whole" ]

# Alone: nothing joins, nothing is compared; what is asked for comes to the same.
run eval "${common[@]}" --alone --policies h2o,streaming:chunk=16,full --out alone
want_code 0
want_err "8 prompts, 40 records new"
check "the same answers without divergences" python3 - <<'PY'
import sqlite3
def read(name):
    db = sqlite3.connect("file:%s/results.sqlite?mode=ro" % name, uri=True)
    return {r[:3]: r[3:] for r in db.execute("""select source_id, policy, budget, output, nll, kv_bytes, kept, kl
        from record join prompt on record.prompt = prompt.key""")}
alone, whole = read("alone"), read("whole")
assert {k[1:] for k in alone} == {("full", "")} | {(p, b) for p in ("h2o", "streaming:chunk=16") for b in ("48", "60%")}
both = [k for k in alone if k in whole]
assert len(both) == 24 and all(alone[k][:-1] == whole[k][:-1] for k in both)
assert all(r[-1] is None for r in alone.values()) and all(r[1] > 0 for r in alone.values())
PY
# Nobody goes on from the full cache: it is not read, one cache at a time.
run eval "${common[@]}" --alone --side 1 --policies streaming:chunk=16 --out lean
want_code 0
want_err "8 prompts, 16 records new"
check "the same answers without the full cache" python3 - <<'PY'
import sqlite3
def read(name):
    db = sqlite3.connect("file:%s/results.sqlite?mode=ro" % name, uri=True)
    return {r[:3]: r[3:] for r in db.execute("""select source_id, policy, budget, output, nll, kv_bytes, peak_bytes, kept
        from record join prompt on record.prompt = prompt.key""")}
lean, alone = read("lean"), read("alone")
assert len(lean) == 16 and all(alone[k] == v for k, v in lean.items())
PY
run report alone --json
want_code 0
want_json 'all(r["kl"] is None for r in d["summary"] if r["policy"] != "full")'

# Killed at any moment and resumed, 20 times: complete, nothing twice.
for i in $(seq 20); do
    "$MNEME" eval "${common[@]}" --out killed -q &
    sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
run eval "${common[@]}" --out killed
want_code 0
check "killed 20 times and resumed: the same" [ "$(table killed)" = "$whole" ]

# Several processes.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks() { # N COMMAND...: what MPI itself never frees is not looked for
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
        mpirun -n "$1" --oversubscribe --bind-to none "${@:2}"
}
if command -v mpirun >/dev/null && ldd "$MNEME" | grep -q libmpi; then
    for n in 2 4; do
        ranks $n "$MNEME" eval "${common[@]}" -t 1 --out ranks$n >out 2>err </dev/null
        code=$? err=$(<err)
        said="mpirun -n $n mneme eval"
        want_code 0
        check "$n ranks give the same" [ "$(table ranks$n)" = "$whole" ]
        check "one store is left" [ "$(ls ranks$n)" = results.sqlite ]
    done

    # A rank dies while the others work: they say so, and the next run completes the table.
    ranks 2 bash -c '
        [ "$OMPI_COMM_WORLD_RANK" = 1 ] || exec "$@"
        "$@" & until [ -e dead/results.rank-1.sqlite ] || ! kill -0 $!; do sleep 0.02; done
        kill -9 $! $$' rank "$MNEME" eval "${common[@]}" -t 1 --ctx 1023 \
        --out dead >out 2>err </dev/null
    code=$? err=$(<err)
    said="mpirun with a rank that dies"
    check "a rank that dies fails the run" [ $code != 0 ]
    want_err "mneme: rank 0: interrupted" ", or another rank has died: mpirun says which" \
        "mneme: the run ends; the same command goes on where it stopped"
    run eval "${common[@]}" --ctx 1023 --out dead
    want_code 0
    run eval "${common[@]}" --ctx 1023 --out alive
    check "and the table is completed" [ "$(table dead)" = "$(table alive)" ]

    # What is wrong for all is told once, with its own exit code, and leaves nothing behind.
    alike() { # CODE SENTENCE ARGS...
        ranks 3 "$MNEME" eval "${@:3}" --out none -t 1 \
            >out 2>err </dev/null
        code=$? err=$(<err)
        said="mpirun -n 3 mneme eval ${*:3}"
        want_code "$1"
        want_err "$2"
        check "one sentence wanted, found: $err" [ "$(grep -c '^mneme: ' err)" = 1 ]
        check "nothing made" [ ! -e none ]
    }
    printf '{bad\n' >worse.jsonl
    alike 2 "nearest name is \`longbench\`" --tasks longbenc -m m.gguf
    alike 2 "budget \`abc\`" --task-file own.jsonl --metric f1 -m m.gguf --budgets abc
    alike 3 "worse.jsonl:1" --task-file worse.jsonl --metric f1 -m m.gguf
    alike 3 "absent.gguf" --task-file own.jsonl --metric f1 -m absent.gguf

    # What goes wrong for one ends all.
    mkdir broken
    printf 'no store' >broken/results.sqlite
    ranks 3 "$MNEME" eval "${common[@]}" --out broken -t 1 \
        >out 2>err </dev/null
    code=$? err=$(<err)
    said="mpirun with a store that is none"
    want_code 3
    want_err "mneme: rank 0: broken/results.sqlite: "
    check "one sentence wanted, found: $err" [ "$(grep -c '^mneme: ' err)" = 1 ]
else
    echo "no MPI here: runs over several processes are not tested"
fi

# Likelihood alone: choices, one reading for each context or for all.
mkdir -p data/mc
printf '%s\n' '{"task":"piqa","context":"hello","continuations":[" world"," wide sea"],"gold":1,"source_id":"1"}' \
    >data/mc/piqa.jsonl
printf '%s\n' '{"task":"winogrande","contexts":["the sea","the world"],"continuations":[" is old"," is old"],"gold":0,"source_id":"1"}' \
    >data/mc/winogrande.jsonl
run eval --tasks piqa,winogrande --data data -m m.gguf --out choice --budgets 60%
want_code 0
want_err "2 prompts"

# The table: a block's peak, every policy's, and the raw scores of each task with their prompts.
run eval --tasks piqa,winogrande --data data -m m.gguf --out choice --budgets 60%
want_out "act at the prompt's end, peak " "  peak" "piqa" "winogrande" "accuracy_norm"
scores=$(grep -A9 "^  task " out | grep -Ec "^  (full|empty|random@60%|streaming:sinks=0,chunk=0@60%) +[01]\.000 \(1\) +[01]\.000 \(1\)$")
check "two scores of four policies wanted, found $scores" [ "$scores" = 4 ]

# Lists.
run eval --list --json
want_json "len([t for t in d['tasks'] if t['set'] == 'longbench']) == 21
    and len([t for t in d['tasks'] if t['set'] == 'ruler']) == 13 and len(d['metrics']) > 20"

# Mistakes.
refused 2 eval --tasks narrativeqa -- "--out DIR wanted"
refused 2 eval --out x -m m.gguf -- "--tasks NAME,... wanted"
refused 2 eval --out x --tasks longbenc -m m.gguf -- "nearest name is \`longbench\`"
refused 2 eval --out x --task-file own.jsonl -- "wants --metric"
refused 2 eval --out x --task-file own.jsonl --metric qa_g1 -- "qa_f1"
refused 2 eval --out x --tasks piqa --policies h20 -m m.gguf -- "h2o"
refused 2 eval --out x --tasks piqa --policies h2o --budgets 5% --data data -m m.gguf --lengths 12 \
    -- "--lengths"
run eval --out x --tasks trec -m m.gguf
check "no data directory: a sentence, found: $err" grep -q "data directory" err
run eval --out x --tasks trec --data data -m m.gguf
check "a missing set: where to put it, found: $err" grep -q "put the set there" err
printf '{"context": "a", "input": "b", "answers": ["c"]}\nnot json\n{"context": "a"}\n' >bad.jsonl
run eval --out x --task-file bad.jsonl --metric qa_f1 -m m.gguf
want_code 3
want_err "bad.jsonl:2"
run eval --out x --task-file bad.jsonl --metric qa_f1 -m m.gguf --skip-bad -n 2 --budgets 60%
want_err "malformed lines left out"
printf 'no store' >x/results.sqlite
run eval --out x --task-file own.jsonl --metric qa_f1 -m m.gguf
want_code 3
check "a file that is no store is left alone" [ "$(cat x/results.sqlite)" = "no store" ]
finish 70
