/* adamw.c: Adam with decoupled weight decay. Ref: arXiv 1711.05101, 1412.6980.
 *
 *   w <- w (1 - lr decay),  m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2
 *   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *
 * A deferred row replays the steps that it missed with g = 0, in the same arithmetic, before it is
 * read again: with all steps replayed its bits are those of the dense optimiser. The Adam move of
 * such a step shrinks by b1/sqrt(b2); beyond replay_max steps it is left out. A selective row has
 * no step at all that it was not touched in. */
#include "train/adamw.h"

#include <math.h>
#include <string.h>
#include "base/cpu.h"
#include "base/diag.h"
#include "layer/peers.h"

enum { GRAIN = 1 << 14, ROW_GRAIN = 64, FIRST_ROOM = 1024 };

/* The constants of one step for one group, as the kernel takes them. */
typedef struct move {
    float step[8];
} move;

static move move_of(const mn__adamw *o, size_t step, mn__param_group group, double scale)
{
    const mn__adamw_rate *r = &o->rate[step];
    return (move){{(float)(1 - r->lr[group] * o->config.decay[group]), (float)r->lr[group],
                   (float)o->config.beta1, (float)o->config.beta2, (float)r->correct1,
                   (float)r->correct2, (float)o->config.eps, (float)scale}};
}

/* Steps last+1..step without a gradient. */
static void catch_up(mn__adamw_table *t, size_t row, size_t step)
{
    const mn__adamw *o = t->opt;
    const size_t width = t->p->row, at = row * width, limit = o->config.replay_max;
    size_t last = t->last[row], end = step;
    if (limit && end - last > limit) end = last + limit;
    for (size_t s = last + 1; s <= end; s++) {
        const move k = move_of(o, s, t->p->group, 1);
        o->kern.adamw(t->p->w + at, t->m + at, t->v + at, NULL, width, k.step);
    }
    if (end < step) {
        const double rest = (double)(step - end);
        const mn__real keep = (mn__real)exp(o->rate[step].log_keep[t->p->group] -
                                            o->rate[end].log_keep[t->p->group]),
                       fade1 = (mn__real)pow(o->config.beta1, rest),
                       fade2 = (mn__real)pow(o->config.beta2, rest);
        for (size_t i = at; i < at + width; i++) {
            t->p->w[i] *= keep;
            t->m[i] *= fade1;
            t->v[i] *= fade2;
        }
    }
    t->last[row] = (uint32_t)step;
}

static void touch(mn__row_hook *hook, size_t row)
{
    mn__adamw_table *t = (mn__adamw_table *)hook;
    if (!t->opt->config.selective && t->last[row] < t->opt->step) catch_up(t, row, t->opt->step);
    t->hit[row] = 1;
}

/* The optimiser's table of a parameter, or NULL. */
static mn__adamw_table *table_of(const mn__adamw *o, const mn__param *p)
{
    for (size_t i = 0; i < o->n_table; i++)
        if (o->table[i].p == p) return &o->table[i];
    return NULL;
}

/* Whether rows are updated one by one, as they are touched. */
static bool is_by_row(const mn__adamw_config *c, const mn__param *p)
{
    return (c->deferred || c->selective) && p->row && p->g;
}

/* Sums over tables go by rows, deferred or not, so that a norm does not depend on that either. */
static size_t parts_of(const mn__param *p)
{
    const size_t n = mn__param_size(p);
    return p->row ? (n / p->row + ROW_GRAIN - 1) / ROW_GRAIN : (n + GRAIN - 1) / GRAIN;
}

static mn_status make_tables(mn__adamw *o)
{
    for (size_t i = 0; i < o->list->n; i++) o->n_table += is_by_row(&o->config, o->list->at[i]);
    o->table = mn__alloc_zero(MN_MEM_OPT, o->n_table * sizeof *o->table);
    if (!o->table) return MN_ENOMEM;
    mn__adamw_table *t = o->table;
    for (size_t i = 0; i < o->list->n; i++) {
        mn__param *p = o->list->at[i];
        if (!is_by_row(&o->config, p)) continue;
        const size_t n_row = mn__param_size(p) / p->row;
        *t = (mn__adamw_table){.hook = {touch}, .opt = o, .p = p, .n_row = n_row};
        t->m = o->m + p->at;
        t->v = o->v + p->at;
        t->last = mn__alloc_zero(MN_MEM_OPT, n_row * sizeof *t->last);
        t->hit = mn__alloc_zero(MN_MEM_OPT, n_row);
        if (!t->last || !t->hit) return MN_ENOMEM;
        p->hook = &t++->hook;
    }
    return MN_OK;
}

