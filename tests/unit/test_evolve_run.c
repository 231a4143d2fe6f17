/* test_evolve_run.c: a run that is cut anywhere ends as one that is not, whatever the threads and
 * ranks; stages hand on the search; what differs is named; what is damaged falls back. */
#include <dirent.h>
#include <jansson.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "evolve/run.h"
#include "evolve/run_log.h"
#include "evolve/run_state.h"
#include "unit/evolve_fixture.h"

enum { N_PARAM = 4, POPULATION = 8, GENERATIONS = 9, N_ITEM = 30 };

/* ---- a run ---- */

typedef struct test_run {
    char dir[512];
    ef_bowl bowl;
    mn_evolve_stage stage[3];
    mn_evolve_params p;
    mn__rater_maker maker;
    mn_status (*rate)(void *, size_t, uint64_t, const double *, size_t, mn__rating *, mn_diag *);
    uint64_t stop_at; /* generations of this call; 0: to the end */
    uint64_t n_line, n_made;
    uint64_t n_item, rows; /* of make_rows */
    double saved[N_PARAM];
    mn_evolve_best best;
    uint64_t n_saved;
    mn_evolve_line line; /* the last */
    char notes[4096];
    mn_evolve_result result;
    mn_status st;
    mn_diag diag;
} test_run;

static mn_status make(void *ctx, size_t stage, const char *fidelity, mn__rater *out, mn_diag *diag)
{
    test_run *t = ctx;
    (void)stage, (void)fidelity, (void)diag;
    t->n_made++;
    t->bowl.n_param = t->p.search.n;
    *out = (mn__rater){.ctx = &t->bowl, .n_item = N_ITEM, .rate = ef_rate};
    if (t->rate) out->ctx = t, out->rate = t->rate;
    return MN_OK;
}

static void on_line(void *ctx, const mn_evolve_line *line)
{
    test_run *t = ctx;
    t->line = *line;
    t->n_line++;
}

static bool stop(void *ctx)
{
    const test_run *t = ctx;
    return t->stop_at && t->n_line >= t->stop_at;
}

static mn_status save(void *ctx, const double *mean, const mn_evolve_best *best, mn_diag *diag)
{
    test_run *t = ctx;
    (void)diag;
    memcpy(t->saved, mean, sizeof t->saved);
    t->best = *best;
    t->n_saved++;
    return MN_OK;
}

static void note(void *ctx, const char *sentence)
{
    test_run *t = ctx;
    size_t n = strlen(t->notes);
    snprintf(t->notes + n, sizeof t->notes - n, "%s\n", sentence);
}

static void empty_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (e->d_name[0] != '.') unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    rmdir(dir);
}

static char folders[256];

static void name_folder(test_run *t, const char *name)
{
    snprintf(t->dir, sizeof t->dir, "%s/%s", folders, name);
    t->p.dir = t->dir;
}

static void init(test_run *t, const char *name)
{
    memset(t, 0, sizeof *t);
    mn_evolve_params_default(&t->p);
    t->maker = (mn__rater_maker){t, make};
    t->stage[0] = (mn_evolve_stage){"a", "bowl", GENERATIONS};
    t->p.stage = t->stage;
    t->p.n_stage = 1;
    t->p.search.n = N_PARAM;
    t->p.search.population = POPULATION;
    t->p.search.sigma = 0.5;
    t->p.search.spread = 1;
    t->p.search.is_endless = true;
    t->p.search.seed = 11;
    t->p.n_prompt = 5;
    t->p.n_thread = 1;
    t->p.save = save;
    t->p.line = on_line;
    t->p.note = note;
    t->p.stop = stop;
    t->p.ctx = t;
    name_folder(t, name);
    empty_folder(t->dir);
}

static void validated(test_run *t)
{
    t->p.n_held_out = 6;
    t->p.validate_every = 2;
}

/* Once more in the same folder. */
static mn_status go(test_run *t)
{
    t->n_line = 0;
    t->diag.text[0] = '\0';
    t->st = mn__evolution_run(&t->maker, &t->p, &t->result, &t->diag);
    mn_optimizer_free(t->result.search);
    return t->st;
}

