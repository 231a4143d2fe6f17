/* moe.c: y = sum over kept experts of w_e W2_e' h_e,  h = silu(W1_e x) (V1_e x), or gelu(W1_e x).
 * Ref: arXiv 2409.02060.
 *
 *   p = softmax(W_r x), w_e = p_e of the best n_keep (brought to a sum of 1 on demand)
 *   L_balance = balance E / (layers T k) sum_e count_e mean_t p_te,  count a constant
 *   L_z = z / (layers T k) sum_t logsumexp(logits)^2: divided by k as in that fork; papers by T
 *   dp_e += <g, o_e>, + balance E count_e / (layers T^2 k)
 *   dlogit = p (dp - sum p dp) + z 2 lse p / (layers T k)
 *   do = w g,  dh = W2 do,  dW2 += h do',  da = dh b silu'(a),  db = dh silu(a)
 *
 * Tokens are sorted by expert and packed; an expert is one run of rows, computed in tiles. */
#include "layer/moe.h"

#include <string.h>

#include "base/diag.h"
#include "layer/half.h"
#include "layer/ops.h"
#include "layer/part.h"
#include "layer/topm.h"

/* Rows of a tile: in bf16 as many as pay for the packing of an expert's matrices. */
enum { TOKEN_GRAIN = 16, TILE = 32, HALF_TILE = 256 };

mn_status mn__moe_check(const mn__moe *l, mn_diag *diag)
{
    if (!l->width || !l->inner || !l->n_expert || !l->n_layer || !l->n_block)
        return mn__fail(diag, MN_ERANGE, "a mixture of experts has no size of zero");
    if (!l->n_keep || l->n_keep > l->n_expert)
        return mn__fail(diag, MN_ERANGE, "experts of a token: 1 to %zu wanted, %zu found",
                        l->n_expert, l->n_keep);
    return MN_OK;
}

void mn__moe_declare(mn__moe *l, mn__params *list, const char *prefix)
{
    mn__param like = {
        .dim = {l->n_expert, l->width}, .n_dim = 2, .init = MN__INIT_CUT, .scale = l->std};
    mn__params_add(list, &l->router, like, prefix, "router");
    like.dim[1] = l->inner;
    like.dim[2] = l->width;
    like.n_dim = 3;
    like.is_matrix = true;
    mn__params_add(list, &l->w1, like, prefix, "w1");
    if (!l->gelu) mn__params_add(list, &l->v1, like, prefix, "v1");
    like.scale /= sqrt(2 * (double)l->n_block);
    like.is_turned = true; /* W2' h: its outputs are columns */
    mn__params_add(list, &l->w2, like, prefix, "w2");
}

typedef struct pass {
    const mn__moe *l;
    mn__moe_saved *s;
    size_t n;
    const struct mn__kern *kern;
    const struct mn__half_room *rooms; /* of experts' products, NULL: in float */
    mn__real *work;                    /* [threads][2 n_keep] */
    uint32_t *first; /* [tiles]: a tile's first packed row; its rows are one expert's */
    uint32_t *end;   /* [tiles] */
    uint32_t *owner; /* [tiles]: its expert */
    size_t n_tile;
    mn__real *y, *dx;
    const mn__real *dy;
    mn__real *dout, *dhidden, *dgate, *dlin, *dpacked, *dprob, *dweight;
} pass;

/* ---- routing ---- */

static void choose_experts(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_expert = p->l->n_expert, m = p->l->n_keep;
    for (size_t i = begin; i < end; i++) {
        const mn__real *logit = p->s->logit + i * n_expert;
        mn__real *prob = p->s->prob + i * n_expert, *weight = p->s->weight + i * m, top = logit[0],
                 sum = 0, kept = 0;
        for (size_t e = 1; e < n_expert; e++) top = logit[e] > top ? logit[e] : top;
        for (size_t e = 0; e < n_expert; e++) sum += prob[e] = mn__exp(logit[e] - top);
        for (size_t e = 0; e < n_expert; e++) prob[e] /= sum;
        p->s->lse[i] = top + mn__log(sum);
        mn__topm(prob, n_expert, m, p->s->expert + i * m, weight, p->work + (size_t)thread * m);
        for (size_t k = 0; k < m; k++) kept += weight[k];
        for (size_t k = 0; p->l->renormalise && k < m; k++) weight[k] /= kept;
    }
}

