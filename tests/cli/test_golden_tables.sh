# The golden files of layers that look rows up are those of the oracle that stands beside them, and a
# number that is changed in one of them is noticed.
. "$(dirname "$0")/lib.sh"
golden=$MNEME_BUILD/mneme-golden files=$MNEME_SOURCE/tests/golden/tables
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
wants pkm_batch.json '["outputs"]["topk_idx"][3][1][2]' 77 "topk_idx, number 52: 77 wanted"
wants pkm_batch.json '["outputs"]["bn_running_var_after"][4]' 7 "bn_running_var_after, number 4"
wants pkm_batch.json '["config"]["bn_eps"]' 0.5 "y, number"
wants pkm_batch.json '["config"]["knn"]' 8 "knn: at most the 7 keys of an axis wanted, 8 found"
wants pkm_batch.json '["config"]["mode"]' '"eval"' "mode train and an even k_dim wanted"
wants pkm_batch.json '["grads"]["keys"][2][1][6][2]' 70 "keys, number 125: 70 wanted"
wants memory_plus_wide.json '["config"]["v_dim"]' 0 "\`values.weight\`: a list of 5 wanted"
wants memory_plus_wide.json '["params"]["swilu_projection.bias"][6]' 3 "y, number"
wants memory_plus_wide.json '["outputs"]["row_scores"][5][0][3]' 9 "row_scores, number 33"
wants memory_plus_wide.json '["outputs"]["weights"][5][0][3]' 9 "weights, number 23"
wants ultramem_rank3.json '["config"]["vdim"]' 7 "vdim: a multiple of the 3 cores wanted, 7 found"
wants ultramem_rank3.json '["config"]["key_num"]' 11 "\`key_num\`: 10 follows"
wants ultramem_rank3.json '["params"]["shuffle_index"][7]' 0 "no permutation"
wants ultramem_rank3.json '["params"]["u"][1]' '[-9, 0.1, 0]' "number"
wants ultramem_rank3.json '["outputs"]["block"][2][5]' 5 "block, number 23: 5 wanted"
wants ultramem_rank3.json '["outputs"]["singular_values"][2][2]' 5 "singular_values, number 8"
wants ultramem_rank3.json '["grads"]["aux_wrt_core_sum"][1][2][0]' 5 "aux_wrt_core_sum, number 15"
wants ultramem_rank3.json '["grads"]["keys"][1][0][9][3][2]' 50 "keys, number 359: 50 wanted"
wants ultramem_v2_rank3.json '["config"]["share_ratio"]' 1 "\`key_num\`: 15 follows"
wants ultramem_v2_rank3.json '["config"]["share_ratio"]' 0 "above 0 and to 1 wanted, 0 found"
wants ultramem_v2_rank3.json '["config"]["query_mode"]' '"any"' "\`any\` is unknown"
wants ultramem_v2_rank3.json '["config"]["glu_act"]' '"none"' "pre_score, number"
wants ultramem_v2_rank3.json '["config"]["balance_coef"]' 30.0 "input, number"
wants ultramem_v2_rank3.json '["grads"]["pre_values_proj.weight"][3][4]' 50 "number 19: 50 wanted"
wants moe_renormalised.json '["config"]["renormalise"]' False "topk_weights, number 0"
wants moe_renormalised.json '["config"]["top_k"]' 6 "1 to 5 wanted, 6 found"
wants moe_renormalised.json '["config"]["moe_zloss_weight"]' 0.3 "z_loss, number 0"
wants moe_renormalised.json '["grads"]["router"][4][3]' 50 "router, number 19: 50 wanted"
hash=$(sha256sum "$MNEME_SOURCE/oracle/tables.py" | cut -d' ' -f1)
for file in "$files"/*.json; do
    check "$file is not of oracle/tables.py as it is: run it again" grep -q "$hash" "$file"
done
finish 60
