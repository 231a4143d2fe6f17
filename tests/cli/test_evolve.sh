# `mneme evolve --function`: what it reaches, what it prints, that a run which was cut short ends
# like one that was not, and that mistakes get a sentence.
. "$(dirname "$0")/lib.sh"

run evolve --function sphere --runs 3 --seed 1
want_code 0
want_no_err
want_out "sphere of 10 variables, full covariance" "3 of 3 reached 1e-10" "target reached"
run evolve --function ellipsoid --covariance separable --dim 5 --target 1e-3
want_out "ellipsoid of 5 variables, separable covariance" "1 of 1 reached 0.001"
run evolve --function rastrigin --dim 2 --max-evaluations 60 --runs 2
want_code 0
want_out "0 of 2 reached 1e-10; evaluations: median never" "evaluations used up"
run evolve --function rastrigin --dim 4 --restart bipop --seed 3
want_out "1 of 1 reached"
for f in rosenbrock cigar discus different_powers ackley griewank schwefel; do
    run evolve --function $f --dim 3 --restart ipop -q
    want_code 0
    want_out "1 of 1 reached"
done
for kind in low-rank isotropic; do
    run evolve --function sphere --dim 30 --covariance $kind --rank 5
    want_out "$kind covariance" "1 of 1 reached"
done

# One line a generation, then a summary; the same for the same seed but for times.
run evolve --function sphere --dim 3 --json --seed 5
want_code 0
tail -n 1 out >last
want_json 'd["version"] == 1 and d["function"] == "sphere" and d["reached"] == 1' last
want_json 'd["evaluations_median"] == d["runs"][0]["evaluations"] and d["runs"][0]["reached"]' last
head -n 1 out >first
want_json 'list(d) == ["generation", "fidelity", "best", "mean", "sigma", "kept_share", "seconds"]' \
    first
want_json 'd["generation"] == 0 and d["fidelity"] == "function" and d["kept_share"] is None' first
want_json 'd["best"] < d["mean"] and d["sigma"] == 2 and d["seconds"] >= 0' first
timeless() { sed 's/"seconds":[^,}]*//g' "$1"; }
timeless out >once
check "a line for each generation" [ "$(wc -l <out)" -gt 30 ]
run evolve --function sphere --dim 3 --json --seed 5
timeless out >twice
check "the same seed gives the same lines" cmp -s once twice
run evolve --function sphere --dim 3 --json --seed 6
timeless out >other
check "another seed gives others" [ "$(cmp -s once other; echo $?)" = 1 ]

# Killed and resumed: the same summary as in one go.
summary() { tail -n 1 "$1" | sed 's/"seconds":[^,}]*//'; }
common=(evolve --function rosenbrock --dim 12 --restart ipop --noise 1e-12 --handle-noise --json
    --seed 2 --max-evaluations 12000)
run "${common[@]}" --out whole
want_code 0
whole=$(summary out)
for i in $(seq 8); do
    "$MNEME" "${common[@]}" --out killed -q >/dev/null 2>&1 &
    sleep "0.0$((RANDOM % 10))"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
run "${common[@]}" --out killed
want_code 0
check "killed eight times it ends alike: $(summary out)" [ "$(summary out)" = "$whole" ]
check "no temporary files stay after the last one" [ -s killed/evolve.gguf.1 ]

# A checkpoint cut in the middle: the one before is used, and said so.
head -c 3000 whole/evolve.gguf >cut && mv cut whole/evolve.gguf
run "${common[@]}" --out whole
want_code 0
want_err "whole/evolve.gguf: " "the checkpoint before it is used: whole/evolve.gguf.1" "goes on at"
check "and it ends alike" [ "$(summary out)" = "$whole" ]
run inspect whole/evolve.gguf
want_code 0
want_out "mneme-optimizer" "optimizer.state.generation"

refused 2 "${common[@]}" --out whole --sigma 3 -- "--sigma 3 wanted, 2 found"
refused 2 "${common[@]}" --out whole --noise 1 -- "--noise 1 wanted, 1e-12 found"
refused 2 "${common[@]}" --out whole --runs 2 -- "--out keeps one run, --runs 2 found"
for file in whole/evolve.gguf whole/evolve.gguf.1; do echo "no checkpoint" >$file; done
refused 3 "${common[@]}" --out whole -- "the one before is no better"
refused 2 evolve -- "--stage TASK,... or --function NAME wanted"
refused 2 evolve --function spere -- "one of sphere, ellipsoid"
refused 2 evolve --function sphere --population 1 -- "--population: a number from 2"
refused 2 evolve --function sphere --covariance wide -- "one of full, separable, low-rank, isotropic"
refused 2 evolve --function sphere x -- "'x': only options"
refused 3 evolve --function sphere --dim 9000 -- "variables: 1 to 8192 wanted with full"
echo taken >taken
refused 1 evolve --function sphere --out taken -- "taken: a folder wanted"
finish 60
