/* gram.c: |Wo[h] v|_2 = sqrt(v' G v) with G = Wo[h]' Wo[h]: D*D multiply-adds a value and query
 * head, where the projection itself costs D*C. Symmetric, so that its rows are its columns: they
 * lie as the keys of a page do (kern.h), and the product with values is the kernel that attention
 * uses. */
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

struct mn__gram {
    size_t d, n_group, n_kv_head, stride; /* floats of one G */
    size_t *at;                           /* [n_layer] number among full-attention layers */
    float *data;                          /* [full layers][n_head][stride] */
};

static size_t stride_of(size_t d)
{
    return mn__pad16(d) * d;
}

static bool wants(const mn__policy *p)
{
    return p->scorer && (p->scorer->needs & MN__NEED_GRAM) && p->n_full;
}

static bool data_floats(const mn__policy *p, const mn__cache_shape *shape, size_t *out)
{
    return mn__mul_size(p->n_full, shape->n_head, out) &&
           mn__mul_size(*out, stride_of(shape->head_dim), out);
}

size_t mn__gram_bytes(const mn__policy *p, const mn__cache_shape *shape)
{
    size_t n;
    if (!wants(p) || !data_floats(p, shape, &n)) return 0;
    return sizeof(mn__gram) + shape->n_layer * sizeof(size_t) + n * sizeof(float);
}

typedef struct making {
    mn__gram *g;
    const mn__policy *p;
    const mn__evict_env *env;
    size_t n_head;
    float *square; /* [threads][D][D] */
} making;

/* Rows into blocks of 16 of them, side by side. */
static void lay_in(float *out, const float *g, size_t d)
{
    for (size_t j = 0; j < d; j++)
        for (size_t c = 0; c < d; c++) out[j / 16 * 16 * d + c * 16 + j % 16] = g[j * d + c];
}

static void make_some(const mn__crew *crew, void *arg)
{
    const making *k = arg;
    size_t d = k->g->d;
    float *square = k->square + (size_t)crew->thread * d * d;
    for (size_t i = (size_t)crew->thread; i < k->p->n_full * k->n_head;
         i += (size_t)crew->n_thread) {
        k->env->output_gram(k->env->model_hook, k->p->full[i / k->n_head], i % k->n_head, square);
        lay_in(k->g->data + i * k->g->stride, square, d);
    }
}

mn_status mn__gram_new(mn__gram **out, const mn__policy *p, const mn__cache_shape *shape,
                       const mn__evict_env *env, mn__team *team, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t n = 0, d = shape->head_dim;
    mn__gram *g = NULL;
    making k = {.p = p, .env = env, .n_head = shape->n_head};
    *out = NULL;
    if (!wants(p)) return MN_OK;
    if (!env->output_gram)
        return mn__fail(diag, MN_EFAIL,
                        "policy %s needs the output projection, which this model does not show",
                        p->text);
    k.square = mn__alloc_array(MN_MEM_POLICY, (size_t)mn__team_size(team), d * d * sizeof(float));
    g = mn__alloc_zero(MN_MEM_POLICY, sizeof *g);
    if (g && data_floats(p, shape, &n)) {
        g->at = mn__alloc_array(MN_MEM_POLICY, shape->n_layer, sizeof *g->at);
        g->data = mn__alloc_array(MN_MEM_POLICY, n, sizeof *g->data);
    }
    if (!k.square || !g || !g->at || !g->data)
        MN_TRY(
            mn__fail(diag, MN_ENOMEM, "out of memory for the output norms of policy %s", p->text));
    memset(g->data, 0, n * sizeof *g->data);
    g->d = d;
    g->n_kv_head = shape->n_kv_head;
    g->n_group = shape->n_head / shape->n_kv_head;
    g->stride = stride_of(d);
    for (size_t i = 0; i < p->n_full; i++) g->at[p->full[i]] = i;
    k.g = g;
    mn__team_run(team, make_some, &k);
    *out = g;
    g = NULL;
done:
    mn__free(k.square);
    mn__gram_free(g);
    return st;
}

void mn__gram_free(mn__gram *g)
{
    if (!g) return;
    mn__free(g->at);
    mn__free(g->data);
    mn__free(g);
}

static size_t row_floats(size_t d)
{
    return (d + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
}

size_t mn__gram_floats(size_t head_dim)
{
    return MN__PAGE_TOKENS * row_floats(head_dim);
}

void mn__gram_norms(const mn__gram *g, const struct mn__kern *kern, size_t layer, size_t head,
                    const float *v, size_t n_row, float *work, float *out)
{
    size_t d = g->d, ld = row_floats(d);
    double sum[MN__PAGE_TOKENS] = {0};
    for (size_t i = 0; i < g->n_group; i++) {
        size_t h = (g->at[layer] * g->n_kv_head + head) * g->n_group + i;
        for (size_t j = 0; j < d; j += MN__PAGE_TOKENS) {
            const void *page = g->data + h * g->stride + j * d;
            size_t n = d - j < MN__PAGE_TOKENS ? d - j : MN__PAGE_TOKENS;
            kern->qk_f32(work + j, ld, v, d, n_row, &page, n, d, NULL);
        }
        for (size_t r = 0; r < n_row; r++) {
            double square = 0;
            for (size_t c = 0; c < d; c++)
                square += (double)work[r * ld + c] * (double)v[r * d + c];
            sum[r] += sqrt(fmax(square, 0));
        }
    }
    for (size_t r = 0; r < n_row; r++) out[r] = (float)(sum[r] / (double)g->n_group);
}
