/* test_maker_kit.c: draws by name: the same for the same name, spread as they should be. */
#include "base/heap.h"
#include "eval_fixture.h"

static const mn__task task = {.name = "t"};
static const mn__recipe recipe = {.task = &task, .seed = 7, .index = 3, .depth = NAN};

/* Worked out by other code from the definitions of Philox-4x32-10 and XXH64: they must never
 * change, on any machine. */
static void test_pinned(void **state)
{
    (void)state;
    char uuid[MN__UUID_BYTES], pair[MN__PAIR_BYTES];
    mn__draw_uuid(&recipe, 16, 0, uuid);
    mn__draw_pair(&recipe, 0, pair);
    assert_string_equal(uuid, "c157abaf-2c45-463f-ba10-657ab0e8fb61");
    assert_string_equal(pair, "white-duck");
    assert_int_equal(mn__draw_below(&recipe, 16, 1, 1000000), 950764);
}

static void test_names(void **state)
{
    (void)state;
    const mn__task task2 = {.name = "u"};
    mn__recipe r = recipe;
    double x = mn__draw(&recipe, 16, 0);
    assert_true(x == mn__draw(&r, 16, 0) && x >= 0 && x < 1);
    assert_true(x != mn__draw(&r, 16, 1) && x != mn__draw(&r, 17, 0));
    r.seed = 8;
    assert_true(x != mn__draw(&r, 16, 0));
    r = recipe;
    r.index = 4;
    assert_true(x != mn__draw(&r, 16, 0));
    r = recipe;
    r.task = &task2;
    assert_true(x != mn__draw(&r, 16, 0));
    r = recipe;
    r.length = 99; /* what a row draws does not depend on how long it is */
    assert_true(x == mn__draw(&r, 16, 0));
}

static void test_below(void **state)
{
    (void)state;
    size_t count[7] = {0};
    for (uint64_t i = 0; i < 7000; i++) count[mn__draw_below(&recipe, 16, i, 7)]++;
    for (size_t k = 0; k < 7; k++) assert_in_range(count[k], 860, 1140); /* 5 sigma */
    assert_int_equal(mn__draw_below(&recipe, 16, 0, 1), 0);
}

static void test_order_and_places(void **state)
{
    (void)state;
    size_t order[50], place[20], hit[40] = {0};
    bool moved = false;
    mn__draw_order(&recipe, 16, order, 50);
    for (size_t i = 0; i < 50; i++) {
        size_t n = 0;
        for (size_t j = 0; j < 50; j++) n += order[j] == i;
        assert_int_equal(n, 1);
        moved |= order[i] != i;
    }
    assert_true(moved);
    for (uint32_t stream = 0; stream < 2000; stream++) {
        mn__draw_places(&recipe, 100 + stream, place, 20, 40);
        for (size_t i = 0; i < 20; i++) {
            assert_true(place[i] < 40 && (i == 0 || place[i] > place[i - 1]));
            hit[place[i]]++;
        }
    }
    for (size_t i = 0; i < 40; i++) assert_in_range(hit[i], 888, 1112); /* 1000 +- 5 sigma */
    mn__draw_places(&recipe, 16, place, 3, 3);
    for (size_t i = 0; i < 3; i++) assert_int_equal(place[i], i);
}

static void test_pairs(void **state)
{
    (void)state;
    char(*pair)[MN__PAIR_BYTES] = malloc(MN__N_PAIR * sizeof *pair);
    assert_non_null(pair);
    for (uint64_t i = 0; i < MN__N_PAIR; i++) {
        mn__draw_pair(&recipe, i, pair[i]);
        assert_true(strchr(pair[i], '-') && strlen(pair[i]) + 1 < MN__PAIR_BYTES);
    }
    qsort(pair, MN__N_PAIR, sizeof *pair, (int (*)(const void *, const void *))strcmp);
    for (size_t i = 1; i < MN__N_PAIR; i++) assert_string_not_equal(pair[i - 1], pair[i]);
    free(pair);
}

static void test_uuid(void **state)
{
    (void)state;
    char a[MN__UUID_BYTES], b[MN__UUID_BYTES];
    mn__draw_uuid(&recipe, 16, 0, b);
    for (uint64_t i = 1; i < 200; i++) {
        mn__draw_uuid(&recipe, 16, i, a);
        assert_int_equal(strlen(a), 36);
        assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
        assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-' && a[14] == '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
        assert_memory_not_equal(a, b, 8);
    }
}

static void test_places_at(void **state)
{
    (void)state;
    size_t place;
    assert_true(mn__place_at(0, 10, &place) == 0 && place == 0);
    assert_true(mn__place_at(1, 10, &place) == 1 && place == 10);
    assert_true(mn__place_at(0.44, 10, &place) == 0.4 && place == 4);
    assert_true(mn__place_at(0.5, 0, &place) == 0 && place == 0);
    mn__recipe r = recipe;
    for (r.index = 0; r.index < 50; r.index++) {
        double depth = mn__depth(&r) * 39; /* one of 40 */
        assert_true(depth >= 0 && depth <= 39 && fabs(depth - round(depth)) < 1e-9);
    }
    r.depth = 0.3;
    assert_true(mn__depth(&r) == 0.3);
}

/* Sentences of 4, 40, 4 and 12 bytes: 60, from the second on, and around the end. */
static void test_places_in_text(void **state)
{
    (void)state;
    mn__corpus c;
    mn_diag diag;
    size_t place;
    const char *path = ef_write_text(
        "places.txt", "One. Two is a very, very, very long sentence. Six. Four is one.");
    assert_int_equal(mn__corpus_read(&c, path, &diag), MN_OK);
    assert_int_equal(c.n_sentence, 4);
    static const struct {
        size_t first, n, place;
        double depth, found;
    } cases[] = {{0, 4, 0, 0, 0},           {0, 4, 1, 0.3, 4 / 60.0}, {0, 4, 2, 0.5, 44 / 60.0},
                 {0, 4, 3, 0.8, 48 / 60.0}, {0, 4, 4, 1, 1},          {1, 3, 1, 0.5, 40 / 56.0},
                 {3, 2, 1, 0.7, 12 / 16.0}, {0, 0, 0, 0.5, 0},        {0, 8, 4, 0.5, 0.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double found = mn__place_in_text(&c, cases[i].first, cases[i].n, cases[i].depth, &place);
        assert_int_equal(place, cases[i].place);
        assert_true(fabs(found - cases[i].found) < 1e-12);
    }
    mn__corpus_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_order_and_places),
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_places_at), cmocka_unit_test(test_places_in_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
