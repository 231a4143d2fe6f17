# The golden files of a NAMM's inputs are those of the oracle that stands beside them, and a number
# that is changed in one of them is noticed.
. "$(dirname "$0")/lib.sh"
golden=$MNEME_BUILD/mneme-golden files=$MNEME_SOURCE/tests/golden/namm_input
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
mkdir -p bad
wants stft_32.json '["updates"][1]["features"][1][3][0]' 0.5 "head 1, after 48 queries: token 3, bin 0"
wants stft_32.json '["updates"][0]["retained"][0][2]' 31 "after the eviction: token 2"
wants stft_32.json '["updates"][0]["retained"][0][2]' 0 "ascending indices wanted"
wants stft_32.json '["updates"][0]["ema_state_after"][0][2][4]' 1 "after the eviction: token 2, bin 4"
wants stft_20.json '["gamma"]' 0.8 "bin 0"
wants stft_20.json '["window"][1]' 0.8 "window"
wants stft_20.json '["hop"]' 21 "\`hop\`: 1 to 20 wanted, 21 found"
wants stft_20.json '["updates"][1]["n_all"]' 3 "\`n_all\`"
wants stats.json '["updates"][1]["run_var"][2]' 7 "run_var 0: 7 wanted"
wants stats.json '["updates"][2]["token_mask"][5]' 0 "run_mean"
wants stats.json '["frozen_example"]["normalised"][1][2][0]' 7 "normalised 0: 7 wanted"
wants stats.json '["merge_example"]["mean"][0]' 7 "mean 0: 7 wanted"
wants tables.json '["recency"][0]["embedding"][3][1]' 7 "age 63, column 1: 7 wanted"
wants tables.json '["recency"][0]["ages"][3]' 4 "ascending ages wanted"
wants tables.json '["ntk_rope"][1]["inv_freq"][2]' 7 "inverse frequency 2: 7 wanted"
wants tables.json '["ntk_rope"][0]["alpha"]' 3 "inverse frequency 1"
wants selection.json '["cases"][0]["retained"][1][0]' 17 "head 1: token"
wants selection.json '["cases"][1]["n_keep"]' 6 "\`n_keep\`: 6 wanted, 5 found"
wants selection.json '["cases"][2]["n_nonneg_per_head"][1]' 9 "\`n_nonneg_per_head\`: 9 wanted"
wants step_16.json '["updates"][0]["layers"][0]["ema_raw"][1][4][0]' 7 \
    "ema_raw after 24 tokens, layer 0, head 1: token 4, column 0: 7 wanted"
wants step_16.json '["updates"][0]["layers"][0]["embeddings"][0][4][5]' 70 "embeddings after 24"
wants step_16.json '["updates"][1]["layers"][0]["scores"][0][4]' 70 "scores after 48 tokens"
wants step_16.json '["updates"][0]["layers"][0]["positions_after"][0][0]' 23 "after 24 tokens"
wants step_16.json '["updates"][0]["layers"][0]["retained"][0][0]' 23 "\`retained\` names"
wants step_16.json '["chunks"][0]["is_update"]' True "\`after_tokens\`: 12 to 12 wanted"
wants step_16.json '["update_interval"]' 48 "no event is due"
wants step_16.json '["update_interval"]' 12 "an event is due"
wants step_capped.json '["cache_size"]' 14 "after 24 tokens, layer 0, head 0: 15 wanted, 14 found"
wants step_capped.json '["params"][7]' 3.5 "scores after 24 tokens"
hash=$(sha256sum "$MNEME_SOURCE/oracle/namm_input.py" | cut -d' ' -f1)
for file in "$files"/*.json; do
    check "$file is not of oracle/namm_input.py as it is: run it again" grep -q "$hash" "$file"
done
finish 80
