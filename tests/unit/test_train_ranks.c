/* test_train_ranks.c: ranks, here threads that hand each other blocks: gradients against one
 * process's, bytes against the formula, checkpoints that any number of ranks goes on with. */
#include "train_fixture.h"

#include <math.h>
#include <pthread.h>

#include "base/diag.h"
#include "train/checkpoint.h"

enum { RANKS = 4 };

typedef struct board {
    pthread_barrier_t all;
    const mn_train_block *with[RANKS];
} board;

typedef struct rank {
    board *board;
    mn__peers peers;
    mn_train_ranks ranks;
    const mn__config *config;
    size_t n_step;         /* 0: gradients alone */
    const char *from, *to; /* checkpoints, NULL: none */
    counting source;
    mn__trainer *trainer;
    mn_status st;
    mn_diag diag;
} rank;

static mn_status swap(void *ctx, const mn_train_block *with, mn_diag *diag)
{
    rank *r = ctx;
    board *b = r->board;
    (void)diag;
    b->with[r->ranks.rank] = with;
    pthread_barrier_wait(&b->all);
    for (int q = 0; q < r->ranks.n; q++) {
        const mn_train_block *from = &b->with[q][r->ranks.rank];
        if (from->out_bytes != with[q].in_bytes) abort(); /* asserts jump, which threads cannot */
        if (from->out != with[q].in && from->out_bytes)
            memcpy(with[q].in, from->out, from->out_bytes);
    }
    pthread_barrier_wait(&b->all);
    return MN_OK;
}

static mn_status train(rank *r)
{
    mn_status st;
    counting_init(&r->source, r->config);
    MN_TRY(mn__trainer_new_rank(&r->trainer, r->config, &r->source.source, &r->source.source,
                                r->ranks.n > 1 ? &r->peers : NULL, &r->diag));
    if (r->from) MN_TRY(mn__trainer_resume(r->trainer, r->from, NULL, &r->diag));
    if (!r->n_step) MN_TRY(mn__trainer_gradients(r->trainer, &r->diag));
    for (size_t i = 0; i < r->n_step; i++) MN_TRY(mn__trainer_step(r->trainer, &r->diag));
    if (r->to)
        MN_TRY(mn__checkpoint_save(r->to, r->trainer->learner, r->trainer->opt, r->trainer->team,
                                   r->source.source.identity, false, &r->diag));
done:
    return st;
}

static void *run(void *arg)
{
    rank *r = arg;
    r->st = train(r);
    return NULL;
}

/* `like` on n ranks; the trainers are the caller's to free. */
static void run_ranks(rank out[RANKS], int n, rank like)
{
    board b;
    pthread_t thread[RANKS];
    pthread_barrier_init(&b.all, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        out[i] = like;
        out[i].board = &b;
        out[i].ranks = (mn_train_ranks){i, n, swap, &out[i]};
        if (n > 1)
            assert_int_equal(mn__peers_init(&out[i].peers, &out[i].ranks, &out[i].diag), MN_OK);
        pthread_create(&thread[i], NULL, run, &out[i]);
    }
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&b.all);
    for (int i = 0; i < n; i++)
        if (out[i].st != MN_OK) fail_msg("rank %d of %d: %s", i, n, out[i].diag.text);
}

static void free_ranks(rank *r, int n)
{
    for (int i = 0; i < n; i++) mn__trainer_free(r[i].trainer);
}

static void make_config(mn__config *c, mn__arch_kind arch, const char *option)
{
    small_config(c, arch);
    set_option(c, "train.threads=1");
    set_option(c, "train.passes=4");
    set_option(c, "memory.value_width=16");
    if (option) set_option(c, option);
    finish_config(c);
}

/* Value i of a part is value whole_at of the whole. */
static size_t whole_at(const mn__param *p, size_t i)
{
    return p->whole ? i / p->row * p->whole + p->from + i % p->row : i;
}

/* |a - b| over the largest of b, for each parameter of one rank. */
static void assert_near(const mn__trainer *a, const mn__trainer *b, double tolerance)
{
    for (size_t k = 0; k < a->learner->list.n; k++) {
        const mn__param *p = a->learner->list.at[k], *q = b->learner->list.at[k];
        double most = 0, off = 0;
        assert_string_equal(p->name, q->name);
        for (size_t i = 0; q->g && i < mn__param_size(q); i++) most = fmax(most, fabsf(q->g[i]));
        for (size_t i = 0; p->g && i < mn__param_size(p); i++)
            off = fmax(off, fabs((double)p->g[i] - (double)q->g[whole_at(p, i)]));
        if (off > tolerance * most) fail_msg("%s: off by %g of %g", p->name, off, most);
    }
}

