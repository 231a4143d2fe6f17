# `mneme evolve --out`: a run that is killed, interrupted or spread over processes ends as one that
# is not; stages, log, page and lines say what happened; mistakes get a sentence.
. "$(dirname "$0")/lib.sh"

base=(--function rosenbrock --dim 6 --noise 0.01 --prompts 100 --held-out 60 --validate 5
    --target -1e9 --seed 4 --log-candidates)
common=("${base[@]}" --stage +ellipsoid --generations 60,40)
n_generation=100

# What a folder holds, but for times.
table() {
    python3 - "$1" <<'PY'
import hashlib, json, sqlite3, sys
d = sys.argv[1]
db = sqlite3.connect("file:%s/log.sqlite?mode=ro" % d, uri=True)
rows = db.execute("""select generation, stage, best, mean, median, sigma, axis_ratio, held_out,
    is_saved, n_prompt, n_left, n_candidate, n_failed, evaluations, prompts from generation
    order by generation""").fetchall()
rows += db.execute("select * from candidate order by generation, candidate").fetchall()
rows += db.execute("select * from stage order by stage").fetchall()
h = hashlib.sha256(repr(rows).encode())
h.update(open(d + "/best.json", "rb").read())
h.update(open(d + "/evolve.gguf", "rb").read())
print(db.execute("select count(*) from generation").fetchone()[0], h.hexdigest())
PY
}
generations() {
    python3 -c 'import sqlite3, sys
try: print(sqlite3.connect("file:%s/log.sqlite?mode=ro" % sys.argv[1], uri=True).execute(
    "select count(*) from generation").fetchone()[0])
except sqlite3.Error: print(0)' "$1"
}

run evolve "${common[@]}" --out whole --json
want_code 0
whole=$(table whole)
check "$n_generation generations, found: $whole" [ "${whole% *}" = $n_generation ]
check "a line for each generation, and a summary" [ "$(wc -l <out)" = $((n_generation + 1)) ]
sed -n 71p out >line
want_json 'list(d) == ["generation", "fidelity", "best", "mean", "sigma", "kept_share", "seconds"]
    and d["generation"] == 70 and d["best"] <= d["mean"]' line
want_json 'd["seed"] == 4 and d["settings"]["prompts"] == 100 and d["options"]["noise"] == 0.01
    and [s["tasks"] for s in d["stages"]] == ["rosenbrock", "rosenbrock,ellipsoid"]
    and d["commit"] and d["compiler"] and d["cpu_level"] and len(d["starts"]) == 1' whole/run.json
want_json 'len(d["x"]) == 6 and d["stage"] == 2 and d["held_out"] is not None' whole/best.json
run evolve "${common[@]}" --out whole
want_code 0
want_err "all generations done, stage 2 of 2, 0 generations new"
check "a second run changes nothing" [ "$(table whole)" = "$whole" ]

# The page and the document.
run report whole
want_code 0
want_out whole/report.html whole/report.json
want_json 'len(d["generations"]) == 100 and len(d["stages"]) == 2
    and d["stages"][1]["generation"] == 60 and d["run"]["seed"] == 4
    and d["stages"][0]["held_out"] > min(g["held_out"] for g in d["generations"] if g["held_out"])' \
    whole/report.json
check "no part of the page is left open" [ "$(grep -c 'mneme:' whole/report.html)" = 0 ]
check "the page holds its charts" grep -q "Chart.js v3" whole/report.html
run report whole --json
want_json 'd["version"] == 1 and len(d["generations"]) == 100'

# Other threads, the same bits.
run evolve "${common[@]}" --out threads -t 3
want_code 0
check "three threads give the same" [ "$(table threads)" = "$whole" ]

