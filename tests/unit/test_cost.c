/* test_cost.c: what configs cost, against sums written out, against the papers' numbers, and dry
 * passes against real ones. */
#include <math.h>

#include "mneme/mem.h"
#include "train/cost.h"
#include "train_fixture.h"

static mn_diag diag;

/* Options whose defaults follow from others are filled in at the end. */
static void of_arch(mn__config *c, const char *const *option, mn__arch_kind arch)
{
    mn__config_init(c);
    set_option(c, "train.steps=1");
    c->model_arch = (int)arch;
    for (; *option; option++) set_option(c, *option);
    finish_config(c);
}

static void set_all(mn__config *c, const char *const *option)
{
    of_arch(c, option, MN__ARCH_DENSE);
}

static mn_cost cost_of(const mn__config *c)
{
    mn_cost cost;
    if (mn__cost_make(c, NULL, &cost, &diag) != MN_OK)
        fail_msg("arch %d: %s", c->model_arch, diag.text);
    return cost;
}

static void assert_same(double found, double wanted, const char *what)
{
    if (!(fabs(found - wanted) <= 1e-9 * fabs(wanted)))
        fail_msg("%s: %.17g wanted, %.17g found", what, wanted, found);
}

static void assert_near(double found, double wanted, double by, const char *what)
{
    if (!(fabs(found - wanted) <= by))
        fail_msg("%s: %g give or take %g wanted, %g found", what, wanted, by, found);
}

/* ---- sums by hand ---- */

typedef struct sum {
    mn_cost_part part;
    double params, active, flops; /* of both columns; flops below 0: not compared */
} sum;

static void assert_sums(const char *const *option, const sum *s, size_t n)
{
    static mn__config c;
    set_all(&c, option);
    const mn_cost cost = cost_of(&c);
    for (size_t i = 0; i < n; i++) {
        const char *name = mn_cost_part_name(s[i].part);
        const mn_cost_row f = cost.formula[s[i].part], k = cost.counted[s[i].part];
        assert_same(f.params, s[i].params, name);
        assert_same(k.params, s[i].params, name);
        assert_same(f.active, s[i].active, name);
        assert_same(k.active, s[i].active, name);
        if (s[i].flops < 0) continue;
        assert_same(f.flops, s[i].flops, name);
        assert_same(k.flops, s[i].flops, name);
    }
}

/* 4 blocks of width 32, 100 tokens. */
#define SMALL "model.width=32", "model.blocks=4", "model.heads=4", "model.vocab=100"

static void test_dense(void **state)
{
    (void)state;
    const sum plain[] = {
        {MN_COST_EMBEDDING, 100 * 32, 100 * 32, 2 * 100 * 32},
        {MN_COST_ATTENTION, 4 * 4 * 32 * 32, 4 * 4 * 32 * 32, 2 * 4 * 4 * 32 * 32},
        {MN_COST_FEED_FORWARD, 4 * 2 * 32 * 128, 4 * 2 * 32 * 128, 2 * 4 * 2 * 32 * 128},
        {MN_COST_TABLES, 0, 0, 0},
    };
    assert_sums((const char *const[]){SMALL, "model.activation=gelu", NULL}, plain, 4);
    /* One head of keys of four: 32 (32 + 2 x 8) + 32 x 32; a gate; a head of its own. */
    const sum grouped[] = {
        {MN_COST_EMBEDDING, 2 * 100 * 32, 100 * 32 + 32, 2 * 100 * 32},
        {MN_COST_ATTENTION, 4 * 2560, 4 * 2560, 2 * 4 * 2560},
        {MN_COST_FEED_FORWARD, 4 * 3 * 32 * 48, 4 * 3 * 32 * 48, 2 * 4 * 3 * 32 * 48},
    };
    assert_sums(
        (const char *const[]){SMALL, "model.kv_heads=1", "model.hidden=48", "model.tied=no", NULL},
        grouped, 3);
}

