/* test_output_norm.c: the norm of projected values against plain sums in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "model/model.h"
#include "tiny_model.h"

static mn_model *must_open(const tiny_model_params *tp, const mn_model_params *mp)
{
    const char *path = tiny_model_path("norm.gguf");
    mn_model *m = NULL;
    mn_diag diag = {""};
    assert_true(tiny_model_write(path, tp));
    if (mn_model_open(&m, path, mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    remove(path);
    return m;
}

/* sum over heads of the group, over outputs, of |sum_c Wo[o][h*D+c] v[c]|, over the group's size */
static double norm_by_hand(const mn_model *m, size_t head, const float *v)
{
    const mn__weight *o = &m->layer[1].o;
    size_t D = m->head_dim;
    double sum = 0;
    for (size_t h = 2 * head; h < 2 * head + 2; h++)
        for (size_t r = 0; r < o->n_out; r++) {
            const float *row = (const float *)(const void *)(o->data + r * o->row_bytes) + h * D;
            double dot = 0;
            for (size_t c = 0; c < D; c++) dot += (double)row[c] * v[c];
            sum += fabs(dot);
        }
    return sum / 2;
}

static void test_output_norm(void **state)
{
    (void)state;
    enum { ROWS = 70, MAX_D = 24 };
    static const char *const level[] = {"ref", "auto"};
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        mn_model_params mp;
        float v[ROWS * MAX_D], out[ROWS];
        tiny_model_default(&tp, "llama");
        mn_model_params_default(&mp);
        mp.cpu = level[i];
        mn_model *m = must_open(&tp, &mp);
        for (size_t k = 0; k < ROWS * MAX_D; k++) v[k] = (float)mn__rng_normal(3, 0, k, 0);
        mn__model_output_norm(m, 1, 1, v, ROWS, out);
        double tolerance = mn__product_is_bf16(&m->kern) ? 3e-3 : 1e-5;
        for (size_t r = 0; r < ROWS; r++) {
            double wanted = norm_by_hand(m, 1, v + r * MAX_D);
            assert_true(wanted > 5);
            assert_true(fabs(out[r] - wanted) < tolerance * wanted);
        }
        mn_model_free(m);
    }
}

/* Wo[h]' Wo[h] entry by entry, and the norm that it gives against |Wo[h] v|_2 itself. */
static void test_output_gram(void **state)
{
    (void)state;
    enum { MAX_D = 24 };
    static const char *const level[] = {"ref", "auto"};
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        mn_model_params mp;
        static float gram[MAX_D * MAX_D];
        tiny_model_default(&tp, "llama");
        tp.n_embd = 160; /* rows of Wo: more than are taken at once */
        mn_model_params_default(&mp);
        mp.cpu = level[i];
        mn_model *m = must_open(&tp, &mp);
        const mn__weight *o = &m->layer[1].o;
        size_t D = m->head_dim;
        assert_true(D <= MAX_D && D % 16 != 0);
        for (size_t h = 0; h < m->n_head; h++) {
            double direct = 0, by_gram = 0;
            mn__model_output_gram(m, 1, h, gram);
            for (size_t a = 0; a < D; a++)
                for (size_t b = 0; b < D; b++) {
                    double want = 0, size = 0;
                    for (size_t r = 0; r < o->n_out; r++) {
                        const float *row =
                            (const float *)(const void *)(o->data + r * o->row_bytes) + h * D;
                        want += (double)row[a] * row[b];
                        size += fabs((double)row[a] * row[b]);
                    }
                    assert_true(fabs(gram[a * D + b] - want) <= 1e-5 * size);
                    by_gram += mn__rng_normal(4, h, a, 0) * mn__rng_normal(4, h, b, 0) *
                               (double)gram[a * D + b];
                }
            for (size_t r = 0; r < o->n_out; r++) {
                const float *row =
                    (const float *)(const void *)(o->data + r * o->row_bytes) + h * D;
                double dot = 0;
                for (size_t a = 0; a < D; a++) dot += mn__rng_normal(4, h, a, 0) * (double)row[a];
                direct += dot * dot;
            }
            assert_true(direct > 1 && fabs(sqrt(by_gram) - sqrt(direct)) <= 1e-4 * sqrt(direct));
        }
        mn_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_norm),
        cmocka_unit_test(test_output_gram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
