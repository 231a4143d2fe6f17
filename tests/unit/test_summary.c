/* test_summary.c: summaries of small stores against figures worked out by hand. */
#include "eval/summary.h"

#include "unit/eval_store_fixture.h"

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* ---- a store, record by record ---- */

struct rec {
    const char *task, *family, *id, *policy, *budget, *acts;
    double score;
    const char *nll, *kl; /* numbers with blanks between; "": not measured */
    const char *kept, *facts, *status;
    uint64_t seed, kv, policy_bytes, peak;
    double share, prefill, decode;
    uint32_t n_token, n_generated, gold_bytes;
};

static size_t numbers(const char *text, float out[16])
{
    size_t n = 0;
    char *end;
    for (float v = strtof(text, &end); end != text; v = strtof(text, &end)) {
        out[n++] = v;
        text = end;
    }
    return n;
}

static void add(mn__store *s, int64_t run, const struct rec *x)
{
    float nll[16], kl[16];
    size_t n = numbers(x->nll ? x->nll : "", nll), n_kl = numbers(x->kl ? x->kl : "", kl);
    mn__store_place at = {.run = run};
    bool added = false;
    mn__store_prompt p = {.task = x->task,
                          .source_id = x->id,
                          .source_file = "",
                          .family = x->family,
                          .language = "en",
                          .gold = "[]",
                          .facts = x->facts ? x->facts : "{}",
                          .n_token = x->n_token ? x->n_token : 100};
    mn__store_record r = {.policy = x->policy,
                          .budget = x->budget,
                          .seed = x->seed,
                          .acts = x->acts,
                          .metric = isnan(x->score) ? "nll" : "f1",
                          .status = x->status ? x->status : "ok",
                          .score = x->score,
                          .nll = n ? nll : NULL,
                          .kl = n_kl ? kl : NULL,
                          .n_gold = n ? n : n_kl,
                          .gold_bytes = x->gold_bytes,
                          .share_answer = x->share > 0 ? x->share : NAN,
                          .share_prompt = x->share > 0 ? x->share - 0.05 : NAN,
                          .kept = x->kept,
                          .kv_bytes = x->kv,
                          .policy_bytes = x->policy_bytes,
                          .peak_bytes = x->peak,
                          .prefill_s = x->prefill,
                          .decode_s = x->decode,
                          .n_generated = x->n_generated};
    assert_true(n == 0 || n_kl == 0 || n == n_kl);
    assert_int_equal(mn__store_add_prompt(s, &p, &at.prompt, NULL), MN_OK);
    assert_int_equal(mn__store_add_record(s, at, &r, &added, NULL), MN_OK);
    assert_true(added);
}

static mn__store *new_store(const char *name, int64_t *run)
{
    mn__store *s = store_open(store_path(name), MN_STORE_WRITE);
    mn__store_run r = store_run(1);
    assert_int_equal(mn__store_add_run(s, &r, run, NULL), MN_OK);
    return s;
}

static mn__summary *summary_of(mn__store *s, int n_thread)
{
    mn__summary *out = NULL;
    mn__summary_params p;
    mn_diag diag = {""};
    mn__summary_params_default(&p);
    p.how.n_resample = 999;
    p.n_thread = n_thread;
    mn_status st = mn__summary_make(&out, s, &p, &diag);
    if (st != MN_OK) print_error("%s\n", diag.text);
    assert_int_equal(st, MN_OK);
    return out;
}

static const mn__line *line_of(const mn__summary *s, const char *policy, const char *budget,
                               mn__level level, const char *name)
{
    for (size_t i = 0; i < s->n_line; i++) {
        const mn__line *l = &s->line[i];
        const mn__summary_arm *a = &s->arm[l->arm];
        if (l->level != level || strcmp(a->policy, policy) || strcmp(a->budget, budget)) continue;
        if (level == MN__LEVEL_ALL || !strcmp(level == MN__LEVEL_TASK ? l->task : l->family, name))
            return l;
    }
    fail_msg("no line of %s at %s for %s", policy, budget, name);
    return NULL;
}

