/* test_shape.c: the NAMMs that evolution can begin with. */
#include "evolve/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/diag.h"
#include "evolve/namm_grad.h"

static mn__namm *make(const char *name)
{
    mn__namm *n = NULL;
    mn_diag diag = {""};
    if (mn__shape_new(&n, name, &diag) != MN_OK) fail_msg("%s: %s", name, diag.text);
    if (mn__namm_net_check(&n->net, &diag) != MN_OK) fail_msg("%s: %s", name, diag.text);
    return n;
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mn__namm_head head;
        size_t n_in, n_param;
    } shapes[] = {{"paper", MN__NAMM_BAM, 25, 4172},
                  {"paper-additive", MN__NAMM_BAM, 25, 25 * 96 + 96 + 32 * 25 + 25 + 26},
                  {"paper-mlp", MN__NAMM_MLP, 25, 25 * 32 + 32 + 33},
                  {"linear", MN__NAMM_LINEAR, 32, 33},
                  {"mlp", MN__NAMM_MLP, 32, 32 * 32 + 32 + 33},
                  {"bam", MN__NAMM_BAM, 32, 32 * 48 + 48 + 16 * 64 + 64 + 33},
                  {"mix", MN__NAMM_MIX, 32, 4 * 33}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        mn__namm *n = make(shapes[i].name);
        assert_int_equal(n->net.head, shapes[i].head);
        assert_int_equal(n->net.n_in, shapes[i].n_in);
        assert_int_equal(mn__namm_net_params(&n->net), shapes[i].n_param);
        mn__namm_free(n);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    mn__namm *n = (mn__namm *)&n;
    mn_diag diag = {""};
    assert_int_equal(mn__shape_new(&n, "mixx", &diag), MN_EUSAGE);
    assert_null(n);
    assert_non_null(strstr(diag.text, "unknown shape of a NAMM `mixx`: `mix`?"));
}

/* Biases of the last layer stay where they were. */
static void test_draw(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n_last;
    } shapes[] = {{"linear", 1}, {"paper", 1}, {"mix", 4}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        mn__namm *a = make(shapes[i].name), *b = make(shapes[i].name), *c = make(shapes[i].name);
        const size_t n = mn__namm_net_params(&a->net), n_drawn = n - shapes[i].n_last;
        mn__shape_draw(a, 0.1, 7);
        mn__shape_draw(b, 0.1, 7);
        assert_memory_equal(a->param, b->param, n * sizeof *a->param);
        mn__shape_draw(b, 0.1, 8);
        for (size_t p = 0; p < n; p++) {
            assert_true((a->param[p] != b->param[p]) == (p < n_drawn));
            assert_true(p < n_drawn || a->param[p] == c->param[p]);
        }
        mn__namm_free(a);
        mn__namm_free(b);
        mn__namm_free(c);
    }
}

/* Components that begin alike would have the same gradient for ever. */
static void test_mix_is_drawn_apart(void **state)
{
    (void)state;
    mn__namm *n = make("mix");
    const size_t E = n->net.n_in, K = n->net.n_part;
    double x[32], param[4 * 33], grad[4 * 33] = {0}, work[4], score;
    const double one = 1;
    assert_int_equal(E, 32);
    assert_int_equal(mn__namm_grad_doubles(&n->net, 1), K);
    mn__shape_draw(n, 0.1, 1);
    for (size_t c = 0; c < E; c++) x[c] = c % 3 ? 1 : -1;
    for (size_t i = 0; i < 4 * 33; i++) param[i] = (double)n->param[i];
    mn__namm_forward(&n->net, param, x, 1, &score, work);
    mn__namm_backward(&n->net, param, x, 1, &one, grad, work);
    for (size_t k = 1; k < K; k++)
        for (size_t j = 0; j < k; j++) assert_true(grad[K * E + j] != grad[K * E + k]);
    mn__namm_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_mix_is_drawn_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
