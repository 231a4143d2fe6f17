/* pack.c: copies of weights in our own layouts (pack.h). */
#include "model/pack.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/heap.h"
#include "base/team.h"

enum { BOTH = MN__PACK_DOTS | MN__PACK_PANELS, RELEASE_BYTES = 1 << 20 };

typedef struct job {
    mn__weight *w;
    unsigned what; /* MN__PACK_* */
} job;

typedef struct work {
    const struct mn_model *m;
    job *job;
    size_t n_job;
    bool by_dots; /* prompts take them */
} work;

/* The head first: it is the longest job. */
static size_t list_jobs(struct mn_model *m, size_t n_weight, job *out)
{
    mn__weight **w = mn__alloc_array(MN_MEM_OTHER, n_weight, sizeof *w);
    if (!w) return 0;
    mn__model_weights(m, w);
    out[0] = (job){.w = &m->head};
    for (size_t i = 0; i < n_weight; i++) out[i + 1] = (job){.w = w[i]};
    mn__free(w);
    return 1 + n_weight;
}

static bool has_dots(const work *todo, const job *j, unsigned what)
{
    return what & MN__PACK_DOTS && mn__weight_pack_bytes(j->w, &todo->m->kern, MN__PACK_DOTS) > 0;
}

/* Packed dots serve a prompt too where it takes them, or where panels can be made of them: then
 * nobody reads the file's rows. */
static bool replaces_rows(const work *todo, const job *j, unsigned what)
{
    return has_dots(todo, j, what) && (todo->by_dots || mn__product_is_bf16(&todo->m->kern));
}

/* Not where there was no memory for a list of them. */
static bool all_have_dots(const work *todo)
{
    for (size_t i = 0; i < todo->n_job; i++)
        if (!has_dots(todo, &todo->job[i], todo->job[i].what)) return false;
    return todo->n_job > 0;
}

/* Add a layout to the jobs from `first` on, each if it still fits. */
static void choose(work *todo, size_t first, unsigned what, mn__pack_limits *left)
{
    const struct mn__kern *kern = &todo->m->kern;
    for (size_t i = first; i < todo->n_job; i++) {
        job *j = &todo->job[i];
        size_t more = mn__weight_pack_bytes(j->w, kern, j->what | what) -
                      mn__weight_pack_bytes(j->w, kern, j->what);
        size_t freed = replaces_rows(todo, j, what) ? j->w->n_out * j->w->row_bytes : 0;
        size_t extra = more > freed ? more - freed : 0;
        if (more == 0 || more > left->total || extra > left->extra) continue;
        j->what |= what;
        left->total -= more;
        left->extra -= extra;
    }
}

/* Rows that nobody reads again: let the system have their pages. They are clean, so a reader (the
 * embedding of a tied head) would only fetch them anew. */
static void release_rows(const mn__weight *w)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)w->data,
              end = begin + w->n_out * w->row_bytes;
    if (end - begin < RELEASE_BYTES) return;
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static void run_jobs(const mn__crew *crew, void *arg)
{
    const work *todo = arg;
    for (size_t i = mn__team_claim(crew); i < todo->n_job; i = mn__team_claim(crew)) {
        job *j = &todo->job[i];
        if (j->what == 0) continue;
        if (mn__weight_pack(j->w, &todo->m->kern, j->what, NULL) != MN_OK)
            j->what = 0;
        else if (j->what == BOTH || replaces_rows(todo, j, j->what))
            release_rows(j->w);
    }
}

/* A prompt's rows have one form in all layers, so it takes the dots of all weights or of none. */
static void choose_all(work *todo, mn__pack_limits limits)
{
    mn__pack_limits left = limits;
    choose(todo, 0, MN__PACK_DOTS, &left);
    todo->by_dots = todo->by_dots && all_have_dots(todo);
    if (todo->by_dots) return;
    for (size_t i = 0; i < todo->n_job; i++) todo->job[i].what = 0;
    choose(todo, 0, MN__PACK_DOTS, &limits);
    choose(todo, 1, MN__PACK_PANELS, &limits);
}

void mn__model_pack(struct mn_model *m, mn__pack_limits limits, mn_product product)
{
    /* Layers that train make their own rows for products: wide ones. */
    work todo = {.m = m,
                 .by_dots =
                     product == MN_PRODUCT_AUTO && !m->lm && mn__product_likes_dots(&m->kern)};
    const size_t n_weight = mn__model_weights(m, NULL);
    mn__team *team = mn__team_new(mn__cpu_count());
    todo.job = mn__alloc_array(MN_MEM_OTHER, 1 + n_weight, sizeof *todo.job);
    if (!team || !todo.job) goto done;
    todo.n_job = list_jobs(m, n_weight, todo.job);
    choose_all(&todo, limits);
    mn__team_run(team, run_jobs, &todo);
    m->reads_by_dots = todo.by_dots && all_have_dots(&todo);
    for (size_t i = 0; i < todo.n_job; i++)
        m->packed_bytes += mn__weight_pack_bytes(todo.job[i].w, &m->kern, todo.job[i].what);
done:
    mn__free(todo.job);
    mn__team_free(team);
}

void mn__model_unpack(struct mn_model *m)
{
    for (size_t i = 0; !m->lm && m->layer && i < m->n_layer; i++) {
        mn__model_layer *l = &m->layer[i];
        mn__weight *const w[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (size_t k = 0; k < sizeof w / sizeof *w; k++) mn__weight_unpack(w[k]);
    }
    for (size_t i = 0; m->stored && i < m->lm->list.n; i++)
        for (size_t k = 0; k < m->stored[i].n_matrix; k++)
            mn__weight_unpack(&m->stored[i].matrix[k]);
    mn__weight_unpack(&m->head);
}
