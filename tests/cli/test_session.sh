# Saving, going on, and being interrupted.
. "$(dirname "$0")/lib.sh"
tiny m.gguf llama ctx=4096 dim=32
ask=(run -m m.gguf -q --policy h2o --budget 40)

run "${ask[@]}" -p "the first question" -n 6 --save s --json
want_code 0
run "${ask[@]}" -p "the second" -n 6 --load s --dump-kept once.json
want_code 0
cp out once
run "${ask[@]}" -p "the second" -n 6 --load s --dump-kept twice.json
want_code 0
check "it goes on differently each time" cmp -s out once
check "it goes on differently each time" cmp -s once.json twice.json
printf 'the first question\nthe second\n' >talk
RUN_IN=talk run chat -m m.gguf -q --policy h2o --budget 40 -n 6
want_code 0
loaded=$(cat once)
check "loaded, it answers '$loaded'; in a chat '$out'" [ "${out%"$loaded"}" != "$out" ]
run inspect s
want_code 0
want_out "mneme session" "h2o"

refused 3 "${ask[@]}" -p x --load s -c 39 -- "s: layer 0 head 0 holds " \
    "tokens, at most 39 fit the context it is opened with"
run "${ask[@]}" -p "the second" -n 6 --load s -c 200
want_code 0
check "in a smaller context it answers otherwise" cmp -s out once
refused 3 run -m m.gguf -q -p x --load s -- "s: " "h2o"
refused 3 "${ask[@]}" -p x --load s --kv-type f32 -- "cache type"
tiny other.gguf llama ctx=4096 dim=32 seed=2
refused 3 run -m other.gguf -q --policy h2o --budget 40 -p x --load s -- "s: "
head -c 2000 s >short
refused 3 "${ask[@]}" -p x --load short -- "short: "
python3 - <<'PY'
b = bytearray(open("s", "rb").read())
b[len(b) // 2] ^= 1
open("bent", "wb").write(b)
PY
refused 3 "${ask[@]}" -p x --load bent -- "bent: "
refused 3 "${ask[@]}" -p x --load m.gguf -- "m.gguf: "

# A failure leaves the old file as it was and nothing beside it.
cp s before
if grep -qa __tsan_init "$MNEME"; then # its runtime keeps its own tables in files
    echo "skipped: a full disk, under the thread sanitizer"
else
    (trap '' XFSZ; ulimit -f 4; "$MNEME" "${ask[@]}" -p other -n 2 --save s >out 2>err)
    code=$? said="mneme run --save on a full disk" err=$(<err)
    want_code 1
fi
check "the old session is gone" cmp -s s before
check "left over: $(find . -name 's.*')" [ -z "$(find . -name 's.*')" ]
run "${ask[@]}" -p x -n 1 --save no/such/folder/s
want_code 1
want_err "no/such/folder"

# Killed at any moment: the file holds a whole session, the old or the new one.
for delay in 0.02 0.04 0.06 0.08 0.1 0.15 0.2; do
    "$MNEME" "${ask[@]}" -p "more and more" -n 1 --load s --save s >out 2>err &
    pid=$!
    sleep $delay
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    run inspect s
    want_code 0
done

# Ctrl-C.
interrupt() { # arguments of mneme; the signal comes once it is caught
    said="mneme $* (interrupted)"
    "$MNEME" "$@" >out 2>err </dev/null &
    local pid=$! mask=0 i
    for i in {1..400}; do
        mask=$(sed -n 's/^SigCgt:[[:space:]]*/0x/p' "/proc/$pid/status" 2>/dev/null)
        if ((${mask:-0} & 2)); then break; fi
        sleep 0.05
    done
    sleep 1
    kill -INT $pid
    wait $pid
    code=$?
}
yes 'the quick brown fox jumps over the lazy dog' | head -c 3000000 >long
interrupt run -m m.gguf -f long --policy streaming --budget 64 --save cut
want_code 130
want_err "interrupted while reading" "tokens in the cache"
check "what was read is not saved" [ -s cut ]
run run -m m.gguf -p "go on" -n 2 -q --load cut --policy streaming --budget 64
want_code 0
echo 'root ::= [a-z] root' >endless.gbnf
interrupt run -m m.gguf -p "tell me all" -n 10000000 --policy streaming --budget 64 --json \
    --grammar-file endless.gbnf
want_code 130
want_err "interrupted while writing"
want_json "d['generated_tokens'] > 0 and len(d['text']) > 0"
mkfifo pipe
sleep 30 >pipe & holder=$! # a standard input that never ends
"$MNEME" run -m m.gguf -f - <pipe >out 2>err &
pid=$! said="mneme run -f - (interrupted)"
sleep 1
kill -INT $pid
wait $pid
code=$?
kill $holder
want_code 130
want_err "interrupted while reading -"

# The turns of a chat are those of the template: an answer that was cut is closed (<|im_end|> and a
# newline more than the first turn had), one that ended itself gets the newline alone.
tiny q.gguf qwen2 ctx=4096
printf 'd\nd\nd\n' >same
RUN_IN=same run chat -m q.gguf -n 3 --json
want_code 0
want_json "[t['generated_tokens'] for t in d['turns']] == [3, 3, 3]"
want_json "[t['prompt_tokens'] - d['turns'][0]['prompt_tokens'] for t in d['turns']] == [0, 2, 2]"
echo 'root ::= "x"' >x.gbnf
RUN_IN=same run chat -m q.gguf -n 3 --json --grammar-file x.gbnf
want_code 0
want_json "[t['generated_tokens'] for t in d['turns']] == [1, 1, 1]"
want_json "[t['prompt_tokens'] - d['turns'][0]['prompt_tokens'] for t in d['turns']] == [0, 1, 1]"
run run -m q.gguf -p d -n 3 --save open --json
mv out first
run run -m q.gguf -p d -n 3 --load open --json
want_code 0
want_json "d['prompt_tokens'] == json.load(open('first'))['prompt_tokens'] + 2"

# A chat: every answer begins the grammar anew, and one that is full can be saved.
echo 'root ::= "a" "b"' >ab.gbnf
printf 'one\ntwo\nthree\n' >talk
RUN_IN=talk run chat -m m.gguf -q -n 4 --grammar-file ab.gbnf
want_code 0
check "three times 'ab' wanted, found: $out" [ "$out" = $'ab\nab\nab' ]
RUN_IN=talk run chat -m m.gguf -q -n 4 -c 150 --save full
want_code 4
want_err "the context holds 150 tokens"
run run -m m.gguf -q -n 4 -p "and now" --load full
want_code 0
finish 40