mn_status mn__adamw_new(mn__adamw **out, const mn__params *list, const mn__adamw_config *config,
                        mn_diag *diag)
{
    mn__adamw *o = mn__alloc_zero(MN_MEM_OPT, sizeof *o);
    mn_status st = o ? MN_OK : MN_ENOMEM;
    *out = NULL;
    if (st == MN_OK) {
        o->config = *config;
        mn__kern_init(&o->kern, (int)mn__cpu_best());
        o->list = list;
        o->n = mn__params_size(list, false);
        for (size_t i = 0; i < list->n; i++) {
            size_t n_part = parts_of(list->at[i]);
            o->n_part = o->n_part > n_part ? o->n_part : n_part;
        }
        o->m = mn__alloc_zero(MN_MEM_OPT, o->n * sizeof *o->m);
        o->v = mn__alloc_zero(MN_MEM_OPT, o->n * sizeof *o->v);
        o->part = mn__alloc_array(MN_MEM_OPT, o->n_part, sizeof *o->part);
        st = o->m && o->v && o->part ? make_tables(o) : MN_ENOMEM;
    }
    if (st != MN_OK) {
        mn__adamw_free(o);
        return mn__fail(diag, st, "the optimiser's moments are refused: %zu bytes wanted",
                        2 * mn__params_size(list, false) * sizeof(mn__real));
    }
    *out = o;
    return MN_OK;
}

void mn__adamw_free(mn__adamw *o)
{
    if (!o) return;
    for (size_t i = 0; o->table && i < o->n_table; i++) {
        if (o->table[i].p) o->table[i].p->hook = NULL;
        mn__free(o->table[i].last);
        mn__free(o->table[i].hit);
    }
    mn__free(o->table);
    mn__free(o->m);
    mn__free(o->v);
    mn__free(o->rate);
    mn__free(o->part);
    mn__free(o);
}

/* One parameter at a time, in chunks. */
typedef struct pass {
    mn__adamw *o;
    mn__param *p;
    mn__adamw_table *t;
    double scale;
    double *part;
} pass;

/* Sums side by side: a compiler may not reorder one. */
static double squares(const mn__real *g, size_t n)
{
    double s[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) s[j] += (double)g[i + j] * (double)g[i + j];
    for (; i < n; i++) s[0] += (double)g[i] * (double)g[i];
    for (size_t j = 0; j < 8; j++) sum += s[j];
    return sum;
}

static void sum_values(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    (void)thread;
    s->part[begin / GRAIN] = squares(s->p->g + begin, end - begin);
}

static void sum_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    double sum = 0;
    (void)thread;
    for (size_t r = begin; r < end; r++)
        if (!s->t || s->t->hit[r]) sum += squares(s->p->g + r * s->p->row, s->p->row);
    s->part[begin / ROW_GRAIN] = sum;
}

double mn__adamw_norm(const mn__adamw *o, mn__team *team)
{
    double sum = 0, far = 0; /* far: of tables of which other ranks hold the rest */
    for (size_t i = 0; i < o->list->n; i++) {
        pass s = {.p = o->list->at[i], .t = table_of(o, o->list->at[i]), .part = o->part};
        if (!s.p->g) continue;
        if (s.p->row)
            mn__team_each(team, mn__param_size(s.p) / s.p->row, ROW_GRAIN, sum_rows, &s);
        else
            mn__team_each(team, mn__param_size(s.p), GRAIN, sum_values, &s);
        for (size_t c = 0, n = parts_of(s.p); c < n; c++) *(s.p->whole ? &far : &sum) += o->part[c];
    }
    if (o->config.peers) mn__peers_sum(o->config.peers, &far, 1);
    return sqrt(sum + far);
}

