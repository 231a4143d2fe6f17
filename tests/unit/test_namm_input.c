/* test_namm_input.c: each group of inputs against its definition, on lanes that have lost different
 * tokens. */
#include "namm_fixture.h"

#include "policy/namm_input.h"

enum { FIRST = 100, SECOND = 37, ALL_TOKENS = FIRST + SECOND, LANES = 6 };

/* A cache of three layers whose lanes hold different numbers of different tokens, under a policy
 * with these inputs. */
struct scene {
    struct nf nf;
    struct pf f;
    mn__namm_input *input;
    mn__score_lane lane[LANES];
    float *x[LANES], *room[LANES];
};

static void start_strided(struct scene *s, const char *groups, size_t stride, bool by_length,
                          int n_thread)
{
    memset(s, 0, sizeof *s);
    nf_init(&s->nf, groups, 1);
    s->nf.namm.stride = stride;
    s->nf.namm.spectrum.by_length = by_length;
    s->nf.namm.spectrum.corrected = true;
    s->f = pf_random(3);
    s->f.n_thread = n_thread;
    pf_open(&s->f, nf_spec(&s->nf, "chunk=0,alloc=global,state=f32,recent=3"), "40");
    pf_feed(&s->f, FIRST);
    assert_int_equal(pf_evict(&s->f, MN__EVENT_PROMPT_END), MN_OK);
    pf_feed(&s->f, SECOND);
    if (mn__namm_input_new(&s->input, &s->nf.namm, false, &s->f.diag) != MN_OK)
        fail_msg("%s", s->f.diag.text);
}

static void start(struct scene *s, const char *groups, bool by_length, int n_thread)
{
    start_strided(s, groups, 1, by_length, n_thread);
}

static void stop(struct scene *s)
{
    for (size_t l = 0; l < LANES; l++) {
        mn__free(s->x[l]);
        mn__free(s->room[l]);
    }
    mn__namm_input_free(s->input);
    pf_close(&s->f);
}

static void fill_crew(const mn__crew *crew, void *arg)
{
    struct scene *s = arg;
    float *scratch = mn__alloc(
        MN_MEM_OTHER, sizeof(float) * mn__namm_scratch_floats(s->input, &s->f.shape, ALL_TOKENS));
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < LANES;)
        mn__namm_input_look(s->input, &s->lane[l].view, s->room[l], scratch);
    mn__crew_meet(crew);
    mn__namm_input_share(s->input, crew, s->lane, LANES);
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < LANES;)
        mn__namm_input_fill(s->input, &s->lane[l].view, s->room[l], s->x[l], scratch);
    mn__free(scratch);
}

static const mn__lane *lane_of(const struct scene *s, size_t l)
{
    return mn__cache_lane(s->f.cache, l / 2, l % 2);
}

static void fill(struct scene *s)
{
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(s, l);
        s->x[l] = mn__alloc(MN_MEM_OTHER, lane->n * s->nf.namm.net.n_in * sizeof(float));
        s->room[l] =
            mn__alloc(MN_MEM_OTHER, mn__namm_room_floats(s->input, lane->n) * sizeof(float));
        s->lane[l].view = (mn__score_view){.cache = s->f.cache,
                                           .layer = l / 2,
                                           .head = l % 2,
                                           .n = lane->n,
                                           .token = mn__lane_token(lane),
                                           .state = lane->state.data,
                                           .softmax_scale = s->f.env.softmax_scale,
                                           .gram = s->f.gram,
                                           .scratch = s->room[l]};
    }
    mn__team_run(s->f.team, fill_crew, s);
}

/* Column of the group by its place. */
static double column(const struct scene *s, size_t l, size_t i, size_t c)
{
    return (double)s->x[l][i * s->nf.namm.net.n_in + c];
}

static void near_log(double want, float mass, double found, const char *what, size_t i)
{
    double x = log(want * (double)mass + 1e-3);
    if (fabs(x - found) > 2e-4) fail_msg("%s of slot %zu: %g wanted, %g found", what, i, x, found);
}

