/* test_model.c: opening models: sizes, shapes and options of every architecture, what is refused
 * and how it is said, copies. The tables of frequencies are held against ggml in
 * peer/test_rope_keys.c, the logits in peer/. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf.h"
#include "mneme/mem.h"
#include "mneme/text.h"
#include "model/model.h"
#include "tiny_model.h"

static const char *const all_archs[] = {"llama", "qwen2", "qwen3", "gemma3", "phi3"};
enum { N_ARCH = sizeof all_archs / sizeof all_archs[0] };

static mn_status open_tiny(mn_model **m, const tiny_model_params *tp, const mn_model_params *mp,
                           mn_diag *diag)
{
    const char *path = tiny_model_path("model.gguf");
    assert_true(tiny_model_write(path, tp));
    diag->text[0] = 0;
    mn_status st = mn_model_open(m, path, mp, diag);
    remove(path);
    return st;
}

static mn_model *must_open(const tiny_model_params *tp, const mn_model_params *mp)
{
    mn_model *m = NULL;
    mn_diag diag;
    if (open_tiny(&m, tp, mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    return m;
}

/* The model must be refused, and the sentence must say these two things. */
static void refuse(const tiny_model_params *tp, const char *say, const char *and_say)
{
    mn_model *m = (mn_model *)1;
    mn_diag diag;
    mn_mem_stats before, after;
    mn_mem_get_stats(&before);
    mn_status st = open_tiny(&m, tp, NULL, &diag);
    mn_mem_get_stats(&after);
    assert_null(m);
    assert_int_equal(mn_status_exit_code(st), 3);
    if (!strstr(diag.text, say) || !strstr(diag.text, and_say))
        fail_msg("'%s' and '%s' wanted in: %s", say, and_say, diag.text);
    assert_int_equal(before.total_now, after.total_now);
}

static void test_every_arch_opens(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ARCH; i++) {
        tiny_model_params tp;
        mn_model_info info;
        mn_mem_stats before, after;
        tiny_model_default(&tp, all_archs[i]);
        mn_mem_get_stats(&before);
        mn_model *m = must_open(&tp, NULL);
        mn_model_get_info(m, &info);
        assert_string_equal(info.arch, all_archs[i]);
        assert_string_equal(info.name, "tiny");
        assert_string_equal(info.quant, "F32");
        assert_int_equal(info.n_layer, tp.n_layer);
        assert_int_equal(info.n_head, 4);
        assert_int_equal(info.n_kv_head, 2);
        assert_int_equal(info.head_dim, tp.head_dim);
        assert_int_equal(info.n_embd, 64);
        assert_int_equal(info.n_ff, 96);
        assert_int_equal(info.n_vocab, tiny_model_n_vocab(&tp));
        assert_int_equal(info.n_ctx_train, 256);
        assert_non_null(info.chat_template);
        assert_true(info.n_params > 64 * info.n_vocab && info.n_params * 4 < info.file_bytes);
        mn_model_free(m);
        mn_mem_get_stats(&after);
        assert_int_equal(before.total_now, after.total_now);
    }
}

static void test_options_of_archs(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ARCH; i++) {
        tiny_model_params tp;
        tiny_model_default(&tp, all_archs[i]);
        mn_model *m = must_open(&tp, NULL);
        bool is_gemma = strcmp(all_archs[i], "gemma3") == 0,
             has_norms = is_gemma || strcmp(all_archs[i], "qwen3") == 0;
        const mn__model_layer *l = &m->layer[1];
        assert_int_equal(m->rope.neox, strcmp(all_archs[i], "llama") != 0);
        assert_int_equal(m->act, is_gemma ? MN__GLU_GELU : MN__GLU_SILU);
        assert_int_equal(l->q_norm != NULL, has_norms);
        assert_int_equal(l->k_norm != NULL, has_norms);
        assert_int_equal(l->attn_post_norm != NULL, is_gemma);
        assert_int_equal(l->ffn_post_norm != NULL, is_gemma);
        assert_int_equal(l->q.bias != NULL, strcmp(all_archs[i], "qwen2") == 0);
        assert_null(l->o.bias);
        assert_int_equal(m->head.data == m->embd.data, tp.tied);
        assert_true(fabsf(m->softmax_scale * sqrtf((float)tp.head_dim) - 1) < 1e-6f);
        assert_true(m->embd_scale == (is_gemma ? 8.0f : 1.0f));
        assert_true(l->q.n_in == 64 && l->q.n_out == 4 * tp.head_dim &&
                    l->o.n_in == 4 * tp.head_dim && l->o.n_out == 64);
        assert_true(l->down.n_in == 96 && l->gate.n_out == 96 && l->up.n_out == 96);
        mn_model_free(m);
    }
}

