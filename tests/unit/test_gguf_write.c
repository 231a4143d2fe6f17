/* test_gguf_write.c: what is written is read back, in every type that floats convert to; mistakes
 * and failures leave the old file. */
#include "base/rng.h"
#include "gguf/gguf_key.h"
#include "gguf/gguf_write.h"
#include "tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

enum { WIDE = 512, N_ROW = 700 }; /* 1.4 MB of floats: more than one piece */
static const char *path;
static float *floats;

static int set_up(void **state)
{
    (void)state;
    path = tiny_model_path("write.gguf");
    floats = malloc(sizeof *floats * WIDE * N_ROW);
    if (!floats) return -1;
    for (uint32_t i = 0; i < WIDE * N_ROW; i++) floats[i] = (float)mn__rng_normal(3, 1, i, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(floats);
    return unlink(path);
}

static mn__gguf_writer *new_writer(void)
{
    mn__gguf_writer *w = NULL;
    mn_diag diag;
    assert_int_equal(mn__gguf_writer_new(&w, &diag), MN_OK);
    return w;
}

static void write_and_free(mn__gguf_writer *w)
{
    mn_diag diag = {""};
    if (mn__gguf_write(w, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__gguf_writer_free(w);
}

static mn__gguf *open_written(void)
{
    mn__gguf *g = NULL;
    mn_diag diag = {""};
    if (mn__gguf_open(&g, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    return g;
}

/* Root mean square error over that of the values. */
static double relative_error(const mn__gguf_tensor *t)
{
    double error = 0, power = 0;
    float row[WIDE];
    for (int64_t r = 0; r < t->ne[1]; r++) {
        const char *from = (const char *)t->data + (size_t)r * ggml_row_size(t->type, WIDE);
        const float *wanted = floats + r * WIDE;
        if (t->type == GGML_TYPE_F32) {
            memcpy(row, from, sizeof row);
        } else {
            ggml_get_type_traits(t->type)->to_float(from, row, WIDE);
        }
        for (int i = 0; i < WIDE; i++) {
            error += ((double)row[i] - wanted[i]) * ((double)row[i] - wanted[i]);
            power += (double)wanted[i] * wanted[i];
        }
    }
    return sqrt(error / power);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        enum ggml_type type;
        double most, least; /* error */
    } cases[] = {
        {GGML_TYPE_F32, 0, 0},          {GGML_TYPE_F16, 1e-3, 1e-5},  {GGML_TYPE_BF16, 5e-3, 1e-4},
        {GGML_TYPE_Q8_0, 0.02, 1e-4},   {GGML_TYPE_Q6_K, 0.04, 1e-3}, {GGML_TYPE_Q5_K, 0.06, 1e-3},
        {GGML_TYPE_Q4_K, 0.12, 1e-2},   {GGML_TYPE_Q4_0, 0.15, 1e-2}, {GGML_TYPE_Q4_1, 0.12, 1e-2},
        {GGML_TYPE_IQ4_NL, 0.12, 1e-2}, {GGML_TYPE_Q2_K, 0.45, 1e-2},
    };
    const size_t n = sizeof cases / sizeof *cases;
    mn__gguf_writer *w = new_writer();
    for (size_t i = 0; i < n; i++) {
        const int64_t ne[4] = {WIDE, i < 3 ? N_ROW : 20, 1, 1};
        mn__gguf_add_tensor(w, ggml_type_name(cases[i].type), cases[i].type, ne,
                            &(mn__gguf_source){.floats = floats});
    }
    write_and_free(w);
    mn__gguf *g = open_written();
    assert_int_equal(mn__gguf_n_tensor(g), n);
    for (size_t i = 0; i < n; i++) {
        const mn__gguf_tensor *t = mn__gguf_find_tensor(g, ggml_type_name(cases[i].type));
        assert_non_null(t);
        assert_int_equal(t->type, cases[i].type);
        double error = relative_error(t);
        if (error > cases[i].most || error < cases[i].least)
            fail_msg("%s: error %g", t->name, error);
    }
    mn__gguf_close(g);
}

struct recipe {
    int64_t next_row;
    mn_status st;
};

static mn_status fill_floats(void *ctx, int64_t row, int64_t n_row, float *out, mn_diag *diag)
{
    struct recipe *r = ctx;
    (void)diag;
    assert_int_equal(row, r->next_row); /* in order, none left out */
    r->next_row += n_row;
    memcpy(out, floats + row * WIDE, (size_t)n_row * WIDE * sizeof *out);
    return MN_OK;
}

static mn_status fill_bytes(void *ctx, int64_t row, int64_t n_row, void *out, mn_diag *diag)
{
    struct recipe *r = ctx;
    r->next_row += n_row;
    for (int64_t i = 0; i < n_row * WIDE; i++)
        ((int8_t *)out)[i] = (int8_t)((row * WIDE + i) % 127);
    if (r->st != MN_OK) snprintf(diag->text, sizeof diag->text, "no more rows");
    return r->st;
}

static void test_sources_agree(void **state)
{
    (void)state;
    const int64_t ne[4] = {WIDE, N_ROW / 7, 7, 1};
    struct recipe a = {0}, b = {0};
    mn__gguf_writer *w = new_writer();
    mn__gguf_add_tensor(w, "bytes", GGML_TYPE_F32, ne, &(mn__gguf_source){.bytes = floats});
    mn__gguf_add_tensor(w, "floats", GGML_TYPE_Q8_0, ne, &(mn__gguf_source){.floats = floats});
    mn__gguf_add_tensor(w, "fill", GGML_TYPE_Q8_0, ne,
                        &(mn__gguf_source){.fill_floats = fill_floats, .ctx = &a});
    mn__gguf_add_tensor(w, "raw", GGML_TYPE_I8, ne,
                        &(mn__gguf_source){.fill_bytes = fill_bytes, .ctx = &b});
    write_and_free(w);
    assert_int_equal(a.next_row, N_ROW);
    assert_int_equal(b.next_row, N_ROW);
    mn__gguf *g = open_written();
    const mn__gguf_tensor *bytes = mn__gguf_find_tensor(g, "bytes"),
                          *raw = mn__gguf_find_tensor(g, "raw");
    const mn__gguf_tensor *one = mn__gguf_find_tensor(g, "floats"),
                          *two = mn__gguf_find_tensor(g, "fill");
    assert_memory_equal(bytes->data, floats, sizeof *floats * WIDE * N_ROW);
    assert_int_equal(one->n_bytes, two->n_bytes);
    assert_memory_equal(one->data, two->data, one->n_bytes);
    for (size_t i = 0; i < raw->n_bytes; i++)
        assert_int_equal(((const int8_t *)raw->data)[i], i % 127);
    assert_int_equal(two->ne[2], 7);
    mn__gguf_close(g);
}

static void test_keys_of_another_file(void **state)
{
    (void)state;
    const char *const tokens[] = {"<s>", "a", "b"};
    mn__gguf_writer *w = new_writer();
    mn__gguf_set_str(w, "general.architecture", "llama");
    mn__gguf_set_strs(w, "tokenizer.ggml.tokens", tokens, 3);
    mn__gguf_set_u32(w, "kept", 1);
    mn__gguf_set_u32(w, "kept", 2); /* replaces */
    write_and_free(w);
    mn__gguf *from = open_written();
    w = new_writer();
    mn__gguf_set_keys_of(w, from);
    mn__gguf_set_str(w, "general.architecture", "namm");
    write_and_free(w);
    mn__gguf_close(from);
    mn__gguf *g = open_written();
    const char *architecture = NULL;
    uint32_t kept = 0;
    mn__gguf_array a;
    mn_diag diag;
    assert_int_equal(mn__gguf_n_key(g), 3);
    assert_int_equal(mn__gguf_need_str(g, "general.architecture", &architecture, &diag), MN_OK);
    assert_string_equal(architecture, "namm");
    assert_int_equal(mn__gguf_need_u32(g, "kept", &kept, &diag), MN_OK);
    assert_int_equal(kept, 2);
    assert_int_equal(mn__gguf_need_array(g, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, &a, &diag),
                     MN_OK);
    assert_string_equal(mn__gguf_array_str(g, &a, 2), "b");
    mn__gguf_close(g);
}

/* A file laid out by 64 may lend its keys to one that is laid out by 32. */
static void test_alignment_is_not_copied(void **state)
{
    (void)state;
    uint8_t bytes[24 + 8 + 17 + 8] = {'G', 'G', 'U', 'F', 3, [16] = 1, [24] = 17};
    memcpy(bytes + 32, "general.alignment", 17);
    bytes[49] = GGUF_TYPE_UINT32;
    bytes[53] = 64;
    mn__gguf *from;
    mn_diag diag = {""};
    if (mn__gguf_open_memory(&from, bytes, sizeof bytes, "aligned", &diag) != MN_OK)
        fail_msg("%s", diag.text);
    const int64_t ne[4] = {3, 1, 1, 1};
    mn__gguf_writer *w = new_writer();
    mn__gguf_set_keys_of(w, from);
    mn__gguf_add_tensor(w, "a", GGML_TYPE_F32, ne, &(mn__gguf_source){.floats = floats});
    mn__gguf_add_tensor(w, "b", GGML_TYPE_F32, ne, &(mn__gguf_source){.floats = floats + 3});
    write_and_free(w);
    mn__gguf_close(from);
    mn__gguf *g = open_written();
    assert_memory_equal(mn__gguf_find_tensor(g, "b")->data, floats + 3, 12);
    mn__gguf_close(g);
}

static void refuse(mn__gguf_writer *w, mn_status wanted, const char *word)
{
    mn_diag diag = {""};
    assert_int_equal(mn__gguf_write(w, path, &diag), wanted);
    if (!strstr(diag.text, word) || strncmp(diag.text, path, strlen(path)) != 0)
        fail_msg("'%s' wanted in: %s", word, diag.text);
    mn__gguf_writer_free(w);
}

static void refuse_tensor(const char *name, enum ggml_type type, const int64_t ne[4],
                          mn__gguf_source s, const char *word)
{
    mn__gguf_writer *w = new_writer();
    const int64_t one[4] = {1, 1, 1, 1};
    mn__gguf_add_tensor(w, "taken", GGML_TYPE_F32, one, &(mn__gguf_source){.floats = floats});
    mn__gguf_add_tensor(w, name, type, ne, &s);
    mn__gguf_set_u32(w, "later", 1); /* the first mistake is the one that is told */
    refuse(w, type == GGML_TYPE_F32 && ne[0] != 32 ? MN_ERANGE : MN_EINPUT, word);
}

static void test_mistakes(void **state)
{
    (void)state;
    const mn__gguf_source s = {.floats = floats}, none = {0},
                          both = {.floats = floats, .bytes = floats};
    const int64_t ne[4] = {32, 1, 1, 1}, odd[4] = {33, 1, 1, 1}, zero[4] = {0, 1, 1, 1};
    const int64_t vast[4] = {(int64_t)1 << 40, (int64_t)1 << 30, 1, 1};
    mn__gguf_writer *w = new_writer();
    mn__gguf_set_u32(w, "", 1);
    refuse(w, MN_EINPUT, "a key without a name");
    w = new_writer();
    mn__gguf_set_str(w, "general.alignment", "wide");
    refuse(w, MN_EINPUT, "general.alignment");
    refuse_tensor("taken", GGML_TYPE_F32, ne, s, "'taken' appears twice");
    refuse_tensor("", GGML_TYPE_F32, ne, s, "a name of 1 to 63 bytes");
    refuse_tensor("t", (enum ggml_type)4, ne, s, "unknown type 4");
    refuse_tensor("t", GGML_TYPE_COUNT, ne, s, "unknown type");
    refuse_tensor("t", GGML_TYPE_Q4_0, odd, s, "multiples of 32 wanted for q4_0, 33 found");
    refuse_tensor("t", GGML_TYPE_F32, zero, s, "dimension 0 is 0");
    refuse_tensor("t", GGML_TYPE_F32, vast, s, "multiply too high");
    refuse_tensor("t", GGML_TYPE_F32, ne, none, "exactly one source");
    refuse_tensor("t", GGML_TYPE_F32, ne, both, "exactly one source");
    refuse_tensor("t", GGML_TYPE_I32, ne, s, "cannot be converted to i32");
    refuse_tensor("t", GGML_TYPE_Q8_1, ne, s, "cannot be converted to q8_1");
}

static void expect_old_file(void)
{
    mn__gguf *g = open_written();
    assert_true(mn__gguf_has(g, "old"));
    mn__gguf_close(g);
}

static void test_failures_keep_the_old_file(void **state)
{
    (void)state;
    const int64_t ne[4] = {WIDE, N_ROW, 1, 1};
    struct recipe r = {.st = MN_ECANCEL};
    mn__gguf_writer *w = new_writer();
    mn__gguf_set_bool(w, "old", true);
    write_and_free(w);
    w = new_writer();
    mn__gguf_add_tensor(w, "t", GGML_TYPE_I8, ne,
                        &(mn__gguf_source){.fill_bytes = fill_bytes, .ctx = &r});
    refuse(w, MN_ECANCEL, "tensor 't': no more rows");
    expect_old_file();
    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){65536, before.rlim_max}; /* as a full disk would */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    w = new_writer();
    mn__gguf_add_tensor(w, "t", GGML_TYPE_F32, ne, &(mn__gguf_source){.floats = floats});
    refuse(w, MN_EIO, "cannot write");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect_old_file();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_sources_agree),
        cmocka_unit_test(test_keys_of_another_file),
        cmocka_unit_test(test_alignment_is_not_copied),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_failures_keep_the_old_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