/* ---- definitions ---- */

/* Mean attention of the last n_row queries to the lane's slots, over the heads of the group. */
static void recent(const struct scene *s, size_t l, int64_t n_row, double *out)
{
    const mn__lane *lane = lane_of(s, l);
    double row[ALL_TOKENS];
    memset(out, 0, lane->n * sizeof *out);
    for (int64_t t = ALL_TOKENS - n_row; t < ALL_TOKENS; t++)
        for (size_t g = 0; g < 2; g++) {
            pf_attention(&s->f, l / 2, l % 2 * 2 + g, t, mn__lane_token(lane), lane->n, row);
            for (size_t i = 0; i < lane->n; i++) out[i] += row[i] / (2 * (double)n_row);
        }
}

/* Mean over lanes [first, last) that hold the token; scaled: each normalised to sum 1. */
static double over_lanes(const struct scene *s, int32_t token, size_t first, size_t last,
                         double (*const paid)[ALL_TOKENS], bool scaled)
{
    double sum = 0, count = 0;
    for (size_t l = first; l < last; l++) {
        const mn__lane *lane = lane_of(s, l);
        double all = 0;
        for (size_t i = 0; i < lane->n; i++) all += paid[l][i];
        for (size_t i = 0; i < lane->n; i++)
            if (mn__lane_token(lane)[i] == token) {
                sum += paid[l][i] / (scaled ? all : 1);
                count++;
            }
    }
    return sum / count;
}

static double pooled(const double *x, size_t n, size_t i)
{
    double top = -INFINITY;
    for (size_t j = i > 3 ? i - 3 : 0; j < n && j <= i + 3; j++) top = fmax(top, x[j]);
    return top;
}

/* paid [lane][slot]; five columns from c on: own, own pooled, layer, layer pooled, all, all pooled;
 * those that `has` names by a bit. */
static void hold_spreads(const struct scene *s, double (*const paid)[ALL_TOKENS], unsigned has,
                         size_t c, bool is_scaled, const char *what)
{
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(s, l);
        double spread[3][ALL_TOKENS];
        float mass = is_scaled ? 1 : (float)lane->n;
        for (size_t i = 0; i < lane->n; i++) {
            int32_t token = mn__lane_token(lane)[i];
            spread[0][i] = paid[l][i];
            spread[1][i] = over_lanes(s, token, l / 2 * 2, l / 2 * 2 + 2, paid, false);
            spread[2][i] = over_lanes(s, token, 0, LANES, paid, true);
        }
        for (size_t i = 0; i < lane->n; i++)
            for (unsigned k = 0, at = 0; k < 6; k++) {
                if (!(has >> k & 1)) continue;
                double want = k % 2 ? pooled(spread[k / 2], lane->n, i) : spread[k / 2][i];
                near_log(want, mass, column(s, l, i, c + at), what, i);
                at++;
            }
    }
}

static void is_ragged(const struct scene *s)
{
    size_t lo = SIZE_MAX, hi = 0;
    for (size_t l = 0; l < LANES; l++) {
        size_t n = lane_of(s, l)->n;
        lo = n < lo ? n : lo;
        hi = n > hi ? n : hi;
    }
    assert_true(hi > lo + 3 && lo > SECOND);
}

static void test_recent_attention(void **state)
{
    (void)state;
    static double w16[LANES][ALL_TOKENS], row[LANES][ALL_TOKENS], w64[LANES][ALL_TOKENS];
    for (int threads = 1; threads <= 3; threads += 2) {
        struct scene s;
        start(&s, "w16 w16.p w16.s w16.sp w16.g w16.gp row row.p row.g row.gp w64 w64.s w64.sp",
              false, threads);
        is_ragged(&s);
        fill(&s);
        for (size_t l = 0; l < LANES; l++) {
            recent(&s, l, 16, w16[l]);
            recent(&s, l, 1, row[l]);
            recent(&s, l, 64, w64[l]);
        }
        hold_spreads(&s, w16, 63, 0, false, "w16");
        hold_spreads(&s, row, 60, 6, false, "row");
        hold_spreads(&s, w64, 1 + 4 + 8, 10, false, "w64");
        stop(&s);
    }
}