/* What both losses are divided by, inverted. */
static mn__real share_of(const mn__moe *l, size_t n)
{
    return (mn__real)(l->loss_share > 0 ? l->loss_share : 1) /
           ((mn__real)l->n_layer * (mn__real)n * (mn__real)l->n_keep);
}

static void measure_losses(const mn__moe *l, size_t n, mn__moe_saved *s)
{
    const mn__real share = share_of(l, n);
    mn__real z = 0, balance = 0;
    memset(s->count, 0, l->n_expert * sizeof *s->count);
    for (size_t i = 0; i < n * l->n_keep; i++) s->count[s->expert[i]]++;
    for (size_t i = 0; i < n; i++) {
        z += s->lse[i] * s->lse[i];
        for (size_t e = 0; e < l->n_expert; e++)
            balance += (mn__real)s->count[e] * s->prob[i * l->n_expert + e];
    }
    s->z = (mn__real)l->z * share * z;
    s->balance = (mn__real)l->balance * (mn__real)l->n_expert * share * balance / (mn__real)n;
}

/* ---- experts ---- */

/* Runs of at most so many packed rows of one expert. */
static void take_tiles(pass *p, const mn__env *env)
{
    const uint32_t rows = p->rooms ? HALF_TILE : TILE;
    const size_t most = (p->n * p->l->n_keep + rows - 1) / rows + p->l->n_expert;
    p->first = mn__tape_take(env->tape, most, sizeof(uint32_t));
    p->end = mn__tape_take(env->tape, most, sizeof(uint32_t));
    p->owner = mn__tape_take(env->tape, most, sizeof(uint32_t));
    for (size_t e = 0; e < p->s->by_expert.n_row; e++) {
        uint32_t at = p->s->by_expert.first[e], end = p->s->by_expert.first[e + 1];
        for (; at < end; at += rows, p->n_tile++) {
            p->first[p->n_tile] = at;
            p->end[p->n_tile] = end - at < rows ? end : at + rows;
            p->owner[p->n_tile] = p->s->expert[p->s->by_expert.order[at]];
        }
    }
}

typedef struct tile {
    size_t at, n, expert;
    const struct mn__half_room *room; /* its thread's */
} tile;

static tile tile_of(const pass *p, size_t i, int thread)
{
    return (tile){p->first[i], p->end[i] - p->first[i], p->owner[i],
                  mn__half_room_of(p->rooms, thread)};
}

/* out [n][inner] = x [n][width] times an expert's [inner][width]. */
static void into_expert(const pass *p, const tile *t, const mn__real *x, const mn__param *w,
                        mn__real *out)
{
    const size_t width = p->l->width, inner = p->l->inner;
    const mn__mm mm = {.m = t->n,
                       .n = inner,
                       .k = width,
                       .a = x + t->at * width,
                       .b = w->w + t->expert * inner * width,
                       .c = out + t->at * inner,
                       .ld_a = width,
                       .ld_b = width,
                       .ld_c = inner,
                       .room = t->room};
    mn__mm_nt(&mm);
}

static void out_of_expert(const pass *p, const tile *t, const mn__real *h, const mn__param *w,
                          mn__real *out, bool add)
{
    const size_t width = p->l->width, inner = p->l->inner;
    const mn__mm mm = {.m = t->n,
                       .n = width,
                       .k = inner,
                       .a = h + t->at * inner,
                       .b = w->w + t->expert * inner * width,
                       .c = out + t->at * width,
                       .ld_a = inner,
                       .ld_b = width,
                       .ld_c = width,
                       .add = add,
                       .room = t->room};
    mn__mm_nn(&mm);
}

/* SwiGLU of a tile by a kernel, backwards where `back`. Float keeps the plain loops, and with them
 * the bits of trainings that go on; false: not done. */
static bool gate_fast(const pass *p, const tile *t, bool back)
{
#ifndef MN_REAL_DOUBLE
    const size_t at = t->at * p->l->inner, n = t->n * p->l->inner;
    const mn__moe_saved *s = p->s;
    if (!t->room || p->l->gelu) return false;
    if (back)
        p->kern->silu_mul_back(p->dlin + at, p->dgate + at, p->dhidden + at, s->lin + at,
                               s->gate + at, n);
    else
        p->kern->silu_mul(s->hidden + at, s->gate + at, s->lin + at, n);
    return true;
#else
    (void)p;
    (void)t;
    (void)back;
    return false;
#endif
}