static void test_experts(void **state)
{
    (void)state;
    /* 8 experts of 3 x 32 x 40, a router of 8 x 32; 2 experts of a token. */
    const sum s[] = {{MN_COST_FEED_FORWARD, 4 * (8 * 3840 + 256), 4 * (2 * 3840 + 256),
                      2 * 4 * (2 * 3840 + 256)}};
    assert_sums((const char *const[]){SMALL, "model.arch=moe", "experts.inner=40", NULL}, s, 1);
}

#define MEMORY                                                                                \
    SMALL, "memory.insert=0:1/2:3", "memory.keys=12", "memory.key_width=6", "memory.heads=2", \
        "memory.keep=5"

static void test_product_keys(void **state)
{
    (void)state;
    /* Two memories: queries 32 x 2 x 2 x 6, keys 2 x 2 x 12 x 6, a table of 144 x 32; 10 rows. */
    const sum pkm[] = {
        {MN_COST_MEMORY, 2 * 768, 2 * 768, 2 * 2 * 768},
        {MN_COST_KEYS, 2 * 288, 2 * 288, 2 * 2 * 288},
        {MN_COST_TABLES, 2 * 4608, 2 * 320, 2 * 2 * 320},
    };
    assert_sums((const char *const[]){MEMORY, "model.arch=pkm", NULL}, pkm, 3);
    /* One table for both, a gate of 32, two projections of 32 x 20. */
    const sum plus[] = {
        {MN_COST_MEMORY, 2 * (768 + 1280 + 32), 2 * (768 + 1280 + 32), 2 * 2 * (768 + 1312)},
        {MN_COST_KEYS, 2 * 288, 2 * 288, 2 * 2 * 288},
        {MN_COST_TABLES, 144 * 20, 2 * 200, 2 * 2 * 200},
    };
    assert_sums((const char *const[]){MEMORY, "model.arch=memory_plus", "memory.value_width=20",
                                      "memory.gate=yes", "memory.share_values=yes", NULL},
                plus, 3);
}

static void test_ultramem(void **state)
{
    (void)state;
    /* query 32 x 12, projection 4 x 16 x 32, 2 heads x 2 cores x 4; keys 2 x 2 x 24 x 2 x 6;
     * a table of 144 x 16. */
    const sum one[] = {
        {MN_COST_MEMORY, 2 * (384 + 2048 + 16), 2 * (384 + 2048 + 16), 2 * 2 * (384 + 2048)},
        {MN_COST_KEYS, 2 * 1152, 2 * 1152, -1},
        {MN_COST_TABLES, 2 * 144 * 16, 2 * 10 * 16, 2 * 2 * 160},
    };
    assert_sums((const char *const[]){MEMORY, "model.arch=ultramem", NULL}, one, 3);
    /* Each sees floor(sqrt(2 x 144 x 0.5)) = 12 rows of an axis of the pool; per rank 32 x 24,
     * pre-values 32 x 8, projection 16 x 32. */
    const sum two[] = {
        {MN_COST_MEMORY, 2 * (768 + 256 + 512 + 16), 2 * (768 + 256 + 512 + 16),
         2 * 2 * (768 + 256 + 512)},
        {MN_COST_KEYS, 2 * 576, 2 * 576, -1},
        {MN_COST_TABLES, 288 * 24, 2 * 10 * 24, 2 * 2 * 240},
    };
    assert_sums((const char *const[]){MEMORY, "model.arch=ultramem_v2", "memory.pre_width=8", NULL},
                two, 3);
}

