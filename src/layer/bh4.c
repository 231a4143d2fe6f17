/* bh4.c: Ref: the code of LookupFFN (ICML 2023).
 *
 *   B(x) = H W4 H W3 H W2 H W1 x  for each repeat, W block-diagonal, H Hadamard (not scaled)
 *   y = alpha [B_1(x), B_2(x), ..] + (1 - alpha) [x, x, ..] + b, x padded with zeros, y cut to
 * n_out
 *
 * Backward runs a repeat's stages again, keeps their inputs, and goes back through them: H is its
 * own transpose. Blocks are [out][in], as the published device code has them (its CPU code has them
 * the other way round and scales H, and computes something else). */
#include "layer/bh4.h"

#include <string.h>
#include "layer/ops.h"

enum { ROW_GRAIN = 32 };

size_t mn__bh4_padded(const mn__bh4 *l)
{
    size_t n = l->block;
    while (n < l->n_in) n *= 2;
    return n;
}

size_t mn__bh4_repeats(const mn__bh4 *l)
{
    const size_t n = mn__bh4_padded(l);
    return (l->n_out + n - 1) / n;
}

void mn__bh4_declare(mn__bh4 *l, mn__params *list, const char *prefix)
{
    const size_t n = mn__bh4_padded(l);
    mn__params_add(
        list, &l->weight,
        (mn__param){.dim = {mn__bh4_repeats(l), MN__BH4_STAGES, n / l->block, l->block, l->block},
                    .n_dim = 5,
                    .group = MN__PARAM_DECAY,
                    .init = MN__INIT_NORMAL,
                    .scale = 1 / sqrt((double)(l->block * n))},
        prefix, "weight");
    mn__params_add(
        list, &l->bias,
        (mn__param){
            .dim = {l->n_out}, .n_dim = 1, .group = MN__PARAM_NO_DECAY, .init = MN__INIT_CONSTANT},
        prefix, "bias");
}

void mn__hadamard(mn__real *x, size_t n)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t j = i; j < i + half; j++) {
                const mn__real a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
}

/* A repeat, some rows at a time. */
typedef struct pass {
    const mn__bh4 *l;
    size_t padded, repeat;
    const mn__real *x, *dy, *w; /* w: of the repeat or the stage */
    mn__real *y, *dx, *g;
    mn__real *stage[MN__BH4_STAGES + 1]; /* [n][padded]: inputs of stages, and the last output */
    mn__real *from, *to;                 /* gradients, [n][padded] */
    size_t n;
    bool alone; /* mn__mm */
} pass;

static mn__mm block_of(const pass *p, size_t b, size_t begin, size_t end)
{
    const size_t block = p->l->block;
    return (mn__mm){.m = end - begin,
                    .n = block,
                    .k = block,
                    .b = p->w + b * block * block,
                    .ld_a = p->padded,
                    .ld_b = block,
                    .ld_c = p->padded,
                    .alone = p->alone};
}

/* Input rows, padded, through all stages. */
static void forward_rows(void *arg, size_t begin, size_t end, int thread)
{
    pass p = *(const pass *)arg;
    const size_t block = p.l->block, n = p.padded, size = p.padded * block;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        memcpy(p.stage[0] + i * n, p.x + i * p.l->n_in, p.l->n_in * sizeof *p.x);
        memset(p.stage[0] + i * n + p.l->n_in, 0, (n - p.l->n_in) * sizeof *p.x);
    }
    for (size_t s = 0; s < MN__BH4_STAGES; s++, p.w += size) {
        for (size_t b = 0; b < n / block; b++) {
            mn__mm mm = block_of(&p, b, begin, end);
            mm.a = p.stage[s] + begin * n + b * block;
            mm.c = p.stage[s + 1] + begin * n + b * block;
            mn__mm_nt(&mm);
        }
        for (size_t i = begin; i < end; i++) mn__hadamard(p.stage[s + 1] + i * n, n);
    }
}

static void count_stages(const pass *p, const mn__env *env, size_t n_stage)
{
    mn__count(env, MN__WORK_WEIGHTS,
              (double)n_stage * (double)p->n * (double)p->padded * (double)p->l->block);
}

/* Columns of y that the repeat makes. */
static size_t width_of(const pass *p)
{
    const size_t left = p->l->n_out - p->repeat * p->padded;
    return left < p->padded ? left : p->padded;
}

static void blend_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__real alpha = (mn__real)p->l->alpha;
    const size_t first = p->repeat * p->padded, width = width_of(p);
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *mapped = p->stage[MN__BH4_STAGES] + i * p->padded,
                       *x = p->x + i * p->l->n_in;
        mn__real *y = p->y + i * p->l->n_out + first;
        for (size_t c = 0; c < width; c++)
            y[c] = alpha * mapped[c] + (c < p->l->n_in ? (1 - alpha) * x[c] : 0) +
                   p->l->bias.w[first + c];
    }
}

