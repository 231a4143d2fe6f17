/* test_train_config.c: options of trainings: defaults, files, overrides, what cannot be. */
#include "lm/learner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static mn__config config;
static mn_diag diag;

static void assert_says(const char *part)
{
    if (!strstr(diag.text, part)) fail_msg("'%s' wanted in: %s", part, diag.text);
}

static int fresh(void **state)
{
    (void)state;
    mn__config_init(&config);
    config.model_vocab = 32;
    config.train_steps = 10;
    diag.text[0] = 0;
    return 0;
}

/* Every default is a value of its option, and what is written is read to the same bits. */
static void test_table(void **state)
{
    mn__config again;
    (void)state;
    assert_int_equal(mn__config_check(&config, &diag), MN_OK);
    mn__config_init(&again);
    for (size_t i = 0; i < mn__config_count(); i++) {
        const mn__config_field *f = mn__config_at(i);
        char value[MN__CONFIG_TEXT];
        assert_true(strlen(f->meaning) > 0);
        if (f->kind == MN__CONFIG_IS_SECTION) continue;
        mn__config_value(&config, f, value, sizeof value);
        if (mn__config_set(&again, f->section, f->key, value, &diag) != MN_OK)
            fail_msg("%s = %s: %s", f->name, value, diag.text);
    }
    assert_memory_equal(&config, &again, sizeof config);
}

static void test_unknown(void **state)
{
    (void)state;
    const mn__config before = config;
    assert_int_equal(mn__config_set(&config, "model", "widht", "64", &diag), MN_EUSAGE);
    assert_says("did you mean 'width'?");
    assert_int_equal(mn__config_override(&config, "modle.width=64", &diag), MN_EUSAGE);
    assert_says("did you mean [model]?");
    assert_int_equal(mn__config_override(&config, "model.arch=ultramen", &diag), MN_EUSAGE);
    assert_says("ultramem_v2");
    assert_int_equal(mn__config_override(&config, "width", &diag), MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "model.width=64x", &diag), MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "model.width=-1", &diag), MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "model.width=0", &diag), MN_ERANGE);
    assert_int_equal(mn__config_override(&config, "train.rate=nan", &diag), MN_ERANGE);
    assert_int_equal(mn__config_override(&config, "train.rate=", &diag), MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "model.tied=1", &diag), MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "model.seed=99999999999999999999999", &diag),
                     MN_EUSAGE);
    assert_int_equal(mn__config_override(&config, "train.seed=99999999999999999999999", &diag),
                     MN_ERANGE);
    assert_memory_equal(&before, &config, sizeof config);
}

static void test_overrides(void **state)
{
    (void)state;
    assert_int_equal(mn__config_override(&config, "model.width=96", NULL), MN_OK);
    assert_int_equal(mn__config_override(&config, "train.rate=3e-3", NULL), MN_OK);
    assert_int_equal(mn__config_override(&config, "model.tied=no", NULL), MN_OK);
    assert_int_equal(mn__config_override(&config, "model.arch=moe", NULL), MN_OK);
    assert_int_equal(mn__config_override(&config, "data.train=a=b.c", NULL), MN_OK);
    assert_int_equal(config.model_width, 96);
    assert_true(config.train_rate == 3e-3);
    assert_false(config.model_tied);
    assert_int_equal(config.model_arch, MN__ARCH_MOE);
    assert_string_equal(config.data_train, "a=b.c");
}

/* Names stand in the order of the enums that they are cast to. */
static void test_choices(void **state)
{
    static const struct {
        const char *text;
        const int *at;
        int wanted;
    } cases[] = {
        {"model.arch=dense", &config.model_arch, MN__ARCH_DENSE},
        {"model.arch=memory_plus", &config.model_arch, MN__ARCH_MEMORY_PLUS},
        {"model.arch=lookup_ffn", &config.model_arch, MN__ARCH_LOOKUP_FFN},
        {"model.mixer=softmax", &config.model_mixer, MN__MIX_SOFTMAX},
        {"model.mixer=performer", &config.model_mixer, MN__MIX_PERFORMER},
        {"model.mixer=cosformer", &config.model_mixer, MN__MIX_COSFORMER},
        {"model.mixer=linformer", &config.model_mixer, MN__MIX_LINFORMER},
        {"model.activation=gelu", &config.model_activation, MN__ACT_GELU},
        {"model.activation=gelu_tanh", &config.model_activation, MN__ACT_GELU_TANH},
        {"model.activation=swiglu", &config.model_activation, MN__ACT_SWIGLU},
        {"model.norm=rms", &config.model_norm, MN__NORM_RMS},
        {"model.norm=rms_outside", &config.model_norm, MN__NORM_RMS_OUTSIDE},
        {"model.norm=layer", &config.model_norm, MN__NORM_LAYER},
        {"memory.query_norm=raw", &config.memory_query_norm, MN__PKM_RAW},
        {"memory.query_norm=batch", &config.memory_query_norm, MN__PKM_BATCH},
        {"memory.query_norm=rms", &config.memory_query_norm, MN__PKM_RMS},
        {"memory.query=shared", &config.memory_query, MN__QUERY_SHARED},
        {"memory.query=per_rank", &config.memory_query, MN__QUERY_PER_RANK},
        {"memory.query=published", &config.memory_query, MN__QUERY_PUBLISHED},
        {"memory.first=code", &config.memory_first, MN__FIRST_CODE},
        {"memory.first=paper", &config.memory_first, MN__FIRST_PAPER},
        {"lookup.score=l1_prob", &config.lookup_score, MN__SCORE_L1_PROB},
        {"lookup.score=prob", &config.lookup_score, MN__SCORE_PROB},
        {"lookup.projection=bh4", &config.lookup_projection, MN__PROJECTION_BH4},
        {"train.update=dense", &config.train_update, MN__UPDATE_DENSE},
        {"train.update=deferred", &config.train_update, MN__UPDATE_DEFERRED},
        {"train.update=selective", &config.train_update, MN__UPDATE_SELECTIVE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mn__config_override(&config, cases[i].text, &diag), MN_OK);
        if (*cases[i].at != cases[i].wanted) fail_msg("%s", cases[i].text);
    }
}

