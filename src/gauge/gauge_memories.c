/* mn__gauge_memories.c: a model with UltraMem's layers beside one with experts, at the size that
 * the paper calls 151M (both of 2 G parameters), in steps of 1, 8 and 64 sequences: everything but
 * embedding and head, with random weights in bf16. Once without a cache of keys and values, once
 * with one of 2,048 tokens for each sequence. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "gauge/gauge.h"
#include "layer/insertion.h"
#include "model/step_experts.h"
#include "model/step_memory.h"
#include "train/cost.h"

enum { INPUTS = 4, SLOTS = 256, PAGES = SLOTS / MN__PAGE_TOKENS, N_BATCH = 3 };
static const size_t batches[N_BATCH] = {1, 8, 64};

static const char *const full[] = {"model.width=1024",   "model.blocks=12",
                                   "model.heads=16",     "model.hidden=4096",
                                   "model.vocab=50432",  "model.activation=gelu",
                                   "experts.n=32",       "experts.keep=2",
                                   "experts.inner=2528", "memory.keys=1100",
                                   "memory.keep=42",     "memory.insert=2:4/5:7/8:10",
                                   "train.length=2048",  NULL};
static const char *const tiny[] = {"model.width=128",  "model.blocks=3",
                                   "model.heads=2",    "model.hidden=128",
                                   "model.vocab=64",   "model.activation=gelu",
                                   "experts.n=4",      "experts.keep=2",
                                   "experts.inner=64", "memory.keys=32",
                                   "memory.keep=8",    "memory.insert=0:1/1:2",
                                   "train.length=128", NULL};

typedef struct block {
    mn__matrix qkv, out, up, down; /* up, down: dense ones */
    mn__step_experts experts;
    mn__matrix *of_experts; /* [2 n_expert] */
} block;

typedef struct model {
    const mn__gauge *b;
    mn__config c;
    mn__insertions at; /* of memories; none: experts */
    block *block;
    mn__step_memory *memory;
    mn__matrix *folded; /* of all memories */
    uint32_t *shuffle;  /* one for all */
    float *gain, *core;
    mn__pages pages;
} model;

/* One step at work; buffers for the largest batch. */
typedef struct step {
    const model *m;
    size_t n, n_context, count; /* sequences, tokens behind each, steps made */
    const uint8_t *cache;       /* pages of keys and values */
    float *x, *wide, *pending;  /* [B][D], [B][4 D], [memories][B][D] */
    mn_bf16 *narrow, *hidden;   /* [B][D], [B][4 D] */
    float *input, *ones;        /* [INPUTS B][D], [4 D B] */
    mn__step_experts_work experts;
    mn__step_memory_work memory;
} step;

static bool has_memories(const model *m)
{
    return m->at.n > 0;
}

/* ---- a step ---- */

/* The thread's rows of x, normed, as bf16. */
static void norm_rows(const mn__crew *crew, const step *s)
{
    const size_t d = s->m->c.model_width;
    const struct mn__kern *kern = &s->m->b->kern.best;
    float row[1 << 12];
    size_t begin, end;
    mn__team_split(crew, s->n, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        kern->rms_norm(row, s->x + i * d, s->ones, d, 1e-5f);
        kern->f32_to_bf16(s->narrow + i * d, row, d);
    }
}

static void multiply(const mn__crew *crew, const step *s, const mn__matrix *m, const mn_bf16 *x,
                     float *y, bool add)
{
    mn__step_multiply(crew, &s->m->b->kern,
                      &(mn__step_product){.m = m,
                                          .n_matrix = 1,
                                          .rows = {x, s->n, m->n_in},
                                          .y = y,
                                          .ld_y = m->n_out,
                                          .add = add});
}

