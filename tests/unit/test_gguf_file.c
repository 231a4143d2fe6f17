/* test_gguf_file.c: opening maps the file, finds tensors by name, and gives everything back;
 * failing allocations and bad files leave nothing behind. */
#include "gguf/gguf_file.h"
#include "gguf/gguf_write.h"
#include "mneme/mem.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { N_TENSOR = 100 };
static const char *path;

static int make_file(void **state)
{
    (void)state;
    mn__gguf_writer *w;
    mn_diag diag;
    float values[N_TENSOR][8];
    path = tiny_model_path("file.gguf");
    if (mn__gguf_writer_new(&w, &diag) != MN_OK) return -1;
    mn__gguf_set_str(w, "general.architecture", "test");
    for (int i = 0; i < N_TENSOR; i++) {
        char name[32];
        const int64_t ne[4] = {1 + i % 8, 1, 1, 1};
        for (int j = 0; j < 8; j++) values[i][j] = (float)(i * 10 + j);
        snprintf(name, sizeof name, "blk.%d.weight", i);
        mn__gguf_add_tensor(w, name, GGML_TYPE_F32, ne, &(mn__gguf_source){.floats = values[i]});
    }
    mn_status st = mn__gguf_write(w, path, &diag);
    mn__gguf_writer_free(w);
    return st == MN_OK ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static mn_mem_stats stats(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s;
}

static void test_open(void **state)
{
    (void)state;
    mn__gguf *g;
    mn_diag diag;
    mn_mem_stats before = stats();
    assert_int_equal(mn__gguf_open(&g, path, &diag), MN_OK);
    assert_string_equal(mn__gguf_name(g), path);
    assert_int_equal(mn__gguf_n_tensor(g), N_TENSOR);
    assert_true(mn__gguf_size(g) > N_TENSOR * 32);
    assert_int_equal(stats().now[MN_MEM_WEIGHTS], before.now[MN_MEM_WEIGHTS] + mn__gguf_size(g));
    assert_int_equal(gguf_get_n_kv(mn__gguf_get_context(g)), 1);
    for (int i = 0; i < N_TENSOR; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.weight", i);
        const mn__gguf_tensor *t = mn__gguf_find_tensor(g, name);
        assert_non_null(t);
        assert_ptr_equal(t, mn__gguf_get_tensor(g, (size_t)i));
        assert_int_equal(t->type, GGML_TYPE_F32);
        assert_int_equal(t->ne[0], 1 + i % 8);
        assert_int_equal(t->ne[3], 1);
        assert_int_equal(t->n_bytes, (size_t)t->ne[0] * 4);
        assert_int_equal((uintptr_t)t->data % 32, 0);
        assert_true(((const float *)t->data)[i % 8] == (float)(i * 10 + i % 8));
    }
    assert_null(mn__gguf_find_tensor(g, "blk.100.weight"));
    assert_null(mn__gguf_find_tensor(g, ""));
    mn__gguf_close(g);
    mn__gguf_close(NULL);
    assert_int_equal(stats().total_now, before.total_now);
}

static void test_a_file_without_tensors(void **state)
{
    (void)state;
    const uint8_t bytes[24] = {'G', 'G', 'U', 'F', 3};
    mn__gguf *g;
    mn_diag diag;
    assert_int_equal(mn__gguf_open_memory(&g, bytes, sizeof bytes, "bare", &diag), MN_OK);
    assert_int_equal(mn__gguf_n_tensor(g), 0);
    assert_null(mn__gguf_find_tensor(g, "any"));
    mn__gguf_close(g);
}

static void refuse(const char *name, mn_status wanted, const char *word)
{
    mn__gguf *g = (mn__gguf *)&g;
    mn_diag diag = {""};
    size_t before = stats().total_now;
    assert_int_equal(mn__gguf_open(&g, name, &diag), wanted);
    assert_null(g);
    assert_int_equal(stats().total_now, before);
    assert_int_equal(strncmp(diag.text, name, strlen(name)), 0);
    assert_null(strstr(diag.text + 1, name)); /* named once */
    assert_non_null(strstr(diag.text, word));
}

static void test_bad_files(void **state)
{
    (void)state;
    char bad[300];
    snprintf(bad, sizeof bad, "%s.bad", path);
    refuse(bad, MN_EIO, "No such file");
    FILE *file = fopen(bad, "wb");
    assert_non_null(file);
    fputs("#!/bin/sh\necho not a model\n", file);
    fclose(file);
    refuse(bad, MN_EINPUT, "not a GGUF file");
    file = fopen(bad, "wb");
    assert_non_null(file);
    fclose(file);
    refuse(bad, MN_EINPUT, "empty");
    unlink(bad);
    refuse(".", MN_EINPUT, "directory");
}

static int fail_at, n_alloc;

static void *failing_alloc(size_t bytes, void *ctx)
{
    void *p;
    (void)ctx;
    if (++n_alloc == fail_at) return NULL;
    return posix_memalign(&p, 64, bytes) == 0 ? p : NULL;
}

static void release(void *p, void *ctx)
{
    (void)ctx;
    free(p);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    mn__gguf *g = NULL;
    size_t before = stats().total_now;
    mn_mem_set_allocator(failing_alloc, release, NULL);
    mn_status st = MN_ENOMEM;
    for (fail_at = 1; st != MN_OK && fail_at < 50; fail_at++) {
        mn_diag diag = {""};
        n_alloc = 0;
        st = mn__gguf_open(&g, path, &diag);
        if (st == MN_OK) break;
        assert_int_equal(st, MN_ENOMEM);
        assert_null(g);
        assert_non_null(strstr(diag.text, "out of memory"));
        assert_int_equal(stats().total_now, before);
    }
    mn__gguf_close(g);
    mn_mem_set_allocator(NULL, NULL, NULL);
    assert_int_equal(st, MN_OK);
    assert_true(fail_at > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_a_file_without_tensors),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
