/* test_rope_keys.c: the tables of frequencies that keys and wishes lead to, against ggml's rotation
 * of the same vector with the arguments that llama.cpp derives from the same keys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "model/model.h"
#include "tiny_model.h"

enum { D = 24, N_POS = 5 };
static const int32_t position[N_POS] = {0, 1, 37, 255, 700};

/* What llama.cpp hands to ggml_rope_ext. */
typedef struct rope_args {
    int n_rot, mode, n_orig;
    float base, scale, ext, attn;
    const float *factor; /* [n_rot/2] or NULL */
} rope_args;

/* x [N_POS][D], rotated. */
static void rotate_by_ggml(const rope_args *a, const float *x, float *out)
{
    struct ggml_context *g = ggml_init((struct ggml_init_params){.mem_size = 1 << 20});
    assert_non_null(g);
    struct ggml_tensor *v = ggml_new_tensor_3d(g, GGML_TYPE_F32, D, 1, N_POS),
                       *pos = ggml_new_tensor_1d(g, GGML_TYPE_I32, N_POS);
    struct ggml_tensor *factor =
        a->factor ? ggml_new_tensor_1d(g, GGML_TYPE_F32, a->n_rot / 2) : NULL;
    memcpy(v->data, x, N_POS * D * sizeof *x);
    memcpy(pos->data, position, sizeof position);
    if (factor) memcpy(factor->data, a->factor, (size_t)a->n_rot / 2 * sizeof(float));
    struct ggml_tensor *y = ggml_rope_ext(g, v, pos, factor, a->n_rot, a->mode, a->n_orig, a->base,
                                          a->scale, a->ext, a->attn, 32, 1);
    struct ggml_cgraph *graph = ggml_new_graph(g);
    ggml_build_forward_expand(graph, y);
    assert_int_equal(ggml_graph_compute_with_ctx(g, graph, 1), GGML_STATUS_SUCCESS);
    memcpy(out, y->data, N_POS * D * sizeof *out);
    ggml_free(g);
}

/* Largest difference between our rotation and ggml's. */
static double difference(const mn_model *m, const mn__rope *rope, const rope_args *a)
{
    float x[N_POS * D], peer[N_POS * D], cos_sin[D];
    double most = 0;
    for (size_t i = 0; i < N_POS * D; i++) x[i] = (float)mn__rng_normal(5, 0, i, 0);
    rotate_by_ggml(a, x, peer);
    for (size_t i = 0; i < N_POS; i++) {
        mn__rope_table(rope, position[i], 1, cos_sin);
        m->kern.rope(x + i * D, cos_sin, rope->n_rot, rope->neox);
        for (size_t c = 0; c < D; c++)
            most = fmax(most, fabs((double)x[i * D + c] - peer[i * D + c]));
    }
    return most;
}

static mn_model *open_tiny(const tiny_model_params *tp, const mn_model_params *mp)
{
    const char *path = tiny_model_path("rope.gguf");
    mn_model *m = NULL;
    mn_diag diag = {""};
    tiny_model_params of_size = *tp;
    of_size.head_dim = D;
    assert_true(tiny_model_write(path, &of_size));
    if (mn_model_open(&m, path, mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    remove(path);
    return m;
}

/* The model rotates as `a` says, and not as `a` with any other base does. */
static void check(const mn_model *m, const mn__rope *rope, rope_args a)
{
    double d = difference(m, rope, &a);
    if (!(d < 3e-4)) fail_msg("difference %g", d);
    a.base *= 1.1f;
    assert_true(difference(m, rope, &a) > 1e-2);
}

static rope_args plain_args(const char *arch)
{
    return (rope_args){
        D,   strcmp(arch, "llama") == 0 ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX,
        256, 10000,
        1,   0,
        1,   NULL};
}

static float yarn_growth(float factor)
{
    return 1.0f + 0.1f * logf(factor);
}

static void test_plain_and_linear(void **state)
{
    (void)state;
    static const char *const arch[] = {"llama", "qwen3"};
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        tiny_model_default(&tp, arch[i]);
        rope_args a = plain_args(arch[i]);
        mn_model *m = open_tiny(&tp, NULL);
        check(m, &m->rope, a);
        mn_model_free(m);
        tp.rope_factor = 3; /* no type: linear */
        a.scale = 1.0f / 3;
        m = open_tiny(&tp, NULL);
        check(m, &m->rope, a);
        mn_model_free(m);
        tp.rope_scaling = "none";
        a.scale = 1;
        m = open_tiny(&tp, NULL);
        check(m, &m->rope, a);
        mn_model_free(m);
    }
}

static void test_partial_rotation(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "gemma3");
    tp.n_rot = 16;
    rope_args a = plain_args("gemma3");
    a.n_rot = 16;
    a.base = 1000000;
    mn_model *m = open_tiny(&tp, NULL);
    check(m, &m->rope, a);
    mn_model_free(m);
}

