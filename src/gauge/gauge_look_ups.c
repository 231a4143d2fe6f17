/* mn__gauge_look_ups.c: MemoryFormer's blocks outside attention at batch 1 beside the dense twin's,
 * and one of its layers cold, beside random reads of the same rows. Weights are random. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "gauge/gauge.h"
#include "ggml.h"
#include "model/step_look_up.h"
#include "tensor/linear.h"

enum { TAU = 8, EXTRA = 2, INPUTS = 32 };

typedef struct shape {
    const char *name;
    size_t n_block, width, n_table;
} shape;
static const shape shapes[] = {{"small", 12, 768, 96}, {"base", 24, 1024, 128}};
static const shape tiny = {"tiny", 2, 64, 8};

/* ---- MemoryFormer ---- */

typedef struct former_block {
    mn__look_up qkv, in, out;
} former_block;

/* All threads walk through the blocks with rows of their own, which are the same; what they share
 * is the parts of the sums. */
typedef struct former {
    const shape *s;
    const struct mn__kern *kern;
    former_block *block;
    float *part[3]; /* of qkv, in, out */
    float *own;     /* [threads][own_size] */
    size_t own_size;
    const float *input; /* [INPUTS][width] */
    const float *ones;
    size_t step;
} former;

static mn__look_up take_tables(mn__pages *p, size_t n_table, size_t n_bit, size_t width,
                               const float *zeros)
{
    const size_t n_row = n_table << n_bit;
    float *scale = mn__pages_take(p, n_row * sizeof *scale);
    for (size_t i = 0; i < n_row; i++) scale[i] = 1e-3f;
    return (mn__look_up){.n_table = n_table,
                         .n_bit = n_bit,
                         .width = width,
                         .rows = mn__pages_take(p, n_row * width),
                         .scale = scale,
                         .bias = zeros,
                         .temperature = 1,
                         .by_size = true};
}

static size_t table_bytes(size_t n_table, size_t n_bit, size_t width)
{
    return (n_table << n_bit) * (width + sizeof(float)) + 256;
}

static size_t former_bytes(const shape *s)
{
    const size_t middle = s->n_table * (TAU + EXTRA);
    return s->n_block *
           (table_bytes(s->n_table, TAU, 3 * s->width) + table_bytes(s->n_table, TAU, middle) +
            table_bytes(s->n_table, TAU + EXTRA, s->width));
}

/* Centred and scaled to a variance of 1. */
static void layer_norm(float *y, const float *x, size_t n)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const float scale = (float)(1 / sqrt(square / (double)n + 1e-5));
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - (float)mean) * scale;
}

/* One token: attention is left out, a position that sees itself alone answers with its values. */
static void former_step(const mn__crew *crew, void *arg)
{
    const former *f = arg;
    const size_t d = f->s->width;
    float *x = f->own + (size_t)crew->thread * f->own_size, *a = x + d, *u = a + d;
    memcpy(x, f->input + f->step % INPUTS * d, d * sizeof *x);
    for (size_t i = 0; i < f->s->n_block; i++) {
        const former_block *b = &f->block[i];
        const size_t middle = b->in.width;
        f->kern->rms_norm(a, x, f->ones, d, 1e-5f);
        mn__look_up_step(crew, f->kern, &b->qkv, a, f->part[0]);
        mn__team_wait(crew);
        mn__look_up_sum(&b->qkv, f->part[0], false, u);
        for (size_t c = 0; c < d; c++) x[c] += u[2 * d + c];
        f->kern->rms_norm(a, x, f->ones, d, 1e-5f);
        mn__look_up_step(crew, f->kern, &b->in, a, f->part[1]);
        mn__team_wait(crew);
        mn__look_up_sum(&b->in, f->part[1], false, u);
        layer_norm(u + middle, u, middle);
        mn__look_up_step(crew, f->kern, &b->out, u + middle, f->part[2]);
        mn__team_wait(crew);
        mn__look_up_sum(&b->out, f->part[2], true, x);
    }
}

static void former_fini(former *f)
{
    for (int i = 0; i < 3; i++) mn__free(f->part[i]);
    mn__free(f->own);
    mn__free(f->block);
}

