# `mneme report`: a page that needs no network, and a table and a document that say the same.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024

refused 2 report -- "one folder that \`mneme eval --out\`, \`mneme evolve --out\` or \`mneme train --out\` wrote is wanted, 0 given"
refused 2 report a b -- "2 given"
refused 3 report nowhere -- "nowhere: No such file or directory"
mkdir none
refused 3 report none -- "none: no records there (results.sqlite is what"
# Answers that would end a script, if they were let.
python3 - <<'PY'
import json
words = "the world is old and the sea is wide while hello goes to all who read this".split()
with open("own.jsonl", "w") as f:
    for i in range(12):
        text = " ".join(words[(i * 7 + k * (i + 3)) % len(words)] for k in range(40))
        f.write(json.dumps({"context": text, "input": "Which word?", "_id": "</script>%d" % i,
                            "answers": [words[i], "</script><script src='http://x/'>"]}) + "\n")
PY
run eval --task-file own.jsonl --metric qa_f1 -n 6 -m m.gguf --policies h2o,snapkv --budgets 48,60% \
    --gold-tokens 8 --out dir -q
want_code 0
python3 - <<'PY'
import sqlite3
db = sqlite3.connect("dir/results.sqlite")
db.execute("update record set output = ? where key % 7 = 0", ("<img src='https://x/y.png'> </script>",))
db.execute("update record set status = 'no memory', score = null where key = 5")
db.commit()
PY

# The document alone needs no chart library and writes nothing, also where it is read from two files.
cp -r dir two
python3 - <<'PY'
import sqlite3
for name, keep in (("dir/results.sqlite", 1), ("two/results.sqlite", "key % 2"), ("two/more.sqlite", "not key % 2")):
    if "more" in name:
        open(name, "wb").write(open("dir/results.sqlite", "rb").read())
    db = sqlite3.connect(name)
    db.execute("delete from record where not (%s)" % keep)
    db.commit()
PY
run report dir --json
want_code 0
want_err "records of 12 prompts in 1 run, 1 failed"
cp out alone
check "nothing written, found $(ls dir)" [ "$(ls -A dir)" = results.sqlite ]
run report two --json -q
want_code 0
want_no_err
check "two files say the same" cmp -s out alone
check "nothing written, found $(ls two)" [ "$(ls -A two | tr '\n' ' ')" = "more.sqlite results.sqlite " ]

[ -r /usr/share/javascript/chart.js/chart.min.js ] && [ -r /usr/share/javascript/d3/d3.min.js ] || {
    echo "the chart libraries are not installed: no page is tested"
    finish 10
}
run report dir
want_code 0
want_out dir/report.html dir/report.csv dir/report.json
want_err "records of 12 prompts in 1 run, 1 failed"
run report dir --json -q
want_code 0
want_no_err
want_json "d['version'] == 1 and len(d['runs']) == 1 and d['runs'][0]['evict'] == 'prompt'"
want_json "{'full', 'empty', 'h2o', 'snapkv', 'random'} <= {r['policy'] for r in d['summary']}"
# Fields that other people's scripts read.
want_json "all({'model', 'task', 'policy', 'budget', 'evict', 'n', 'score', 'full_ratio', 'nll',
    'nll_change', 'nll_change_ci95', 'kl', 'kl_ci95', 'kv_share', 'kv_bytes', 'policy_bytes',
    'peak_kv_bytes', 'seconds'} <= set(r) for r in d['rows'])"
want_json "all({'policy', 'budget', 'evict', 'n', 'nll_change', 'nll_change_ci95', 'kl', 'kl_ci95',
    'full_ratio', 'kv_share'} <= set(r) for r in d['summary'])"
want_json "d['pairs'] and all({'a', 'b', 'budget', 'evict', 'measure', 'difference', 'ci95', 'p'}
    <= set(p) and p['measure'] in ('nll', 'kl') for p in d['pairs'])"
want_json "[r['n'] for r in d['summary'] if r['policy'] == 'full'] == [12]"
check "the document alone is the same" cmp -s out alone
cp out printed

n_check=$((n_check + 1))
python3 - <<'PY' || wrong "CSV and JSON do not agree, or the page loads something"
import csv, json, re, sys
d = json.load(open("dir/report.json"))
assert d == json.load(open("printed")), "the document printed is another"
lists = {"all": "summary", "family": "families", "task": "rows", "pair": "pairs"}
want = [(level, row) for level, name in lists.items() for row in d[name]]
rows = list(csv.DictReader(open("dir/report.csv", newline="")))
assert len(rows) == len(want) > 10, (len(rows), len(want))
n = 0
for found, (level, row) in zip(rows, want):
    assert found["level"] == level
    flat = {}
    for key, value in row.items():
        if key.endswith("ci95"):
            value = value or [None, None]
            flat[key + "_lo"], flat[key + "_hi"] = value
        else:
            flat[key] = value
    for key, value in flat.items():
        cell = found[key]
        if value is None:
            assert cell == "", (key, cell)
        elif isinstance(value, str):
            assert cell == value, (key, cell, value)
        else:
            assert float(cell) == value, (key, cell, value)
        n += 1
assert n > 1000

page = open("dir/report.html", encoding="utf-8").read()
assert page.count("</script>") == page.count("<script") == 5
assert "default-src 'none'" in page
# Tags outside of scripts and styles ask for nothing.
markup = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.S)
assert not re.search(r"\b(src|href|action|data|poster)\s*=|url\(|@import", markup), "a load"
style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
assert not re.search(r"url\(|@import|https?:", style)
own = page[page.rindex("<script>"):]
assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|innerHTML|\.html\(|eval\(", own)
for part in ("data", "records"):
    block = re.search(r'id="%s">(.*?)</script>' % part, page, re.S).group(1)
    assert "<" not in block
    json.loads(block)
assert json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1)) == d
PY
finish 20
