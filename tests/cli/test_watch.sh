# mneme watch: its figures and its page agree with what `mneme run` keeps; the page needs nothing
# else; what cannot be watched is refused before anything is read.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
tiny g.gguf gemma3
{
    head -c 500 "$MNEME_SOURCE/tests/data/moonstone.txt"
    printf '\nx = {1: 2}; </script><b>bold</b> \346\234\254 42\n'
} >text

for policy in h2o:chunk=64,every=8@40% "tova:share=layer,pool=3@100" "observed:threshold=0.003,chunk=64@80%"; do
    how=(-m m.gguf -f text -p "What is it?" -n 24 --policy "${policy%@*}" --budget "${policy#*@}")
    run run "${how[@]}" --dump-kept kept.json -q
    want_code 0
    run watch "${how[@]}" --out page.html --json -q
    want_code 0
    want_no_err
    cp out doc
    want_json "d['version'] == 1 and d['prompt_tokens'] > 300 and d['events'] and len(d['layers']) == 2"
    want_json "all({'layer', 'heads', 'kept', 'share', 'age', 'last_tenth', 'heads_overlap',
        'next_overlap', 'lift'} <= set(x) for x in d['layers'])"
    want_json "len(d['watched']) == 3 and all(0 <= w['token'] < d['tokens'] and w['reason']
        for w in d['watched'])"
    want_json "d['scores'] and all(len(s[k]) == 48 for s in d['scores']
        for k in ('kept', 'dropped', 'protected'))"
    want_json "abs(sum(k['share'] for k in d['kinds']) - 1) < 1e-6
        and {'word', 'number', 'punctuation'} <= {k['kind'] for k in d['kinds']}"
    n_check=$((n_check + 1))
    python3 - <<'PY' || wrong "page, document and --dump-kept do not agree"
