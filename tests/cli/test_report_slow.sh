# The page of `mneme report` in a browser: what it draws, and that it asks for nothing.
. "$(dirname "$0")/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    { echo "no browser"; exit 77; }
[ -r /usr/share/javascript/chart.js/chart.min.js ] && [ -r /usr/share/javascript/d3/d3.min.js ] ||
    { echo "the chart libraries are not installed"; exit 77; }
unset MNEME_DATA
tiny m.gguf llama ctx=1024
python3 - <<'PY'
import json
words = "the world is old and the sea is wide while hello goes to all who read this".split()
with open("own.jsonl", "w") as f:
    for i in range(12):
        text = " ".join(words[(i * 7 + k * (i + 3)) % len(words)] for k in range(40))
        f.write(json.dumps({"context": text, "input": "Which word?", "_id": "row-%d" % i,
                            "depth": i % 4 / 3, "answers": [words[i], "</script><b>gold</b>"]}) + "\n")
PY
run eval --task-file own.jsonl --metric qa_f1 -n 6 -m m.gguf --policies h2o,snapkv --budgets 48,60% \
    --gold-tokens 8 --out dir -q
want_code 0
run report dir -q
want_code 0

# DIR WIDTH: the drawn page into the file dom. An error that any script throws becomes its title.
draw() {
    python3 - "$1" <<'PY'
import sys
page = open(sys.argv[1] + "/report.html", encoding="utf-8").read()
watch = "<script>addEventListener('error', (e) => { document.title = 'FAILED ' + e.message; });" \
    "document.addEventListener('securitypolicyviolation', (e) => { document.title = 'FAILED load of ' + e.blockedURI; });</script>"
open("watched.html", "w", encoding="utf-8").write(page.replace("<noscript>", watch + "<noscript>", 1))
PY
    timeout 300 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" \
        --virtual-time-budget=5000 --window-size=$2,2000 --dump-dom "file://$PWD/watched.html" \
        >dom 2>browser.err || wrong "the browser failed: $(tail -n 3 browser.err)"
    n_check=$((n_check + 1))
}

for width in 390 1280; do
    said="the page at $width"
    draw dir $width
    python3 - <<'PY' || wrong "the page at $width is not drawn"
import re
dom = open("dom", encoding="utf-8").read()
title = re.search("<title>(.*?)</title>", dom).group(1)
assert title == "mneme: m.gguf", title
body = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", dom, flags=re.S)

def section(name):
    m = re.search(r'<section id="%s"( hidden="")?>(.*?)</section>' % name, body, re.S)
    assert m, name
    return None if m.group(1) else m.group(2)

assert section("summary").count("<tr") >= 8
assert section("summary").count("<circle") >= 8
assert section("pairs").count('class="cell') >= 4
assert section("needles").count("<rect") >= 20
assert section("cost").count("<canvas") == 2
assert 'class="item"' in section("prompts") and "row-0" in section("prompts")
assert "&lt;/script&gt;&lt;b&gt;gold" in section("prompts")
assert section("method").count("<tr") >= 8
for canvas in re.findall("<canvas[^>]*>", body):
    assert re.search(r'width="[1-9]', canvas), canvas
assert "NaN" not in re.sub(r"<[^>]*>", "", body) and "undefined" not in body and "[object" not in body
PY
done

# Without the full cache: likelihoods stand where divergences would.
run eval --task-file own.jsonl --metric qa_f1 -n 6 -m m.gguf --policies h2o,snapkv --budgets 48 --alone \
    --gold-tokens 8 --out alone -q
want_code 0
run report alone -q
want_code 0
said="the page without the full cache"
draw alone 1280
python3 - <<'PY' || wrong "the page without the full cache is not drawn"
import re
dom = open("dom", encoding="utf-8").read()
assert re.search("<title>(.*?)</title>", dom).group(1) == "mneme: m.gguf"
body = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", dom, flags=re.S)
summary = re.search(r'<section id="summary">(.*?)</section>', body, re.S).group(1)
heads = re.findall(r'<button type="button">([^<]*)', summary)
assert "NLL \u2191" in heads and not any(h.startswith(("KL", "Change", "Score")) for h in heads), heads
assert summary.count("<circle") == 2 and "not measured" not in summary
assert '<p class="about beside-full" hidden="">' in summary and '<p class="about alone">' in summary
tasks = re.search(r'<section id="tasks">(.*?)</section>', body, re.S).group(1)
assert "<td>12</td>" in tasks, tasks
assert "NaN" not in re.sub(r"<[^>]*>", "", body) and "undefined" not in body
PY
finish 6
