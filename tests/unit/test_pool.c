/* test_pool.c: pages come zeroed and whole, are shared by count, and leave the ledger and the
 * process when the last reference goes. */
#include <pthread.h>
#include <unistd.h>
#include "cache_fixture.h"

enum { DIM = 64 };

static mn__pool *new_pool(void)
{
    mn__pool *p;
    assert_int_equal(mn__pool_new(&p, MN__KV_BF16, DIM, NULL), MN_OK);
    return p;
}

static void test_page_bytes(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mn__pool_page_bytes(MN__KV_BF16, 64) % page, 0);
    assert_true(mn__pool_page_bytes(MN__KV_BF16, 64) >= 2 * 64 * 64 * 2);
    assert_true(mn__pool_page_bytes(MN__KV_F32, 80) >= 2 * 64 * 80 * 4);
    assert_true(mn__pool_page_bytes(MN__KV_Q8, 64) < mn__pool_page_bytes(MN__KV_BF16, 64));
    mn__pool *p;
    mn_diag diag = {""};
    assert_int_equal(mn__pool_new(&p, MN__KV_F32, (size_t)1 << 40, &diag), MN_ERANGE);
    assert_null(p);
    assert_non_null(strstr(diag.text, "head size"));
    assert_int_equal(mn__pool_new(&p, MN__KV_F32, 7, &diag), MN_ERANGE);
}

static void test_pages_are_apart_and_zero(void **state)
{
    (void)state;
    enum { N = 300 };
    mn__pool *p = new_pool();
    size_t bytes = mn__pool_page_bytes(MN__KV_BF16, DIM), kv = fix_counted(MN_MEM_KV);
    void *page[N];
    assert_int_equal(mn__pool_take(p, page, N), MN_OK);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++) {
            const uint8_t *x = page[i];
            assert_int_equal((uintptr_t)x % 64, 0);
            for (size_t b = 0; b < bytes; b++) assert_int_equal(x[b], 0);
            memset(page[i], (int)i % 255 + 1, bytes);
        }
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(((uint8_t *)page[i])[0], i % 255 + 1);
            assert_int_equal(((uint8_t *)page[i])[bytes - 1], i % 255 + 1);
        }
        assert_int_equal(mn__pool_bytes(p), N * bytes);
        assert_int_equal(fix_counted(MN_MEM_KV), kv + N * bytes);
        for (size_t i = 0; i < N; i++) mn__pool_give(p, page[i]);
        assert_int_equal(mn__pool_bytes(p), 0);
        assert_int_equal(fix_counted(MN_MEM_KV), kv);
        if (round == 0) assert_int_equal(mn__pool_take(p, page, N), MN_OK);
    }
    mn__pool_free(p);
}

static void test_sharing(void **state)
{
    (void)state;
    mn__pool *p = new_pool();
    size_t bytes = mn__pool_page_bytes(MN__KV_BF16, DIM);
    void *page;
    assert_int_equal(mn__pool_take(p, &page, 1), MN_OK);
    assert_false(mn__pool_is_shared(p, page));
    memset(page, 5, bytes);
    mn__pool_share(p, page);
    assert_true(mn__pool_is_shared(p, page));
    assert_int_equal(mn__pool_bytes(p), bytes);
    mn__pool_give(p, page);
    assert_false(mn__pool_is_shared(p, page));
    assert_int_equal(*(uint8_t *)page, 5); /* one reference left */
    mn__pool_give(p, page);
    assert_int_equal(mn__pool_bytes(p), 0);
    mn__pool_free(p);
}

