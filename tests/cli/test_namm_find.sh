# --policy namm without a file: the NAMM for the model is found by what its notes say, else the
# universal one, and told of; records name a NAMM by name and content.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA MNEME_NAMM
tiny m.gguf llama ctx=1024
tiny copy.gguf llama ctx=1024 q8=1
tiny other.gguf llama ctx=1024 dim=48
mkdir -p data/longctx/longbench
for i in $(seq 40); do
    printf '{"dataset":"qasper","context":"paper %d the world is old and the sea is wide","input":"Which?","answers":["sea"],"_id":"r%d"}\n' $i $i
done >data/longctx/longbench/qasper.jsonl
trained() { # MODEL SEED FILE: a NAMM that was trained on it
    "$MNEME" evolve --stage qasper --data data -m "$1" -c 900 --population 2 --prompts 1 --limit 2 \
        --gold-tokens 2 --generations 1 --seed "$2" --out "of-$2" -q || exit 1
    cp "of-$2/best.namm.gguf" "$3"
}
trained m.gguf 1 one
trained m.gguf 2 two
trained other.gguf 3 three
hash_of() { "$MNEME" inspect "$1" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["file"]["hash"])'; }
hash1=$(hash_of one) hash2=$(hash_of two) hash3=$(hash_of three)
check "three different hashes" [ "$(printf '%s\n' "$hash1" "$hash2" "$hash3" | grep -cE '^[0-9a-f]{16}$')" = 3 ]
check "of other files" [ "$hash1" != "$hash2" ]

# An installation: the command and its data, which may be moved.
built=$MNEME
mkdir -p tree/bin tree/share/mneme/namm empty
cp "$built" tree/bin/mneme
MNEME=$PWD/tree/bin/mneme
namms=tree/share/mneme/namm
text=(-m m.gguf --raw -p "hello world the sea is wide and old" -n 2)
asked=(run "${text[@]}" --policy namm --budget 60% --json)

refused 3 "${asked[@]}" -- "policy namm: no file for tiny (llama, 2 layers, " \
    "and no any.namm.gguf in $PWD/$namms; namm:file=PATH names one, the variable MNEME_NAMM"
said_once() { check "'$1' wanted once, found: $err" [ "$(grep -cFx "namm: $1" err)" = 1 ]; }
named() { # a file's name and hash as the document's policy has them
    want_json "'file=$1.namm.gguf#$2,' in d['policy'] + ','"
    check "no path of this machine in it" [ -z "$(grep -F "$PWD" out)" ]
}

cp one $namms/m.namm.gguf
run "${asked[@]}"
want_code 0
said_once "m.namm.gguf (trained for this model)"
named m "$hash1"
run "${asked[@]}" -q
want_no_err
run "${asked[@]}" -m copy.gguf
said_once "m.namm.gguf (trained for this model)"
refused 3 "${asked[@]}" -m other.gguf -- "no file for tiny (llama, " "head size 48, "

# One that ranks tokens keeps a quarter where nobody says how many; one made to judge them does not.
for i in $(seq 20); do echo "hello world the sea is wide and old $i"; done >long
free=(run -m m.gguf --raw -f long -n 2 --json --policy)
run "${free[@]}" namm
want_code 0
said_once "--budget 25%, as none was given"
want_json "0.2 < d['kv']['kept_share'] < 0.3"
run "${free[@]}" namm --budget 60%
want_code 0
check "told of no other budget: $err" [ -z "$(grep -F -- --budget err)" ]
want_json "0.55 < d['kv']['kept_share'] < 0.65"
run "${free[@]}" namm:scale=raw
want_code 0
check "told of no budget: $err" [ -z "$(grep -F -- --budget err)" ]
run "${free[@]}" namm:file=m.namm.gguf#$hash1,scale=share
said_once "--budget 25%, as none was given"
run plan -m m.gguf --raw -f long --policy adakv:base=namm
want_code 0
said_once "--budget 25%, as none was given"
refused 2 "${free[@]}" namm:threshold=-1 -q --budget 50% -- "a threshold above 0"

# Of several for a model the one with the shortest name; another model's name says nothing.
cp two $namms/m-2.namm.gguf
cp two $namms/a.namm.gguf.txt
cp three $namms/n.namm.gguf
run "${asked[@]}"
said_once "m.namm.gguf (trained for this model)"
run "${asked[@]}" -m other.gguf
said_once "n.namm.gguf (trained for this model)"
rm $namms/n.namm.gguf

# The universal one, for models that have none.
cp one $namms/any.namm.gguf
run "${asked[@]}" -m other.gguf
want_code 0
said_once "any.namm.gguf (made for m.gguf; no NAMM for this model beside it)"
named any "$hash1"
run "${asked[@]}"
said_once "m.namm.gguf (trained for this model)"

# One file for both: a link is the file that it names, in records too.
ln -sf m-2.namm.gguf $namms/any.namm.gguf
run "${asked[@]}" -m other.gguf
want_code 0
said_once "m-2.namm.gguf (made for m.gguf; no NAMM for this model beside it)"
named m-2 "$hash2"
run "${asked[@]}"
said_once "m.namm.gguf (trained for this model)"
ln -sf nothing.namm.gguf $namms/any.namm.gguf
refused 3 "${asked[@]}" -m other.gguf -- "and no any.namm.gguf in $PWD/$namms"
rm $namms/any.namm.gguf
cp one $namms/any.namm.gguf