static void go_to_end(test_run *t)
{
    if (go(t) != MN_OK) fail_msg("%s", t->diag.text);
}

/* ---- what it left ---- */

static size_t read_bytes(const char *dir, const char *name, unsigned char *out, size_t cap)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    assert_true(n > 0 && n < cap);
    return n;
}

/* The log but for times, as text; the caller's (free). */
static char *log_text(const char *dir)
{
    char path[2048];
    json_t *doc, *row;
    size_t i;
    mn_diag diag = {""};
    snprintf(path, sizeof path, "%s/log.sqlite", dir);
    if (mn__run_log_read(path, &doc, &diag) != MN_OK) fail_msg("%s", diag.text);
    json_array_foreach(json_object_get(doc, "generations"), i, row)
    {
        json_object_del(row, "seconds");
    }
    char *text = json_dumps(doc, JSON_SORT_KEYS);
    json_decref(doc);
    return text;
}

/* Of a column over all generations. */
static long long log_sum(const char *dir, const char *name)
{
    char *text = log_text(dir);
    json_t *doc = json_loads(text, 0, NULL), *row;
    size_t i;
    long long sum = 0;
    json_array_foreach(json_object_get(doc, "generations"), i, row)
    {
        sum += json_integer_value(json_object_get(row, name));
    }
    json_decref(doc);
    free(text);
    return sum;
}

static void expect_same(const test_run *a, const test_run *b)
{
    static unsigned char x[1 << 16], y[1 << 16];
    size_t n = read_bytes(a->dir, "evolve.gguf", x, sizeof x);
    assert_int_equal(read_bytes(b->dir, "evolve.gguf", y, sizeof y), n);
    assert_memory_equal(x, y, n);
    assert_memory_equal(a->saved, b->saved, sizeof a->saved);
    assert_int_equal(a->best.generation, b->best.generation);
    char *la = log_text(a->dir), *lb = log_text(b->dir);
    assert_string_equal(la, lb);
    free(la);
    free(lb);
}

static void expect_names(const test_run *t, const char *text)
{
    if (!strstr(t->diag.text, text)) fail_msg("'%s' wanted, found: %s", text, t->diag.text);
}

/* ---- tests ---- */

static void test_goes_on_anywhere(void **state)
{
    (void)state;
    static test_run whole, cut;
    init(&whole, "whole");
    validated(&whole);
    whole.p.search.has_noise = true; /* repeats, and more effort */
    whole.p.search.effort_max = 3;
    whole.p.keeps_candidates = true;
    go_to_end(&whole);
    assert_int_equal(whole.n_line, GENERATIONS);
    assert_true(whole.n_saved >= 2 && whole.line.mean < 8);
    for (uint64_t k = 1; k < GENERATIONS; k++) {
        init(&cut, "cut");
        validated(&cut);
        cut.p.search = whole.p.search;
        cut.p.keeps_candidates = true;
        cut.stop_at = k;
        assert_int_equal(go(&cut), MN_ECANCEL);
        assert_int_equal(cut.n_line, k);
        cut.stop_at = 0;
        cut.p.n_thread = 1 + (int)(k % 3);
        go_to_end(&cut);
        assert_int_equal(cut.n_line, GENERATIONS - k);
        expect_same(&whole, &cut);
    }
    go_to_end(&cut); /* nothing is left to do */
    assert_int_equal(cut.n_line, 0);
    assert_string_equal(cut.result.end, "all generations done");
    expect_same(&whole, &cut);
}

/* As the bowl, but for what is asked of a mean, which comes alone. */
static mn_status rate_level(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                            mn__rating *out, mn_diag *diag)
{
    mn_status st = ef_rate(&((test_run *)ctx)->bowl, worker, item, x, n, out, diag);
    if (n == 1) out[0].loss = 0.5;
    return st;
}