static void update_values(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    const move k = move_of(s->o, s->o->step, s->p->group, s->scale);
    (void)thread;
    s->o->kern.adamw(s->p->w + begin, s->o->m + s->p->at + begin, s->o->v + s->p->at + begin,
                     s->p->g + begin, end - begin, k.step);
}

static void update_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    const move k = move_of(s->o, s->o->step, s->p->group, s->scale);
    const size_t width = s->p->row;
    (void)thread;
    for (size_t r = begin; r < end; r++) {
        if (!s->t->hit[r]) continue;
        s->o->kern.adamw(s->p->w + r * width, s->t->m + r * width, s->t->v + r * width,
                         s->p->g + r * width, width, k.step);
        s->t->last[r] = (uint32_t)s->o->step;
        s->t->hit[r] = 0;
    }
}

/* Room for the rates of `n` steps; those that are there stay. */
static mn_status hold_rates(mn__adamw *o, size_t n, mn_diag *diag)
{
    if (n < o->room) return MN_OK;
    size_t room = o->room ? 2 * o->room : FIRST_ROOM;
    if (room <= n) room = n + FIRST_ROOM;
    mn__adamw_rate *rate = mn__alloc_zero(MN_MEM_OPT, room * sizeof *rate);
    if (!rate) return mn__fail(diag, MN_ENOMEM, "rates of %zu steps cannot be remembered", room);
    if (o->room) memcpy(rate, o->rate, o->room * sizeof *rate);
    mn__free(o->rate);
    o->rate = rate;
    o->room = room;
    return MN_OK;
}

/* The rates of the next step, remembered for rows that miss it. */
static mn_status note_rate(mn__adamw *o, const double lr[MN__ADAMW_GROUPS], mn_diag *diag)
{
    const mn_status st = hold_rates(o, o->step + 1, diag);
    if (st != MN_OK) return st;
    const double t = (double)(o->step + 1);
    mn__adamw_rate *r = &o->rate[o->step + 1];
    r->correct1 = 1 - pow(o->config.beta1, t);
    r->correct2 = 1 - pow(o->config.beta2, t);
    for (size_t g = 0; g < MN__ADAMW_GROUPS; g++) {
        r->lr[g] = lr[g];
        r->log_keep[g] = o->rate[o->step].log_keep[g] + log1p(-lr[g] * o->config.decay[g]);
    }
    o->step++;
    return MN_OK;
}

mn_status mn__adamw_step(mn__adamw *o, mn__team *team, const double lr[MN__ADAMW_GROUPS],
                         double scale, mn_diag *diag)
{
    const mn_status st = note_rate(o, lr, diag);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < o->list->n; i++) {
        pass s = {.o = o, .p = o->list->at[i], .t = table_of(o, o->list->at[i]), .scale = scale};
        if (!s.p->g) continue;
        if (s.t)
            mn__team_each(team, s.t->n_row, ROW_GRAIN, update_rows, &s);
        else
            mn__team_each(team, mn__param_size(s.p), GRAIN, update_values, &s);
    }
    return MN_OK;
}

static void flush_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    (void)thread;
    for (size_t r = begin; r < end; r++)
        if (s->t->last[r] < s->o->step) catch_up(s->t, r, s->o->step);
}

void mn__adamw_flush(mn__adamw *o, mn__team *team)
{
    if (o->config.selective) return;
    for (size_t i = 0; i < o->n_table; i++) {
        pass s = {.o = o, .t = &o->table[i]};
        mn__team_each(team, s.t->n_row, ROW_GRAIN, flush_rows, &s);
    }
}

mn_status mn__adamw_resume(mn__adamw *o, size_t step, mn_diag *diag)
{
    const mn_status st = hold_rates(o, step, diag);
    if (st != MN_OK) return st;
    o->step = step;
    for (size_t i = 0; i < o->n_table; i++) {
        mn__adamw_table *t = &o->table[i];
        memset(t->hit, 0, t->n_row);
        for (size_t r = 0; r < t->n_row; r++) t->last[r] = (uint32_t)step;
    }
    return MN_OK;
}