static void test_slices(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "phi3");
    tp.bias = true;
    mn_model *m = must_open(&tp, NULL);
    const mn__model_layer *l = &m->layer[0];
    size_t row = 64 * sizeof(float);
    assert_true(l->k.data == l->q.data + 64 * row && l->v.data == l->k.data + 32 * row);
    assert_true(l->k.bias == l->q.bias + 64 && l->v.bias == l->k.bias + 32);
    assert_true(l->up.data == l->gate.data + 96 * row); /* the gate is the first half */
    mn_model_free(m);
    tiny_model_default(&tp, "llama");
    tp.fused = tp.bias = true;
    m = must_open(&tp, NULL);
    l = &m->layer[1];
    assert_true(l->v.data == l->q.data + (128 + 64) * row && l->v.bias == l->q.bias + 128 + 64);
    assert_non_null(l->o.bias);
    mn_model_free(m);
}

static void test_half_norms_are_widened(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    mn_model *a = must_open(&tp, NULL);
    tp.norm_f16 = true;
    mn_model *b = must_open(&tp, NULL);
    double diff = 0, size = 0;
    for (size_t c = 0; c < 64; c++) {
        diff += fabs((double)a->layer[1].ffn_norm[c] - b->layer[1].ffn_norm[c]);
        size += fabs((double)a->layer[1].ffn_norm[c]);
    }
    assert_true(size > 30 && diff > 0 && diff < 64 * 1e-3);
    mn_model_free(a);
    mn_model_free(b);
}

static void set_pattern_3(struct gguf_context *gguf)
{
    gguf_set_val_u32(gguf, "gemma3.attention.sliding_window_pattern", 3);
}

static void set_pattern_flags(struct gguf_context *gguf)
{
    const bool flags[7] = {true, false, true, true, false, true, true};
    gguf_set_arr_data(gguf, "gemma3.attention.sliding_window_pattern", GGUF_TYPE_BOOL, flags, 7);
}

static void check_windows(const tiny_model_params *tp, const char *wanted)
{
    mn_model *m = must_open(tp, NULL);
    for (size_t i = 0; wanted[i]; i++) {
        bool slides = wanted[i] == 'w';
        assert_int_equal(m->window[i], slides ? 16 : 0);
        assert_int_equal(m->layer[i].window, m->window[i]);
        assert_ptr_equal(m->layer[i].rope, slides ? &m->rope_local : &m->rope);
        assert_ptr_equal(m->layer_rope[i], m->layer[i].rope);
    }
    mn_model_free(m);
}

static void test_windows(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "gemma3");
    check_windows(&tp, "wwwwwgw");
    tp.edit = set_pattern_3;
    check_windows(&tp, "wwgwwgw");
    tp.edit = set_pattern_flags;
    check_windows(&tp, "wgwwgww");
    tp.window = 0;
    check_windows(&tp, "ggggggg");
}

static void test_softcap(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "gemma3");
    tp.logit_softcap = 30;
    mn_model *m = must_open(&tp, NULL);
    assert_true(m->logit_softcap == 30);
    mn_model_free(m);
}

static void test_wrong_tensors(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    tp.skip_tensor = "blk.1.attn_k.weight";
    refuse(&tp, "blk.1.attn_k.weight", "missing");
    tp.skip_tensor = "token_embd.weight";
    refuse(&tp, "token_embd.weight", "missing");
    tp.skip_tensor = NULL;
    tp.grow_tensor = "blk.0.attn_k.weight";
    refuse(&tp, "blk.0.attn_k.weight: [64, 64] wanted, [64, 65] found", "");
    tp.grow_tensor = "output_norm.weight";
    refuse(&tp, "output_norm.weight: [64] wanted, [65] found", "");
    tp.grow_tensor = NULL;
    tp.extra_tensor = "blk.0.ffn_up.bias";
    refuse(&tp, "blk.0.ffn_up.bias", "no use");
    tiny_model_default(&tp, "qwen2");
    tp.extra_tensor = "blk.1.attn_output.bias";
    refuse(&tp, "blk.1.attn_output.bias", "no use");
}

#define EDIT(name, call)                        \
    static void name(struct gguf_context *gguf) \
    {                                           \
        call;                                   \
    }
EDIT(no_layers, gguf_set_val_u32(gguf, "llama.block_count", 0))
EDIT(many_layers, gguf_set_val_u32(gguf, "llama.block_count", 2000000000))
EDIT(no_heads, gguf_set_val_u32(gguf, "llama.attention.head_count", 0))
EDIT(odd_heads, gguf_set_val_u32(gguf, "llama.attention.head_count_kv", 3))
EDIT(odd_dim, gguf_set_val_u32(gguf, "llama.attention.key_length", 23);
     gguf_set_val_u32(gguf, "llama.attention.value_length", 23))