static bool former_init(former *f, const mn__gauge *b, mn__pages *p, const float *zeros)
{
    const size_t d = f->s->width, middle = f->s->n_table * (TAU + EXTRA), widest = 3 * d + middle;
    f->kern = &b->kern.best;
    f->own_size = (2 * d + 2 * widest + 15) / 16 * 16;
    f->own = mn__alloc_array(MN_MEM_SCRATCH, (size_t)b->n_thread * f->own_size, sizeof *f->own);
    f->block = mn__alloc_array(MN_MEM_SCRATCH, f->s->n_block, sizeof *f->block);
    for (int i = 0; i < 3; i++)
        f->part[i] =
            mn__alloc_array(MN_MEM_SCRATCH, MN__LOOK_UP_PARTS * widest, sizeof *f->part[i]);
    if (!f->own || !f->block || !f->part[0] || !f->part[1] || !f->part[2]) return false;
    for (size_t i = 0; i < f->s->n_block; i++)
        f->block[i] = (former_block){.qkv = take_tables(p, f->s->n_table, TAU, 3 * d, zeros),
                                     .in = take_tables(p, f->s->n_table, TAU, middle, zeros),
                                     .out = take_tables(p, f->s->n_table, TAU + EXTRA, d, zeros)};
    return true;
}

/* ---- the dense twin ---- */

enum { QKV, OUT, UP, DOWN, N_MATRIX };

typedef struct twin {
    const shape *s;
    const mn__step_kern *kern;
    bool is_q8;
    mn__weight *weight;   /* [n_block][N_MATRIX]: q8, by the engine's dots */
    mn__product *product; /* of them */
    mn__matrix *matrix;   /* [n_block][N_MATRIX]: bf16 panels */
    float *wide;          /* [4 width]: what a product of all threads made */
    float *x;             /* [width]: the residual stream, written by products */
    float *own;           /* [threads][8 width] */
    const float *input, *ones;
    size_t step;
} twin;

static void matrix_sizes(const shape *s, int i, size_t *n_in, size_t *n_out)
{
    *n_in = (i == DOWN ? 4 : 1) * s->width;
    *n_out = (i == QKV ? 3 : i == UP ? 4 : 1) * s->width;
}

/* y (+)= W x, x being this thread's own copy. */
static void twin_product(const mn__crew *crew, const twin *t, size_t at, float *x, float *y,
                         bool add)
{
    if (t->is_q8) {
        const mn__weight *w = &t->weight[at];
        const mn__rows rows = {
            .decode = true, .n_row = 1, .n_in = w->n_in, .ld = w->n_in, .f32 = x};
        mn__linear(crew, t->product, w, &rows, y, w->n_out, add);
        return;
    }
    const mn__matrix *m = &t->matrix[at];
    mn_bf16 *narrow = (mn_bf16 *)(x + m->n_in); /* behind x there is room for it */
    t->kern->few.f32_to_bf16(narrow, x, m->n_in);
    mn__step_multiply(crew, t->kern,
                      &(mn__step_product){.m = m,
                                          .n_matrix = 1,
                                          .rows = {narrow, 1, m->n_in},
                                          .y = y,
                                          .ld_y = m->n_out,
                                          .add = add});
}

static void twin_step(const mn__crew *crew, void *arg)
{
    const twin *t = arg;
    const struct mn__kern *kern = &t->kern->best;
    const size_t d = t->s->width;
    float *a = t->own + (size_t)crew->thread * 8 * d;
    if (!crew->thread) memcpy(t->x, t->input + t->step % INPUTS * d, d * sizeof *t->x);
    mn__team_wait(crew);
    for (size_t i = 0; i < t->s->n_block; i++) {
        const size_t at = i * N_MATRIX;
        kern->rms_norm(a, t->x, t->ones, d, 1e-5f);
        twin_product(crew, t, at + QKV, a, t->wide, false);
        mn__team_wait(crew);
        memcpy(a, t->wide + 2 * d, d * sizeof *a);
        mn__team_wait(crew);
        twin_product(crew, t, at + OUT, a, t->x, true);
        mn__team_wait(crew);
        kern->rms_norm(a, t->x, t->ones, d, 1e-5f);
        twin_product(crew, t, at + UP, a, t->wide, false);
        mn__team_wait(crew);
        kern->gelu_mul(a, t->wide, t->ones, 4 * d);
        twin_product(crew, t, at + DOWN, a, t->x, true);
        mn__team_wait(crew);
    }
}

static void twin_fini(twin *t)
{
    for (size_t i = 0; t->weight && i < t->s->n_block * N_MATRIX; i++)
        mn__weight_unpack(&t->weight[i]);
    mn__product_free(t->product);
    mn__free(t->weight);
    mn__free(t->matrix);
    mn__free(t->wide);
    mn__free(t->x);
    mn__free(t->own);
}