/* Of means that do equally well on what is held out the last is kept. */
static void test_equal_means(void **state)
{
    (void)state;
    static test_run t, cut;
    mn_optimizer_info info;
    init(&t, "equal");
    validated(&t);
    t.rate = rate_level;
    assert_int_equal(mn__evolution_run(&t.maker, &t.p, &t.result, &t.diag), MN_OK);
    mn_optimizer_get_info(t.result.search, &info);
    assert_memory_equal(t.saved, info.mean, sizeof t.saved);
    assert_true(t.best.generation == GENERATIONS && t.best.loss == 0.5);
    assert_int_equal(log_sum(t.dir, "is_saved"), GENERATIONS / 2 + 1);
    mn_optimizer_free(t.result.search);
    init(&cut, "equal-cut");
    validated(&cut);
    cut.rate = rate_level;
    cut.stop_at = 5;
    assert_int_equal(go(&cut), MN_ECANCEL);
    cut.stop_at = 0;
    go_to_end(&cut);
    expect_same(&t, &cut);
}

/* Every candidate loses what its prompt costs. */
static mn_status rate_prompt(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                             mn__rating *out, mn_diag *diag)
{
    (void)ctx, (void)worker, (void)x, (void)diag;
    for (size_t i = 0; i < n; i++) out[i] = (mn__rating){.loss = item % 2 ? 0.7 : 0.1};
    return MN_OK;
}

/* Where a search begins again, the mean that it came to is rated and kept, not where the next one
 * starts; with nothing held out too. */
static void test_mean_before_a_restart(void **state)
{
    (void)state;
    static test_run t, once;
    for (int held = 0; held < 2; held++) {
        init(&once, held ? "once-held" : "once");
        init(&t, held ? "again-held" : "again");
        once.rate = t.rate = rate_prompt;
        once.stage[0].generations = 0;
        t.stage[0].generations = held ? 13 : 10;
        once.p.search.is_endless = t.p.search.is_endless = false;
        t.p.search.restart = MN_RESTART_IPOP;
        if (held) {
            validated(&once);
            validated(&t);
            once.p.validate_every = t.p.validate_every = 50;
        }
        go_to_end(&once);
        assert_string_equal(once.result.end, mn_search_end_text(MN_END_FLAT));
        t.stop_at = 10; /* the generation that ended the search */
        (void)go(&t);
        assert_int_equal(t.n_line, 10);
        assert_memory_equal(once.saved, t.saved, sizeof t.saved);
        if (held) assert_int_equal(t.best.generation, 10);
    }
}

/* How hard other prompts are for all is no noise, to the last bit. */
static void test_prompts_are_no_noise(void **state)
{
    (void)state;
    static test_run t;
    mn_optimizer_info info;
    init(&t, "no-noise");
    t.rate = rate_prompt;
    t.p.n_prompt = 1;
    t.p.search.has_noise = true;
    t.p.search.population = 16;
    t.stage[0].generations = 40;
    assert_int_equal(mn__evolution_run(&t.maker, &t.p, &t.result, &t.diag), MN_OK);
    mn_optimizer_get_info(t.result.search, &info);
    assert_true(info.noise < 0);
    mn_optimizer_free(t.result.search);
}

/* Prompts differ between generations, not between candidates, and none is held out. */
static void test_prompts(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "prompts");
    validated(&t);
    go_to_end(&t);
    uint64_t per_generation = (uint64_t)POPULATION * t.p.n_prompt;
    uint64_t n_validation = 1 + GENERATIONS / 2 + 1; /* before, every second, and the last */
    assert_int_equal(t.bowl.n_rating, GENERATIONS * per_generation + n_validation * 6);
    t.p.n_prompt = N_ITEM - 6 + 1;
    name_folder(&t, "prompts-many");
    assert_int_equal(go(&t), MN_ERANGE);
    expect_names(&t, "25 prompts for a generation and 6 held out wanted, 30 found in all");
    t.p.n_prompt = N_ITEM - 6; /* nothing was begun: other options may follow */
    go_to_end(&t);
    assert_int_equal(t.n_line, GENERATIONS);
}

static void *one_rank(void *arg)
{
    go(arg);
    return NULL;
}

