# mneme evolve --from SHAPE:OPTIONS: a NAMM with other times than the shape's goes through evolution
# into its file, and acts by them; what no file may have is refused.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA MNEME_NAMM
tiny m.gguf llama ctx=1024
mkdir -p data/longctx/longbench
for i in $(seq 12); do
    printf '{"dataset":"qasper","context":"paper %d the world is old and the sea is wide while hello goes to all who read this","input":"Which?","answers":["sea"],"_id":"r%d"}\n' $i $i
done >data/longctx/longbench/qasper.jsonl
common=(evolve --stage qasper --data data -m m.gguf -c 900 --population 2 --prompts 1 --limit 2 --gold-tokens 1
    --generations 1 --fidelity true -q)
options=window=16,hop=8,gamma=0.95,update=24,log,scale=n,corrected
run "${common[@]}" --from paper:$options --out run
want_code 0
run inspect run/best.namm.gguf --json
want_code 0
want_json "(d['namm']['window'], d['namm']['hop'], d['namm']['update']) == ('16 tokens', '8 tokens', 'every 24 tokens')"
want_json "d['namm']['gamma'] == '0.95 per token' and d['namm']['columns'] == '17'"
want_json "all(d['namm'][k] == 'yes' for k in ('attention times length', 'log of magnitudes', 'average corrected'))"
want_json "' --from paper:$options' in d['note']['command']"
run run -m m.gguf --raw -p "hello world the sea is wide and old and the world is all there is to read" -n 2 --json \
    --policy namm:file=run/best.namm.gguf,recent=2 --budget 25%
want_code 0
want_json "'chunk=24' in d['policy'] and 'every=24' in d['policy']"

refused 2 "${common[@]}" --from paper:windw=16 --out x -- \
    "shape paper has no option \`windw\`: did you mean \`window\`?"
refused 2 "${common[@]}" --from paper:window=15 --out x -- \
    "shape paper: namm.window: an even number from 2 to 64 wanted, 15 found"
refused 2 "${common[@]}" --from paper:update=100 --out x -- \
    "shape paper: namm.update: a multiple of namm.hop (16) up to 16777216 wanted, 100 found"
refused 2 "${common[@]}" --from linear:log --out x -- "shape linear has no option \`log\`"
finish 20
