/* test_linear.c: products of every weight type that ggml can multiply, against sums in double over
 * the dequantised weight. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ggml-cpu.h>
#include "base/cpu.h"
#include "base/heap.h"
#include "base/rng.h"
#include "tensor/linear.h"

enum { N_IN = 256, N_OUT = 80, MAX_THREAD = 3 };
/* More rows than a block of any back end holds. */
enum { N_ROW_DECODE = 37, N_ROW_PREFILL = 130 };
/* How rows come: of a prompt, wide or in 8 bits, or of generated tokens. */
typedef enum form { WIDE, DECODE, BYTES, N_FORM } form;

static struct mn__kern kern;
static uint32_t next_purpose;

/* Numbers from a stock that is drawn once, each time from another place on: drawing them takes
 * longer than multiplying with them. */
static void fill_normal(float *x, size_t n)
{
    enum { N_STOCK = 65537 };
    static float stock[N_STOCK];
    for (size_t i = 0; stock[N_STOCK - 1] == 0 && i < N_STOCK; i++)
        stock[i] = (float)mn__rng_normal(7, 0, i, 0);
    next_purpose++;
    for (size_t i = 0; i < n; i++) x[i] = stock[(i + 7919 * (size_t)next_purpose) % N_STOCK];
}

static void *claim(size_t bytes)
{
    void *p = mn__alloc_zero(MN_MEM_OTHER, bytes);
    assert_non_null(p);
    return p;
}

/* The smallest types take seconds to quantise to; any bits are a weight of theirs, once the scale
 * of each block is sound. */
static bool fill_blocks(enum ggml_type type, uint8_t *data, size_t bytes)
{
    const char *name = ggml_type_name(type);
    if (strncmp(name, "iq1", 3) && strncmp(name, "iq2", 3) && strncmp(name, "iq3", 3)) return false;
    const uint16_t scale = 0x2c00; /* 1/16 */
    next_purpose++;
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(256 * mn__rng_uniform(7, next_purpose, i, 0));
    for (uint8_t *block = data; block < data + bytes; block += ggml_type_size(type)) {
        memcpy(block, &scale, sizeof scale);
        for (int i = 0; type == GGML_TYPE_IQ1_M && i < 4;
             i++) { /* four bits in each word of scales */
            uint8_t *top = block + ggml_type_size(type) - 7 + 2 * i;
            *top = (uint8_t)((*top & 15) | (scale >> 4 * i & 15) << 4);
        }
    }
    return true;
}

/* A weight of random numbers in a type; owns its data. */
static mn__weight make_weight(enum ggml_type type, size_t n_in, size_t n_out)
{
    mn__weight w = {.name = ggml_type_name(type), .type = type, .n_in = n_in, .n_out = n_out};
    w.row_bytes = ggml_row_size(type, (int64_t)n_in);
    uint8_t *data = claim(w.row_bytes * n_out);
    if (!fill_blocks(type, data, w.row_bytes * n_out)) {
        float *x = claim(n_in * n_out * sizeof *x);
        fill_normal(x, n_in * n_out);
        ggml_quantize_chunk(type, x, data, 0, (int64_t)n_out, (int64_t)n_in, NULL);
        mn__free(x);
    }
    w.data = data;
    return w;
}

static void drop_weight(mn__weight *w)
{
    mn__weight_unpack(w);
    mn__free((void *)(uintptr_t)w->data);
}

static bool can_multiply(enum ggml_type type)
{
    const struct ggml_type_traits_cpu *cpu = ggml_get_type_traits_cpu(type);
    if (!cpu->vec_dot || !ggml_get_type_traits_cpu(cpu->vec_dot_type)->from_float) return false;
    return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float;
}

/* Rows of activations; owns its buffers. */
static mn__rows make_rows(const float *x, size_t n_row, size_t n_in, form as)
{
    size_t ld = (n_in + 31) / 32 * 32;
    mn__rows rows = {.decode = as == DECODE, .n_row = n_row, .n_in = n_in, .ld = ld};
    if (as == BYTES)
        rows.q8 = claim(n_row * mn__q8_row_bytes(n_in));
    else if (as == WIDE && mn__product_is_bf16(&kern))
        rows.bf16 = claim(n_row * ld * sizeof *rows.bf16);
    else
        rows.f32 = claim(n_row * ld * sizeof *rows.f32);
    for (size_t i = 0; x && i < n_row; i++) mn__rows_set(&kern, &rows, i, x + i * n_in);
    return rows;
}

