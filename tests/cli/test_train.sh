# `mneme train`: a run that is killed or interrupted ends as one that is not; data is made once; lines,
# log, page and files say what happened; what has begun goes on as it was.
. "$(dirname "$0")/lib.sh"
configs=$MNEME_SOURCE/share/mneme/train
run plan dense.smoke
if grep -q "reads no INI files" err; then
    echo "built without inih"
    exit 77
fi
want_code 0
tiny m.gguf llama
awk 'NR > 1 && NR % 3 == 0 { print "<|endoftext|>" } { print }' \
    "$MNEME_SOURCE/tests/data/moonstone.txt" >corpus.txt
common=(--set data.corpus=corpus.txt --set data.tokenizer=m.gguf --set data.shards=shards
    --set report.peak=no --set train.length=32)
memory=("$configs/ultramem.smoke.ini" "${common[@]}" --set train.steps=24 --set train.batch=2
    --set report.every=2 --set report.save_every=4 --set report.valid_every=8
    --set report.sample_every=8 --set report.prompt=The --set report.sample_tokens=8)

# What a folder tells of its steps, but for times, and its checkpoint, which says threads too.
table() {
    python3 - "$1" <<'PY'
import hashlib, sqlite3, sys
d = sys.argv[1]
db = sqlite3.connect("file:%s/log.sqlite?mode=ro" % d, uri=True)
rows = db.execute("select step, tokens, loss, aux, valid_loss, norm, rate, value_rate from step "
                  "order by step").fetchall()
rows += db.execute("select * from sample order by step").fetchall()
print(len(rows), hashlib.sha256(repr(rows).encode()).hexdigest(),
      hashlib.sha256(open(d + "/checkpoint.gguf", "rb").read()).hexdigest())
PY
}

# The smoke config of a dense model.
run train "$configs/dense.smoke.ini" "${common[@]}" --out dense --json
want_code 0
check "a report every 10 of 60 steps, found $(wc -l <out)" [ "$(wc -l <out)" = 6 ]
sed -n 3p out >line
want_json 'list(d) == ["step", "tokens", "loss", "valid_loss", "tokens_per_s", "gemm_peak_share"]
    and d["step"] == 30 and d["tokens"] == 30 * 4 * 32 and d["valid_loss"] > 0
    and d["tokens_per_s"] > 0 and d["gemm_peak_share"] is None' line
python3 -c 'import json, sys
loss = [json.loads(x)["loss"] for x in open("out")]
sys.exit(0 if loss[-1] < loss[0] - 0.5 else 1)' || wrong "the loss comes down: $out"
for file in train.ini run.json checkpoint.gguf tokenizer.gguf log.sqlite report.html report.json; do
    check "$file is there" [ -s dense/$file ]
done
check "no part of the page is left open" [ "$(grep -c 'mneme:' dense/report.html)" = 0 ]
want_json 'len(d["steps"]) == 6 and len(d["samples"]) == 1 and d["samples"][0]["step"] == 60
    and d["run"]["config"]["model"]["arch"] == "dense"
    and d["run"]["data"]["train"]["tokens"] > 5 * d["run"]["data"]["valid"]["tokens"] > 0' \
    dense/report.json
run inspect dense/checkpoint.gguf
want_code 0
run plan dense/train.ini --json
want_json 'd["arch"] == "dense" and d["steps"] == 60 and d["length"] == 32 and d["parameters"] > 2e5'
run report dense
want_code 0
want_out dense/report.html dense/report.json