/* Attention that the slots of lane l, as they live now, were paid by query t: the lane lost tokens
 * after FIRST queries. */
static void paid_by(const struct scene *s, size_t l, int64_t t, double *out)
{
    const mn__lane *lane = lane_of(s, l);
    const int32_t *token = mn__lane_token(lane);
    int32_t whole[FIRST];
    double row[ALL_TOKENS];
    for (int32_t k = 0; k < FIRST; k++) whole[k] = k;
    memset(out, 0, lane->n * sizeof *out);
    for (size_t g = 0; g < 2; g++) {
        if (t < FIRST)
            pf_attention(&s->f, l / 2, l % 2 * 2 + g, t, whole, FIRST, row);
        else
            pf_attention(&s->f, l / 2, l % 2 * 2 + g, t, token, lane->n, row);
        for (size_t i = 0; i < lane->n && token[i] <= t; i++)
            out[i] += row[t < FIRST ? (size_t)token[i] : i] / 2;
    }
}

/* Tokens that query t could see in lane l. */
static double length_at(const struct scene *s, size_t l, int64_t t)
{
    const mn__lane *lane = lane_of(s, l);
    size_t n = 0;
    if (t < FIRST) return (double)(t + 1);
    while (n < lane->n && mn__lane_token(lane)[n] <= t) n++;
    return (double)n;
}

static void hold_means(bool by_length)
{
    static double dc[LANES][ALL_TOKENS], observed[LANES][ALL_TOKENS];
    struct scene s;
    start(&s, "dc dc.s dc.sp observed observed.s observed.sp", by_length, 2);
    double gamma = s.nf.namm.spectrum.gamma;
    fill(&s);
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(&s, l);
        double p[ALL_TOKENS], ema[ALL_TOKENS] = {0}, sum[ALL_TOKENS] = {0};
        assert_int_equal(s.f.shape.slot_bytes, 8);
        for (int64_t t = 0; t < ALL_TOKENS; t++) {
            double scale = by_length ? length_at(&s, l, t) : 1;
            paid_by(&s, l, t, p);
            for (size_t i = 0; i < lane->n; i++) {
                ema[i] = gamma * ema[i] + (1 - gamma) * p[i] * scale;
                sum[i] += p[i];
            }
        }
        for (size_t i = 0; i < lane->n; i++) {
            int32_t age = ALL_TOKENS - mn__lane_token(lane)[i];
            dc[l][i] = ema[i] / (1 - pow(gamma, age));
            observed[l][i] = sum[i] / age;
        }
    }
    hold_spreads(&s, dc, 1 + 4 + 8, 0, by_length, "dc");
    hold_spreads(&s, observed, 1 + 4 + 8, 3, false, "observed");
    stop(&s);
}

/* Queries of the stretches 0, 2 and 4 of 32 tokens alone; the newest tokens may have seen none. */
static void test_observed_in_part(void **state)
{
    (void)state;
    static double observed[LANES][ALL_TOKENS];
    struct scene s;
    start_strided(&s, "observed observed.s observed.sp", 2, true, 2);
    fill(&s);
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(&s, l);
        double p[ALL_TOKENS], sum[ALL_TOKENS] = {0}, n[ALL_TOKENS] = {0};
        for (int64_t t = 0; t < ALL_TOKENS; t++) {
            if (t / 32 % 2) continue;
            paid_by(&s, l, t, p);
            for (size_t i = 0; i < lane->n; i++) {
                sum[i] += p[i];
                n[i] += t >= mn__lane_token(lane)[i];
            }
        }
        for (size_t i = 0; i < lane->n; i++) observed[l][i] = n[i] > 0 ? sum[i] / n[i] : 0;
    }
    hold_spreads(&s, observed, 1 + 4 + 8, 0, false, "observed in part");
    stop(&s);
}