static void activate(const pass *p, const tile *t)
{
    const size_t inner = p->l->inner;
    const mn__moe_saved *s = p->s;
    if (gate_fast(p, t, false)) return;
    for (size_t c = t->at * inner; c < (t->at + t->n) * inner; c++)
        s->hidden[c] = p->l->gelu ? mn__gelu(s->gate[c]) : mn__silu(s->gate[c]) * s->lin[c];
}

/* Gradients before the activation from those behind it. */
static void deactivate(const pass *p, const tile *t)
{
    const size_t inner = p->l->inner;
    const mn__moe_saved *s = p->s;
    if (gate_fast(p, t, true)) return;
    for (size_t c = t->at * inner; c < (t->at + t->n) * inner; c++) {
        mn__real a = s->gate[c], dh = p->dhidden[c];
        p->dgate[c] = p->l->gelu ? dh * mn__gelu_slope(a) : dh * s->lin[c] * mn__silu_slope(a);
        if (!p->l->gelu) p->dlin[c] = dh * mn__silu(a);
    }
}

static void run_experts(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__moe_saved *s = p->s;
    const size_t width = p->l->width;
    for (size_t i = begin; i < end; i++) {
        const tile t = tile_of(p, i, thread);
        for (size_t r = t.at; r < t.at + t.n; r++)
            memcpy(s->packed + r * width, s->x + s->by_expert.order[r] / p->l->n_keep * width,
                   width * sizeof *s->packed);
        into_expert(p, &t, s->packed, &p->l->w1, s->gate);
        if (!p->l->gelu) into_expert(p, &t, s->packed, &p->l->v1, s->lin);
        activate(p, &t);
        out_of_expert(p, &t, s->hidden, &p->l->w2, s->out, false);
    }
}

/* Packed rows of each hit: where backward and the sum over experts find it. */
static uint32_t *take_places(const pass *p, const mn__env *env)
{
    const size_t n_hit = p->n * p->l->n_keep;
    uint32_t *place = mn__tape_take(env->tape, n_hit, sizeof *place);
    for (size_t r = 0; r < n_hit && !mn__env_is_dry(env); r++)
        place[p->s->by_expert.order[r]] = (uint32_t)r;
    return place;
}

typedef struct summing {
    const pass *p;
    const uint32_t *place;
} summing;

static void sum_experts(void *arg, size_t begin, size_t end, int thread)
{
    const summing *a = arg;
    const mn__moe *l = a->p->l;
    (void)thread;
    memset(a->p->y + begin * l->width, 0, (end - begin) * l->width * sizeof *a->p->y);
    for (size_t i = begin * l->n_keep; i < end * l->n_keep; i++)
        mn__axpy(a->p->y + i / l->n_keep * l->width, a->p->s->weight[i],
                 a->p->s->out + a->place[i] * l->width, l->width);
}

static void take_saved(const mn__moe *l, const mn__env *env, size_t n, const mn__real *x,
                       mn__moe_saved *s)
{
    const size_t n_hit = n * l->n_keep;
    *s = (mn__moe_saved){.x = x,
                         .logit = mn__take_reals(env, n * l->n_expert),
                         .prob = mn__take_reals(env, n * l->n_expert),
                         .lse = mn__take_reals(env, n),
                         .expert = mn__tape_take(env->tape, n_hit, sizeof(uint32_t)),
                         .weight = mn__take_reals(env, n_hit),
                         .count = mn__tape_take(env->tape, l->n_expert, sizeof(uint32_t)),
                         .packed = mn__take_reals(env, n_hit * l->width),
                         .gate = mn__take_reals(env, n_hit * l->inner),
                         .lin = mn__take_reals(env, l->gelu ? 0 : n_hit * l->inner),
                         .hidden = mn__take_reals(env, n_hit * l->inner),
                         .out = mn__take_reals(env, n_hit * l->width)};
}

