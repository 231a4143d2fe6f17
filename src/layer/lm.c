/* lm.c: rows of the embedding -> blocks -> norm -> head. */
#include "layer/lm.h"

#include <stdio.h>
#include <string.h>
#include "layer/ops.h"

enum { ROW_GRAIN = 32, COLUMN_GRAIN = 64 };

void mn__lm_declare(mn__lm *l, mn__params *list)
{
    const mn__param table = {.dim = {l->n_vocab, l->width},
                             .n_dim = 2,
                             .group = MN__PARAM_DECAY,
                             .init = l->cut ? MN__INIT_CUT : MN__INIT_NORMAL,
                             .scale = l->std,
                             .is_matrix = true};
    mn__params_add(list, &l->embedding, table, "", "embedding");
    for (size_t i = 0; i < l->n_block; i++) {
        char name[MN__PARAM_NAME];
        snprintf(name, sizeof name, "block.%zu", i);
        mn__block_declare(&l->block[i], list, name);
    }
    mn__norm_declare(&l->norm, list, "norm");
    if (!l->tied) mn__params_add(list, &l->head, table, "", "head");
}

typedef struct embedding {
    const mn__lm *l;
    const int32_t *token;
    mn__real *x;
    const mn__real *dx;
    size_t n;
} embedding;

static void embed_rows(void *arg, size_t begin, size_t end, int thread)
{
    const embedding *e = arg;
    const size_t width = e->l->width;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        memcpy(e->x + i * width, e->l->embedding.w + (size_t)e->token[i] * width,
               width * sizeof *e->x);
}

static void unembed_columns(void *arg, size_t begin, size_t end, int thread)
{
    const embedding *e = arg;
    const size_t width = e->l->width;
    (void)thread;
    for (size_t i = 0; i < e->n; i++)
        mn__axpy(e->l->embedding.g + (size_t)e->token[i] * width + begin, 1,
                 e->dx + i * width + begin, end - begin);
}

/* Blocks, and the last norm. `input` keeps the rows that each block and the norm read; without it
 * two buffers take turns. Returns the norm's output. */
static mn__real *run_blocks(mn__lm *l, const mn__env *env, mn__shape s, const int32_t *token,
                            mn__real *input, mn__norm_saved *saved)
{
    const size_t n = s.n_seq * s.len, size = n * l->width;
    mn__real *last = mn__take_reals(env, size), *spare = input ? NULL : mn__take_reals(env, size),
             *x = input ? input : mn__take_reals(env, size);
    embedding e = {.l = l, .token = token, .x = x};
    mn__each(env, n, ROW_GRAIN, embed_rows, &e);
    for (size_t i = 0; i < l->n_block; i++) {
        mn__real *y = input ? x + size : spare;
        mn__block_forward(&l->block[i], env, s, x, y, input && !l->recompute);
        spare = x;
        x = y;
    }
    mn__norm_forward(&l->norm, env, n, x, last, saved);
    return last;
}

/* From dx of the last block's output, in place, to that of the embedding's rows. */
static void backward_blocks(mn__lm *l, const mn__env *env, mn__shape s, const mn__real *input,
                            mn__real *dx)
{
    const size_t mark = mn__tape_mark(env->tape), size = s.n_seq * s.len * l->width;
    mn__real *spare = mn__take_reals(env, size), *from = dx, *to = spare;
    for (size_t i = l->n_block; i-- > 0;) {
        const size_t below = mn__tape_mark(env->tape);
        if (l->recompute) {
            mn__real *y = mn__take_reals(env, size);
            mn__block_forward(&l->block[i], env, s, input + i * size, y, true);
        }
        mn__block_backward(&l->block[i], env, s, from, to);
        mn__tape_cut(env->tape, below);
        mn__real *swap = from;
        from = to;
        to = swap;
    }
    if (from != dx && !mn__env_is_dry(env)) memcpy(dx, from, size * sizeof *dx);
    mn__tape_cut(env->tape, mark);
}

static mn__head head_of(const mn__lm *l)
{
    return (mn__head){l->width, l->n_vocab, l->tied ? &l->embedding : &l->head};
}

static double aux_of(const mn__lm *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->n_block; i++) sum += l->block[i].mixer->aux + l->block[i].ffn->aux;
    return sum;
}

mn__nll mn__lm_loss(mn__lm *l, const mn__env *env, const mn__lm_batch *b, bool backward,
                    double *aux)
{
    const size_t mark = mn__tape_mark(env->tape), n = b->shape.n_seq * b->shape.len;
    const mn__head head = head_of(l);
    mn__norm_saved saved;
    mn__real *input = backward ? mn__take_reals(env, (l->n_block + 1) * n * l->width) : NULL;
    const mn__real *last = run_blocks(l, env, b->shape, b->token, input, backward ? &saved : NULL);
    if (aux) *aux = aux_of(l);
    mn__real *dy = backward ? mn__take_reals(env, n * l->width) : NULL;
    mn__nll loss = mn__head_loss(&head, env, n, last, b->target, b->scale, dy);
    if (backward) {
        mn__real *dx = mn__take_reals(env, n * l->width);
        mn__norm_backward(&l->norm, env, n, &saved, dy, dx);
        backward_blocks(l, env, b->shape, input, dx);
        embedding e = {.l = l, .token = b->token, .dx = dx, .n = n};
        if (l->embedding.g) mn__each(env, l->width, COLUMN_GRAIN, unembed_columns, &e);
    }
    mn__tape_cut(env->tape, mark);
    return loss;
}

void mn__lm_logits(mn__lm *l, const mn__env *env, mn__shape s, const int32_t *token,
                   mn__real *logits)
{
    const size_t mark = mn__tape_mark(env->tape);
    const mn__head head = head_of(l);
    const mn__real *last = run_blocks(l, env, s, token, NULL, NULL);
    mn__head_logits(&head, env, s.n_seq * s.len, last, logits);
    mn__tape_cut(env->tape, mark);
}
