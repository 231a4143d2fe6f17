/* output_norm.c: what the output projection makes of values (mn__model_output_norm and
 * mn__model_output_gram, model.h). Values stand in for keys of a page of the cache, rows of Wo for
 * queries: then the product is the kernel that attention uses. */
#include <ggml.h>
#include <math.h>
#include <string.h>

#include "model/model.h"

enum { TOKENS = MN__PAGE_TOKENS, OUTPUTS = 32, MAX_DIM = 512, MAX_BLOCK = 256, PAGES = 16 };

/* As many pages as fit meet the same rows of Wo, so that these are widened once for all of them. */
typedef struct space {
    _Alignas(64) float page[2 * TOKENS * MAX_DIM]; /* of values, in the layout of the level */
    _Alignas(64) float rows[OUTPUTS * MAX_DIM];    /* of Wo, f32 or bf16 */
    _Alignas(64) float dots[OUTPUTS * TOKENS];
    double sum[PAGES * TOKENS];
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

static size_t page_floats(const struct mn_model *m)
{
    return 2 * TOKENS * m->head_dim / (mn__product_is_bf16(&m->kern) ? 2 : 1);
}

static void multiply(const struct mn_model *m, space *s, const void *page, size_t n_out,
                     size_t n_token)
{
    size_t D = m->head_dim;
    if (mn__product_is_bf16(&m->kern))
        m->kern.qk_bf16(s->dots, TOKENS, (const mn_bf16 *)(const void *)s->rows, D, n_out, &page,
                        n_token, D, NULL);
    else
        m->kern.qk_f32(s->dots, TOKENS, s->rows, D, n_out, &page, n_token, D, NULL);
}

/* sum[t] += |dots[i][t]| over rows i. */
static void add_columns(const float *dots, size_t n_out, size_t n_token, double *sum)
{
    float part[TOKENS] = {0};
    for (size_t i = 0; i < n_out; i++)
        for (size_t t = 0; t < n_token; t++) part[t] += fabsf(dots[i * TOKENS + t]);
    for (size_t t = 0; t < n_token; t++) sum[t] += (double)part[t];
}

/* Rows of v as pages. */
static void load_values(const struct mn_model *m, space *s, const float *v, size_t n_row)
{
    size_t D = m->head_dim;
    for (size_t row = 0; row < n_row; row += TOKENS, v += TOKENS * D) {
        float *page = s->page + row / TOKENS * page_floats(m);
        size_t n = n_row - row < TOKENS ? n_row - row : TOKENS;
        if (mn__product_is_bf16(&m->kern))
            m->kern.page_put_bf16(page, 0, v, D, v, D, n, D);
        else
            m->kern.page_put_f32(page, 0, v, D, v, D, n, D);
    }
}

/* The values of the pages of s through one query head's columns of Wo. */
static void add_head(const struct mn_model *m, const mn__weight *w, size_t h, space *s,
                     size_t n_token)
{
    for (size_t first = 0; first < w->n_out; first += OUTPUTS) {
        size_t n_out = w->n_out - first < OUTPUTS ? w->n_out - first : OUTPUTS;
        load_rows(m, w, first, n_out, h, s->rows);
        for (size_t t = 0; t < n_token; t += TOKENS) {
            size_t n = n_token - t < TOKENS ? n_token - t : TOKENS;
            multiply(m, s, s->page + t / TOKENS * page_floats(m), n_out, n);
            add_columns(s->dots, n_out, n, s->sum + t);
        }
    }
}

static void sum_sizes(const float *v, size_t n_row, size_t dim, float *out)
{
    for (size_t r = 0; r < n_row; r++) {
        double sum = 0;
        for (size_t c = 0; c < dim; c++) sum += fabs((double)v[r * dim + c]);
        out[r] = (float)sum;
    }
}

void mn__model_output_norm(const void *model, size_t layer, size_t head, const float *v,
                           size_t n_row, float *out)
{
    const struct mn_model *m = model;
    space s;
    size_t group = m->n_head / m->n_kv_head,
           n_page = sizeof s.page / sizeof(float) / page_floats(m),
           most = TOKENS * (n_page < PAGES ? n_page : PAGES);
    if (!m->layer[layer].o.data) { /* heads are the output */
        sum_sizes(v, n_row, m->head_dim, out);
        return;
    }
    mn__tiles_begin(&m->kern);
    for (size_t row = 0; row < n_row; row += most) {
        size_t n = n_row - row < most ? n_row - row : most;
        load_values(m, &s, v + row * m->head_dim, n);
        memset(s.sum, 0, sizeof s.sum);
        for (size_t g = 0; g < group; g++) add_head(m, &m->layer[layer].o, head * group + g, &s, n);
        for (size_t t = 0; t < n; t++) out[row + t] = (float)(s.sum[t] / (double)group);
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
    for (size_t i = 0; !w->data && i < D; i++) gram[i * D + i] = 1;
    for (size_t r = 0; w->data && r < w->n_out; r++) {
        widen_part(w, r, h * D, D, row);
        add_square(gram, row, D);
    }
    for (size_t a = 0; a < D; a++)
        for (size_t b = 0; b < a; b++) gram[b * D + a] = gram[a * D + b];
}
