/* test_export.c: models of every architecture and kind of attention go through a checkpoint into a
 * file that the engine opens, and say there what the trainer's layers say. */
#include "export_fixture.h"

static const float near = 1e-4f;

static void compare(const char *what, const ef_compare *c, double most)
{
    if (!(c->most < most)) fail_msg("%s: logits differ by %g", what, c->most);
}

/* All rows by chunks of so many tokens. */
static void assert_reads(const char *what, const exported *e, const mn_model *m, size_t chunk)
{
    mn_diag diag = {{0}};
    ef_compare c = {.wanted = e->logits};
    mn_session *s = ef_session(m, chunk, "full", "");
    if (mn_session_score(s, ef_text(), EF_TOKENS, ef_row, &c, &diag) != MN_OK)
        fail_msg("%s: %s", what, diag.text);
    compare(what, &c, near);
    /* Without the rows that nobody asks for. */
    const float *last;
    mn_session_clear(s);
    c = (ef_compare){.wanted = e->logits};
    assert_int_equal(mn_session_read(s, ef_text(), EF_TOKENS, true, &last, NULL, NULL, &diag),
                     MN_OK);
    ef_row(EF_TOKENS - 1, last, &c);
    compare(what, &c, near);
    mn_session_free(s);
}

static void assert_steps(const char *what, const exported *e, const mn_model *m)
{
    mn_diag diag = {{0}};
    ef_compare c = {.wanted = e->logits};
    const float *logits;
    mn_session *s = ef_session(m, 8, "full", "");
    for (size_t i = 0; i < EF_TOKENS; i++) {
        if (mn_session_step(s, ef_text()[i], &logits, &diag) != MN_OK)
            fail_msg("%s: %s", what, diag.text);
        ef_row(i, logits, &c);
    }
    compare(what, &c, near);
    mn_session_free(s);
}

/* Two sequences, one five tokens ahead, in one step: near the trainer's, and the first one's bits
 * are those that it has alone. */
static void assert_side_by_side(const char *what, const exported *e, const mn_model *m)
{
    enum { AHEAD = 5 };
    mn_diag diag = {{0}};
    ef_compare c = {.wanted = e->logits};
    mn_session *s[2] = {ef_session(m, 8, "full", ""), ef_session(m, 8, "full", "")},
               *alone = ef_session(m, 8, "full", "");
    mn_session_params p;
    mn_batch *b;
    const float *logits[2], *own;
    mn_session_params_default(&p);
    p.kv_type = MN_KV_F32;
    p.n_ctx = 64;
    p.n_thread = 2;
    assert_int_equal(mn_batch_new(&b, m, &p, 2, &diag), MN_OK);
    assert_int_equal(mn_session_read(s[1], ef_text(), AHEAD, false, NULL, NULL, NULL, &diag),
                     MN_OK);
    for (size_t i = 0; i + AHEAD < EF_TOKENS; i++) {
        const int32_t token[2] = {ef_text()[i], ef_text()[i + AHEAD]};
        assert_int_equal(mn_batch_step(b, s, token, 2, logits, &diag), MN_OK);
        assert_int_equal(mn_session_step(alone, token[0], &own, &diag), MN_OK);
        if (memcmp(logits[0], own, ABC_N * sizeof *own) != 0)
            fail_msg("%s: token %zu has other bits beside another sequence", what, i);
        ef_row(i, logits[0], &c);
        ef_row(i + AHEAD, logits[1], &c);
    }
    compare(what, &c, near);
    mn_batch_free(b);
    mn_session_free(s[0]);
    mn_session_free(s[1]);
    mn_session_free(alone);
}

static void assert_same(const char *what, exported *e)
{
    ef_make(e);
    ef_export(e, MN_EXPORT_F32, MN_EXPORT_TABLES_AUTO);
    mn_model *m = ef_open(e);
    assert_reads(what, e, m, 64);
    assert_reads(what, e, m, 3);
    assert_steps(what, e, m);
    assert_side_by_side(what, e, m);
    mn_model_free(m);
    ef_free(e);
}

static void test_architectures(void **state)
{
    static exported e;
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        char what[32];
        snprintf(what, sizeof what, "architecture %d", arch);
        small_config(&e.config, arch);
        assert_same(what, &e);
    }
}

static void test_mixers(void **state)
{
    static const char *const mixer[] = {"model.mixer=performer", "model.mixer=cosformer",
                                        "model.mixer=linformer"};
    static exported e;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        small_config(&e.config, i == 1 ? MN__ARCH_MEMORYFORMER : MN__ARCH_DENSE);
        set_option(&e.config, mixer[i]);
        set_option(&e.config, "model.context=64");
        if (i == 2) set_option(&e.config, "model.kv_heads=1");
        assert_same(mixer[i], &e);
    }
}

