/* agree.c: the ways a model can be computed, each against the same reference (agree.h). The text
 * goes through all of them slice by slice: logits of a whole text would be gigabytes. */
#include "agree.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ours.h"
#include "peer.h"
#include "tiny_model.h"

enum { N_TOKEN = 2000, SLICE = 512, SKIPPED = 77 };

/* How far from the reference a way may be. */
typedef struct limit {
    double kl, same_top, ppl; /* ppl: relative */
} limit;

static const limit limit_f32 = {1e-6, 0.999, 1e-4}, limit_bf16 = {5e-4, 0.99, 1e-3};

/* A way of ours to compute the model. */
typedef struct way {
    const char *name, *cpu;
    mn_kv_type kv_type;
    mn_product product;
    bool quantised;     /* the file as it came; else its weights widened */
    bool is_written;    /* token by token, by the dots of generation; else read as a prompt */
    const limit *limit; /* NULL: no further away than the peer's own dots */
    /* while it runs */
    bool is_open;
    ours ours;
    peer_tally tally;
} way;

typedef struct text {
    int32_t token[N_TOKEN];
    size_t begin;           /* of the slice */
    const float *reference; /* [SLICE][n_vocab] */
    size_t n_vocab;
} text;

static char model_path[4096], wide_path[4096];
static const char *model_name;
static bool at_every_level;

static void tally_row(const text *t, peer_tally *tally, size_t i, const float *logits)
{
    size_t at = t->begin + i + 1;
    peer_tally_row(tally, t->reference + i * t->n_vocab, logits, t->n_vocab,
                   at < N_TOKEN ? t->token[at] : -1);
}

typedef struct row_sink {
    const text *text;
    peer_tally *tally;
} row_sink;

static void take_row(size_t i, const float *logits, void *ctx)
{
    const row_sink *s = ctx;
    tally_row(s->text, s->tally, i, logits);
}

/* ---- set-up ---- */

static peer *open_peer(const char *path, uint32_t n_batch)
{
    peer_params pp;
    peer_params_default(&pp);
    pp.n_ctx = N_TOKEN + 48;
    pp.n_batch = n_batch;
    peer *p = peer_open(path, &pp);
    assert_non_null(p);
    return p;
}

static void read_text(const peer *p, text *t)
{
    static char bytes[1 << 14];
    static int32_t token[1 << 14];
    FILE *file = fopen(MN_TEST_DIR "/data/moonstone.txt", "rb");
    assert_non_null(file);
    size_t n_bytes = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_in_range(peer_tokenize(p, bytes, n_bytes, token, 1 << 14), N_TOKEN, 1 << 14);
    memcpy(t->token, token, sizeof t->token);
    t->n_vocab = peer_n_vocab(p);
}

static void open_way(way *w)
{
    mn_model_params mp;
    mn_session_params sp;
    mn_model_params_default(&mp);
    mn_session_params_default(&sp);
    mp.cpu = w->cpu;
    mp.product = w->product;
    sp.kv_type = w->kv_type;
    sp.n_ctx = N_TOKEN + 48;
    sp.chunk = SLICE;
    sp.n_thread = 2;
    ours_open(&w->ours, w->quantised ? model_path : wide_path, &mp, &sp);
    w->is_open = true;
}

/* ---- results ---- */

static peer_distance say(const char *name, const peer_tally *tally)
{
    peer_distance d;
    peer_tally_end(tally, &d);
    printf("%s, %s: %zu tokens, KL %.2e (worst %.1e), same top %.2f%%, perplexity %.4f for %.4f "
           "(%+.4f%%)\n",
           model_name, name, tally->n, d.kl_mean, d.kl_max, 100 * d.same_top, d.ppl_b, d.ppl_a,
           100 * (d.ppl_b / d.ppl_a - 1));
    fflush(stdout);
    assert_int_equal(tally->n, N_TOKEN);
    assert_int_equal(d.n_bad, 0);
    assert_true(d.spread > 1);
    assert_true(d.ppl_a > 2 && d.ppl_a < 200); /* it reads English */
    return d;
}

static void check_limit(const way *w, const peer_distance *d)
{
    assert_true(d->kl_mean <= w->limit->kl);
    assert_true(d->same_top >= w->limit->same_top);
    assert_true(fabs(d->ppl_b / d->ppl_a - 1) <= w->limit->ppl);
}

/* ---- the comparison ---- */