static void test_ranks(void **state)
{
    (void)state;
    static test_run whole, t[EF_MAX_RANK];
    static ef_world world;
    init(&whole, "one-rank");
    validated(&whole);
    whole.p.n_stage = 2;
    whole.stage[1] = (mn_evolve_stage){"+b", "bowl", 3};
    go_to_end(&whole);
    for (int n = 2; n <= EF_MAX_RANK; n += 2) {
        pthread_t thread[EF_MAX_RANK];
        uint64_t n_rating = 0;
        ef_world_init(&world, n);
        for (int rank = 0; rank < n; rank++) {
            init(&t[rank], "ranks");
            validated(&t[rank]);
            t[rank].p.n_stage = 2;
            t[rank].stage[1] = whole.stage[1];
            t[rank].p.n_thread = 1 + rank % 2;
            t[rank].p.ranks = ef_ranks(&world, rank, n);
            t[rank].bowl.delay_us = 200;
        }
        for (int rank = 0; rank < n; rank++)
            assert_int_equal(pthread_create(&thread[rank], NULL, one_rank, &t[rank]), 0);
        for (int rank = 0; rank < n; rank++) {
            pthread_join(thread[rank], NULL);
            if (t[rank].st != MN_OK) fail_msg("rank %d: %s", rank, t[rank].diag.text);
            assert_int_equal(t[rank].n_made, 2);
            n_rating += t[rank].bowl.n_rating;
        }
        assert_int_equal(n_rating, whole.bowl.n_rating);
        assert_true(t[1].bowl.n_rating > 0 && t[1].n_saved == 0);
        expect_same(&whole, &t[0]);
        ef_world_fini(&world);
    }
}

/* Two stages of the same prompts are one stage. */
static void test_stages_hand_on(void **state)
{
    (void)state;
    static test_run one, two;
    init(&one, "one-stage");
    go_to_end(&one);
    init(&two, "two-stages");
    two.stage[0].generations = 4;
    two.stage[1] = (mn_evolve_stage){"b", "bowl", GENERATIONS - 4};
    two.p.n_stage = 2;
    go_to_end(&two);
    assert_int_equal(two.n_line, GENERATIONS);
    assert_int_equal(two.n_made, 2);
    assert_true(one.line.best == two.line.best && one.line.sigma == two.line.sigma);
    assert_memory_equal(one.saved, two.saved, sizeof one.saved);
    assert_true(isnan(two.result.best.loss) && two.result.best.generation == GENERATIONS);
    assert_int_equal(two.result.best.stage, 1);
    assert_int_equal(two.n_saved, 2); /* nothing is held out: the last mean of each */

    /* A stage more, and more of the one it stands in, later. */
    two.p.n_stage = 3;
    two.stage[2] = (mn_evolve_stage){"+c", "bowl", 2};
    go_to_end(&two);
    assert_int_equal(two.n_line, 2);
    two.stage[2].generations = 5;
    go_to_end(&two);
    assert_int_equal(two.n_line, 3);
    two.stage[2].generations = 4;
    assert_int_equal(go(&two), MN_EUSAGE);
    expect_names(&two, "stage 3 has gone through 5 generations, at most 4 wanted");
    two.stage[2].generations = 5;
    two.stage[0].generations = 5;
    assert_int_equal(go(&two), MN_EUSAGE);
    expect_names(&two, "generations of stage 1 5 wanted, 4 found");
    two.stage[0].generations = 4;
    two.stage[1].tasks = "x";
    assert_int_equal(go(&two), MN_EUSAGE);
    expect_names(&two, "tasks of stage 2 x wanted, b found");
    two.stage[1].tasks = "b";
    two.p.n_stage = 2;
    assert_int_equal(go(&two), MN_EUSAGE);
    expect_names(&two, "it stands in stage 3, 2 stages wanted");
}