static void test_running_means(void **state)
{
    (void)state;
    hold_means(false);
    hold_means(true);
}

static double norm_of(const struct scene *s, pf_value row, size_t l, int32_t token)
{
    double sum = 0;
    for (size_t c = 0; c < s->f.d; c++) {
        double x = row(l / 2, l % 2, token, c);
        sum += x * x;
    }
    return 0.5 * log(sum);
}

static void test_norms_and_ages(void **state)
{
    (void)state;
    struct scene s;
    start(&s, "knorm age vnorm recency", false, 1);
    assert_int_equal(s.f.shape.slot_bytes, 0);
    assert_int_equal(s.f.shape.n_query_ring, 0);
    fill(&s);
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(&s, l);
        double mean[2] = {0};
        for (size_t i = 0; i < lane->n; i++) {
            mean[0] += norm_of(&s, s.f.k, l, mn__lane_token(lane)[i]) / (double)lane->n;
            mean[1] += norm_of(&s, s.f.v, l, mn__lane_token(lane)[i]) / (double)lane->n;
        }
        for (size_t i = 0; i < lane->n; i++) {
            int32_t token = mn__lane_token(lane)[i];
            double age = ALL_TOKENS - 1 - token, n = ALL_TOKENS, slow = age / sqrt(1000);
            const double want[9] = {norm_of(&s, s.f.k, l, token) - mean[0],
                                    sin(age),
                                    sin(slow),
                                    cos(age),
                                    cos(slow),
                                    norm_of(&s, s.f.v, l, token) - mean[1],
                                    log(1 + age) / 4 - 1,
                                    2 * age / n - 1,
                                    log(n) / 2 - 3.5};
            for (size_t c = 0; c < 9; c++) assert_true(fabs(column(&s, l, i, c) - want[c]) < 1e-5);
        }
    }
    stop(&s);
}

/* log |Wo[h] v|_2, the group's mean, without a Gram matrix. */
static double output_norm(const struct scene *s, size_t l, int32_t token)
{
    const struct pf *f = &s->f;
    const size_t n_group = f->n_head / f->n_kv_head;
    double sum = 0;
    for (size_t h = l % 2 * n_group; h < (l % 2 + 1) * n_group; h++) {
        double square = 0;
        for (size_t a = 0; a < 16; a++) {
            double dot = 0;
            for (size_t c = 0; c < f->d; c++)
                dot += pf_output(f, h, a, c) * f->v(l / 2, l % 2, token, c);
            square += dot * dot;
        }
        sum += sqrt(square);
    }
    return log(sum / (double)n_group);
}

static void test_output_norms(void **state)
{
    (void)state;
    struct scene s;
    start(&s, "knorm onorm vnorm", false, 2);
    assert_non_null(s.f.gram);
    fill(&s);
    for (size_t l = 0; l < LANES; l++) {
        const mn__lane *lane = lane_of(&s, l);
        double mean = 0;
        for (size_t i = 0; i < lane->n; i++)
            mean += output_norm(&s, l, mn__lane_token(lane)[i]) / (double)lane->n;
        for (size_t i = 0; i < lane->n; i++) {
            const double want = output_norm(&s, l, mn__lane_token(lane)[i]) - mean;
            assert_true(fabs(column(&s, l, i, 1) - want) < 1e-3);
        }
    }
    stop(&s);
}

/* -cos of a token's key (values: value) and the mean of the lane's unit vectors. */
static double unlike(const struct scene *s, size_t l, bool values, size_t at)
{
    const mn__lane *lane = lane_of(s, l);
    const size_t d = s->f.d;
    double unit[ALL_TOKENS][PF_DIM], mean[PF_DIM] = {0}, norm = 0, dot = 0;
    for (size_t i = 0; i < lane->n; i++) {
        double square = 0;
        pf_row(&s->f, values ? s->f.v : s->f.k, l / 2, l % 2, mn__lane_token(lane)[i], !values,
               unit[i]);
        for (size_t c = 0; c < d; c++) square += unit[i][c] * unit[i][c];
        for (size_t c = 0; c < d; c++) mean[c] += (unit[i][c] /= sqrt(square));
    }
    for (size_t c = 0; c < d; c++) {
        norm += mean[c] * mean[c];
        dot += mean[c] * unit[at][c];
    }
    return -dot / sqrt(norm);
}