/* One weight in blocks of 32 values with a scale in f16, packed for the dots. */
static mn_status make_weight(const mn__gauge *b, mn__weight *w, size_t n_in, size_t n_out,
                             uint8_t *raw, mn_diag *diag)
{
    enum { BLOCK = 32, BLOCK_BYTES = 34 };
    const uint16_t scale = 0x0800; /* 2^-13 */
    *w = (mn__weight){.name = "random",
                      .data = raw,
                      .type = GGML_TYPE_Q8_0,
                      .n_in = n_in,
                      .n_out = n_out,
                      .row_bytes = n_in / BLOCK * BLOCK_BYTES};
    mn__pages_fill_bytes(b, raw, n_out * w->row_bytes);
    for (size_t i = 0; i < n_out * n_in / BLOCK; i++)
        memcpy(raw + i * BLOCK_BYTES, &scale, sizeof scale);
    const mn_status st = mn__weight_pack(w, &b->kern.best, MN__PACK_DOTS, diag);
    w->data = NULL; /* the packed rows are all that a step reads */
    return st;
}

static mn_status make_weights(const mn__gauge *b, twin *t, mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t d = t->s->width;
    uint8_t *raw = mn__alloc(MN_MEM_SCRATCH, 4 * d * d / 32 * 34);
    if (!raw) return mn__fail(diag, MN_ENOMEM, "bench: no memory");
    for (size_t i = 0; i < t->s->n_block * N_MATRIX && st == MN_OK; i++) {
        size_t n_in, n_out;
        matrix_sizes(t->s, (int)(i % N_MATRIX), &n_in, &n_out);
        st = make_weight(b, &t->weight[i], n_in, n_out, raw, diag);
    }
    mn__free(raw);
    return st;
}

static mn_status twin_init(const mn__gauge *b, twin *t, mn__pages *p, mn_diag *diag)
{
    const size_t d = t->s->width, n = t->s->n_block * N_MATRIX;
    t->kern = &b->kern;
    t->weight = mn__alloc_zero(MN_MEM_SCRATCH, n * sizeof *t->weight);
    t->matrix = mn__alloc_zero(MN_MEM_SCRATCH, n * sizeof *t->matrix);
    t->wide = mn__alloc_array(MN_MEM_SCRATCH, 4 * d, sizeof *t->wide);
    t->x = mn__alloc_array(MN_MEM_SCRATCH, d, sizeof *t->x);
    t->own = mn__alloc_array(MN_MEM_SCRATCH, (size_t)b->n_thread * 8 * d, sizeof *t->own);
    if (!t->weight || !t->matrix || !t->wide || !t->x || !t->own)
        return mn__fail(diag, MN_ENOMEM, "bench: no memory");
    for (size_t i = 0; i < n; i++) {
        mn__matrix *m = &t->matrix[i];
        matrix_sizes(t->s, (int)(i % N_MATRIX), &m->n_in, &m->n_out);
        m->panel = mn__pages_take(p, mn__matrix_values(m) * sizeof *m->panel);
    }
    mn_status st = mn__product_new(&t->product, &b->kern.best, b->n_thread, 1, 4 * d, diag);
    return st == MN_OK ? make_weights(b, t, diag) : st;
}

/* ---- times ---- */

/* Everything of one shape. */
typedef struct pair {
    former f;
    twin t;
    float *input, *ones;
    mn__pages tables, dense;
} pair;

static double timed(const mn__gauge *b, void (*step)(const mn__crew *, void *), void *arg,
                    size_t *count)
{
    enum { STEPS = INPUTS };
    const double t0 = mn__clock_s();
    for (size_t i = 0; i < STEPS; i++, ++*count) mn__team_run(b->team, step, arg);
    return (mn__clock_s() - t0) / STEPS;
}

/* In turn, so that what the machine does meanwhile meets all three. */
static mn_status measure(const mn__gauge *b, pair *p, mn__gauge_time out[3], mn_diag *diag)
{
    double t[3][MN__GAUGE_REPEATS];
    for (size_t k = 0; k < b->n_repeat + 1; k++) {
        const size_t at = k ? k - 1 : 0; /* the first warms up */
        const mn_status st = mn__gauge_go_on(b, diag);
        if (st != MN_OK) return st;
        t[0][at] = timed(b, former_step, &p->f, &p->f.step);
        p->t.is_q8 = false;
        t[1][at] = timed(b, twin_step, &p->t, &p->t.step);
        p->t.is_q8 = true;
        t[2][at] = timed(b, twin_step, &p->t, &p->t.step);
    }
    for (int i = 0; i < 3; i++) out[i] = mn__gauge_time_of(t[i], b->n_repeat);
    return MN_OK;
}

