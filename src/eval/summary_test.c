/* summary_test.c: intervals and paired tests, spread over threads: each is a function of its rows
 * alone, so that their number changes nothing. */
#include "eval/summary_internal.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/team.h"

/* Jobs that a thread takes together: they share draws. */
enum { BATCH = 32 };

struct work {
    const mn__summary_job *job;
    size_t n, n_batch;
    const mn__resampling *how;
    size_t n_prompt; /* of the largest sheet */
    double *room;    /* [n_thread][BATCH][2][n_prompt] */
    mn_status *st;   /* [n_thread] of its first failure */
    mn_diag *diag;   /* [n_thread] and its sentence */
};

/* The prompts that have both values; how many. */
static size_t gather(const mn__summary_job *j, double *a, double *b)
{
    size_t n = 0;
    for (size_t i = 0; j->sheet && i < j->sheet->n_prompt; i++) {
        const mn__cell *x = mn__sheet_at(j->sheet, j->a, i), *y = mn__sheet_at(j->sheet, j->b, i);
        if (!x || isnan(x->value[j->value]) || !mn__sheet_has(j->sheet, j->part, i)) continue;
        if (j->b != SIZE_MAX && (!y || isnan(y->value[j->value]))) continue;
        a[n] = x->value[j->value];
        b[n] = y ? y->value[j->value] : 0;
        n++;
    }
    return n;
}

static mn_status do_batch(const struct work *w, size_t first, double *room, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__sample sample[BATCH] = {{0}};
    mn__interval interval[BATCH];
    const mn__summary_job *job[BATCH]; /* those that have rows */
    size_t n = 0;
    for (size_t i = first; i < w->n && i < first + BATCH; i++) {
        double *a = room + n * 2 * w->n_prompt, *b = a + w->n_prompt;
        *w->job[i].interval = (mn__interval){.mean = NAN, .lo = NAN, .hi = NAN};
        if (w->job[i].p) *w->job[i].p = NAN;
        sample[n] = (mn__sample){.a = a, .b = b, .n = gather(&w->job[i], a, b)};
        if (sample[n].n > 0) job[n++] = &w->job[i];
    }
    MN_TRY(mn__bootstrap_intervals(interval, sample, n, w->how, diag));
    for (size_t i = 0; i < n; i++) {
        mn__paired paired;
        *job[i]->interval = interval[i];
        if (!job[i]->p) continue;
        MN_TRY(mn__sign_flip_test(&paired, &sample[i], w->how, diag));
        *job[i]->p = paired.p;
    }
done:
    return st;
}

static void work_on(const mn__crew *crew, void *arg)
{
    struct work *w = arg;
    double *room = w->room + (size_t)crew->thread * BATCH * 2 * w->n_prompt;
    mn_status *st = &w->st[crew->thread];
    for (size_t i = mn__team_claim(crew); i < w->n_batch; i = mn__team_claim(crew))
        if (*st == MN_OK) *st = do_batch(w, i * BATCH, room, &w->diag[crew->thread]);
}

mn_status mn__summary_run_jobs(const mn__summary_job *job, size_t n, const mn__summary_params *p,
                               mn_diag *diag)
{
    mn_status st = MN_OK;
    struct work w = {.job = job, .n = n, .n_batch = (n + BATCH - 1) / BATCH, .how = &p->how};
    for (size_t i = 0; i < n; i++)
        if (job[i].sheet && job[i].sheet->n_prompt > w.n_prompt)
            w.n_prompt = job[i].sheet->n_prompt;
    mn__team *team = mn__team_new(p->n_thread > 0 ? p->n_thread : mn__cpu_count());
    size_t n_thread = team ? (size_t)mn__team_size(team) : 0;
    w.room = mn__alloc_array(MN_MEM_OTHER, n_thread * BATCH * 2, w.n_prompt * sizeof *w.room);
    w.st = mn__alloc_zero(MN_MEM_OTHER, n_thread * sizeof *w.st); /* zero: MN_OK */
    w.diag = mn__alloc_array(MN_MEM_OTHER, n_thread, sizeof *w.diag);
    if (!team || !w.room || !w.st || !w.diag)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory to compare policies"));
    mn__team_run(team, work_on, &w);
    for (size_t t = 0; t < n_thread && st == MN_OK; t++)
        if (w.st[t] != MN_OK) st = mn__fail(diag, w.st[t], "%s", w.diag[t].text);
done:
    mn__team_free(team);
    mn__free(w.room);
    mn__free(w.st);
    mn__free(w.diag);
    return st;
}

