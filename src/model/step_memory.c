/* step_memory.c: query, lists of the best keys, their grid, the rows behind it.
 *
 *   alpha_i = <sum_s u_s k[0,i,s], q_row>,  the m best rows and columns
 *   S_row[i,s] = k[0,i,s].q_row of those,  the m best of S_row[i]' C S_col[j],  C = sum of C^c
 *   cell -> shuffle -> row = cell mod N, block = cell div N,  weights w^c = S_row' C^c S_col
 *   sum[block, part c] += w^c V[row, part c],  y = W_v sum
 *
 * A head of a token is one thread's search; a part of a token's rows is one thread's sum. */
#include "model/step_memory.h"

#include <assert.h>
#include <string.h>

#include "layer/topm.h"

enum { LINE = 64 };

/* One thread's. */
typedef struct scratch {
    float *grid, *value, *work; /* [m^2], [m], [m] */
    uint32_t *list[2], *place;  /* [m] each */
    uint32_t *rank_row;         /* [m rank] */
    float *score[2];            /* [m][rank] */
} scratch;

size_t mn__step_memory_scratch(const mn__step_memory *l)
{
    const size_t m = l->n_keep;
    return (m * m + 5 * m + 3 * m * l->rank + 15) / 16 * 16;
}

static scratch scratch_of(const mn__step_memory *l, float *at)
{
    const size_t m = l->n_keep, r = l->rank;
    scratch s;
    s.grid = at;
    s.value = s.grid + m * m;
    s.work = s.value + m;
    s.score[0] = s.work + m;
    s.score[1] = s.score[0] + m * r;
    s.list[0] = (uint32_t *)(s.score[1] + m * r);
    s.list[1] = s.list[0] + m;
    s.place = s.list[1] + m;
    s.rank_row = s.place + m;
    return s;
}

/* ---- search ---- */

static void norm_queries(const mn__crew *crew, const struct mn__kern *kern,
                         const mn__step_memory *l, size_t n, const mn__step_memory_work *w)
{
    size_t begin, end;
    mn__team_split(crew, 2 * n, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t at = i * l->half;
        kern->rms_norm(w->query + at, w->raw + at, l->query_gain, l->half, l->norm_eps);
        kern->f32_to_bf16(w->query_bf16 + at, w->query + at, l->half);
    }
}

/* Products of all queries with all folded keys of both axes. */
static void score_keys(const mn__crew *crew, const mn__step_kern *k, const mn__step_memory *l,
                       size_t n, const mn__step_memory_work *w)
{
    const size_t axis_keys = l->n_head * l->n_key;
    for (size_t axis = 0; axis < 2; axis++)
        mn__step_multiply(crew, k,
                          &(mn__step_product){
                              .m = l->folded + axis * l->n_head,
                              .n_matrix = l->n_head,
                              .rows = {w->query_bf16 + axis * l->half, n, 2 * l->half},
                              .y = w->score + axis * axis_keys,
                              .ld_y = 2 * axis_keys,
                          });
}

/* The best keys of one axis, and their scores of every rank. */
static void list_keys(const struct mn__kern *kern, const mn__step_memory *l,
                      const mn__step_memory_work *w, size_t token, size_t head_axis, scratch *s)
{
    const size_t m = l->n_keep, r = l->rank, axis = head_axis / l->n_head;
    mn__topm(w->score + (token * 2 * l->n_head + head_axis) * l->n_key, l->n_key, m, s->list[axis],
             s->value, s->work);
    for (size_t i = 0; i < m * r; i++)
        s->rank_row[i] = s->list[axis][i / r] * (uint32_t)r + (uint32_t)(i % r);
    kern->row_dots_bf16(s->score[axis], l->keys + head_axis * l->n_key * r * l->half, s->rank_row,
                        w->query + (token * 2 + axis) * l->half, m * r, l->half);
}

/* z = C^c' x of one head, or of the sum of all cores. */
static void through_core(const mn__step_memory *l, size_t head, size_t first, size_t n_core,
                         const float *x, float *z)
{
    const size_t r = l->rank;
    memset(z, 0, r * sizeof *z);
    for (size_t c = first; c < first + n_core; c++)
        for (size_t a = 0; a < r; a++)
            for (size_t b = 0; b < r; b++)
                z[b] += x[a] * l->core[((c * l->n_head + head) * r + a) * r + b];
}