/* One head of one sequence over its cache; o [dim]. */
static void attend_head(const step *s, size_t i_block, size_t seq, size_t head, const float *q,
                        float *o)
{
    const mn__config *c = &s->m->c;
    const struct mn__kern *kern = &s->m->b->kern.best;
    const size_t dim = c->model_width / c->model_heads, n_page = s->n_context / MN__PAGE_TOKENS,
                 page_bytes = 2 * MN__PAGE_TOKENS * dim * sizeof(mn_bf16);
    const uint8_t *lane = s->cache + ((seq * c->model_blocks + i_block) * c->model_heads + head) *
                                         n_page * page_bytes;
    float score[SLOTS + 32] __attribute__((aligned(64))), m = -INFINITY, l = 0, corr;
    mn_bf16 p[SLOTS + 32] __attribute__((aligned(64))), narrow[256] __attribute__((aligned(64)));
    const int32_t lo = 0, hi = SLOTS < s->n_context ? SLOTS : (int32_t)s->n_context;
    kern->f32_to_bf16(narrow, q, dim);
    memset(o, 0, dim * sizeof *o);
    for (size_t at = 0; at < n_page; at += PAGES) {
        const void *page[PAGES] = {0}, *values[MN__AHEAD] = {0}, *next[MN__AHEAD] = {0};
        for (size_t k = 0; k < PAGES && at + k < n_page; k++) {
            page[k] = lane + (at + k) * page_bytes;
            values[k] = lane + (at + k) * page_bytes + page_bytes / 2;
            next[k] = lane + (at + k + PAGES) * page_bytes;
        }
        kern->qk_bf16(score, SLOTS + 32, narrow, dim, 1, page, (size_t)hi, dim, values);
        kern->softmax_bf16(p, SLOTS + 32, score, SLOTS + 32, 1, (size_t)hi, &lo, &hi,
                           1 / sqrtf((float)dim), &m, &l, &corr);
        kern->pv_bf16(o, dim, &corr, p, SLOTS + 32, 1, page, (size_t)hi, dim,
                      at + 2 * PAGES <= n_page ? next : NULL);
    }
    for (size_t k = 0; k < dim; k++) o[k] /= l;
}

/* Heads of all sequences, from [B][3 D] to bf16. Without a cache a position sees itself alone, and
 * answers with its values. */
static void attend(const mn__crew *crew, const step *s, size_t i_block)
{
    const size_t d = s->m->c.model_width, n_head = s->m->c.model_heads, dim = d / n_head;
    const struct mn__kern *kern = &s->m->b->kern.best;
    float o[256];
    size_t begin, end;
    mn__team_split(crew, s->n * n_head, 1, &begin, &end);
    mn__tiles_begin(kern);
    for (size_t i = begin; i < end; i++) {
        const size_t seq = i / n_head, head = i % n_head;
        const float *q = s->wide + seq * 3 * d + head * dim;
        if (s->n_context) attend_head(s, i_block, seq, head, q, o);
        kern->f32_to_bf16(s->narrow + seq * d + head * dim, s->n_context ? o : q + 2 * d, dim);
    }
    mn__tiles_end(kern);
}

static void activate(const mn__crew *crew, const step *s, size_t n)
{
    enum { GRAIN = 256 };
    const struct mn__kern *kern = &s->m->b->kern.best;
    size_t begin, end;
    mn__team_split(crew, n, GRAIN, &begin, &end);
    kern->gelu_mul(s->wide + begin, s->wide + begin, s->ones, end - begin);
    kern->f32_to_bf16(s->hidden + begin, s->wide + begin, end - begin);
}

static void feed_forward(const mn__crew *crew, step *s, const block *b)
{
    const size_t d = s->m->c.model_width;
    if (!has_memories(s->m)) {
        const mn__step_rows rows = {s->narrow, s->n, d};
        mn__step_experts_run(crew, &s->m->b->kern, &b->experts, &rows, &s->experts, s->x);
        return;
    }
    multiply(crew, s, &b->up, s->narrow, s->wide, false);
    mn__team_wait(crew);
    activate(crew, s, s->n * b->up.n_out);
    mn__team_wait(crew);
    multiply(crew, s, &b->down, s->hidden, s->x, true);
    mn__team_wait(crew);
}

static void begin_memories(const mn__crew *crew, const step *s, size_t i_block)
{
    const model *m = s->m;
    const mn__step_rows rows = {s->narrow, s->n, m->c.model_width};
    for (size_t k = 0; k < m->at.n; k++)
        if (m->at.at[k].from == i_block)
            mn__step_memory_run(crew, &m->b->kern, &m->memory[k], &rows, &s->memory,
                                s->pending + k * MN__STEP_ROWS * m->c.model_width);
}

