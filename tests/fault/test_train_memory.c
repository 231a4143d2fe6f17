/* test_train_memory.c: a training for which memory ends at any allocation says so, and goes on to
 * the same loss once there is memory again. */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mneme/mem.h"
#include "mneme/train.h"
#include "tiny_model.h"

enum { N_STEP = 2, RESUMED = 8 /* every so many are gone on with */ };

static long n_left;
static char folder[4096], corpus[4200], tokenizer[4200];

/* One allocation fails, those behind it do not: that nothing came of it must not be forgotten. */
static void *take(size_t bytes, void *ctx)
{
    void *p = NULL;
    (void)ctx;
    return n_left-- == 0 || posix_memalign(&p, 64, bytes) ? NULL : p;
}

static void give(void *p, void *ctx)
{
    (void)ctx;
    free(p);
}

static mn_status train(mn_train_result *r, mn_diag *diag)
{
    const char *const set[] = {corpus,
                               tokenizer,
                               "data.valid_share=0.3",
                               "model.width=8",
                               "model.blocks=1",
                               "model.heads=1",
                               "model.arch=pkm",
                               "memory.keys=4",
                               "memory.keep=2",
                               "train.threads=1",
                               "train.batch=1",
                               "train.length=8",
                               "train.steps=2",
                               "report.every=2",
                               "report.save_every=2",
                               "report.valid_rows=2",
                               "report.prompt=a",
                               "report.sample_tokens=2"};
    mn_train_params p;
    mn_train_params_default(&p);
    p.set = set;
    p.n_set = sizeof set / sizeof *set;
    p.dir = folder;
    return mn_train_run(&p, r, diag);
}

static void clear(void)
{
    char path[8192];
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(folder);
}

static void make_files(void)
{
    tiny_model_params p;
    tiny_model_default(&p, "llama");
    snprintf(folder, sizeof folder, "%s", tiny_model_path("train-memory"));
    const char *text = tiny_model_path("corpus.txt"), *model = tiny_model_path("tokens.gguf");
    assert_true(tiny_model_write(model, &p));
    FILE *f = fopen(text, "wb");
    assert_non_null(f);
    for (int i = 0; i < 12; i++) fprintf(f, "%d words of a text\n<|endoftext|>\n", i);
    assert_int_equal(fclose(f), 0);
    snprintf(corpus, sizeof corpus, "data.corpus=%s", text);
    snprintf(tokenizer, sizeof tokenizer, "data.tokenizer=%s", model);
}

static void test_allocations(void **state)
{
    mn_diag diag = {""};
    mn_train_result whole, r;
    (void)state;
    make_files();
    if (train(&whole, &diag) != MN_OK) fail_msg("%s", diag.text);
    clear();
    n_left = LONG_MAX / 2;
    assert_int_equal(train(&r, &diag), MN_OK);
    const long n = LONG_MAX / 2 - n_left;
    long n_failed = 0;
    clear();
    for (long at = 0; at < n; at++) {
        diag.text[0] = '\0';
        n_left = at;
        const mn_status st = train(&r, &diag);
        n_left = LONG_MAX / 2;
        if (st != MN_OK && st != MN_ENOMEM) fail_msg("%ld: %d %s", at, st, diag.text);
        if (st == MN_ENOMEM) assert_true(*diag.text);
        n_failed += st == MN_ENOMEM;
        if (at % RESUMED == 0) {
            if (train(&r, &diag) != MN_OK) fail_msg("%ld: %s", at, diag.text);
            assert_int_equal(r.step, N_STEP);
            if (r.n_new) assert_true(r.loss == whole.loss && r.valid_loss == whole.valid_loss);
        }
        clear();
    }
    assert_true(n_failed > n / 2);
}

int main(void)
{
    n_left = LONG_MAX / 2;
    mn_mem_set_allocator(take, give, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
