# mneme inspect of a NAMM file: what is in it, and one sentence for each that is wrong.
. "$(dirname "$0")/lib.sh"
files=$MNEME_SOURCE/tests/fuzz/corpus/namm
cp "$files/bam" x.namm.gguf
run inspect x.namm.gguf
want_code 0
want_out "NAMM (GGUF), version 1" "BAM" "82 numbers, -0.25 to 0.25" "age, dc" "8 tokens" \
    "every 16 tokens" "3 numbers, 0.5 to 2" "recent=16,alloc=uniform" "note" "tiny"
run inspect x.namm.gguf --json
want_code 0
want_json "d['file']['format'] == 'NAMM (GGUF), version 1' and d['namm']['columns'] == '3'"
want_json "d['namm']['residual'] == 'gated' and d['note'] == {'seed': '51', 'base': 'tiny'}"
cp "$files/mlp" x.namm.gguf
run inspect x.namm.gguf
want_out "MLP" "first layer yes, middle layers yes" "28 numbers"
cp "$files/mix" x.namm.gguf
run inspect x.namm.gguf --json
want_code 0
want_json "d['namm']['head'] == 'mix' and d['namm']['components'] == '2'"
cp "$files/params-nan" x.namm.gguf
run inspect x.namm.gguf
want_code 0
want_out "linear" "2 NaN"
wrong_file() { # input of the corpus, sentence
    cp "$files/$1" x.namm.gguf
    refused 3 inspect x.namm.gguf -- "x.namm.gguf: $2"
}
wrong_file version-2 "namm.version: 1 wanted, 2 found"
wrong_file window-7 "namm.window: an even number from 2 to 64 wanted, 7 found"
wrong_file hop-3 "namm.hop: a divisor of namm.window (8) wanted, 3 found"
wrong_file update-f "namm.update: a multiple of namm.hop (4) up to 16777216 wanted, 15 found"
wrong_file mean-none "tensor namm.mean wanted, none found"
wrong_file deviation-0 "namm.deviation: positive numbers wanted, 0 found for input 1"
wrong_file mix-components-11 "namm: 2 to 16 components wanted, 17 found"
wrong_file mix-components-3 "namm.params: 12 numbers wanted, 8 found"
wrong_file params-5 "namm.params: 4 numbers wanted, 5 found"
head -c 500 "$files/linear" >x.namm.gguf
refused 3 inspect x.namm.gguf -- "x.namm.gguf: "
# What a session would find wrong is found here, in the same words.
tiny m.gguf llama
wrong_policy() { # input of the corpus, sentence
    wrong_file "$1" "$2"
    refused 3 run -m m.gguf --raw -p "hello world" -n 1 --policy namm:file=x.namm.gguf --budget 50% -- \
        "x.namm.gguf: $2"
}
wrong_policy inputs-unknown "unknown input \`zz\`"
wrong_policy inputs-twice "input \`age\` stands there twice"
wrong_policy inputs-fewer "the network reads 3 columns, its inputs have 2"
wrong_policy age-dim-0 "input \`age\`: an even number of columns and a base above 1 wanted, 0 and 50000 found"
wrong_policy stride-dc "a stride of 4: 1 wanted where running means or spectra are inputs"
cp "$files/stride-row" x.namm.gguf
run inspect x.namm.gguf
want_code 0
cp "$files/linear" x.namm.gguf
refused 3 run -m x.namm.gguf -p x -- "namm"
finish 20
