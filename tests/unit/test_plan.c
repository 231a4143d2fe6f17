/* test_plan.c: the bytes that a plan promises are the bytes that the ledger counts. */
#include "session_fixture.h"

typedef struct shape {
    const char *name, *arch;
    uint32_t n_layer, n_kv_head, head_dim, n_embd, n_ff;
} shape;

static const shape small = {"small", "llama", 2, 2, 24, 64, 96},
                   wide = {"wide", "llama", 3, 4, 64, 96, 160},
                   deep = {"deep", "qwen3", 8, 1, 32, 64, 96},
                   windows = {"windows", "gemma3", 7, 2, 32, 64, 96};

static mn_model *open_shape(const shape *s)
{
    tiny_model_params tp;
    tiny_model_default(&tp, s->arch);
    tp.n_layer = s->n_layer;
    tp.n_kv_head = s->n_kv_head;
    tp.head_dim = s->head_dim;
    tp.n_embd = s->n_embd;
    tp.n_ff = s->n_ff;
    tp.n_ctx = FIX_TOKENS;
    return fix_open(&tp);
}

typedef struct job {
    const char *policy, *budget;
    size_t n_prompt, n_generate;
    mn_kv_type kv_type;
    mn_positions positions;
    int n_thread;
} job;

static size_t margin(size_t bytes)
{
    return bytes / 50 > 65536 ? bytes / 50 : 65536;
}

static void near(const char *what, size_t planned, size_t real, size_t off, const job *j,
                 const shape *s)
{
    size_t apart = planned > real ? planned - real : real - planned;
    if (apart > off)
        fail_msg("%s of %s with %s %s: %zu planned, %zu found", what, s->name, j->policy, j->budget,
                 planned, real);
}

typedef struct outcome {
    mn_plan plan;
    mn_mem_stats peak, end;
} outcome;

static outcome run(const mn_model *m, const job *j)
{
    outcome o;
    mn_diag diag = {""};
    mn_session_params p = fix_params(j->policy, j->budget);
    p.kv_type = j->kv_type;
    p.positions = j->positions;
    p.n_thread = j->n_thread;
    if (mn_plan_make(m, &p, j->n_prompt, j->n_generate, &o.plan, &diag) != MN_OK)
        fail_msg("%s: %s", j->policy, diag.text);
    mn_mem_reset_peak();
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, j->n_prompt, true);
    if (j->n_generate) fix_write(s, j->n_prompt, j->n_generate);
    mn_mem_get_stats(&o.peak);
    mn_mem_get_stats(&o.end);
    mn_session_free(s);
    return o;
}

static void hold(const shape *s, const job *j)
{
    mn_model *m = open_shape(s);
    outcome o = run(m, j);
    size_t total = o.peak.total_peak - o.plan.weights_bytes;
    near("the total", o.plan.total_peak_bytes, total, margin(total), j, s);
    near("the peak of the cache", o.plan.kv_peak_bytes, o.peak.peak[MN_MEM_KV],
         margin(o.peak.peak[MN_MEM_KV]) / 4, j, s);
    near("the cache at the end", o.plan.kv_final_bytes, o.end.now[MN_MEM_KV],
         margin(o.end.now[MN_MEM_KV]) / 4, j, s);
    near("the policy's state", o.plan.policy_bytes, o.peak.peak[MN_MEM_POLICY], 16384, j, s);
    near("the workspace", o.plan.scratch_bytes, o.peak.peak[MN_MEM_SCRATCH], 4096, j, s);
    assert_true(total > 4 * margin(total)); /* or anything would do */
    mn_model_free(m);
}

static const job jobs[] = {
    {"full", "", 430, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 1},
    {"full", "", 200, 0, MN_KV_Q8, MN_POSITIONS_AUTO, 1},
    {"streaming:chunk=128", "200", 430, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 1},
    {"streaming", "100", 430, 90, MN_KV_F32, MN_POSITIONS_ABSOLUTE, 1},
    {"h2o", "150", 430, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 3},
    {"h2o:chunk=128", "25%", 430, 40, MN_KV_F32, MN_POSITIONS_AUTO, 1},
    {"snapkv", "130", 430, 60, MN_KV_BF16, MN_POSITIONS_AUTO, 1},
    {"snapkv", "50%", 330, 60, MN_KV_Q8, MN_POSITIONS_AUTO, 1},
    {"pyramidkv", "200", 430, 20, MN_KV_BF16, MN_POSITIONS_AUTO, 1},
    {"h2o:merge=similar", "150", 430, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 2},
    {"random:merge=later", "150", 430, 40, MN_KV_Q8, MN_POSITIONS_AUTO, 1},
    {"critical:norm=l2", "150", 430, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 2},
};
enum { N_JOB = sizeof jobs / sizeof *jobs };

