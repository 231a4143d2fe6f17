# mneme evolve --stage: a run goes on under the options that it was made with, and no others: what
# differs is named as the command calls it, with both values. What is of no matter may differ.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
tiny other.gguf qwen3 ctx=1024
qasper_rows data
common=(evolve --stage qasper -m m.gguf -c 900 --population 4 --prompts 2 --held-out 2 --validate 1
    --generations 3 --budgets 40% --limit 6 --sigma 0.5 --no-progress)
go() { run "${common[@]}" --data data --out made "$@"; }
state() { sha256sum "$1/evolve.gguf" | cut -d' ' -f1; }

go --out whole
want_code 0
go --generations 1
want_code 0

# Each option of the verb is one by which a run is another, or is not, or is none of a NAMM's.
differs="from=mlp warm= fidelity=true loss=nll namm-options=recent=3 budgets=30%,40% evict=context
    limit=5 lengths=600 gold-tokens=4 lanes=3 positions=compact kv-type=f32 ctx=800 chunk=64
    rope-scaling=linear rope-factor=2 rope-base=5000 seed=3 product=wide population=5 elite=0.3
    sigma=0.4 start=3 covariance=separable rank=3 restart=ipop handle-noise= statistic=median
    prompts=3 held-out=3 validate=2"
same="threads=1 bank=1M mem-limit=1G offline= log-candidates= quiet= color=never"
limits="cpu=ref no-pack= max-seconds=1e3 json= goal=-1 target=-1 max-evaluations=100000"
apart="model stage generations data out target-share compare function dim noise runs no-progress help"
"$MNEME" evolve --help | grep -oE -- '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u >all
for o in $differs $same $limits $apart; do echo "--${o%%=*}"; done | sort >known
check "an option that nobody decided on: $(comm -3 all known)" cmp -s all known

for o in $differs; do
    name=--${o%%=*} value=${o#*=} words=("$name" "$value")
    [ -n "$value" ] || words=("$name") value=yes
    case $name in
    --rope-scaling) continue ;; # it wants --rope-factor
    --rope-factor) words+=(--rope-scaling linear) ;;
    --rank) words+=(--covariance low-rank) name=--covariance value=low-rank ;;
    --fidelity) name="--fidelity of stage 1" ;;
    esac
    refused 2 "${common[@]}" --data data --out made "${words[@]}" -q -- \
        "it was made with other options: $name $value wanted, "
done
refused 2 "${common[@]}" --data data --out made --gold-tokens 4 -- "--gold-tokens 4 wanted, 40 found"
refused 2 "${common[@]}" --data data --out made --lanes 3 -- "made/evolve.gguf" "--lanes 3 wanted, none found"
refused 2 "${common[@]}" --data data --out made --namm-options recent=3 -- "recent=3 wanted, none found"
refused 2 "${common[@]}" --data data --out made --budgets none -- "--budgets none wanted, 40% found"
refused 2 "${common[@]}" --data data --out made -m other.gguf -- "--model " " (qwen3, " " (llama, "
refused 2 "${common[@]}" --data data --out made --from mlp -- \
    "made/start.namm.gguf: it was made with other options: --from mlp wanted, linear found"
refused 2 "${common[@]}" --data data --out made --from liner -- 'unknown shape of a NAMM `liner`: `linear`?'
refused 2 "${common[@]}" --data data --out made --from gone.gguf -- "--from gone.gguf wanted, linear found"

# Other rows, whatever the folder is called.
qasper_rows other "Who?"
qasper_rows fewer "Which?" 24
mv data moved
refused 2 "${common[@]}" --data other --out made -q -- \
    "made/evolve.gguf: stage 1 began with other prompts than are found"
refused 2 "${common[@]}" --data fewer --out made -q -- \
    "made/evolve.gguf: stage 1 began with 6 prompts, "
mv moved data

