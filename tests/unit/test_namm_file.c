/* test_namm_file.c: a NAMM goes to a file and comes back with the same bits; each way in which a
 * file can be wrong has its sentence. */
#include "policy/namm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "tiny_model.h"

enum { E = 25, PARAMS = 4172, WIDE = 2000 };

static const char *path;
static float param[PARAMS + 1], mean[WIDE], deviation[E + 1];
static mn__namm_note notes[] = {{(char *)(uintptr_t) "base", (char *)(uintptr_t) "SmolLM2-135M"},
                                {(char *)(uintptr_t) "seed", (char *)(uintptr_t) ""}};

static int set_up(void **state)
{
    (void)state;
    path = tiny_model_path("x.namm.gguf");
    for (uint32_t i = 0; i < PARAMS; i++) param[i] = (float)mn__rng_normal(4, 1, i, 0);
    for (uint32_t i = 0; i < E; i++) {
        mean[i] = (float)mn__rng_normal(4, 2, i, 0);
        deviation[i] = (float)mn__rng_uniform(4, 3, i, 0) + 1e-7f;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

/* The paper's. */
static mn__namm paper(void)
{
    return (mn__namm){.spectrum = {.window = 32, .hop = 16, .gamma = 0.99},
                      .update = 512,
                      .stride = 1,
                      .age_dim = 8,
                      .age_base = 50000,
                      .n_group = 2,
                      .group = {"age", "spectrum"},
                      .net = {.head = MN__NAMM_BAM,
                              .n_in = E,
                              .hidden = 32,
                              .n_head = 1,
                              .bias = true,
                              .mult = true},
                      .param = param,
                      .mean = mean,
                      .deviation = deviation,
                      .options = (char *)(uintptr_t) "alloc=uniform,recent=16",
                      .n_note = 2,
                      .note = notes};
}

static size_t heap(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.total_now;
}

static void same(const mn__namm *a, const mn__namm *b)
{
    assert_memory_equal(&a->spectrum.gamma, &b->spectrum.gamma, sizeof(double));
    assert_true(a->spectrum.window == b->spectrum.window && a->spectrum.hop == b->spectrum.hop);
    assert_true(a->spectrum.by_length == b->spectrum.by_length &&
                a->spectrum.log == b->spectrum.log &&
                a->spectrum.corrected == b->spectrum.corrected);
    assert_true(a->update == b->update && a->stride == b->stride);
    assert_true(a->age_dim == b->age_dim && a->age_base == b->age_base);
    assert_int_equal(a->n_group, b->n_group);
    for (size_t i = 0; i < a->n_group; i++) assert_string_equal(a->group[i], b->group[i]);
    const mn__namm_net *x = &a->net, *y = &b->net;
    assert_true(x->head == y->head && x->n_in == y->n_in && x->hidden == y->hidden);
    assert_true(x->n_head == y->n_head && x->depth == y->depth && x->n_part == y->n_part);
    assert_true(x->bias == y->bias);
    assert_true(x->mult == y->mult && x->residual == y->residual &&
                x->residual_first == y->residual_first);
    assert_memory_equal(a->param, b->param, mn__namm_net_params(x) * sizeof(float));
    assert_memory_equal(a->mean, b->mean, x->n_in * sizeof(float));
    assert_memory_equal(a->deviation, b->deviation, x->n_in * sizeof(float));
    assert_string_equal(a->options, b->options);
    assert_int_equal(a->n_note, b->n_note);
    for (size_t i = 0; i < a->n_note; i++) {
        assert_string_equal(a->note[i].key, b->note[i].key);
        assert_string_equal(a->note[i].value, b->note[i].value);
    }
}

static void round_trip(const mn__namm *m)
{
    mn__namm *back = NULL;
    mn_diag diag = {""};
    size_t before = heap();
    if (mn__namm_write(m, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (mn__namm_read(&back, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    same(m, back);
    mn__namm_free(back);
    assert_int_equal(heap(), before);
}

/* The first n of those that have one column and allow any stride. */
static void use_columns(mn__namm *m, size_t n)
{
    static const char *const names[] = {
        "knorm",       "vnorm", "onorm",  "kdiff", "vdiff", "observed", "observed.s",
        "observed.sp", "w16",   "w16.p",  "w16.s", "w16.g", "w16.sp",   "w16.gp",
        "w64",         "w64.s", "w64.sp", "row",   "row.p", "row.g",    "row.gp"};
    assert_true(n <= sizeof names / sizeof *names);
    for (size_t i = 0; i < n; i++) snprintf(m->group[i], MN__NAMM_NAME, "%s", names[i]);
    m->n_group = n;
    m->net.n_in = n;
}

static void test_round_trip(void **state)
{
    (void)state;
    mn__namm m = paper();
    round_trip(&m);
    m.spectrum = (mn__namm_spectrum){.window = 2 * (E - 1),
                                     .hop = 2,
                                     .gamma = 1 - 1e-7,
                                     .by_length = true,
                                     .log = true,
                                     .corrected = true};
    m.update = 6;
    m.age_dim = 0;
    m.n_group = 1;
    snprintf(m.group[0], MN__NAMM_NAME, "spectrum");
    m.n_note = 0;
    m.options = (char *)(uintptr_t) "";
    param[7] = NAN; /* the policy's to deal with */
    m.net = (mn__namm_net){.head = MN__NAMM_LINEAR, .n_in = E};
    round_trip(&m);
    m.net = (mn__namm_net){.head = MN__NAMM_MLP, .n_in = E, .depth = 1};
    round_trip(&m);
    m.net = (mn__namm_net){.head = MN__NAMM_MLP,
                           .n_in = E,
                           .hidden = E,
                           .depth = 3,
                           .bias = true,
                           .residual = true,
                           .residual_first = true};
    round_trip(&m);
    m.stride = 8;
    m.net = (mn__namm_net){.head = MN__NAMM_MLP, .hidden = 30, .depth = 2};
    use_columns(&m, 1);
    round_trip(&m);
    m.net = (mn__namm_net){.head = MN__NAMM_BAM, .hidden = 12, .n_head = 4};
    use_columns(&m, 9);
    round_trip(&m);
    m.net = (mn__namm_net){.head = MN__NAMM_MIX, .n_part = 16};
    use_columns(&m, 21);
    round_trip(&m);
    param[7] = 0;
}

/* ---- files that are wrong ---- */

/* What differs from the paper's file: a key with another value, or missing. */
typedef struct change {
    const char *key;
    enum { GONE, SIZE, REAL, WORD, WORDS } to;
    double x;
    const char *word;
} change;

static bool is_gone(const change *c, const char *key)
{
    return c->key && strcmp(c->key, key) == 0;
}

static void put_key(mn__gguf_writer *w, const change *c, const char *key, double x, bool real)
{
    if (is_gone(c, key)) return;
    if (real)
        mn__gguf_set_f64(w, key, x);
    else
        mn__gguf_set_u32(w, key, (uint32_t)x);
}

static void put_changed(mn__gguf_writer *w, const change *c)
{
    const char *many[40] = {c->word, c->word};
    for (int i = 2; i < 40; i++) many[i] = "more";
    if (c->to == SIZE) mn__gguf_set_u32(w, c->key, (uint32_t)c->x);
    if (c->to == REAL) mn__gguf_set_f64(w, c->key, c->x);
    if (c->to == WORD) mn__gguf_set_str(w, c->key, c->word);
    if (c->to == WORDS) mn__gguf_set_strs(w, c->key, many, (size_t)c->x);
}

/* Tensors by size: 0 for none; rows for a second dimension. */
typedef struct tensors {
    int64_t param, mean, deviation, rows;
    enum ggml_type type;
} tensors;

static void put_tensor(mn__gguf_writer *w, const char *name, const float *x, int64_t n,
                       const tensors *t)
{
    static const float zeros[2 * PARAMS];
    const int64_t ne[4] = {n, t->rows, 1, 1};
    if (n)
        mn__gguf_add_tensor(w, name, t->type, ne,
                            &(mn__gguf_source){.floats = t->rows > 1 ? zeros : x});
}

static void write_changed(const change *c, const tensors *t)
{
    static const char *const group[] = {"age", "spectrum"};
    mn__gguf_writer *w = NULL;
    mn_diag diag = {""};
    assert_int_equal(mn__gguf_writer_new(&w, &diag), MN_OK);
    if (!is_gone(c, "general.architecture")) mn__gguf_set_str(w, "general.architecture", "namm");
    put_key(w, c, "namm.version", 1, false);
    put_key(w, c, "namm.window", 32, false);
    put_key(w, c, "namm.hop", 16, false);
    put_key(w, c, "namm.gamma", 0.99, true);
    put_key(w, c, "namm.update", 512, false);
    put_key(w, c, "namm.age_dim", 8, false);
    put_key(w, c, "namm.age_base", 50000, true);
    for (int i = 0; i < 5; i++) {
        static const char *const flags[] = {"namm.by_length", "namm.log", "namm.corrected",
                                            "namm.bias", "namm.mult"};
        if (!is_gone(c, flags[i])) mn__gguf_set_bool(w, flags[i], i >= 3);
    }
    if (!is_gone(c, "namm.inputs")) mn__gguf_set_strs(w, "namm.inputs", group, 2);
    if (!is_gone(c, "namm.head")) mn__gguf_set_str(w, "namm.head", "bam");
    put_key(w, c, "namm.hidden", 32, false);
    put_key(w, c, "namm.heads", 1, false);
    put_changed(w, c);
    put_tensor(w, "namm.params", param, t->param, t);
    put_tensor(w, "namm.mean", mean, t->mean, t);
    put_tensor(w, "namm.deviation", deviation, t->deviation, t);
    if (mn__gguf_write(w, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__gguf_writer_free(w);
}

static const tensors sound = {PARAMS, E, E, 1, GGML_TYPE_F32};

static void refuse(const char *say)
{
    mn__namm *m = (mn__namm *)&m;
    mn_diag diag = {""};
    size_t before = heap();
    mn_status st = mn__namm_read(&m, path, &diag);
    if (st != MN_EINPUT && st != MN_ERANGE) fail_msg("'%s' wanted, status %d", say, (int)st);
    assert_null(m);
    assert_int_equal(heap(), before);
    if (!strstr(diag.text, say) || strncmp(diag.text, path, strlen(path)) != 0)
        fail_msg("'%s' wanted in: %s", say, diag.text);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        change c;
        const char *say;
    } cases[] = {
        {{"general.architecture", WORD, 0, "llama"}, "namm wanted, llama found"},
        {{"namm.version", SIZE, 2, NULL}, "namm.version: 1 wanted, 2 found"},
        {{"namm.window", SIZE, 31, NULL}, "namm.window: an even number from 2 to 64 wanted, 31"},
        {{"namm.window", SIZE, 66, NULL}, "namm.window: an even number from 2 to 64 wanted, 66"},
        {{"namm.window", SIZE, 0, NULL}, "namm.window: 1 to 16777216 wanted, 0 found"},
        {{"namm.window", WORD, 0, "32"}, "namm.window: an integer wanted, string found"},
        {{"namm.hop", SIZE, 12, NULL}, "namm.hop: a divisor of namm.window (32) wanted, 12 found"},
        {{"namm.hop", SIZE, 64, NULL}, "namm.hop: a divisor of namm.window (32) wanted, 64 found"},
        {{"namm.hop", SIZE, 4e9, NULL}, "namm.hop: 1 to 16777216 wanted, 4000000000 found"},
        {{"namm.gamma", REAL, 1, NULL}, "namm.gamma: a number between 0 and 1"},
        {{"namm.gamma", REAL, 1 - 1e-12, NULL},
         "below 1 in single precision, 0.999999999999 found"},
        {{"namm.gamma", REAL, NAN, NULL}, "namm.gamma: a finite number wanted, nan found"},
        {{"namm.update", SIZE, 520, NULL}, "multiple of namm.hop (16) up to 16777216 wanted, 520"},
        {{"namm.age_dim", SIZE, 7, NULL}, "namm.age_dim: an even number up to 256 wanted, 7"},
        {{"namm.age_dim", SIZE, 4e9, NULL}, "namm.age_dim: an even number up to 256 wanted, 4"},
        {{"namm.age_base", REAL, 0, NULL}, "namm.age_base: a positive number wanted, 0 found"},
        {{"namm.log", SIZE, 1, NULL}, "namm.log: a bool wanted, uint32 found"},
        {{"namm.inputs", WORD, 0, "age"}, "namm.inputs: array of string wanted, string found"},
        {{"namm.inputs", WORDS, 0, "age"}, "namm.inputs: 1 to 32 groups wanted, 0 found"},
        {{"namm.inputs", WORDS, 40, "age"}, "namm.inputs: 1 to 32 groups wanted, 40 found"},
        {{"namm.inputs", WORDS, 1, "spectrun"}, "unknown input `spectrun`: `spectrum`?"},
        {{"namm.inputs", WORDS, 1, "zzzzzz"}, "unknown input `zzzzzz`"},
        {{"namm.inputs", WORDS, 2, "age"}, "input `age` stands there twice"},
        {{"namm.inputs", WORDS, 1, "age"}, "the network reads 25 columns, its inputs have 8"},
        {{"namm.age_dim", SIZE, 0, NULL}, "input `age`: an even number of columns and a base"},
        {{"namm.age_base", REAL, 1, NULL}, "input `age`: an even number of columns and a base"},
        {{"namm.stride", SIZE, 2, NULL}, "a stride of 2: 1 wanted where running means or spectra"},
        {{"namm.inputs", WORDS, 2, ""}, "names of 1 to 23 bytes wanted, '' found"},
        {{"namm.inputs", WORDS, 2, "a name of too many bytes to be kept"},
         "names of 1 to 23 bytes wanted, 'a name of too many byte...' found"},
        {{"namm.head", WORD, 0, "tree"}, "namm.head: linear, mlp, bam or mix wanted, tree found"},
        {{"namm.head", WORD, 0, "linear"}, "namm.params: 26 numbers wanted, 4172 found"},
        {{"namm.head", WORD, 0, "mlp"}, "key namm.depth wanted, none found"},
        {{"namm.head", WORD, 0, "mix"}, "key namm.components wanted, none found"},
        {{"namm.hidden", SIZE, 16, NULL}, "namm.params: 2124 numbers wanted, 4172 found"},
        {{"namm.hidden", SIZE, 16e6, NULL}, "1 to 1024 hidden channels wanted, 16000000 found"},
        {{"namm.heads", SIZE, 5, NULL}, "heads that divide 32 hidden channels wanted, 5 found"},
        {{"namm.policy_options", SIZE, 5, NULL}, "namm.policy_options: string wanted, uint32"},
        {{"namm.note.seed", SIZE, 5, NULL}, "namm.note.seed: string wanted, uint32 found"},
        {{"namm.note.", WORD, 0, "x"}, "namm.note.*: a name of 1 to 256 bytes wanted, one of 0"},
    };
    mn__namm *m = NULL;
    mn_diag diag = {""};
    write_changed(&(change){0}, &sound);
    if (mn__namm_read(&m, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__namm_free(m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_changed(&cases[i].c, &sound);
        refuse(cases[i].say);
    }
}

static void test_missing_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "general.architecture", "namm.version", "namm.window",   "namm.hop",       "namm.gamma",
        "namm.update",          "namm.age_dim", "namm.age_base", "namm.by_length", "namm.log",
        "namm.corrected",       "namm.inputs",  "namm.head",     "namm.bias",      "namm.hidden",
        "namm.heads",           "namm.mult"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char say[96];
        write_changed(&(change){.key = keys[i]}, &sound);
        snprintf(say, sizeof say, "key %s wanted, none found", keys[i]);
        refuse(say);
    }
}

static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        tensors t;
        const char *say;
    } cases[] = {
        {{0, E, E, 1, GGML_TYPE_F32}, "tensor namm.params wanted, none found"},
        {{PARAMS, 0, E, 1, GGML_TYPE_F32}, "tensor namm.mean wanted, none found"},
        {{PARAMS, E, 0, 1, GGML_TYPE_F32}, "tensor namm.deviation wanted, none found"},
        {{PARAMS + 1, E, E, 1, GGML_TYPE_F32}, "namm.params: 4172 numbers wanted, 4173 found"},
        {{PARAMS - 1, E, E, 1, GGML_TYPE_F32}, "namm.params: 4172 numbers wanted, 4171 found"},
        {{PARAMS, E, E + 1, 1, GGML_TYPE_F32}, "namm.deviation: 25 numbers wanted, 26 found"},
        {{PARAMS, E - 1, E - 1, 1, GGML_TYPE_F32}, "namm.params: 4009 numbers wanted, 4172"},
        {{PARAMS, E, E, 1, GGML_TYPE_F16}, "namm.mean: one dimension of f32 wanted, f16 [25, 1"},
        {{PARAMS, E, E, 2, GGML_TYPE_F32}, "namm.mean: one dimension of f32 wanted, f32 [25, 2"},
        {{PARAMS, WIDE, E, 1, GGML_TYPE_F32}, "1 to 1024 inputs wanted, 2000 found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_changed(&(change){0}, &cases[i].t);
        refuse(cases[i].say);
    }
}

static void test_statistics(void **state)
{
    (void)state;
    static const struct {
        float *at, x;
        const char *say;
    } cases[] = {
        {&mean[3], NAN, "namm.mean: finite numbers wanted, nan found for input 3"},
        {&mean[24], INFINITY, "namm.mean: finite numbers wanted, inf found for input 24"},
        {&deviation[0], 0, "namm.deviation: positive numbers wanted, 0 found for input 0"},
        {&deviation[2], -1, "namm.deviation: positive numbers wanted, -1 found for input 2"},
        {&deviation[9], NAN, "namm.deviation: positive numbers wanted, nan found for input 9"},
        {&deviation[9], INFINITY, "namm.deviation: positive numbers wanted, inf found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float was = *cases[i].at;
        mn_diag diag = {""};
        mn__namm m = paper();
        *cases[i].at = cases[i].x;
        write_changed(&(change){0}, &sound);
        refuse(cases[i].say);
        assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT); /* nor can it be written */
        if (!strstr(diag.text, cases[i].say)) fail_msg("%s", diag.text);
        *cases[i].at = was;
    }
}

/* What cannot be read cannot be written, and what stood there still does. */
static void test_write_refused(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__namm good = paper(), m = good, *back = NULL;
    char *long_text = malloc(5001);
    assert_non_null(long_text);
    memset(long_text, 'x', 5000);
    long_text[5000] = '\0';
    round_trip(&good);
    m.update = 100;
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    m = good;
    m.stride = 0;
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    m = good;
    m.net.n_head = 3;
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    m = good;
    m.net = (mn__namm_net){.head = MN__NAMM_MIX, .n_in = E, .n_part = 17};
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "2 to 16 components wanted, 17 found"));
    m = good;
    m.options = long_text;
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "namm.policy_options: at most 4096 bytes wanted, 5000"));
    m = good;
    mn__namm_note note = {long_text, long_text};
    m.note = &note;
    m.n_note = 1;
    assert_int_equal(mn__namm_write(&m, path, &diag), MN_EINPUT);
    assert_int_equal(mn__namm_write(&good, "/nowhere/x.gguf", &diag), MN_EIO);
    assert_non_null(strstr(diag.text, "/nowhere/x.gguf"));
    assert_int_equal(mn__namm_read(&back, path, &diag), MN_OK);
    same(&good, back);
    mn__namm_free(back);
    free(long_text);
}

/* Wherever a file is cut. */
static void test_cut(void **state)
{
    (void)state;
    mn__namm m = paper(), *back = NULL;
    static char bytes[1 << 16];
    round_trip(&m);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(n > PARAMS * 4 && n < 20000);
    for (size_t at = 1; at < n - 64; at += at < 2048 ? 7 : 499) {
        mn_diag diag = {""};
        assert_int_equal(truncate(path, 0), 0);
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, at, file), at);
        fclose(file);
        assert_int_equal(mn__namm_read(&back, path, &diag), MN_EINPUT);
        assert_null(back);
        assert_non_null(strstr(diag.text, path));
    }
    unlink(path);
    assert_int_equal(mn__namm_read(&back, path, NULL), MN_EIO);
    round_trip(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_missing_keys), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_statistics),   cmocka_unit_test(test_write_refused),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
