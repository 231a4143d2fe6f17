# `mneme train`: every mistake gets a sentence and its exit code.
. "$(dirname "$0")/lib.sh"
configs=$MNEME_SOURCE/share/mneme/train
run plan dense.smoke
if grep -q "reads no INI files" err; then
    echo "built without inih"
    exit 77
fi
want_code 0
tiny m.gguf llama
awk 'NR > 1 && NR % 3 == 0 { print "<|endoftext|>" } { print }' \
    "$MNEME_SOURCE/tests/data/moonstone.txt" >corpus.txt
common=(--set data.corpus=corpus.txt --set data.tokenizer=m.gguf --set data.shards=shards
    --set report.peak=no --set train.length=32)

bad() { refused "$1" train "$configs/dense.smoke.ini" "${common[@]}" --out bad "${@:2}"; }
bad 2 --set model.widht=64 -- "no key 'widht' in section [model]" "did you mean 'width'?"
bad 2 --set modle.width=64 -- "no section [modle]" "did you mean [model]?"
bad 2 --set width -- "section.key=value wanted"
bad 3 --set model.heads=5 -- "model.heads: a divisor of width 64 wanted, 5 found"
bad 2 --set data.corpus= -- "data.corpus" "neither found"
bad 1 --set data.corpus=absent.txt -- "data.corpus: absent.txt: cannot open"
bad 2 --set data.train=shards -- "both found"
bad 3 --set model.vocab=100 -- "model.vocab: at least the" "100 found"
bad 3 --set data.tokenizer=corpus.txt -- "corpus.txt"
printf 'good\nb\xffd\n' >invalid.txt
: >empty.txt
printf '\n\n' >blank.txt
mkdir folder
bad 3 --set data.corpus=invalid.txt -- "invalid.txt: line 2, byte 7: text in UTF-8 wanted"
bad 3 --set data.corpus=empty.txt -- "empty.txt: a text wanted, none found"
bad 3 --set data.corpus=corpus.txt,blank.txt -- "blank.txt: a text wanted, none found"
bad 3 --set data.corpus=folder -- "folder: files .txt or .jsonl"
echo one >one.txt
bad 3 --set data.corpus=one.txt -- "a shard of 33 tokens at least wanted"
bad 3 --set train.length=100000 -- "a shard of 100001 tokens at least wanted"
refused 3 train "$configs/memoryformer.smoke.ini" "${common[@]}" --out bad --set lookup.tables=5 -- \
    "tables times bits wanted to be the width 64, 5 x 4 found"
refused 3 train "$configs/pkm.smoke.ini" "${common[@]}" --out bad --set memory.keep=33 -- \
    "memory.keep: at most the 32 keys wanted, 33 found"
printf '[model]\nwidth = 64\nwidht = 3\n' >bad.ini
refused 2 train bad.ini --out bad -- "bad.ini:3: no key 'widht'" "'width'"
refused 1 train absent.ini --out bad -- "absent.ini: cannot open"
refused 2 train --out bad -- "one config"
refused 2 train bad.ini -- "--out"
refused 1 train dense.smok --out bad -- "dense.smok: cannot open"
refused 3 report folder -- "no records there"
run train "$configs/dense.smoke.ini" "${common[@]}" --set train.steps=1 --out made -q
want_code 0
cp -r shards damaged
for shard in damaged/*.shard; do truncate -s -2 "$shard"; done
bad 3 --set data.shards=damaged -- "tokens-" "it was cut" "without this file, it is made again"

# Losses that are no numbers: the step, a tensor, the last good checkpoint.
refused 1 train "$configs/dense.smoke.ini" "${common[@]}" --out nan --set train.rate=10 \
    --set train.clip=0 --set train.decay=10 --set train.beta2=0 --set report.save_every=1 -q -- \
    "not finite" "the last good checkpoint, of step"
finish 90