static const struct rec four[] = {
    /* Two prompts of one task, one of another family; the full cache. Their nll: 2, 1.5 and 1. */
    {"qa", "qa", "1", "full", "", "never", 1, "1 3", NULL, "[[100,100],null]", .kv = 1000,
     .peak = 1000, .share = 1, .prefill = 2, .decode = 1, .n_generated = 10, .gold_bytes = 8},
    {"qa", "qa", "2", "full", "", "never", 0.5, "1 1 2 2", NULL, "[[200,200],null]", .kv = 2000,
     .peak = 2000, .share = 1, .prefill = 4, .decode = 1, .n_generated = 20, .gold_bytes = 12,
     .n_token = 200},
    {"sum", "summaries", "9", "full", "", "never", 0.4, "1", NULL, NULL, .kv = 500, .peak = 500,
     .share = 1, .prefill = 1, .decode = 2, .n_generated = 2},
    /* snapkv: nll 2.5, 3 and 0.5; kl 0.3, 0.2 and 0.1. */
    {"qa", "qa", "1", "snapkv", "25%", "end", 0.5, "2 3", "0.2 0.4", "[[30,20],null]", .kv = 300,
     .policy_bytes = 30, .peak = 1000, .share = 0.3, .prefill = 2, .decode = 0.5, .n_generated = 10,
     .gold_bytes = 8},
    {"qa", "qa", "2", "snapkv", "25%", "end", 0, "3 3 3 3", "0.1 0.2 0.2 0.3", "[[40,60],null]",
     .kv = 600, .policy_bytes = 60, .peak = 2000, .share = 0.5, .prefill = 4, .decode = 0.5,
     .n_generated = 30, .gold_bytes = 12, .n_token = 200},
    {"sum", "summaries", "9", "snapkv", "25%", "end", 0.2, "0.5", "0.1", NULL, .kv = 200,
     .policy_bytes = 10, .peak = 500, .share = 0.4, .prefill = 1, .decode = 1},
};

/* Means over prompts: nll (2.5 + 3 + 0.5) / 3 = 2; change (0.5 + 1.5 - 0.5) / 3 = 0.5; kl
 * (0.3 + 0.2 + 0.1) / 3 = 0.2. By token: changes of sums 1 + 6 - 0.5 over 2 + 4 + 1; kl 0.6 + 0.8 +
 * 0.1 over 7. Per byte: (5 + 12) / 20. Bytes: 1,100 and 1,200 of 3,500. */