EDIT(long_head, gguf_set_val_u32(gguf, "llama.attention.key_length", 1024))
EDIT(short_value, gguf_set_val_u32(gguf, "llama.attention.value_length", 12))
EDIT(wide, gguf_set_val_u32(gguf, "llama.embedding_length", 1u << 31))
EDIT(no_eps, gguf_remove_key(gguf, "llama.attention.layer_norm_rms_epsilon"))
EDIT(text_eps, gguf_set_val_str(gguf, "llama.attention.layer_norm_rms_epsilon", "small"))
EDIT(nan_eps, gguf_set_val_f32(gguf, "llama.attention.layer_norm_rms_epsilon", NAN))
EDIT(experts, gguf_set_val_u32(gguf, "llama.expert_count", 8))
EDIT(no_base, gguf_set_val_f32(gguf, "llama.rope.freq_base", 0))
EDIT(odd_rot, gguf_set_val_u32(gguf, "llama.rope.dimension_count", 7))
EDIT(long_rot, gguf_set_val_u32(gguf, "llama.rope.dimension_count", 34))
EDIT(bad_scaling, gguf_set_val_str(gguf, "llama.rope.scaling.type", "elastic"))
EDIT(bad_factor, gguf_set_val_f32(gguf, "llama.rope.scaling.factor", -2))
EDIT(no_arch, gguf_remove_key(gguf, "general.architecture"))
EDIT(no_tokens, gguf_remove_key(gguf, "tokenizer.ggml.tokens"))

static void uneven_ff(struct gguf_context *gguf)
{
    const uint32_t n_ff[2] = {96, 128};
    gguf_set_arr_data(gguf, "llama.feed_forward_length", GGUF_TYPE_UINT32, n_ff, 2);
}

static void even_ff(struct gguf_context *gguf)
{
    const uint32_t n_ff[2] = {96, 96};
    gguf_set_arr_data(gguf, "llama.feed_forward_length", GGUF_TYPE_UINT32, n_ff, 2);
}

static void test_wrong_keys(void **state)
{
    (void)state;
    static const struct {
        void (*edit)(struct gguf_context *gguf);
        const char *say;
    } wrong[] = {
        {no_layers, "llama.block_count"},
        {many_layers, "llama.block_count"},
        {no_heads, "llama.attention.head_count"},
        {odd_heads, "a multiple of KV heads wanted, 4 and 3"},
        {odd_dim, "23"},
        {long_head, "llama.attention.key_length"},
        {short_value, "32 and 12"},
        {wide, "llama.embedding_length"},
        {no_eps, "llama.attention.layer_norm_rms_epsilon"},
        {text_eps, "llama.attention.layer_norm_rms_epsilon"},
        {nan_eps, "llama.attention.layer_norm_rms_epsilon"},
        {experts, "mixture of 8 experts"},
        {no_base, "llama.rope.freq_base"},
        {odd_rot, "llama.rope.dimension_count"},
        {long_rot, "llama.rope.dimension_count"},
        {bad_scaling, "'elastic'"},
        {bad_factor, "llama.rope.scaling.factor"},
        {no_arch, "general.architecture"},
        {no_tokens, "tokenizer.ggml.tokens"},
        {uneven_ff, "llama.feed_forward_length"},
    };
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tp.edit = wrong[i].edit;
        refuse(&tp, wrong[i].say, "model.gguf");
    }
    tp.edit = even_ff;
    mn_model_free(must_open(&tp, NULL));
}

static void test_unknown_arch(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "mamba");
    refuse(&tp, "'mamba'", "llama, qwen2, qwen3, gemma3, phi3");
}

static void test_wrong_wishes(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    mn_model *m;
    mn_diag diag;
    tiny_model_default(&tp, "llama");
    mn_model_params_default(&mp);
    mp.cpu = "abacus";
    assert_int_equal(open_tiny(&m, &tp, &mp, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "abacus"));
    mn_model_params_default(&mp);
    mp.rope_scaling = MN_ROPE_YARN;
    assert_int_equal(open_tiny(&m, &tp, &mp, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "factor"));
    mp.rope_factor = -1;
    assert_int_equal(open_tiny(&m, &tp, &mp, &diag), MN_EUSAGE);
    mp.rope_factor = NAN;
    assert_int_equal(open_tiny(&m, &tp, &mp, &diag), MN_EUSAGE);
    assert_null(m);
    assert_int_equal(mn_model_open(&m, "/nonexistent/model.gguf", NULL, &diag), MN_EIO);
    assert_int_equal(mn_model_open(&m, NULL, NULL, &diag), MN_EUSAGE);
}

