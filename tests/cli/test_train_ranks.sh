# `mneme train` over several processes: the curve of one, bytes as the formula has them, a rank that
# dies, a stop.
. "$(dirname "$0")/lib.sh"
configs=$MNEME_SOURCE/share/mneme/train
run plan "$configs/dense.smoke.ini"
if grep -q "reads no INI files" err || ! command -v mpirun >/dev/null ||
    ! ldd "$MNEME" | grep -q libmpi; then
    echo "no MPI or no inih here: trainings over several processes are not tested"
    exit 77
fi
want_code 0
tiny m.gguf llama
cp "$MNEME_SOURCE/tests/data/moonstone.txt" corpus.txt
memory=("$configs/ultramem.smoke.ini" --set data.corpus=corpus.txt --set data.tokenizer=m.gguf
    --set data.shards=shards --set report.peak=no --set train.length=16 --set train.steps=12
    --set train.batch=1 --set train.passes=2 --set report.every=1 --set report.save_every=2
    --set report.valid_every=6 --set report.valid_rows=4 --set report.sample_tokens=4
    --set report.prompt=The)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks() { # how many, then the rest; what MPI itself never frees is not looked for
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
        mpirun -n "$1" --oversubscribe --bind-to none "${@:2}" >out 2>err </dev/null
    code=$? err=$(<err) said="mpirun -n $1"
}
# Losses of two folders: the same bits, or those of other sums, whose order Adam makes much of after
# the first steps: it divides gradients that are nearly zero by their own size.
curves() { # same or near, folders
    python3 - "$@" <<'PY'
import sqlite3, sys
a, b = (sqlite3.connect("file:%s/log.sqlite?mode=ro" % d, uri=True).execute(
    "select step, tokens, loss, valid_loss from step order by step").fetchall()
    for d in sys.argv[2:])
def near(x, y, most): return x == y or None not in (x, y) and abs(x - y) < most * abs(y)
sys.exit(0 if len(a) == len(b) == 12 and (a == b or sys.argv[1] == "near" and all(
    near(x, y, 1e-6 if r[0] < 3 else 1e-2) for r, s in zip(a, b) for x, y in zip(r, s))) else 1)
PY
}

run train "${memory[@]}" -t 1 --out one
want_code 0
ranks 2 "$MNEME" train "${memory[@]}" -t 1 --out two
want_code 0
check "two ranks give the same curve: $err" curves near two one
check "one of them tells" [ "$(grep -c 'step 12: loss' out)" = 1 ]
want_json 'd["starts"][0]["ranks"] == 2 and
    (lambda m, t, s: s["look_up_back"] == 12 * (m["insert"].count("/") + 1) * int(t["length"]) * (
        int(m["expand"]) * int(m["value_width"]) * 4 // 2 +
        int(m["heads"]) * int(m["keep"]) * 4 * max(int(m["cores"]) // 2, 1)) and
        s["look_up"] > s["look_up_back"] and s["gradients"] > 0)(
    d["config"]["memory"], d["config"]["train"], d["starts"][0]["sent_bytes"])' two/run.json

# A rank dies: they say so, and any number of ranks goes on.
ranks 2 bash -c '
    [ "$OMPI_COMM_WORLD_RANK" = 1 ] || exec "$@"
    "$@" & until [ -e dead/checkpoint.gguf.1 ]; do sleep 0.01; done; kill -9 $! $$' \
    rank "$MNEME" train "${memory[@]}" -t 1 --out dead
check "a rank that dies fails the run" [ $code != 0 ]
want_err "where that one ended, it or mpirun says why"
cp -r dead again
ranks 2 "$MNEME" train "${memory[@]}" -t 1 --out again
want_code 0
check "two ranks end it to the same bits" curves same again two
run train "${memory[@]}" -t 1 --out dead
want_code 0
want_err "goes on behind step"
check "one process ends it alike" curves near dead one

# A stop of all, of which one is long in coming, as if it wrote: they wait for it.
ranks 2 bash -c '
    "$@" & until [ -e stopped/run.json ]; do sleep 0.01; done
    if [ "$OMPI_COMM_WORLD_RANK" = 0 ]; then
        kill -STOP $!; sleep 1.5; kill -TERM $!; kill -CONT $!
    else
        kill -TERM $!
    fi
    wait $!' rank "$MNEME" train "${memory[@]}" -t 1 --out stopped
want_code 130
want_err "stopped after step" "goes on where it stopped"
check "the one that waited says so" [ "$(grep -c 'rank 1: interrupted while it waits' err)" = 1 ]
at=$(sed -n 's/.*stopped after step \([0-9]*\) of 12.*/\1/p' err)
want_json 'd["starts"][0]["sent_bytes"]["gradients"] > 0' stopped/run.json
ranks 2 "$MNEME" train "${memory[@]}" -t 1 --out stopped
want_code 0
want_err "goes on behind step $at of 12"
check "a run that was stopped ends to the same bits" curves same stopped two

ranks 3 "$MNEME" train "${memory[@]}" -t 1 --out three
check "three ranks cannot share two passes" [ $code != 0 ]
want_err "a multiple of the 3 ranks wanted, 2 and 1 found"
check "what all say is said once" [ "$(grep -c 'a multiple of' err)" = 1 ]
check "nor would it go on" [ "$(grep -c 'goes on' err)" = 0 ]
finish 18