static void test_by_hand(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("four", &run);
    for (size_t i = 0; i < sizeof four / sizeof *four; i++) add(store, run, &four[i]);
    mn__summary *s = summary_of(store, 1);
    assert_true(s->n_run == 1 && s->n_arm == 2 && s->n_line == 2 * (1 + 2 + 2));
    assert_true(s->run[0].n_prompt == 3 && s->run[0].n_record == 6 && s->run[0].n_failed == 0);
    assert_string_equal(s->arm[0].policy, "full");
    assert_string_equal(s->arm[1].acts, "end");
    const mn__line *l = line_of(s, "snapkv", "25%", MN__LEVEL_ALL, "");
    assert_true(l->n == 3 && l->nll_change.n_cluster == 3 && l->kl.n_cluster == 3);
    CLOSE(l->nll, 2);
    CLOSE(l->nll_change.mean, 0.5);
    CLOSE(l->kl.mean, 0.2);
    assert_true(l->nll_change.lo < 0.5 && l->nll_change.hi > 0.5);
    assert_true(l->kl.lo >= 0.1 - 1e-6 && l->kl.hi <= 0.3 + 1e-6);
    CLOSE(l->nll_change_token, 6.5 / 7);
    CLOSE(l->kl_token, 1.5 / 7);
    CLOSE(l->nll_byte, 17.0 / 20);
    CLOSE(l->kv_share, 0.4);
    CLOSE(l->kv_share_papers, 0.35);
    CLOSE(l->kv_bytes, 1100.0 / 3);
    CLOSE(l->policy_bytes, 100.0 / 3);
    CLOSE(l->kv_bytes_ratio, 1100.0 / 3500);
    CLOSE(l->bytes_ratio, 1200.0 / 3500);
    CLOSE(l->peak_kv_bytes, 3500.0 / 3);
    CLOSE(l->peak_kv_bytes_most, 2000);
    CLOSE(l->peak_ratio, 1);
    CLOSE(l->prefill_s, 7.0 / 3);
    CLOSE(l->decode_s, 2.0 / 3);
    CLOSE(l->seconds, 3);
    CLOSE(l->token_rate, 40.0 / 2);
    assert_true(isnan(l->score) && isnan(l->full_ratio) && l->n_ratio == 0);
    l = line_of(s, "snapkv", "25%", MN__LEVEL_FAMILY, "qa");
    assert_int_equal(l->n, 2);
    CLOSE(l->nll_change.mean, 1);
    l = line_of(s, "snapkv", "25%", MN__LEVEL_TASK, "sum");
    CLOSE(l->nll_change.mean, -0.5);
    assert_true(isnan(l->nll_change.lo)); /* one prompt has no interval */
    CLOSE(l->score, 0.2);
    assert_string_equal(l->metric, "f1");
    assert_string_equal(l->family, "summaries");
    assert_true(isnan(l->nll_byte)); /* bytes are not known */
    l = line_of(s, "full", "", MN__LEVEL_ALL, "");
    assert_true(l->nll_change.mean == 0 && l->nll_change.lo == 0 && l->nll_change.hi == 0);
    assert_true(l->kl.mean == 0 && l->kl.n_cluster == 3); /* though nobody measured it */
    mn__summary_free(s);
    mn__store_close(store);
}

/* Of layer 0, heads keep 35 and 40 on average: shares (30 / 100 + 40 / 200) / 2 and (20 / 100 + 60
 * / 200) / 2; layer 1 has a window. */
static void test_kept(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("kept", &run);
    for (size_t i = 0; i < sizeof four / sizeof *four; i++) add(store, run, &four[i]);
    mn__summary *s = summary_of(store, 1);
    assert_int_equal(s->n_kept, 2);
    const mn__kept_line *k = &s->kept[1];
    assert_true(k->arm == 1 && k->n == 2 && k->n_layer == 2 && k->n_head == 2);
    CLOSE(k->token[0], 35);
    CLOSE(k->token[1], 40);
    CLOSE(k->share[0], 0.25);
    CLOSE(k->share[1], 0.25);
    assert_true(isnan(k->token[2]) && isnan(k->share[3]));
    mn__summary_free(s);
    mn__store_close(store);
}

/* What failed is counted and in no mean; a prompt without the full cache has no change; seeds are
 * averaged before prompts are. */
static void test_gaps(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("gaps", &run);
    const struct rec rec[] = {
        {"qa", "qa", "1", "full", "", "never", 1, .nll = "1"},
        {"qa", "qa", "2", "full", "", "never", 1, .nll = "1"},
        {"qa", "qa", "1", "random", "50%", "end", 0, "2", "0.5", .seed = 1},
        {"qa", "qa", "1", "random", "50%", "end", 1, "4", "1.5", .seed = 2},
        {"qa", "qa", "2", "random", "50%", "end", 0.5, "1", "0.25", .seed = 1},
        {"qa", "qa", "2", "random", "50%", "end", NAN, .seed = 2, .status = "no memory"},
        {"qa", "qa", "3", "random", "50%", "end", 0.25, "9", .kl = "0.125"},
        {"qa", "qa", "4", "random", "50%", "end", NAN, .status = "no memory"},
        {"qa", "qa", "5", "random", "50%", "end", 0.75, .nll = "inf"},
    };
    for (size_t i = 0; i < sizeof rec / sizeof *rec; i++) add(store, run, &rec[i]);
    mn__summary *s = summary_of(store, 2);
    const mn__line *l = line_of(s, "random", "50%", MN__LEVEL_TASK, "qa");
    assert_true(l->n == 4 && l->n_failed == 2);
    CLOSE(l->score, (0.5 + 0.5 + 0.25 + 0.75) / 4);
    assert_int_equal(l->nll_change.n_cluster, 2);
    CLOSE(l->nll_change.mean, (2 + 0) / 2.0); /* 3 less 1, 1 less 1 */
    assert_int_equal(l->kl.n_cluster, 3);
    CLOSE(l->kl.mean, (1 + 0.25 + 0.125) / 3);
    CLOSE(l->nll, (3 + 1 + 9) / 3.0);
    assert_true(s->run[0].n_record == 9 && s->run[0].n_failed == 2);
    assert_true(isnan(l->kv_share));
    mn__summary_free(s);
    mn__store_close(store);
}

