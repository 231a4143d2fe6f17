/* test_namm_rows.c: inputs written once: to be read at the same event alone, and to the same
 * scores. */
#include "policy/namm_rows.h"

#include "infer/session_internal.h"
#include "namm_fixture.h"
#include "policy/evict.h"
#include "session_fixture.h"

enum { N_IN = 5 };

static mn__score_view view_of(const mn_session *s, size_t layer, size_t head)
{
    return (mn__score_view){.cache = s->cache,
                            .layer = layer,
                            .head = head,
                            .n = mn__cache_lane(s->cache, layer, head)->n};
}

static void fit(mn__namm_rows **rows, const mn_session *s)
{
    mn_diag diag = {""};
    if (mn__namm_rows_fit(rows, s->cache, N_IN, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static void test_one_event(void **state)
{
    (void)state;
    mn_model *m = fix_model("llama");
    const mn_session_params p = fix_params("full", "");
    mn_session *s = fix_session(m, &p);
    mn__namm_rows *rows = NULL;
    fix_read(s, 0, 70, true);
    fit(&rows, s);
    mn__score_view a = view_of(s, 0, 0), b = view_of(s, 1, 1);
    assert_non_null(mn__namm_rows_of(rows, &a));
    assert_int_equal(mn__namm_rows_of(rows, &b) - mn__namm_rows_of(rows, &a),
                     (1 * s->cache->shape.n_kv_head + 1) * 70 * N_IN);
    assert_false(mn__namm_rows_has(rows, &a));
    mn__namm_rows_written(rows, &a);
    assert_true(mn__namm_rows_has(rows, &a));
    assert_false(mn__namm_rows_has(rows, &b));

    a.n--; /* a lane that has lost a token */
    assert_null(mn__namm_rows_of(rows, &a));
    assert_false(mn__namm_rows_has(rows, &a));
    fix_write(s, 70, 1);
    b = view_of(s, 1, 1);
    assert_null(mn__namm_rows_of(rows, &b));
    b.n--; /* as many slots as then, at a later event */
    assert_null(mn__namm_rows_of(rows, &b));

    fit(&rows, s);
    a = view_of(s, 0, 0);
    assert_non_null(mn__namm_rows_of(rows, &a));
    assert_false(mn__namm_rows_has(rows, &a));
    mn__namm_rows_free(rows);
    mn_session_free(s);
    mn_model_free(m);
}

/* What a policy decides from rows that it finds written is what the rows say. */
static void test_read_not_made(void **state)
{
    (void)state;
    static const char *const inputs[] = {"w16.s knorm", "w16 knorm"}; /* beside others, alone */
    mn_model *m = fix_model("llama");
    for (size_t i = 0; i < 2; i++) {
        struct nf n;
        nf_init(&n, inputs[i], 0.5);
        mn_session_params p = fix_params(nf_spec(&n, "chunk=0,rule=topk"), "40%");
        mn_diag diag = {""};
        mn__namm_rows *rows = NULL;
        for (int turn = 0; turn < 3; turn++) {
            mn_session *s = fix_session(m, &p);
            const int32_t *token;
            fix_read(s, 0, 200, false);
            if (!rows)
                assert_int_equal(
                    mn__namm_rows_fit(&rows, s->cache, mn__policy_n_inputs(s->policy), &diag),
                    MN_OK);
            mn__policy_keep_inputs(s->policy, rows);
            if (turn == 2) { /* as if all tokens of a lane were alike */
                const mn__score_view v = view_of(s, 1, 0);
                float *x = mn__namm_rows_of(rows, &v);
                for (size_t t = 0; t < v.n * n.namm.net.n_in; t++) x[t] = 0;
            }
            assert_int_equal(mn_session_evict(s, &diag), MN_OK);
            const size_t kept = mn_session_kept(s, 1, 0, &token);
            static int32_t first[200];
            if (turn == 0) memcpy(first, token, kept * sizeof *token);
            assert_int_equal(memcmp(first, token, kept * sizeof *token) == 0, turn < 2);
            mn_session_free(s);
        }
        mn__namm_rows_free(rows);
    }
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_event),
        cmocka_unit_test(test_read_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