static void drop_rows(mn__rows *r)
{
    mn__free(r->f32);
    mn__free(r->bf16);
    mn__free(r->q8);
}

/* Row i of rows as floats, whatever their form. */
static float rows_at(const mn__rows *r, size_t i, size_t c)
{
    if (r->q8) {
        const uint8_t *row = r->q8 + i * mn__q8_row_bytes(r->n_in);
        float scale; /* they follow the numbers, from a line on */
        memcpy(&scale, row + (r->n_in + 63) / 64 * 64 + c / 32 * 4, sizeof scale);
        return scale * (float)(int8_t)row[c];
    }
    if (!r->bf16) return r->f32[i * r->ld + c];
    float f;
    uint32_t u = (uint32_t)r->bf16[i * r->ld + c] << 16;
    memcpy(&f, &u, sizeof f);
    return f;
}

typedef struct call {
    mn__product *p;
    const mn__weight *w[3];
    size_t n_w;
    const mn__rows *x;
    float *y;
    size_t ld_y;
    bool add;
    mn__rows *h;
    mn__act act;
} call;

static void do_call(const mn__crew *crew, void *arg)
{
    const call *c = arg;
    if (c->h)
        mn__linear_glu(crew, c->p, c->w[0], c->w[1], c->x, c->act, c->h);
    else if (c->n_w > 1)
        mn__linear_side_by_side(crew, c->p, c->w, c->n_w, c->x, c->y, c->ld_y);
    else
        mn__linear(crew, c->p, c->w[0], c->x, c->y, c->ld_y, c->add);
}

static void multiply(call c, int n_thread)
{
    mn_diag diag = {{0}};
    mn__team *team = mn__team_new(n_thread);
    assert_non_null(team);
    assert_int_equal(mn__product_new(&c.p, &kern, n_thread, c.x->n_row, c.x->n_in, &diag), MN_OK);
    mn__team_run(team, do_call, &c);
    mn__product_free(c.p);
    mn__team_free(team);
}

/* How far a product may be off: `sum` = sum |w x|, `step` = sum |w| * the row's largest |x|. */
static double tolerance(enum ggml_type type, form as, double sum, double step)
{
    if (as == WIDE) return mn__product_is_bf16(&kern) ? sum / 128 : 1e-5 * sum;
    if (type == GGML_TYPE_F32) return 1e-5 * sum;
    if (type == GGML_TYPE_F16) return sum / 512;
    if (type == GGML_TYPE_BF16) return sum / 128;
    return step / 254 + sum / 512; /* half a step of 8 bits, and the 16-bit scales */
}

/* y [n_row][ld_y] from column col_y on against w; also: off by little on the whole. */
static void check(const mn__weight *w, const float *x, size_t n_row, const float *y, size_t ld_y,
                  form as)
{
    float *row = claim(w->n_in * sizeof *row);
    double error = 0, power = 0;
    for (size_t j = 0; j < w->n_out; j++) {
        mn__weight_row(w, j, row);
        for (size_t r = 0; r < n_row; r++) {
            double want = 0, sum = 0, all = 0, max = 0;
            for (size_t i = 0; i < w->n_in; i++) {
                double xi = x[r * w->n_in + i];
                want += row[i] * xi;
                sum += fabs(row[i] * xi);
                all += fabs(row[i]);
                max = fabs(xi) > max ? fabs(xi) : max;
            }
            want += w->bias ? w->bias[j] : 0;
            double off = fabs(y[r * ld_y + j] - want);
            if (!(off <= tolerance(w->type, as, sum, all * max)))
                fail_msg("%s [%zu][%zu]: %g wanted, %g found", w->name, r, j, want,
                         y[r * ld_y + j]);
            error += off * off;
            power += want * want;
        }
    }
    mn__free(row);
    assert_true(power > 0);
    assert_true(sqrt(error / power) < 0.01);
}

/* Rows in 8 bits are for weights with packed dots. */
static bool fits(const mn__weight *w, unsigned pack, form as)
{
    return as != BYTES ||
           (pack & MN__PACK_DOTS && mn__weight_pack_bytes(w, &kern, MN__PACK_DOTS) > 0);
}

