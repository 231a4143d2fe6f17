/* evolve_compare.c: the same candidates on the same prompts in several ways, and how far their
 * orders agree. The ways are stages of one run: ranks and raters are a run's. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/sort.h"
#include "eval/stats.h"
#include "evolve/asker.h"
#include "evolve/compare.h"
#include "evolve/evolve_namm.h"
#include "evolve/run_state.h"
#include "evolve/sample.h"

typedef struct compare {
    const mn_evolve_compare_params *p;
    mn__namm_job job;
    mn_evolve_stage stage[MN_EVOLVE_SIDE_MAX];
    mn__run_folder folder;
    char path[PATH_MAX];
    mn__asker asker;
    mn__compare at;
    size_t most; /* candidates at once */
    double *x;   /* [n_candidate][n] */
    /* Ratings of the whole comparison: done, and of the question under way. */
    double n_cell, n_asked;
} compare;

/* ---- what is told ---- */

/* Of all ratings; a round's units are shares of its question. */
static void pass_tick(void *ctx, uint64_t done, uint64_t total)
{
    enum { WHOLE = 10000 };
    const compare *c = ctx;
    const mn_evolve_params *run = &c->p->namm.run;
    const double all = (double)(c->p->n_side * run->n_prompt * c->p->n_candidate),
                 now = c->n_cell + c->n_asked * (double)done / (double)total;
    if (run->tick) run->tick(run->ctx, (uint64_t)(WHOLE * now / all), WHOLE);
}

static void pass_note(void *ctx, const char *sentence)
{
    const mn_evolve_params *run = &((const compare *)ctx)->p->namm.run;
    if (run->note) run->note(run->ctx, sentence);
}

static bool pass_stop(void *ctx)
{
    const mn_evolve_params *run = &((const compare *)ctx)->p->namm.run;
    return run->stop && run->stop(run->ctx);
}

/* ---- candidates and prompts ---- */

/* Those that a search of as many candidates begins with. */
static mn_status draw_candidates(compare *c, mn_diag *diag)
{
    mn_status st;
    mn_optimizer *search = NULL;
    mn_optimizer_params p = c->job.run.search;
    size_t n_number;
    p.population = c->p->n_candidate;
    p.has_noise = false;
    MN_TRY(mn_optimizer_new(&search, &p, diag));
    if (mn__mul_size(p.population, p.n, &n_number))
        c->x = mn__alloc_array(MN_MEM_OTHER, n_number, sizeof *c->x);
    if (!c->x) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu candidates", p.population));
    for (size_t i = 0; i < p.population; i++) mn_optimizer_ask(search, i, c->x + i * p.n);
done:
    mn_optimizer_free(search);
    return st;
}

static mn_status draw_prompts(compare *c, mn_diag *diag)
{
    const uint64_t n = c->asker.rater.n_item;
    const size_t n_prompt = c->job.run.n_prompt;
    if (c->at.n_item && c->at.n_item != n)
        return mn__fail(diag, MN_EUSAGE, "%s: of %llu prompts, %llu found", c->path,
                        (unsigned long long)c->at.n_item, (unsigned long long)n);
    if (c->at.rows && c->asker.rater.rows && c->at.rows != c->asker.rater.rows)
        return mn__fail(diag, MN_EUSAGE, "%s: of other prompts than are found: its data are others",
                        c->path);
    if (n < n_prompt)
        return mn__fail(diag, MN_ERANGE, "%zu prompts wanted, %llu found in all", n_prompt,
                        (unsigned long long)n);
    const mn__sample_name name = {c->job.run.search.seed, 0, MN__RNG_PROMPT};
    mn__sample_draw(&name, n, n_prompt, c->at.item);
    c->at.n_item = n;
    c->at.rows = c->asker.rater.rows;
    return MN_OK;
}

/* ---- rating ---- */

/* All candidates on the next prompts of a side, so many at once: prompts that were read once stay
 * for those that follow. */
static mn_status rate_prompts(compare *c, size_t side, size_t n_prompt, mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t n = c->p->n_candidate, first = c->at.n_done[side],
                 row = side * c->job.run.n_prompt + first;
    mn__rating *part = mn__alloc_array(MN_MEM_OTHER, n_prompt, c->most * sizeof *part);
    bool *left = mn__alloc_array(MN_MEM_OTHER, n_prompt, sizeof *left);
    if (!part || !left) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for ratings"));
    memset(c->at.left + row, 0, n_prompt * sizeof *c->at.left);
    for (size_t k = 0; k < n; k += c->most) {
        const mn__question q = {.item = c->at.item + first,
                                .n_item = n_prompt,
                                .x = c->x + k * c->job.run.search.n,
                                .n = n - k < c->most ? n - k : c->most};
        c->n_asked = (double)(q.n * n_prompt);
        MN_TRY(mn__asker_ask(&c->asker, &q, part, left, diag));
        c->n_cell += c->n_asked;
        for (size_t i = 0; i < n_prompt; i++) {
            memcpy(c->at.rating + (row + i) * n + k, part + i * q.n, q.n * sizeof *part);
            c->at.left[row + i] |= left[i];
        }
    }
done:
    mn__free(part);
    mn__free(left);
    return st;
}

