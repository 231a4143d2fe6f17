# mneme evolve --stage --restart: a search that begins again asks for more candidates than there were
# at first; all are rated.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
qasper_rows data
# Where everything is kept all candidates are alike: ten such generations end a search. One worker
# has all candidates of a prompt.
for how in ipop bipop; do
    run evolve --stage qasper --data data -m m.gguf -c 900 -t 1 --population 4 --prompts 2 --limit 6 \
        --budgets 100%,100% --generations 24 --restart $how --log-candidates -q --out $how
    want_code 0
    python3 - $how >table <<'PY'
import sqlite3, sys
db = sqlite3.connect("file:%s/log.sqlite?mode=ro" % sys.argv[1], uri=True)
rows = db.execute("select generation, n_candidate, n_failed from generation").fetchall()
bad = db.execute("select count(*) from candidate where loss is not 0 or kept_share is not 1").fetchone()[0]
print(len(rows), max(r[1] for r in rows), sum(r[2] for r in rows), bad)
PY
    read -r n most failed bad <table
    check "$how: 24 generations, found: $n" [ "$n" = 24 ]
    check "$how: it began again with more, at most $most at once" [ "$most" -ge 8 ]
    check "$how: none failed, found: $failed" [ "$failed" = 0 ]
    check "$how: each loses nothing and keeps all, not so: $bad" [ "$bad" = 0 ]
done
finish 9
