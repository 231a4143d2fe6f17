/* summary_test.c: intervals and paired tests, spread over threads: each is a function of its rows
 * alone, so that their number changes nothing. */
#include "eval/summary_internal.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/team.h"

struct work {
    const mn__summary_job *job;
    size_t n;
    const mn__resampling *how;
    size_t n_prompt; /* of the largest sheet */
    double *room;    /* [n_thread][2][n_prompt] */
    mn_status *st;   /* [n] */
    mn_diag *diag;   /* [n_thread] of the thread's first failure */
    bool *failed;    /* [n_thread] */
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

static mn_status do_job(const mn__summary_job *j, const mn__resampling *how, double *a, double *b,
                        mn_diag *diag)
{
    mn_status st;
    mn__paired paired = {.p = NAN};
    mn__sample s = {.a = a, .b = b, .n = gather(j, a, b)};
    *j->interval = (mn__interval){.mean = NAN, .lo = NAN, .hi = NAN};
    if (j->p) *j->p = NAN;
    if (s.n == 0) return MN_OK;
    MN_TRY(mn__bootstrap_interval(j->interval, &s, how, diag));
    if (j->p) MN_TRY(mn__sign_flip_test(&paired, &s, how, diag));
    if (j->p) *j->p = paired.p;
done:
    return st;
}

static void work_on(const mn__crew *crew, void *arg)
{
    struct work *w = arg;
    double *a = w->room + (size_t)crew->thread * 2 * w->n_prompt, *b = a + w->n_prompt;
    mn_diag *diag = &w->diag[crew->thread];
    for (size_t i = mn__team_claim(crew); i < w->n; i = mn__team_claim(crew)) {
        mn_diag *once = w->failed[crew->thread] ? NULL : diag;
        w->st[i] = do_job(&w->job[i], w->how, a, b, once);
        if (w->st[i] != MN_OK) w->failed[crew->thread] = true;
    }
}

/* The first failure by number, with the sentence of one of that kind. */
static mn_status outcome(const struct work *w, int n_thread, mn_diag *diag)
{
    for (size_t i = 0; i < w->n; i++)
        for (int t = 0; w->st[i] != MN_OK && t < n_thread; t++)
            if (w->failed[t]) return mn__fail(diag, w->st[i], "%s", w->diag[t].text);
    return MN_OK;
}

mn_status mn__summary_run_jobs(const mn__summary_job *job, size_t n, const mn__summary_params *p,
                               mn_diag *diag)
{
    mn_status st = MN_OK;
    struct work w = {.job = job, .n = n, .how = &p->how};
    for (size_t i = 0; i < n; i++)
        if (job[i].sheet && job[i].sheet->n_prompt > w.n_prompt)
            w.n_prompt = job[i].sheet->n_prompt;
    mn__team *team = mn__team_new(p->n_thread > 0 ? p->n_thread : mn__cpu_count());
    int n_thread = team ? mn__team_size(team) : 0;
    w.room = mn__alloc_array(MN_MEM_OTHER, (size_t)n_thread * 2, w.n_prompt * sizeof *w.room);
    w.st = mn__alloc_array(MN_MEM_OTHER, n, sizeof *w.st);
    w.diag = mn__alloc_array(MN_MEM_OTHER, (size_t)n_thread, sizeof *w.diag);
    w.failed = mn__alloc_zero(MN_MEM_OTHER, (size_t)n_thread * sizeof *w.failed);
    if (!team || !w.room || !w.st || !w.diag || !w.failed)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory to compare policies"));
    mn__team_run(team, work_on, &w);
    st = outcome(&w, n_thread, diag);
done:
    mn__team_free(team);
    mn__free(w.room);
    mn__free(w.st);
    mn__free(w.diag);
    mn__free(w.failed);
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