/* Every hit with `n_matrix` of an expert's matrices. */
static void count_hits(const mn__moe *l, const mn__env *env, size_t n, size_t n_matrix)
{
    mn__count(env, MN__WORK_WEIGHTS,
              (double)(n * l->n_keep) * (double)(n_matrix * l->inner) * (double)l->width);
}

/* A choice of experts hangs on small differences: the router is never rounded to bf16. */
static mn__env exact_of(const mn__env *env)
{
    mn__env exact = *env;
    exact.half = false;
    return exact;
}

void mn__moe_forward(const mn__moe *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y,
                     mn__moe_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__moe_saved own, *s = saved ? saved : &own;
    take_saved(l, env, n, x, s);
    const mn__mm route = {.m = n,
                          .n = l->n_expert,
                          .k = l->width,
                          .a = x,
                          .b = l->router.w,
                          .c = s->logit,
                          .ld_a = l->width,
                          .ld_b = l->width,
                          .ld_c = l->n_expert};
    pass p = {.l = l, .s = s, .n = n, .kern = env->kern, .y = y};
    p.work = mn__take_reals(env, (size_t)mn__env_threads(env) * l->n_keep);
    const mn__env exact = exact_of(env);
    mn__each_mm_nt(&exact, &route);
    mn__each(env, n, TOKEN_GRAIN, choose_experts, &p);
    if (!mn__env_is_dry(env)) measure_losses(l, n, s);
    mn__hits_sort(env, s->expert, n * l->n_keep, l->n_expert, &s->by_expert);
    size_t scratch = mn__tape_mark(env->tape);
    p.rooms = mn__half_rooms(env);
    take_tiles(&p, env);
    count_hits(l, env, n, l->gelu ? 2 : 3);
    mn__each(env, p.n_tile, 1, run_experts, &p);
    summing a = {&p, take_places(&p, env)};
    mn__each(env, n, TOKEN_GRAIN, sum_experts, &a);
    mn__tape_cut(env->tape, saved ? scratch : mark);
}

/* ---- backward ---- */

/* dh = W2 do, then before the activation, then to the packed rows. */
static void back_experts(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__moe *l = p->l;
    const mn__moe_saved *s = p->s;
    for (size_t i = begin; i < end; i++) {
        const tile t = tile_of(p, i, thread);
        for (size_t r = t.at; r < t.at + t.n; r++) {
            const mn__real *g = p->dy + s->by_expert.order[r] / l->n_keep * l->width;
            mn__real w = s->weight[s->by_expert.order[r]], *dout = p->dout + r * l->width;
            p->dweight[s->by_expert.order[r]] = mn__dot(g, s->out + r * l->width, l->width);
            for (size_t c = 0; c < l->width; c++) dout[c] = w * g[c];
        }
        into_expert(p, &t, p->dout, &l->w2, p->dhidden);
        deactivate(p, &t);
        out_of_expert(p, &t, p->dgate, &l->w1, p->dpacked, false);
        if (!l->gelu) out_of_expert(p, &t, p->dlin, &l->v1, p->dpacked, true);
    }
}

/* g [inner][width] += h' x over the rows of one expert. */
static void add_outer(const pass *p, const tile *t, const mn__real *h, const mn__real *x,
                      const mn__param *w)
{
    const size_t width = p->l->width, inner = p->l->inner;
    if (!w->g) return;
    const mn__mm mm = {.m = inner,
                       .n = width,
                       .k = t->n,
                       .a = h + t->at * inner,
                       .b = x + t->at * width,
                       .c = w->g + t->expert * inner * width,
                       .ld_a = inner,
                       .ld_b = width,
                       .ld_c = width,
                       .add = true,
                       .room = t->room};
    mn__mm_tn(&mm);
}

/* Experts [begin, end) of those that have tokens. */
static void back_weights(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__moe_saved *s = p->s;
    for (size_t e = begin; e < end; e++) {
        const uint32_t at = s->by_expert.first[e];
        const tile t = {at, s->by_expert.first[e + 1] - at, s->expert[s->by_expert.order[at]],
                        mn__half_room_of(p->rooms, thread)};
        add_outer(p, &t, s->hidden, p->dout, &p->l->w2);
        add_outer(p, &t, p->dgate, s->packed, &p->l->w1);
        if (!p->l->gelu) add_outer(p, &t, p->dlin, s->packed, &p->l->v1);
    }
}

