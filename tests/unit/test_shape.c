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
    if (mn__shape_new(&n, name, false, &diag) != MN_OK) fail_msg("%s: %s", name, diag.text);
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

static void test_options(void **state)
{
    (void)state;
    mn__namm *n = make("paper:window=16,hop=8,gamma=0.95,update=256,log,scale=n,corrected");
    const mn__namm_spectrum *s = &n->spectrum;
    assert_true(s->window == 16 && s->hop == 8 && s->gamma == 0.95 && n->update == 256);
    assert_true(s->log && s->by_length && s->corrected);
    assert_int_equal(n->net.n_in, 8 + 9);
    assert_int_equal(mn__namm_net_params(&n->net), 17 * 96 + 96 + 32 * 34 + 34 + 17 + 1);
    assert_true(n->param[mn__namm_net_params(&n->net) - 1] > 0);
    mn__namm_free(n);
    n = make("paper-mlp:log=1,corrected=0,scale=raw");
    assert_true(n->spectrum.window == 32 && n->spectrum.hop == 16 && n->spectrum.gamma == 0.99);
    assert_true(n->update == 512 && n->spectrum.log);
    assert_false(n->spectrum.corrected || n->spectrum.by_length);
    mn__namm_free(n);
    n = make("linear:update=128");
    assert_int_equal(n->update, 128);
    assert_int_equal(n->net.n_in, 32);
    mn__namm_free(n);
    n = make("paper:"); /* as policies have it */
    assert_int_equal(n->net.n_in, 25);
    mn__namm_free(n);
}

/* Shares rank tokens; a threshold wants scores of both signs. */
static void test_without_budget(void **state)
{
    (void)state;
    static const char *const names[] = {"linear", "mlp", "bam", "mix", "paper"};
    for (size_t i = 0; i < 5; i++) {
        mn_diag diag = {""};
        mn__namm *ranked = make(names[i]), *is_free = NULL;
        assert_int_equal(mn__shape_new(&is_free, names[i], true, &diag), MN_OK);
        const char *rest =
            strncmp(ranked->options, "scale=share,", 12) ? ranked->options : ranked->options + 12;
        assert_true((rest == ranked->options) == (i == 4));
        assert_string_equal(is_free->options, rest);
        mn__namm_free(ranked);
        mn__namm_free(is_free);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *say;
    } cases[] = {
        {"mixx", "unknown shape of a NAMM `mixx`: `mix`?"},
        {"", "shape ``: a name of 1 to 23 letters wanted"},
        {":log", "shape `:log`: a name of 1 to 23 letters wanted"},
        {"paper:windw=16", "shape paper has no option `windw`: did you mean `window`?"},
        {"paper:log,log", "shape paper: option log is given twice"},
        {"paper:log,", "shape paper: key=value wanted after the last comma"},
        {"paper:=3", "shape option `=3`: key=value wanted"},
        {"paper:,log", "shape option ``: key=value wanted"},
        {"paper:log=yes", "shape paper: log is one of 0, 1, `yes` found"},
        {"paper:scale", "shape paper: scale is one of raw, n, `` found"},
        {"paper:window", "shape paper: window is a whole number from 0 to 16777216, `` found"},
        {"paper:window=-2", "window is a whole number"},
        {"paper:window=15", "shape paper: namm.window: an even number from 2 to 64 wanted, 15"},
        {"paper:window=16777216", "namm.window: an even number from 2 to 64 wanted"},
        {"paper:window=66", "namm.window: an even number from 2 to 64 wanted"},
        {"paper:hop=12", "shape paper: namm.hop: a divisor of namm.window (32) wanted, 12 found"},
        {"paper:window=8", "namm.hop: a divisor of namm.window (8) wanted, 16 found"},
        {"paper:hop=0", "namm.hop: a divisor of namm.window (32) wanted, 0 found"},
        {"paper:update=100", "namm.update: a multiple of namm.hop (16) up to 16777216 wanted, 100"},
        {"paper:update=0", "namm.update: a multiple of namm.hop (16)"},
        {"linear:update=100", "shape linear: namm.update: a multiple of namm.hop (16)"},
        {"paper:gamma=1", "shape paper: namm.gamma: a number between 0 and 1, both excluded"},
        {"paper:gamma=0", "namm.gamma: a number between 0 and 1, both excluded"},
        {"paper:gamma=1.5", "shape paper: gamma is a number from 0 to 1, `1.5` found"},
        {"paper:gamma=nan", "shape paper: gamma is a number from 0 to 1, `nan` found"},
        {"paper:gamma=0.999999999999",
         "shape paper: gamma is between 0 and 1, its power of the hop"},
        {"linear:window=16", "shape linear has no option `window`"},
        {"mix:log", "shape mix has no option `log`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn__namm *n = (mn__namm *)&n;
        mn_diag diag = {""};
        assert_int_equal(mn__shape_new(&n, cases[i].text, false, &diag), MN_EUSAGE);
        assert_null(n);
        if (!strstr(diag.text, cases[i].say))
            fail_msg("%s: '%s' wanted in: %s", cases[i].text, cases[i].say, diag.text);
    }
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
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_options),
        cmocka_unit_test(test_without_budget), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_draw),           cmocka_unit_test(test_mix_is_drawn_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