/* ---- ratios ---- */

/* Prompts that could not be asked are in no count, by task and length; those that were cut are
 * counted. */
static void test_left_out(void **state)
{
    (void)state;
    static const struct rec left[] = {
        {"niah", "needles", "1", "full", "", "never", NAN, .status = "left out: too long",
         .facts = "{\"length\":8192}"},
        {"niah", "needles", "2", "full", "", "never", NAN, .status = "left out: as long",
         .facts = "{\"length\":8192}"},
        {"niah", "needles", "3", "full", "", "never", NAN, .status = "left out: longer",
         .facts = "{\"length\":16384}"},
        {"qa", "qa", "4", "full", "", "never", 1, "1", .facts = "{\"cut_tokens\":7}"},
        {"qa", "qa", "5", "full", "", "never", 1, "1", .facts = "{\"cut_tokens\":0}"},
        {"qa", "qa", "6", "full", "", "never", NAN, .status = "left out: no room"}};
    int64_t run;
    mn__store *store = new_store("left.sqlite", &run);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) add(store, run, &left[i]);
    mn__summary *s = summary_of(store, 1);
    assert_true(s->run[0].n_prompt == 2 && s->run[0].n_record == 2 && s->run[0].n_failed == 0);
    assert_int_equal(s->run[0].n_cut, 1);
    assert_int_equal(s->n_left, 3);
    assert_true(s->left[0].n == 2 && s->left[0].length == 8192 && s->left[1].n == 1);
    assert_string_equal(s->left[0].why, "too long");
    assert_true(isnan(s->left[2].length) && !strcmp(s->left[2].task, "qa"));
    assert_int_equal(s->n_task, 1);
    mn__summary_free(s);
    mn__store_close(store);
}

static void add_task(mn__store *s, int64_t run, const char *task, int n, const double score[3])
{
    static const char *const policy[] = {"full", "empty", "h2o"};
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) {
            char id[16];
            snprintf(id, sizeof id, "%d", i);
            if (isnan(score[k])) continue;
            const struct rec r = {task,
                                  "qa",
                                  id,
                                  policy[k],
                                  k == 2 ? "50%" : "",
                                  k == 2 ? "reading" : "never",
                                  score[k],
                                  .nll = "1"};
            add(s, run, &r);
        }
}

static const mn__task_line *task_of(const mn__summary *s, const char *task)
{
    for (size_t i = 0; i < s->n_task; i++)
        if (!strcmp(s->task[i].task, task)) return &s->task[i];
    fail_msg("no task %s", task);
    return NULL;
}

