/* test_prefix_half.c: linear attention in bf16 against the same in float, forward and backward,
 * alone and by a team. */
#include "half_fixture.h"
#include "layer/prefix_sum.h"

enum { Y, DQ, DK, DV, OUTPUTS };

typedef struct attention {
    mn__prefix_sum core;
    mn__shape s;
    mn__prefix_in in;
    const float *dy;
    float *out[OUTPUTS];
} attention;

static void pass(const mn__env *env, void *arg)
{
    const attention *a = arg;
    const mn__prefix_grad grad = {a->out[DQ], a->out[DK], a->out[DV]};
    mn__prefix_saved saved;
    mn__prefix_sum_forward(&a->core, env, a->s, &a->in, a->out[Y], &saved);
    mn__prefix_sum_backward(&a->core, env, a->s, &saved, a->dy, &grad);
}

/* Features are positive, as those of Performer and cosFormer are. */
static float *draw_features(size_t n, uint32_t stream)
{
    float *x = hf_draw(n, stream);
    for (size_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
    return x;
}

static void check(mn__heads heads, size_t n_feature, mn__shape s)
{
    const size_t rows = s.n_seq * s.len, n_q = rows * heads.n_head * n_feature,
                 n_k = rows * heads.n_kv * n_feature, n_v = rows * heads.n_kv * heads.dim,
                 n_y = rows * heads.n_head * heads.dim, n[OUTPUTS] = {n_y, n_q, n_k, n_v};
    float *q = draw_features(n_q, 1), *k = draw_features(n_k, 2), *v = hf_draw(n_v, 3),
          *dy = hf_draw(n_y, 4);
    attention a[3];
    for (int i = 0; i < 3; i++) {
        a[i] = (attention){.core = {heads, n_feature, 0}, .s = s, .dy = dy};
        a[i].in = (mn__prefix_in){q, k, v, heads.n_kv * heads.dim, NULL};
        for (uint32_t j = 0; j < OUTPUTS; j++) a[i].out[j] = hf_draw(n[j], 5 + j);
        hf_run(pass, &a[i], i == 2 ? 3 : 1, i > 0);
    }
    for (size_t j = 0; j < OUTPUTS; j++) {
        hf_assert_near(a[0].out[j], a[1].out[j], n[j]);
        assert_memory_equal(a[1].out[j], a[2].out[j], n[j] * sizeof(float));
        for (int i = 0; i < 3; i++) free(a[i].out[j]);
    }
    float *all[] = {q, k, v, dy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void test_half(void **state)
{
    (void)state;
    check((mn__heads){2, 2, 64}, 128, (mn__shape){2, 300}); /* a last chunk with rests */
    check((mn__heads){4, 2, 64}, 266, (mn__shape){1, 256}); /* groups of queries, odd features */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