/* By kind, the best level of each first. */
static way ways[] = {
    {.name = "f32 at avx512",
     .cpu = "avx512",
     .kv_type = MN_KV_F32,
     .product = MN_PRODUCT_WIDE,
     .limit = &limit_f32},
    {.name = "f32 at avx2",
     .cpu = "avx2",
     .kv_type = MN_KV_F32,
     .product = MN_PRODUCT_WIDE,
     .limit = &limit_f32},
    {.name = "bf16 at amx", .cpu = "amx", .product = MN_PRODUCT_WIDE, .limit = &limit_bf16},
    {.name = "bf16 at avx512bf16",
     .cpu = "avx512bf16",
     .product = MN_PRODUCT_WIDE,
     .limit = &limit_bf16},
    {.name = "dots at avx512",
     .cpu = "avx512",
     .kv_type = MN_KV_F32,
     .quantised = true,
     .is_written = true},
    {.name = "dots at avx2",
     .cpu = "avx2",
     .kv_type = MN_KV_F32,
     .quantised = true,
     .is_written = true},
    {.name = "prompt by dots at avx512bf16", .cpu = "avx512bf16", .quantised = true},
    {.name = "prompt by dots at avx512", .cpu = "avx512", .quantised = true},
};
enum { N_WAY = sizeof ways / sizeof ways[0] };

static bool is_best(size_t i)
{
    const way *w = &ways[i], *better = w - 1;
    return i == 0 || !better->is_open || better->kv_type != w->kv_type ||
           better->quantised != w->quantised || better->is_written != w->is_written;
}

static void open_ways(void)
{
    for (size_t i = 0; i < N_WAY; i++)
        if ((at_every_level || is_best(i)) && ours_has_level(ways[i].cpu)) open_way(&ways[i]);
}

static void run_slice(text *t, size_t n, peer *narrow, float *narrow_logits,
                      peer_tally *narrow_tally)
{
    for (size_t i = 0; i < N_WAY; i++) {
        row_sink sink = {t, &ways[i].tally};
        if (!ways[i].is_open) continue;
        (ways[i].is_written ? ours_step : ours_read)(&ways[i].ours, t->token + t->begin, n,
                                                     take_row, &sink);
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(peer_decode(narrow, t->token + t->begin + i, 1, 1, narrow_logits));
        tally_row(t, narrow_tally, i, narrow_logits);
    }
}

static void test_agrees(void **state)
{
    (void)state;
    static text t;
    peer_tally narrow_tally = {0};
    peer *wide = open_peer(wide_path, SLICE), *narrow = open_peer(model_path, 1);
    read_text(wide, &t);
    float *reference = malloc((SLICE + 1) * t.n_vocab * sizeof *reference);
    assert_non_null(reference);
    t.reference = reference;
    open_ways();
    for (size_t n; t.begin < N_TOKEN; t.begin += n) {
        n = N_TOKEN - t.begin < SLICE ? N_TOKEN - t.begin : SLICE;
        assert_true(peer_decode(wide, t.token + t.begin, n, SLICE, reference));
        run_slice(&t, n, narrow, reference + SLICE * t.n_vocab, &narrow_tally);
    }
    peer_distance d, narrow_d = say("llama.cpp's dots", &narrow_tally);
    for (size_t i = 0; i < N_WAY; i++) {
        if (!ways[i].is_open) continue;
        d = say(ways[i].name, &ways[i].tally);
        if (ways[i].limit)
            check_limit(&ways[i], &d);
        else
            assert_true(d.kl_mean <= narrow_d.kl_mean);
        ours_close(&ways[i].ours);
    }
    free(reference);
    peer_free(narrow);
    peer_free(wide);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(wide_path, sizeof wide_path, "%s", tiny_model_path("wide.gguf"));
    return peer_write_f32(model_path, wide_path) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return remove(wide_path);
}

static bool find_model(const char *name)
{
    const char *models = getenv("MNEME_MODELS"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (models)
        snprintf(model_path, sizeof model_path, "%s/%s.gguf", models, name);
    else if (cache && *cache == '/')
        snprintf(model_path, sizeof model_path, "%s/mneme/models/%s.gguf", cache, name);
    else
        snprintf(model_path, sizeof model_path, "%s/.cache/mneme/models/%s.gguf", home ? home : "",
                 name);
    FILE *file = fopen(model_path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

int agree_main(const char *name, bool every_level)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agrees, set_up, tear_down),
    };
    model_name = name;
    at_every_level = every_level;
#ifdef MN_TEST_SANITIZED
    printf("skipped: a real model takes too long under a sanitizer\n");
    return SKIPPED;
#endif
    if (!find_model(name)) {
        printf("skipped: %s is not there; `mneme pull %s` fetches it\n", model_path, name);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
