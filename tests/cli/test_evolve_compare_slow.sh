# `mneme evolve --compare`: the same candidates on the same prompts in several ways; goes on where it
# stopped to the same losses, whatever the threads. Mistakes get a sentence.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024

qasper_rows data
common=(evolve --stage qasper --data data -m m.gguf -c 900 --compare 5 --prompts 3 --budgets 50%
    --limit 6 --gold-tokens 4 --population 2 --namm-options chunk=32,recent=4 --sigma 0.5)

run "${common[@]}" --out whole -t 1
want_code 0
want_out "5 candidates, 3 prompts, sigma 0.5" "retained" "frozen:kl" "true:kl" "begin s" \
    "rank correlation [95% interval]"
check "three pairs" [ "$(grep -c '\[[+-].*\]$' out)" = 3 ]
want_json 'd["done"] and len(d["sides"]) == 3 and len(d["pairs"]) == 3' whole/compare.json
want_json 'all(len(s["losses"]) == 5 and len(set(s["losses"])) == 5 for s in d["sides"])' \
    whole/compare.json
want_json '[s["fidelity"] for s in d["sides"]] == ["retained", "frozen", "true"]' whole/compare.json
# The mean over prompts is the loss; true is another matter than frozen.
want_json 'all(abs(sum(r[0] for r in s["prompt_losses"]) / 3 - s["losses"][0]) < 1e-12
    for s in d["sides"])' whole/compare.json
want_json 'd["sides"][1]["losses"] != d["sides"][2]["losses"]' whole/compare.json

# The document itself; threads, how many at once, and what was said before change no loss.
run "${common[@]}" --out threads -t 3 --json
want_code 0
want_json 'd["done"]'
same() { # folders whose losses are the same
    python3 - "$1" "$2" <<'PY'
import json, sys
a, b = (json.load(open(x + "/compare.json")) for x in sys.argv[1:])
sys.exit([s["prompt_losses"] for s in a["sides"]] != [s["prompt_losses"] for s in b["sides"]]
         or a["pairs"] != b["pairs"])
PY
}
check "three threads, the same" same whole threads
run "${common[@]}" --out threads --population 5
want_code 0
want_out "rank correlation"
check "how many at once changes nothing" same whole threads

# A file as an interruption leaves it: a side that has begun, and one that has not.
mkdir paused
cp whole/start.namm.gguf paused
python3 - <<'PY'
import json
d = json.load(open("whole/compare.json"))
for side, done in zip(d["sides"][1:], (1, 0)):
    for key in "left_out", "prompt_losses", "prompt_kept":
        side[key] = side[key][:done]
d["sides"][1]["prompt_losses"][0][2] += 0.25
d["done"] = False
json.dump(d, open("paused/compare.json", "w"))
PY
run "${common[@]}" --out paused
want_code 0
want_json 'd["done"] and all(len(s["prompt_losses"]) == 3 for s in d["sides"])' paused/compare.json
python3 - <<'PY' || wrong "what was rated is rated again, or what was not is other"
import json, sys
a, b = (json.load(open(x + "/compare.json"))["sides"] for x in ("whole", "paused"))
a[1]["prompt_losses"][0][2] += 0.25
sys.exit([s["prompt_losses"] for s in a] != [s["prompt_losses"] for s in b])
PY
head -c 900 whole/compare.json >paused/compare.json
refused 3 "${common[@]}" --out paused -- "paused/compare.json: not a whole comparison"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
if command -v mpirun >/dev/null && ldd "$MNEME" | grep -q libmpi; then
    said="mpirun -n 2"
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 mpirun -n 2 --oversubscribe \
        --bind-to none "$MNEME" "${common[@]}" -t 1 --out ranks >out 2>err </dev/null
    check "two ranks" [ $? = 0 ]
    check "two ranks, the same" same whole ranks
    check "one of them tells" [ "$(grep -c 'rank correlation' out)" = 1 ]
fi

# Other ways, another loss.
run "${common[@]}" --out metric --fidelity frozen,frozen:metric --prompts 1
want_code 0
want_out "frozen:kl" "frozen:metric"
refused 2 "${common[@]}" --out whole --seed 5 -- "it was made with other options: --seed 5 wanted, 0 found"
refused 2 "${common[@]}" --out whole --loss nll -- "other options: --fidelity " '"loss":"kl"'
refused 2 "${common[@]}" --out x --fidelity best -- "retained, frozen or true wanted, 'best' found"
refused 2 "${common[@]}" --out x --fidelity true:best -- "true:kl, :nll or :metric wanted"
refused 2 "${common[@]}" --out x --generations 3 -- "--generations is of generations"
refused 2 "${common[@]}" --out x --stage qasper -- "--compare wants one --stage"
refused 2 "${common[@]}" --out x --compare 2 -- "--compare"
refused 3 "${common[@]}" --out x --prompts 99 -- "99 prompts wanted"
refused 2 evolve --function sphere --compare 4 --out x -- "--compare is of NAMMs"
finish 60