static void test_options(void **state)
{
    static const struct {
        mn__arch_kind arch;
        const char *option[4];
    } cases[] = {
        {MN__ARCH_DENSE,
         {"model.parallel=yes", "model.activation=gelu", "model.bias=yes", "model.kv_heads=1"}},
        {MN__ARCH_DENSE,
         {"model.tied=no", "model.norm=layer", "model.qk_norm=yes", "model.rotary_share=0.5"}},
        {MN__ARCH_DENSE,
         {"model.mixer=performer", "model.qk_norm=yes", "model.kv_heads=1", "model.bias=yes"}},
        {MN__ARCH_DENSE,
         {"model.out=no", "model.activation=gelu_tanh", "model.rotary_share=0",
          "model.norm_eps=1e-3"}},
        {MN__ARCH_MOE,
         {"model.activation=gelu", "experts.renormalise=yes", "experts.keep=3", "model.tied=no"}},
        {MN__ARCH_PKM,
         {"memory.query_norm=batch", "memory.share_values=yes", "memory.heads=1",
          "memory.insert=full"}},
        {MN__ARCH_PKM,
         {"memory.query_norm=raw", "memory.key_norm=yes", "memory.insert=no_mem",
          "model.parallel=yes"}},
        {MN__ARCH_MEMORY_PLUS,
         {"memory.swilu=no", "memory.value_width=6", "memory.gate=yes", "memory.insert=1:2"}},
        {MN__ARCH_ULTRAMEM,
         {"memory.two_quadrant=yes", "memory.rank=3", "memory.expand=9", "train.seed=5"}},
        {MN__ARCH_ULTRAMEM_V2,
         {"memory.query=shared", "memory.gelu=yes", "memory.key_expand=2", "memory.pre_width=6"}},
        {MN__ARCH_ULTRAMEM_V2,
         {"memory.query=published", "memory.cores=1", "memory.insert=full", "train.seed=9"}},
        {MN__ARCH_MEMORYFORMER,
         {"lookup.attention=no", "lookup.score=prob", "lookup.extra_bits=0",
          "model.norm=rms_outside"}},
        {MN__ARCH_LOOKUP_FFN,
         {"lookup.projection=bh4", "lookup.bh4_block=4", "lookup.tables=3", "model.bias=yes"}},
    };
    static exported e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[32];
        snprintf(what, sizeof what, "options %zu", i);
        small_config(&e.config, cases[i].arch);
        for (size_t k = 0; k < 4; k++) set_option(&e.config, cases[i].option[k]);
        set_option(&e.config, "model.context=64");
        assert_same(what, &e);
    }
}

/* ---- fewer bits ---- */

/* Tables in fewer bits are those that the trainer's layers would have after the same rounding. */
static void test_tables(void **state)
{
    static exported e;
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_PKM; arch < MN__ARCH_KINDS; arch++)
        for (mn_export_tables t = MN_EXPORT_TABLES_BF16; t <= MN_EXPORT_TABLES_INT8; t++) {
            char what[32];
            snprintf(what, sizeof what, "architecture %d, tables %d", arch, t);
            small_config(&e.config, arch);
            e.rounding = t;
            ef_make(&e);
            ef_export(&e, MN_EXPORT_F32, t);
            mn_model *m = ef_open(&e), *plain = ef_open_at(&e, "ref");
            assert_reads(what, &e, m, 3);
            assert_steps(what, &e, m);
            assert_steps(what, &e, plain);
            mn_model_free(m);
            mn_model_free(plain);
            ef_free(&e);
        }
    e.rounding = MN_EXPORT_TABLES_AUTO;
}

/* Root of the mean squared difference, as a share of the logits' own. */
static double share_off(const exported *e, mn_export_type type, mn_export_tables tables)
{
    mn_diag diag = {{0}};
    ef_compare c = {.wanted = e->logits};
    ef_export(e, type, tables);
    mn_model *m = ef_open(e);
    mn_session *s = ef_session(m, 8, "full", "");
    assert_int_equal(mn_session_score(s, ef_text(), EF_TOKENS, ef_row, &c, &diag), MN_OK);
    mn_session_free(s);
    mn_model_free(m);
    return sqrt(c.sum / c.norm);
}

/* Rounded matrices. Where signs of random values choose rows of tables (MemoryFormer, LookupFFN),
 * those near zero change: other rows are read, and only the part that is no look-up stays. */
static void test_types(void **state)
{
    static exported e;
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        const bool by_signs = arch >= MN__ARCH_MEMORYFORMER;
        small_config(&e.config, arch);
        set_option(&e.config, "model.width=32");
        ef_make(&e);
        const double bf16 = share_off(&e, MN_EXPORT_BF16, MN_EXPORT_TABLES_AUTO),
                     q8 = share_off(&e, MN_EXPORT_Q8, MN_EXPORT_TABLES_INT8);
        if (!(bf16 > 1e-4 && bf16 < (by_signs ? 1 : 0.05)) ||
            !(q8 > 1e-3 && q8 < (by_signs ? 1 : 0.1)))
            fail_msg("architecture %d: bf16 off by %g, q8 by %g", arch, bf16, q8);
        ef_free(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_architectures), cmocka_unit_test(test_mixers),
        cmocka_unit_test(test_options),       cmocka_unit_test(test_tables),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