static void test_other_options(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "options");
    t.p.options = "{\"model\": \"aa\", \"share\": 0.25}";
    t.stop_at = 3;
    assert_int_equal(go(&t), MN_ECANCEL);
    const mn_evolve_params as_it_was = t.p;
    t.p.n_prompt = 6;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "prompts 6 wanted, 5 found");
    t.p = as_it_was;
    t.p.statistic = MN_EVOLVE_MEDIAN;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "statistic median wanted, mean found");
    t.p = as_it_was;
    t.p.search.sigma = 0.25;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "sigma 0.25 wanted, 0.5 found");
    t.p = as_it_was;
    t.p.search.seed = 12;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "seed 12 wanted, 11 found");
    t.p = as_it_was;
    t.p.options = "{\"model\": \"aa\", \"share\": 0.5}";
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "share 0.5 wanted, 0.25 found");
    t.p.options = NULL;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "model none wanted, aa found");
    t.p.options = "[1";
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "a JSON object wanted");
    t.p = as_it_was;
    t.p.n_thread = 3;
    t.stop_at = 0;
    go_to_end(&t);
    assert_int_equal(t.n_line, GENERATIONS - 3);
}

/* Prompts that a stage began with are those it goes on with. */
static mn_status make_rows(void *ctx, size_t stage, const char *fidelity, mn__rater *out,
                           mn_diag *diag)
{
    const test_run *t = ctx;
    mn_status st = make(ctx, stage, fidelity, out, diag);
    out->n_item = t->n_item - stage; /* each stage has its own */
    out->rows = t->rows;
    return st;
}

static void test_other_rows(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "rows");
    t.maker.make = make_rows;
    t.n_item = N_ITEM;
    t.rows = 0xf000000000000007; /* more than a double holds */
    t.stage[1] = (mn_evolve_stage){"b", "bowl", 2};
    t.p.n_stage = 2;
    t.stop_at = 3;
    assert_int_equal(go(&t), MN_ECANCEL);
    t.rows--;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "stage 1 began with other prompts than are found");
    t.rows++;
    t.n_item--;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "stage 1 began with 30 prompts, 29 found");
    t.n_item++;
    t.stop_at = 1;
    assert_int_equal(go(&t), MN_ECANCEL);
    t.rows = 0; /* a rater that does not know */
    t.stop_at = 0;
    go_to_end(&t);
    assert_int_equal(t.n_line, GENERATIONS - 4 + 2);
}

/* ---- a share to aim at ---- */

/* What is kept follows from x[0]; the less of it, the more is lost, and prompts differ. */
static mn_status rate_share(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                            mn__rating *out, mn_diag *diag)
{
    const test_run *t = ctx;
    (void)worker, (void)diag;
    for (size_t i = 0; i < n; i++) {
        const double share = 1 / (1 + exp(-x[i * t->p.search.n]));
        out[i].kept_share = item % 2 ? share : share / 2;
        out[i].loss = 1 - share;
    }
    return MN_OK;
}

static mn_status make_share(void *ctx, size_t stage, const char *fidelity, mn__rater *out,
                            mn_diag *diag)
{
    (void)stage, (void)fidelity, (void)diag;
    *out = (mn__rater){.ctx = ctx, .n_item = N_ITEM, .rate = rate_share};
    return MN_OK;
}

static void share_run(test_run *t, const char *name, double target)
{
    init(t, name);
    validated(t);
    t->maker.make = make_share;
    t->stage[0].generations = 40;
    t->p.n_held_out = 10;
    t->p.n_prompt = 20; /* with those held out, all there are: half of them even */
    t->p.target_share = target;
    go_to_end(t);
}

/* Without a target everything is kept. With one the mean over prompts comes to stand at it, and
 * its loss is the loss there. */
static void test_target_share(void **state)
{
    (void)state;
    static test_run t;
    share_run(&t, "share-free", 0);
    assert_true(t.best.kept_share > 0.7);
    share_run(&t, "share-aimed", 0.25);
    assert_float_equal(t.line.kept_share, 0.25, 0.01);
    assert_true(t.best.kept_share > 0.2 && t.best.kept_share < 0.26);
    const double share = 1 / (1 + exp(-t.saved[0]));
    double excess = t.best.kept_share / 0.25 - 1;
    assert_float_equal(t.best.loss, 1 - share + (excess > 0 ? excess : 0), 1e-9);
    t.p.target_share = 0.3;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "target_share 0.3 wanted, 0.25 found");
    t.p.target_share = 0;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "target_share none wanted, 0.25 found");
    init(&t, "share-none");
    t.p.target_share = 1.5;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "0 to 1 wanted, 1.5 found");
}