static void hold_all(const shape *s)
{
    for (size_t i = 0; i < N_JOB; i++) hold(s, &jobs[i]);
}

static void test_small(void **state)
{
    (void)state;
    hold_all(&small);
}

static void test_wide(void **state)
{
    (void)state;
    hold_all(&wide);
}

static void test_deep(void **state)
{
    (void)state;
    hold_all(&deep);
}

static void test_windows(void **state)
{
    (void)state;
    hold_all(&windows);
}

/* Survivors that were moved keep their keys as they were: side arrays of their own. */
static void test_compact(void **state)
{
    (void)state;
    const job moved[] = {{"h2o", "200", 700, 20, MN_KV_BF16, MN_POSITIONS_COMPACT, 1},
                         {"streaming", "200", 700, 20, MN_KV_BF16, MN_POSITIONS_COMPACT, 1}};
    for (size_t i = 0; i < 2; i++) hold(&wide, &moved[i]);
}

static void test_bytes(void **state)
{
    (void)state;
    const job j = {"h2o", "1M", 900, 60, MN_KV_F32, MN_POSITIONS_AUTO, 1};
    mn_model *m = open_shape(&wide);
    outcome o = run(m, &j);
    assert_true(o.plan.kv_peak_bytes <= 1 << 20 && o.plan.kv_peak_bytes > 1 << 19);
    mn_model_free(m);
    hold(&wide, &j);
}

/* Heads that compete for their layer's budget: the sum is known, whole pages bound the rest. */
static void test_ragged(void **state)
{
    (void)state;
    const job j = {"adakv", "200", 700, 40, MN_KV_BF16, MN_POSITIONS_AUTO, 1};
    mn_model *m = open_shape(&wide);
    outcome o = run(m, &j);
    size_t pages = 3 * 4 * (size_t)(64 * 64 * 2 * 2 + 4096);
    near("the peak", o.plan.total_peak_bytes, o.peak.total_peak - o.plan.weights_bytes,
         margin(o.peak.total_peak - o.plan.weights_bytes), &j, &wide);
    assert_true(o.plan.kv_final_bytes >= o.end.now[MN_MEM_KV]);
    assert_true(o.plan.kv_final_bytes <= o.end.now[MN_MEM_KV] + pages);
    mn_model_free(m);
}

/* A run that repeats itself is cut short; what comes of it is what going through all of it says. */
static void test_long_runs(void **state)
{
    (void)state;
    mn_plan near_end, far;
    mn_diag diag = {""};
    mn_model *m = open_shape(&windows);
    mn_session_params p = fix_params("streaming:every=4", "200");
    assert_int_equal(mn_plan_make(m, &p, 3000, 5000, &near_end, &diag), MN_OK);
    assert_int_equal(mn_plan_make(m, &p, 3000 + 64 * 64 * 100, 5000 + 64 * 4000000, &far, &diag),
                     MN_OK);
    assert_int_equal(near_end.total_peak_bytes, far.total_peak_bytes);
    assert_int_equal(near_end.kv_final_bytes, far.kv_final_bytes);
    assert_int_equal(near_end.kv_peak_bytes, far.kv_peak_bytes);
    mn_model_free(m);
}

static void refuse(const mn_model *m, const mn_session_params *p, size_t n_prompt, mn_status want,
                   const char *say)
{
    mn_plan plan;
    mn_diag diag = {""};
    size_t before = fix_total();
    assert_int_equal(mn_plan_make(m, p, n_prompt, 10, &plan, &diag), want);
    if (!strstr(diag.text, say)) fail_msg("'%s' wanted in: %s", say, diag.text);
    assert_int_equal(fix_total(), before);
}

static void test_what_cannot_run(void **state)
{
    (void)state;
    mn_model *m = open_shape(&small);
    mn_session_params p = fix_params("full", "");
    p.n_ctx = 256;
    refuse(m, &p, 250, MN_EBUDGET, "stops at token 256");
    refuse(m, &p, 300, MN_EBUDGET, "256 tokens a lane");
    p = fix_params("snapkv", "");
    refuse(m, &p, 100, MN_EUSAGE, "needs a budget");
    p = fix_params("snapkv", "12 apples");
    refuse(m, &p, 100, MN_EUSAGE, "12 apples");
    p = fix_params("full", "");
    p.chunk = 100000;
    refuse(m, &p, 100, MN_EUSAGE, "chunk");
    p = fix_params("h2o", "50");
    const mn_pin pin = {10, 90};
    p.pin = &pin;
    p.n_pin = 1;
    refuse(m, &p, 200, MN_EBUDGET, "must stay");
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_ragged),
        cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_what_cannot_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