static void test_ratios(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("ratio", &run);
    add_task(store, run, "a", 10, (double[]){0.5, 0.45, 0.4}); /* just enough of both */
    add_task(store, run, "b", 12, (double[]){0.8, 0.2, 0.2});
    add_task(store, run, "few", 9, (double[]){1, 0, 0.1});
    add_task(store, run, "flat", 20, (double[]){0.5, 0.46, 0.1});
    add_task(store, run, "bare", 20, (double[]){0.5, NAN, 0.1});
    add_task(store, run, "lost", 20, (double[]){NAN, 0.1, 0.1});
    const struct rec text = {"text", "lm", "1", "full", "", "never", NAN, .nll = "1"};
    add(store, run, &text);
    mn__summary *s = summary_of(store, 1);
    assert_int_equal(s->n_task, 7);
    const char *const why[][2] = {{"few", "fewer than 10 prompts"},
                                  {"flat", "less than 5 points"},
                                  {"bare", "no score without context"},
                                  {"lost", "no score with the full cache"},
                                  {"text", "likelihood alone"}};
    for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
        const mn__task_line *t = task_of(s, why[i][0]);
        assert_false(t->counted);
        assert_non_null(strstr(t->why, why[i][1]));
    }
    assert_true(task_of(s, "a")->counted && task_of(s, "b")->counted);
    assert_true(task_of(s, "a")->n == 10 && task_of(s, "bare")->n == 0);
    CLOSE(task_of(s, "a")->full, 0.5);
    CLOSE(task_of(s, "a")->without, 0.45);
    CLOSE(task_of(s, "bare")->full, 0.5);
    const mn__line *l = line_of(s, "h2o", "50%", MN__LEVEL_ALL, "");
    assert_int_equal(l->n_ratio, 2);
    CLOSE(l->full_ratio, (0.8 + 0.25) / 2); /* tasks, not prompts, are averaged */
    CLOSE(line_of(s, "h2o", "50%", MN__LEVEL_TASK, "a")->full_ratio, 0.8);
    assert_true(isnan(line_of(s, "h2o", "50%", MN__LEVEL_TASK, "few")->full_ratio));
    CLOSE(line_of(s, "h2o", "50%", MN__LEVEL_TASK, "flat")->score, 0.1);
    CLOSE(line_of(s, "full", "", MN__LEVEL_ALL, "")->full_ratio, 1);
    mn__summary_free(s);
    mn__store_close(store);
}

/* ---- pairs, order ---- */

/* Three prompts: a - b is 1, 2, 3 (p 2/8), a - c is 1, -2, 1 (p 6/8: sums 0 of all but +-4 and the
 * like), b - c is 0, -4, -2. */
static void test_pairs(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("pairs", &run);
    static const char *const nll[3][3] = {{"3", "4", "5"}, {"2", "2", "2"}, {"2", "6", "4"}};
    static const char *const name[] = {"a", "b", "c"};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 3; i++) {
            char id[2] = {(char)('1' + i), 0};
            const struct rec r = {"t", "f", id, name[k], "25%", "end", NAN, .nll = nll[k][i]};
            add(store, run, &r);
        }
    const struct rec other[] = {{"t", "f", "1", "a", "50%", "end", NAN, .nll = "1"},
                                {"t", "f", "1", "full", "", "never", NAN, .nll = "1"},
                                {"t", "f", "1", "duo", "", "end", NAN, .nll = "1"}};
    for (int i = 0; i < 3; i++) add(store, run, &other[i]);
    mn__summary *s = summary_of(store, 3);
    assert_int_equal(s->n_pair, 2 * 3); /* nll and kl, of 25% alone */
    const mn__pair_line *p = s->pair;
    assert_string_equal(s->arm[p[0].a].policy, "a");
    assert_string_equal(s->arm[p[0].b].policy, "b");
    assert_string_equal(s->arm[p[2].b].policy, "c");
    assert_true(p[0].measure == MN__MEASURE_NLL && p[5].measure == MN__MEASURE_KL);
    CLOSE(p[0].difference.mean, 2);
    CLOSE(p[0].p, 2.0 / 8);
    CLOSE(p[1].difference.mean, 0);
    CLOSE(p[1].p, 1); /* 0 is as far out as anything */
    CLOSE(p[2].difference.mean, -2);
    CLOSE(p[2].p, 2.0 / 4); /* one prompt has no sign to flip */
    CLOSE(p[0].p_holm, 3 * 2.0 / 8);
    CLOSE(p[1].p_holm, 1);
    CLOSE(p[2].p_holm, 2 * 2.0 / 4);
    assert_int_equal(p[0].difference.n_cluster, 3);
    assert_true(isnan(p[3].p) && isnan(p[3].p_holm) && p[3].difference.n_cluster == 0);
    mn__summary_free(s);
    mn__store_close(store);
}

