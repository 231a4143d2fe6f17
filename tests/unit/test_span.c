/* test_span.c: a span grows in place, is counted by pages, and gives memory back for real. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const size_t MB = (size_t)1 << 20;

static size_t counted(mn_mem_tag tag)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[tag];
}

static void test_grow_and_shrink(void **state)
{
    (void)state;
    mn__span s;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = counted(MN_MEM_KV);
    assert_int_equal(mn__span_init(&s, MN_MEM_KV, 64 * MB), MN_OK);
    assert_int_equal(counted(MN_MEM_KV), before);
    assert_int_equal(mn__span_resize(&s, 1), MN_OK);
    assert_int_equal(s.committed, page);
    uint8_t *data = s.data;
    assert_int_equal(data[0], 0);
    data[0] = 42;
    assert_int_equal(mn__span_resize(&s, 8 * MB), MN_OK);
    assert_ptr_equal(s.data, data);
    assert_int_equal(data[0], 42);
    data[8 * MB - 1] = 7;
    assert_int_equal(counted(MN_MEM_KV), before + 8 * MB);
    assert_int_equal(mn__span_resize(&s, page + 1), MN_OK);
    assert_int_equal(counted(MN_MEM_KV), before + 2 * page);
    assert_int_equal(data[0], 42);
    assert_int_equal(mn__span_resize(&s, 8 * MB), MN_OK);
    assert_int_equal(data[8 * MB - 1], 0); /* given back pages return as zeros */
    assert_int_equal(mn__span_resize(&s, 0), MN_OK);
    assert_int_equal(counted(MN_MEM_KV), before);
    mn__span_fini(&s);
    assert_null(s.data);
    mn__span_fini(&s);
    assert_int_equal(counted(MN_MEM_KV), before);
}

static void test_resident_size_follows(void **state)
{
    (void)state;
    mn__span s;
    assert_int_equal(mn__span_init(&s, MN_MEM_KV, 1024 * MB), MN_OK);
    size_t empty = mn_mem_resident();
    assert_int_equal(mn__span_resize(&s, 64 * MB), MN_OK);
    memset(s.data, 1, 64 * MB);
    size_t full = mn_mem_resident();
    assert_int_equal(mn__span_resize(&s, 16 * MB), MN_OK);
    size_t after = mn_mem_resident();
    assert_true(full >= empty + 63 * MB);
    assert_true(after <= full - 47 * MB);
    mn__span_fini(&s);
}

static size_t mappings(void)
{
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;) n += c == '\n';
    fclose(f);
    return n;
}

/* The system has room for 65,530 mappings, sanitizers or not. */
static void test_small_ones_are_one_mapping(void **state)
{
    (void)state;
    enum { N = 4000 };
    static mn__span s[N];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = mappings();
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(mn__span_init(&s[i], MN_MEM_KV, 4 * page), MN_OK);
        assert_int_equal(mn__span_resize(&s[i], page), MN_OK);
    }
    assert_true(mappings() < before + N / 10);
    for (size_t i = 0; i < N; i++) {
        memset(s[i].data, 1, page);
        assert_int_equal(mn__span_resize(&s[i], 0), MN_OK);
        assert_int_equal(s[i].committed, 0);
        assert_int_equal(mn__span_resize(&s[i], page), MN_OK);
        assert_int_equal(s[i].data[0], 0);
        mn__span_fini(&s[i]);
    }
}

static void test_whole_pages(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mn__whole_pages(0), 0);
    assert_int_equal(mn__whole_pages(1), page);
    assert_int_equal(mn__whole_pages(page), page);
    assert_int_equal(mn__whole_pages(page + 1), 2 * page);
    assert_int_equal(mn__whole_pages(SIZE_MAX - page + 1), SIZE_MAX - page + 1);
    assert_int_equal(mn__whole_pages(SIZE_MAX - page + 2), SIZE_MAX);
}

static void test_refusals(void **state)
{
    (void)state;
    mn__span s;
    size_t before = counted(MN_MEM_KV);
    mn_mem_stats stats;
    assert_int_equal(mn__span_init(&s, MN_MEM_KV, 4 * MB), MN_OK);
    assert_int_equal(mn__span_resize(&s, 4 * MB + 1), MN_ERANGE);
    assert_int_equal(mn__span_resize(&s, SIZE_MAX), MN_ERANGE);
    assert_int_equal(mn__span_resize(&s, MB), MN_OK);
    mn_mem_get_stats(&stats);
    mn_mem_set_limit(stats.total_now + MB / 2);
    assert_int_equal(mn__span_resize(&s, 2 * MB), MN_ENOMEM);
    assert_int_equal(s.committed, MB);
    assert_int_equal(counted(MN_MEM_KV), before + MB);
    mn_mem_set_limit(0);
    assert_int_equal(mn__span_resize(&s, 2 * MB), MN_OK);
    mn__span_fini(&s);
    assert_int_equal(counted(MN_MEM_KV), before);
    assert_int_equal(mn__span_init(&s, MN_MEM_KV, SIZE_MAX), MN_ENOMEM);
    assert_int_equal(mn__span_init(&s, MN_MEM_KV, SIZE_MAX / 2), MN_ENOMEM);
    mn__span_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow_and_shrink),
        cmocka_unit_test(test_resident_size_follows),
        cmocka_unit_test(test_small_ones_are_one_mapping),
        cmocka_unit_test(test_whole_pages),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