/* What ends here joins the stream: each thread's own rows, which it norms next. */
static void end_memories(const mn__crew *crew, const step *s, size_t i_block)
{
    const model *m = s->m;
    const size_t d = m->c.model_width;
    size_t begin, end;
    mn__team_split(crew, s->n, 1, &begin, &end);
    for (size_t k = 0; k < m->at.n; k++) {
        const float *y = s->pending + k * MN__STEP_ROWS * d;
        if (m->at.at[k].to != i_block) continue;
        for (size_t i = begin * d; i < end * d; i++) s->x[i] += y[i];
    }
}

static void run_step(const mn__crew *crew, void *arg)
{
    step *s = arg;
    const model *m = s->m;
    const size_t d = m->c.model_width;
    size_t begin, end;
    mn__team_split(crew, s->n, 1, &begin, &end);
    memcpy(s->x + begin * d, s->input + (s->count % INPUTS * MN__STEP_ROWS + begin) * d,
           (end - begin) * d * sizeof *s->x);
    for (size_t i = 0; i < m->c.model_blocks; i++) {
        const block *b = &m->block[i];
        norm_rows(crew, s);
        mn__team_wait(crew);
        multiply(crew, s, &b->qkv, s->narrow, s->wide, false);
        mn__team_wait(crew);
        attend(crew, s, i);
        mn__team_wait(crew);
        multiply(crew, s, &b->out, s->narrow, s->x, true);
        mn__team_wait(crew);
        norm_rows(crew, s);
        mn__team_wait(crew);
        begin_memories(crew, s, i);
        feed_forward(crew, s, b);
        end_memories(crew, s, i);
    }
}

/* ---- models ---- */

static mn__matrix take_matrix(mn__pages *p, size_t n_in, size_t n_out)
{
    mn__matrix m = {.n_in = n_in, .n_out = n_out};
    m.panel = mn__pages_take(p, mn__matrix_values(&m) * sizeof *m.panel);
    return m;
}

static void make_experts(model *m, block *b)
{
    const mn__config *c = &m->c;
    b->experts = (mn__step_experts){.width = c->model_width,
                                    .inner = c->experts_inner,
                                    .n_expert = c->experts_n,
                                    .n_keep = c->experts_keep,
                                    .router = take_matrix(&m->pages, c->model_width, c->experts_n),
                                    .up = b->of_experts,
                                    .down = b->of_experts + c->experts_n};
    for (size_t e = 0; e < c->experts_n; e++) {
        b->of_experts[e] = take_matrix(&m->pages, c->model_width, c->experts_inner);
        b->of_experts[c->experts_n + e] = take_matrix(&m->pages, c->experts_inner, c->model_width);
    }
}

static void make_memory(model *m, size_t k)
{
    const mn__config *c = &m->c;
    const size_t half = c->memory_key_width, root = (size_t)sqrt((double)c->memory_expand),
                 n_key = root * c->memory_keys;
    mn__step_memory *l = &m->memory[k];
    *l = (mn__step_memory){.width = c->model_width,
                           .n_head = c->memory_heads,
                           .n_key = n_key,
                           .half = half,
                           .rank = c->memory_rank,
                           .n_core = c->memory_cores,
                           .n_keep = c->memory_keep,
                           .n_axis = c->memory_keys,
                           .value_width = c->memory_value_width,
                           .n_expand = c->memory_expand,
                           .norm_eps = 1e-5f,
                           .query_gain = m->gain,
                           .core = m->core,
                           .shuffle = m->shuffle};
    l->query = take_matrix(&m->pages, l->width, 2 * half);
    l->folded = m->folded + k * 2 * l->n_head;
    for (size_t i = 0; i < 2 * l->n_head; i++)
        m->folded[k * 2 * l->n_head + i] = take_matrix(&m->pages, half, n_key);
    l->keys = mn__pages_take(&m->pages, 2 * l->n_head * n_key * l->rank * half * sizeof *l->keys);
    l->values =
        mn__pages_take(&m->pages, l->n_axis * l->n_axis * l->value_width * sizeof *l->values);
    l->values_proj = take_matrix(&m->pages, l->n_expand * l->value_width, l->width);
}

static void make_blocks(model *m)
{
    const size_t d = m->c.model_width;
    for (size_t i = 0; i < m->c.model_blocks; i++) {
        block *b = &m->block[i];
        b->qkv = take_matrix(&m->pages, d, 3 * d);
        b->out = take_matrix(&m->pages, d, d);
        if (has_memories(m)) {
            b->up = take_matrix(&m->pages, d, m->c.model_hidden);
            b->down = take_matrix(&m->pages, m->c.model_hidden, d);
        } else {
            make_experts(m, b);
        }
    }
    for (size_t k = 0; k < m->at.n; k++) make_memory(m, k);
}

