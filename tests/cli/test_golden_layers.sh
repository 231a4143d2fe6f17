# The golden files of layers are those of the oracle that stands beside them, and a number that is
# changed in one of them is noticed.
. "$(dirname "$0")/lib.sh"
golden=$MNEME_BUILD/mneme-golden files=$MNEME_SOURCE/tests/golden/layers
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
wants memory_l1.json '["code"][2][1]' 77 "code, number 7: 77 wanted"
wants memory_l1.json '["score"][3][0]' 7 "score, number 9: 7 wanted"
wants memory_l1.json '["x"][2][3]' 9 "score, number 6"
wants memory_l1.json '["grad_tables"][1][5][2]' 7 "grad_tables, number"
wants memory_l1.json '["score_mode"]' '"prob"' "l1_prob or prob_t wanted, \`prob\` found"
wants memory_l1.json '["dims"]["tau"]' 17 "\`tau\`: 1 to 16 wanted, 17 found"
wants memory_l1.json '["dims"]["K"]' 4 "\`d_in\`: 20 to 20 wanted, 15 found"
wants memory_prob.json '["temperature"]' 2 "score, number"
wants memory_prob.json '["temperature"]' -1 "a temperature above 0 wanted, -1 found"
wants memory_prob.json '["grad_x"][4][1]' 7 "grad_x, number 33: 7 wanted"
wants block.json '["dims"]["rotary_base"]' 400 "attn_out, number"
wants block.json '["dims"]["heads"]' 1 "attn_out, number"
wants block.json '["dims"]["K"]' 5 "tables times bits is 5 x 2, width 8"
wants block.json '["inter"]["mid_ln"][1][2][3]' 7 "mid_ln, number"
wants block.json '["grads"]["k_tables"][1][2][3]' 700 "k_tables, number"
wants block.json '["params"]["q_bias"]' '[1]' "\`q_bias\`: a list of 8 wanted, 1 found"
wants performer.json '["eps"]' 0.01 "q_prime, number"
wants performer.json '["grad_k"][1][2][3]' 7 "grad_k, number"
wants performer.json '["exact_softmax_y"][1][2][3]' 7 "exact_softmax_y, number"
wants cosformer.json '["dims"]["m"]' 12 "y, number"
wants cosformer.json '["dims"]["m"]' 7 "\`m\`: 8 to "
wants linformer.json '["y_block_causal"][1][10][3]' 7 "y_block_causal, number"
wants linformer.json '["y_slot_mask"][0][2][3]' 7 "y_slot_mask, number"
wants linformer.json '["grad_F"][3][2]' 7 "grad_F, number 17: 7 wanted"
wants linformer.json '["dims"]["block_slots"]' 1 "y_block_causal, number"
wants bh4.json '["grad_weight"][0][1][0][0][1]' 70 "grad_weight, number"
wants bh4.json '["alpha"]' 0.5 "y, number"
wants bh4.json '["dims"]["block"]' 3 "\`block\`: a power of two wanted"
hash=$(sha256sum "$MNEME_SOURCE/oracle/layers.py" | cut -d' ' -f1)
for file in "$files"/*.json; do
    check "$file is not of oracle/layers.py as it is: run it again" grep -q "$hash" "$file"
done
finish 60
