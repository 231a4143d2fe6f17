/* test_peer.c: the helpers themselves: every tiny model opens in libllama, chunks do not matter to
 * it, what a key changes shows in the logits, and a widened copy of an F32 model is the same model.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "llama.h"
#include "peer/peer.h"
#include "tiny_model.h"

enum { N_TOKEN = 60 };

static void make_tokens(int32_t *token, size_t n, uint32_t n_vocab)
{
    for (size_t i = 0; i < n; i++) token[i] = (int32_t)(mn__rng_uniform(7, 0, i, 0) * n_vocab);
}

/* Logits [N_TOKEN][V] of a model; the caller frees them. */
static float *run(const char *path, const peer_params *pp, const int32_t *token, size_t chunk,
                  size_t *n_vocab)
{
    peer *p = peer_open(path, pp);
    assert_non_null(p);
    *n_vocab = peer_n_vocab(p);
    float *out = malloc(N_TOKEN * *n_vocab * sizeof *out);
    assert_non_null(out);
    assert_true(peer_decode(p, token, N_TOKEN, chunk, out));
    peer_free(p);
    return out;
}

static void check_arch(const char *arch, bool fused, bool bias)
{
    tiny_model_params tp;
    peer_params pp;
    peer_distance d;
    int32_t token[N_TOKEN];
    size_t n_vocab;
    const char *path = tiny_model_path("peer.gguf"), *wide = tiny_model_path("wide.gguf");
    tiny_model_default(&tp, arch);
    if (fused) tp.fused = true;
    if (bias) tp.bias = true;
    assert_true(tiny_model_write(path, &tp));
    assert_true(peer_write_f32(path, wide));
    peer_params_default(&pp);
    pp.n_thread = 1;
    make_tokens(token, N_TOKEN, tiny_model_n_vocab(&tp));
    float *a = run(path, &pp, token, N_TOKEN, &n_vocab);
    assert_int_equal(n_vocab, tiny_model_n_vocab(&tp));
    float *b = run(path, &pp, token, 7, &n_vocab);
    peer_compare(a, b, token, N_TOKEN, n_vocab, &d);
    assert_int_equal(d.n_bad, 0);
    assert_true(d.spread > 0.5);
    assert_true(d.kl_mean < 1e-6);
    assert_true(d.max_abs < 1e-3);
    free(b);
    b = run(wide, &pp, token, N_TOKEN, &n_vocab);
    peer_compare(a, b, token, N_TOKEN, n_vocab, &d);
    assert_true(d.max_abs == 0);
    free(a);
    free(b);
    remove(path);
    remove(wide);
}

static void test_archs(void **state)
{
    (void)state;
    check_arch("llama", false, false);
    check_arch("llama", true, true);
    check_arch("qwen2", false, false);
    check_arch("qwen3", false, false);
    check_arch("gemma3", false, false);
    check_arch("phi3", false, false);
}

/* KL from the plain model when `change` was applied to the file. */
static double effect_of(const char *arch, void (*change)(tiny_model_params *p))
{
    tiny_model_params tp;
    peer_params pp;
    peer_distance d;
    int32_t token[N_TOKEN];
    size_t n_vocab;
    const char *path = tiny_model_path("effect.gguf");
    tiny_model_default(&tp, arch);
    make_tokens(token, N_TOKEN, tiny_model_n_vocab(&tp));
    peer_params_default(&pp);
    pp.n_thread = 1;
    assert_true(tiny_model_write(path, &tp));
    float *a = run(path, &pp, token, 16, &n_vocab);
    change(&tp);
    assert_true(tiny_model_write(path, &tp));
    float *b = run(path, &pp, token, 16, &n_vocab);
    peer_compare(a, b, token, N_TOKEN, n_vocab, &d);
    assert_int_equal(d.n_bad, 0);
    free(a);
    free(b);
    remove(path);
    return d.kl_mean;
}

static void no_change(tiny_model_params *p)
{
    (void)p;
}

static void set_linear(tiny_model_params *p)
{
    p->rope_scaling = "linear";
    p->rope_factor = 4;
}

static void set_yarn(tiny_model_params *p)
{
    p->rope_scaling = "yarn";
    p->rope_factor = 4;
    p->rope_orig_ctx = 64;
}

static void set_longrope(tiny_model_params *p)
{
    p->rope_scaling = "longrope";
    p->rope_orig_ctx = 64;
    p->rope_attn_factor = 1.2f;
}

static void set_freqs(tiny_model_params *p)
{
    p->rope_freqs = true;
}

static void set_window(tiny_model_params *p)
{
    p->window = 8;
}

static void set_softcap(tiny_model_params *p)
{
    p->logit_softcap = 5;
}

static void test_keys_matter(void **state)
{
    (void)state;
    assert_true(effect_of("llama", no_change) == 0);
    assert_true(effect_of("llama", set_linear) > 1e-3);
    assert_true(effect_of("llama", set_yarn) > 1e-3);
    assert_true(effect_of("llama", set_freqs) > 1e-3);
    assert_true(effect_of("qwen3", set_yarn) > 1e-3);
    assert_true(effect_of("gemma3", set_window) > 1e-3);
    assert_true(effect_of("gemma3", set_linear) > 1e-3);
    assert_true(effect_of("gemma3", set_softcap) > 1e-3);
    assert_true(effect_of("phi3", set_longrope) > 1e-3);
}

static void test_compare(void **state)
{
    (void)state;
    /* two rows, three tokens, checked by hand */
    const float a[] = {logf(0.5f), logf(0.25f), logf(0.25f), 1, 0, 0},
                b[] = {logf(0.25f), logf(0.5f), logf(0.25f), 1, 0, 0};
    const int32_t token[] = {0, 1};
    peer_distance d;
    peer_compare(a, b, token, 2, 3, &d);
    assert_true(fabs(d.kl_max - 0.25 * log(2)) < 1e-6);
    assert_true(fabs(d.kl_mean - 0.125 * log(2)) < 1e-6);
    assert_true(fabs(d.same_top - 0.5) < 1e-12);
    assert_true(fabs(d.ppl_a - 4) < 1e-5);
    assert_true(fabs(d.ppl_b - 2) < 1e-5);
    assert_true(fabs(d.max_abs - log(2)) < 1e-6);
}

static void test_tokenize(void **state)
{
    (void)state;
    const char *arch[] = {"llama", "qwen2"};
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        peer_params pp;
        int32_t token[32];
        const char *path = tiny_model_path("words.gguf"), text[] = "the hat and a tea";
        tiny_model_default(&tp, arch[i]);
        assert_true(tiny_model_write(path, &tp));
        peer_params_default(&pp);
        pp.n_thread = 1;
        peer *p = peer_open(path, &pp);
        assert_non_null(p);
        int32_t n = peer_tokenize(p, text, sizeof text - 1, token, 32);
        assert_in_range(n, 5, sizeof text - 2); /* some bytes were merged */
        peer_free(p);
        remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_tokenize),
        cmocka_unit_test(test_archs),
        cmocka_unit_test(test_keys_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