# What changes no bit, and what a run may end by or be computed with.
words_of() { # option=value...: as arguments, in `words`
    words=()
    for o; do
        words+=("--${o%%=*}")
        [ -z "${o#*=}" ] || words+=("${o#*=}")
    done
}
words_of $same
cp -r made again
run "${common[@]}" --data data --out again "${words[@]}"
want_code 0
check "the same as without a pause" [ "$(state again)" = "$(state whole)" ]
words_of $limits
cp -r made level
run "${common[@]}" --data data --out level "${words[@]}"
want_code 0
want_json '[d["starts"][i]["generation"] for i in (0, -1)] == [0, 1] and d["cpu_level"] == "ref"
    and d["starts"][-1]["cpu_level"] == "ref"' level/run.json
want_json 'd["options"]["from"] == "linear" and d["options"]["product"] == "auto"' level/run.json

# A file is the same under another name, and when it is gone; another one is not.
mkdir files
cp whole/best.namm.gguf files/one.namm.gguf
cp again/start.namm.gguf files/two.namm.gguf
run "${common[@]}" --data data --generations 1 --from files/one.namm.gguf --out of
want_code 0
cp files/one.namm.gguf files/name.namm.gguf
run "${common[@]}" --data data --generations 2 --from files/name.namm.gguf --out of
want_code 0
refused 2 "${common[@]}" --data data --from files/two.namm.gguf --out of -- \
    "of/start.namm.gguf: it was made with other options: --from two.namm.gguf#" "wanted, one.namm.gguf#"
refused 2 "${common[@]}" --data data --from linear --out of -- "--from linear wanted, one.namm.gguf#"
refused 2 "${common[@]}" --data data --warm --from files/one.namm.gguf --out never -- \
    "a warm start fits a shape, and files/one.namm.gguf is a file"
check "nothing is made then" test ! -e never
mv files lost
run "${common[@]}" --data data --from files/one.namm.gguf --out of
want_code 0
refused 2 "${common[@]}" --data data --from files/name.namm.gguf --out of -- \
    "--from name.namm.gguf wanted, one.namm.gguf#"

# A start that nothing followed from is made anew; one that was fitted to what is held out now is not
# gone on with.
mkdir left
cp lost/two.namm.gguf left/start.namm.gguf
run "${common[@]}" --data data --from lost/one.namm.gguf --out left
want_code 0
check "it is what was asked for" [ "$(state left)" = "$(state of)" ]
run evolve --stage qasper -m m.gguf -c 900 --data data --budgets 40% --limit 6 --prompts 2 --compare 3 \
    --fidelity frozen -q --out compared
want_code 0
refused 2 "${common[@]}" --data data --out compared -- "--held-out 2 of seed 0 wanted, none found"
refused 2 evolve --stage qasper -m m.gguf -c 900 --data data --budgets 40% --limit 6 --prompts 2 \
    --compare 3 --fidelity frozen --out compared --gold-tokens 9 -- \
    "compared/compare.json: it was made with other options: --gold-tokens 9 wanted, 40 found"
python3 - compared/compare.json <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
d["done"] = False
for side in d["sides"]:
    for key, x in side.items():
        if isinstance(x, list) and len(x) == len(d["prompts"]):
            side[key] = []
json.dump(d, open(sys.argv[1], "w"))
PY
refused 2 evolve --stage qasper -m m.gguf -c 900 --data other --budgets 40% --limit 6 --prompts 2 \
    --compare 3 --fidelity frozen -q --out compared -- \
    "compared/compare.json: of other prompts than are found: its data are others"
run evolve --stage qasper -m m.gguf -c 900 --data data --budgets 40% --limit 6 --prompts 2 \
    --compare 3 --fidelity frozen -q --out compared
want_code 0

# A folder in which another evolves keeps what that one began with.
mkdir held
said="mneme evolve beside another"
flock held "$MNEME" "${common[@]}" --data data --from linear --out held 2>err
check "it is refused" grep -q "held: another process evolves there" err
check "it makes nothing there" [ -z "$(ls held)" ]
finish 157