/* Random reads of rows as long as the three kinds of tables have them, each as often as the others.
 */
static double random_rate(const mn__gauge *b, const pair *p)
{
    const size_t d = p->f.s->width, width[3] = {3 * d, p->f.s->n_table * (TAU + EXTRA), d};
    double bytes = 0, seconds = 0;
    for (int i = 0; i < 3; i++) {
        const double rate = mn__gauge_random(b, p->tables.data, p->tables.size, width[i]);
        if (!(rate > 0)) return 0;
        bytes += (double)width[i];
        seconds += (double)width[i] / rate;
    }
    return bytes / seconds;
}

static void report(const mn__gauge *b, const pair *p, const mn__gauge_time time[3])
{
    const shape *s = p->f.s;
    const size_t d = s->width, middle = s->n_table * (TAU + EXTRA);
    const double n = (double)s->n_block, dense = n * 12 * (double)(d * d),
                 rows = n * (double)(s->n_table * (3 * d + middle + d)),
                 params = n * (double)s->n_table *
                          (256.0 * (double)(3 * d + middle) + 1024.0 * (double)d);
    const bool q8_wins = time[2].median < time[1].median;
    char text[64];
    snprintf(text, sizeof text, "%s: %zu x %zu, outside attention", s->name, s->n_block, d);
    mn__gauge_row row = {.layer = "dense",
                         .shape = text,
                         .phase = "decode",
                         .params = dense,
                         .active = dense,
                         .batch = 1,
                         .flops = 2 * dense,
                         .limit = MN__GAUGE_READ,
                         .rate = b->b->read_rate};
    for (int i = 1; i < 3; i++) {
        row.dtype = i == 1 ? "bf16" : "q8";
        row.uses = i == 1 ? "bf16 panels, vectors" : "packed q8 rows, dots in 8 bits";
        row.bytes = dense * (i == 1 ? 2 : 34.0 / 32);
        row.time = time[i];
        mn__gauge_add(b, &row);
    }
    row = (mn__gauge_row){.layer = "memoryformer",
                          .shape = text,
                          .phase = "decode",
                          .dtype = "int8",
                          .uses = "rows asked for ahead, 8-bit sums, a scale a row",
                          .params = params,
                          .active = rows,
                          .batch = 1,
                          .time = time[0],
                          .bytes = rows,
                          .flops = 2 * rows,
                          .rival = q8_wins ? "dense q8" : "dense bf16",
                          .rival_time = time[q8_wins ? 2 : 1],
                          .limit = MN__GAUGE_RANDOM,
                          .rate = random_rate(b, p)};
    mn__gauge_add(b, &row);
}

