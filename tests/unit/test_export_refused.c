/* test_export_refused.c: what is no export, and exported files with something wrong in them: one
 * sentence each. */
#include "export_fixture.h"
#include "gguf/gguf_write.h"

static mn_diag diag;

/* A copy of the file with one thing changed. */
typedef struct change {
    const char *skip, *grow, *add; /* tensors */
    enum ggml_type type;           /* of tensor `retype` */
    const char *retype;
    void (*edit)(mn__gguf_writer *w);
    const char *says;
} change;

static void put_tensor(mn__gguf_writer *w, const mn__gguf_tensor *t, const change *c)
{
    static const float zeros[1 << 16];
    int64_t ne[4] = {t->ne[0], t->ne[1], t->ne[2], t->ne[3]};
    const bool grows = c->grow && strcmp(t->name, c->grow) == 0,
               turns = c->retype && strcmp(t->name, c->retype) == 0;
    if (c->skip && strcmp(t->name, c->skip) == 0) return;
    if (grows) ne[1]++;
    mn__gguf_add_tensor(w, t->name, turns ? c->type : t->type, ne,
                        grows || turns ? &(mn__gguf_source){.floats = zeros}
                                       : &(mn__gguf_source){.bytes = t->data});
}

static void rewrite(const exported *e, const change *c, const char *to)
{
    static const float zeros[16];
    mn__gguf *g;
    mn__gguf_writer *w;
    assert_int_equal(mn__gguf_open(&g, e->file, &diag), MN_OK);
    assert_int_equal(mn__gguf_writer_new(&w, &diag), MN_OK);
    mn__gguf_set_keys_of(w, g);
    for (size_t i = 0; i < mn__gguf_n_tensor(g); i++) put_tensor(w, mn__gguf_get_tensor(g, i), c);
    if (c->add)
        mn__gguf_add_tensor(w, c->add, GGML_TYPE_F32, (const int64_t[4]){16, 1, 1, 1},
                            &(mn__gguf_source){.floats = zeros});
    if (c->edit) c->edit(w);
    if (mn__gguf_write(w, to, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__gguf_writer_free(w);
    mn__gguf_close(g);
}

#define EDIT(name, call)                 \
    static void name(mn__gguf_writer *w) \
    {                                    \
        call;                            \
    }
EDIT(wide_keys, mn__gguf_set_u64(w, "mneme.memory.keys", 65535))
EDIT(few_keys, mn__gguf_set_u64(w, "mneme.memory.keys", 4))
EDIT(odd_arch, mn__gguf_set_str(w, "mneme.model.arch", "hopfield"))
EDIT(odd_type, mn__gguf_set_u32(w, "mneme.model.arch", 4))
EDIT(other_width, mn__gguf_set_u64(w, "mneme.model.width", 20))
EDIT(other_blocks, mn__gguf_set_u32(w, "mneme.block_count", 2))
EDIT(other_vocab, mn__gguf_set_u64(w, "mneme.model.vocab", 280))
EDIT(odd_heads, mn__gguf_set_u64(w, "mneme.model.heads", 3))
EDIT(odd_insert, mn__gguf_set_str(w, "mneme.memory.insert", "2:1"))
EDIT(odd_keep, mn__gguf_set_u64(w, "mneme.memory.keep", 60000))
EDIT(odd_rot, mn__gguf_set_u32(w, "mneme.rope.dimension_count", 4))
EDIT(odd_eps, mn__gguf_set_f64(w, "mneme.model.norm_eps", -1))

static void test_damaged(void **state)
{
    static const change changes[] = {
        {.skip = "block.0.mixer.qkv.weight", .says = "the tensor is missing"},
        {.skip = "memory.0.values_for_look_up.scale", .says = "the tensor is missing"},
        {.grow = "block.1.ffn.up.weight", .says = "block.1.ffn.up.weight: [16, 16] wanted"},
        {.add = "block.7.what", .says = "has no use for this tensor"},
        {.retype = "memory.0.values_for_look_up",
         .type = GGML_TYPE_F16,
         .says = "f32, bf16 or i8 wanted, f16 found"},
        {.retype = "norm.scale", .type = GGML_TYPE_BF16, .says = "norm.scale: f32 wanted"},
        {.edit = wide_keys, .says = "does not fit into"},
        {.edit = few_keys, .says = "wanted, ["},
        {.edit = odd_arch, .says = "model.arch: one of dense|"},
        {.edit = odd_type, .says = "mneme.model.arch: string wanted"},
        {.edit = other_width, .says = "mneme.embedding_length: 20 wanted, as model.width has it"},
        {.edit = other_blocks, .says = "mneme.block_count: 3 wanted, as model.blocks has it"},
        {.edit = other_vocab, .says = "the tokenizer's 281 tokens wanted, 280 found"},
        {.edit = odd_heads, .says = "model.heads: a divisor of width"},
        {.edit = odd_insert, .says = "memory.insert"},
        {.edit = odd_keep, .says = "knn"},
        {.edit = odd_rot, .says = "mneme.rope.dimension_count: 8 wanted"},
        {.edit = odd_eps, .says = "model.norm_eps"},
    };
    static exported e;
    char path[128];
    mn_model *m;
    (void)state;
    small_config(&e.config, MN__ARCH_ULTRAMEM);
    ef_make(&e);
    ef_export(&e, MN_EXPORT_F32, MN_EXPORT_TABLES_INT8);
    snprintf(path, sizeof path, "%s/damaged.gguf", e.folder);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        rewrite(&e, &changes[i], path);
        const mn_status st = mn_model_open(&m, path, NULL, &diag);
        if (st != MN_EINPUT || !strstr(diag.text, changes[i].says))
            fail_msg("change %zu: %d, %s", i, st, diag.text);
        assert_null(m);
    }
    unlink(path);
    ef_free(&e);
}

static void refused(const exported *e, const char *from, const mn_export_params *p, mn_status st,
                    const char *says)
{
    if (mn_export(from, e->file, p, NULL, &diag) != st || !strstr(diag.text, says))
        fail_msg("'%s' wanted: %s", says, diag.text);
    assert_int_equal(access(e->file, F_OK), -1);
}

static void test_refused(void **state)
{
    static exported e;
    char other[96];
    (void)state;
    small_config(&e.config, MN__ARCH_DENSE);
    ef_make(&e);
    refused(&e, "/nosuch.gguf", NULL, MN_EIO, "/nosuch.gguf");
    refused(&e, e.tokenizer, NULL, MN_EINPUT, "not a checkpoint");
    refused(&e, e.checkpoint, &(mn_export_params){.tokenizer = "/nosuch.gguf"}, MN_EIO, "/nosuch");
    refused(&e, e.checkpoint, &(mn_export_params){.tokenizer = e.checkpoint}, MN_EINPUT, "");
    mn_export_info info;
    assert_int_equal(
        mn_export(e.checkpoint, e.file, &(mn_export_params){.plan_only = true}, &info, &diag),
        MN_OK);
    assert_true(info.n_params > 9000 && info.matrix_bytes > info.other_bytes);
    assert_int_equal(access(e.file, F_OK), -1);
    /* By the folder, with the tokenizer that stands there; without it nobody has one. */
    assert_int_equal(mn_export(e.folder, e.file, NULL, NULL, &diag), MN_OK);
    unlink(e.file);
    snprintf(other, sizeof other, "%s/other.gguf", e.folder);
    assert_int_equal(rename(e.tokenizer, other), 0);
    refused(&e, e.folder, NULL, MN_EUSAGE, "a tokenizer is wanted");
    unlink(other);
    ef_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
