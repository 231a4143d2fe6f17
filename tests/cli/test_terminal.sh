# What a terminal sees: colours and progress there, none elsewhere (but a line a minute of what takes
# hours), and NO_COLOR, --color, --quiet, --no-progress obeyed.
. "$(dirname "$0")/lib.sh"
unset NO_COLOR
tiny m.gguf llama ctx=2048 dim=32
yes 'a line of text' | head -c 1200 >text
escape=$'\033'

on_terminal() { # standard error is a terminal; what it showed goes to err
    said="mneme $* (on a terminal)"
    python3 - "$MNEME" "$@" >out 2>py.err <<'PY'
import os, pty, sys
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.close(master)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(slave, 2)
    os.execv(sys.argv[1], ["mneme"] + sys.argv[2:])
os.close(slave)
shown = b""
try:
    while chunk := os.read(master, 4096):
        shown += chunk
except OSError:
    pass
open("err", "wb").write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
    code=$?
    out=$(cat out) err=$(cat -v err)
}
shows() { grep -qE -- "$1" err; }
hides() { ! grep -qE -- "$1" err; }
progress="reading [0-9]+ of [0-9]+ tokens, .* s left"
want_colour() { check "colour $1 wanted, found: $(cat -v err)" shows "$escape\[$1m"; }
want_plain() { check "no colour wanted, found: $(cat -v err)" hides "$escape\[[0-9]+m"; }
want_progress() { check "progress wanted, found: $(cat -v err)" shows "$progress"; }
want_no_progress() { check "no progress wanted, found: $(cat -v err)" hides "$progress"; }

quick=(run -m m.gguf -f text -n 1)
on_terminal "${quick[@]}"
want_code 0
want_colour 2
want_progress
on_terminal run -m nosuch.gguf -p x
want_code 3
want_colour 31
NO_COLOR=1 on_terminal "${quick[@]}"
want_plain
want_progress
NO_COLOR=1 on_terminal "${quick[@]}" --color always
want_colour 2
on_terminal "${quick[@]}" --color never --no-progress
want_plain
want_no_progress
on_terminal "${quick[@]}" --quiet
want_code 0
want_no_err

if "$MNEME" plan dense.smoke >/dev/null 2>&1; then # else it was built without inih
    seq 2000 >numbers.txt
    training=(train dense.smoke --set data.corpus=numbers.txt --set data.tokenizer=m.gguf
        --set report.peak=no --set train.steps=6 --set report.every=2 --set report.valid_every=4)
    on_terminal "${training[@]}" --out shown
    want_code 0
    for line in "writing tokens, [0-9]+% of" "step 1 of 6, [0-9:]+ left" \
        "step 4 of 6: loss .*, validation .* tokens/s, [0-9:]+ left"; do
        check "'$line' wanted, found: $(cat -v err)" shows "$line"
    done
    on_terminal "${training[@]}" --out quiet --quiet
    want_code 0
    want_no_err
fi

# A run of evolution says what it is at from the first rating on, also when it goes on.
evolving=(evolve --function sphere --prompts 4 --out evolved)
for i in 1 2; do
    on_terminal "${evolving[@]}" --generations $i
    want_code 0
    check "generation $i wanted, found: $(cat -v err)" \
        shows "generation $i: rating [0-9]+%, [0-9]+ s of it left"
done

run "${quick[@]}"
want_code 0
want_plain
want_no_progress
run "${quick[@]}" --color always
want_colour 2
want_no_progress
finish 16