static void test_order(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("order", &run);
    static const char *const arm[][3] = {
        {"tova", "reading", "25%"}, {"snapkv", "end", "12.5%"}, {"snapkv", "end", "50%"},
        {"snapkv", "end", "1024"},  {"adakv", "end", "50%"},    {"empty", "never", ""},
        {"none", "never", ""},      {"full", "never", ""},      {"tova", "reading", "50%"},
        {"snapkv", "end", "2048"},  {"snapkv", "end", "512M"},  {"snapkv", "end", "2G"}};
    for (size_t i = 0; i < sizeof arm / sizeof *arm; i++) {
        const struct rec r = {"t", "f", "1", arm[i][0], arm[i][2], arm[i][1], NAN, .nll = "1"};
        add(store, run, &r);
    }
    mn__summary *s = summary_of(store, 1);
    char found[512] = "";
    for (size_t i = 0; i < s->n_arm; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s %s ", s->arm[i].policy,
                 s->arm[i].budget);
    assert_string_equal(found, "full  empty  none  adakv 50% snapkv 50% snapkv 12.5% snapkv 2048 "
                               "snapkv 1024 snapkv 2G snapkv 512M tova 50% tova 25% ");
    mn__summary_free(s);
    mn__store_close(store);
}

/* ---- needles ---- */

static void test_needles(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("needles", &run);
    static const char *const facts[] = {
        "{\"depth\":0.5,\"length\":4096}", "{\"depth\":0.5,\"length\":4096,\"x\":[1]}",
        "{\"depth\":0,\"length\":4096}", "{\"depth\":0.5}", "{\"length\":4096}"};
    const double score[] = {1, 0, 0.25, 0.75, 1};
    for (int i = 0; i < 5; i++) {
        char id[2] = {(char)('1' + i), 0};
        const struct rec r = {"niah",        "needles",  id,
                              "full",        "",         "never",
                              score[i],      .nll = "1", .facts = facts[i],
                              .n_token = 300};
        add(store, run, &r);
    }
    mn__summary *s = summary_of(store, 1);
    assert_int_equal(s->n_needle, 3); /* by length, then depth */
    const double wanted[][4] = {{300, 0.5, 1, 0.75}, {4096, 0, 1, 0.25}, {4096, 0.5, 2, 0.5}};
    for (int i = 0; i < 3; i++) {
        CLOSE(s->needle[i].length, wanted[i][0]);
        CLOSE(s->needle[i].depth, wanted[i][1]);
        CLOSE((double)s->needle[i].n, wanted[i][2]);
        CLOSE(s->needle[i].score, wanted[i][3]);
    }
    mn__summary_free(s);
    mn__store_close(store);
}

/* With many depths and lengths neighbours share a cell: a tenth, a power of two. */
static void test_many_needles(void **state)
{
    (void)state;
    int64_t run;
    mn__store *store = new_store("many", &run);
    for (uint32_t i = 0; i <= 40; i++) {
        char id[8], facts[64];
        snprintf(id, sizeof id, "%u", i);
        snprintf(facts, sizeof facts, "{\"depth\":%.3f,\"length\":%u}", i / 40.0, 1025 + i);
        const struct rec r = {"niah",  "needles", id,         "full",        "",
                              "never", i % 2,     .nll = "1", .facts = facts};
        add(store, run, &r);
    }
    mn__summary *s = summary_of(store, 1);
    assert_int_equal(s->n_needle, 10);
    CLOSE(s->needle[0].depth, 0.05);
    CLOSE(s->needle[0].length, 2048);
    assert_true(s->needle[0].n == 4 && s->needle[9].n == 5);
    CLOSE(s->needle[0].score, 0.5);
    mn__summary_free(s);
    mn__store_close(store);
}