static void test_limit_takes_all_or_none(void **state)
{
    (void)state;
    mn__pool *p = new_pool();
    size_t bytes = mn__pool_page_bytes(MN__KV_BF16, DIM);
    void *page[8], *more[8];
    mn_mem_stats s;
    assert_int_equal(mn__pool_take(p, page, 8), MN_OK);
    mn_mem_get_stats(&s);
    mn_mem_set_limit(s.total_now + 7 * bytes);
    assert_int_equal(mn__pool_take(p, more, 8), MN_ENOMEM);
    assert_int_equal(mn__pool_bytes(p), 8 * bytes);
    mn__pool_share(p, page[0]);
    assert_int_equal(mn__pool_take(p, more, 7), MN_OK);
    mn_mem_set_limit(0);
    mn__pool_give(p, page[0]);
    for (size_t i = 0; i < 8; i++) mn__pool_give(p, page[i]);
    for (size_t i = 0; i < 7; i++) mn__pool_give(p, more[i]);
    mn__pool_free(p);
}

static void test_no_bookkeeping_where_the_limit_forbids_it(void **state)
{
    (void)state;
    mn__pool *p = new_pool();
    mn_mem_stats s;
    void *page;
    mn_mem_get_stats(&s);
    size_t kv = s.now[MN_MEM_KV];
    mn_mem_set_limit(s.total_now + mn__pool_page_bytes(MN__KV_BF16, DIM)); /* a page, but no slab */
    assert_int_equal(mn__pool_take(p, &page, 1), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__pool_bytes(p), 0);
    assert_int_equal(fix_counted(MN_MEM_KV), kv);
    mn__pool_free(p);
}

/* In a slab without holes the page given back is the next one taken, wherever it lies. */
static void test_lowest_page_first(void **state)
{
    (void)state;
    mn__pool *p = new_pool();
    size_t other = fix_counted(MN_MEM_OTHER), n = 1;
    void **page = malloc(5000 * sizeof *page), *again;
    assert_int_equal(mn__pool_take(p, page, 1), MN_OK);
    size_t head = fix_counted(MN_MEM_OTHER) - other;
    while (n < 5000 && fix_counted(MN_MEM_OTHER) == other + head)
        assert_int_equal(mn__pool_take(p, &page[n++], 1), MN_OK);
    assert_true(n > 1000 && n < 5000); /* the last one opened a second slab */
    mn__pool_give(p, page[--n]);
    for (size_t i = 0; i < 3; i++) {
        static const size_t hole[] = {700, 5, 701};
        mn__pool_give(p, page[hole[i]]);
        assert_int_equal(mn__pool_take(p, &again, 1), MN_OK);
        assert_ptr_equal(again, page[hole[i]]);
    }
    while (n > 0) mn__pool_give(p, page[--n]);
    free(page);
    mn__pool_free(p);
}

/* The second slab's bookkeeping is refused: the pages of the first one are free again. */
static void test_take_fails_between_slabs(void **state)
{
    (void)state;
    enum { WIDE = 8192, MANY = 24 };
    size_t bytes = mn__pool_page_bytes(MN__KV_F32, WIDE), other, head, n = 0;
    void *page[MANY];
    mn__pool *p;
    mn_mem_stats s;
    assert_int_equal(mn__pool_new(&p, MN__KV_F32, WIDE, NULL), MN_OK);
    other = fix_counted(MN_MEM_OTHER);
    assert_int_equal(mn__pool_take(p, page, 1), MN_OK);
    head = fix_counted(MN_MEM_OTHER) - other;
    assert_true(head > 0);
    mn__pool_give(p, page[0]);
    mn_mem_get_stats(&s);
    mn_mem_set_limit(s.total_now + MANY * bytes);
    assert_int_equal(mn__pool_take(p, page, MANY), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__pool_bytes(p), 0);
    while (n < MANY && fix_counted(MN_MEM_OTHER) == other + head)
        assert_int_equal(mn__pool_take(p, &page[n++], 1), MN_OK);
    assert_int_equal(n, ((size_t)64 << 20) /
                            bytes); /* all but what the bookkeeping takes, and one beyond */
    while (n > 0) mn__pool_give(p, page[--n]);
    mn__pool_free(p);
}