static void test_yarn(void **state)
{
    (void)state;
    static const float factor[] = {4, 40};
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        tiny_model_default(&tp, "qwen3");
        tp.rope_scaling = "yarn";
        tp.rope_factor = factor[i];
        tp.rope_orig_ctx = 64;
        tp.rope_attn_factor = 1.25f;
        rope_args a = plain_args("qwen3");
        a.n_orig = 64;
        a.scale = 1 / factor[i];
        a.ext = 1;
        a.attn = yarn_growth(factor[i]) / yarn_growth(factor[i]) *
                 1.25f; /* ggml multiplies by the growth once more */
        mn_model *m = open_tiny(&tp, NULL);
        check(m, &m->rope, a);
        assert_true(fabsf(m->rope.magnitude - 1.25f * yarn_growth(factor[i])) < 1e-5f);
        mn_model_free(m);
    }
}

static void test_gemma3_scales_global_layers_only(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "gemma3");
    tp.rope_scaling = "linear";
    tp.rope_factor = 8;
    rope_args global = plain_args("gemma3"), local = global;
    global.base = 1000000;
    global.scale = 1.0f / 8;
    mn_model *m = open_tiny(&tp, NULL);
    check(m, &m->rope, global);
    check(m, &m->rope_local, local);
    mn_model_free(m);
    tp.rope_scaling = "yarn";
    tp.rope_base_swa = 5000;
    global.ext = local.ext =
        1; /* llama.cpp gives both kinds of layers the same arguments but base and scale */
    local.base = 5000;
    m = open_tiny(&tp, NULL);
    check(m, &m->rope, global);
    check(m, &m->rope_local, local);
    mn_model_free(m);
}

static void test_factors(void **state)
{
    (void)state;
    float far[D / 2], near[D / 2], freqs[D / 2];
    for (int i = 0; i < D / 2; i++) {
        far[i] = 1 + 15 * (float)i / (D / 2);
        near[i] = 1 + 2 * (float)i / (D / 2);
        freqs[i] = 1 + 7 * (float)i / (D / 2);
    }
    tiny_model_params tp;
    mn_model_params mp;
    mn_model_params_default(&mp);
    tiny_model_default(&tp, "llama");
    rope_args a = plain_args("llama");
    a.factor = freqs;
    tp.rope_freqs = true;
    mn_model *m = open_tiny(&tp, NULL);
    check(m, &m->rope, a);
    mn_model_free(m);
    tp.rope_freqs = false;
    tp.rope_scaling = "longrope";
    tp.rope_attn_factor = a.attn = 1.2f;
    tp.rope_orig_ctx = 64; /* trained for 256 */
    a.factor = far;
    m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    mn_model_free(m);
    mp.rope_scaling = MN_ROPE_NONE;
    a.factor = near;
    m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    assert_int_equal(m->n_ctx_train, 64);
    mn_model_free(m);
    mp.rope_scaling = MN_ROPE_MODEL;
    tp.rope_orig_ctx = 256;
    m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    mn_model_free(m);
}

static void test_wishes(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    mn_model_params_default(&mp);
    tiny_model_default(&tp, "llama");
    mp.rope_factor = 4;
    mp.rope_scaling = MN_ROPE_LINEAR;
    rope_args a = plain_args("llama");
    a.scale = 0.25f;
    mn_model *m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    mn_model_free(m);
    mp.rope_scaling = MN_ROPE_YARN;
    a.ext = 1;
    m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    mn_model_free(m);
    mp.rope_scaling = MN_ROPE_NTK;
    mp.rope_base = 20000;
    a = plain_args("llama");
    a.base = 20000 * powf(4, (float)D / (D - 2));
    m = open_tiny(&tp, &mp);
    check(m, &m->rope, a);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_linear),
        cmocka_unit_test(test_partial_rotation),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_gemma3_scales_global_layers_only),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
