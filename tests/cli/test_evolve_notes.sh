# mneme evolve --stage: a NAMM's file tells how it was made and what it came from: every option that
# changes a number, no folder of this machine, its ancestors as far as there is room.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
qasper_rows data
common=(evolve --data "$PWD/data" -m "$PWD/m.gguf" -c 900 --population 2 --prompts 1 --generations 1
    --limit 6 -q)
note() { # FOLDER KEY: of its best NAMM, "" where there is none
    "$MNEME" inspect "$1/best.namm.gguf" --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["note"].get(sys.argv[1], ""))' "$2"
}

mkdir profiles
printf '1 0.5\n0.5 1\n' >profiles/two.txt
run "${common[@]}" --stage qasper --held-out 2 --validate 1 --kv-type f32 --positions absolute \
    --statistic median --gold-tokens 5 --budgets 60% --sigma 0.5 --chunk 128 --product wide --warm \
    --namm-options "recent=4,alloc=profile,profile=$PWD/profiles/two.txt" --cpu ref -t 1 \
    --max-seconds 1000 --log-candidates --bank 1G --mem-limit 1G --no-progress --out first
want_code 0
check "the shape" [ "$(note first from)" = linear ]
check "and nothing before it" [ -z "$(note first ancestry)" ]
wanted="mneme evolve --stage qasper --model m.gguf --positions absolute --kv-type f32 --ctx 900 --chunk 128"
wanted+=" --budgets 60% --limit 6 --gold-tokens 5 --warm"
wanted+=" --namm-options recent=4,alloc=profile,profile=two.txt --population 2 --sigma 0.5"
wanted+=" --generations 1 --prompts 1 --statistic median --held-out 2 --validate 1 --cpu ref"
wanted+=" --product wide"
check "all that matters, found: $(note first command)" [ "$(note first command)" = "$wanted" ]
# What was given and changes nothing that is computed.
"$MNEME" evolve --help | grep -oE -- '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort >all
check "the verb's options" [ "$(wc -l <all)" -gt 50 ]
for option in out data bank max-seconds log-candidates threads mem-limit no-progress; do
    check "--$option is one of the verb" grep -qx -- "--$option" all
    check "--$option is not in it" [ "$(note first command | grep -c -- " --$option")" = 0 ]
done

# Of a file its name and content, and how that was made.
from=$PWD/first/best.namm.gguf
hash=$("$MNEME" inspect "$from" --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["file"]["hash"])')
long=$(printf 'qasper,%.0s' {1..60})qasper
run "${common[@]}" --stage "$long" --from "$from" --budgets 30% --out second
want_code 0
check "the file" [ "$(note second from)" = "best.namm.gguf#$hash" ]
# How far a search goes at first: as asked, from a file a tenth of its largest weight, else 0.2.
sigma() { # FOLDER
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1] + "/run.json"))["search"]["sigma"])' "$1"
}
check "as asked" [ "$(sigma first)" = 0.5 ]
check "from a file: $(sigma second)" python3 - "$(sigma second)" "$("$MNEME" inspect "$from")" <<'PY'
import re, sys
low, high = map(float, re.search(r"parameters +33 numbers, (\S+) to (\S+)", sys.argv[2]).groups())
sys.exit(abs(float(sys.argv[1]) / max(abs(low), abs(high)) - 0.1) > 1e-4)
PY
check "how it was made: $(note second ancestry)" \
    [ "$(note second ancestry)" = "best.namm.gguf#$hash: 1 generations of $wanted; before that linear" ]
check "by its name in the command" grep -q -- " --from best.namm.gguf " <(note second command)
cp second/best.namm.gguf copy.gguf
run "${common[@]}" --stage "$long" --from copy.gguf --out third
want_code 0
check "what was held out" [ -n "$(note first held_out_loss)" ]
for key in held_out_loss held_out_kept_share; do
    check "nothing was, and nothing is said of it: $key" [ -z "$(note third $key)" ]
done
check "both ancestors" \
    grep -q "^copy.gguf#.* --from best.namm.gguf .*; before that best.namm.gguf#$hash: .* linear$" <(note third ancestry)
for i in 4 5 6 7; do
    cp third/best.namm.gguf copy.gguf
    rm -r third
    run "${common[@]}" --stage "$long" --from copy.gguf --out third
    want_code 0
done
check "no more than there is room for" [ "$(note third ancestry | wc -c)" = 2049 ] # and a line feed
check "and the newest of it" grep -q "^copy.gguf#.*\.\.\.$" <(note third ancestry)
for name in first second third; do
    check "no path of this machine in $name" [ -z "$(grep -F "$PWD" $name/best.namm.gguf)" ]
done

# Weights that are no numbers.
python3 - <<'PY'
import struct
data = bytearray(open("first/best.namm.gguf", "rb").read())
size = 4 * (33 + 32 + 32)
# tensors end the file, each at a multiple of 32 bytes: params, mean, deviation
at = len(data) - 2 * 128 - 160
data[at + 8:at + 12] = struct.pack("<f", float("nan"))
open("nan.namm.gguf", "wb").write(data)
PY
run inspect nan.namm.gguf
want_code 0
refused 3 "${common[@]}" --stage qasper --from nan.namm.gguf --out x -- \
    "nan.namm.gguf: finite weights wanted to evolve from, nan found for weight 3 of 33"
check "nothing is begun with it" [ ! -e x/start.namm.gguf ]
finish 40