static void test_look_ups(void **state)
{
    (void)state;
    /* K = 8 tables of 2^4: three of width 32; then 8 x 16 x 48 and 8 x 64 x 32. Hashes: 32 of
     * attention, 32 and 48 of the feed-forward layer. */
    const sum former[] = {
        {MN_COST_ATTENTION, 0, 0, 2 * 4 * 32},
        {MN_COST_FEED_FORWARD, 0, 0, 2 * 4 * (32 + 48)},
        {MN_COST_TABLES, 4 * (12288 + 6144 + 16384), 4 * 8 * (96 + 48 + 32),
         2 * 4 * 8 * (96 + 48 + 32)},
    };
    assert_sums((const char *const[]){SMALL, "model.arch=memoryformer", "lookup.bits=4", NULL},
                former, 3);
    const sum dense[] = {
        {MN_COST_FEED_FORWARD, 4 * 32 * 32, 4 * 32 * 32, 2 * 4 * (32 * 32 + 32)},
        {MN_COST_TABLES, 4 * 8 * 16 * 32, 4 * 8 * 32, 2 * 4 * 8 * 32},
    };
    assert_sums((const char *const[]){SMALL, "model.arch=lookup_ffn", "lookup.bits=4", NULL}, dense,
                2);
    /* Four stages of 32 x 8. */
    const sum bh4[] = {
        {MN_COST_FEED_FORWARD, 4 * 4 * 32 * 8, 4 * 4 * 32 * 8, 2 * 4 * (4 * 32 * 8 + 32)}};
    assert_sums((const char *const[]){SMALL, "model.arch=lookup_ffn", "lookup.bits=4",
                                      "lookup.projection=bh4", "lookup.bh4_block=8", NULL},
                bh4, 1);
}

/* Keys that are folded are streamed once for all ranks, then of those listed each rank's. */
static void test_folded_keys(void **state)
{
    static mn__config c;
    (void)state;
    set_all(&c, (const char *const[]){MEMORY, "model.arch=ultramem", NULL});
    const mn_cost cost = cost_of(&c);
    const double scores = 2 * 24 * 6, listed = 2 * 5 * 2 * 6, cells = 5 * 4 + 25 * 2,
                 weights = 5 * 2 * (4 + 2);
    assert_same(cost.counted[MN_COST_KEYS].flops, 2 * 2 * 2 * (scores + listed + cells + weights),
                "counted");
    assert_same(cost.formula[MN_COST_KEYS].flops, 2 * 2 * 2 * (2 * 24 * 2 * 6 + 25 * 2 * 4),
                "formula");
}

/* ---- attention ---- */

static double pairs_of(const char *mixer, const char *length, double *formula)
{
    static mn__config c;
    set_all(&c, (const char *const[]){SMALL, mixer, length, "train.batch=2", NULL});
    const mn_cost cost = cost_of(&c);
    *formula = cost.formula[MN_COST_PAIRS].flops;
    return cost.counted[MN_COST_PAIRS].flops;
}

static void test_pairs(void **state)
{
    double formula, n;
    (void)state;
    /* Tiles of 64: of 100 positions 64 x 64 + 36 x 100 pairs, two products of 32 values each. */
    n = pairs_of("model.mixer=softmax", "train.length=100", &formula);
    assert_same(n, 2.0 * 4 * 2 * 32 * (64 * 64 + 36 * 100) / 100, "softmax");
    assert_same(formula, 2.0 * 4 * 2 * 100 * 32, "softmax");
    /* One position sees itself. */
    n = pairs_of("model.mixer=softmax", "train.length=1", &formula);
    assert_same(n, 2.0 * 4 * 2 * 32, "softmax of one");
    /* Features 16 of each of 4 heads: state 2 x 16 x 8, chunks of 64 x 64 x (16 + 8). */
    n = pairs_of("model.mixer=cosformer", "train.length=64", &formula);
    assert_same(n, 2.0 * 4 * 4 * (2 * 16 * 8 + 64 * (16 + 8)), "cosFormer");
    assert_same(formula, 2.0 * 4 * 4 * (2 * 16 * 8), "cosFormer");
    /* Blocks of 64 become 16 slots: the second 64 see them and 32.5 of their own in the mean. */
    n = pairs_of("model.mixer=linformer", "train.length=128", &formula);
    assert_same(n, 2.0 * 4 * 2 * 32 * ((65.0 * 64 + 64 * 16) / 128 + 16), "Linformer");
}

/* ---- the papers ---- */