/* ---- pairs ---- */

const char *mn__measure_name(mn__measure measure)
{
    return measure == MN__MEASURE_NLL ? "nll" : "kl";
}

static bool is_paired(const mn__sheet *s, size_t a, size_t b)
{
    const mn__sheet_arm *x = &s->arm[a], *y = &s->arm[b];
    const char *const alone[] = {"full", "empty"};
    for (int i = 0; i < 2; i++)
        if (!strcmp(x->policy, alone[i]) || !strcmp(y->policy, alone[i])) return false;
    return !strcmp(x->budget, y->budget);
}

/* Of one budget and measure, whose pairs make one family of tests. */
static mn_status correct(mn__summary *s, size_t first, const mn__pair_line *like, double *p,
                         mn_diag *diag)
{
    size_t n = 0;
    const char *budget = s->arm[like->a].budget;
    mn_status st;
    for (size_t i = first; i < s->n_pair; i++)
        if (s->pair[i].measure == like->measure && !strcmp(s->arm[s->pair[i].a].budget, budget))
            p[n++] = s->pair[i].p;
    st = mn__holm(p, n, diag);
    if (st != MN_OK) return st;
    for (size_t i = first, k = 0; i < s->n_pair; i++)
        if (s->pair[i].measure == like->measure && !strcmp(s->arm[s->pair[i].a].budget, budget))
            s->pair[i].p_holm = p[k++];
    return MN_OK;
}

static mn_status test_pairs(mn__summary *s, size_t first, const mn__sheet *sheet, size_t first_arm,
                            const mn__summary_params *p, mn_diag *diag)
{
    static const mn__cell_value value[] = {MN__CELL_NLL, MN__CELL_KL};
    mn_status st = MN_OK;
    size_t n = s->n_pair - first;
    mn__summary_job *job = mn__alloc_array(MN_MEM_OTHER, n, sizeof *job);
    double *room = mn__alloc_array(MN_MEM_OTHER, n, sizeof *room);
    if (!job || !room) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory to compare %zu pairs", n));
    for (size_t i = 0; i < n; i++) {
        mn__pair_line *pair = &s->pair[first + i];
        job[i] = (mn__summary_job){.sheet = sheet,
                                   .part = {MN__LEVEL_ALL, 0},
                                   .value = value[pair->measure],
                                   .a = pair->a - first_arm,
                                   .b = pair->b - first_arm,
                                   .interval = &pair->difference,
                                   .p = &pair->p};
    }
    MN_TRY(mn__summary_run_jobs(job, n, p, diag));
    for (size_t i = 0; i < n; i++) {
        mn__pair_line *pair = &s->pair[first + i];
        if (isnan(pair->p_holm)) MN_TRY(correct(s, first, pair, room, diag));
    }
done:
    mn__free(job);
    mn__free(room);
    return st;
}

mn_status mn__summary_add_pairs(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                                size_t first_arm, const mn__summary_params *p, mn_diag *diag)
{
    size_t first = s->n_pair;
    for (mn__measure m = 0; m < MN__MEASURE_COUNT; m++)
        for (size_t a = 0; a < sheet->n_arm; a++)
            for (size_t b = a + 1; b < sheet->n_arm; b++) {
                if (!is_paired(sheet, a, b)) continue;
                if (MN__GROW(s->pair, s->n_pair, *cap) != MN_OK)
                    return mn__fail(diag, MN_ENOMEM, "no memory for pairs of policies");
                s->pair[s->n_pair++] = (mn__pair_line){
                    .a = first_arm + a, .b = first_arm + b, .measure = m, .p_holm = NAN};
            }
    return test_pairs(s, first, sheet, first_arm, p, diag);
}