import base64, json, re
doc, kept = json.load(open("doc")), json.load(open("kept.json"))
page = open("page.html", encoding="utf-8").read()
assert page.count("</script>") == page.count("<script") == 5
assert "default-src 'none'" in page
markup = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.S)
assert not re.search(r"\b(src|href|action|data|poster)\s*=|url\(|@import", markup), "a load"
assert not re.search(r"url\(|@import|https?:", re.search(r"<style>(.*?)</style>", page, re.S)[1])
own = page[page.rindex("<script>"):]
assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|innerHTML|\.html\(|eval\(", own)
block = {p: re.search(r'id="%s">(.*?)</script>' % p, page, re.S)[1] for p in ("data", "packed")}
assert all("<" not in b for b in block.values())
assert json.loads(block["data"]) == doc
packed = {k: base64.b64decode(v) if isinstance(v, str) else v
          for k, v in json.loads(block["packed"]).items()}

def varints(data):
    x = shift = 0
    for b in data:
        x |= (b & 127) << shift
        shift += 7
        if b < 128:
            yield x
            x = shift = 0

n, n_event = doc["tokens"], len(doc["events"])
assert n == kept["tokens_seen"] and len(packed["drawn"]) == len(packed["kinds"]) == n
sizes = list(varints(packed["sizes"]))
assert len(sizes) == n and sum(sizes) == len(packed["text"])
assert b"</script><b>bold</b>" in packed["text"] and "\u672c".encode() in packed["text"]
fates = []
for x in varints(packed["gone"]):
    fates += [x % (n_event + 1)] * (x // (n_event + 1) + 1)
lanes = [fates[i:i + n] for i in range(0, len(fates), n)]
want = [h for layer in kept["layers"] for h in layer["kept"]]
assert len(lanes) == len(want) == 4
for lane, held in zip(lanes, want):
    assert [t for t in range(n) if not lane[t]] == held, "held at the end"
    for t in range(n):  # nothing is dropped before it is read
        assert not lane[t] or doc["events"][lane[t] - 1]["tokens_seen"] > t
assert any(f for lane in lanes for f in lane)
assert [h for x in doc["layers"] for h in x["heads"]] == [len(h) for h in want]
for e, event in enumerate(doc["events"]):  # mean over lanes after each event
    held = [sum(t < event["tokens_seen"] and not 0 < f <= e + 1 for t, f in enumerate(lane))
            for lane in lanes]
    assert abs(event["kept"] - sum(held) / 4) < 1e-6
series, at = packed["series"], 0
for w in doc["watched"]:  # what each lane saw of a token ends where it was dropped
    for lane in lanes:
        head = []
        while len(head) < 4:
            x = shift = 0
            while True:
                x |= (series[at] & 127) << shift
                shift += 7
                at += 1
                if series[at - 1] < 128:
                    break
            head.append(x)
        fate = lane[w["token"]]
        end = doc["events"][fate - 1]["tokens_seen"] if fate else n
        assert head[0] == end - w["token"] and head[1] == head[3] == 1, (head, end, w)
        assert head[2] == end // 16 - w["token"] // 16
        at += head[0] + 17 * head[2]
assert at == len(series)
PY
done

# Only full-attention layers forget; the text's own tokens may be asked for.
run watch -m g.gguf -f text --raw --policy streaming:chunk=64 --budget 64 --token bold --token 7 --out page.html --json
want_code 0
want_json "len(d['layers']) == 1 and [w['reason'] for w in d['watched']] == ['asked for'] * 2"
want_json "d['watched'][1]['token'] == 7 and 0 < d['watched'][0]['token'] < d['tokens']"

run watch -m m.gguf -f text --policy full
want_code 0
want_out "0 events, 100.0% held" "layer" "word"

# Texts of tasks: the means of what single texts have.
how=(-m m.gguf --policy h2o:chunk=64 --budget 40%)
run watch "${how[@]}" --tasks infinitebench_passkey,infinitebench_kv_retrieval --lengths 300,600 --limit 3 --json
want_code 0
want_json "[(t['task'], t['length'], t['texts']) for t in d['tasks']] == [(n, l, 3)
    for n in ('infinitebench_passkey', 'infinitebench_kv_retrieval') for l in (300, 600)]"
want_json "all(t['length'] / 2 < t['tokens'] <= t['length'] and abs(t['kept_share'] - 0.4) < 0.02
    and [x['layer'] for x in t['layers']] == [0, 1] for t in d['tasks'])"
want_json "all(abs(t['all']['share'] - t['kept_share']) < 1e-9 and
    abs(sum(x['kept'] for x in t['layers']) / 2 - t['all']['kept']) < 1e-6 and
    abs(sum(x['age'] * x['kept'] for x in t['layers']) / 2 / t['all']['kept'] / t['all']['age'] - 1) < 0.01
    for t in d['tasks'])"
run watch "${how[@]}" --tasks infinitebench_passkey --lengths 300 --limit 1
want_code 0
want_out "infinitebench_passkey (needles): 1 text of" "layer" "all"
refused 2 watch "${how[@]}" --tasks infinitebench_paskey --lengths 300 -- "infinitebench_passkey"
refused 2 watch "${how[@]}" --tasks infinitebench_passkey --lengths 300x -- "--lengths"
refused 2 watch "${how[@]}" --tasks infinitebench_passkey --lengths 300 --out page.html -- "--out"
refused 2 watch -m m.gguf -f text --policy full --token world -- "--out"

refused 2 watch -m m.gguf -f text --policy h2o -- "budget"
refused 2 watch -m m.gguf -f text --policy h3o --budget 50% -- "h2o"
refused 2 watch -m m.gguf --policy full -- "nothing to read"
refused 3 watch -m m.gguf -f text --policy full --token zebra --out page.html -- "--token" "'zebra'"
refused 3 watch -m m.gguf -f text --policy full --token 99999 --out page.html -- "99999" "tokens"
refused 2 watch -m m.gguf -f text --policy full --token "" --out page.html -- "--token"
refused 1 watch -m m.gguf -f text --policy full --out no/such/page.html -- "no/such/page.html"
mkdir folder
refused 3 watch -m m.gguf -f text --policy full --out folder -- "folder"
refused 2 watch -m m.gguf -f text --polcy full -- "--policy"
finish 80