static void every_type_multiplies(void **state)
{
    (void)state;
    enum { N_ROW = 3 };
    float *x = claim(N_ROW * N_IN * sizeof *x), *y = claim(N_ROW * N_OUT * sizeof *y);
    size_t n_type = 0;
    fill_normal(x, N_ROW * N_IN);
    for (int type = 0; type < GGML_TYPE_COUNT; type++) {
        if (!can_multiply(type)) continue;
        mn__weight w = make_weight(type, N_IN, N_OUT);
        for (form as = 0; as < N_FORM; as++)
            for (unsigned pack = 0; pack <= (MN__PACK_DOTS | MN__PACK_PANELS); pack++) {
                if (!fits(&w, pack, as)) continue;
                mn__rows rows = make_rows(x, N_ROW, N_IN, as);
                if (pack) assert_int_equal(mn__weight_pack(&w, &kern, pack, NULL), MN_OK);
                memset(y, 0, N_ROW * N_OUT * sizeof *y);
                multiply((call){.w = {&w}, .n_w = 1, .x = &rows, .y = y, .ld_y = N_OUT}, 2);
                check(&w, x, N_ROW, y, N_OUT, as);
                mn__weight_unpack(&w);
                drop_rows(&rows);
            }
        drop_weight(&w);
        n_type++;
    }
    assert_true(n_type >= 25);
    mn__free(x);
    mn__free(y);
}

static const enum ggml_type some_type[] = {GGML_TYPE_F32,  GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                           GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                                           GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};
enum { N_SOME = sizeof some_type / sizeof *some_type };

/* All forms of rows, packed or not, for one weight of each common type. */
static void for_common(void (*fn)(const mn__weight *w, form as))
{
    for (size_t t = 0; t < N_SOME; t++) {
        mn__weight w = make_weight(some_type[t], N_IN, N_OUT - 3);
        for (unsigned pack = 0; pack <= (MN__PACK_DOTS | MN__PACK_PANELS); pack++) {
            assert_int_equal(mn__weight_pack(&w, &kern, pack, NULL), MN_OK);
            for (form as = 0; as < N_FORM; as++)
                if (fits(&w, pack, as)) fn(&w, as);
        }
        drop_weight(&w);
    }
}

/* oneDNN's f32 product chooses its order of summation by the number of rows. */
static bool is_own(form as)
{
#ifdef MN_REF_PRODUCT
    return true;
#endif
    return as != WIDE || mn__product_is_bf16(&kern) || kern.level == MN__CPU_REF;
}

static void compare_rows(const mn__weight *w, form as)
{
    const size_t n_row = as == DECODE ? N_ROW_DECODE : N_ROW_PREFILL;
    float *x = claim(n_row * N_IN * sizeof *x), *all = claim(n_row * N_OUT * sizeof *x),
          *one = claim(N_OUT * sizeof *x);
    fill_normal(x, n_row * N_IN);
    mn__rows rows = make_rows(x, n_row, N_IN, as);
    multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = all, .ld_y = N_OUT}, 1);
    for (size_t r = 0; r < n_row; r += 18) {
        mn__rows alone = make_rows(x + r * N_IN, 1, N_IN, as);
        multiply((call){.w = {w}, .n_w = 1, .x = &alone, .y = one, .ld_y = N_OUT}, 1);
        if (is_own(as)) assert_memory_equal(all + r * N_OUT, one, w->n_out * sizeof *one);
        for (size_t j = 0; j < w->n_out; j++)
            assert_true(fabsf(all[r * N_OUT + j] - one[j]) < 1e-4f);
        drop_rows(&alone);
    }
    drop_rows(&rows);
    mn__free(x);
    mn__free(all);
    mn__free(one);
}

/* Root of the mean square distance from the exact product of the file's own numbers. */
static double distance(const mn__weight *w, const float *x, size_t n_row)
{
    float *y = claim(n_row * w->n_out * sizeof *y), *row = claim(w->n_in * sizeof *row);
    mn__rows rows = make_rows(x, n_row, w->n_in, DECODE);
    double sum = 0;
    multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = y, .ld_y = w->n_out}, 2);
    for (size_t j = 0; j < w->n_out; j++) {
        mn__weight_row(w, j, row);
        for (size_t r = 0; r < n_row; r++) {
            double off = -y[r * w->n_out + j];
            for (size_t i = 0; i < w->n_in; i++) off += (double)row[i] * x[r * w->n_in + i];
            sum += off * off;
        }
    }
    drop_rows(&rows);
    mn__free(y);
    mn__free(row);
    return sqrt(sum / (double)(n_row * w->n_out));
}