static void model_fini(model *m)
{
    for (size_t i = 0; m->block && i < m->c.model_blocks; i++) mn__free(m->block[i].of_experts);
    mn__free(m->block);
    mn__free(m->memory);
    mn__free(m->folded);
    mn__free(m->shuffle);
    mn__free(m->gain);
    mn__free(m->core);
    mn__pages_fini(&m->pages);
}

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Cells in an order that no cache foresees: steps whose length has no divisor in common with their
 * number. */
static void shuffle_cells(uint32_t *cell, size_t n)
{
    size_t stride = (size_t)(0.618 * (double)n);
    while (common_divisor(stride, n) != 1) stride++;
    for (size_t i = 0, at = 0; i < n; i++, at = (at + stride) % n) cell[i] = (uint32_t)at;
}

static bool make_arrays(model *m)
{
    const mn__config *c = &m->c;
    const size_t n_cell = c->memory_expand * c->memory_keys * c->memory_keys,
                 n_core = c->memory_cores * c->memory_heads * c->memory_rank * c->memory_rank;
    m->block = mn__alloc_zero(MN_MEM_SCRATCH, c->model_blocks * sizeof *m->block);
    m->memory = mn__alloc_zero(MN_MEM_SCRATCH, (m->at.n + 1) * sizeof *m->memory);
    m->folded =
        mn__alloc_zero(MN_MEM_SCRATCH, (m->at.n + 1) * 2 * c->memory_heads * sizeof *m->folded);
    m->shuffle = mn__alloc_array(MN_MEM_SCRATCH, n_cell, sizeof *m->shuffle);
    m->gain = mn__alloc_array(MN_MEM_SCRATCH, c->memory_key_width, sizeof *m->gain);
    m->core = mn__alloc_array(MN_MEM_SCRATCH, n_core, sizeof *m->core);
    if (!m->block || !m->memory || !m->folded || !m->shuffle || !m->gain || !m->core) return false;
    shuffle_cells(m->shuffle, n_cell);
    for (size_t i = 0; i < c->memory_key_width; i++) m->gain[i] = 1;
    for (size_t i = 0; i < n_core; i++) m->core[i] = (float)mn__rng_uniform(5, 0, i, 0);
    for (size_t i = 0; i < c->model_blocks; i++) {
        block *b = &m->block[i];
        b->of_experts = mn__alloc_array(MN_MEM_SCRATCH, 2 * c->experts_n, sizeof *b->of_experts);
        if (!b->of_experts) return false;
    }
    return true;
}

static double bytes_of_model(const mn__config *c)
{
    mn_cost_row part[MN_COST_PARTS];
    mn__cost_formula(c, part);
    const double own = mn_cost_total(part).params - part[MN_COST_EMBEDDING].params,
                 folded = part[MN_COST_KEYS].params / (double)c->memory_rank;
    return sizeof(mn_bf16) * 1.01 * (own + folded) + (1 << 22);
}

/* false, with a note: there is no memory for it. */
static mn_status model_init(model *m, const mn__gauge *b, mn__arch_kind arch, bool *there,
                            mn_diag *diag)
{
    mn_status st;
    *there = false;
    m->b = b;
    mn__config_init(&m->c);
    m->c.model_arch = (int)arch;
    m->c.train_steps = 1;
    for (const char *const *o = b->quick ? tiny : full; *o; o++)
        MN_TRY(mn__config_override(&m->c, *o, diag));
    MN_TRY(mn__config_check(&m->c, diag));
    if (arch == MN__ARCH_ULTRAMEM)
        MN_TRY(mn__insertions_parse(m->c.memory_insert, m->c.model_blocks, &m->at, diag));
    *there = mn__pages_init(&m->pages, b, (size_t)bytes_of_model(&m->c),
                            arch == MN__ARCH_MOE ? "experts" : "UltraMem");
    if (*there && !make_arrays(m)) MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    if (*there) make_blocks(m);
done:
    return st;
}

/* ---- buffers of steps ---- */

