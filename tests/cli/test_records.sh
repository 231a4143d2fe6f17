# bench/records.py: tables name files, differences have their signs, what was published is shown.
. "$(dirname "$0")/lib.sh"
unset MNEME_DATA
said="bench/records.py"
check "tables" python3 - "$MNEME_SOURCE" <<'PY'
import contextlib, io, json, os, sys
source = sys.argv[1]
sys.path.insert(0, os.path.join(source, "bench"))
import records

# No placeholder is left, and options stay with their file.
assert records.with_files("READING:chunk=512,NAMM,h2o", "x.gguf") == \
    "namm:file=smollm2-reading,chunk=512,namm:file=x.gguf,h2o"
assert records.with_files("NAMM:chunk=512,h2o", None) == "namm:chunk=512,h2o"
args = type("Args", (), dict(mneme="mneme", model="m", limit=2, write=None, namm=None, jobs=1, work="w"))
for name in records.TABLES:
    command = records.command_of(name, args)
    assert command.count("-m") == 1 and not any("NAMM" in c or "READING" in c for c in command), command

# Each NAMM less each other policy, with the sign of that.
a, b, c = "namm:file=a#1", "namm:file=b#2", "h2o"
row = lambda p, kl: dict(policy=p, budget="25%", n=9, kl=kl, kl_ci95=[kl, kl], nll=kl, nll_change=kl)
pair = lambda x, y, d: dict(budget="25%", measure="kl", a=x, b=y, difference=d, ci95=[d - .1, d + .1])
report = dict(runs=[dict(evict="prompt")], summary=[row(c, .5), row(a, .25), row(b, 1.)],
              pairs=[pair(c, a, .25), pair(a, b, -.75), pair(b, c, .5)])
with contextlib.redirect_stdout(io.StringIO()) as said:
    records.show(report)
lines = said.getvalue().splitlines()
assert lines[0] == "9 prompts, 25% kept, prompt"
assert lines[4].startswith("| `namm:file=a#1` | 0.250"), lines
assert "-0.250 [-0.350, -0.150] | +0.500 [+0.400, +0.600]" in lines[5], lines[5]
assert "| -0.750 [-0.850, -0.650] |" in lines[6], lines[6]

# Scores beside the full cache's on the same prompts, best first; a policy that misses one is left out.
scores = {(None, "full"): {1: 1., 2: 0.}, ("25%", "a#1,chunk=512"): {1: .5, 2: .25}, ("25%", "b"): {1: 1.}}
with contextlib.redirect_stdout(io.StringIO()) as said:
    records.show_scores(scores)
lines = said.getvalue().splitlines()
assert lines[4:] == ["| `full` |  | 0.500 | 1.00 | |",
                     "| `a,chunk=512` | 25% | 0.375 | 0.75 | -0.125 [-0.500, +0.250] |", ""], lines
low, high = records.interval([i / 10 for i in range(100)])
assert 4.3 < low < 4.5 and 5.4 < high < 5.6, (low, high)

with contextlib.redirect_stdout(io.StringIO()) as said:
    for name in os.listdir(os.path.join(source, "bench", "results")):
        if name in records.TABLES:
            records.show(json.load(open(os.path.join(source, "bench", "results", name, "report.json"))))
assert said.getvalue().count("prompts, ") >= 8 and "nan" not in said.getvalue()
PY
check "an unknown table is told of" sh -c "! python3 '$MNEME_SOURCE/bench/records.py' namm-promt 2>said && grep -q \"no table 'namm-promt'\" said"
check "a file that no policy of the table asks for is refused" \
    sh -c "! MNEME_DATA=. python3 '$MNEME_SOURCE/bench/records.py' namm-200k --namm x 2>said && grep -q 'namm-200k' said"
finish 2
