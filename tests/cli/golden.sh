# Golden files of our own: replayed as they are, and with one number changed. Behind lib.sh, with
# `files` the folder that they stand in.
golden=$MNEME_BUILD/mneme-golden
replay() {
    said="mneme-golden $*"
    "$golden" "$@" >out 2>err
    code=$?
    out=$(cat out) err=$(cat err)
}
differ() { ! cmp -s "$1" "$2"; }
wants() { # file, JSON path in Python, new value, sentence
    python3 - "$files/$1" "$2" "$3" >bad/x.json <<'P'
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    root = json.load(file)
exec(f"root{sys.argv[2]} = {sys.argv[3]}")
print(json.dumps(root))
P
    check "$2 changes nothing in $1" differ "$files/$1" bad/x.json
    replay bad
    want_code 1
    want_out "bad/x.json: " "$4" "0 passed, 1 failed"
}
of_oracle() { # script: which made the files as it stands there now
    local hash
    hash=$(sha256sum "$MNEME_SOURCE/oracle/$1" | cut -d' ' -f1)
    for file in "$files"/*.json; do
        check "$file is not of oracle/$1 as it is: run it again" grep -q "$hash" "$file"
    done
}
mkdir -p bad
