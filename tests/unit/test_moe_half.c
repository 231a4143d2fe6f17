/* test_moe_half.c: experts in bf16 against the same in float, forward and backward, alone and by a
 * team; the router chooses the same ones. */
#include "half_fixture.h"
#include "layer/moe.h"

/* A pass and all that comes out of it. */
typedef struct mixture {
    mn__moe l;
    mn__params list;
    size_t n, n_w;
    const float *x, *dy;
    float *y, *dx, *g;
    uint32_t *expert;
} mixture;

static void pass(const mn__env *env, void *arg)
{
    const mixture *m = arg;
    mn__moe_saved saved;
    mn__moe_forward(&m->l, env, m->n, m->x, m->y, &saved);
    mn__moe_backward(&m->l, env, m->n, &saved, m->dy, m->dx);
    if (!mn__env_is_dry(env))
        memcpy(m->expert, saved.expert, m->n * m->l.n_keep * sizeof *m->expert);
}

static void begin(mixture *m, mn__moe l, size_t n, const float *x, const float *dy)
{
    *m = (mixture){.l = l, .n = n, .x = x, .dy = dy};
    mn__moe_declare(&m->l, &m->list, "moe");
    m->n_w = mn__params_size(&m->list, false);
    m->y = hf_draw(n * l.width, 3); /* whatever stood there must not matter */
    m->dx = hf_draw(n * l.width, 4);
    m->g = calloc(m->n_w, sizeof *m->g);
    m->expert = calloc(n * l.n_keep, sizeof *m->expert);
    assert_true(m->g && m->expert);
}

static void run(mixture *m, int n_thread, bool half)
{
    float *w = hf_draw(m->n_w, 6);
    mn__params_bind(&m->list, w, m->g, NULL);
    mn__params_fill(&m->list, NULL, 3);
    hf_run(pass, m, n_thread, half);
    free(w);
}

static void fini(mixture *m)
{
    mn__params_fini(&m->list);
    free(m->y);
    free(m->dx);
    free(m->g);
    free(m->expert);
}

static void compare(const mixture *full, const mixture *half)
{
    const size_t n = full->n * full->l.width;
    const mn__param *const param[] = {&full->l.w1, &full->l.v1, &full->l.w2, &full->l.router};
    assert_memory_equal(full->expert, half->expert, full->n * full->l.n_keep * sizeof(uint32_t));
    hf_assert_near(full->y, half->y, n);
    hf_assert_near(full->dx, half->dx, n);
    for (size_t i = 0; i < sizeof param / sizeof *param; i++) {
        if (!param[i]->g) continue; /* of three matrices alone */
        const size_t at = (size_t)(param[i]->g - full->g);
        hf_assert_near(full->g + at, half->g + at, mn__param_size(param[i]));
    }
}

static void check(mn__moe l, size_t n)
{
    float *x = hf_draw(n * l.width, 1), *dy = hf_draw(n * l.width, 2);
    mixture m[3];
    for (int i = 0; i < 3; i++) {
        begin(&m[i], l, n, x, dy);
        run(&m[i], i == 2 ? 3 : 1, i > 0);
    }
    compare(&m[0], &m[1]);
    assert_memory_equal(m[1].y, m[2].y, n * l.width * sizeof(float));
    assert_memory_equal(m[1].dx, m[2].dx, n * l.width * sizeof(float));
    assert_memory_equal(m[1].g, m[2].g, m[1].n_w * sizeof(float));
    for (int i = 0; i < 3; i++) fini(&m[i]);
    free(x);
    free(dy);
}

static void test_half(void **state)
{
    mn__moe l = {.width = 72,
                 .inner = 100,
                 .n_expert = 4,
                 .n_keep = 2,
                 .balance = 0.01,
                 .z = 0.001,
                 .n_layer = 1,
                 .n_block = 1,
                 .std = 0.1};
    (void)state;
    check(l, 400); /* panels with rests */
    l.renormalise = true;
    check(l, 1200); /* more than a tile of tokens an expert */
    l.gelu = true;
    l.width = 64;
    l.inner = 288; /* more than a block of rows of gradients */
    check(l, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
