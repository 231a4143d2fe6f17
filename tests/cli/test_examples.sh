# Programs on the public API alone: built by the build, run here, and under 100 lines.
. "$(dirname "$0")/lib.sh"
tiny m.gguf llama ctx=4096 dim=32
yes 'a line of a document' | head -c 2000 >doc
example() {
    said="$*"
    "$MNEME_BUILD/examples/example_$1" "${@:2}" >out 2>err </dev/null
    code=$?
    out=$(tr -d '\0' <out) err=$(tr -d '\0' <err)
}
for source in "$MNEME_SOURCE"/examples/*.c; do
    check "$source is longer than 100 lines" [ "$(wc -l <"$source")" -lt 100 ]
    name=$(basename "$source" .c)
    check "$name is not built" [ -x "$MNEME_BUILD/examples/example_$name" ]
done
example read_and_ask m.gguf doc "What is this?"
want_code 0
want_no_err
want_out "[read 19" ", kept 2"
example read_and_ask m.gguf nosuch "What is this?"
want_code 3
want_err "nosuch: no text"
example read_and_ask nosuch.gguf doc "What is this?"
want_code 1
want_err "nosuch.gguf"
example read_and_ask
want_code 2
want_err Usage
example minimise 5
want_code 0
want_no_err
want_out "target reached: f("
example minimise 0
want_code 3
want_err "variables: 1 to"
example minimise
want_code 2
want_err Usage
awk 'NR % 3 == 0 { print "<|endoftext|>" } { print }' "$MNEME_SOURCE/tests/data/moonstone.txt" >corpus.txt
example train_small corpus.txt trained m.gguf
want_code 0
want_no_err
want_out "step  10: loss" "step  40: loss" ", on what is held out" "it writes: "
example train_small corpus.txt trained m.gguf
want_code 0
want_out "goes on behind step 40 of 40"
example train_small nosuch trained m.gguf
want_code 1
want_err "nosuch: cannot open"
example train_small
want_code 2
want_err Usage
finish 22
