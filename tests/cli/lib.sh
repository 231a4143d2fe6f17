# lib.sh: what the command's tests share. A test calls `run` and then says what it wants of the exit
# code, of standard output ($out) and of standard error ($err); `finish` ends it. MNEME, MNEME_BUILD,
# MNEME_SOURCE and MNEME_SANITIZE come from ctest.
set -u
export LC_ALL=C NO_COLOR=1
: "${MNEME:?}" "${MNEME_BUILD:?}" "${MNEME_SOURCE:?}"
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
n_wrong=0 n_check=0 said=""

check() { # a sentence, then a command that must succeed
    n_check=$((n_check + 1))
    "${@:2}" || wrong "$said: $1"
}
wrong() { n_wrong=$((n_wrong + 1)); printf 'WRONG: %s\n' "$*"; }

run() { # arguments of mneme, run without standard input unless RUN_IN names a file
    said="mneme $*"
    "$MNEME" "$@" <"${RUN_IN:-/dev/null}" >out 2>err
    code=$?
    out=$(tr -d '\0' <out) err=$(tr -d '\0' <err)
}

want_code() {
    check "exit $code, $1 wanted; it said: $err" [ "$code" = "$1" ]
}

want_err() { # fixed texts, each of which standard error holds
    local text
    for text; do
        check "'$text' wanted on standard error, found: $err" grep -qF -- "$text" err
    done
}

want_out() {
    local text
    for text; do
        check "'$text' wanted on standard output, found: ${out:0:2000}" grep -qF -- "$text" out
    done
}

want_no_out() { check "nothing wanted on standard output, found: ${out:0:500}" [ ! -s out ]; }
want_no_err() { check "nothing wanted on standard error, found: ${err:0:500}" [ ! -s err ]; }

want_json() { # a Python expression over the document `d` of standard output (or $2): true
    n_check=$((n_check + 1))
    python3 -c 'import json, sys
d = json.load(open(sys.argv[2]))
sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)' "$1" "${2:-out}" 2>json.err ||
        wrong "$said: not so: $1 ($(tail -n 1 json.err)): $(head -c 800 "${2:-out}")"
}

# refused CODE ARGS... -- TEXT...: this exit code, one sentence on standard error, nothing else
refused() {
    local code_wanted=$1 args=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do args+=("$1"); shift; done
    shift
    run "${args[@]}"
    want_code "$code_wanted"
    want_err "$@"
    want_no_out
    check "one sentence wanted, found: $err" [ "$(wc -l <err)" = 1 ]
}

smollm2_or_skip() {
    [ -s "${XDG_CACHE_HOME:-$HOME/.cache}/mneme/models/smollm2.gguf" ] && return
    echo "smollm2 is not in the cache"
    exit 77
}

tiny() { "$MNEME_BUILD/tests/mneme-tiny" "$@" || exit 1; }

# qasper_rows DIR [QUESTION [N]]: a set of rows of the task qasper, as MNEME_DATA has it.
qasper_rows() {
    mkdir -p "$1/longctx/longbench"
    python3 - "${2:-Which?}" "${3:-60}" >"$1/longctx/longbench/qasper.jsonl" <<'PY'
import json, sys
words = "the world is old and the sea is wide while hello goes to all who read this".split()
for i in range(int(sys.argv[2])):
    text = "paper %d " % i + " ".join(words[(i * 7 + k * (i + 3)) % len(words)] for k in range(24))
    print(json.dumps({"dataset": "qasper", "context": text, "input": sys.argv[1],
                      "answers": [words[i % len(words)] + " sea"], "_id": "row-%d" % i}))
PY
}

finish() {
    echo "$n_check checks, $n_wrong wrong"
    [ "$n_wrong" = 0 ] && [ "$n_check" -gt "${1:-0}" ]
    exit
}
