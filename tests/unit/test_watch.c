/* test_watch.c: a watched reading: its figures against sets counted one by one, the tokens that are
 * chosen, and what is refused. */
#include "session_fixture.h"

#include "eval/watch_internal.h"

enum { N_READ = 300, N_STEP = 40, N = N_READ + N_STEP };

static mn_watch_params watch_params(const char *policy, const char *budget)
{
    mn_watch_params p;
    mn_watch_params_default(&p);
    p.session = fix_params(policy, budget);
    p.max_token = N;
    return p;
}

static mn_watch *open_watch(const mn_model *m, const mn_watch_params *p)
{
    mn_diag diag;
    mn_watch *w = NULL;
    if (mn_watch_new(&w, m, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return w;
}

static void read_all(mn_watch *w)
{
    mn_diag diag;
    const float *logits;
    assert_int_equal(mn_watch_read(w, fix_text(), N_READ, &logits, NULL, NULL, &diag), MN_OK);
    for (size_t i = N_READ; i < N; i++)
        assert_int_equal(mn_watch_step(w, fix_text()[i], &logits, &diag), MN_OK);
}

/* ---- figures ---- */

static size_t kept_set(const mn_watch *w, size_t layer, size_t head, bool *set)
{
    const int32_t *token;
    size_t n = mn_session_kept(mn_watch_get_session(w), layer, head, &token);
    memset(set, 0, N * sizeof *set);
    for (size_t i = 0; i < n; i++) set[token[i]] = true;
    return n;
}

static double overlap(const bool *a, const bool *b)
{
    size_t both = 0, any = 0;
    for (size_t t = 0; t < N; t++) {
        both += a[t] && b[t];
        any += a[t] || b[t];
    }
    return (double)both / (double)any;
}

static void near(double found, double want)
{
    if (!(fabs(found - want) <= 1e-9 * fmax(1, fabs(want))))
        fail_msg("%.12g, %.12g wanted", found, want);
}

static double lift_of(const mn__watch_text *text, const bool *a, const bool *b, size_t kind)
{
    size_t held = 0, of_kind = 0, in_text = 0;
    for (size_t t = 0; t < N; t++) {
        size_t n = (size_t)a[t] + (size_t)b[t];
        held += n;
        of_kind += text->kind[t] == kind ? n : 0;
        in_text += text->kind[t] == kind;
    }
    return (double)of_kind / (double)held / ((double)in_text / N);
}

static void hold_figures(const mn_model *m, const char *policy, const char *budget)
{
    static bool set[4][N]; /* two heads of this layer and of the next */
    mn_diag diag;
    mn__watch_text text;
    mn__watch_layer layer[8], all;
    mn_watch_params p = watch_params(policy, budget);
    mn_watch *w = open_watch(m, &p);
    read_all(w);
    assert_int_equal(w->info.n_kv_head, 2);
    assert_int_equal(mn__watch_text_make(&text, m, w->token, w->n_token, &diag), MN_OK);
    for (size_t t = 0; t < N; t++) text.kind[t] = (uint8_t)(t % 3); /* tiny texts are all words */
    assert_int_equal(mn__watch_sum(w, &text, layer, &all, &diag), MN_OK);
    for (size_t i = 0; i < w->n_full; i++) {
        size_t n0 = kept_set(w, w->full[i], 0, set[0]), n1 = kept_set(w, w->full[i], 1, set[1]),
               late = 0;
        double age = 0;
        for (size_t t = 0; t < N; t++) {
            age += (double)((N - 1 - t) * ((size_t)set[0][t] + (size_t)set[1][t]));
            late += t >= N - N / 10 ? (size_t)set[0][t] + (size_t)set[1][t] : 0;
        }
        assert_int_equal(layer[i].layer, w->full[i]);
        near(layer[i].kept, (double)(n0 + n1) / 2);
        near(layer[i].share, (double)(n0 + n1) / 2 / N);
        near(layer[i].age, age / (double)(n0 + n1));
        near(layer[i].last_tenth, (double)late / (double)(n0 + n1));
        near(layer[i].heads, overlap(set[0], set[1]));
        for (size_t k = 0; k < 3; k++) near(layer[i].lift[k], lift_of(&text, set[0], set[1], k));
        assert_true(isnan(layer[i].lift[3]));
        if (i + 1 == w->n_full) {
            assert_true(isnan(layer[i].next));
            continue;
        }
        kept_set(w, w->full[i + 1], 0, set[2]);
        kept_set(w, w->full[i + 1], 1, set[3]);
        near(layer[i].next, (overlap(set[0], set[2]) + overlap(set[0], set[3]) +
                             overlap(set[1], set[2]) + overlap(set[1], set[3])) /
                                4);
    }
    mn_session_info si;
    mn_session_get_info(w->s, &si);
    near(all.share, si.kept_share);
    assert_true(all.share < 0.9);
    mn__watch_text_free(&text);
    mn_watch_free(w);
}

static void test_figures(void **state)
{
    (void)state;
    static const char *const arch[] = {"llama", "gemma3"};
    for (size_t a = 0; a < 2; a++) {
        tiny_model_params tp;
        tiny_model_default(&tp, arch[a]);
        tp.n_ctx = FIX_TOKENS;
        tp.n_layer = a ? 13 : 4; /* gemma3: two full-attention layers */
        mn_model *m = fix_open(&tp);
        hold_figures(m, "h2o:chunk=64,every=8", "30%");
        hold_figures(m, "adakv:base=snapkv", "25%");
        hold_figures(m, "observed:threshold=0.004,chunk=64", "80%");
        mn_model_free(m);
    }
}

/* All scores of the last drop are in the bins, each on its side of the threshold. */
static void test_scores(void **state)
{
    (void)state;
    mn_diag diag;
    mn__score_bins b;
    mn_model *m = fix_model("llama");
    mn_watch_params p = watch_params("h2o:chunk=64,sinks=4", "100");
    mn_watch *w = open_watch(m, &p);
    read_all(w);
    for (size_t i = 0; i < w->n_full; i++) {
        size_t n[MN__FATE_COUNT] = {0};
        assert_int_equal(mn__watch_scores(w, i, &b, &diag), MN_OK);
        assert_true(b.any && !b.has_threshold && b.hi > b.lo);
        for (size_t f = 0; f < MN__FATE_COUNT; f++)
            for (size_t k = 0; k < MN__SCORE_BINS; k++) n[f] += b.count[f][k];
        assert_true(n[MN__FATE_DROPPED] > 0 && n[MN__FATE_KEPT] > 0 && n[MN__FATE_PROTECTED] > 8);
        assert_int_equal(n[0] + n[1] + n[2] + b.n_infinite,
                         w->lane[2 * i].n_score + w->lane[2 * i + 1].n_score);
    }
    mn_watch_free(w);
    p = watch_params("observed:threshold=0.004,chunk=64", "80%");
    w = open_watch(m, &p);
    read_all(w);
    assert_int_equal(mn__watch_scores(w, 0, &b, &diag), MN_OK);
    assert_true(b.any && b.has_threshold && b.threshold == 0.004);
    assert_true(b.lo <= b.threshold && b.threshold <= b.hi);
    mn_watch_free(w);
    mn_model_free(m);
}

/* ---- chosen tokens ---- */

static void test_again(void **state)
{
    (void)state;
    mn_diag diag;
    mn_model *m = fix_model("llama");
    mn_watch_params p = watch_params("h2o:chunk=64,every=8", "25%");
    mn_watch *w = open_watch(m, &p);
    read_all(w);
    assert_int_equal(mn_watch_again(w, NULL, NULL, &diag), MN_OK);
    assert_int_equal(w->n_watched, 3);
    for (size_t t = 0; t < N; t++)
        assert_true(mn__watch_drawn(w, t) <= mn__watch_drawn(w, w->watched[0].token));
    assert_true(mn__watch_holders(w, w->watched[1].token) > 0);
    assert_int_equal(mn__watch_holders(w, w->watched[2].token), 0);
    /* The second reading is the first: what a series sums to is what the token drew. */
    for (size_t i = 0; i < w->n_watched; i++)
        for (size_t l = 0; l < w->n_lane; l++) {
            const mn__series *s = &w->watched[i].series[l];
            double sum = 0, drawn = (double)w->lane[l].drawn[w->watched[i].token];
            assert_int_equal(s->peak_step, 1);
            for (size_t k = 0; k < s->n_peak; k++) sum += (double)s->peak[k];
            assert_true(drawn > 0 && fabs(sum - drawn) < 1e-4 * drawn);
        }
    /* Asked for from the start, in one reading: the same series. */
    size_t asked = w->watched[2].token;
    p.series = &asked;
    p.n_series = 1;
    mn_watch *once = open_watch(m, &p);
    read_all(once);
    assert_int_equal(mn_watch_again(once, NULL, NULL, &diag), MN_OK);
    assert_int_equal(once->n_watched, 1);
    for (size_t l = 0; l < w->n_lane; l++) {
        const mn__series *x = &once->watched[0].series[l], *y = &w->watched[2].series[l];
        assert_int_equal(x->n_peak, y->n_peak);
        assert_memory_equal(x->peak, y->peak, x->n_peak * sizeof *x->peak);
        assert_memory_equal(x->frame, y->frame, x->n_frame * MN__STFT_BINS * sizeof *x->frame);
    }
    mn_watch_free(once);
    mn_watch_free(w);
    mn_model_free(m);
}

/* Attention of all tokens together is one a query and lane. */
static void test_drawn(void **state)
{
    (void)state;
    mn_model *m = fix_model("gemma3");
    mn_watch_params p = watch_params("full", "");
    mn_watch *w = open_watch(m, &p);
    double sum = 0;
    read_all(w);
    for (size_t t = 0; t < N; t++) sum += mn__watch_drawn(w, t);
    assert_true(fabs(sum - N) < 0.01 * N);
    assert_int_equal(w->n_event, 0);
    mn_watch_free(w);
    mn_model_free(m);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mn__token_kind kind;
    } all[] = {
        {" the", MN__KIND_WORD},
        {"don't", MN__KIND_WORD},
        {"\xc3\xa9t\xc3\xa9", MN__KIND_WORD},
        {" 1799", MN__KIND_NUMBER},
        {"3.14", MN__KIND_NUMBER},
        {".", MN__KIND_PUNCTUATION},
        {" \xe2\x80\x94", MN__KIND_PUNCTUATION},
        {"\xe3\x80\x82", MN__KIND_PUNCTUATION},
        {" ==", MN__KIND_CODE},
        {"{\n", MN__KIND_CODE},
        {"    ", MN__KIND_SPACE},
        {"\n\n", MN__KIND_NEWLINE},
        {" \n", MN__KIND_NEWLINE},
        {"\xe6\x9c", MN__KIND_PART},
        {"", MN__KIND_CONTROL},
        {"\xe6\x9c\xac", MN__KIND_WORD},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (mn__token_kind_of(all[i].text, strlen(all[i].text)) != all[i].kind)
            fail_msg("'%s' is %s", all[i].text,
                     mn__token_kind_name[mn__token_kind_of(all[i].text, strlen(all[i].text))]);
}

/* ---- what is refused ---- */

static void refuse(const mn_model *m, const mn_watch_params *p, mn_status want, const char *says)
{
    mn_diag diag = {""};
    mn_watch *w = NULL;
    mn_status st = mn_watch_new(&w, m, p, &diag);
    if (st != want || !strstr(diag.text, says)) fail_msg("%s", diag.text);
    assert_null(w);
}

static void test_refused(void **state)
{
    (void)state;
    mn_diag diag = {""};
    const float *logits;
    size_t beyond[9] = {N, 0, 0, 0, 0, 0, 0, 0, 0}, before = fix_total();
    mn_model *m = fix_model("llama");
    mn_watch_params p = watch_params("h2o", "");
    refuse(m, &p, MN_EUSAGE, "budget");
    p = watch_params("full", "");
    p.max_token = 0;
    refuse(m, &p, MN_EUSAGE, "no tokens");
    p = watch_params("full", "");
    p.series = beyond;
    p.n_series = 1;
    refuse(m, &p, MN_EUSAGE, "beyond");
    p.n_series = 9;
    refuse(m, &p, MN_EUSAGE, "at most 8");
    p = watch_params("full", "");
    p.page = "/nowhere/at/all.html";
    refuse(m, &p, MN_EIO, "/nowhere/at/all.html");
    p.page = tiny_model_path("watch.html");
    p.chart_js = "/nowhere/chart.js";
    refuse(m, &p, MN_EINPUT, "libjs-chart.js");
    p = watch_params("full", "");
    p.max_token = 20;
    mn_watch *w = open_watch(m, &p);
    assert_int_equal(mn_watch_read(w, fix_text(), 21, &logits, NULL, NULL, &diag), MN_ERANGE);
    assert_int_equal(mn_watch_read(w, fix_text(), 20, &logits, NULL, NULL, &diag), MN_OK);
    assert_int_equal(mn_watch_read(w, fix_text(), 1, &logits, NULL, NULL, &diag), MN_EUSAGE);
    assert_int_equal(mn_watch_step(w, fix_text()[0], &logits, &diag), MN_ERANGE);
    assert_int_equal(mn_watch_write_page(w, &diag), MN_EUSAGE);
    mn_watch_free(w);
    mn_model_free(m);
    assert_int_equal(fix_total(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures), cmocka_unit_test(test_scores),
        cmocka_unit_test(test_again),   cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
