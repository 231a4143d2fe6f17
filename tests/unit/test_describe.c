/* test_describe.c: what is told of models and session files, and what is neither. */
#include <math.h>
#include <unistd.h>

#include "mneme/inspect.h"
#include "base/file.h"
#include "policy/namm.h"
#include "state_fixture.h"

typedef struct facts {
    size_t n_lane, n_key, n_tensor;
    char policy[512], format[64], lane[64], embd[64];
} facts;

static void collect(const char *section, const char *name, const char *value, void *ctx)
{
    facts *f = ctx;
    if (strcmp(section, "key") == 0) f->n_key++;
    if (strcmp(section, "tensor") == 0) f->n_tensor++;
    if (strcmp(section, "lane") == 0 && f->n_lane++ == 11)
        snprintf(f->lane, sizeof f->lane, "%s: %s", name, value);
    if (strcmp(name, "policy") == 0) snprintf(f->policy, sizeof f->policy, "%s", value);
    if (strcmp(name, "token_embd.weight") == 0) snprintf(f->embd, sizeof f->embd, "%s", value);
    if (strcmp(name, "format") == 0) snprintf(f->format, sizeof f->format, "%s", value);
}

static void refuse_describe(const char *path, const char *say)
{
    facts f = {0};
    mn_diag diag = {""};
    size_t before = fix_total();
    assert_int_equal(mn_file_describe(path, collect, &f, &diag), MN_EINPUT);
    assert_int_equal(fix_total(), before);
    if (!strstr(diag.text, say)) fail_msg("'%s' wanted in: %s", say, diag.text);
}

/* A tiny session in a file. */
static bytes make_saved(const char *path)
{
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("h2o:every=1", "80");
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 200, true);
    fix_write(s, 200, 10);
    save(s, path);
    mn_session_free(s);
    mn_model_free(m);
    return read_all(path);
}

static void test_models(void **state)
{
    (void)state;
    facts f = {0};
    char embd[64];
    const char *path = file_path();
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    assert_true(tiny_model_write(path, &tp));
    assert_int_equal(mn_file_describe(path, collect, &f, NULL), MN_OK);
    assert_string_equal(f.format, "GGUF");
    assert_true(f.n_tensor == 3 + 9 * 2 && f.n_key > 15 && f.n_lane == 0);
    snprintf(embd, sizeof embd, "f32 [64, %u], %u bytes", tiny_model_n_vocab(&tp),
             64 * 4 * tiny_model_n_vocab(&tp));
    assert_string_equal(f.embd, embd);
    remove(path);
}

static void test_sessions(void **state)
{
    (void)state;
    facts f = {0};
    mn_diag diag = {""};
    const char *path = file_path();
    free(make_saved(path).data);
    if (mn_file_describe(path, collect, &f, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_string_equal(f.format, "mneme session, version 4");
    assert_non_null(strstr(f.policy, "h2o:"));
    assert_int_equal(f.n_lane, 14);
    assert_non_null(strstr(f.lane, "layer 5 head 1: 80 tokens, "));
    assert_true(f.n_key == 0 && f.n_tensor == 0);
    remove(path);
}

/* Every fact in one text: "section name: value" lines. */
static void join(const char *section, const char *name, const char *value, void *ctx)
{
    char *text = ctx;
    size_t n = strlen(text);
    snprintf(text + n, 4096 - n, "%s %s: %s\n", section, name, value);
}

static void test_namms(void **state)
{
    (void)state;
    char text[4096] = "", note[] = "seed", value[] = "51\x1b[31m", options[] = "recent=16";
    float param[] = {0.5f, NAN, -2, 7, 1}, mean[] = {1, -1, 2, 0}, deviation[] = {1, 0.25f, 2, 1};
    mn__namm_note notes[] = {{note, value}};
    mn__namm m = {.spectrum = {.window = 32, .hop = 16, .gamma = 0.99, .log = true},
                  .update = 512,
                  .stride = 1,
                  .age_dim = 2,
                  .age_base = 50000,
                  .n_group = 3,
                  .group = {"age", "dc", "row"},
                  .net = {.head = MN__NAMM_LINEAR, .n_in = 4},
                  .param = param,
                  .mean = mean,
                  .deviation = deviation,
                  .options = options,
                  .n_note = 1,
                  .note = notes};
    const char *path = file_path();
    static const char *const lines[] = {"file format: NAMM (GGUF), version 1",
                                        "namm head: linear",
                                        "namm parameters: 5 numbers, -2 to 7, 1 NaN",
                                        "namm inputs: age, dc, row",
                                        "namm columns: 4",
                                        "namm hop: 16 tokens",
                                        "namm gamma: 0.99 per token",
                                        "namm update: every 512 tokens",
                                        "namm log of magnitudes: yes",
                                        "namm average corrected: no",
                                        "namm mean: 4 numbers, -1 to 2",
                                        "namm deviation: 4 numbers, 0.25 to 2",
                                        "namm policy options: recent=16",
                                        "note seed: 51 [31m"};
    assert_int_equal(mn__namm_write(&m, path, NULL), MN_OK);
    assert_int_equal(mn_file_describe(path, join, text, NULL), MN_OK);
    mn__map map;
    char hash[64];
    assert_int_equal(mn__map_open(&map, path, NULL), MN_OK);
    snprintf(hash, sizeof hash, "file hash: %016llx\n",
             (unsigned long long)mn__hash64(map.data, map.size, 0));
    mn__map_close(&map);
    assert_non_null(strstr(text, hash));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i])) fail_msg("'%s' wanted in: %s", lines[i], text);
    m.n_group = 1;
    m.net = (mn__namm_net){.head = MN__NAMM_BAM, .n_in = 2, .hidden = 2, .n_head = 2};
    float many[64] = {0};
    m.param = many;
    *text = '\0';
    assert_int_equal(mn__namm_write(&m, path, NULL), MN_OK);
    assert_int_equal(mn_file_describe(path, join, text, NULL), MN_OK);
    assert_non_null(strstr(text,
                           "namm head: BAM\nnamm hidden channels: 2\nnamm attention heads: 2\n"
                           "namm residual: additive\nnamm biases: no\n"));
    m.net = (mn__namm_net){.head = MN__NAMM_MIX, .n_in = 2, .n_part = 3};
    *text = '\0';
    assert_int_equal(mn__namm_write(&m, path, NULL), MN_OK);
    assert_int_equal(mn_file_describe(path, join, text, NULL), MN_OK);
    assert_non_null(strstr(text, "namm head: mix\nnamm components: 3\nnamm parameters: 9"));
    assert_int_equal(truncate(path, 600), 0);
    refuse_describe(path, path);
    remove(path);
}

static void test_refused(void **state)
{
    (void)state;
    const char *path = file_path();
    bytes b = make_saved(path);
    b.data[b.size / 2] ^= 1;
    write_all(path, b.data, b.size);
    refuse_describe(path, "damaged");
    write_all(path, b.data, b.size / 2);
    refuse_describe(path, "cut short");
    write_all(path, (const uint8_t *)"a letter to grandmother", 23);
    refuse_describe(path, "neither");
    write_all(path, (const uint8_t *)"", 0);
    refuse_describe(path, "neither");
    refuse_describe("/", "irectory");
    write_all(path, (const uint8_t *)"GGUF with nothing behind", 24);
    refuse_describe(path, path);
    free(b.data);
    remove(path);
    assert_int_equal(mn_file_describe(path, collect, NULL, NULL), MN_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_namms),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