/* More than one slab, given back in an order that leaves holes in each. */
static void test_memory_goes_back_to_the_system(void **state)
{
    (void)state;
    if (!FIX_RESIDENT_IS_OURS) skip();
    mn__pool *p = new_pool();
    size_t bytes = mn__pool_page_bytes(MN__KV_BF16, DIM), n = ((size_t)96 << 20) / bytes;
    size_t other = fix_counted(MN_MEM_OTHER);
    void **page = malloc(n * sizeof *page);
    memset(page, 0, n * sizeof *page);
    size_t empty = mn_mem_resident();
    assert_true(empty > 0);
    assert_int_equal(mn__pool_take(p, page, 1), MN_OK);
    size_t head = fix_counted(MN_MEM_OTHER) - other;
    assert_int_equal(mn__pool_take(p, page + 1, n - 1), MN_OK);
    assert_true(fix_counted(MN_MEM_OTHER) > other + head); /* more than one slab */
    for (size_t i = 0; i < n; i++) memset(page[i], 1, bytes);
    double grown = (double)mn_mem_resident() - (double)empty;
    assert_true(fabs(grown / (double)(n * bytes) - 1) < 0.02);
    for (size_t i = 0; i < n; i++)
        if (i % 4) mn__pool_give(p, page[i]);
    grown = (double)mn_mem_resident() - (double)empty;
    assert_int_equal(mn__pool_bytes(p), n / 4 * bytes);
    assert_true(fabs(grown / (double)(n / 4 * bytes) - 1) < 0.02);
    for (size_t i = 0; i < n; i += 4) mn__pool_give(p, page[i]);
    free(page);
    assert_true(mn_mem_resident() < empty + ((size_t)1 << 20));
    size_t kept = fix_counted(MN_MEM_OTHER) - other; /* one slab at most waits for the next take */
    assert_int_equal(kept, head);
    mn__pool_free(p);
}

enum { N_THREAD = 4, N_ROUND = 400, N_HELD = 16 };
struct worker {
    mn__pool *pool;
    void *common;
    int id;
    bool ok;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    void *page[N_HELD];
    w->ok = true;
    for (size_t round = 0; round < N_ROUND; round++) {
        if (mn__pool_take(w->pool, page, N_HELD) != MN_OK) w->ok = false;
        mn__pool_share(w->pool, w->common);
        for (size_t i = 0; i < N_HELD; i++) {
            if (*(uint8_t *)page[i] != 0) w->ok = false;
            memset(page[i], w->id, 64);
        }
        for (size_t i = 0; i < N_HELD; i++) {
            if (*(uint8_t *)page[i] != w->id) w->ok = false;
            mn__pool_give(w->pool, page[i]);
        }
        mn__pool_give(w->pool, w->common);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    mn__pool *p = new_pool();
    void *common;
    pthread_t thread[N_THREAD];
    struct worker w[N_THREAD];
    assert_int_equal(mn__pool_take(p, &common, 1), MN_OK);
    memset(common, 99, 64);
    for (int i = 0; i < N_THREAD; i++) {
        w[i] = (struct worker){.pool = p, .common = common, .id = i + 1};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < N_THREAD; i++) {
        pthread_join(thread[i], NULL);
        assert_true(w[i].ok);
    }
    assert_int_equal(mn__pool_bytes(p), mn__pool_page_bytes(MN__KV_BF16, DIM));
    assert_int_equal(*(uint8_t *)common, 99);
    mn__pool_give(p, common);
    mn__pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_bytes),
        cmocka_unit_test(test_pages_are_apart_and_zero),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_limit_takes_all_or_none),
        cmocka_unit_test(test_no_bookkeeping_where_the_limit_forbids_it),
        cmocka_unit_test(test_lowest_page_first),
        cmocka_unit_test(test_take_fails_between_slabs),
        cmocka_unit_test(test_memory_goes_back_to_the_system),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
