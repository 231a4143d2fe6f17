/* mn__gauge_trained.c: every layer that trains, forward and backward over the rows of one sequence,
 * in f32: attentions beside causal softmax, feed-forward layers and memories beside a dense one. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/rng.h"
#include "gauge/gauge.h"
#include "lm/learner.h"

typedef enum piece { MIXER, FFN, MEMORY } piece;

static const struct {
    const char *name;
    piece piece;
    const char *rival; /* by name, before it in the list */
    const char *option[4];
} cases[] = {
    {"softmax", MIXER, NULL, {"model.mixer=softmax"}},
    {"performer", MIXER, "softmax", {"model.mixer=performer"}},
    {"cosformer", MIXER, "softmax", {"model.mixer=cosformer"}},
    {"linformer", MIXER, "softmax", {"model.mixer=linformer"}},
    {"look-up qkv", MIXER, "softmax", {"model.arch=memoryformer"}},
    {"dense", FFN, NULL, {"model.activation=gelu"}},
    {"swiglu", FFN, "dense", {"model.activation=swiglu"}},
    {"moe", FFN, "dense", {"model.arch=moe"}},
    {"memoryformer", FFN, "dense", {"model.arch=memoryformer"}},
    {"lookup_ffn", FFN, "dense", {"model.arch=lookup_ffn"}},
    {"lookup_ffn bh4", FFN, "dense", {"model.arch=lookup_ffn", "lookup.projection=bh4"}},
    {"pkm", MEMORY, "dense", {"model.arch=pkm"}},
    {"memory_plus", MEMORY, "dense", {"model.arch=memory_plus"}},
    {"ultramem", MEMORY, "dense", {"model.arch=ultramem"}},
    {"ultramem_v2", MEMORY, "dense", {"model.arch=ultramem_v2"}},
};
enum { N_CASE = sizeof cases / sizeof *cases };

/* One layer at work. */
typedef struct worker {
    mn__learner *model;
    mn__layer *layer;
    mn__shape shape;
    mn__env env;
    mn__tape tape;
    mn__tally forward, backward;
    mn__real *x, *y, *dx; /* the tape's, below all that passes take */
    double t_forward, t_backward;
} worker;

/* A pass and its times; run dry first. */
static void pass(const mn__env *env, void *arg)
{
    worker *w = arg;
    const size_t mark = mn__tape_mark(env->tape),
                 n = w->shape.n_seq * w->shape.len * w->layer->n_in;
    w->x = mn__take_reals(env, n);
    w->y = mn__take_reals(env, n);
    w->dx = mn__take_reals(env, n);
    for (size_t i = 0; i < n && !mn__env_is_dry(env); i++) {
        w->x[i] = (mn__real)mn__rng_normal(1, 0, i, 0);
        w->y[i] = (mn__real)mn__rng_normal(1, 1, i, 0);
    }
    mn__env counted = *env;
    counted.tally = &w->forward;
    w->forward = w->backward = (mn__tally){{0}};
    const double t0 = mn__clock_s();
    w->layer->ops->forward(w->layer, &counted, w->shape, w->x, w->y, true);
    const double t1 = mn__clock_s();
    counted.tally = &w->backward;
    w->layer->ops->backward(w->layer, &counted, w->shape, w->y, w->dx);
    w->t_forward = t1 - t0;
    w->t_backward = mn__clock_s() - t1;
    mn__tape_cut(env->tape, mark);
}

static mn_status configure(const mn__gauge *b, size_t i, mn__config *c, mn_diag *diag)
{
    static const char *const full[] = {
        "model.width=512", "model.heads=8", "model.hidden=2048", "model.activation=gelu",
        "model.out=yes",   "experts.n=8",   "experts.keep=2",    "memory.keys=256",
        "memory.keep=32",  "lookup.bits=8", "train.length=512",  NULL};
    static const char *const tiny[] = {"model.width=64",
                                       "model.heads=2",
                                       "model.hidden=64",
                                       "model.activation=gelu",
                                       "experts.n=4",
                                       "memory.keys=16",
                                       "memory.keep=4",
                                       "lookup.bits=4",
                                       "train.length=32",
                                       "lookup.bh4_block=16",
                                       "model.mix_block=8",
                                       "model.mix_slots=4",
                                       NULL};
    mn_status st;
    mn__config_init(c);
    c->model_vocab = 32;
    c->model_blocks = 1;
    c->train_batch = c->train_steps = 1;
    for (const char *const *o = b->quick ? tiny : full; *o; o++)
        MN_TRY(mn__config_override(c, *o, diag));
    for (size_t k = 0; k < 4 && cases[i].option[k]; k++)
        MN_TRY(mn__config_override(c, cases[i].option[k], diag));
    MN_TRY(mn__config_check(c, diag));
done:
    return st;
}

