"""What the check_* scripts share: the files of the tree, and C without its comments and strings."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
C_NAMES = (".c", ".h", ".def", ".inc")


def files():
    """Paths, relative to the root, of everything that is or would be committed."""
    command = ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"]
    git = subprocess.run(command, capture_output=True, text=True)
    if git.returncode == 0:
        names = git.stdout.splitlines()
    else:  # an unpacked archive
        paths = [os.path.join(d, f) for d, _, fs in os.walk(ROOT) for f in fs]
        names = [os.path.relpath(p, ROOT) for p in paths]
        names = [n for n in names if not n.startswith("build/")]
    return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))


def c_files(*folders):
    inside = tuple(f + "/" for f in folders)
    return [n for n in files() if n.endswith(C_NAMES) and n.startswith(inside)]


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def code(text, keep_strings=False):
    """The text with comments (and strings) replaced by spaces; line numbers stay."""
    def blank(m):
        if keep_strings and m.group()[0] in "\"'":
            return m.group()
        return re.sub(r"[^\n]", " ", m.group())
    return _TOKEN.sub(blank, text)


def finish(name, problems, checked):
    """Print the problems and leave with the exit code that says whether there were any."""
    for p in problems:
        print(f"{name}: {p}", file=sys.stderr)
    if not problems:
        print(f"{name}: {checked}")
    sys.exit(1 if problems else 0)