static void cut_file(const test_run *t, const char *name, off_t n)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    assert_int_equal(truncate(path, n), 0);
}

static void test_cut_state(void **state)
{
    (void)state;
    static test_run whole, t;
    init(&whole, "whole");
    validated(&whole);
    go_to_end(&whole);
    init(&t, "damaged");
    validated(&t);
    t.stop_at = 5;
    assert_int_equal(go(&t), MN_ECANCEL);
    cut_file(&t, "evolve.gguf", 2000);
    t.stop_at = 0;
    go_to_end(&t);
    assert_non_null(strstr(t.notes, "the checkpoint before it is used"));
    assert_non_null(strstr(t.notes, "goes on at generation 4"));
    assert_int_equal(t.n_line, GENERATIONS - 4);
    expect_same(&whole, &t);
    cut_file(&t, "evolve.gguf", 2000);
    cut_file(&t, "evolve.gguf.1", 100);
    assert_int_equal(go(&t), MN_EINPUT);
    expect_names(&t, "the one before is no better");
}

/* Failed candidates rank last and end nothing; prompts that cannot be are left out for all. */
static void test_failures(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "failures");
    t.bowl.fail_above = 0.2;
    t.bowl.left_item = 4;
    go_to_end(&t);
    assert_in_range(log_sum(t.dir, "n_failed"), 1, GENERATIONS * POPULATION - 1);
    assert_in_range(log_sum(t.dir, "n_left"), 1, GENERATIONS * t.p.n_prompt - 1);
    assert_non_null(strstr(t.notes, "left out: too long a prompt"));
    assert_true(t.saved[0] < 0.2); /* away from where they fail */

    init(&t, "all-fail");
    t.bowl.fail_above = 1e-300;
    t.p.search.mean = (const double[N_PARAM]){50, 0, 0, 0};
    go_to_end(&t);
    assert_int_equal(t.line.n_failed, POPULATION);
    assert_true(isnan(t.line.best));

    init(&t, "none-left");
    t.bowl.left_item = 1; /* all but prompt 0, which is not drawn first */
    assert_int_equal(go(&t), MN_EINPUT);
    expect_names(&t, "stage 1: none of 5 prompts can be rated");

    init(&t, "broken");
    t.bowl.break_item = 7;
    t.p.n_prompt = N_ITEM;
    assert_int_equal(go(&t), MN_EIO);
    expect_names(&t, "a disk that is gone");
    t.bowl.break_item = 0; /* the disk is back */
    go_to_end(&t);
    assert_int_equal(t.n_line, GENERATIONS);
}

static void test_limits(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "time");
    t.p.max_seconds = 1e-9;
    go_to_end(&t);
    assert_string_equal(t.result.end, "time used up");
    assert_int_equal(t.n_line, 0);
    t.p.max_seconds = 0;
    go_to_end(&t);
    assert_string_equal(t.result.end, "all generations done");
    init(&t, "goal");
    validated(&t);
    t.p.goal = 1e9;
    go_to_end(&t);
    assert_string_equal(t.result.end, "goal reached");
    assert_int_equal(t.n_line, 1); /* with it comes the rating of the start, which is as good */
    init(&t, "evaluations");
    t.p.search.max_evaluations = 20;
    t.p.n_stage = 2;
    t.stage[1] = (mn_evolve_stage){"b", "bowl", 3};
    go_to_end(&t);
    assert_string_equal(t.result.end, "evaluations used up"); /* of the run, not of a stage */
    assert_int_equal(t.n_line, 3);
}

