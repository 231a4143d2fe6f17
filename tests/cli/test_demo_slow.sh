# What `make demo` prints, when the model is in the cache: the full cache finds the planted fact,
# and policies free memory.
. "$(dirname "$0")/lib.sh"
smollm2_or_skip
said=scripts/demo
"$MNEME_SOURCE/scripts/demo" >out 2>err
code=$?
out=$(cat out) err=$(cat err)
want_code 0
want_out "prompt tok/s" "KV before" "peak resident"
rows=$(grep -cE '^(full|[a-z]+[:=,a-z0-9]*@25%) .* [0-9.]+ MB +[0-9.]+ MB +[0-9]+ MB$' out)
check "three rows wanted, $rows found: $out" [ "$rows" = 3 ]
check "the full cache does not find the fact: $out" grep -q '^full .*blue flowerpot' out
python3 - <<'PY' || wrong "a quarter of the cache is kept under a policy: $out"
import re
for line in open("out"):
    if "@25%" in line:
        full, kept = map(float, re.findall(r"([0-9.]+) MB", line)[:2])
        assert 0.2 < kept / full < 0.3, line
PY
tokens=$(sed -n 's/^\([0-9]*\) prompt tokens.*/\1/p' out)
check "6,000 to 8,000 tokens wanted, $tokens found" [ "$tokens" -ge 6000 ]
check "6,000 to 8,000 tokens wanted, $tokens found" [ "$tokens" -le 8000 ]
finish 6