static void packed_dots_are_no_coarser_than_ggml(void **state)
{
    (void)state;
    enum { N_ROW = 8 };
    float *x = claim(N_ROW * N_IN * sizeof *x);
    size_t n_packed = 0;
    fill_normal(x, N_ROW * N_IN);
    for (size_t t = 0; t < N_SOME; t++) {
        mn__weight w = make_weight(some_type[t], N_IN, N_OUT);
        double theirs = distance(&w, x, N_ROW);
        assert_int_equal(mn__weight_pack(&w, &kern, MN__PACK_DOTS, NULL), MN_OK);
        n_packed += w.packed != NULL;
        double ours = distance(&w, x, N_ROW);
        assert_true(theirs > 0 && ours > 0);
        if (getenv("SHOW")) printf("%s %g %g\n", w.name, ours, theirs);
        if (ours > 1.02 * theirs) fail_msg("%s: %g against %g", w.name, ours, theirs);
        drop_weight(&w);
    }
    assert_int_equal(n_packed, 8);
    mn__free(x);
}

static void neighbours_change_no_bit(void **state)
{
    (void)state;
    for_common(compare_rows);
}

static void compare_threads(const mn__weight *w, form as)
{
    const size_t n_row = as == DECODE ? N_ROW_DECODE : N_ROW_PREFILL;
    float *x = claim(n_row * N_IN * sizeof *x), *y[2];
    for (int i = 0; i < 2; i++) y[i] = claim(n_row * N_OUT * sizeof **y);
    fill_normal(x, n_row * N_IN);
    mn__rows rows = make_rows(x, n_row, N_IN, as);
    for (int n = 1; n <= MAX_THREAD; n++) {
        multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = y[n > 1], .ld_y = N_OUT}, n);
        if (n > 1) assert_memory_equal(y[0], y[1], n_row * N_OUT * sizeof **y);
    }
    assert_true(y[0][0] != 0 && y[0][(n_row - 1) * N_OUT] != 0);
    drop_rows(&rows);
    mn__free(x);
    mn__free(y[0]);
    mn__free(y[1]);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for_common(compare_threads);
}

/* Bias and accumulation change a sum exactly as they would outside. */
static void compare_bias_and_add(const mn__weight *w, form as)
{
    enum { N_ROW = 5 };
    float x[N_ROW * N_IN], plain[N_ROW * N_OUT] = {0}, y[N_ROW * N_OUT], before[N_ROW * N_OUT],
                                         bias[N_OUT];
    fill_normal(x, N_ROW * N_IN);
    fill_normal(before, N_ROW * N_OUT);
    fill_normal(bias, N_OUT);
    mn__rows rows = make_rows(x, N_ROW, N_IN, as);
    mn__weight biased = *w;
    biased.bias = bias;
    multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = plain, .ld_y = N_OUT}, 2);
    memcpy(y, before, sizeof y);
    multiply((call){.w = {&biased}, .n_w = 1, .x = &rows, .y = y, .ld_y = N_OUT, .add = true}, 2);
    for (size_t i = 0; i < N_ROW * N_OUT; i++) {
        size_t j = i % N_OUT;
        float want = j < w->n_out ? before[i] + (plain[i] + bias[j]) : before[i];
        assert_true(y[i] == want);
    }
    drop_rows(&rows);
}

static void bias_and_add(void **state)
{
    (void)state;
    for_common(compare_bias_and_add);
}

/* Rows of a fused weight as weights of their own, and three weights side by side. */
static void compare_slices(const mn__weight *w, form as)
{
    enum { N_ROW = 2, CUT = 33 };
    if (w->packed) return; /* a packed copy belongs to the whole */
    float x[N_ROW * N_IN], whole[N_ROW * N_OUT] = {0}, y[N_ROW * N_OUT] = {0};
    fill_normal(x, N_ROW * N_IN);
    mn__rows rows = make_rows(x, N_ROW, N_IN, as);
    mn__weight part[3] = {*w, *w, *w};
    part[0].n_out = CUT;
    part[1].n_out = 1;
    part[1].data += CUT * w->row_bytes;
    part[2].n_out = w->n_out - CUT - 1;
    part[2].data += (CUT + 1) * w->row_bytes;
    multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = whole, .ld_y = N_OUT}, 2);
    multiply(
        (call){.w = {&part[0], &part[1], &part[2]}, .n_w = 3, .x = &rows, .y = y, .ld_y = N_OUT},
        3);
    for (size_t i = 0; i < N_ROW * N_OUT; i++) assert_true(fabsf(y[i] - whole[i]) <= 1e-4f);
    assert_true(whole[0] != 0);
    drop_rows(&rows);
}