/* To the logits, in the place of dprob. */
static void back_routes(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__moe *l = p->l;
    const mn__real share = share_of(l, p->n);
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *prob = p->s->prob + i * l->n_expert, *w = p->s->weight + i * l->n_keep,
                       *dw = p->dweight + i * l->n_keep;
        const uint32_t *expert = p->s->expert + i * l->n_keep;
        mn__real *d = p->dprob + i * l->n_expert, mean = 0, kept = 0, of_kept = 0;
        for (size_t e = 0; e < l->n_expert; e++)
            d[e] = (mn__real)l->balance * (mn__real)l->n_expert * (mn__real)p->s->count[e] * share /
                   (mn__real)p->n;
        for (size_t k = 0; k < l->n_keep; k++) {
            kept += prob[expert[k]];
            of_kept += w[k] * dw[k];
        }
        for (size_t k = 0; k < l->n_keep; k++)
            d[expert[k]] += l->renormalise ? (dw[k] - of_kept) / kept : dw[k];
        for (size_t e = 0; e < l->n_expert; e++) mean += prob[e] * d[e];
        for (size_t e = 0; e < l->n_expert; e++)
            d[e] = prob[e] * (d[e] - mean + (mn__real)l->z * share * 2 * p->s->lse[i]);
    }
}

static void sum_inputs(void *arg, size_t begin, size_t end, int thread)
{
    const summing *a = arg;
    const mn__moe *l = a->p->l;
    (void)thread;
    for (size_t i = begin * l->n_keep; i < end * l->n_keep; i++)
        mn__axpy(a->p->dx + i / l->n_keep * l->width, 1, a->p->dpacked + a->place[i] * l->width,
                 l->width);
}

/* dx = W_r' dlogit, dW_r += dlogit x'. */
static void back_router(const pass *p, const mn__env *env)
{
    const mn__moe *l = p->l;
    const mn__mm to_x = {.m = p->n,
                         .n = l->width,
                         .k = l->n_expert,
                         .a = p->dprob,
                         .b = l->router.w,
                         .c = p->dx,
                         .ld_a = l->n_expert,
                         .ld_b = l->width,
                         .ld_c = l->width},
                 to_w = {.m = l->n_expert,
                         .n = l->width,
                         .k = p->n,
                         .a = p->dprob,
                         .b = p->s->x,
                         .c = l->router.g,
                         .ld_a = l->n_expert,
                         .ld_b = l->width,
                         .ld_c = l->width,
                         .add = true};
    const mn__env exact = exact_of(env);
    mn__each_mm_nn(&exact, &to_x);
    if (l->router.g) mn__each_mm_tn(&exact, &to_w);
}

void mn__moe_backward(const mn__moe *l, const mn__env *env, size_t n, const mn__moe_saved *saved,
                      const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    const size_t n_hit = n * l->n_keep;
    mn__moe_saved s = *saved;
    pass p = {.l = l,
              .s = &s,
              .n = n,
              .kern = env->kern,
              .dy = dy,
              .dx = dx,
              .rooms = mn__half_rooms(env),
              .dout = mn__take_reals(env, n_hit * l->width),
              .dhidden = mn__take_reals(env, n_hit * l->inner),
              .dgate = mn__take_reals(env, n_hit * l->inner),
              .dlin = mn__take_reals(env, l->gelu ? 0 : n_hit * l->inner),
              .dpacked = mn__take_reals(env, n_hit * l->width),
              .dprob = mn__take_reals(env, n * l->n_expert),
              .dweight = mn__take_reals(env, n_hit)};
    take_tiles(&p, env);
    summing a = {&p, take_places(&p, env)};
    count_hits(l, env, n, (l->gelu ? 2 : 3) * (l->w1.g ? 2 : 1));
    mn__each(env, p.n_tile, 1, back_experts, &p);
    mn__each(env, s.by_expert.n_row, 1, back_weights, &p);
    mn__each(env, n, TOKEN_GRAIN, back_routes, &p);
    back_router(&p, env);
    mn__each(env, n, TOKEN_GRAIN, sum_inputs, &a);
    mn__tape_cut(env->tape, mark);
}
