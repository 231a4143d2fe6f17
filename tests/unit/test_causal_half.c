/* test_causal_half.c: attention in bf16 against the same in float, forward and backward, alone and
 * by a team. */
#include "half_fixture.h"
#include "layer/causal_softmax.h"

typedef struct attention {
    mn__causal_softmax core;
    mn__shape s;
    size_t n_y, n_x, ld; /* values of outputs and of inputs, and between rows of these */
    const float *x, *dy;
    float *y, *dx;
} attention;

static void pass(const mn__env *env, void *arg)
{
    const attention *a = arg;
    const size_t q = a->core.heads.n_head * a->core.heads.dim,
                 kv = a->core.heads.n_kv * a->core.heads.dim;
    const mn__qkv in = {.q = a->x, .k = a->x + q, .v = a->x + q + kv, .ld = a->ld};
    const mn__qkv_grad out = {a->dx, a->dx + q, a->dx + q + kv};
    mn__causal_softmax_saved saved;
    mn__causal_softmax_forward(&a->core, env, a->s, &in, a->y, &saved);
    mn__causal_softmax_backward(&a->core, env, a->s, &saved, a->dy, &out);
}

static void check(mn__heads heads, mn__shape s)
{
    attention a = {.core = {heads}, .s = s};
    a.ld = (heads.n_head + 2 * heads.n_kv) * heads.dim;
    a.n_x = s.n_seq * s.len * a.ld;
    a.n_y = s.n_seq * s.len * heads.n_head * heads.dim;
    float *x = hf_draw(a.n_x, 1), *dy = hf_draw(a.n_y, 2), *y[3], *dx[3];
    a.x = x;
    a.dy = dy;
    for (int i = 0; i < 3; i++) {
        y[i] = hf_draw(a.n_y, 3); /* whatever stood there must not matter */
        dx[i] = hf_draw(a.n_x, 4);
        a.y = y[i];
        a.dx = dx[i];
        hf_run(pass, &a, i == 2 ? 3 : 1, i > 0);
    }
    hf_assert_near(y[0], y[1], a.n_y);
    hf_assert_near(dx[0], dx[1], a.n_x);
    assert_memory_equal(y[1], y[2], a.n_y * sizeof(float));
    assert_memory_equal(dx[1], dx[2], a.n_x * sizeof(float));
    for (int i = 0; i < 3; i++) {
        free(y[i]);
        free(dx[i]);
    }
    free(x);
    free(dy);
}

static void test_half(void **state)
{
    (void)state;
    check((mn__heads){2, 2, 64}, (mn__shape){2, 300}); /* rests of tiles of both kinds */
    check((mn__heads){4, 2, 32}, (mn__shape){1, 256}); /* groups of queries, none */
    check((mn__heads){1, 1, 96}, (mn__shape){3, 7});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