# Killed ten times at any moment, some generations on.
n_cut=0
for i in $(seq 10); do
    : >lines
    "$MNEME" evolve "${common[@]}" --out killed --json >lines 2>/dev/null &
    pid=$!
    while [ "$(wc -l <lines)" -lt $((i % 4)) ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    sleep "0.0$((RANDOM % 5))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    n=$(generations killed)
    [ "$n" -gt 0 ] && [ "$n" -lt $n_generation ] && n_cut=$((n_cut + 1))
done
check "it was cut in its midst" [ $n_cut -gt 0 ]
for name in best.json evolve.gguf report.html; do echo half >killed/$name.tmp-12345; done
run evolve "${common[@]}" --out killed
want_code 0
check "killed ten times and resumed: the same" [ "$(table killed)" = "$whole" ]
check "nothing unfinished is left: $(ls killed)" [ -z "$(find killed -name '*.tmp-*')" ]
want_json 'len(d["starts"]) >= 2' killed/run.json

# Ctrl-C.
: >lines
"$MNEME" evolve "${common[@]}" --out stopped --json >lines 2>err &
pid=$!
for i in $(seq 2000); do [ "$(wc -l <lines)" -ge 4 ] && break; sleep 0.01; done
kill -INT $pid
wait $pid
code=$? err=$(<err) said="an interrupted run"
want_code 130
want_err "interrupted"
check "a summary is not there" [ "$(grep -c version lines)" = 0 ]
n=$(generations stopped)
check "it stopped on its way, at $n" [ "$n" -ge 4 ] && check "before the end" [ "$n" -lt $n_generation ]
run evolve "${common[@]}" --out stopped
want_code 0
want_err "goes on at generation $n"
check "interrupted and resumed: the same" [ "$(table stopped)" = "$whole" ]

# A state that was cut.
"$MNEME" evolve "${base[@]}" --generations 10 --out cut -q >/dev/null
head -c 1000 cut/evolve.gguf >part && mv part cut/evolve.gguf
run evolve "${common[@]}" --out cut
want_code 0
want_err "the checkpoint before it is used: cut/evolve.gguf.1" "goes on at generation 9"
check "from the state before: the same" [ "$(table cut)" = "$whole" ]

# Several processes.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
if command -v mpirun >/dev/null && ldd "$MNEME" | grep -q libmpi; then
    ranks() { # how many, then the rest
        ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
            mpirun -n "$1" --oversubscribe --bind-to none "${@:2}" >out 2>err </dev/null
        code=$? err=$(<err) said="mpirun -n $1"
    }
    for n in 2 4; do
        ranks $n "$MNEME" evolve "${common[@]}" -t 1 --out ranks$n
        want_code 0
        check "$n ranks give the same" [ "$(table ranks$n)" = "$whole" ]
        check "one of them tells" [ "$(grep -c 'of 1 reached' out)" = 1 ]
    done

    # A rank dies: they say so, and any number of ranks goes on.
    ranks 3 bash -c '
        [ "$OMPI_COMM_WORLD_RANK" = 1 ] || exec "$@"
        "$@" & until [ -e dead/evolve.gguf.1 ]; do sleep 0.01; done; kill -9 $! $$' rank "$MNEME" evolve "${common[@]}" -t 1 --out dead
    check "a rank that dies fails the run" [ $code != 0 ]
    want_err "mneme: rank 0: interrupted" "where that one ended, it or mpirun says why" \
        "the same command goes on where it stopped"
    run evolve "${common[@]}" --out dead
    want_code 0
    check "and one process ends it alike" [ "$(table dead)" = "$whole" ]
else
    echo "no MPI here: runs over several processes are not tested"
fi

# Mistakes.
refused 2 evolve "${common[@]}" --out whole --prompts 5 -- "--prompts 5 wanted, 100 found"
refused 2 evolve "${common[@]}" --out whole --sigma 3 -- "--sigma 3 wanted, 2 found"
refused 2 evolve "${common[@]}" --out whole --noise 0.02 -- "--noise 0.02 wanted, 0.01 found"
refused 2 evolve "${common[@]}" --out whole --statistic median -- "--statistic median wanted, mean found"
refused 2 evolve "${common[@]}" --out whole --generations 59,40 -- \
    "--generations of stage 1 59 wanted, 60 found"
refused 2 evolve "${common[@]}" --out whole --generations 60,x -- "'x' found"
refused 2 evolve "${common[@]}" --out whole --generations 60,1,1 -- "2 stages, but also '1'"
refused 2 evolve --function sphere --prompts 3 -- "--prompts wants --out"
refused 2 evolve --function sphere --out x --goal 1 -- "want --held-out"
refused 2 evolve --function sphere --stage spere --generations 1 --out y -q -- "'spere' is no function"
run report y
want_code 0
mkdir empty
refused 3 report empty -- "no records there"
mkdir x
echo "no log" >x/log.sqlite
refused 3 report x -- "x/log.sqlite"
refused 3 evolve --function sphere --out x -q -- "x/log.sqlite"
finish 50
