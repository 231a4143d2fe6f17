# mneme evolve --target-share: what NAMMs that act by threshold keep beyond a share costs them. The
# option is part of what a run is; NAMMs that keep what a budget says have no use for it.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
tiny m.gguf llama ctx=1024
qasper_rows data
bare=(evolve --stage qasper --data data -m "$PWD/m.gguf" -c 900 --population 4 --prompts 2 --limit 6
    --gold-tokens 2 --namm-options recent=2 -q)
common=("${bare[@]}" --generations 1 --from linear)

# Nothing but the term differs: the losses of candidates that keep more than the share are higher by
# it, the candidates and what they keep are the same.
run "${common[@]}" --budgets none --out free --json
want_code 0
cp out free.json
run "${common[@]}" --target-share 40% --out aimed --json
want_code 0
want_json "d['kept_share'] == json.load(open('free.json'))['kept_share'] and 0.4 < d['kept_share'] < 1"
want_json "d['mean'] - json.load(open('free.json'))['mean'] >= d['kept_share'] / 0.4 - 1 - 1e-9"
run inspect aimed/best.namm.gguf --json
want_json "d['note']['target_share'] == '0.4' and d['note']['base_model'] == 'm.gguf'"
want_json "d['note']['base_identity'].startswith('tiny (llama, 2 layers, ')"
want_json "' --target-share 40%' in d['note']['command']"
want_json "'target_share' not in d['note']" <(run inspect free/best.namm.gguf --json; cat out)
check "no path of this machine in it" [ -z "$(grep -F "$PWD" aimed/best.namm.gguf)" ]

# A run goes on with the same share alone.
refused 2 "${common[@]}" --target-share 30% --out aimed -- "--target-share 0.3 wanted, 0.4 found"
refused 2 "${common[@]}" --budgets none --out aimed -- "--target-share none wanted, 0.4 found"
refused 2 "${common[@]}" --target-share 40% --out free -- "--target-share 0.4 wanted, none found"
run "${common[@]}" --target-share 40% --out aimed
want_code 0

# A comparison adds the same to each candidate's loss over the prompts, and notes the share.
compared=("${bare[@]}" --from linear --compare 4 --fidelity frozen)
run "${compared[@]}" --budgets none --out compared-free
want_code 0
run "${compared[@]}" --target-share 40% --out compared
want_code 0
want_json "d['settings']['target_share'] == 0.4
    and d['sides'][0]['prompt_losses'] == json.load(open('compared-free/compare.json'))['sides'][0]['prompt_losses']
    and max(d['sides'][0]['kept']) > 0.4
    and all(abs(loss - free - max(0, kept / 0.4 - 1)) < 1e-12
            for s in d['sides'] for f in json.load(open('compared-free/compare.json'))['sides']
            for loss, free, kept in zip(s['losses'], f['losses'], s['kept']))
    and d['sides'][0]['best'] == min(d['sides'][0]['losses'])" compared/compare.json
want_json "'target_share' not in d['settings']" compared-free/compare.json
refused 2 "${compared[@]}" --target-share 30% --out compared -- "--target-share 0.3 wanted, 0.4 found"
refused 2 "${bare[@]}" --from paper --compare 4 --fidelity frozen,retained --target-share 40% \
    --budgets 50% --out x -- "frozen or true"

# A budget may stay as a cap where the rule is a threshold; else it says what is kept.
refused 2 "${common[@]}" --target-share 25% --budgets 50% --out x -- "by threshold" \
    "this one keeps what 50% says"
refused 2 "${common[@]}" --target-share 25% --fidelity retained --out x -- "frozen or true"
check "nothing was made of what was refused" [ ! -e x ]
run "${bare[@]}" --generations 1 --from paper --target-share 25% --budgets 50% --out paper --json
want_code 0
want_json "d['kept_share'] <= 0.51"
run "${bare[@]}" --generations 1 --from linear --namm-options recent=2,rule=threshold --target-share 25% \
    --budgets 50% --out capped
want_code 0
run inspect capped/best.namm.gguf
want_out "alloc=ada,chunk=0"
check "scores of both signs: $out" [ -z "$(grep -F scale=share <<<"$out")" ]
for share in 0% 101% 25 x% ''; do
    refused 2 "${common[@]}" --target-share "$share" --out x -- "--target-share: a share above 0%"
done
refused 2 evolve --function sphere --target-share 25% -- "--target-share is for NAMMs"
finish 40