static float dot(const float *x, const float *y, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void fill_grid(const mn__step_memory *l, size_t head, const scratch *s)
{
    const size_t m = l->n_keep, r = l->rank;
    float z[MN__STEP_RANK];
    for (size_t a = 0; a < m; a++) {
        float *row = s->grid + a * m;
        through_core(l, head, 0, l->n_core, s->score[0] + a * r, z);
        for (size_t b = 0; b < m; b++) row[b] = z[0] * s->score[1][b * r];
        for (size_t t = 1; t < r; t++)
            for (size_t b = 0; b < m; b++) row[b] += z[t] * s->score[1][b * r + t];
    }
}

/* Hits of one head: cells first, so that their places in the shuffle come side by side. */
static void find_rows(const mn__step_memory *l, size_t head, const scratch *s, mn__step_hit *hit)
{
    const size_t m = l->n_keep, r = l->rank, n_row = l->n_axis * l->n_axis;
    float z[MN__STEP_RANK];
    for (size_t i = 0; i < m; i++) {
        const size_t a = s->place[i] / m, b = s->place[i] % m;
        hit[i].row = s->list[0][a] * (uint32_t)l->n_key + s->list[1][b];
        __builtin_prefetch(l->shuffle + hit[i].row);
        for (size_t c = 0; c < l->n_core; c++) {
            through_core(l, head, c, 1, s->score[0] + a * r, z);
            hit[i].weight[c] = dot(z, s->score[1] + b * r, r);
        }
    }
    for (size_t i = 0; i < m; i++) {
        const uint32_t cell = l->shuffle[hit[i].row];
        hit[i].row = cell % (uint32_t)n_row;
        hit[i].block = cell / (uint32_t)n_row;
        const mn_bf16 *row = l->values + hit[i].row * l->value_width;
        for (size_t c = 0; c < l->value_width; c += LINE / sizeof *row)
            __builtin_prefetch(row + c, 0, 2);
    }
}

static void search(const mn__crew *crew, const struct mn__kern *kern, const mn__step_memory *l,
                   size_t n, const mn__step_memory_work *w)
{
    scratch s = scratch_of(l, w->scratch + (size_t)crew->thread * mn__step_memory_scratch(l));
    size_t begin, end;
    mn__team_split(crew, n * l->n_head, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t token = i / l->n_head, head = i % l->n_head;
        list_keys(kern, l, w, token, head, &s);
        list_keys(kern, l, w, token, l->n_head + head, &s);
        fill_grid(l, head, &s);
        mn__topm(s.grid, l->n_keep * l->n_keep, l->n_keep, s.place, s.value, s.work);
        find_rows(l, head, &s, w->hit + i * l->n_keep);
    }
}

/* ---- sums ---- */

/* One part of a token's rows: block by block, rows of the kernel are parts of ours. */
static void sum_part(const struct mn__kern *kern, const mn__step_memory *l, const mn__step_hit *hit,
                     size_t part, mn_bf16 *out)
{
    const size_t width = l->value_width / l->n_core, n_hit = l->n_head * l->n_keep;
    uint32_t row[MN__STEP_HITS + 1];
    float weight[MN__STEP_HITS + 1], sum[MN__STEP_PART];
    for (size_t block = 0; block < l->n_expand; block++) {
        size_t n = 0;
        for (size_t i = 0; i < n_hit; i++) {
            row[n] = hit[i].row * (uint32_t)l->n_core + (uint32_t)part;
            weight[n] = hit[i].weight[part];
            n += hit[i].block == block;
        }
        kern->gather_bf16(sum, NULL, l->values, row, weight, n, width);
        kern->f32_to_bf16(out + block * l->value_width + part * width, sum, width);
    }
}

static void sum_rows(const mn__crew *crew, const struct mn__kern *kern, const mn__step_memory *l,
                     size_t n, const mn__step_memory_work *w)
{
    size_t begin, end;
    mn__team_split(crew, n * l->n_core, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t token = i / l->n_core;
        sum_part(kern, l, w->hit + token * l->n_head * l->n_keep, i % l->n_core,
                 w->sum + token * l->n_expand * l->value_width);
    }
}

void mn__step_memory_run(const mn__crew *crew, const mn__step_kern *k, const mn__step_memory *l,
                         const mn__step_rows *x, const mn__step_memory_work *w, float *y)
{
    const size_t n_sum = l->n_expand * l->value_width;
    assert(l->rank <= MN__STEP_RANK && l->n_core <= MN__STEP_CORES &&
           l->n_head * l->n_keep <= MN__STEP_HITS && l->value_width / l->n_core <= MN__STEP_PART);
    mn__step_multiply(
        crew, k,
        &(mn__step_product){
            .m = &l->query, .n_matrix = 1, .rows = *x, .y = w->raw, .ld_y = 2 * l->half});
    mn__team_wait(crew);
    norm_queries(crew, &k->best, l, x->n, w);
    mn__team_wait(crew);
    score_keys(crew, k, l, x->n, w);
    mn__team_wait(crew);
    search(crew, &k->best, l, x->n, w);
    mn__team_wait(crew);
    sum_rows(crew, &k->best, l, x->n, w);
    mn__team_wait(crew);
    mn__step_multiply(crew, k,
                      &(mn__step_product){.m = &l->values_proj,
                                          .n_matrix = 1,
                                          .rows = {w->sum, x->n, n_sum},
                                          .y = y,
                                          .ld_y = l->width});
}
