/* output_norm.c: what the output projection makes of values (mn__model_output_norm and
 * mn__model_output_gram, model.h). Values stand in for keys of a page of the cache, rows of Wo for
 * queries: then the product is the kernel that attention uses. */
#include <ggml.h>
#include <math.h>
#include <string.h>

#include "model/model.h"

enum { TOKENS = MN__PAGE_TOKENS, OUTPUTS = 32, MAX_DIM = 512, MAX_BLOCK = 256 };

typedef struct space {
    _Alignas(64) float page[2 * TOKENS * MAX_DIM]; /* of values, in the layout of the level */
    _Alignas(64) float rows[OUTPUTS * MAX_DIM];    /* of Wo, f32 or bf16 */
    _Alignas(64) float dots[OUTPUTS * TOKENS];
} space;

/* Columns [col, col + n) of a row of w. */
static void widen_part(const mn__weight *w, size_t row, size_t col, size_t n, float *out)
{
    const struct ggml_type_traits *traits = ggml_get_type_traits((enum ggml_type)w->type);
    const uint8_t *data = w->data + row * w->row_bytes;
    size_t block = (size_t)traits->blck_size, begin = col / block * block,
           end = (col + n + block - 1) / block * block;
    float wide[MAX_DIM + 2 * MAX_BLOCK];
    if (w->type == GGML_TYPE_F32) {
        memcpy(out, (const float *)(const void *)data + col, n * sizeof *out);
        return;
    }
    traits->to_float(data + begin / block * traits->type_size, wide, (int64_t)(end - begin));
    memcpy(out, wide + (col - begin), n * sizeof *out);
}

/* Rows [first, first + n) of one head's columns of Wo, as queries. */
static void load_rows(const struct mn_model *m, const mn__weight *w, size_t first, size_t n,
                      size_t head, float *rows)
{
    size_t D = m->head_dim;
    float wide[MAX_DIM];
    for (size_t i = 0; i < n; i++) {
        if (mn__product_is_bf16(&m->kern)) {
            widen_part(w, first + i, head * D, D, wide);
            m->kern.f32_to_bf16((mn_bf16 *)(void *)rows + i * D, wide, D);
        } else {
            widen_part(w, first + i, head * D, D, rows + i * D);
        }
    }
}

static void multiply(const struct mn_model *m, space *s, size_t n_out, size_t n_token)
{
    const void *page = s->page;
    size_t D = m->head_dim;
    if (mn__product_is_bf16(&m->kern))
        m->kern.qk_bf16(s->dots, TOKENS, (const mn_bf16 *)(const void *)s->rows, D, n_out, &page,
                        n_token, D, NULL);
    else
        m->kern.qk_f32(s->dots, TOKENS, s->rows, D, n_out, &page, n_token, D, NULL);
}

/* At most TOKENS rows of v. */
static void add_norms(const struct mn_model *m, const mn__weight *w, size_t head, space *s,
                      size_t n_token, float *out)
{
    size_t group = m->n_head / m->n_kv_head;
    double sum[TOKENS] = {0};
    for (size_t h = head * group; h < (head + 1) * group; h++)
        for (size_t first = 0; first < w->n_out; first += OUTPUTS) {
            size_t n = w->n_out - first < OUTPUTS ? w->n_out - first : OUTPUTS;
            load_rows(m, w, first, n, h, s->rows);
            multiply(m, s, n, n_token);
            for (size_t i = 0; i < n; i++)
                for (size_t t = 0; t < n_token; t++)
                    sum[t] += (double)fabsf(s->dots[i * TOKENS + t]);
        }
    for (size_t t = 0; t < n_token; t++) out[t] = (float)(sum[t] / (double)group);
}

void mn__model_output_norm(const void *model, size_t layer, size_t head, const float *v,
                           size_t n_row, float *out)
{
    const struct mn_model *m = model;
    space s;
    size_t D = m->head_dim;
    mn__tiles_begin(&m->kern);
    for (size_t row = 0; row < n_row; row += TOKENS, v += TOKENS * D) {
        size_t n = n_row - row < TOKENS ? n_row - row : TOKENS;
        if (mn__product_is_bf16(&m->kern))
            m->kern.page_put_bf16(s.page, 0, v, D, v, D, n, D);
        else
            m->kern.page_put_f32(s.page, 0, v, D, v, D, n, D);
        add_norms(m, &m->layer[layer].o, head, &s, n, out + row);
    }
    mn__tiles_end(&m->kern);
}

/* gram += x' x of one row, its lower half. */
static void add_square(float *gram, const float *x, size_t n)
{
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) gram[a * n + b] += x[a] * x[b];
}

void mn__model_output_gram(const void *model, size_t layer, size_t h, float *gram)
{
    const struct mn_model *m = model;
    const mn__weight *w = &m->layer[layer].o;
    size_t D = m->head_dim;
    float row[MAX_DIM];
    memset(gram, 0, D * D * sizeof *gram);
    for (size_t r = 0; r < w->n_out; r++) {
        widen_part(w, r, h * D, D, row);
        add_square(gram, row, D);
    }
    for (size_t a = 0; a < D; a++)
        for (size_t b = 0; b < a; b++) gram[b * D + a] = gram[a * D + b];
}
