/* test_pack.c: which copies a quantised model gets, and what it answers when prompts take the dots.
 */
#include "model/model.h"
#include "session_fixture.h"
#include "tensor/linear_internal.h"

enum { N_READ = 100 };

static const char *const archs[] = {"llama", "gemma3", "phi3"};
enum { N_ARCH = sizeof archs / sizeof *archs };

/* Matrices in Q8_0. Heads of 24 end inside blocks of 32. */
static mn_model *open_quantised(const char *arch, mn_product product, size_t pack_limit)
{
    mn_model *m = NULL;
    mn_diag diag = {""};
    tiny_model_params tp;
    mn_model_params mp;
    const char *path = tiny_model_path("pack.gguf");
    tiny_model_default(&tp, arch);
    tp.n_ctx = FIX_TOKENS;
    tp.q8_0 = true;
    assert_true(tiny_model_write(path, &tp));
    mn_model_params_default(&mp);
    assert_int_equal(mp.product, MN_PRODUCT_AUTO);
    mp.cpu = getenv("MN_TEST_CPU");
    mp.product = product;
    mp.pack_limit_bytes = pack_limit;
    if (mn_model_open(&m, path, &mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    remove(path);
    return m;
}

static bool has_panels(const mn__weight *w)
{
    return w->packed && w->packed->panels;
}

static bool has_dots(const mn__weight *w)
{
    return w->packed && w->packed->dots;
}

static void test_copies(void **state)
{
    (void)state;
    const size_t plenty = (size_t)1 << 30;
    for (int wide = 0; wide < 2; wide++) {
        mn_model *m = open_quantised("llama", wide ? MN_PRODUCT_WIDE : MN_PRODUCT_AUTO, plenty);
        bool is_bf16 = mn__product_is_bf16(&m->kern);
        assert_int_equal(m->reads_by_dots, !wide && mn__product_likes_dots(&m->kern));
        assert_true(has_dots(&m->head) && has_dots(&m->layer[1].down));
        assert_int_equal(has_panels(&m->layer[0].q), is_bf16 && !m->reads_by_dots);
        assert_false(has_panels(&m->head));
        mn_model_free(m);
    }
}

/* The rows of a prompt have one form: where not all weights get their copy, none is multiplied by
 * dots. */
static void test_too_little_memory(void **state)
{
    (void)state;
    const size_t limit[] = {0, 300, (size_t)1 << 30};
    for (size_t i = 0; i < 3; i++) {
        mn_model *m = open_quantised("llama", MN_PRODUCT_AUTO, limit[i]);
        bool all = has_dots(&m->head);
        for (size_t k = 0; k < m->n_layer; k++) {
            const mn__model_layer *l = &m->layer[k];
            const mn__weight *w[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
            for (size_t n = 0; n < sizeof w / sizeof *w; n++) all = all && has_dots(w[n]);
        }
        assert_int_equal(all, i == 2);
        assert_int_equal(m->reads_by_dots, all && mn__product_likes_dots(&m->kern));
        mn_model_free(m);
    }
}

static float *read_logits(const mn_model *m, size_t chunk, int n_thread)
{
    mn_session_params p = fix_params("full", "");
    p.chunk = chunk;
    p.n_thread = n_thread;
    p.kv_type = MN_KV_F32;
    mn_session *s = fix_session(m, &p);
    float *out = fix_keep(m, fix_read(s, 0, N_READ, true));
    mn_session_free(s);
    return out;
}

static float *written_logits(const mn_model *m)
{
    mn_session_params p = fix_params("full", "");
    p.kv_type = MN_KV_F32;
    mn_session *s = fix_session(m, &p);
    float *out = fix_keep(m, fix_write(s, 0, N_READ));
    mn_session_free(s);
    return out;
}

/* Reading is as far from the wide product as writing is, and nobody sees how it was split. */
static void test_answers(void **state)
{
    (void)state;
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = open_quantised(archs[a], MN_PRODUCT_AUTO, (size_t)1 << 30),
                 *wide = open_quantised(archs[a], MN_PRODUCT_WIDE, (size_t)1 << 30);
        float *one = read_logits(m, 64, 1), *three = read_logits(m, 64, 3),
              *small = read_logits(m, 7, 2), *reference = read_logits(wide, 64, 1),
              *written = written_logits(wide);
        if (m->reads_by_dots || mn__product_is_bf16(&m->kern))
            fix_same(m, one, three, "three threads");
        if (m->reads_by_dots) {
            assert_true(fix_distance(m, one, reference) > 0);
            assert_true(fix_distance(m, one, reference) <= 2 * fix_distance(m, written, reference));
            assert_true(fix_distance(m, one, small) <= 2 * fix_distance(m, written, reference));
        } else {
            fix_same(m, one, reference, "no dots for prompts here");
        }
        free(one);
        free(three);
        free(small);
        free(reference);
        free(written);
        mn_model_free(m);
        mn_model_free(wide);
    }
}

static void test_plan_is_held(void **state)
{
    (void)state;
    mn_model *m = open_quantised("llama", MN_PRODUCT_AUTO, (size_t)1 << 30);
    mn_plan plan;
    mn_diag diag = {""};
    mn_mem_stats before, after;
    mn_session_params p = fix_params("full", "");
    if (mn_plan_make(m, &p, N_READ, 0, &plan, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn_mem_get_stats(&before);
    mn_session *s = fix_session(m, &p);
    mn_mem_get_stats(&after);
    size_t held = after.now[MN_MEM_SCRATCH] - before.now[MN_MEM_SCRATCH];
    assert_true(held <= plan.scratch_bytes + 65536 && plan.scratch_bytes <= held + 65536);
    mn_session_free(s);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_too_little_memory),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_plan_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
