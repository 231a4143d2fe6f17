/* test_raters.c: losses of candidates, with the model and without it. */
#include "evolve/rater_retained.h"
#include "evolve/rater_trial.h"

#include "base/cpu.h"
#include "eval/grade.h"
#include "eval/trial.h"
#include "rater_fixture.h"
#include "model/model.h"
#include <unistd.h>

enum { P = 3 };

/* ---- in the model ---- */

static mn__trial_rater_params params_of(const ev_fixture *f, const char *const *budget,
                                        size_t n_budget)
{
    return (mn__trial_rater_params){.model = f->m,
                                    .session = ev_session(1),
                                    .policy = f->policy,
                                    .budget = budget,
                                    .n_budget = n_budget,
                                    .deck = ev_deck(f),
                                    .population = P,
                                    .n_worker = 2,
                                    .max_gold = 6,
                                    .bank_bytes = (size_t)1 << 30};
}

static mn__rater make_rater(const mn__trial_rater_params *p)
{
    mn__rater r;
    mn_diag diag = {""};
    if (mn__trial_rater_new(&r, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(r.n_item, EV_PROMPTS);
    return r;
}

static double *draw_some(const ev_fixture *f, size_t n)
{
    double *x = malloc(n * f->n_param * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n * f->n_param; i++) x[i] = mn__rng_normal(4, 1, i, 0);
    return x;
}

static double *draw(const ev_fixture *f)
{
    return draw_some(f, P);
}

static void rate(const mn__rater *r, size_t worker, uint64_t item, const double *x, size_t n,
                 mn__rating *out)
{
    mn_diag diag = {""};
    if (r->rate(r->ctx, worker, item, x, n, out, &diag) != MN_OK) fail_msg("%s", diag.text);
}

/* A loss does not depend on worker, company, or what was rated before. */
static void test_alone_and_together(void **state)
{
    (void)state;
    static const char *const budget[] = {"30%", "60%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw(f);
    for (int context = 0; context < 2; context++) {
        mn__trial_rater_params p = params_of(f, budget, 2);
        p.evict_context = context;
        mn__rater r = make_rater(&p);
        mn__rating all[P], one, again[P];
        rate(&r, 0, 1, x, P, all);
        rate(&r, 1, 2, x, P, again);
        rate(&r, 1, 1, x + f->n_param, 1, &one);
        rate(&r, 0, 1, x, P, again);
        assert_memory_equal(all, again, sizeof all);
        assert_memory_equal(&one, &all[1], sizeof one);
        assert_true(all[0].loss > 0 && all[0].loss != all[1].loss);
        assert_float_equal(all[0].kept_share, 0.45, 0.02);
        r.free(r.ctx);
    }
    free(x);
    ev_drop(f);
}

/* Of more candidates than a population each is rated as in a population. */
static void test_more_than_a_population(void **state)
{
    enum { MANY = 3 * P + 1 };
    (void)state;
    static const char *const budget[] = {"30%", "60%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw_some(f, MANY);
    for (int loss = 0; loss < MN_EVOLVE_LOSS_COUNT; loss++) {
        mn__trial_rater_params p = params_of(f, budget, 2);
        p.loss = (mn_evolve_loss)loss;
        p.max_new = 5;
        mn__rater r = make_rater(&p);
        mn__rating all[MANY], some[P];
        rate(&r, 0, 1, x, MANY, all);
        for (size_t k = 0; k < MANY; k += P) {
            const size_t n = MANY - k < P ? MANY - k : P;
            rate(&r, 1, 1, x + k * f->n_param, n, some);
            assert_memory_equal(some, all + k, n * sizeof *some);
        }
        for (size_t i = 0; i < MANY; i++)
            assert_true(!isnan(all[i].loss) && all[i].kept_share > 0.4 && all[i].kept_share < 0.5);
        r.free(r.ctx);
    }
    free(x);
    ev_drop(f);
}

/* Nor are there more sessions side by side than a trial has room for. */
static void test_more_than_side_by_side(void **state)
{
    enum { MANY = MN__TRIAL_SIDES + 4 };
    (void)state;
    static const char *const budget[] = {"30%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw_some(f, MANY);
    mn__trial_rater_params p = params_of(f, budget, 1);
    mn__rating all[MANY], some[MANY];
    p.population = MANY;
    mn__rater many = make_rater(&p);
    p.population = MANY / 4;
    mn__rater few = make_rater(&p);
    rate(&many, 0, 1, x, MANY, all);
    rate(&few, 0, 1, x, MANY, some);
    assert_memory_equal(all, some, sizeof all);
    assert_true(all[0].loss > 0 && all[MANY - 1].loss > 0 && all[0].loss != all[MANY - 1].loss);
    many.free(many.ctx);
    few.free(few.ctx);
    free(x);
    ev_drop(f);
}

/* The loss is that of the policy with these parameters in its file. */
static void test_as_the_file(void **state)
{
    (void)state;
    static const char *const budget[] = {"30%"};
    ev_fixture *f = ev_make("mlp");
    mn_diag diag = {""};
    double *x = draw(f);
    const mn__trial_rater_params p = params_of(f, budget, 1);
    mn__rating by_set, by_file;
    mn__rater r = make_rater(&p);
    rate(&r, 0, 0, x, 1, &by_set);
    r.free(r.ctx);
    for (size_t i = 0; i < f->n_param; i++) f->namm->param[i] = (float)x[i];
    assert_int_equal(mn__namm_write(f->namm, f->file, &diag), MN_OK);
    r = make_rater(&p);
    for (size_t i = 0; i < f->n_param; i++) x[i] = (double)f->namm->param[i];
    rate(&r, 0, 0, x, 1, &by_file);
    r.free(r.ctx);
    assert_memory_equal(&by_set, &by_file, sizeof by_set);
    free(x);
    ev_drop(f);
}

/* Everything kept loses nothing; parameters that are none lose, though they keep everything. */
static void test_bounds(void **state)
{
    (void)state;
    static const char *const whole[] = {"100%"}, *const half[] = {"50%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw(f);
    mn__rating out[P];
    for (int loss = MN_EVOLVE_LOSS_KL; loss <= MN_EVOLVE_LOSS_NLL; loss++) {
        mn__trial_rater_params p = params_of(f, whole, 1);
        p.loss = (mn_evolve_loss)loss;
        mn__rater r = make_rater(&p);
        rate(&r, 0, 0, x, P, out);
        for (int i = 0; i < P; i++) assert_float_equal(out[i].loss, 0, 1e-6);
        r.free(r.ctx);
    }
    mn__trial_rater_params p = params_of(f, half, 1);
    p.loss = MN_EVOLVE_LOSS_METRIC;
    p.max_new = 5;
    mn__rater r = make_rater(&p);
    x[f->n_param] = NAN;
    rate(&r, 0, 0, x, P, out);
    assert_true(isnan(out[1].loss));
    assert_in_range(out[0].loss * 1000, 0, 1000);
    r.free(r.ctx);
    free(x);
    ev_drop(f);
}

/* What the rater is asked for, with the gold answer and beside the full cache. */
static double by_hand(const ev_fixture *f, const mn__trial_rater_params *p, uint64_t item)
{
    const mn__case c = {.policy = p->policy, .budget = p->budget[0]};
    const mn__trial_params tp = {.model = f->m,
                                 .session = p->session,
                                 .cases = &c,
                                 .n_case = 1,
                                 .evict_context = p->evict_context};
    const mn__ask_params ap = {
        .model = f->m, .n_ctx = EV_CTX, .max_new = p->max_new, .max_gold = p->max_gold};
    const mn__tokens tokens = mn__model_tokens(f->m);
    mn__deck_params dp = ev_deck(f);
    mn__deck *deck;
    mn__trial *t;
    mn__row row = {0};
    mn__ask ask, bare = {0};
    mn__grader g;
    mn__outcome o = {0};
    mn_diag diag = {""};
    bool found = false, want = true;
    double score;
    dp.source.tokens = &tokens;
    assert_int_equal(mn__deck_open(&deck, &dp, &diag), MN_OK);
    assert_int_equal(mn__deck_get_row(deck, item, &row, &found, &diag), MN_OK);
    assert_int_equal(mn__ask_make(&ask, f->ref.task, &row, &ap, &diag), MN_OK);
    if (mn__trial_new(&t, &tp, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn__trial_run(t, f->ref.task, &ask, &bare, &want, &o, &diag), MN_OK);
    assert_int_equal(mn__grader_open(&g, f->ref.task, NULL, &diag), MN_OK);
    assert_int_equal(mn__grade(&g, &row, &ask, &o, &score, &diag), MN_OK);
    assert_true(o.n_gold > 1);
    mn__grader_close(&g);
    mn__outcome_free(&o);
    mn__trial_free(t);
    mn__ask_free(&ask);
    mn__row_free(&row);
    mn__deck_close(deck);
    return 1 - score;
}

/* Rows to choose in, beside those to be answered. */
static void write_choices(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int row = 0; row < EV_PROMPTS; row++) {
        fprintf(file, "{\"context\":\"");
        for (int i = 0; i < 30; i++) fprintf(file, "hello %d the wide world ", (i * i + row) % 97);
        fprintf(file, "\",\"continuations\":[\"the wide sea %d\",\"hello world\"],\"gold\":%d}\n",
                row, row % 2);
    }
    fclose(file);
}

/* By the metric a candidate loses what the model with its file does. */
static void test_metric(void **state)
{
    (void)state;
    static const char *const budget[] = {"60%"}, *const metric[] = {"rouge_l_chars",
                                                                    "accuracy_norm"};
    ev_fixture *f = ev_make("linear");
    double *x = draw(f), sum = 0;
    for (size_t i = 0; i < f->n_param; i++) x[i] = (double)f->namm->param[i];
    mn__trial_rater_params p = params_of(f, budget, 1);
    p.loss = MN_EVOLVE_LOSS_METRIC;
    p.max_new = 12;
    for (int k = 0; k < 4; k++) {
        p.evict_context = k % 2;
        if (k == 2) write_choices(f->rows);
        mn__own_task_init(&f->own, f->rows, metric[k / 2], k < 2 ? NULL : "{context}\n\n", 8);
        mn__rater r = make_rater(&p);
        for (uint64_t item = 0; item < EV_PROMPTS; item++) {
            mn__rating out[P];
            rate(&r, 0, item, x, P, out);
            const double want = by_hand(f, &p, item);
            assert_memory_equal(&out[0].loss, &want, sizeof want);
            sum += want;
        }
        assert_true(sum > 0 && sum < EV_PROMPTS * (k + 1));
        r.free(r.ctx);
    }
    free(x);
    ev_drop(f);
}

static bool count_polls(void *ctx)
{
    ++*(size_t *)ctx;
    return false;
}

/* It takes no step but to write: none for a first token, behind a reading that is kept. */
static void test_metric_steps(void **state)
{
    (void)state;
    static const char *const budget[] = {"60%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw(f);
    size_t n_poll = 0;
    mn__rating out[P];
    mn__trial_rater_params p = params_of(f, budget, 1);
    p.stop = count_polls;
    p.stop_ctx = &n_poll;
    p.loss = MN_EVOLVE_LOSS_METRIC;
    p.max_new = 1;
    mn__rater r = make_rater(&p);
    rate(&r, 0, 0, x, P, out);
    assert_true(n_poll > 0);
    n_poll = 0;
    rate(&r, 0, 0, x, P, out);
    assert_int_equal(n_poll, 0);
    r.free(r.ctx);
    free(x);
    ev_drop(f);
}

/* A policy that forgets while it reads is rated too: fidelity c. */
static void test_reading(void **state)
{
    (void)state;
    static const char *const budget[] = {"64"};
    ev_fixture *f = ev_make("paper");
    double *x = draw(f);
    mn__rating out[P], again[P];
    char policy[700];
    snprintf(policy, sizeof policy, "namm:file=%s,chunk=64,rule=topk", f->file);
    mn__trial_rater_params p = params_of(f, budget, 1);
    p.policy = policy;
    mn__rater r = make_rater(&p);
    rate(&r, 0, 3, x, P, out);
    rate(&r, 1, 3, x, P, again);
    assert_memory_equal(out, again, sizeof out);
    assert_true(out[0].loss > 0 && out[0].kept_share < 0.7);
    r.free(r.ctx);
    free(x);
    ev_drop(f);
}

static void test_nothing_to_evolve(void **state)
{
    (void)state;
    static const char *const budget[] = {"30%"};
    ev_fixture *f = ev_make("linear");
    mn__rater r;
    mn_diag diag = {""};
    mn__trial_rater_params p = params_of(f, budget, 1);
    p.policy = "h2o";
    assert_int_equal(mn__trial_rater_new(&r, &p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "h2o has nothing to evolve"));
    ev_drop(f);
}

/* ---- readings that are kept ---- */

static bool stop(void *ctx)
{
    return *(bool *)ctx;
}

static void test_bank(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    const char *also = f->policy;
    const int32_t *token = fix_text();
    mn_diag diag = {""};
    mn__based a, b, c;
    bool now = true;
    mn__bank *bank = NULL;
    mn__bank_params p = {
        .model = f->m, .session = ev_session(1), .also = &also, .n_also = 1, .max_bytes = 1 << 30};
    assert_int_equal(mn__bank_new(&bank, &p, &diag), MN_OK);
    assert_int_equal(mn__bank_take(bank, token, 200, NULL, NULL, &a, &diag), MN_OK);
    assert_int_equal(mn__bank_take(bank, token, 200, NULL, NULL, &b, &diag), MN_OK);
    assert_ptr_not_equal(a.session, b.session); /* in use */
    assert_memory_equal(a.logits, b.logits, f->m->n_vocab * sizeof(float));
    mn__bank_give(bank, a.session);
    assert_int_equal(mn__bank_take(bank, token, 200, NULL, NULL, &c, &diag), MN_OK);
    assert_ptr_equal(a.session, c.session);
    assert_int_equal(mn__bank_take(bank, token, 600, stop, &now, &c, &diag), MN_ECANCEL);
    mn__bank_info info = mn__bank_get_info(bank);
    assert_int_equal(info.n_read, 2);
    assert_int_equal(info.n_found, 1);
    assert_int_equal(info.n_kept, 2);
    assert_true(info.bytes > 2 * 200 * 4);
    mn__bank_give(bank, a.session);
    mn__bank_give(bank, b.session);
    mn__bank_free(bank);

    p.max_bytes = info.bytes / 2 + 64; /* room for one */
    assert_int_equal(mn__bank_new(&bank, &p, &diag), MN_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mn__bank_take(bank, token + i, 200, NULL, NULL, &a, &diag), MN_OK);
        mn__bank_give(bank, a.session);
    }
    assert_int_equal(mn__bank_get_info(bank).n_kept, 1);
    assert_int_equal(mn__bank_take(bank, token + 2, 200, NULL, NULL, &b, &diag), MN_OK);
    assert_int_equal(mn__bank_get_info(bank).n_found, 1);
    mn__bank_give(bank, b.session);
    mn__bank_free(bank);
    ev_drop(f);
}

/* Readings beyond the limit come back from files as they were; a damaged file is read anew. */
static void test_bank_files(void **state)
{
    (void)state;
    static const char *const budget[] = {"30%"};
    ev_fixture *f = ev_make("linear");
    double *x = draw(f);
    mn_diag diag = {""};
    char folder[512], command[640];
    mn__rating kept[3][P], again[P];
    snprintf(folder, sizeof folder, "%s", tiny_model_path("readings"));
    mn__trial_rater_params p = params_of(f, budget, 1);
    mn__rater r = make_rater(&p);
    for (uint64_t i = 0; i < 3; i++) rate(&r, 0, i, x, P, kept[i]);
    r.free(r.ctx);
    p.bank_bytes = 1;
    p.bank_folder = folder;
    r = make_rater(&p);
    for (int turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < 3; i++) {
            rate(&r, i % 2, i, x, P, again);
            assert_memory_equal(kept[i], again, sizeof again);
        }
        snprintf(command, sizeof command, "for f in %s/*; do echo damaged > $f; done", folder);
        if (turn == 1) assert_int_equal(system(command), 0);
    }
    r.free(r.ctx);
    assert_int_equal(access(folder, F_OK), -1); /* nothing is left */

    const int32_t *token = fix_text();
    const char *also = f->policy;
    mn__based a;
    mn__bank *bank = NULL;
    const mn__bank_params bp = {.model = f->m,
                                .session = ev_session(1),
                                .also = &also,
                                .n_also = 1,
                                .max_bytes = 1,
                                .folder = folder};
    assert_int_equal(mn__bank_new(&bank, &bp, &diag), MN_OK);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(mn__bank_take(bank, token + i % 3, 200, NULL, NULL, &a, &diag), MN_OK);
        mn__bank_give(bank, a.session);
    }
    const mn__bank_info info = mn__bank_get_info(bank);
    assert_int_equal(info.n_read, 3);
    assert_int_equal(info.n_loaded, 3);
    assert_int_equal(info.n_kept, 3);
    assert_int_equal(info.bytes, 0);
    mn__bank_free(bank);
    free(x);
    ev_drop(f);
}

static bool has_file(const char *folder, const char *name)
{
    char path[640];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* What a killed run left goes: a rank's own files, and with the first rank those of ranks that
 * there are no more. */
static void test_bank_left(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    const char *also = f->policy;
    mn_diag diag = {""};
    char folder[512], command[1200];
    mn__bank *first, *second;
    snprintf(folder, sizeof folder, "%s", tiny_model_path("left"));
    snprintf(command, sizeof command,
             "mkdir %s && cd %s && touch 0-7.reading 0-8.reading.tmp-9 1-0.reading 2-0.reading "
             "11-3.reading 12-0.reading.tmp-4 3-notes x-0.reading",
             folder, folder);
    assert_int_equal(system(command), 0);
    mn__bank_params p = {.model = f->m,
                         .session = ev_session(1),
                         .also = &also,
                         .n_also = 1,
                         .max_bytes = 1,
                         .folder = folder,
                         .n_rank = 2};
    assert_int_equal(mn__bank_new(&first, &p, &diag), MN_OK);
    assert_false(has_file(folder, "0-7.reading") || has_file(folder, "0-8.reading.tmp-9"));
    assert_false(has_file(folder, "2-0.reading") || has_file(folder, "11-3.reading") ||
                 has_file(folder, "12-0.reading.tmp-4"));
    assert_true(has_file(folder, "1-0.reading")); /* another rank's, which may be at it */
    p.rank = 1;
    assert_int_equal(mn__bank_new(&second, &p, &diag), MN_OK);
    assert_false(has_file(folder, "1-0.reading"));
    assert_true(has_file(folder, "3-notes") && has_file(folder, "x-0.reading")); /* not ours */
    mn__bank_free(first);
    mn__bank_free(second);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    ev_drop(f);
}

/* ---- without the model ---- */

/* Scores are the first input, so what is kept can be told by sorting it. */
static void test_retained(void **state)
{
    enum { N = 50, E = 2, BEGIN = 4, END = 44 };
    (void)state;
    static float x[2][N * E], target[2][N];
    const double share[] = {0.3, 0.7};
    mn__lane_sample lane[2];
    uint32_t prompt[2] = {0, 2}; /* 1 and 3 were not captured */
    struct mn__kern kern;
    mn_diag diag = {""};
    mn__kern_init(&kern, MN__CPU_REF);
    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; i < N; i++) {
            x[l][i * E] = (float)((i * 17 + 5 * (size_t)l) % N / 3); /* with ties */
            x[l][i * E + 1] = (float)i;
            target[l][i] = (float)mn__rng_uniform(6, 1, i, (uint32_t)l);
        }
        lane[l] =
            (mn__lane_sample){.n = N, .begin = BEGIN, .end = END, .x = x[l], .target = target[l]};
    }
    const mn__namm_net net = {.head = MN__NAMM_LINEAR, .n_in = E};
    const mn__capture c = {
        .lane = lane, .prompt = prompt, .n_lane = 2, .n_in = E, .n_item = 4, .n_prompt = 2};
    const mn__retained_params p = {
        .net = &net, .kern = &kern, .capture = &c, .share = share, .n_share = 2, .n_worker = 1};
    mn__rater r;
    assert_int_equal(mn__retained_rater_new(&r, &p, &diag), MN_OK);
    assert_int_equal(r.n_item, 4);
    const double cand[3][E + 1] = {{1, 0, 0}, {-1, 0, 3}, {NAN, 0, 0}};
    for (uint64_t item = 0; item < 2; item++) {
        mn__rating out[3];
        rate(&r, 0, 2 * item, &cand[0][0], 3, out);
        assert_int_equal(r.rate(r.ctx, 0, 2 * item + 1, &cand[0][0], 3, out + 0, &diag), MN_ERANGE);
        for (int k = 0; k < 2; k++) {
            double want = 0, mass = 0;
            for (size_t i = BEGIN; i < END; i++) mass += (double)target[item][i];
            for (int s = 0; s < 2; s++) {
                const size_t m = (size_t)(share[s] * N) - (N - (END - BEGIN));
                for (size_t i = BEGIN; i < END; i++) {
                    size_t before = 0; /* a token stays when fewer than m come before it */
                    for (size_t j = BEGIN; j < END; j++) {
                        const double a = cand[k][0] * (double)x[item][i * E],
                                     b = cand[k][0] * (double)x[item][j * E];
                        before += b > a || (b == a && j > i);
                    }
                    if (before < m) want += (double)target[item][i] / mass / 2;
                }
            }
            assert_float_equal(out[k].loss, 1 - want, 1e-6);
        }
        assert_true(isnan(out[2].loss));
        assert_float_equal(out[0].kept_share, 0.5, 1e-12);
    }
    r.free(r.ctx);
}

/* Lanes of several prompts with drawn inputs and targets, on the kernels of this machine. */
enum { R_LANES = 6, R_TOKENS = 333, R_IN = 5, R_CAND = 37 };

static void draw_lanes(mn__lane_sample *lane, uint32_t *prompt, float *room)
{
    for (uint32_t l = 0; l < R_LANES; l++) {
        const size_t n = R_TOKENS - 20 * l;
        float *x = room + (size_t)l * R_TOKENS * (R_IN + 1), *target = x + n * R_IN;
        for (uint32_t i = 0; i < n * R_IN; i++) x[i] = (float)mn__rng_normal(7, 1, l, i);
        for (uint32_t i = 0; i < n; i++) target[i] = (float)mn__rng_uniform(7, 2, l, i);
        lane[l] = (mn__lane_sample){.n = n, .begin = 4, .end = n - 16, .x = x, .target = target};
        prompt[l] = l / 3;
    }
}

static mn__rater retained_rater(const mn__namm_net *net, const mn__capture *c, size_t n_lane)
{
    static const double share[] = {0.3};
    static struct mn__kern kern;
    mn__rater r;
    mn_diag diag = {""};
    mn__kern_init(&kern, mn__cpu_best());
    const mn__retained_params p = {.net = net,
                                   .kern = &kern,
                                   .capture = c,
                                   .share = share,
                                   .n_share = 1,
                                   .n_worker = 2,
                                   .n_lane = n_lane,
                                   .seed = 11};
    assert_int_equal(mn__retained_rater_new(&r, &p, &diag), MN_OK);
    return r;
}

/* Many at once are as each alone, to the bit, by any worker; lanes that are drawn are the same for
 * all, and fewer tell something else. */
static void test_retained_company(void **state)
{
    (void)state;
    static float room[R_LANES * R_TOKENS * (R_IN + 1)];
    mn__lane_sample lane[R_LANES];
    uint32_t prompt[R_LANES];
    draw_lanes(lane, prompt, room);
    const mn__capture c = {.lane = lane,
                           .prompt = prompt,
                           .n_lane = R_LANES,
                           .n_in = R_IN,
                           .n_item = 2,
                           .n_prompt = 2};
    const mn__namm_net nets[] = {
        {.head = MN__NAMM_LINEAR, .n_in = R_IN},
        {.head = MN__NAMM_MLP, .n_in = R_IN, .hidden = 8, .depth = 2, .bias = true},
        {.head = MN__NAMM_MIX, .n_in = R_IN, .n_part = 4},
        {.head = MN__NAMM_BAM, .n_in = R_IN, .hidden = 8, .n_head = 1, .bias = true, .mult = true}};
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        const size_t n_param = mn__namm_net_params(&nets[k]);
        double *x = malloc(R_CAND * n_param * sizeof *x);
        mn__rating all[R_CAND], one, few[R_CAND];
        assert_non_null(x);
        for (uint32_t i = 0; i < R_CAND * n_param; i++) x[i] = mn__rng_normal(8, 1, k, i);
        mn__rater r = retained_rater(&nets[k], &c, 0), drawn = retained_rater(&nets[k], &c, 2);
        rate(&r, 0, 1, x, R_CAND, all);
        rate(&drawn, 0, 1, x, R_CAND, few);
        for (size_t i = 0; i < R_CAND; i++) {
            rate(&r, 1, 1, x + i * n_param, 1, &one);
            assert_memory_equal(&one, &all[i], sizeof one);
            rate(&drawn, 1, 1, x + i * n_param, 1, &one);
            assert_memory_equal(&one, &few[i], sizeof one);
            assert_true(all[i].loss > 0.4 && all[i].loss < 0.9 && all[i].loss != few[i].loss);
        }
        r.free(r.ctx);
        drawn.free(drawn.ctx);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_and_together),
        cmocka_unit_test(test_more_than_a_population),
        cmocka_unit_test(test_more_than_side_by_side),
        cmocka_unit_test(test_as_the_file),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_metric),
        cmocka_unit_test(test_metric_steps),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_nothing_to_evolve),
        cmocka_unit_test(test_bank),
        cmocka_unit_test(test_bank_files),
        cmocka_unit_test(test_bank_left),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_retained_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