/* Sums of f32 in another order: 1e-6 of the value. */
static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-6 * fabs(b))) fail_msg("%.9g is not %.9g", a, b);
}

static void test_gradients(void **state)
{
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        mn__config c;
        rank one[RANKS], all[RANKS];
        make_config(&c, arch, NULL);
        run_ranks(one, 1, (rank){.config = &c});
        for (int n = 2; n <= RANKS; n += 2) {
            run_ranks(all, n, (rank){.config = &c});
            for (int i = 0; i < n; i++) {
                assert_near(all[i].trainer, one[0].trainer, 1e-6);
                assert_close(all[i].trainer->last.loss, one[0].trainer->last.loss);
                assert_true(all[i].trainer->last.loss == all[0].trainer->last.loss);
            }
            free_ranks(all, n);
        }
        free_ranks(one, 1);
    }
}

/* Of gradients far above train.clip, parts of tables among them: a rank that left out the others'
 * parts would clip otherwise, and the copies of what all hold would go apart. */
static void test_norm(void **state)
{
    static const mn__arch_kind archs[] = {MN__ARCH_PKM, MN__ARCH_MEMORY_PLUS, MN__ARCH_ULTRAMEM,
                                          MN__ARCH_ULTRAMEM_V2};
    (void)state;
    for (size_t k = 0; k < sizeof archs / sizeof *archs; k++) {
        mn__config c;
        rank one[RANKS], all[RANKS];
        make_config(&c, archs[k], "train.clip=1e-4");
        run_ranks(one, 1, (rank){.config = &c, .n_step = 1});
        assert_true(one[0].trainer->last.norm > 100 * c.train_clip);
        for (int n = 2; n <= RANKS; n += 2) {
            run_ranks(all, n, (rank){.config = &c, .n_step = 1});
            for (int i = 0; i < n; i++) {
                assert_close(all[i].trainer->last.norm, one[0].trainer->last.norm);
                assert_true(all[i].trainer->last.norm == all[0].trainer->last.norm);
            }
            free_ranks(all, n);
        }
        free_ranks(one, 1);
    }
}

/* A pass that ranks share is as many passes of fewer sequences. */
static void test_shared_passes(void **state)
{
    mn__config wide, many;
    rank one[RANKS], all[RANKS];
    (void)state;
    make_config(&wide, MN__ARCH_MOE, "train.passes=1");
    make_config(&many, MN__ARCH_MOE, "train.passes=2");
    set_option(&many, "train.batch=1");
    finish_config(&many);
    run_ranks(one, 1, (rank){.config = &many});
    run_ranks(all, 2, (rank){.config = &wide});
    assert_near(all[0].trainer, one[0].trainer, 1e-6);
    assert_close(all[0].trainer->last.aux, one[0].trainer->last.aux);
    free_ranks(one, 1);
    free_ranks(all, 2);
}

/* Dimension-wise, section by section: indices and scores to all others, pooled columns back; 4
 * bytes each. Backward: pooled columns there, scores back. */
static void check_bytes(const mn__config *c, int n_rank)
{
    rank all[RANKS];
    run_ranks(all, n_rank, (rank){.config = c});
    const uint64_t P = (uint64_t)n_rank, tokens = c->train_batch * c->train_length,
                   look_ups = c->train_passes / P * all[0].trainer->learner->memories.n,
                   m = c->memory_heads * c->memory_keep,
                   parts = c->memory_cores % P ? 1 : c->memory_cores / P,
                   pooled = (P - 1) * tokens * c->memory_expand * c->memory_value_width * 4 / P;
    for (int i = 0; i < n_rank; i++) {
        const mn__peers *p = &all[i].peers;
        assert_true(look_ups > 0);
        assert_int_equal(p->bytes[MN__PEERS_LOOK_UP],
                         look_ups * ((P - 1) * tokens * m * (4 + 4 * parts) + pooled));
        assert_int_equal(p->bytes[MN__PEERS_LOOK_UP_BACK],
                         look_ups * (pooled + (P - 1) * tokens * m * 4 * parts));
    }
    free_ranks(all, n_rank);
}

static void test_bytes(void **state)
{
    mn__config c;
    (void)state;
    make_config(&c, MN__ARCH_ULTRAMEM, "memory.cores=1");
    check_bytes(&c, 2);
    check_bytes(&c, 4);
    make_config(&c, MN__ARCH_ULTRAMEM, "memory.cores=2");
    check_bytes(&c, 2);
    check_bytes(&c, 4);
}