static mn_status rate_side(compare *c, size_t side, mn_diag *diag)
{
    mn_status st;
    const mn_evolve_params *run = &c->job.run;
    const size_t group = 2 * c->asker.population.n_worker * (size_t)run->ranks.n;
    double t0 = mn__clock_s();
    MN_TRY(mn__asker_begin(&c->asker, side, diag));
    MN_TRY(draw_prompts(c, diag));
    c->at.begin_s[side] += mn__clock_s() - t0;
    while (c->at.n_done[side] < run->n_prompt) {
        const size_t left = run->n_prompt - c->at.n_done[side], n = left < group ? left : group;
        t0 = mn__clock_s();
        MN_TRY(rate_prompts(c, side, n, diag));
        c->at.n_done[side] += n;
        c->at.rate_s[side] += mn__clock_s() - t0;
        MN_TRY(mn__compare_write(&c->at, NULL, NULL, NULL, diag));
    }
done:
    return st;
}

/* ---- what follows ---- */

/* room [n_candidate] */
static void describe(const compare *c, size_t side, const double *loss, const double *kept,
                     double *room, mn_evolve_side_result *out)
{
    size_t n = 0, n_kept = 0;
    double sum = 0;
    for (size_t i = 0; i < c->p->n_candidate; i++) {
        if (!isnan(loss[i])) room[n++] = loss[i];
        if (isnan(kept[i])) continue;
        sum += kept[i];
        n_kept++;
    }
    mn__sort(room, n);
    *out = (mn_evolve_side_result){.begin_s = c->at.begin_s[side],
                                   .rate_s = c->at.rate_s[side],
                                   .best = n ? room[0] : NAN,
                                   .median = mn__median(room, n),
                                   .worst = n ? room[n - 1] : NAN,
                                   .kept_share = n_kept ? sum / (double)n_kept : NAN,
                                   .n_failed = c->p->n_candidate - n};
}

/* One number per candidate and side, over prompts that all sides could rate, with what is kept
 * beyond the share to aim at. */
static mn_status add_up(const compare *c, double *loss, double *kept, double *room,
                        mn_evolve_comparison *out, mn_diag *diag)
{
    const size_t n_prompt = c->job.run.n_prompt, n = c->p->n_candidate;
    bool *left = mn__alloc_zero(MN_MEM_OTHER, n_prompt * sizeof *left);
    if (!left) return mn__fail(diag, MN_ENOMEM, "no memory for %zu prompts", n_prompt);
    for (size_t i = 0; i < c->p->n_side; i++)
        for (size_t k = 0; k < n_prompt; k++) left[k] |= c->at.left[i * n_prompt + k];
    for (size_t i = 0; i < c->p->n_side; i++) {
        const mn__round r = {
            .n_item = n_prompt, .n = n, .rating = c->at.rating + i * n_prompt * n, .left = left};
        out->n_prompt =
            mn__population_losses(&r, c->job.run.statistic, loss + i * n, kept + i * n, room);
        for (size_t k = i * n; k < (i + 1) * n; k++)
            loss[k] += mn__population_excess(kept[k], c->job.run.target_share);
    }
    out->n_left = n_prompt - out->n_prompt;
    out->sigma = c->job.run.search.sigma;
    mn__free(left);
    if (out->n_prompt) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "none of %zu prompts can be rated in every way", n_prompt);
}

/* A candidate that failed is behind all that did not. */
static mn_status correlate(const compare *c, double *loss, mn_evolve_comparison *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__resampling how;
    mn__correlation r;
    const size_t n = c->p->n_candidate;
    mn__resampling_default(&how);
    for (size_t i = 0; i < c->p->n_side * n; i++)
        if (isnan(loss[i])) loss[i] = INFINITY;
    for (size_t a = 0; a < c->p->n_side; a++)
        for (size_t b = a + 1; b < c->p->n_side; b++) {
            MN_TRY(mn__rank_correlation(&r, loss + a * n, loss + b * n, n, &how, diag));
            out->pair[out->n_pair++] = (mn_evolve_pair){a, b, r.rho, r.lo, r.hi};
        }
done:
    for (size_t i = 0; i < c->p->n_side * n; i++)
        if (isinf(loss[i])) loss[i] = NAN;
    return st;
}

static mn_status conclude(compare *c, mn_evolve_comparison *out, mn_diag *diag)
{
    mn_status st;
    const size_t n = c->p->n_candidate, n_room = n > c->job.run.n_prompt ? n : c->job.run.n_prompt;
    double *loss = mn__alloc_array(MN_MEM_OTHER, 2 * c->p->n_side * n + n_room, sizeof *loss),
           *kept = loss + c->p->n_side * n, *room = kept + c->p->n_side * n;
    if (!loss) return mn__fail(diag, MN_ENOMEM, "no memory for the losses of %zu candidates", n);
    MN_TRY(add_up(c, loss, kept, room, out, diag));
    for (size_t i = 0; i < c->p->n_side; i++)
        describe(c, i, loss + i * n, kept + i * n, room, &out->side[i]);
    MN_TRY(correlate(c, loss, out, diag));
    MN_TRY(mn__compare_write(&c->at, out, loss, kept, diag));
done:
    mn__free(loss);
    return st;
}