/* ---- the whole ---- */

static void same_interval(mn__interval a, mn__interval b)
{
    assert_memory_equal(&a.mean, &b.mean, sizeof a.mean);
    assert_memory_equal(&a.lo, &b.lo, sizeof a.lo);
    assert_memory_equal(&a.hi, &b.hi, sizeof a.hi);
}

/* Any number of threads, any order of writing, and shards merged: the same bits. Two runs are not
 * mixed. */
static void test_same(void **state)
{
    (void)state;
    mn__store *store = store_open(store_path("whole"), MN_STORE_WRITE);
    store_add_range(store, 0, 60);
    mn__store *half = store_open(store_path("half2"), MN_STORE_WRITE);
    store_add_range(half, 30, 60);
    mn__store_close(half);
    half = store_open(store_path("half1"), MN_STORE_WRITE);
    store_add_range(half, 0, 30);
    mn__store_merged merged;
    assert_int_equal(mn__store_merge(half, store_path("half2"), &merged, NULL), MN_OK);
    mn__summary *one = summary_of(store, 1), *four_threads = summary_of(half, 4);
    assert_true(one->n_line == four_threads->n_line && one->n_line > 10 && one->n_pair == 6);
    for (size_t i = 0; i < one->n_line; i++) {
        same_interval(one->line[i].kl, four_threads->line[i].kl);
        same_interval(one->line[i].nll_change, four_threads->line[i].nll_change);
    }
    for (size_t i = 0; i < one->n_pair; i++) {
        same_interval(one->pair[i].difference, four_threads->pair[i].difference);
        assert_true(one->pair[i].p == four_threads->pair[i].p);
    }
    mn__store_run r = store_run(2);
    int64_t run;
    assert_int_equal(mn__store_add_run(store, &r, &run, NULL), MN_OK);
    const struct rec other = {"qa", "qa", "1", "full", "", "never", 1, .nll = "1"};
    add(store, run, &other);
    mn__summary *two = summary_of(store, 1);
    assert_true(two->n_run == 2 && two->n_arm == one->n_arm + 1);
    assert_int_equal(two->n_line, one->n_line + 3);
    assert_string_not_equal(two->run[0].id, two->run[1].id);
    mn__summary_free(one);
    mn__summary_free(two);
    mn__summary_free(four_threads);
    mn__store_close(store);
    mn__store_close(half);
}

static void refused(const char *name, const struct rec *rec, const char *says)
{
    int64_t run;
    mn_diag diag = {""};
    mn__summary *out = (mn__summary *)&diag;
    mn__summary_params p;
    mn__store *store = new_store(name, &run);
    mn__summary_params_default(&p);
    if (rec) add(store, run, rec);
    assert_int_equal(mn__summary_make(&out, store, &p, &diag), MN_EINPUT);
    assert_null(out);
    assert_non_null(strstr(diag.text, says));
    mn__store_close(store);
}

static void test_refused(void **state)
{
    (void)state;
    refused("none", NULL, "no record has been written yet");
    struct rec r = {"qa", "qa", "1", "full", "", "never", 1, "1", .facts = "[]"};
    refused("facts", &r, "qa 1: its facts are not a JSON object");
    r.facts = "{\"depth\":";
    refused("facts2", &r, "not a JSON object");
    r.facts = NULL;
    const char *const kept[] = {"7", "[]", "[[]]", "[3]", "[[\"3\"]]", "{}", "[[1]"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        char name[16];
        snprintf(name, sizeof name, "kept%zu", i);
        r.kept = kept[i];
        refused(name, &r, "qa 1, full: what it kept is not a table");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),      cmocka_unit_test(test_kept),
        cmocka_unit_test(test_gaps),         cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_ratios),       cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_order),        cmocka_unit_test(test_needles),
        cmocka_unit_test(test_many_needles), cmocka_unit_test(test_same),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
