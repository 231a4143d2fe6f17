/* test_batch.c: every window once an epoch, in an order that changes with epoch and seed; the rows
 * of ranks are the rows of one. */
#include "train/batch.h"

#include "eval_fixture.h"

enum { LEN = 4, SHARDS = 3, WINDOWS = 10 + 0 + 7 };

/* Token i of shard k is its number over all shards. 41 tokens: 10 windows; 3: none; 31: 7, and two
 * tokens over. */
static const size_t lengths[SHARDS] = {41, 3, 31};
static uint16_t tokens[75];

static void make_shards(mn__shard out[SHARDS])
{
    size_t at = 0;
    for (size_t i = 0; i < 75; i++) tokens[i] = (uint16_t)i;
    for (size_t k = 0; k < SHARDS; at += lengths[k++])
        out[k] = (mn__shard){.info = {.n_vocab = 75, .n_token = lengths[k], .n_document = 1},
                             .token = (const uint8_t *)(tokens + at),
                             .token_bytes = 2};
}

static mn__batches begin(const mn__shard *shard, size_t n_row, size_t rank, size_t n_rank)
{
    mn__batches b;
    mn_diag diag = {""};
    const mn__batch_params p = {shard, SHARDS, LEN, n_row, .seed = 5, rank, n_rank};
    if (mn__batches_init(&b, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return b;
}

static void test_once(void **state)
{
    (void)state;
    mn__shard shard[SHARDS];
    int32_t row[LEN + 1], order[2][WINDOWS];
    make_shards(shard);
    const size_t before = ef_held();
    mn__batches b = begin(shard, 1, 0, 0);
    assert_int_equal(b.n_window, WINDOWS);
    for (size_t epoch = 0; epoch < 2; epoch++) {
        size_t predicted[75] = {0};
        for (size_t i = 0; i < WINDOWS; i++) {
            mn__batches_read(&b, epoch * WINDOWS + i, row);
            for (int32_t k = 0; k <= LEN; k++) assert_int_equal(row[k], row[0] + k);
            for (size_t k = 1; k <= LEN; k++) predicted[row[k]]++;
            order[epoch][i] = row[0];
        }
        for (size_t i = 0; i < 75; i++) /* all but first tokens and what is left over */
            assert_int_equal(predicted[i], (i > 0 && i < 41) || (i > 44 && i < 73));
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    mn__batches_fini(&b);
    assert_int_equal(ef_held(), before);
}

static void test_ranks(void **state)
{
    (void)state;
    mn__shard shard[SHARDS];
    int32_t all[6 * (LEN + 1)], own[6 * (LEN + 1)], one[LEN + 1];
    make_shards(shard);
    mn__batches whole = begin(shard, 6, 0, 1), single = begin(shard, 1, 0, 1);
    for (uint64_t step = 0; step < 9; step++) { /* across the ends of epochs */
        mn__batches_read(&whole, step, all);
        for (size_t n_rank = 2; n_rank <= 6; n_rank++) {
            if (6 % n_rank) continue;
            for (size_t rank = 0; rank < n_rank; rank++) {
                mn__batches b = begin(shard, 6, rank, n_rank);
                assert_int_equal(b.n_own, 6 / n_rank);
                mn__batches_read(&b, step, own + rank * b.n_own * (LEN + 1));
                mn__batches_fini(&b);
            }
            assert_memory_equal(own, all, sizeof all);
        }
        for (size_t i = 0; i < 6; i++) { /* the same sequence, whatever the rows of a step */
            mn__batches_read(&single, step * 6 + i, one);
            assert_memory_equal(one, all + i * (LEN + 1), sizeof one);
        }
    }
    mn__batches_fini(&whole);
    mn__batches_fini(&single);
}

static void test_order(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint8_t seen[1000] = {0};
        for (uint64_t i = 0; i < sizes[k]; i++) {
            uint64_t at = mn__batch_order(9, 1, sizes[k], i);
            assert_true(at < sizes[k] && !seen[at]);
            seen[at] = 1;
        }
    }
    /* Neighbours go apart, and seeds and epochs (their high words too) make orders of their own. */
    size_t near = 0, same[3] = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t at = mn__batch_order(9, 1, 1000, i), next = mn__batch_order(9, 1, 1000, i + 1);
        near += i < 999 && (at > next ? at - next : next - at) < 10;
        same[0] += at == mn__batch_order(10, 1, 1000, i);
        same[1] += at == mn__batch_order(9, 2, 1000, i);
        same[2] += at == mn__batch_order(9, (UINT64_C(1) << 32) + 1, 1000, i);
    }
    assert_true(near < 60);                                   /* 18 expected */
    for (size_t k = 0; k < 3; k++) assert_true(same[k] < 12); /* 1 expected */
    assert_true(mn__batch_order(1, 0, UINT64_C(1) << 40, 5) < UINT64_C(1) << 40);
}

static void test_refused(void **state)
{
    (void)state;
    mn__shard shard[SHARDS];
    mn__batches b;
    mn_diag diag = {""};
    const size_t before = ef_held();
    make_shards(shard);
    mn__batch_params p = {shard, SHARDS, LEN, 6, .n_rank = 4};
    assert_int_equal(mn__batches_init(&b, &p, &diag), MN_EUSAGE);
    p = (mn__batch_params){shard, SHARDS, LEN, 6, .rank = 2, .n_rank = 2};
    assert_int_equal(mn__batches_init(&b, &p, &diag), MN_EUSAGE);
    p = (mn__batch_params){shard, SHARDS, 0, 6, .n_rank = 2};
    assert_int_equal(mn__batches_init(&b, &p, &diag), MN_EUSAGE);
    p = (mn__batch_params){shard, SHARDS, 41, 6, .n_rank = 2};
    assert_int_equal(mn__batches_init(&b, &p, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "42 tokens at least wanted"));
    shard[1].info.vocab_hash = 1;
    p.len = LEN;
    assert_int_equal(mn__batches_init(&b, &p, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "one tokenizer"));
    assert_int_equal(ef_held(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
