/* test_output_norm.c: norms of projected values against sums in double over the file's numbers. */
#include <ggml.h>
#include <math.h>

#include "model/model.h"
#include "session_fixture.h"

enum { N_ROW = 1100, DIM_MAX = 64 }; /* more than the pages that are taken at once, no multiple */

static float values[N_ROW * DIM_MAX];

static mn_model *open_tiny(bool q8_0)
{
    mn_model *m = NULL;
    mn_diag diag = {""};
    tiny_model_params tp;
    mn_model_params mp;
    const char *path = tiny_model_path("norm.gguf");
    tiny_model_default(&tp, "llama");
    tp.q8_0 = q8_0;
    assert_true(tiny_model_write(path, &tp));
    mn_model_params_default(&mp);
    mp.cpu = getenv("MN_TEST_CPU");
    if (mn_model_open(&m, path, &mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    remove(path);
    assert_true(m->head_dim <= DIM_MAX);
    return m;
}

/* |Wo[h] v|_1, mean over the group; *scale is the same without signs, what rounding is relative
 * to. */
static double true_norm(const struct mn_model *m, size_t layer, size_t head, const float *v,
                        double *scale)
{
    const mn__weight *w = &m->layer[layer].o;
    const struct ggml_type_traits *traits = ggml_get_type_traits((enum ggml_type)w->type);
    size_t group = m->n_head / m->n_kv_head, D = m->head_dim;
    double norm = 0;
    float row[1024];
    assert_true(w->n_in <= 1024);
    *scale = 0;
    for (size_t r = 0; r < w->n_out; r++) {
        const uint8_t *data = w->data + r * w->row_bytes;
        if (traits->to_float && w->type != GGML_TYPE_F32)
            traits->to_float(data, row, (int64_t)w->n_in);
        else
            memcpy(row, data, w->n_in * sizeof *row);
        for (size_t h = head * group; h < (head + 1) * group; h++) {
            double dot = 0;
            for (size_t c = 0; c < D; c++) {
                dot += (double)row[h * D + c] * (double)v[c];
                *scale += fabs((double)row[h * D + c] * (double)v[c]) / (double)group;
            }
            norm += fabs(dot) / (double)group;
        }
    }
    return norm;
}

static void test_rows(void **state)
{
    static const size_t sizes[] = {1, 63, 64, 65, N_ROW};
    static float out[N_ROW];
    (void)state;
    for (int q8_0 = 0; q8_0 < 2; q8_0++) {
        mn_model *m = open_tiny(q8_0);
        const double eps = mn__product_is_bf16(&m->kern) ? 1.0 / 128 : 1e-5;
        for (size_t i = 0; i < N_ROW * m->head_dim; i++)
            values[i] = (float)sin(0.7 * (double)i + 0.1 * (double)(i % 13));
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            out[sizes[k] - 1] = -1;
            mn__model_output_norm(m, 1, 1, values, sizes[k], out);
            for (size_t t = 0; t < sizes[k]; t++) {
                double scale, want = true_norm(m, 1, 1, values + t * m->head_dim, &scale);
                assert_true(want > 0);
                if (fabs((double)out[t] - want) > eps * scale)
                    fail_msg("row %zu of %zu: %g wanted, %g found", t, sizes[k], want,
                             (double)out[t]);
            }
        }
        mn_model_free(m);
    }
}

/* A row's norm does not depend on how many are taken with it. */
static void test_alone(void **state)
{
    static float all[N_ROW];
    float one;
    (void)state;
    mn_model *m = open_tiny(false);
    mn__model_output_norm(m, 0, 0, values, N_ROW, all);
    for (size_t t = 0; t < N_ROW; t += 37) {
        mn__model_output_norm(m, 0, 0, values + t * m->head_dim, 1, &one);
        assert_memory_equal(&one, &all[t], sizeof one);
    }
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