static void test_unlike_the_others(void **state)
{
    (void)state;
    struct scene s;
    start(&s, "vdiff age kdiff", false, 2);
    fill(&s);
    for (size_t l = 0; l < LANES; l++)
        for (int values = 0; values < 2; values++) {
            const mn__lane *lane = lane_of(&s, l);
            const size_t at = values ? 0 : s.nf.namm.net.n_in - 1;
            double mean = 0, spread = 0;
            for (size_t i = 0; i < lane->n; i++) mean += unlike(&s, l, values, i) / (double)lane->n;
            for (size_t i = 0; i < lane->n; i++) {
                const double want = unlike(&s, l, values, i) - mean;
                assert_true(fabs(column(&s, l, i, at) - want) < 1e-5);
                spread += fabs(want);
            }
            assert_true(spread > 0.1);
        }
    stop(&s);
}

/* Statistics of the file are applied to each column. */
static void test_standardised(void **state)
{
    (void)state;
    struct scene plain, s;
    start(&plain, "age spectrum", false, 1);
    fill(&plain);
    start(&s, "age spectrum", false, 1);
    size_t E = s.nf.namm.net.n_in;
    for (size_t e = 0; e < E; e++) {
        s.nf.mean[e] = 0.1f * (float)e;
        s.nf.deviation[e] = 1 + 0.5f * (float)e;
    }
    fill(&s);
    double moved = 0;
    for (size_t i = 0; i < lane_of(&s, 3)->n; i++)
        for (size_t e = 0; e < E; e++) {
            double want =
                (column(&plain, 3, i, e) - (double)s.nf.mean[e]) / (double)s.nf.deviation[e];
            assert_true(fabs(column(&s, 3, i, e) - want) < 1e-6);
            moved += fabs(want - column(&plain, 3, i, e));
        }
    assert_true(moved > 1);
    stop(&plain);
    stop(&s);
}

static void refuse(const struct nf *n, const char *sentence)
{
    mn_diag diag = {""};
    mn__namm_input *in = NULL;
    assert_int_equal(mn__namm_input_new(&in, &n->namm, true, &diag), MN_EINPUT);
    assert_null(in);
    if (!strstr(diag.text, sentence)) fail_msg("`%s` is not in `%s`", sentence, diag.text);
}

static void test_refused(void **state)
{
    (void)state;
    struct nf n;
    nf_init(&n, "age spectrun", 1);
    refuse(&n, "`spectrum`?");
    nf_init(&n, "age w16.s age", 1);
    refuse(&n, "twice");
    nf_init(&n, "w16.s row", 1);
    n.namm.net.n_in = 3;
    refuse(&n, "reads 3 columns, its inputs have 2");
    nf_init(&n, "age", 1);
    n.namm.age_dim = 0;
    n.namm.net.n_in = 0;
    refuse(&n, "age");
    nf_init(&n, "spectrum", 1);
    n.namm.spectrum.window = 7;
    n.namm.net.n_in = 4;
    refuse(&n, "7 found");
    n.namm.n_group = 0;
    refuse(&n, "0 found");
    assert_int_equal(mn__namm_group_dims(&n.namm, "row.gp"), 1);
    assert_int_equal(mn__namm_group_dims(&n.namm, "row.gq"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recent_attention), cmocka_unit_test(test_running_means),
        cmocka_unit_test(test_observed_in_part), cmocka_unit_test(test_norms_and_ages),
        cmocka_unit_test(test_output_norms),     cmocka_unit_test(test_unlike_the_others),
        cmocka_unit_test(test_standardised),     cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