static float *take_floats(size_t n, bool random)
{
    float *x = mn__alloc_array(MN_MEM_SCRATCH, n, sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = random ? (float)mn__rng_normal(3, 0, i, 0) : 1;
    return x;
}

static mn_status run_shape(const mn__gauge *b, const shape *s, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__gauge_time time[3];
    const size_t d = s->width, dense = 12 * d * d * s->n_block * sizeof(mn_bf16) + (1 << 16);
    pair p = {.f.s = s, .t.s = s};
    float *zeros = mn__alloc_zero(MN_MEM_SCRATCH, 4 * d * sizeof *zeros);
    p.input = take_floats(INPUTS * d, true);
    p.ones = take_floats(4 * d, false);
    if (!zeros || !p.input || !p.ones) MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    p.f.input = p.t.input = p.input;
    p.f.ones = p.t.ones = p.ones;
    if (!mn__pages_init(&p.tables, b, former_bytes(s), s->name)) goto done;
    mn__pages_fill_bytes(b, p.tables.data, p.tables.size);
    if (!former_init(&p.f, b, &p.tables, zeros))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    if (!mn__pages_init(&p.dense, b, dense, s->name)) goto done;
    MN_TRY(twin_init(b, &p.t, &p.dense, diag));
    MN_TRY(measure(b, &p, time, diag));
    report(b, &p, time);
done:
    former_fini(&p.f);
    twin_fini(&p.t);
    mn__pages_fini(&p.tables);
    mn__pages_fini(&p.dense);
    mn__free(zeros);
    mn__free(p.input);
    mn__free(p.ones);
    return st;
}

/* ---- one layer, cold ---- */

typedef struct cold {
    const struct mn__kern *kern;
    const mn__look_up *layer;
    size_t n_layer, step;
    const float *input; /* [INPUTS][width] */
    float *part, *y;    /* y: [threads][width] */
} cold;

/* One token through all layers, each with an input of its own. */
static void cold_step(const mn__crew *crew, void *arg)
{
    const cold *c = arg;
    const size_t n_in = c->layer->n_table * c->layer->n_bit, width = c->layer->width;
    for (size_t i = 0; i < c->n_layer; i++) {
        float *part = c->part + i % 2 * MN__LOOK_UP_PARTS * width;
        mn__look_up_step(crew, c->kern, &c->layer[i], c->input + (i + c->step) % INPUTS * n_in,
                         part);
        mn__team_wait(crew);
        mn__look_up_sum(&c->layer[i], part, false, c->y + (size_t)crew->thread * width);
    }
}

static mn_status time_cold(const mn__gauge *b, cold *c, const mn__pages *p, mn_diag *diag)
{
    double t[MN__GAUGE_REPEATS];
    const mn__look_up *l = c->layer;
    for (size_t k = 0; k < b->n_repeat + 1; k++) {
        const mn_status st = mn__gauge_go_on(b, diag);
        if (st != MN_OK) return st;
        const double t0 = mn__clock_s();
        for (int i = 0; i < 8; i++, c->step++) mn__team_run(b->team, cold_step, c);
        t[k ? k - 1 : 0] = (mn__clock_s() - t0) / 8 / (double)c->n_layer;
    }
    char text[64];
    snprintf(text, sizeof text, "K %zu, tau %zu, D %zu, one token cold", l->n_table, l->n_bit,
             l->width);
    const double rows = (double)(l->n_table * l->width);
    mn__gauge_add(b, &(mn__gauge_row){.layer = "memory layer",
                                      .shape = text,
                                      .phase = "decode",
                                      .dtype = "int8",
                                      .uses = "rows asked for ahead, 8-bit sums, a scale a row",
                                      .params = rows * (double)((size_t)1 << l->n_bit),
                                      .active = rows,
                                      .batch = 1,
                                      .time = mn__gauge_time_of(t, b->n_repeat),
                                      .bytes = rows,
                                      .flops = 2 * rows,
                                      .limit = MN__GAUGE_RANDOM,
                                      .rate = mn__gauge_random(b, p->data, p->size, l->width)});
    return MN_OK;
}

static mn_status run_cold(const mn__gauge *b, mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t n_table = b->quick ? 8 : 64, width = b->quick ? 64 : 512;
    cold c = {.kern = &b->kern.best, .n_layer = b->quick ? 4 : 128};
    mn__pages p = {0};
    mn__look_up *layer = mn__alloc_array(MN_MEM_SCRATCH, c.n_layer, sizeof *layer);
    float *input = take_floats(INPUTS * n_table * TAU, true),
          *zeros = mn__alloc_zero(MN_MEM_SCRATCH, width * sizeof *zeros);
    c.layer = layer;
    c.input = input;
    c.part = take_floats(2 * MN__LOOK_UP_PARTS * width, false);
    c.y = take_floats((size_t)b->n_thread * width, false);
    if (!layer || !input || !zeros || !c.part || !c.y)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    if (!mn__pages_init(&p, b, c.n_layer * table_bytes(n_table, TAU, width), "memory layer"))
        goto done;
    mn__pages_fill_bytes(b, p.data, p.size);
    for (size_t i = 0; i < c.n_layer; i++) layer[i] = take_tables(&p, n_table, TAU, width, zeros);
    MN_TRY(time_cold(b, &c, &p, diag));
done:
    mn__pages_fini(&p);
    mn__free(layer);
    mn__free(input);
    mn__free(zeros);
    mn__free(c.part);
    mn__free(c.y);
    return st;
}

mn_status mn__gauge_look_ups(const mn__gauge *b, mn_diag *diag)
{
    mn_status st = MN_OK;
    MN_TRY(run_cold(b, diag));
    if (b->quick) return run_shape(b, &tiny, diag);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        MN_TRY(run_shape(b, &shapes[i], diag));
done:
    return st;
}