# A memory: killed, interrupted, with other threads, from the checkpoint before.
run train "${memory[@]}" --out whole
want_code 0
want_out "step 24: loss" "validation" whole/report.html
whole=$(table whole)
check "12 reports, 3 samples, found: $whole" [ "${whole%% *}" = 15 ]
run train "${memory[@]}" --out whole
want_code 0
want_err "goes on behind step 24 of 24" "0 steps new"
check "a second run changes nothing" [ "$(table whole)" = "$whole" ]
before=$(stat -c '%n %i %Y' shards/*)
run train "${memory[@]}" --out threads -t 3
want_code 0
threads=$(table threads)
check "three threads give the same" [ "${threads% *}" = "${whole% *}" ]
check "tokens are made once" [ "$(stat -c '%n %i %Y' shards/*)" = "$before" ]

n_cut=0
for i in 1 2 3 4 5; do
    : >lines
    "$MNEME" train "${memory[@]}" --out killed --json >lines 2>/dev/null &
    pid=$!
    while [ "$(wc -l <lines)" -lt $((i % 4)) ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -9 $pid 2>/dev/null && n_cut=$((n_cut + 1))
    wait $pid 2>/dev/null
done
check "it was cut in its midst" [ $n_cut -gt 0 ]
for name in checkpoint.gguf run.json report.html tokens-1.shard; do echo half >killed/$name.tmp-12345; done
run train "${memory[@]}" --out killed
want_code 0
check "killed and resumed: the same" [ "$(table killed)" = "$whole" ]
check "nothing unfinished is left: $(ls killed)" [ -z "$(find killed -name '*.tmp-*')" ]

: >lines
"$MNEME" train "${memory[@]}" --out stopped --json >lines 2>err &
pid=$!
for i in $(seq 3000); do [ "$(wc -l <lines)" -ge 3 ] && break; sleep 0.01; done
kill -INT $pid
wait $pid
code=$? err=$(<err) said="an interrupted run"
want_code 130
want_err "stopped after step"
check "its page is there" [ -s stopped/report.html ]
run train "${memory[@]}" --out stopped
want_code 0
want_err "goes on behind step"
check "interrupted and resumed: the same" [ "$(table stopped)" = "$whole" ]

cp -r stopped cut
head -c 10000 cut/checkpoint.gguf >part && mv part cut/checkpoint.gguf
run train "${memory[@]}" --out cut
want_code 0
want_err "cut/checkpoint.gguf" "goes on behind step 20 of 24"
check "from the checkpoint before: the same" [ "$(table cut)" = "$whole" ]

# What has begun goes on as it was.
refused 2 train "${memory[@]}" --out whole --set train.rate=0.5 -- "train.rate" "0.5"
refused 2 train "${memory[@]}" --out whole --set memory.keys=16 -- "memory.keys"
refused 2 train "${memory[@]}" --out whole --set data.valid_share=0.3 -- "other data"
check "refusals change nothing" [ "$(table whole)" = "$whole" ]

# A tokenizer that is learnt, where that can be; folders, JSON lines, packed files.
mkdir texts
python3 -c 'import json
for text in open("corpus.txt").read().split("<|endoftext|>"): print(json.dumps({"body": text}))' |
    xz >texts/a.jsonl.xz
cp corpus.txt texts/b.txt
run train "$configs/dense.smoke.ini" --set data.corpus=texts --set data.field=body --out learnt \
    --set report.peak=no --set train.steps=4 --set model.vocab=400 --set train.length=32
if [ $code = 0 ]; then
    want_json 'd["data"]["vocab"] == 400' learnt/run.json
    check "tokenizer and tokens in the run's folder" [ "$(ls learnt/to* | wc -l)" = 4 ]
else
    want_code 3
    want_err "built without SentencePiece"
fi

# A disk that is full, as far as a process can be told so.
(
    trap '' XFSZ
    ulimit -f 300
    "$MNEME" train "${memory[@]}" --out full >out 2>err </dev/null
)
code=$? err=$(<err) said="a full disk"
want_code 1
want_err "cannot write"
check "nothing half written is left: $(ls full)" [ -z "$(find full -name '*.tmp-*')" ]
run train "${memory[@]}" --out full
want_code 0
check "with room again: the same" [ "$(table full)" = "$whole" ]
finish 55