/* Moments and rows of a table are where its columns are, and nowhere else. */
static void test_parts(void **state)
{
    mn__config c;
    rank one[RANKS], all[RANKS];
    (void)state;
    make_config(&c, MN__ARCH_ULTRAMEM, NULL);
    run_ranks(one, 1, (rank){.config = &c});
    run_ranks(all, 2, (rank){.config = &c});
    const mn__learner *whole = one[0].trainer->learner;
    size_t n_table = 0;
    for (size_t k = 0; k < whole->list.n; k++) {
        const mn__param *p = all[1].trainer->learner->list.at[k], *q = whole->list.at[k];
        if (!p->whole) continue;
        n_table += mn__param_size(q);
        assert_int_equal(p->row, 8);
        assert_int_equal(p->from, 8);
        for (size_t i = 0; i < mn__param_size(p); i++) assert_true(p->w[i] == q->w[whole_at(p, i)]);
    }
    assert_true(n_table > 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(all[i].trainer->learner->n_w, whole->n_w - n_table / 2);
        assert_int_equal(all[i].trainer->opt->n, whole->n_w - n_table / 2);
    }
    free_ranks(one, 1);
    free_ranks(all, 2);
}

static void assert_same_weights(const mn__trainer *part, const mn__trainer *whole)
{
    for (size_t k = 0; k < part->learner->list.n; k++) {
        const mn__param *p = part->learner->list.at[k], *q = whole->learner->list.at[k];
        if (p->group == MN__PARAM_STATE) continue; /* has moved on with the gradients */
        for (size_t i = 0; i < mn__param_size(p); i++) {
            assert_true(p->w[i] == q->w[whole_at(p, i)]);
            assert_true(part->opt->m[p->at + i] == whole->opt->m[q->at + whole_at(p, i)]);
        }
    }
}

/* Five steps on two ranks, then on one and on four: the same file, and the curve of one but for
 * the order of sums, of which Adam makes more from step to step. */
static void test_checkpoint(void **state)
{
    static const char *const update[] = {"train.update=dense", "train.update=deferred",
                                         "train.update=selective"};
    static const mn__arch_kind archs[] = {MN__ARCH_ULTRAMEM, MN__ARCH_MEMORYFORMER};
    char path[] = "train_ranks_XXXXXX", before[64];
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(before, sizeof before, "%s.1", path);
    for (size_t k = 0; k < 6; k++) {
        mn__config c;
        rank alone[RANKS], two[RANKS], one[RANKS], four[RANKS];
        make_config(&c, archs[k / 3], update[k % 3]);
        unlink(path);
        run_ranks(alone, 1, (rank){.config = &c, .n_step = 7});
        run_ranks(two, 2, (rank){.config = &c, .n_step = 5, .to = path});
        run_ranks(one, 1, (rank){.config = &c, .n_step = 2, .from = path});
        run_ranks(four, 4, (rank){.config = &c, .n_step = 2, .from = path});
        const double loss = alone[0].trainer->last.loss;
        assert_true(fabs(one[0].trainer->last.loss - loss) < 1e-3 * loss);
        assert_true(fabs(four[3].trainer->last.loss - loss) < 1e-3 * loss);
        free_ranks(one, 1);
        free_ranks(four, 4);
        /* What is in the file is what the two hold. */
        run_ranks(one, 1, (rank){.config = &c, .from = path});
        for (int i = 0; i < 2; i++) assert_same_weights(two[i].trainer, one[0].trainer);
        free_ranks(one, 1);
        free_ranks(two, 2);
        free_ranks(alone, 1);
    }
    unlink(path);
    unlink(before);
}

static void test_refused(void **state)
{
    mn__config c;
    mn__trainer *t;
    mn__peers peers;
    mn_diag diag = {{0}};
    counting source;
    const mn_train_ranks three = {0, 3, swap, NULL}, none = {2, 2, swap, NULL};
    (void)state;
    assert_int_equal(mn__peers_init(&peers, &none, &diag), MN_EUSAGE);
    assert_int_equal(mn__peers_init(&peers, &three, &diag), MN_OK);
    make_config(&c, MN__ARCH_PKM, NULL);
    counting_init(&source, &c);
    assert_int_equal(mn__trainer_new_rank(&t, &c, &source.source, NULL, &peers, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "a multiple of the 3 ranks wanted, 4 and 2 found"));
    make_config(&c, MN__ARCH_PKM, "memory.query_norm=batch");
    assert_int_equal(mn__trainer_new_rank(&t, &c, &source.source, NULL, &peers, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "memory.query_norm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),     cmocka_unit_test(test_norm),
        cmocka_unit_test(test_shared_passes), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
