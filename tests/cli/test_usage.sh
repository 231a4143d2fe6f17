# Verbs, options, help, documents: what is asked for goes to standard output with 0, misuse to
# standard error with 2.
. "$(dirname "$0")/lib.sh"
tiny m.gguf llama

refused 2 -- "a verb is wanted" "mneme --help"
refused 2 rnu -- "unknown verb 'rnu'" "did you mean 'run'?"
refused 2 xyzzy -- "unknown verb 'xyzzy'" "mneme --help"
refused 2 --json run -- "'--json' stands where the verb should"
refused 2 run --polcy full -- "unknown option '--polcy' of 'mneme run'" "did you mean '--policy'?"
refused 2 pull --budget 5 -- "unknown option '--budget'" "mneme pull --help"
refused 2 run -z -- "unknown option '-z'"
refused 2 run -qz -- "unknown option '-z'"
refused 2 run -m -- "option '-m' wants a value"
refused 2 run --json=1 -p x -- "unknown option '--json=1'"
refused 2 run -m m.gguf -p x stray -- "'stray': files follow -f"
refused 2 run -m m.gguf -- "nothing to read"
refused 2 run -m m.gguf -p x -n many -- "--tokens: a number from 0 to" "'many' found"
refused 2 run -m m.gguf -p x --temp -1 -- "--temp: a number from 0 to 100 wanted"
refused 2 run -m m.gguf -p x --threads 0 -- "--threads: a number from 1"
refused 2 run -m m.gguf -p x --kv-type f16 -- "--kv-type: one of bf16, f32, q8 wanted, 'f16' found"
refused 2 run -m m.gguf -p x --color no -- "--color: one of auto, always, never wanted"
refused 2 run -m m.gguf -p x --pin 3:1 -- "--pin: A:B with 0 <= A < B wanted, '3:1' found"
refused 2 run -m m.gguf -p x --mem-limit much -- "--mem-limit: bytes wanted" "'much' found"
refused 2 run -m m.gguf -p x --raw --system y -- "--system is written by a chat template"
refused 2 inspect -- "one file or known model is wanted"
refused 2 pull -- "mneme pull --list"
refused 2 run -m m.gguf -p x --rope-scaling cubic -- \
    "--rope-scaling: one of model, none, linear, ntk, yarn wanted"

refused 2 bench -m m.gguf --depths 0,700 --repeat 2 -n 8 -c 1220 -- \
    "--ctx: at least 1221 wanted for these depths, 1220 given"
refused 2 bench -m m.gguf --depths 0 --repeat 2 -n 8 -c 1041 --peer llama -- \
    "--ctx: at least 1042 wanted"
run bench -m m.gguf --depths 0 --repeat 1 -n 8 -c 521 --json
want_code 0
want_json "{r['phase'] for r in d['rows']} == {'prefill', 'decode'}"

run --help
want_code 0
want_no_err
want_out "Usage: mneme VERB" pull run chat inspect plan bench
for verb in pull run chat inspect plan bench; do
    run "$verb" --help
    want_code 0
    want_no_err
    want_out "Usage: mneme $verb" --json --quiet --offline --help
    mv out help
    run help "$verb"
    cmp -s out help || wrong "mneme help $verb is not mneme $verb --help"
done
run run -h
want_out --policy --budget --dump-kept --save
check "wider than 80 columns" awk 'length > 80 { exit 1 }' out

version=$(cat "$MNEME_SOURCE/VERSION")
for word in --version -V; do
    run "$word"
    want_code 0
    want_no_err
    want_out "mneme $version ("
done

run run --policy list
want_code 0
want_no_err
want_out full streaming h2o snapkv adakv expected duo "arXiv 2404.14469" "window=32"
run run --policy list --json
want_json "{'full', 'tova', 'cur'} <= {p['name'] for p in d['policies']} and d['version'] == 1"

# Every option of the table stands in each document that is made of it.
for kind in man markdown completion; do
    run --document $kind
    want_code 0
    want_no_err
    options=$(sed -n 's/^MN_OPTION([A-Z_0-9]*, "\([a-z-]*\)".*/\1/p' \
        "$MNEME_SOURCE/tools/mneme/options.def")
    check "options.def was not understood" [ "$(wc -w <<<"$options")" -gt 40 ]
    for option in $options; do
        [ $kind != man ] || option=${option//-/\\-}
        grep -qF -- "$option" out || wrong "--document $kind does not name $option"
    done
done
run --document markdown
check "rows of three cells, of two for verbs" [ "$(sed 's/\\|//g' out | grep -c '^|.*|.*|.*|.*|')" = 0 ]
refused 2 --document poem -- "'--document'"
run --document completion
bash -n out || wrong "the completion is not bash"
cat >use <<'BASH'
source ./out
COMP_WORDS=(mneme run --dump) COMP_CWORD=2
_mneme
echo "${COMPREPLY[@]}"
BASH
check "--dump is completed to $(bash use)" [ "$(bash use)" = --dump-kept ]
finish 150
