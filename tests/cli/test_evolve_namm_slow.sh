# `mneme evolve --stage`: a NAMM evolves on rows of a file's set, goes on where it stopped to the
# same end, and what comes of it is a policy. Mistakes get a sentence.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024

qasper_rows data
common=(evolve --stage qasper --data data -m m.gguf -c 900 --population 4 --prompts 2 --held-out 2
    --validate 1 --generations 3 --budgets 40%,70% --limit 6 --gold-tokens 4 -q)
best() { sha256sum "$1/best.namm.gguf" | cut -d' ' -f1; }

for how in "linear frozen" "mlp retained" "mix retained" "paper true"; do
    set -- $how
    warm=; [ $1 = linear ] && warm=--warm
    run "${common[@]}" --from $1 --fidelity $2 $warm --out $1-$2 --json
    want_code 0
    want_out '{"generation":0,"fidelity":"'$2'","best":' '{"generation":2,'
    check "three lines of $how" [ "$(grep -c '"kept_share":0\.' <<<"$out")" = 3 ]
    run inspect $1-$2/best.namm.gguf
    want_code 0
    want_out "base_model" "m.gguf" "qasper" "mneme evolve --stage qasper --model m.gguf" " --from $1 "
    check "no path of this machine in it" [ "${out/$PWD}" = "$out" ]
    kind=full
    [ $1 = paper ] && kind=separable
    check "$1: $kind covariance" grep -q "\"covariance\": \"$kind\"" $1-$2/run.json
    run run -m m.gguf --raw -p "hello world the sea is wide and old" -n 2 \
        --policy "namm:file=$1-$2/best.namm.gguf,chunk=0,recent=2" --budget 60% --json
    want_code 0
done

# A mix begins with components that are not alike.
run inspect mix-retained/start.namm.gguf --json
want_json "d['namm']['components'] == '4'"
want_json "d['namm']['parameters'].startswith('132 numbers, -0.')"

# Threads and pauses change nothing.
run "${common[@]}" --from linear --fidelity frozen --warm --out threads -t 1
want_code 0
check "one thread, the same" [ "$(best threads)" = "$(best linear-frozen)" ]
run "${common[@]}" --from linear --fidelity frozen --warm --out paused --max-seconds 0.001
want_code 0
for i in 1 2; do
    "$MNEME" "${common[@]}" --from linear --fidelity frozen --warm --out paused &
    sleep 0.$((RANDOM % 10)); kill -9 $! 2>/dev/null; wait $! 2>/dev/null
done
run "${common[@]}" --from linear --fidelity frozen --warm --out paused
want_code 0
check "killed and gone on, the same" [ "$(best paused)" = "$(best linear-frozen)" ]

# From a file, to other tasks.
run "${common[@]}" --from linear-frozen/best.namm.gguf --out further --generations 1
want_code 0

refused() { # code, arguments, --, sentence
    local code=$1 args=()
    shift
    while [ "$1" != -- ]; do args+=("$1"); shift; done
    run "${args[@]}"
    want_code "$code"
    want_err "$2"
}
refused 2 "${common[@]}" --from liner --out x -- 'unknown shape of a NAMM `liner`: `linear`?'
refused 2 "${common[@]}" --from linear --fidelity best --out x -- "retained, frozen or true wanted"
refused 2 "${common[@]}" --from linear --loss best --out x -- "--loss"
refused 2 "${common[@]}" --from linear -- "--out DIR wanted"
refused 2 evolve --stage quasper --out x -m m.gguf -- 'the nearest name is `qasper`'
refused 2 "${common[@]}" --from linear --warm --out linear-frozen --loss nll -- "--loss nll wanted, kl found"
refused 2 "${common[@]}" --from linear --out linear-frozen -- "--warm none wanted, yes found"
refused 3 "${common[@]}" --from m.gguf --out y -- "m.gguf"
refused 2 "${common[@]}" --from mlp --fidelity retained --budgets 64 --out z -- "budgets in %"
finish 45
