# tests/fuzz/corpus is what make_corpus.py makes: formats that change take their inputs along.
. "$(dirname "$0")/lib.sh"
said="tests/fuzz/make_corpus.py"
check "it runs" python3 "$MNEME_SOURCE/tests/fuzz/make_corpus.py" made >/dev/null
check "the corpus is another: run it" diff -rq made "$MNEME_SOURCE/tests/fuzz/corpus"
finish 1
