/* test_namm_spectrum.c: what runs along with the text is what its formula says of the whole text,
 * whatever was evicted on the way and in whatever pieces it was shown. */
#include "namm_fixture.h"

#include "policy/namm_spectrum.h"

enum { TOKENS = 150, GROUP = 3, EVICT = 40 };

/* Everything that was paid: x[t][i] of query t to token i, each head of the group; and which tokens
 * live at t. */
static double paid[TOKENS][TOKENS][GROUP];
static bool lives[TOKENS][TOKENS];
static size_t length_at[TOKENS];

static bool survives(size_t t, size_t i)
{
    for (size_t at = EVICT; at <= t; at += EVICT)
        if (i < at && mn__rng_uniform(3, 1, i, (uint32_t)at) < 0.4) return false;
    return true;
}

static void draw(void)
{
    for (size_t t = 0; t < TOKENS; t++) {
        length_at[t] = 0;
        for (size_t i = 0; i < TOKENS; i++) {
            lives[t][i] = i <= t && survives(t, i);
            length_at[t] += lives[t][i];
            for (size_t g = 0; g < GROUP; g++)
                paid[t][i][g] = lives[t][i]
                                    ? (float)(mn__rng_uniform(3, 2 + (uint32_t)g, t, (uint32_t)i) *
                                              mn__rng_uniform(3, 9, i, 0))
                                    : 0;
        }
    }
}

static double mean_paid(const mn__namm_spectrum *of, int64_t t, size_t i)
{
    double sum = 0;
    if (t < 0) return 0;
    for (size_t g = 0; g < GROUP; g++) sum += paid[t][i][g] / GROUP;
    return of->by_length ? sum * (double)length_at[t] : sum;
}

/* Bin f of token i after TOKENS queries, in double from the definition, before any logarithm. */
static double bin_of(const mn__namm_spectrum *of, size_t i, size_t f)
{
    double ema = 0, W = (double)of->window, a = pow(of->gamma, (double)of->hop);
    size_t frames = 0;
    for (int64_t end = (int64_t)of->hop; end <= TOKENS; end += (int64_t)of->hop) {
        double re = 0, im = 0;
        for (size_t n = 0; n < of->window; n++) {
            double w = 0.5 - 0.5 * cos(2 * M_PI * (double)n / W),
                   x = w * mean_paid(of, end - (int64_t)of->window + (int64_t)n, i);
            re += x * cos(2 * M_PI * (double)f * (double)n / W);
            im -= x * sin(2 * M_PI * (double)f * (double)n / W);
        }
        ema = a * ema + (1 - a) * hypot(re, im);
        frames += end > (int64_t)i;
    }
    if (of->corrected) ema = frames ? ema / (1 - pow(a, (double)frames)) : 0;
    return ema;
}

enum { MAX_BINS = 33 };
typedef double bins[TOKENS][MAX_BINS];

/* What every level has to come to. */
static const bins *batch(const mn__namm_spectrum *of)
{
    static bins want;
    for (size_t i = 0; i < TOKENS; i++)
        for (size_t f = 0; f <= of->window / 2; f++) want[i][f] = bin_of(of, i, f);
    return &want;
}

struct stream {
    struct mn__kern kern;
    mn__cache cache;
    mn__lane lane;
    size_t size, n;
    uint8_t *state;
    int64_t token[TOKENS];
};

static void evict(struct stream *s, size_t t)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!lives[t][s->token[i]]) continue;
        memmove(s->state + n * s->size, s->state + i * s->size, s->size);
        s->token[n++] = s->token[i];
    }
    s->n = s->lane.n = n;
}

/* Rows [t, t + n_row) with their tokens, which are there from the first of them on; columns in two
 * runs. */
static void show(struct stream *s, const mn__namm_stft *t, size_t row, size_t n_row)
{
    static float p[16 * TOKENS];
    size_t cut = s->n / 2;
    for (size_t r = 0; r < n_row; r++)
        for (size_t i = 0; i < s->n; i++) {
            float *sum = &p[r * TOKENS + i];
            *sum = 0;
            for (size_t g = 0; g < GROUP; g++) *sum += (float)paid[row + r][s->token[i]][g];
        }
    for (int part = 0; part < 2; part++) {
        size_t slot0 = part ? cut : 0, n = part ? s->n - cut : cut;
        const mn__seen seen = {.cache = &s->cache,
                               .n_group = GROUP,
                               .token0 = (int64_t)row,
                               .n_row = n_row,
                               .slot0 = slot0,
                               .n_slot = n,
                               .p = p + slot0,
                               .ld = TOKENS};
        mn__namm_stft_observe(t, &seen, s->state + slot0 * s->size, s->size);
    }
}

/* The whole text in steps of n_step tokens; evictions where the text has them. */
static void run(struct stream *s, const mn__namm_stft *t, int level, size_t n_step)
{
    memset(s, 0, sizeof *s);
    mn__kern_init(&s->kern, level);
    s->cache = (mn__cache){.shape = {.n_kv_head = 1}, .kern = &s->kern, .lane = &s->lane};
    s->size = mn__namm_stft_bytes(t);
    s->state = calloc(TOKENS, s->size);
    assert_non_null(s->state);
    for (size_t at = 0, step; at < TOKENS; at += step) {
        size_t to_event = EVICT - at % EVICT;
        step = n_step < to_event ? n_step : to_event;
        step = step < TOKENS - at ? step : TOKENS - at;
        if (at && at % EVICT == 0) evict(s, at);
        s->cache.n_seen = (int64_t)at;
        s->lane.n = s->n;
        for (size_t i = 0; i < step; i++) {
            memset(s->state + s->n * s->size, 0, s->size);
            s->token[s->n++] = (int64_t)(at + i);
        }
        for (size_t r = 0, n; r < step; r += n) {
            n = 16 - (at + r) % 16 < step - r ? 16 - (at + r) % 16 : step - r;
            show(s, t, at + r, n);
        }
    }
    s->cache.n_seen = TOKENS;
}