static void step_fini(step *s)
{
    void *const all[] = {s->x,
                         s->wide,
                         s->pending,
                         s->narrow,
                         s->hidden,
                         s->input,
                         s->ones,
                         s->experts.logit,
                         s->experts.packed,
                         s->experts.hidden,
                         s->experts.out,
                         s->memory.raw,
                         s->memory.query,
                         s->memory.query_bf16,
                         s->memory.score,
                         s->memory.hit,
                         s->memory.sum,
                         s->memory.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mn__free(all[i]);
}

static void *room(size_t n, size_t size)
{
    return mn__alloc_zero(MN_MEM_SCRATCH, n * size);
}

static bool memory_room(mn__step_memory_work *w, const mn__config *c, size_t n_key, int n_thread,
                        size_t scratch)
{
    const size_t n = MN__STEP_ROWS, half = c->memory_key_width;
    w->raw = room(n * 2 * half, sizeof *w->raw);
    w->query = room(n * 2 * half, sizeof *w->query);
    w->query_bf16 = room(n * 2 * half, sizeof *w->query_bf16);
    w->score = room(n * 2 * c->memory_heads * n_key, sizeof *w->score);
    w->hit = room(n * c->memory_heads * c->memory_keep, sizeof *w->hit);
    w->sum = room(n * c->memory_expand * c->memory_value_width, sizeof *w->sum);
    w->scratch = room((size_t)n_thread * scratch, sizeof *w->scratch);
    return w->raw && w->query && w->query_bf16 && w->score && w->hit && w->sum && w->scratch;
}

static bool expert_room(mn__step_experts_work *w, const mn__config *c)
{
    const size_t n = MN__STEP_ROWS, hits = n * c->experts_keep;
    w->logit = room(n * c->experts_n, sizeof *w->logit);
    w->packed = room(hits * c->model_width, sizeof *w->packed);
    w->hidden = room(hits * c->experts_inner, sizeof *w->hidden);
    w->out = room(hits * c->model_width, sizeof *w->out);
    return w->logit && w->packed && w->hidden && w->out;
}

static bool step_init(step *s, const model *m, int n_thread)
{
    const mn__config *c = &m->c;
    const size_t n = MN__STEP_ROWS, d = c->model_width, wide = 3 * d + c->model_hidden;
    bool ok = true;
    *s = (step){.m = m};
    s->x = room(n * d, sizeof *s->x);
    s->wide = room(n * wide, sizeof *s->wide);
    s->pending = room((m->at.n + 1) * n * d, sizeof *s->pending);
    s->narrow = room(n * d, sizeof *s->narrow);
    s->hidden = room(n * wide, sizeof *s->hidden);
    s->input = room(INPUTS * n * d, sizeof *s->input);
    s->ones = room(n * wide, sizeof *s->ones);
    if (has_memories(m))
        ok = memory_room(&s->memory, c, m->memory[0].n_key, n_thread,
                         mn__step_memory_scratch(&m->memory[0]));
    else
        ok = expert_room(&s->experts, c);
    if (!ok || !s->x || !s->wide || !s->pending || !s->narrow || !s->hidden || !s->input ||
        !s->ones)
        return false;
    s->experts.ones = s->ones;
    for (size_t i = 0; i < n * wide; i++) s->ones[i] = 1;
    for (size_t i = 0; i < INPUTS * n * d; i++) s->input[i] = (float)mn__rng_normal(6, 0, i, 0);
    return true;
}

/* ---- times ---- */

typedef struct pair {
    model model[2]; /* experts, memories */
    step step[2];
    mn__pages cache;
} pair;

static double time_step(const mn__gauge *b, step *s)
{
    const size_t n = b->quick ? 1 : s->n > 8 ? 4 : 8;
    const double t0 = mn__clock_s();
    for (size_t i = 0; i < n; i++, s->count++) mn__team_run(b->team, run_step, s);
    return (mn__clock_s() - t0) / (double)n;
}

static double cache_bytes(const mn__config *c, size_t n, size_t n_context)
{
    return 2.0 * sizeof(mn_bf16) * (double)(n * n_context) *
           (double)(c->model_width * c->model_blocks);
}

/* Values of weights that a step of n reads, as it is written here: folded keys, and of those listed
 * all ranks. */
static double values_of(const mn__config *c, size_t n_memory, size_t n)
{
    const mn_cost_decode r = mn__cost_decode(c, (double)n);
    const double rank = (double)c->memory_rank,
                 listed = 2 * (double)(n_memory * c->memory_heads * c->memory_keep) * rank *
                          (double)c->memory_key_width;
    return r.dense + r.experts + r.rows + r.keys / rank + fmin((double)n * listed, r.keys);
}

static void report(const mn__gauge *b, const pair *p, size_t n, size_t n_context,
                   const mn__gauge_time time[2])
{
    char shape[64];
    const mn__config *c = &p->model[0].c;
    snprintf(shape, sizeof shape, "%zu x %zu, %s%zu tokens behind", c->model_blocks, c->model_width,
             b->quick ? "tiny, " : "151M, ", n_context);
    for (int i = 0; i < 2; i++) {
        mn_cost_row part[MN_COST_PARTS];
        c = &p->model[i].c;
        mn__cost_formula(c, part);
        part[MN_COST_EMBEDDING] = part[MN_COST_PAIRS] = (mn_cost_row){0};
        const mn_cost_row all = mn_cost_total(part);
        const double pairs = 4 * (double)(n_context * c->model_width * c->model_blocks);
        mn__gauge_add(
            b, &(mn__gauge_row){
                   .layer = i ? "ultramem" : "moe",
                   .shape = shape,
                   .phase = "decode",
                   .dtype = "bf16",
                   .uses = i ? "bf16 panels, folded keys, rows asked for ahead"
                             : "bf16 panels, rows by expert",
                   .params = all.params,
                   .active = all.active,
                   .batch = n,
                   .time = time[i],
                   .bytes = 2 * values_of(c, p->model[i].at.n, n) + cache_bytes(c, n, n_context),
                   .flops = (double)n * (all.flops + pairs),
                   .rival = i ? "moe" : NULL,
                   .rival_time = time[0],
                   .limit = MN__GAUGE_READ,
                   .rate = b->b->read_rate,
               });
    }
}

static mn_status measure(const mn__gauge *b, pair *p, size_t n, size_t n_context, mn_diag *diag)
{
    double t[2][MN__GAUGE_REPEATS];
    mn__gauge_time time[2];
    for (int i = 0; i < 2; i++) {
        p->step[i].n = n;
        p->step[i].n_context = n_context;
        p->step[i].cache = p->cache.data;
    }
    for (size_t k = 0; k < b->n_repeat + 1; k++) /* in turn; the first warms up */
        for (int i = 0; i < 2; i++) {
            const mn_status st = mn__gauge_go_on(b, diag);
            if (st != MN_OK) return st;
            t[i][k ? k - 1 : 0] = time_step(b, &p->step[i]);
        }
    for (int i = 0; i < 2; i++) time[i] = mn__gauge_time_of(t[i], b->n_repeat);
    report(b, p, n, n_context, time);
    return MN_OK;
}

static mn_status measure_all(const mn__gauge *b, pair *p, mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t context = b->quick ? 512 : 2048;
    for (size_t i = 0; i < N_BATCH; i++) MN_TRY(measure(b, p, batches[i], 0, diag));
    for (size_t i = 0; i < N_BATCH; i++) {
        const size_t bytes = (size_t)cache_bytes(&p->model[0].c, batches[i], context);
        char what[64];
        snprintf(what, sizeof what, "a cache of %zu tokens for %zu sequences", context, batches[i]);
        if (!mn__pages_init(&p->cache, b, bytes + (1 << 16), what)) continue;
        st = measure(b, p, batches[i], context, diag);
        mn__pages_fini(&p->cache);
        if (st != MN_OK) return st;
    }
done:
    return st;
}

mn_status mn__gauge_memories(const mn__gauge *b, mn_diag *diag)
{
    static const mn__arch_kind arch[] = {MN__ARCH_MOE, MN__ARCH_ULTRAMEM};
    mn_status st = MN_OK;
    bool there = true;
    pair *p = mn__alloc_zero(MN_MEM_SCRATCH, sizeof *p);
    if (!p) return mn__fail(diag, MN_ENOMEM, "bench: no memory");
    for (int i = 0; i < 2 && there; i++) {
        MN_TRY(model_init(&p->model[i], b, arch[i], &there, diag));
        if (there && !step_init(&p->step[i], &p->model[i], b->n_thread))
            MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    }
    if (there) MN_TRY(measure_all(b, p, diag));
done:
    for (int i = 0; i < 2; i++) {
        step_fini(&p->step[i]);
        model_fini(&p->model[i]);
    }
    mn__free(p);
    return st;
}