/* ---- a comparison ---- */

static mn_status lead(compare *c, mn_evolve_comparison *out, mn_diag *diag)
{
    mn_status st;
    const mn_evolve_params *run = &c->job.run;
    MN_TRY(mn__compare_init(&c->at, diag));
    MN_TRY(mn__run_folder_open(&c->folder, run->dir, diag));
    MN_TRY(mn__compare_read(&c->at, diag));
    MN_TRY(draw_candidates(c, diag));
    for (size_t i = 0; i < c->p->n_side; i++)
        c->n_cell += (double)(c->at.n_done[i] * c->p->n_candidate);
    for (size_t i = 0; i < c->p->n_side; i++)
        if (c->at.n_done[i] < run->n_prompt) MN_TRY(rate_side(c, i, diag));
    MN_TRY(mn__asker_end(&c->asker, diag));
    MN_TRY(conclude(c, out, diag));
done:
    if (st == MN_ECANCEL)
        return mn__fail(diag, st, "interrupted; %s goes on with the prompts that were not rated",
                        c->path);
    return st;
}

/* The maker of the job, by the loss of the side. */
static mn_status make_rater(void *ctx, size_t stage, const char *fidelity, mn__rater *out,
                            mn_diag *diag)
{
    compare *c = ctx;
    c->job.loss = c->p->side[stage].loss;
    return mn__namm_job_rater(&c->job, stage, fidelity, out, diag);
}

static mn_status check(const mn_evolve_compare_params *p, mn_diag *diag)
{
    enum { MOST = 1 << 16 };
    if (p->n_candidate < 3 || p->n_candidate > MOST)
        return mn__fail(diag, MN_EUSAGE, "3 to %d candidates wanted, %zu found", MOST,
                        p->n_candidate);
    if (!p->n_side || p->n_side > MN_EVOLVE_SIDE_MAX)
        return mn__fail(diag, MN_EUSAGE, "1 to %d ways to rate wanted, %zu found",
                        MN_EVOLVE_SIDE_MAX, p->n_side);
    if (p->namm.run.n_stage != 1 || p->namm.run.stage[0].tasks[0] == '+')
        return mn__fail(diag, MN_EUSAGE, "one stage wanted, %zu found", p->namm.run.n_stage);
    if (!p->namm.run.n_prompt || p->namm.run.n_prompt > MOST)
        return mn__fail(diag, MN_EUSAGE, "1 to %d prompts wanted, %zu found", MOST,
                        p->namm.run.n_prompt);
    return MN_OK;
}

/* The job's run with a stage per side, and what is told of it. */
static void set_run(compare *c)
{
    mn_evolve_params *run = &c->job.run;
    for (size_t i = 0; i < c->p->n_side; i++)
        c->stage[i] = (mn_evolve_stage){.tasks = c->p->namm.run.stage[0].tasks,
                                        .fidelity = c->p->side[i].fidelity};
    run->stage = c->stage;
    run->n_stage = c->p->n_side;
    run->tick = pass_tick;
    run->note = pass_note;
    run->stop = pass_stop;
    run->ctx = c;
    c->most =
        run->search.population < c->p->n_candidate ? run->search.population : c->p->n_candidate;
    c->at = (mn__compare){.path = c->path, .p = c->p, .run = run};
    snprintf(c->path, sizeof c->path, "%s/compare.json", run->dir);
}

mn_status mn_evolve_compare(const mn_model *model, const mn_evolve_compare_params *params,
                            mn_evolve_comparison *out, mn_diag *diag)
{
    *out = (mn_evolve_comparison){0};
    mn_status st = check(params, diag);
    if (st != MN_OK) return st;
    compare *c = mn__alloc_zero(MN_MEM_OTHER, sizeof *c);
    if (!c) return mn__fail(diag, MN_ENOMEM, "no memory for a comparison");
    const mn__rater_maker maker = {.ctx = c, .make = make_rater};
    c->p = params;
    c->folder.fd = -1;
    c->job.side = params->side;
    c->job.n_side = params->n_side;
    st = mn__namm_job_open(&c->job, model, &params->namm, diag);
    if (st == MN_OK) {
        set_run(c);
        mn__asker_init(&c->asker, &c->job.run, &maker);
        st = c->job.run.ranks.rank ? mn__asker_follow(&c->asker, diag) : lead(c, out, diag);
        mn__asker_fini(&c->asker);
    }
    mn__compare_fini(&c->at);
    mn__run_folder_close(&c->folder);
    mn__namm_job_close(&c->job);
    mn__free(c->x);
    mn__free(c);
    return st;
}