static void hold_batch(const mn__namm_spectrum *of, const bins *plain, int level, bool half)
{
    mn__namm_stft t;
    struct stream s;
    float found[MAX_BINS];
    double most = 0, tolerance = half ? 0.02 : 3e-6;
    assert_int_equal(mn__namm_stft_init(&t, of, half, NULL), MN_OK);
    run(&s, &t, level, 64);
    for (size_t i = 0; i < s.n; i++) {
        mn__namm_stft_read(&t, s.state + i * s.size, s.token[i], TOKENS, found);
        for (size_t f = 0; f < t.n_bin; f++) {
            /* errors are of the size of the largest bin; a logarithm divides them by the bin */
            double want = (*plain)[s.token[i]][f], top = (*plain)[s.token[i]][0] + 1e-6;
            if (of->log) {
                want = log(want + (of->by_length ? 1e-3 : 1e-6));
                top = 1 + top / exp(want);
            }
            if (fabs(want - (double)found[f]) > tolerance * top)
                fail_msg("window %zu hop %zu, token %lld, bin %zu: %g wanted, %g found", of->window,
                         of->hop, (long long)s.token[i], f, want, (double)found[f]);
            most = fmax(most, fabs((double)found[f]));
        }
    }
    assert_true(most > 0.01 && s.n > 20 && s.n < 120);
    free(s.state);
    mn__namm_stft_fini(&t);
}

static const mn__namm_spectrum shapes[] = {
    {.window = 32, .hop = 16, .gamma = 0.97},
    {.window = 32, .hop = 16, .gamma = 0.97, .by_length = true},
    {.window = 32, .hop = 16, .gamma = 0.97, .by_length = true, .corrected = true},
    {.window = 32, .hop = 8, .gamma = 0.9, .corrected = true},
    {.window = 8, .hop = 4, .gamma = 0.99},
    {.window = 64, .hop = 64, .gamma = 0.99},
    {.window = 64, .hop = 48, .gamma = 0.99, .by_length = true},
    {.window = 48, .hop = 16, .gamma = 0.5},
    {.window = 20, .hop = 3, .gamma = 0.95},
    {.window = 6, .hop = 5, .gamma = 0.95},
    {.window = 2, .hop = 1, .gamma = 0.9},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes };

static void test_streaming_is_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPE; i++) {
        const bins *want = batch(&shapes[i]);
        for (int level = 0; level <= (int)mn__cpu_best(); level++)
            for (int half = 0; half < 2; half++) hold_batch(&shapes[i], want, level, half);
    }
}

static void test_logarithm(void **state)
{
    (void)state;
    mn__namm_spectrum of = shapes[0];
    of.log = true;
    hold_batch(&of, batch(&of), MN__CPU_REF, false);
    of.by_length = true;
    hold_batch(&of, batch(&of), MN__CPU_REF, false);
}

/* Bits do not depend on the pieces in which the text came. */
static void test_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 16, 40};
    for (size_t i = 0; i < N_SHAPE; i++)
        for (int half = 0; half < 2; half++) {
            mn__namm_stft t;
            struct stream want, got;
            int level = (int)mn__cpu_best();
            assert_int_equal(mn__namm_stft_init(&t, &shapes[i], half, NULL), MN_OK);
            run(&want, &t, level, 64);
            for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
                run(&got, &t, level, steps[k]);
                assert_int_equal(got.n, want.n);
                assert_memory_equal(got.state, want.state, got.n * got.size);
                free(got.state);
            }
            free(want.state);
            mn__namm_stft_fini(&t);
        }
}

static void test_sizes(void **state)
{
    (void)state;
    mn__namm_stft t;
    assert_int_equal(mn__namm_stft_init(&t, &shapes[0], true, NULL), MN_OK);
    assert_int_equal(mn__namm_stft_bytes(&t), 98); /* 42% of K and V of 64 channels are 107 */
    mn__namm_stft_fini(&t);
    assert_int_equal(mn__namm_stft_init(&t, &shapes[0], false, NULL), MN_OK);
    assert_int_equal(mn__namm_stft_bytes(&t), 196);
    mn__namm_stft_fini(&t);
}

static void refuse(size_t window, size_t hop, double gamma, const char *sentence)
{
    mn__namm_stft t;
    mn_diag diag = {""};
    const mn__namm_spectrum of = {.window = window, .hop = hop, .gamma = gamma};
    assert_int_equal(mn__namm_stft_init(&t, &of, true, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, sentence));
}

static void test_refused(void **state)
{
    (void)state;
    refuse(0, 1, 0.9, "0 found");
    refuse(31, 1, 0.9, "31 found");
    refuse(66, 1, 0.9, "66 found");
    refuse(32, 0, 0.9, "0 found");
    refuse(32, 33, 0.9, "33 found");
    refuse(32, 16, 0, "gamma");
    refuse(32, 16, 1, "gamma");
    refuse(32, 16, (double)NAN, "gamma");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_streaming_is_batch),
                                       cmocka_unit_test(test_logarithm),
                                       cmocka_unit_test(test_pieces), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_refused)};
    draw();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