static const char *const papers_151m[] = {"model.width=1024",
                                          "model.blocks=12",
                                          "model.heads=16",
                                          "model.hidden=4096",
                                          "model.vocab=50432",
                                          "model.activation=gelu",
                                          "experts.n=32",
                                          "experts.inner=2528",
                                          "memory.keys=1100",
                                          "memory.keep=42",
                                          "memory.insert=2:4/5:7/8:10",
                                          "train.length=2048",
                                          NULL};
static const char *const papers_1600m[] = {"model.width=2048",
                                           "model.blocks=32",
                                           "model.heads=16",
                                           "model.hidden=8192",
                                           "model.vocab=50432",
                                           "model.activation=gelu",
                                           "experts.n=34",
                                           "experts.inner=4672",
                                           "memory.keys=1789",

                                           "memory.keep=42",
                                           "memory.insert=2:6/7:11/12:16/17:21/22:26/27:31",
                                           NULL};

/* arXiv 2411.12364, table 1: billions of parameters, and GFLOP of a token, without embeddings. Keys
 * are as wide as by default, for the paper does not say. */
static void test_ultramem_paper(void **state)
{
    static const struct {
        const char *const *option;
        mn__arch_kind arch;
        double params, flops;
    } row[] = {
        {papers_151m, MN__ARCH_DENSE, 0.15, 0.30},
        {papers_151m, MN__ARCH_MOE, 2.04, 0.35},
        {papers_151m, MN__ARCH_ULTRAMEM, 2.03, 0.35},
        {papers_1600m, MN__ARCH_DENSE, 1.61, 3.21},
        {papers_1600m, MN__ARCH_MOE, 21.36, 3.52},
        {papers_1600m, MN__ARCH_ULTRAMEM, 21.41, 3.50},
    };
    static mn__config c;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        of_arch(&c, row[i].option, row[i].arch);
        const mn_cost cost = cost_of(&c);
        const mn_cost_row all = mn_cost_total(cost.counted), head = cost.counted[MN_COST_EMBEDDING];
        assert_near((all.params - head.params) / 1e9, row[i].params, 0.01 + 0.005 * row[i].params,
                    "parameters");
        assert_near(2 * (all.active - head.active) / 1e9, row[i].flops, 0.02 * row[i].flops + 0.005,
                    "twice the activated ones");
    }
}

/* What a step of 64 sequences reads: 12 times less than the experts' 42.7 GB in bf16; of one
 * sequence the same. */
static void test_access(void **state)
{
    static mn__config c;
    double values[2][2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        of_arch(&c, papers_1600m, i ? MN__ARCH_ULTRAMEM : MN__ARCH_MOE);
        for (int k = 0; k < 2; k++) {
            const mn_cost_decode r = mn__cost_decode(&c, k ? 64 : 1);
            values[i][k] = r.dense + r.experts + r.keys + r.rows;
        }
    }
    assert_near(values[0][1] * 2 / 1e9, 42.7, 1.0, "experts, GB");
    assert_near(values[0][1] / values[1][1], 12, 0.5, "ratio at 64");
    assert_near(values[0][0] / values[1][0], 1, 0.05, "ratio at 1");
    /* The paper's own count of a layer: min(2 x 64, 34) 2 D^2 and 64 x 84 x D/2. */
    of_arch(&c, papers_1600m, MN__ARCH_MOE);
    assert_same(mn__cost_decode(&c, 64).paper_layer, 34.0 * 2 * 2048 * 2048, "experts");
    assert_same(mn__cost_decode(&c, 1).paper_layer, 2.0 * 2 * 2048 * 2048, "experts");
    of_arch(&c, papers_1600m, MN__ARCH_ULTRAMEM);
    assert_same(mn__cost_decode(&c, 64).paper_layer, 64.0 * 84 * 1024, "rows");
}