static void test_refused(void **state)
{
    (void)state;
    static test_run t;
    init(&t, "refused");
    t.stage[0].tasks = "+a";
    assert_int_equal(go(&t), MN_EUSAGE);
    init(&t, "refused");
    t.p.n_stage = 0;
    assert_int_equal(go(&t), MN_EUSAGE);
    init(&t, "refused");
    t.p.search.is_max = true;
    assert_int_equal(go(&t), MN_EUSAGE);
    init(&t, "refused");
    t.p.n_held_out = 3;
    assert_int_equal(go(&t), MN_EUSAGE);
    expect_names(&t, "go together");
    init(&t, "locked");
    assert_int_equal(mkdir(t.dir, 0777), 0);
    int fd = open(t.dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(go(&t), MN_EFAIL);
    expect_names(&t, "another process evolves there");
    close(fd);
    go_to_end(&t);
    init(&t, "search-alone"); /* a checkpoint of the optimiser is no run */
    assert_int_equal(mkdir(t.dir, 0777), 0);
    char path[2048];
    mn_optimizer *o;
    snprintf(path, sizeof path, "%s/evolve.gguf", t.dir);
    assert_int_equal(mn_optimizer_new(&o, &t.p.search, NULL), MN_OK);
    assert_int_equal(mn_optimizer_save(o, path, "words", NULL), MN_OK);
    mn_optimizer_free(o);
    assert_int_equal(go(&t), MN_EINPUT);
    expect_names(&t, "a search, but not of a run in stages");
}

/* ---- functions of the caller's ---- */

static mn_status begin(void *ctx, const char *tasks, uint64_t *n_item, mn_diag *diag)
{
    char *seen = ctx;
    (void)diag;
    size_t n = strlen(seen);
    snprintf(seen + n, 64 - n, "%s;", tasks);
    *n_item = 4;
    return MN_OK;
}

static mn_status sum_of_squares(void *ctx, uint64_t i, const double *x, double *loss, mn_diag *diag)
{
    (void)ctx, (void)i, (void)diag;
    *loss = 0;
    for (size_t j = 0; j < N_PARAM; j++) *loss += x[j] * x[j];
    return MN_OK;
}

static void test_problem(void **state)
{
    (void)state;
    static test_run t;
    char seen[64] = "";
    const mn_evolve_problem problem = {begin, sum_of_squares, seen};
    init(&t, "problem");
    t.p.n_prompt = 1;
    t.p.n_stage = 3;
    t.stage[0] = (mn_evolve_stage){"a,b", "f", 5};
    t.stage[1] = (mn_evolve_stage){"+b,c", "f", 5};
    t.stage[2] = (mn_evolve_stage){"d", "f", 60};
    assert_int_equal(mn_evolve_run(&problem, &t.p, &t.result, &t.diag), MN_OK);
    assert_string_equal(seen, "a,b;a,b,c;d;");
    mn_optimizer_info info;
    mn_optimizer_get_info(t.result.search, &info);
    assert_true(info.best < 1e-6 && info.generation == 70);
    assert_int_equal(t.result.n_new, 70);
    assert_memory_equal(info.mean, t.saved, sizeof t.saved);
    mn_optimizer_free(t.result.search);
}

static int make_folders(void **state)
{
    const char *dir = getenv("TMPDIR");
    (void)state;
    snprintf(folders, sizeof folders, "%s/mneme-evolve-XXXXXX", dir ? dir : P_tmpdir);
    return mkdtemp(folders) ? 0 : -1;
}

static int remove_folders(void **state)
{
    char path[2048];
    (void)state;
    DIR *d = opendir(folders);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        snprintf(path, sizeof path, "%s/%s", folders, e->d_name);
        if (e->d_name[0] != '.') empty_folder(path);
    }
    if (d) closedir(d);
    return rmdir(folders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on_anywhere),
        cmocka_unit_test(test_equal_means),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_stages_hand_on),
        cmocka_unit_test(test_other_options),
        cmocka_unit_test(test_other_rows),
        cmocka_unit_test(test_target_share),
        cmocka_unit_test(test_cut_state),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_mean_before_a_restart),
        cmocka_unit_test(test_prompts_are_no_noise),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
