/* test_train_data.c: a corpus becomes tokens once; two sides share no document; shards made
 * elsewhere; stopping. */
#include "train/train_data.h"

#include <dirent.h>

#include "eval_fixture.h"

enum { DOCUMENTS = 200 };

static mn_diag diag;
static mn__config config;
static char folder[4096];

typedef struct watching {
    size_t n_tick;
    bool stops;
} watching;

static void tick(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    watching *w = ctx;
    assert_non_null(what);
    assert_true(done <= total);
    w->n_tick++;
}

static bool stop(void *ctx)
{
    return ((watching *)ctx)->stops;
}

static watching seen;
static const mn__data_watch watch = {tick, stop, &seen};

static void set(const char *key, const char *value)
{
    if (mn__config_set(&config, "data", key, value, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static int begin(void **state)
{
    char text[DOCUMENTS * 64] = "";
    size_t at = 0;
    (void)state;
    tiny_model_params p;
    tiny_model_default(&p, "llama");
    if (!tiny_model_write(tiny_model_path("tokens.gguf"), &p)) return 1;
    for (size_t i = 0; i < DOCUMENTS; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%zu is the number of this one",
                               i ? "\n<|endoftext|>\n" : "", i);
    ef_write_text("corpus.txt", text);
    snprintf(folder, sizeof folder, "%s", tiny_model_path("data-folder"));
    if (mkdir(folder, 0700)) return 1;
    mn__config_init(&config);
    set("corpus", tiny_model_path("corpus.txt"));
    set("tokenizer", tiny_model_path("tokens.gguf"));
    set("valid_share", "0.2");
    config.train_length = 8;
    config.train_batch = 3;
    config.report_valid_rows = 1000000;
    seen = (watching){0};
    return 0;
}

static size_t count_files(bool removes)
{
    size_t n = 0;
    char path[8192];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (e->d_name[0] == '.') continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (removes) assert_int_equal(unlink(path), 0);
    }
    closedir(dir);
    return n;
}

static int end(void **state)
{
    (void)state;
    count_files(true);
    return rmdir(folder);
}

static mn__train_data open_data(void)
{
    mn__train_data d;
    if (mn__train_data_open(&d, &config, folder, &watch, &diag) != MN_OK) fail_msg("%s", diag.text);
    return d;
}

/* Every document is on one side or the other, on the same one in another order too. */
static void test_sides(void **state)
{
    (void)state;
    const size_t before = ef_held();
    mn__train_data d = open_data();
    assert_int_equal(d.train.n_document + d.valid.n_document, DOCUMENTS);
    assert_in_range(d.valid.n_document, DOCUMENTS / 10, DOCUMENTS * 3 / 10);
    assert_int_equal(count_files(false), 2);
    assert_true(seen.n_tick > 0);
    assert_int_equal(mn__train_data_begin(&d, &config, &diag), MN_OK);
    assert_int_equal(config.report_valid_rows, d.valid.rows.n_window);
    int32_t row[9], again[9];
    for (size_t i = 0; i < config.report_valid_rows; i++) {
        assert_int_equal(d.valid.source.fill(&d.valid.source, 0, i, 8, row, &diag), MN_OK);
        assert_int_equal(d.valid.source.fill(&d.valid.source, 0, i, 8, again, &diag), MN_OK);
        assert_memory_equal(row, again, sizeof row);
    }
    mn__train_data_close(&d);
    assert_int_equal(ef_held(), before);
}

/* A second start finds them; another share makes others, and another identity. */
static void test_once(void **state)
{
    (void)state;
    mn__train_data first = open_data();
    const size_t n_tick = seen.n_tick;
    mn__train_data second = open_data();
    assert_int_equal(seen.n_tick, n_tick);
    assert_true(first.train.source.identity == second.train.source.identity);
    set("valid_share", "0.3");
    mn__train_data other = open_data();
    assert_int_equal(count_files(false), 4);
    assert_true(first.train.source.identity != other.train.source.identity);
    assert_true(other.train.n_document < first.train.n_document);
    set("valid_share", "0");
    mn__train_data whole = open_data();
    assert_int_equal(whole.valid.n, 0);
    assert_int_equal(whole.train.n_document, DOCUMENTS);
    mn__train_data_close(&first);
    mn__train_data_close(&second);
    mn__train_data_close(&other);
    mn__train_data_close(&whole);
}

/* One document: its end is held out, and no window is on both sides. */
static void test_end(void **state)
{
    char text[4096];
    int32_t row[9];
    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i * i % 19);
    text[sizeof text - 1] = '\0';
    set("corpus", ef_write_text("book.txt", text));
    set("valid_share", "0.1");
    const size_t before = ef_held();
    mn__train_data d = open_data();
    assert_int_equal(d.valid.n_document, 0);
    assert_int_equal(mn__train_data_begin(&d, &config, &diag), MN_OK);
    const mn__batches *train = &d.train.rows, *valid = &d.valid.rows;
    assert_true(valid->from == train->n_window && valid->n_window >= 3);
    assert_in_range(train->n_window, 8 * valid->n_window, 10 * valid->n_window);
    assert_int_equal(train->n_window + valid->n_window, (d.train.shard[0].info.n_token - 1) / 8);
    for (size_t i = 0; i < config.report_valid_rows; i++)
        assert_int_equal(d.valid.source.fill(&d.valid.source, 0, i, 8, row, &diag), MN_OK);
    const uint64_t identity = d.train.source.identity;
    mn__train_data_close(&d);
    assert_int_equal(ef_held(), before);
    d = open_data(); /* found, and the same */
    assert_true(d.train.source.identity == identity);
    mn__train_data_close(&d);
}

/* The folder that was made, as one made elsewhere. */
static void test_shards(void **state)
{
    mn__train_data d;
    (void)state;
    mn__train_data made = open_data();
    set("corpus", "");
    set("train", folder);
    d = open_data();
    assert_int_equal(d.train.n, 2);
    assert_int_equal(d.valid.n, 0);
    assert_int_equal(d.train.n_token, made.train.n_token + made.valid.n_token);
    mn__train_data_close(&d);
    mn__train_data_close(&made);
    set("tokenizer", "");
    assert_int_equal(mn__train_data_open(&d, &config, folder, &watch, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "data.tokenizer"));
}

static void test_stop(void **state)
{
    mn__train_data d;
    (void)state;
    const size_t before = ef_held();
    seen.stops = true;
    assert_int_equal(mn__train_data_open(&d, &config, folder, &watch, &diag), MN_ECANCEL);
    assert_int_equal(count_files(false), 0);
    assert_int_equal(ef_held(), before);
}

static void refuse(mn_status want, const char *part)
{
    mn__train_data d;
    const size_t before = ef_held();
    assert_int_equal(mn__train_data_open(&d, &config, folder, &watch, &diag), want);
    if (!strstr(diag.text, part)) fail_msg("'%s' wanted in: %s", part, diag.text);
    assert_int_equal(ef_held(), before);
}

static void test_refused(void **state)
{
    (void)state;
    config.model_vocab = 100;
    refuse(MN_ERANGE, "model.vocab: at least the");
    config.model_vocab = 0;
    set("valid_share", "0.9");
    set("corpus", ef_write_text("one.txt", "the only one"));
    char share[16];
    bool all_held = false; /* at some share the only document is */
    for (int i = 10; i < 90 && !all_held; i++) {
        mn__train_data d;
        snprintf(share, sizeof share, "0.%d", i);
        set("valid_share", share);
        all_held = mn__train_data_open(&d, &config, folder, &watch, &diag) == MN_EUSAGE;
        if (all_held) assert_non_null(strstr(diag.text, "data.valid_share: documents to learn"));
        mn__train_data_close(&d);
    }
    assert_true(all_held);
    set("valid", folder);
    refuse(MN_EUSAGE, "data.valid goes with data.train");
    set("corpus", "");
    refuse(MN_EUSAGE, "neither found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sides, begin, end),
        cmocka_unit_test_setup_teardown(test_once, begin, end),
        cmocka_unit_test_setup_teardown(test_end, begin, end),
        cmocka_unit_test_setup_teardown(test_shards, begin, end),
        cmocka_unit_test_setup_teardown(test_stop, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
