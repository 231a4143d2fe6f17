# mneme evolve --stage over processes: one, two or four ranks make the same log, the same state and the
# same NAMM, by every fidelity; one that dies ends the run with a sentence, and any number goes on.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
if ! command -v mpirun >/dev/null || ! ldd "$MNEME" | grep -q libmpi; then
    echo "no MPI here: runs over several processes are not tested"
    exit 77
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
tiny m.gguf llama ctx=1024
qasper_rows data
# Three stages, each by a fidelity of its own; the second and third go on where the first ended.
common=(evolve --stage qasper --stage qasper --stage qasper --fidelity retained,frozen,true
    --data data -m m.gguf -c 900 --population 4 --prompts 3 --held-out 2 --validate 1
    --generations 2,2,1 --budgets 40%,70% --limit 6 --gold-tokens 4 --sigma 0.5 --seed 5
    --namm-options recent=2,chunk=32 --log-candidates -q -t 1)
ranks() { # how many, then the rest
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
        mpirun -n "$1" --oversubscribe --bind-to none "${@:2}" >out 2>err </dev/null
    code=$? err=$(<err) said="mpirun -n $1"
}
# What a folder holds, but for times.
table() {
    python3 - "$1" <<'PY'
import hashlib, sqlite3, sys
d = sys.argv[1]
db = sqlite3.connect("file:%s/log.sqlite?mode=ro" % d, uri=True)
rows = db.execute("""select generation, stage, best, mean, median, sigma, axis_ratio, kept_share,
    held_out, held_out_kept, is_saved, n_prompt, n_left, n_candidate, n_failed, evaluations, prompts
    from generation order by generation""").fetchall()
candidates = db.execute("select * from candidate order by generation, candidate").fetchall()
stages = db.execute("select * from stage order by stage").fetchall()
different = len(set(r[2] for r in candidates))
h = hashlib.sha256(repr((rows, candidates, stages)).encode())
for name in "start.namm.gguf", "best.namm.gguf", "evolve.gguf":
    h.update(open(d + "/" + name, "rb").read())
print(len(rows), len(stages), different, h.hexdigest())
PY
}
run "${common[@]}" --out whole
want_code 0
whole=$(table whole)
read -r n_generation n_stage n_loss _ <<<"$whole"
check "five generations in three stages, losses that differ: $whole" \
    [ "$n_generation,$n_stage,$((n_loss > 15))" = 5,3,1 ]
for n in 2 4; do
    ranks $n "$MNEME" "${common[@]}" --out "ranks$n"
    want_code 0
    check "$n ranks give the same" [ "$(table "ranks$n")" = "$whole" ]
    want_json 'd["starts"][0]["ranks"] == '$n "ranks$n/run.json"
done

# A rank dies. Its reading takes long enough to be met in it, or the others wait for it: both say so.
ranks 3 bash -c '
    [ "$OMPI_COMM_WORLD_RANK" = 1 ] || exec "$@"
    "$@" & until [ -e dead/evolve.gguf.1 ]; do sleep 0.01; done; kill -9 $! $$' rank "$MNEME" "${common[@]}" --out dead
check "a rank that dies fails the run" [ $code != 0 ]
want_err "mneme: rank 0: interrupted" "where that one ended, it or mpirun says why" "the same command goes on where it stopped"
check "it was cut: $(table dead)" [ "$(table dead)" != "$whole" ]
run "${common[@]}" --out dead
want_code 0
check "and one process ends it alike" [ "$(table dead)" = "$whole" ]
finish 12
