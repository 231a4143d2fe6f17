/* prove_page.c: proofs of the kernels that write and read pages. */
#include <math.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

static const size_t widths[] = {2, 6, 16, 18, 30, 32, 34, 48, 64, 80, 96, 128, 256};

struct page_case {
    size_t slot, n, d, ld_k, ld_v;
    float *k, *v;
};

static struct page_case draw_page(struct probe *p)
{
    static const size_t runs[][2] = {{0, 64}, {0, 16}, {16, 16}, {48, 16}, {0, 8},
                                     {8, 8},  {5, 1},  {63, 1},  {0, 0},   {1, 33},
                                     {3, 20}, {32, 2}, {0, 1},   {0, 33},  {17, 47}};
    const size_t *run = runs[probe_below(p, COUNT(runs))];
    struct page_case c = {.slot = run[0], .n = run[1], .d = probe_pick(p, widths, COUNT(widths))};
    c.ld_k = c.d + probe_below(p, 2) * 5;
    c.ld_v = c.d + probe_below(p, 2) * 3;
    c.k = guard_f32(p, c.n ? (c.n - 1) * c.ld_k + c.d : 0);
    c.v = guard_f32(p, c.n ? (c.n - 1) * c.ld_v + c.d : 0);
    probe_shape(p, "slots [%zu, %zu) d %zu", c.slot, c.slot + c.n, c.d);
    return c;
}

void prove_page_put_bf16(struct probe *p)
{
    struct page_case c = draw_page(p);
    size_t bytes = 2 * MN__PAGE_TOKENS * c.d * 2;
    void *a = guard_take(bytes), *b = guard_take(bytes);
    p->ref->page_put_bf16(a, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    p->kern->page_put_bf16(b, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    check_same(p, "page", a, b, bytes);
}

void prove_page_put_f32(struct probe *p)
{
    struct page_case c = draw_page(p);
    size_t bytes = 2 * MN__PAGE_TOKENS * c.d * 4;
    void *a = guard_take(bytes), *b = guard_take(bytes);
    p->ref->page_put_f32(a, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    p->kern->page_put_f32(b, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    check_same(p, "page", a, b, bytes);
}

void prove_page_put_q8(struct probe *p)
{
    struct page_case c = draw_page(p);
    size_t bytes = 2 * MN__PAGE_TOKENS * c.d;
    void *a = guard_take(bytes), *b = guard_take(bytes);
    float *ak = guard_take(c.n * 4), *av = guard_take(c.n * 4), *bk = guard_take(c.n * 4),
          *bv = guard_take(c.n * 4);
    if (c.n && probe_below(p, 3) == 0)
        memset(c.k, 0, c.d * 4); /* a token without a largest value */
    p->ref->page_put_q8(a, ak, av, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    p->kern->page_put_q8(b, bk, bv, c.slot, c.k, c.ld_k, c.v, c.ld_v, c.n, c.d);
    check_same(p, "page", a, b, bytes);
    check_same(p, "scale_k", ak, bk, c.n * 4);
    check_same(p, "scale_v", av, bv, c.n * 4);
}

void prove_page_widen_q8(struct probe *p)
{
    size_t d = probe_pick(p, widths, COUNT(widths)), n = 2 * MN__PAGE_TOKENS * d;
    probe_shape(p, "d %zu", d);
    int8_t *in = guard_take(n);
    float scale[2][MN__PAGE_TOKENS];
    for (size_t i = 0; i < n; i++) in[i] = (int8_t)((int)probe_below(p, 255) - 127);
    for (size_t t = 0; t < MN__PAGE_TOKENS; t++) {
        scale[0][t] = (float)(probe_uniform(p) * 0.1);
        scale[1][t] = t % 9 ? (float)probe_uniform(p) : 0;
    }
    float *sk = guard_copy(scale[0], sizeof scale[0]), *sv = guard_copy(scale[1], sizeof scale[1]);
    mn_bf16 *a = guard_take(n * 2), *b = guard_take(n * 2);
    float *x = guard_take(n * 4), *y = guard_take(n * 4), *tol = guard_take(n * 4);
    p->ref->page_widen_q8(a, in, sk, sv, d);
    p->kern->page_widen_q8(b, in, sk, sv, d);
    for (size_t i = 0; i < n; i++) {
        x[i] = mn__bf16_widen(a[i]);
        y[i] = mn__bf16_widen(b[i]);
        tol[i] = tol_bf16(x[i]);
    }
    check_f32(p, "page", x, y, tol, n);
}

/* Both halves, or one of them. */
static void prove_get(struct probe *p, page_get_bf16_fn *ref, page_get_bf16_fn *kern,
                      const void *page, const struct page_case *c)
{
    size_t bytes = c->n * c->d * 4, which = probe_below(p, 3);
    float *ak = guard_take(bytes), *av = guard_take(bytes), *bk = guard_take(bytes),
          *bv = guard_take(bytes);
    ref(which == 1 ? NULL : ak, which == 2 ? NULL : av, page, c->slot, c->n, c->d);
    kern(which == 1 ? NULL : bk, which == 2 ? NULL : bv, page, c->slot, c->n, c->d);
    check_same(p, "k", ak, bk, bytes);
    check_same(p, "v", av, bv, bytes);
}

void prove_page_get_bf16(struct probe *p)
{
    struct page_case c = draw_page(p);
    prove_get(p, p->ref->page_get_bf16, p->kern->page_get_bf16,
              guard_bf16(p, 2 * MN__PAGE_TOKENS * c.d), &c);
}

void prove_page_get_f32(struct probe *p)
{
    struct page_case c = draw_page(p);
    prove_get(p, p->ref->page_get_f32, p->kern->page_get_f32,
              guard_f32(p, 2 * MN__PAGE_TOKENS * c.d), &c);
}
