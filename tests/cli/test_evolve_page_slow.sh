# The page of an evolution in a browser: what it draws, and that it asks for nothing.
. "$(dirname "$0")/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    { echo "no browser"; exit 77; }
[ -r /usr/share/javascript/chart.js/chart.min.js ] || { echo "no chart library"; exit 77; }
run evolve --function sphere --stage '+ellipsoid' --generations 20,300 --dim 4 \
    --held-out 6 --validate 5 --target -1e9 --out dir -q
want_code 0
run report "$PWD/dir/" # titled by the folder's own name
want_code 0

# An error that any script throws becomes the window's title.
python3 - <<'PY'
page = open("dir/report.html", encoding="utf-8").read()
watch = "<script>addEventListener('error', (e) => { document.title = 'FAILED ' + e.message; });" \
    "document.addEventListener('securitypolicyviolation', (e) => { document.title = 'FAILED load of ' + e.blockedURI; });</script>"
open("watched.html", "w", encoding="utf-8").write(page.replace("<noscript>", watch + "<noscript>", 1))
PY
for width in 390 1280; do
    said="the page at $width"
    timeout 300 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" \
        --virtual-time-budget=5000 --window-size=$width,2000 --dump-dom "file://$PWD/watched.html" \
        >dom 2>browser.err || wrong "the browser failed: $(tail -n 3 browser.err)"
    n_check=$((n_check + 1))
    python3 - <<'PY' || wrong "the page at $width is not drawn"
import re
dom = open("dom", encoding="utf-8").read()
title = re.search("<title>(.*?)</title>", dom).group(1)
assert title == "mneme evolve: dir", title
body = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", dom, flags=re.S)

def section(name):
    return re.search(r'<section id="%s"[^>]*>(.*?)</section>' % name, body, re.S).group(1)

assert section("stages").count("<tr") == 3
assert 100 < section("generations").count("<tr") < 320 and "One in 2 of 320" in body
assert section("losses").count("<canvas") == 1 and "logarithmic" in section("losses")
assert section("method").count("<tr") >= 7
assert body.count('class="tile"') == 4
for name in "losses-chart", "sigma-chart":
    canvas = re.search('<canvas id="%s"[^>]*>' % name, body).group(0)
    assert re.search(r'width="[1-9]', canvas), canvas
assert 'id="kept-figure" hidden' in body # functions keep no tokens
assert "NaN" not in re.sub(r"<[^>]*>", "", body) and "undefined" not in body and "[object" not in body
PY
done
finish 2