static void slices(void **state)
{
    (void)state;
    for_common(compare_slices);
}

static double act(mn__act which, double g)
{
    if (which == MN__GLU_SILU) return g / (1 + exp(-g));
    return 0.5 * g * (1 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g)));
}

static void compare_glu(const mn__weight *w, form as)
{
    enum { N_ROW = 35 };
    if (as == BYTES) return; /* gated_rows_in_bytes */
    float *x = claim(N_ROW * N_IN * sizeof *x), *g = claim(N_ROW * N_OUT * sizeof *x),
          *u = claim(N_ROW * N_OUT * sizeof *x);
    mn__weight up = make_weight(w->type, N_IN, w->n_out);
    fill_normal(x, N_ROW * N_IN);
    mn__rows rows = make_rows(x, N_ROW, N_IN, as);
    multiply((call){.w = {w}, .n_w = 1, .x = &rows, .y = g, .ld_y = N_OUT}, 1);
    multiply((call){.w = {&up}, .n_w = 1, .x = &rows, .y = u, .ld_y = N_OUT}, 1);
    for (int a = 0; a < 2; a++) {
        mn__rows h = make_rows(NULL, N_ROW, w->n_out, as);
        if (h.bf16) memset(h.bf16, 0x7f, N_ROW * h.ld * sizeof *h.bf16);
        multiply((call){.w = {w, &up},
                        .n_w = 2,
                        .x = &rows,
                        .h = &h,
                        .act = a ? MN__GLU_GELU : MN__GLU_SILU},
                 2);
        bool is_bf16 = as == WIDE && mn__product_is_bf16(&kern);
        for (size_t r = 0; r < N_ROW; r++) {
            for (size_t j = 0; j < w->n_out; j++) {
                double want =
                    act(a ? MN__GLU_GELU : MN__GLU_SILU, g[r * N_OUT + j]) * u[r * N_OUT + j];
                assert_true(fabs(rows_at(&h, r, j) - want) <=
                            fabs(want) * (is_bf16 ? 1.0 / 200 : 1e-4) + 1e-3);
            }
            for (size_t j = w->n_out; is_bf16 && j < h.ld; j++)
                assert_int_equal(h.bf16[r * h.ld + j], 0);
        }
        drop_rows(&h);
    }
    drop_rows(&rows);
    drop_weight(&up);
    mn__free(x);
    mn__free(g);
    mn__free(u);
}

static void gated_units(void **state)
{
    (void)state;
    for_common(compare_glu);
}

/* Gated rows in 8 bits are those that one by one would have been rounded to them. */
static void gated_rows_in_bytes(void **state)
{
    (void)state;
    enum { N_ROW = 70, N_GATE = 96 };
    const size_t row_bytes = mn__q8_row_bytes(N_GATE);
    float *x = claim(N_ROW * N_IN * sizeof *x), *g = claim(N_ROW * N_GATE * sizeof *x),
          *u = claim(N_ROW * N_GATE * sizeof *x);
    mn__weight gate = make_weight(GGML_TYPE_Q4_1, N_IN, N_GATE),
               up = make_weight(GGML_TYPE_Q6_K, N_IN, N_GATE);
    assert_int_equal(mn__weight_pack(&gate, &kern, MN__PACK_DOTS, NULL), MN_OK);
    assert_int_equal(mn__weight_pack(&up, &kern, MN__PACK_DOTS, NULL), MN_OK);
    fill_normal(x, N_ROW * N_IN);
    mn__rows rows = make_rows(x, N_ROW, N_IN, BYTES), h = make_rows(NULL, N_ROW, N_GATE, BYTES);
    multiply((call){.w = {&gate}, .n_w = 1, .x = &rows, .y = g, .ld_y = N_GATE}, 1);
    multiply((call){.w = {&up}, .n_w = 1, .x = &rows, .y = u, .ld_y = N_GATE}, 1);
    multiply((call){.w = {&gate, &up}, .n_w = 2, .x = &rows, .h = &h, .act = MN__GLU_SILU}, 2);
    kern.silu_mul(g, g, u, N_ROW * N_GATE);
    mn__rows want = make_rows(g, N_ROW, N_GATE, BYTES);
    assert_memory_equal(h.q8, want.q8, N_ROW * row_bytes);
    float most = 0;
    for (size_t c = N_GATE - 32; c < N_GATE; c++) most = fmaxf(most, rows_at(&h, N_ROW - 1, c));
    assert_true(most > 0);
    drop_rows(&rows);
    drop_rows(&h);
    drop_rows(&want);
    drop_weight(&gate);
    drop_weight(&up);
    mn__free(x);
    mn__free(g);
    mn__free(u);
}