static size_t repeat_size(const mn__bh4 *l)
{
    return MN__BH4_STAGES * mn__bh4_padded(l) * l->block;
}

void mn__bh4_forward(const mn__bh4 *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.l = l, .padded = mn__bh4_padded(l), .x = x, .y = y, .n = n, .alone = env->decode};
    mn__real *a = mn__take_reals(env, n * p.padded), *b = mn__take_reals(env, n * p.padded);
    for (size_t s = 0; s <= MN__BH4_STAGES; s++) p.stage[s] = s % 2 ? b : a;
    for (; p.repeat < mn__bh4_repeats(l); p.repeat++) {
        p.w = l->weight.w + p.repeat * repeat_size(l);
        count_stages(&p, env, MN__BH4_STAGES);
        mn__each(env, n, ROW_GRAIN, forward_rows, &p);
        mn__each(env, n, ROW_GRAIN, blend_rows, &p);
    }
    mn__tape_cut(env->tape, mark);
}

/* The gradient of the last stage's output, and dx of the input itself. */
static void unblend_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__real alpha = (mn__real)p->l->alpha;
    const size_t n_in = p->l->n_in, width = width_of(p);
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *dy = p->dy + i * p->l->n_out + p->repeat * p->padded;
        mn__real *d = p->from + i * p->padded, *dx = p->dx + i * n_in;
        if (!p->repeat) memset(dx, 0, n_in * sizeof *dx);
        for (size_t c = 0; c < p->padded; c++) d[c] = c < width ? alpha * dy[c] : 0;
        for (size_t c = 0; c < n_in && c < width; c++) dx[c] += (1 - alpha) * dy[c];
    }
}

/* One stage back: `from` through the transform, in place, then through the blocks to `to`. */
static void backward_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t block = p->l->block, n = p->padded;
    (void)thread;
    for (size_t i = begin; i < end; i++) mn__hadamard(p->from + i * n, n);
    for (size_t b = 0; b < n / block; b++) {
        mn__mm mm = block_of(p, b, begin, end);
        mm.a = p->from + begin * n + b * block;
        mm.c = p->to + begin * n + b * block;
        mn__mm_nn(&mm);
    }
}

/* A block's gradient is one thread's; x: the stage's input. */
static void backward_blocks(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t block = p->l->block, n = p->padded;
    (void)thread;
    for (size_t b = begin; b < end; b++) {
        const mn__mm mm = {.m = block,
                           .n = block,
                           .k = p->n,
                           .a = p->from + b * block,
                           .b = p->x + b * block,
                           .c = p->g + b * block * block,
                           .ld_a = n,
                           .ld_b = n,
                           .ld_c = block,
                           .add = true};
        mn__mm_tn(&mm);
    }
}

static void add_input(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        mn__axpy(p->dx + i * p->l->n_in, 1, p->from + i * p->padded, p->l->n_in);
}

static void backward_repeat(const pass *repeat, const mn__env *env)
{
    pass p = *repeat;
    const mn__bh4 *l = p.l;
    const size_t stage_size = p.padded * l->block, first = p.repeat * repeat_size(l);
    mn__each(env, p.n, ROW_GRAIN, unblend_rows, &p);
    count_stages(&p, env, (l->weight.g ? 2 : 1) * MN__BH4_STAGES);
    for (size_t s = MN__BH4_STAGES; s-- > 0;) {
        p.w = l->weight.w + first + s * stage_size;
        mn__each(env, p.n, ROW_GRAIN, backward_rows, &p);
        if (l->weight.g) {
            pass blocks = p;
            blocks.x = p.stage[s];
            blocks.g = l->weight.g + first + s * stage_size;
            mn__each(env, p.padded / l->block, 1, backward_blocks, &blocks);
        }
        mn__real *swap = p.from;
        p.from = p.to;
        p.to = swap;
    }
    mn__each(env, p.n, ROW_GRAIN, add_input, &p);
}

void mn__bh4_backward(const mn__bh4 *l, const mn__env *env, size_t n, const mn__real *x,
                      const mn__real *dy, mn__real *dx)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.l = l, .padded = mn__bh4_padded(l), .x = x, .dy = dy, .dx = dx, .n = n};
    for (size_t s = 0; s <= MN__BH4_STAGES; s++) p.stage[s] = mn__take_reals(env, n * p.padded);
    p.from = mn__take_reals(env, n * p.padded);
    p.to = p.stage[MN__BH4_STAGES]; /* the last output is of no use any more */
    for (; p.repeat < mn__bh4_repeats(l); p.repeat++) {
        p.w = l->weight.w + p.repeat * repeat_size(l);
        count_stages(&p, env, MN__BH4_STAGES);
        mn__each(env, n, ROW_GRAIN, forward_rows, &p);
        backward_repeat(&p, env);
    }
    if (l->bias.g) mn__each_add_rows(env, l->bias.g, dy, l->n_out, n, l->n_out);
    mn__tape_cut(env->tape, mark);
}
