# What `make demo` prints, when the model is in the cache: the full cache finds the planted fact, and policies free memory.
. "$(dirname "$0")/lib.sh"
[ -s "${XDG_CACHE_HOME:-$HOME/.cache}/mneme/models/smollm2.gguf" ] || { echo "smollm2 is not in the cache"; exit 77; }
said=scripts/demo
"$MNEME_SOURCE/scripts/demo" >out 2>err
code=$?
out=$(cat out) err=$(cat err)
want_code 0
want_out "prompt tok/s" "KV before" "peak resident"
rows=$(grep -cE '^(full|[a-z]+[:=,a-z0-9]*@25%) .* [0-9.]+ MB +[0-9.]+ MB +[0-9]+ MB$' out)
n_check=$((n_check + 1))
[ "$rows" = 3 ] || wrong "three rows wanted, $rows found: $out"
n_check=$((n_check + 1))
grep -q '^full .*blue flowerpot' out || wrong "the full cache does not find the fact: $out"
python3 - <<'PY' || wrong "a quarter of the cache is kept under a policy: $out"
import re
for line in open("out"):
    if "@25%" in line:
        full, kept = map(float, re.findall(r"([0-9.]+) MB", line)[:2])
        assert 0.2 < kept / full < 0.3, line
PY
tokens=$(sed -n 's/^\([0-9]*\) prompt tokens.*/\1/p' out)
n_check=$((n_check + 1))
[ "$tokens" -ge 6000 ] && [ "$tokens" -le 8000 ] || wrong "6,000 to 8,000 tokens wanted, $tokens found"
finish 6
