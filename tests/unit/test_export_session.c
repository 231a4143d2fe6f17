/* test_export_session.c: sessions of exported models: policies on their lanes; state that is
 * carried is forked, saved, cleared, and has nothing that could be dropped. */
#include "export_fixture.h"

static mn_diag diag;

static mn_model *open_new(exported *e, const char *const *option)
{
    for (; *option; option++) set_option(&e->config, *option);
    set_option(&e->config, "model.context=64");
    ef_make(e);
    ef_export(e, MN_EXPORT_F32, MN_EXPORT_TABLES_AUTO);
    return ef_open(e);
}

static const float *step(mn_session *s, size_t i)
{
    const float *logits;
    if (mn_session_step(s, ef_text()[i], &logits, &diag) != MN_OK) fail_msg("%s", diag.text);
    return logits;
}

static void read_text(mn_session *s, size_t n)
{
    if (mn_session_read(s, ef_text(), n, true, NULL, NULL, NULL, &diag) != MN_OK)
        fail_msg("%s", diag.text);
}

static void assert_row(const exported *e, size_t i, const float *logits)
{
    ef_compare c = {.wanted = e->logits};
    ef_row(i, logits, &c);
    if (!(c.most < 1e-4)) fail_msg("row %zu differs by %g", i, c.most);
}

static void test_policies(void **state)
{
    static const char *const policy[] = {"streaming",
                                         "h2o",
                                         "snapkv:window=4",
                                         "tova",
                                         "knorm:recent=0,skip_layers=none",
                                         "keydiff",
                                         "expected",
                                         "critical:window=4",
                                         "lagkv:lag=2",
                                         "pyramidkv:window=4",
                                         "adakv:window=4",
                                         "random"};
    static const char *const options[][3] = {{"model.kv_heads=1", "model.qk_norm=yes"},
                                             {"model.out=no", "model.rotary_share=0"}};
    static exported e;
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        small_config(&e.config, k ? MN__ARCH_MEMORYFORMER : MN__ARCH_ULTRAMEM);
        mn_model *m = open_new(&e, options[k]);
        for (size_t i = 0; i < sizeof policy / sizeof *policy; i++) {
            const int32_t *kept;
            mn_session_info info;
            mn_session *s = ef_session(m, 8, policy[i], "10");
            read_text(s, EF_TOKENS - 1);
            mn_session_get_info(s, &info);
            if (!(info.kept_share < 0.5) || mn_session_kept(s, 1, 0, &kept) == 0)
                fail_msg("%s keeps a share of %g", policy[i], info.kept_share);
            const float *logits = step(s, EF_TOKENS - 1);
            for (size_t v = 0; v < ABC_N; v++) assert_true(isfinite(logits[v]));
            mn_session_free(s);
        }
        mn_model_free(m);
        ef_free(&e);
    }
}

static void assert_goes_on(const exported *e, mn_session *s, size_t from)
{
    for (size_t i = from; i < EF_TOKENS; i++) assert_row(e, i, step(s, i));
}

/* Save, load and fork in the middle of a block of Linformer. */
static void assert_carries(const exported *e, const mn_model *m)
{
    char path[128];
    mn_session *s = ef_session(m, 8, "full", ""), *fork, *loaded;
    mn_session_params p;
    snprintf(path, sizeof path, "%s/session", e->folder);
    read_text(s, 11);
    assert_int_equal(mn_session_fork(&fork, s, &diag), MN_OK);
    assert_int_equal(mn_session_save(s, path, &diag), MN_OK);
    assert_goes_on(e, s, 11);
    assert_goes_on(e, fork, 11);
    mn_session_clear(s);
    assert_goes_on(e, s, 0);
    mn_session_params_default(&p);
    p.kv_type = MN_KV_F32;
    p.n_ctx = 64;
    if (mn_session_load(&loaded, m, &p, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_goes_on(e, loaded, 11);
    p.n_ctx = 48;
    mn_session *other = s;
    assert_int_equal(mn_session_load(&other, m, &p, path, &diag), MN_EINPUT);
    assert_null(other);
    unlink(path);
    mn_session_free(loaded);
    mn_session_free(fork);
    mn_session_free(s);
}

static void assert_refuses(const mn_model *m)
{
    mn_session_params p;
    mn_session *s;
    mn_session_info info;
    mn_plan plan;
    mn_session_params_default(&p);
    p.policy = "h2o";
    p.budget = "8";
    assert_int_equal(mn_session_new(&s, m, &p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "keeps no keys and values"));
    s = ef_session(m, 8, "full", "");
    read_text(s, EF_TOKENS);
    assert_int_equal(mn_session_rewind(s, 3, &diag), MN_EUSAGE);
    read_text(s, EF_TOKENS);
    mn_session_get_info(s, &info);
    p = (mn_session_params){.policy = "full", .kv_type = MN_KV_F32, .n_ctx = 64, .chunk = 8};
    if (mn_plan_make(m, &p, EF_TOKENS, 5, &plan, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(plan.kv_peak_bytes, info.kv_bytes);
    assert_true(info.kv_bytes > 0 && info.kept_share >= 1);
    const mn_status st = mn_session_read(s, ef_text(), EF_TOKENS, true, NULL, NULL, NULL, &diag);
    assert_int_equal(st, MN_EBUDGET); /* 87 of 64 */
    mn_session_get_info(s, &info);
    assert_int_equal(mn_session_rewind(s, (size_t)info.n_seen, &diag), MN_OK);
    mn_session_free(s);
}

/* Angles of cosFormer reach as far as the context. */
static void test_longest(void **state)
{
    static const char *const options[] = {"model.mixer=cosformer", NULL};
    static exported e;
    mn_session_params p;
    mn_session *s;
    (void)state;
    small_config(&e.config, MN__ARCH_DENSE);
    mn_model *m = open_new(&e, options);
    mn_session_params_default(&p);
    p.n_ctx = 65;
    assert_int_equal(mn_session_new(&s, m, &p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "up to 64 tokens, 65 asked for"));
    assert_null(s);
    mn_model_free(m);
    ef_free(&e);
}

static void test_carried(void **state)
{
    static const char *const options[][3] = {{"model.mixer=performer", "model.kv_heads=1"},
                                             {"model.mixer=cosformer"},
                                             {"model.mixer=linformer", "model.mix_block=8"}};
    static exported e;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        small_config(&e.config, i == 1 ? MN__ARCH_PKM : MN__ARCH_DENSE);
        mn_model *m = open_new(&e, options[i]);
        assert_carries(&e, m);
        assert_refuses(m);
        mn_model_free(m);
        ef_free(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_carried),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