static void test_context_grows_with_factor(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    tiny_model_default(&tp, "llama");
    mn_model_params_default(&mp);
    mp.rope_scaling = MN_ROPE_NTK;
    mp.rope_factor = 4;
    mn_model *m = must_open(&tp, &mp);
    assert_int_equal(m->n_ctx_train, 1024);
    mn_model_free(m);
}

static void test_vocab_only(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    tiny_model_default(&tp, "llama");
    mn_model_params_default(&mp);
    mp.vocab_only = true;
    tp.skip_tensor = "blk.0.attn_q.weight"; /* nobody looks */
    mn_model *m = must_open(&tp, &mp);
    assert_null(m->layer);
    assert_int_equal(m->n_layer, 2);
    int32_t token[32];
    mn_token_buf buf = {.data = token, .cap = 32};
    mn_diag diag;
    assert_int_equal(mn_tokenize(m, "the hat", 7, MN_TOKENIZE_ADD_SPECIAL, &buf, &diag), MN_OK);
    assert_in_range(buf.n, 3, 9);
    assert_int_equal(token[0], 1); /* BOS */
    mn_model_free(m);
}

static void test_hash(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    uint64_t hash[4];
    tiny_model_default(&tp, "llama");
    mn_model_params_default(&mp);
    for (size_t i = 0; i < 4; i++) {
        tp.seed = i == 2 ? 2 : 1;
        mp.rope_base = i == 3 ? 20000.0f : 0;
        mn_model *m = must_open(&tp, &mp);
        hash[i] = m->hash;
        mn_model_free(m);
    }
    assert_true(hash[0] == hash[1]);
    assert_true(hash[0] != hash[2]); /* other weights in the same shapes */
    assert_true(hash[0] != hash[3]); /* other rotation: saved keys would not fit */
}

static size_t weights_now(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[MN_MEM_WEIGHTS];
}

static void test_packing(void **state)
{
    (void)state;
    tiny_model_params tp;
    mn_model_params mp;
    tiny_model_default(&tp, "llama");
    mn_model_params_default(&mp);
    mp.cpu = getenv("MN_TEST_CPU");
    mp.pack = false;
    mn_model *m = must_open(&tp, &mp);
    size_t plain = weights_now();
    assert_int_equal(m->packed_bytes, 0);
    assert_null(m->layer[0].q.packed);
    size_t panels = mn__weight_pack_bytes(&m->layer[0].q, &m->kern, MN__PACK_PANELS);
    mn_model_free(m);
    mp.pack = true;
    m = must_open(&tp, &mp);
    size_t all = m->packed_bytes;
    assert_true(weights_now() >= plain + all);
    assert_true(panels == 0 || m->layer[1].down.packed != NULL);
    mn_model_free(m);
    if (all == 0) return; /* this level has no layouts of its own for F32 */
    mp.pack_limit_bytes = all / 2;
    m = must_open(&tp, &mp);
    assert_true(m->packed_bytes <= all / 2 && m->packed_bytes > all / 4);
    mn_model_free(m);
    mn_mem_set_limit(weights_now() + plain +
                     all); /* less than what the file and copies of everything need */
    mp.pack_limit_bytes = (size_t)1 << 30;
    m = must_open(&tp, &mp);
    mn_mem_set_limit(0);
    assert_true(m->packed_bytes < all);
    mn_model_free(m);
}

/* What a model is called does not depend on how its weights are stored or what they are. */
static void test_identity(void **state)
{
    (void)state;
    char text[4][400];
    for (size_t i = 0; i < 4; i++) {
        tiny_model_params tp;
        mn_model_info info;
        tiny_model_default(&tp, "llama");
        tp.q8_0 = i == 1;
        tp.seed += i == 2;
        tp.n_ff += i == 3 ? 32 : 0;
        mn_model *m = must_open(&tp, NULL);
        mn_model_get_info(m, &info);
        assert_true(i != 1 || strcmp(info.quant, "Q8_0") == 0);
        snprintf(text[i], sizeof text[i], "%s", info.identity);
        mn_model_free(m);
    }
    assert_string_equal(text[0], "tiny (llama, 2 layers, 4 heads, 2 KV heads, head size 32, width "
                                 "64, feed-forward 96, vocabulary 273)");
    assert_string_equal(text[1], text[0]);
    assert_string_equal(text[2], text[0]);
    assert_string_not_equal(text[3], text[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_arch_opens),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_options_of_archs),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_half_norms_are_widened),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_softcap),
        cmocka_unit_test(test_wrong_tensors),
        cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_unknown_arch),
        cmocka_unit_test(test_wrong_wishes),
        cmocka_unit_test(test_context_grows_with_factor),
        cmocka_unit_test(test_vocab_only),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