/* Impossible shapes: which settings, and a word of the sentence. */
static const char *const impossible[][4] = {
    {"model.heads=3", "", "", "model.heads: a divisor of width 256 wanted, 3 found"},
    {"model.kv_heads=3", "", "", "model.kv_heads"},
    {"model.vocab=0", "", "", "model.vocab"},
    {"train.steps=0", "", "", "train.steps"},
    {"train.batch=1000000", "train.length=16000000", "", "a pass of at most"},
    {"model.arch=memoryformer", "lookup.bits=10", "", "wanted to be the width 256, 25 x 10 found"},
    {"model.arch=memoryformer", "lookup.extra_bits=9", "", "extra_bits up to 16 wanted, 17 found"},
    {"model.arch=moe", "experts.keep=9", "", "at most the 8 experts wanted, 9 found"},
    {"model.arch=moe", "model.activation=gelu_tanh", "", "model.activation"},
    {"model.arch=pkm", "memory.keep=65", "", "at most the 64 keys wanted, 65 found"},
    {"model.arch=pkm", "memory.value_width=8", "", "memory.value_width"},
    {"model.arch=pkm", "memory.query_norm=batch", "train.recompute=yes", "train.recompute"},
    {"model.arch=ultramem", "memory.insert=3:2", "", "memory.insert"},
    {"model.arch=ultramem_v2", "memory.insert=0:4", "", "memory.insert"},
};

static void test_impossible(void **state)
{
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        fresh(state);
        assert_int_equal(mn__config_check(&config, &diag), MN_OK);
        fresh(state);
        for (size_t k = 0; k < 3; k++)
            if (*impossible[i][k])
                assert_int_equal(mn__config_override(&config, impossible[i][k], &diag), MN_OK);
        assert_int_equal(mn__config_check(&config, &diag), MN_ERANGE);
        assert_says(impossible[i][3]);
    }
}

static void test_derived(void **state)
{
    (void)state;
    config.train_steps = 0;
    config.train_batch = 4;
    config.train_length = 8;
    config.train_passes = 2;
    config.train_tokens = 64 * 7 + 63;
    assert_int_equal(mn__config_check(&config, &diag), MN_OK);
    assert_int_equal(config.train_steps, 7);
    assert_int_equal(config.model_kv_heads, 4);
    assert_int_equal(config.model_hidden, 688);
    assert_int_equal(config.experts_inner, 344);
    assert_int_equal(config.lookup_tables, 32);
    const mn__config before = config;
    assert_int_equal(mn__config_check(&config, &diag), MN_OK);
    assert_memory_equal(&before, &config, sizeof config);
}

#ifdef MN_HAVE_INIH

static char path[] = P_tmpdir "/mneme-config-XXXXXX";

static mn_status read_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    return mn__config_read(&config, path, &diag);
}

static void test_file(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(read_text("; a comment\n[model]\nwidth = 96\narch = moe ; why\n[train]\n"
                               "rate = 0.5"),
                     MN_OK);
    assert_int_equal(config.model_width, 96);
    assert_int_equal(config.model_arch, MN__ARCH_MOE);
    assert_true(config.train_rate == 0.5);
    assert_int_equal(config.model_vocab, 32); /* what a file does not name stays */

    const mn__config before = config;
    assert_int_equal(read_text("[model]\nwidth = 8\n[modle]\nwidth = 1\n"), MN_EUSAGE);
    assert_says(":4: no section [modle]");
    assert_int_equal(read_text("[model]\nblock = 8\n"), MN_EUSAGE);
    assert_says("did you mean 'blocks'?");
    assert_int_equal(read_text("[model]\nwidth = 8\nwidth = 9\n"), MN_EINPUT);
    assert_says(":3: model.width stands here a second time");
    assert_int_equal(read_text("[model]\nwidth = 8\n  heads = 9\n"), MN_EINPUT);
    assert_int_equal(read_text("[model]\nwidth\n"), MN_EINPUT);
    assert_says(":2: ");
    assert_int_equal(read_text("[model]\n[train\n"), MN_EINPUT);
    assert_says(":2: ");
    assert_int_equal(read_text("[model\nwidth = 8\n"), MN_EUSAGE);
    assert_says("'width' stands in no section");
    assert_int_equal(read_text("width = 8\n"), MN_EUSAGE);
    char text[700] = "[data]\ntrain = ";
    memset(text + strlen(text), 'x', 600);
    assert_int_equal(read_text(text), MN_EINPUT);
    assert_says(":2: a line of text up to");
    assert_memory_equal(&before, &config, sizeof config);
    unlink(path);
    assert_int_equal(mn__config_read(&config, path, &diag), MN_EIO);
    assert_int_equal(mn__config_read(&config, P_tmpdir, &diag), MN_EIO);
}

#else

static void test_file(void **state)
{
    (void)state;
    assert_int_equal(mn__config_read(&config, "any", &diag), MN_EFAIL);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_table, fresh),
        cmocka_unit_test_setup(test_unknown, fresh),
        cmocka_unit_test_setup(test_overrides, fresh),
        cmocka_unit_test_setup(test_choices, fresh),
        cmocka_unit_test(test_impossible),
        cmocka_unit_test_setup(test_derived, fresh),
        cmocka_unit_test_setup(test_file, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
