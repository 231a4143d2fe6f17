# mneme-golden says what is wrong with a file, and the files at hand are those of the oracle that
# stands beside them.
. "$(dirname "$0")/lib.sh"
golden=$MNEME_BUILD/mneme-golden folder=$MNEME_SOURCE/tests/golden
files=$folder/policies
replay() {
    said="mneme-golden $*"
    "$golden" "$@" >out 2>err
    code=$?
    out=$(cat out) err=$(cat err)
}
differ() { ! cmp -s "$1" "$2"; }
wants() { # sed expression on a good file, sentence
    sed "$2" "$files/$1" >bad/x.json
    check "$2 changes nothing in $1" differ "$files/$1" bad/x.json
    replay bad
    want_code 1
    want_out "bad/x.json: " "$3" "0 passed, 1 failed"
}
replay --help
want_code 0
want_out "Usage: mneme-golden DIR..." policy_scores full_step
check "nothing on standard error" [ -z "$err" ]
replay --verbose
want_code 2
want_err "unknown option --verbose" "Usage: "
replay
want_code 2
want_err "Usage: "
mkdir -p bad two/deep
wants closed_form.json 's/-1.5869/-1.5879/' "score of head 0, token 0"
wants closed_form.json 's/\[2, 3, 4, 7, 8, 9\]/[2, 3, 4, 7, 8, 10]/' \
    "head 0 keeps token 9 in place 5, 10 wanted"
wants closed_form.json 's/"seed"/"sede"/' "unknown field \`sede\`"
wants closed_form.json 's/"policy": "tova/"note": "", "policy": "tova/' \
    "unknown field \`note\` of a case"
wants closed_form.json 's/"kv_heads": 2/"kv_heads": 3/' "cannot be"
wants drawn_half.json 's/"tokens": 40/"tokens": 41/' "a list of 41 wanted, 40 found"
wants closed_form.json 's/tova:sinks/tovu:sinks/' "unknown policy"
wants drawn_half.json 's/"pairs": "half"/"pairs": "adjacent"/' "wanted"
wants pyramid.json 's/3994/3995/' "layer 0: 3995 wanted, 3994 found"
wants moves.json 's/"to": \[0, 1/"to": [0, 2/' "row 1, channel"
wants moves.json 's/"kind": "rotation"/"kind": "revolution"/' "unknown kind \`revolution\`"
wants moves.json 's/"moved"/"moved" 5/' "line "
files=$folder/namm_net
wants bam_gated.json 's/"attention_output": \[\[\[-*/&9/' "head 0: attention output 0: "
wants bam_gated.json 's/"hidden_dim": 8/"hidden_dim": 4/' "\`n_params\`: "
wants bam_gated.json 's/"num_heads": 1/"num_heads": 2/' "head 0: attention output"
wants bam_gated.json 's/"num_heads": 1/"num_heads": 3/' "heads that divide 8 hidden channels wanted"
wants bam_gated.json 's/"mult": true/"mult": 7.5/' "\`mult\`: true or false wanted"
wants bam_heads_masked.json 's/"token_mask": \[[01], [01]/"token_mask": [5/' "a list of 67 wanted"
wants bam_heads_masked.json 's/"token_mask": [[01, ]*\]/"token_mask": [@]/' "line "
wants bam_additive.json 's/"scores": \[\[-*/&9/' "head 0: score 0: "
wants mlp.json 's/"depth": 4/"depth": 3/' "\`n_params\`: "
wants mlp.json 's/"residual_first": true, "residual": true/"residual_first": true, "residual": false/' \
    "depth 4, head 0: score 0"
wants mlp.json 's/"variants"/"variant"/' "unknown field \`variant\`"
wants flat.json 's/"offset": 36/"offset": 37/' "b_qkv: [1, 12] at 36 found"
wants flat.json 's/"b_o": \[72,/"b_o": [73,/' "b_o: 73 wanted, 72 found"
files=$folder/policies
cp "$files/pyramid.json" two/deep
cp bad/x.json two
replay two
want_code 1
want_out "1 passed, 1 failed"
rm two/x.json
replay two/deep two
want_code 0
want_out "2 passed, 0 failed"
check "more than the last line: $out" [ "$(tail -n 1 out)" = "$out" ]
replay nowhere
want_code 1
want_err nowhere
mkdir empty
replay empty
want_code 1
want_err "no golden file"

files=$MNEME_SOURCE/tests/golden/evolve
wants trace_n4.json 's/"p_c": \[-1.0/"p_c": [-1.9/' "generation 0: p_c, number 0"
wants trace_n4.json 's/"kind": "cma_es"/"kind": "cma_constants"/' "unknown field"
wants trace_n3_elite.json 's/"elite_size": 3/"elite_size": 4/' "elite_size: 4 wanted, 3 found"
wants constants.json 's/"c_1": 0/"c_1": 1/' "c_1: 1"
wants fitness.json 's/"fitness": 0/"fitness": 7/' "fitness: 7"
wants fitness.json 's/"sample_idx": \[\[[0-9]*/"sample_idx": [[70/' "indices below 11 wanted"
for pair in policies:policies namm_net:namm_net evolve:cma; do # folder:oracle
    hash=$(sha256sum "$MNEME_SOURCE/oracle/${pair#*:}.py" | cut -d' ' -f1)
    for file in "$folder/${pair%:*}"/*.json; do
        check "$file is not of oracle/${pair#*:}.py as it is: run it again" grep -q "$hash" "$file"
    done
done
finish 90
