# Bad input: a sentence that says what was found, the right exit code, nothing on standard output.
. "$(dirname "$0")/lib.sh"
tiny m.gguf llama ctx=1024

# Texts.
printf 'ab\0cd' >nul
printf 'first\n' >one
: >empty
refused 3 run -m m.gguf -f nosuch.txt -p x -- "nosuch.txt: No such file"
refused 3 run -m m.gguf -f . -p x -- ".: Is a directory"
refused 3 run -m m.gguf -f one nul -p x -- "nul: not a text: byte 2 is NUL"
refused 3 run -m m.gguf -p "" -- "the prompt is empty"
refused 3 run -m m.gguf -f empty -- "the prompt is empty"
RUN_IN=empty refused 3 run -m m.gguf -f - -- "the prompt is empty"
refused 3 run -m m.gguf -p x --grammar-file nosuch.gbnf -- "nosuch.gbnf: No such file"
refused 3 run -m m.gguf -p x --grammar-file . -- ".: Is a directory"
bad_grammar() { # text, what the sentence says of it
    printf "$1" >bad.gbnf
    refused 3 run -m m.gguf -p x --grammar-file bad.gbnf -- "${@:2}"
}
bad_grammar 'root ::= "a"\nb ::= (' "grammar, line 2: an item, | or ) wanted"
bad_grammar 'root ::= nosuch' "grammar, line 1: no rule is called 'nosuch'"
bad_grammar 'root ::= "a"{3,1}' "at least 3 and at most 1 times"
bad_grammar 'root ::= ("a" | )*' "grammar: libllama refuses it: " "left recursion"
printf 'caf\xe9 \xff\xfe au lait' >latin
run run -m m.gguf -f latin -n 1
want_code 0
want_err "invalid UTF-8 was read as U+FFFD in 3 places"
run run -m m.gguf -f latin -n 1 -q
want_code 0
want_no_err
run run -m m.gguf -f one one -n 3 -q
want_code 0
mv out twice
RUN_IN=one run run -m m.gguf -f - one -n 3 -q
want_code 0
cmp -s out twice || wrong "$said: standard input is not read like a file"

# Lengths.
text=$(printf 'word %.0s' {1..400})
refused 4 run -m m.gguf -p "$text" -- "does not fit" "the context holds 1024 tokens" "--ctx"
run run -m m.gguf -p "$text" -n 2 --policy streaming:every=1 --budget 64 --json
want_code 0
want_json "d['prompt_tokens'] > 1025 and d['kv']['layers'][0]['kept'] == [64, 64]"
run run -m m.gguf -p hello -c 64 -n 50
want_code 4
want_err "token 65 does not fit" "wrote "

# Chat templates.
refused 3 run -m m.gguf -p x --chat-template chatlm -- \
    "--chat-template: chat template \"chatlm\" is none of: " chatml gemma
run run -m m.gguf -p x -n 1 --chat-template gemma -q
want_code 0

# Budgets and policies.
for budget in 0 -3 12x 101% 5%% " "; do
    refused 2 run -m m.gguf -p x --policy snapkv --budget "$budget" -- "budget \`$budget\`"
done
refused 2 run -m m.gguf -p x --policy snapkv -- "needs a budget"
refused 4 run -m m.gguf -p x --policy snapkv --budget 10 -- "leaves 10 tokens" "36 are protected"
refused 4 run -m m.gguf -p "$text" -c 4096 --policy tova --budget 60 --pin 100:200 -- "must stay"
refused 2 run -m m.gguf -p x --policy snpkv --budget 9 -- "unknown policy \`snpkv\`" \
    "did you mean \`snapkv\`?"
refused 2 run -m m.gguf -p x --policy snapkv:windw=3 --budget 9 -- windw \
    "did you mean \`window\`?"
refused 2 plan -m m.gguf -p x --policy nothing-like-it --budget 9 -- "unknown policy"
run run -m m.gguf -p x -n 1 --budget 25%
want_code 0
want_err "policy full keeps everything: --budget 25% has no effect"

# Models.
refused 3 run -m nosuch.gguf -p x -- "nosuch.gguf is neither a file nor a known model"
refused 3 run -m smolm2 -p x -- "did you mean smollm2?"
XDG_CACHE_HOME=$PWD/none refused 1 run -m smollm2 -p x --offline -- \
    "smollm2 is not in" "--offline forbids"
XDG_CACHE_HOME=$PWD/none refused 1 pull smollm2 --offline -- "--offline forbids"
XDG_CACHE_HOME=$PWD/none refused 3 inspect nosuch.gguf -- "neither a file nor a known model"
refused 3 run -m . -p x -- ".: a file wanted, a directory found"
refused 3 run -m empty -p x -- "empty: "
refused 3 run -m one -p x -- "one: not a GGUF file"
for bytes in 3 20 3000 60000 400000; do
    head -c $bytes m.gguf >cut.gguf
    refused 3 run -m cut.gguf -p x -- "cut.gguf: "
    refused 3 inspect cut.gguf -- "cut.gguf: "
done
{ head -c 8 m.gguf; printf '\xff\xff\xff\xff\xff\xff\xff\x7f'; tail -c +17 m.gguf; } >hostile.gguf
refused 3 run -m hostile.gguf -p x -- "hostile.gguf: "
tiny odd.gguf mamba9
refused 3 run -m odd.gguf -p x -- "unknown architecture 'mamba9'" "llama"
tiny skip.gguf llama skip=blk.1.ffn_up.weight
refused 3 run -m skip.gguf -p x -- "blk.1.ffn_up.weight: [64, 96] wanted, the tensor is missing"
tiny grow.gguf llama grow=blk.0.attn_k.weight
refused 3 run -m grow.gguf -p x -- "blk.0.attn_k.weight: [64, 64] wanted, [64, 65] found"

# Memory and processors.
for limit in "5 " 0.5 0 -1 1X inf; do
    refused 2 run -m m.gguf -p x --mem-limit "$limit" -- "--mem-limit: bytes wanted"
done
for limit in 1K 300K; do
    refused 4 run -m m.gguf -p x --mem-limit $limit -- "(--mem-limit $limit)"
done
run run -m m.gguf -p x -n 1 -q --mem-limit 1G
want_code 0
refused 2 run -m m.gguf -p x --cpu z80 -- "unknown cpu level 'z80'" "ref"
run run -m m.gguf -p "the same at every level" -n 4 -q --kv-type f32 --cpu ref
want_code 0
mv out ref
for level in avx2 avx512 avx512bf16 amx; do
    run run -m m.gguf -p "the same at every level" -n 4 -q --kv-type f32 --cpu $level
    if [ "$code" = 0 ]; then
        [ -s out ] || wrong "$said wrote nothing"
    else # a machine without it says so
        want_code 2
        want_err "$level"
    fi
done
run run -m m.gguf -p x -n 1 --json --cpu ref
want_json "d['cpu'] == 'ref'"
for what in "run -m m.gguf -p x -n 2 -q" "inspect m.gguf" "run --policy list" "run --help" \
    --version; do
    [ -e /dev/full ] || continue
    "$MNEME" $what >/dev/full 2>err
    code=$? said="mneme $what >/dev/full"
    want_code 1
    want_err "standard output cannot be written"
done
# A reader that leaves ends the command as it ends others: without a word.
{ sleep 0.3; "$MNEME" inspect m.gguf 2>err; echo $? >code; } | :
code=$(cat code) said="mneme inspect m.gguf | :"
want_code 141
[ -s err ] && wrong "$said: $(head -c 200 err)"
finish 100