/* Different ones: all of them, never more than are drawn. */
static void test_distinct(void **state)
{
    static mn__config c;
    (void)state;
    set_all(&c, (const char *const[]){SMALL, "model.arch=memoryformer", "lookup.bits=4", NULL});
    /* Rows of 16 in each of 4 x 8 tables: 16 (1 - (15/16)^3) of three tokens. */
    const double one = mn__cost_decode(&c, 1).rows, three = mn__cost_decode(&c, 3).rows,
                 four_k = mn__cost_decode(&c, 4096).rows;
    assert_same(one, 4 * 8 * (96 + 48 + 32), "one token");
    assert_same(three,
                4 * 8 *
                    (16 * (1 - pow(15.0 / 16, 3)) * (96 + 48) + 64 * (1 - pow(63.0 / 64, 3)) * 32),
                "three tokens");
    assert_same(four_k, 4.0 * 8 * (16 * (96 + 48) + 64 * 32), "many tokens");
}

/* arXiv 2411.12992, table 1 (G multiply-adds of a block at 2,048 tokens: without attention, in
 * all), and its two claims. Of the small model the paper prints 1.0 and 7.4, where its formula
 * makes 0.91 and 7.35. */
static void test_memoryformer_paper(void **state)
{
    static const struct {
        const char *width;
        double dense, dense_all, former, former_all, by;
    } row[] = {{"model.width=512", 6.4, 10.7, 0.4, 4.7, 0.05},
               {"model.width=768", 14.5, 20.9, 1.0, 7.4, 0.1},
               {"model.width=1024", 25.8, 34.4, 1.6, 10.2, 0.05}};
    static mn__config c;
    const double s = 2048, g = s / 1e9;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        set_all(&c, (const char *const[]){row[i].width, "model.heads=8", "model.vocab=50304",
                                          "model.arch=memoryformer", NULL});
        const mn_cost_claims f = mn__cost_former_claims(&c, s);
        assert_near(g * f.dense, row[i].dense, 0.05, "dense");
        assert_near(g * (f.dense + f.attention), row[i].dense_all, 0.05, "dense in all");
        assert_near(g * f.formula, row[i].former, row[i].by, "look-ups");
        assert_near(g * (f.formula + f.attention), row[i].former_all, row[i].by, "look-ups in all");
        assert_true(1 - f.rows / f.dense > 0.9 && 1 - f.formula / f.dense > 0.9);
    }
    set_all(&c, (const char *const[]){"model.width=2048", "model.heads=8", "model.vocab=50304",
                                      "model.arch=memoryformer", NULL});
    const mn_cost_claims f = mn__cost_former_claims(&c, s);
    assert_near(100 * (f.rows + f.attention) / (f.dense + f.attention), 19, 0.5, "19 %");
    assert_same(f.rows / (2048.0 * 2048), (5 * 8 + 2) / 64.0, "(5 tau + 2) / tau^2");
}

/* ---- dry passes ---- */

