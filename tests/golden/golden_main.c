/* golden_main.c: mneme-golden DIR...: replays every golden file below the folders through the
 * library. A file says what it holds in its field `kind`; kinds.def names what can be replayed. The
 * last line is "N passed, M failed"; exit 1 when a file failed or none was found, 2 usage. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "golden/golden.h"

typedef bool (*replay_fn)(golden *g);
static const struct {
    const char *kind;
    replay_fn replay;
} kinds[] = {
#define MN_GOLDEN(kind) {#kind, golden_##kind},
#include "golden/kinds.def"
#undef MN_GOLDEN
};

enum { FILE_MAX = 4096 };
static char *files[FILE_MAX];
static size_t n_file;
static bool too_many;

static int note(const char *path, const struct stat *st, int type, struct FTW *at)
{
    size_t n = strlen(path);
    (void)st;
    (void)at;
    if (type != FTW_F || n < 5 || strcmp(path + n - 5, ".json") != 0) return 0;
    too_many = n_file == FILE_MAX;
    if (too_many) return 1;
    files[n_file] = strdup(path);
    return files[n_file++] ? 0 : 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool replay(golden *g)
{
    json_error_t error;
    const char *kind = NULL;
    g->root = json_load_file(g->path, JSON_REJECT_DUPLICATES, &error);
    if (!g->root) return golden_fail(g, "line %d: %s", error.line, error.text);
    if (!golden_text(g, g->root, "kind", &kind)) return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0) return kinds[i].replay(g);
    return golden_fail(g, "unknown kind `%s`", kind);
}

#define USAGE "Usage: mneme-golden DIR...\n"

static void help(void)
{
    printf(USAGE
           "\n"
           "Replays every golden file (*.json) below the folders through the library and says "
           "of each that differs where.\nThe last line is \"N passed, M failed\". Exit: 0 all "
           "passed, 1 one failed or none was found, 2 usage.\n\nKinds of files:");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        printf("%s%s", i % 6 ? " " : "\n  ", kinds[i].kind);
    printf("\n");
}

/* 0: go on. */
static int usage(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-') {
            fprintf(stderr, "mneme-golden: unknown option %s\n" USAGE, argv[i]);
            return 2;
        }
    if (argc < 2) fprintf(stderr, USAGE);
    return argc < 2 ? 2 : 0;
}

int main(int argc, char **argv)
{
    size_t n_passed = 0;
    bool bad = false;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        help();
        return 0;
    }
    if (usage(argc, argv)) return 2;
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], note, 16, FTW_PHYS) != 0) {
            fprintf(stderr, "mneme-golden: %s: %s\n", argv[i],
                    too_many ? "too many files" : "cannot be read");
            bad = true;
        }
    qsort(files, n_file, sizeof *files, by_name);
    for (size_t i = 0; i < n_file; i++) {
        golden g = {.path = files[i]};
        if (replay(&g))
            n_passed++;
        else
            printf("%s: %s\n", files[i], *g.why ? g.why : "failed without a sentence");
        json_decref(g.root);
        free(files[i]);
    }
    if (!bad && !n_file) fprintf(stderr, "mneme-golden: no golden file (*.json) there\n");
    printf("%zu passed, %zu failed\n", n_passed, n_file - n_passed);
    return bad || !n_file || n_passed < n_file;
}