# A folder of one's own comes first.
mkdir own
export MNEME_NAMM=$PWD/own
run "${asked[@]}"
named m "$hash1"
cp three own/any.namm.gguf
run "${asked[@]}"
said_once "any.namm.gguf (made for other.gguf; no NAMM for this model beside it)"
named any "$hash3"
cp two own/mine.namm.gguf
printf 'GGUF?' >own/bad.namm.gguf
run "${asked[@]}"
want_code 0
said_once "mine.namm.gguf (trained for this model)"
want_err "namm: left out: $PWD/own/bad.namm.gguf: "
rm own/bad.namm.gguf
refused 3 plan "${text[@]}" --policy namm:file=nay -- "no file nay here or in $PWD/own, $PWD/$namms;"
MNEME_NAMM=$PWD/nowhere
refused 3 "${asked[@]}" -- "MNEME_NAMM: a folder wanted, '$PWD/nowhere' found"
run "${asked[@]}" --policy knorm
want_code 0
mkdir "with,comma"
cp one "with,comma/any.namm.gguf"
MNEME_NAMM=$PWD/with,comma
refused 2 "${asked[@]}" -q -- "a path without a comma wanted"
unset MNEME_NAMM

# By a bare name; a file here comes before one there; by the name that records have.
for name in m-2 m-2.namm.gguf "m-2.namm.gguf#$hash2"; do
    run "${asked[@]}" --policy "namm:recent=2,file=$name,rule=topk"
    want_code 0
    named m-2 "$hash2"
    want_json "'recent=2,' in d['policy'] and 'rule=topk' in d['policy']"
    check "nothing was looked for: nothing is told" [ -z "$(grep -F "namm: m" err)" ]
done
cp one m-2.namm.gguf
run "${asked[@]}" --policy namm:file=m-2.namm.gguf
named m-2 "$hash1"
refused 3 "${asked[@]}" --policy "namm:file=m-2.namm.gguf#$hash2" -- \
    "a NAMM with hash $hash2 wanted, $hash1 found"
rm m-2.namm.gguf

# Other verbs, wrappers and options.
run plan "${text[@]}" --policy adakv:base=namm,alpha=0.3 --budget 60% --json
want_code 0
want_json "d['policy'] == 'adakv:file=m.namm.gguf#$hash1,base=namm,alpha=0.3'"
said_once "m.namm.gguf (trained for this model)"
run watch "${text[@]}" --policy namm --budget 60% --json --out page.html
want_code 0
said_once "m.namm.gguf (trained for this model)"
named m "$hash1"
check "the page names it" grep -qF "m.namm.gguf#$hash1" page.html
check "the page has no path" [ -z "$(grep -F "$PWD" page.html)" ]
run watch --tasks qasper --data data -m m.gguf --limit 1 --policy namm: --budget 60% --json
want_code 0
named m "$hash1"
echo 'hello' >in.txt
RUN_IN=in.txt run chat -m m.gguf -n 2 --policy namm --budget 60% --json
want_code 0
named m "$hash1"
run bench -m m.gguf -t 1 --depths 64 --repeat 1 -n 1 --policy namm --policy namm:file=m-2 --json
want_code 0
said_once "m.namm.gguf (trained for this model)"
want_json "[r['policy'] for r in d['rows']] == ['namm:file=m.namm.gguf#$hash1'] * 2
    + ['namm:file=m-2.namm.gguf#$hash2'] * 2"

# Records: a file in another folder is the same policy, another file in its place is not.
policies() { # of a store, those of NAMMs, with their budgets and numbers of records
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1] + "/results.sqlite").execute("""SELECT policy || "@" || budget
    || " " || count(*) FROM record WHERE policy LIKE "%namm%" GROUP BY policy, budget"""):
    print(row[0])' "$1"
}
evaluated=(eval --tasks qasper --data data -m m.gguf -c 900 --limit 2 --budgets 60% -n 2 --gold-tokens 2
    --out store)
run "${evaluated[@]}" --policies namm,namm:rule=topk@80%,namm:file=m-2@50%
want_code 0
said_once "m.namm.gguf (trained for this model)"
wanted="namm:file=m-2.namm.gguf#$hash2@50% 2
namm:file=m.namm.gguf#$hash1@60% 2
namm:file=m.namm.gguf#$hash1,rule=topk@80% 2"
check "rows by name and content wanted, found: $(policies store)" [ "$(policies store)" = "$wanted" ]
mkdir -p elsewhere/x@y
cp one elsewhere/m.namm.gguf
cp one elsewhere/x@y/m.namm.gguf
run "${evaluated[@]}" --policies \
    "namm:file=elsewhere/m.namm.gguf,namm:file=$PWD/elsewhere/x@y/m.namm.gguf,rule=topk@80%"
want_code 0
want_err "0 prompts, 0 records new"
check "a moved file is the same policy" [ "$(policies store)" = "$wanted" ]
run "${evaluated[@]}" --policies namm,namm:file=elsewhere/m.namm.gguf
want_code 0
want_err "0 prompts, 0 records new"
cp two elsewhere/m.namm.gguf
run "${evaluated[@]}" --policies namm:file=elsewhere/m.namm.gguf,namm
want_code 0
want_err "2 prompts, 2 records new"
check "two NAMMs of one name are two rows" [ "$(policies store | grep -c 'file=m.namm.gguf#.*@60% 2$')" = 2 ]
run report store --json
want_code 0
want_out "m.namm.gguf#$hash1" "m.namm.gguf#$hash2"
check "no path of this machine in it" [ -z "$(grep -F "$PWD/" out)" ]

# A build that is not installed shows its source tree's.
check "the build's folder is the source's" \
    cmp "$MNEME_BUILD/share/mneme/namm/README.md" "$MNEME_SOURCE/share/mneme/namm/README.md"
MNEME=$built
run "${asked[@]}" -m copy.gguf
want_code 0
said_once "smollm2.namm.gguf (made for smollm2; no NAMM for this model beside it)"
want_json "'file=smollm2.namm.gguf#' in d['policy']"
finish 80