static void settle(const mn__crew *crew, void *arg)
{
    mn__rows_settle(crew, &kern, arg);
}

static void rows_settle(void **state)
{
    (void)state;
    enum { N_ROW = 7 };
    float *x = claim(N_ROW * N_IN * sizeof *x);
    fill_normal(x, N_ROW * N_IN);
    mn__rows want = make_rows(x, N_ROW, N_IN, BYTES), rows = make_rows(NULL, N_ROW, N_IN, BYTES);
    rows.f32 = x; /* and freed with the rows */
    mn__team *team = mn__team_new(3);
    assert_non_null(team);
    mn__team_run(team, settle, &rows);
    assert_memory_equal(rows.q8, want.q8, N_ROW * mn__q8_row_bytes(N_IN));
    mn__team_free(team);
    drop_rows(&rows);
    drop_rows(&want);
}

static void planned_bytes_are_the_bytes_held(void **state)
{
    (void)state;
    mn_mem_stats before, after;
    mn__product *p;
    mn_mem_get_stats(&before);
    assert_int_equal(mn__product_new(&p, &kern, 3, 100, 1000, NULL), MN_OK);
    mn_mem_get_stats(&after);
    assert_true(after.now[MN_MEM_SCRATCH] - before.now[MN_MEM_SCRATCH] >=
                mn__product_bytes(&kern, 3, 100, 1000));
    assert_true(after.now[MN_MEM_SCRATCH] - before.now[MN_MEM_SCRATCH] <=
                mn__product_bytes(&kern, 3, 100, 1000) + 4096);
    mn__product_free(p);
    mn__weight w = make_weight(GGML_TYPE_Q4_1, N_IN, N_OUT);
    mn_mem_get_stats(&before);
    assert_int_equal(mn__weight_pack(&w, &kern, MN__PACK_DOTS | MN__PACK_PANELS, NULL), MN_OK);
    mn_mem_get_stats(&after);
    size_t want = mn__weight_pack_bytes(&w, &kern, MN__PACK_DOTS | MN__PACK_PANELS);
    size_t held = after.now[MN_MEM_WEIGHTS] - before.now[MN_MEM_WEIGHTS];
    assert_true(held >= want && held <= want + 4096);
    drop_weight(&w);
}

static void refused_memory_is_a_sentence(void **state)
{
    (void)state;
    mn_diag diag = {{0}};
    mn__product *p = (mn__product *)&diag;
    mn__weight w = make_weight(GGML_TYPE_Q4_0, N_IN, N_OUT);
    mn_mem_set_limit(1);
    assert_int_equal(mn__product_new(&p, &kern, 1, 4, 64, &diag), MN_ENOMEM);
    assert_null(p);
    assert_non_null(strstr(diag.text, "workspace of products"));
    if (mn__weight_pack_bytes(&w, &kern, MN__PACK_DOTS)) {
        assert_int_equal(mn__weight_pack(&w, &kern, MN__PACK_DOTS, &diag), MN_ENOMEM);
        assert_null(w.packed);
    }
    mn_mem_set_limit(0);
    drop_weight(&w);
}

/* The level comes from the environment, so that each one runs in a process of its own. */
static int choose_level(void **state)
{
    (void)state;
    mn_diag diag = {{0}};
    mn__cpu_level level;
    const char *name = getenv("MN_TEST_CPU");
    if (mn__cpu_level_parse(name ? name : "auto", &level, &diag) != MN_OK) {
        fprintf(stderr, "skipped: %s\n", diag.text);
        exit(77);
    }
    ggml_cpu_init();
    mn__kern_init(&kern, (int)level);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_multiplies),
        cmocka_unit_test(packed_dots_are_no_coarser_than_ggml),
        cmocka_unit_test(neighbours_change_no_bit),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(bias_and_add),
        cmocka_unit_test(slices),
        cmocka_unit_test(gated_units),
        cmocka_unit_test(gated_rows_in_bytes),
        cmocka_unit_test(rows_settle),
        cmocka_unit_test(planned_bytes_are_the_bytes_held),
        cmocka_unit_test(refused_memory_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, choose_level, NULL);
}
