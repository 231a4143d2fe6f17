# `mneme eval` where records cannot go: a folder that is closed, a full disk, a store of another
# version. What was finished stays, and the same command goes on.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
for i in 1 2 3 4 5 6 7 8; do
    printf '{"context":"the sea is wide %s","input":"Which word?","answers":["sea"],"_id":"%s"}\n' $i $i
done >own.jsonl
common=(-m m.gguf -n 6 --gold-tokens 8 --budgets 60% --task-file own.jsonl --metric f1)
count() { # records and prompts of a store
    python3 -c 'import sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
print(*[db.execute("select count(*) from " + t).fetchone()[0] for t in ("record", "prompt")])' "$1/results.sqlite"
}

# Another version: told, and left as it is.
run eval "${common[@]}" --out dir
want_code 0
python3 -c 'import sqlite3
db = sqlite3.connect("dir/results.sqlite"); db.execute("pragma user_version = 1"); db.commit()'
before=$(cksum <dir/results.sqlite)
refused 3 eval "${common[@]}" --out dir -- "dir/results.sqlite: " "version"
refused 3 report dir --json -- "dir/results.sqlite: " "version"
check "the store is left as it is" [ "$(cksum <dir/results.sqlite)" = "$before" ]

# A place that is none.
refused 1 eval "${common[@]}" --out own.jsonl -- "own.jsonl"
refused 1 eval "${common[@]}" --out own.jsonl/x -- "cannot make the folder own.jsonl/x: Not a directory"
run eval "${common[@]}" --out below/below/dir -q
want_code 0
check "a folder is made with those above it" [ -f below/below/dir/results.sqlite ]

# What follows wants a file system of its own, which not every machine gives.
if ! unshare -rm bash -c 'mount -t tmpfs none dir' 2>/dev/null; then
    echo "no file system can be mounted here: full and read-only disks are not tested"
    finish 10
fi
mkdir disk
inside() { # OPTIONS of the disk, then a script; $1 to $n of it: the common options
    unshare -rm bash -c 'mount -t tmpfs -o "$0" none disk || exit 99; '"$2" "$1" "${common[@]}"
}

inside ro '"$MNEME" eval "$@" --out disk/x >out 2>err; echo $? >code
    "$MNEME" eval "$@" --out disk >>out 2>>err; echo $? >>code'
said="mneme eval on a read-only disk"
code=$(<code) err=$(<err)
check "exit 1, twice: $code" [ "$code" = $'1\n1' ]
want_err "disk/x: Read-only file system" "disk/results.sqlite: "
check "two sentences wanted, found: $err" [ "$(wc -l <err)" = 2 ]
want_no_out

# Full in the middle; with more room the same command completes the table.
inside size=160k '"$MNEME" eval "$@" --out disk/x >out 2>err; echo $? >code
    cp -r disk/x first; mount -o remount,size=8m disk
    "$MNEME" eval "$@" --out disk/x -q >/dev/null; echo $? >>code; cp -r disk/x second'
said="mneme eval on a full disk"
code=$(<code) err=$(<err)
check "exit 1, then 0: $code; it said $err" [ "$code" = $'1\n0' ]
want_err "disk/x/results.sqlite: the disk is full; all records before stand there: make room and go on"
first=$(count first)
check "some records wanted after the first: $first" [ "${first% *}" -gt 0 ]
check "and not all: $first" [ "${first% *}" -lt 32 ]
check "all records, none twice: $(count second)" [ "$(count second)" = "32 8" ]
run eval "${common[@]}" --out second
want_err "0 prompts, 0 records new, 32 there already"
finish 20
