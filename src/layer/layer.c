/* layer.c: lists of parameters, loops over threads, plans of passes. */
#include "layer/layer.h"

#include <string.h>
#include "base/diag.h"
#include "base/rng.h"

enum { PARAM_ALIGN = 16, FIRST_ROOM = 64, FILL_GRAIN = 1 << 14 };

char *mn__param_join(char out[MN__PARAM_NAME], const char *prefix, const char *name)
{
    size_t n = 0;
    for (const char *c = prefix; *c && n < MN__PARAM_NAME - 1; c++) out[n++] = *c;
    if (n && n < MN__PARAM_NAME - 1) out[n++] = '.';
    for (const char *c = name; *c && n < MN__PARAM_NAME - 1; c++) out[n++] = *c;
    out[n] = 0;
    return out;
}

void mn__params_add(mn__params *list, mn__param *p, mn__param like, const char *prefix,
                    const char *name)
{
    *p = like;
    mn__param_join(p->name, prefix, name);
    if (strlen(prefix) + strlen(name) + 2 > sizeof p->name && list->st == MN_OK)
        list->st = MN_ERANGE;
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : FIRST_ROOM;
        mn__param **at = mn__alloc_array(MN_MEM_OTHER, room, sizeof(mn__param *));
        if (!at) {
            list->st = list->st != MN_OK ? list->st : MN_ENOMEM;
            return;
        }
        if (list->n) memcpy(at, list->at, list->n * sizeof(mn__param *));
        mn__free(list->at);
        list->at = at;
        list->room = room;
    }
    list->at[list->n++] = p;
}

void mn__params_fini(mn__params *list)
{
    mn__free(list->at);
    *list = (mn__params){0};
}

size_t mn__param_size(const mn__param *p)
{
    size_t n = 1;
    for (int i = 0; i < p->n_dim; i++) n *= p->dim[i];
    return n;
}

static size_t padded(size_t n)
{
    return (n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

static size_t padded_size(const mn__param *p)
{
    return padded(mn__param_size(p));
}

size_t mn__part_count(size_t n_part, size_t n)
{
    if (n_part % n == 0) return n_part / n;
    return n_part && n % n_part == 0;
}

void mn__params_split(const mn__params *list, size_t rank, size_t n)
{
    for (size_t i = 0; i < list->n; i++) {
        mn__param *p = list->at[i];
        if (!p->n_part || p->row % n || !mn__part_count(p->n_part, n)) continue;
        p->whole = p->row;
        p->row /= n;
        p->from = rank * p->row;
        p->dim[p->n_dim - 1] = p->row;
    }
}

size_t mn__param_whole(const mn__param *p)
{
    return padded(p->whole ? mn__param_size(p) / p->row * p->whole : mn__param_size(p));
}

size_t mn__params_whole(const mn__params *list)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i]->group != MN__PARAM_STATE) n += mn__param_whole(list->at[i]);
    return n;
}

size_t mn__params_size(const mn__params *list, bool state)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        if ((list->at[i]->group == MN__PARAM_STATE) == state) n += padded_size(list->at[i]);
    return n;
}

void mn__params_bind(const mn__params *list, mn__real *w, mn__real *g, mn__real *state)
{
    size_t at = 0, at_state = 0;
    for (size_t i = 0; i < list->n; i++) {
        mn__param *p = list->at[i];
        bool is_state = p->group == MN__PARAM_STATE;
        p->at = is_state ? at_state : at;
        p->w = (is_state ? state : w) + p->at;
        p->g = is_state || !g ? NULL : g + p->at;
        *(is_state ? &at_state : &at) += padded_size(p);
    }
}

/* FNV-1a. */
uint32_t mn__param_stream(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

typedef struct filling {
    mn__param *p;
    uint64_t seed;
    uint32_t stream;
} filling;

static void fill_range(void *arg, size_t begin, size_t end, int thread)
{
    const filling *f = arg;
    const mn__param *p = f->p;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        /* A part of a table has the values of the whole one. */
        const size_t at = p->whole ? i / p->row * p->whole + p->from + i % p->row : i;
        double x = 0;
        uint32_t again = 0;
        switch (p->init) {
        case MN__INIT_CONSTANT: x = p->scale; break;
        case MN__INIT_NORMAL: x = p->scale * mn__rng_normal(f->seed, f->stream, at, 0); break;
        case MN__INIT_CUT:
            do x = mn__rng_normal(f->seed, f->stream, at, again++);
            while (fabs(x) > 3);
            x *= p->scale;
            break;
        case MN__INIT_UNIFORM:
            x = p->scale * (2 * mn__rng_uniform(f->seed, f->stream, at, 0) - 1);
            break;
        case MN__INIT_ABOVE: x = p->scale * mn__rng_uniform(f->seed, f->stream, at, 0); break;
        case MN__INIT_OWN: break;
        }
        p->w[i] = (mn__real)x;
    }
}

void mn__params_fill(const mn__params *list, mn__team *team, uint64_t seed)
{
    for (size_t i = 0; i < list->n; i++) {
        filling f = {list->at[i], seed, mn__param_stream(list->at[i]->name)};
        mn__team_each(team, mn__param_size(f.p), FILL_GRAIN, fill_range, &f);
    }
}

mn__param *mn__params_find(const mn__params *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->at[i]->name, name) == 0) return list->at[i];
    return NULL;
}

typedef struct spread {
    size_t n, grain;
    mn__each_fn *fn;
    void *arg;
} spread;

static void run_chunks(const mn__crew *crew, void *arg)
{
    const spread *s = arg;
    size_t n_chunk = (s->n + s->grain - 1) / s->grain;
    for (size_t c; (c = mn__team_claim(crew)) < n_chunk;) {
        size_t begin = c * s->grain, end = s->n - begin < s->grain ? s->n : begin + s->grain;
        s->fn(s->arg, begin, end, crew->thread);
    }
}

void mn__team_each(mn__team *team, size_t n, size_t grain, mn__each_fn *fn, void *arg)
{
    if (!team || mn__team_size(team) == 1 || n <= grain) {
        for (size_t i = 0; i < n; i += grain) fn(arg, i, n - i < grain ? n : i + grain, 0);
        return;
    }
    spread s = {n, grain, fn, arg};
    const mn__crew first = {team, 0, mn__team_size(team)};
    mn__team_claim_reset(&first);
    mn__team_run(team, run_chunks, &s);
}

void mn__each(const mn__env *env, size_t n, size_t grain, mn__each_fn *fn, void *arg)
{
    if (!mn__env_is_dry(env)) mn__team_each(env->team, n, grain, fn, arg);
}

mn_status mn__env_plan(const mn__env *env, void (*pass)(const mn__env *env, void *arg), void *arg,
                       mn_diag *diag)
{
    mn__tape dry = {0};
    mn__env measure = *env;
    measure.tape = &dry;
    measure.tally = NULL;
    pass(&measure, arg);
    if (mn__tape_reserve(env->tape, dry.peak) == MN_OK) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "a step of training wants %zu bytes of scratch: refused",
                    dry.peak);
}