static mn__layer *piece_of(mn__learner *l, piece p)
{
    return p == MIXER ? &l->mixer[0].layer : p == FFN ? &l->ffn[0].layer : &l->memory[0].layer;
}

/* Parameters of the piece, rows of tables and others. */
static void sizes_of(const mn__learner *l, piece p, double *tables, double *others)
{
    static const char *const part[] = {".mixer.", ".ffn.", "memory."};
    *tables = *others = 0;
    for (size_t i = 0; i < l->list.n; i++) {
        const mn__param *q = l->list.at[i];
        const bool is_pool = p == MEMORY && !strncmp(q->name, "pool.", 5);
        if (q->group == MN__PARAM_STATE || (!strstr(q->name, part[p]) && !is_pool)) continue;
        *(q->row ? tables : others) += (double)mn__param_size(q);
    }
}

static double work_of(const mn__tally *t)
{
    double n = 0;
    for (int i = 0; i < MN__WORK_KINDS; i++) n += t->n[i];
    return 2 * n;
}

static mn_status measure(const mn__gauge *b, worker *w, mn__gauge_time out[2], mn_diag *diag)
{
    mn_status st;
    double t[2][MN__GAUGE_REPEATS];
    w->env = (mn__env){.team = b->team, .kern = &b->kern.best, .tape = &w->tape};
    MN_TRY(mn__env_plan(&w->env, pass, w, diag));
    pass(&w->env, w); /* pages and caches */
    for (size_t k = 0; k < b->n_repeat; k++) {
        if ((st = mn__gauge_go_on(b, diag)) != MN_OK) return st;
        pass(&w->env, w);
        t[0][k] = w->t_forward;
        t[1][k] = w->t_backward;
    }
    for (int i = 0; i < 2; i++) out[i] = mn__gauge_time_of(t[i], b->n_repeat);
done:
    return st;
}

static void report(const mn__gauge *b, size_t i, const worker *w, mn__gauge_time (*time)[2])
{
    char shape[64];
    double tables, others;
    const size_t n = w->shape.n_seq * w->shape.len;
    sizes_of(w->model, cases[i].piece, &tables, &others);
    snprintf(shape, sizeof shape, "width %zu, %zu rows", w->layer->n_in, n);
    const double rows = w->forward.n[MN__WORK_ROWS];
    size_t rival = N_CASE;
    for (size_t k = 0; k < i; k++)
        if (cases[i].rival && !strcmp(cases[k].name, cases[i].rival)) rival = k;
    for (int back = 0; back < 2; back++)
        mn__gauge_add(
            b, &(mn__gauge_row){.layer = cases[i].name,
                                .shape = shape,
                                .phase = back ? "backward" : "forward",
                                .dtype = "f32",
                                .uses = "the layer that trains",
                                .params = tables + others,
                                .active = others + rows / (double)n,
                                .batch = n,
                                .time = time[i][back],
                                .bytes = sizeof(mn__real) * (back + 1) * (others + rows),
                                .flops = work_of(back ? &w->backward : &w->forward),
                                .rival = cases[i].rival,
                                .rival_time = rival < N_CASE ? time[rival][back] : time[i][back],
                                .limit = MN__GAUGE_GEMM,
                                .rate = b->b->product_rate});
}

mn_status mn__gauge_trained(const mn__gauge *b, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__gauge_time time[N_CASE][2];
    static mn__config c;
    for (size_t i = 0; i < N_CASE && st == MN_OK; i++) {
        worker w = {0};
        MN_TRY(configure(b, i, &c, diag));
        MN_TRY(mn__learner_new(&w.model, &c, true, b->team, diag));
        w.layer = piece_of(w.model, cases[i].piece);
        w.shape = (mn__shape){1, c.train_length};
        st = measure(b, &w, time[i], diag);
        if (st == MN_OK) report(b, i, &w, time);
        mn__tape_fini(&w.tape);
        mn__learner_free(w.model);
    }
done:
    return st;
}