/* The work of a pass that computes. */
static double real_work(const mn__config *c)
{
    counting source;
    mn__trainer *t;
    mn__tally tally = {{0}};
    counting_init(&source, c);
    if (mn__trainer_new(&t, c, &source.source, &source.source, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    for (size_t i = 0; i < c->train_batch * c->train_length; i++) {
        t->token[i] = (int32_t)(i * 7 % c->model_vocab);
        t->target[i] = (int32_t)(i * 5 % c->model_vocab);
    }
    mn__env env = t->env;
    env.tally = &tally;
    const mn__lm_batch b = {{c->train_batch, c->train_length}, t->token, t->target, 1};
    mn__learner_loss(t->learner, &env, &b, true, NULL);
    mn__trainer_free(t);
    return 2 * (tally.n[0] + tally.n[1] + tally.n[2] + tally.n[3]) /
           (double)(c->train_batch * c->train_length);
}

static void test_dry(void **state)
{
    static mn__config c;
    static const char *const mixer[] = {"model.mixer=softmax", "model.mixer=performer",
                                        "model.mixer=cosformer", "model.mixer=linformer"};
    (void)state;
    for (int i = 0; i < MN__ARCH_KINDS + 3; i++) {
        small_config(&c, i < MN__ARCH_KINDS ? (mn__arch_kind)i : MN__ARCH_DENSE);
        if (i >= MN__ARCH_KINDS) set_option(&c, mixer[i - MN__ARCH_KINDS + 1]);
        finish_config(&c);
        const mn_cost cost = cost_of(&c);
        assert_true(cost.train_forward > 0 && cost.train_backward > cost.train_forward);
        assert_same(cost.train_forward + cost.train_backward, real_work(&c),
                    "a pass that computes");
        for (int p = 0; p < MN_COST_NORMS; p++)
            assert_same(cost.counted[p].params, cost.formula[p].params,
                        mn_cost_part_name((mn_cost_part)p));
    }
}

/* Backward multiplies every matrix twice, a tile of attention five times where forward did twice,
 * rows of tables twice, hashes once; recompute adds the blocks' forward. */
static void test_backward(void **state)
{
    static const char *const archs[] = {"model.arch=dense", "model.arch=moe",
                                        "model.arch=memoryformer"};
    static mn__config c;
    (void)state;
    for (int i = 0; i < 6; i++) {
        set_all(&c,
                (const char *const[]){SMALL, archs[i / 2], "lookup.bits=4", "train.length=70",
                                      i % 2 ? "train.recompute=yes" : "train.recompute=no", NULL});
        const mn_cost cost = cost_of(&c);
        const mn_cost_row *part = cost.counted;
        const double times = i / 2 == 2 ? 1 : 2, /* of hashes, or of matrices */
            matrices = part[MN_COST_ATTENTION].flops + part[MN_COST_FEED_FORWARD].flops,
                     blocks = matrices + part[MN_COST_PAIRS].flops + part[MN_COST_TABLES].flops;
        assert_same(cost.train_backward,
                    times * matrices + 2 * part[MN_COST_EMBEDDING].flops +
                        2.5 * part[MN_COST_PAIRS].flops + 2 * part[MN_COST_TABLES].flops +
                        (i % 2 ? blocks : 0),
                    archs[i / 2]);
    }
}

/* The bytes promised are those that a trainer holds. */
static void test_memory(void **state)
{
    static mn__config c;
    counting source;
    mn__trainer *t;
    (void)state;
    small_config(&c, MN__ARCH_ULTRAMEM);
    finish_config(&c);
    counting_init(&source, &c);
    assert_int_equal(mn__trainer_new(&t, &c, &source.source, NULL, &diag), MN_OK);
    mn_cost cost;
    assert_int_equal(mn__cost_make(&c, t->team, &cost, &diag), MN_OK);
    assert_same(cost.gradients_bytes, (double)(t->learner->n_w * sizeof(mn__real)), "gradients");
    assert_same(cost.weights_bytes,
                (double)((t->learner->n_w + t->learner->n_state) * sizeof(mn__real)), "weights");
    assert_true(cost.pass_bytes >= (double)t->tape.size);
    assert_true(cost.pass_bytes <= 1.1 * (double)t->tape.size + 256);
    mn__trainer_free(t);
}

/* 21 G parameters are described in less than a megabyte. */
static void test_allocates_nothing(void **state)
{
    static mn__config c;
    mn_mem_stats before, after;
    (void)state;
    of_arch(&c, papers_1600m, MN__ARCH_ULTRAMEM);
    mn_mem_get_stats(&before);
    cost_of(&c);
    mn_mem_get_stats(&after);
    assert_true(after.peak[MN_MEM_WEIGHTS] < before.peak[MN_MEM_WEIGHTS] + (1 << 20));
    assert_int_equal(after.now[MN_MEM_WEIGHTS], before.now[MN_MEM_WEIGHTS]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocates_nothing),
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_product_keys),
        cmocka_unit_test(test_ultramem),
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_folded_keys),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_ultramem_paper),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_distinct),
        cmocka_unit_test(test_memoryformer_paper),
        cmocka_unit_test(test_dry),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_backward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
