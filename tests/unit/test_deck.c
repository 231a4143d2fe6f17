/* test_deck.c: the prompts of a run: order, limits, and the two sides of a set. */
#include "eval/deck.h"

#include "base/heap.h"
#include "eval_fixture.h"

enum { N_TEXT = 40, N_ASKED = 3, N_ROW = N_TEXT * N_ASKED };

static mn__own_task own[2];

/* Each text is asked about three times, the second file has one text alone. */
static const char *write_rows(int i)
{
    const char *path = tiny_model_path(i ? "deck-b.jsonl" : "deck-a.jsonl");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int row = 0; row < (i ? N_ASKED : N_ROW); row++)
        fprintf(file,
                "{\"context\":\"text %d\",\"input\":\"%d?\",\"answers\":[\"a\"],\"_id\":\"%d\"}\n",
                row % N_TEXT, row, row);
    fclose(file);
    return path;
}

static mn__deck *open_file(int i, mn_eval_split split, uint64_t limit)
{
    mn__deck *d;
    mn_diag diag = {""};
    const char *path = write_rows(i);
    mn__own_task_init(&own[i], path, "qa_f1", NULL, 0);
    const mn__task_ref ref = {.task = &own[i].task};
    const mn__deck_params p = {
        .task = &ref, .n_task = 1, .source = {.own = path}, .limit = limit, .split = split};
    if (mn__deck_open(&d, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return d;
}

static mn__row row_of(mn__deck *d, uint64_t i)
{
    mn__row row;
    bool found = false;
    mn_diag diag = {""};
    if (mn__deck_get_row(d, i, &row, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_true(found);
    return row;
}

/* Every row is on one side, the questions about a text on the same. */
static void test_sides(void **state)
{
    (void)state;
    int side_of[N_TEXT] = {0}, n_train = 0;
    uint64_t n = 0;
    for (int side = MN_EVAL_SPLIT_TRAIN; side <= MN_EVAL_SPLIT_TEST; side++) {
        mn__deck *d = open_file(0, (mn_eval_split)side, 0);
        n += mn__deck_n_item(d);
        for (uint64_t i = 0; i < mn__deck_n_item(d); i++) {
            mn__row row = row_of(d, i);
            int text = (int)(strtol(row.id, NULL, 10) % N_TEXT);
            assert_true(side_of[text] == 0 || side_of[text] == side);
            assert_int_equal(strtol(row.id, NULL, 10), mn__deck_get_item(d, i).row);
            assert_int_equal(mn__row_split(&row), side);
            n_train += side == MN_EVAL_SPLIT_TRAIN && !side_of[text];
            side_of[text] = side;
            mn__row_free(&row);
        }
        mn__deck_close(d);
    }
    assert_int_equal(n, N_ROW);
    assert_in_range(n_train, 3, N_TEXT / 2); /* about a quarter */
}

/* The sides never move: what a shipped NAMM was trained on stays apart. */
static void test_sides_stay(void **state)
{
    (void)state;
    static const char *const train[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    char found[64] = {0};
    for (size_t i = 0; i < sizeof train / sizeof *train; i++) {
        const mn__row row = {.context = train[i], .input = ""};
        found[i] = mn__row_split(&row) == MN_EVAL_SPLIT_TRAIN ? 't' : '.';
    }
    assert_string_equal(found, ".t....t.");
}

static void test_limit(void **state)
{
    (void)state;
    mn__deck *all = open_file(0, MN_EVAL_SPLIT_TEST, 0),
             *some = open_file(0, MN_EVAL_SPLIT_TEST, 7);
    assert_int_equal(mn__deck_n_item(some), 7);
    for (uint64_t i = 0; i < 7; i++)
        assert_int_equal(mn__deck_get_item(some, i).row, mn__deck_get_item(all, i).row);
    mn__deck_close(all);
    mn__deck_close(some);
}

/* Made rows are dealt at every length, row by row. */
static void test_order(void **state)
{
    (void)state;
    static const size_t lengths[] = {600, 900};
    mn_diag diag = {""};
    mn__deck *d;
    mn__task_ref *task = NULL;
    size_t n_task;
    assert_int_equal(
        mn__task_find(&task, &n_task, "infinitebench_passkey,infinitebench_kv_retrieval", &diag),
        MN_OK);
    const mn__deck_params p = {.task = task,
                               .n_task = n_task,
                               .source = {.n_made = 3, .tokens = &ef_words},
                               .length = lengths,
                               .n_length = 2};
    if (mn__deck_open(&d, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn__deck_n_unit(d), 4);
    assert_int_equal(mn__deck_n_item(d), 12);
    for (uint64_t i = 0; i < 12; i++) {
        mn__deck_item it = mn__deck_get_item(d, i);
        assert_int_equal(it.unit, i % 4);
        assert_int_equal(it.row, i / 4);
        assert_int_equal(mn__deck_get_unit(d, it.unit)->length, lengths[i % 2]);
    }
    mn__deck_close(d);
    mn__free(task);
}

static size_t count_rows(const char *names, uint64_t limit, size_t n_depth)
{
    static const size_t lengths[] = {600, 900};
    mn_diag diag = {""};
    mn__deck *d;
    mn__task_ref *task = NULL;
    size_t n_task, n;
    assert_int_equal(mn__task_find(&task, &n_task, names, &diag), MN_OK);
    const mn__deck_params p = {.task = task,
                               .n_task = n_task,
                               .source = {.n_made = 20, .tokens = &ef_words, .n_depth = n_depth},
                               .length = lengths,
                               .n_length = 2,
                               .limit = limit};
    if (mn__deck_open(&d, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    n = mn__deck_n_item(d);
    for (uint64_t i = 0; i < n; i += 7) { /* rows are there, at every depth equally many */
        mn__row row = row_of(d, i);
        mn__row_free(&row);
    }
    mn__deck_close(d);
    mn__free(task);
    return n;
}

/* With depths a limit counts the rows of a cell: depth by length. */
static void test_cells(void **state)
{
    (void)state;
    assert_int_equal(count_rows("infinitebench_passkey", 0, 0), 2 * 20);
    assert_int_equal(count_rows("infinitebench_passkey", 3, 0), 2 * 3);
    assert_int_equal(count_rows("infinitebench_passkey", 0, 5), 2 * 5);
    assert_int_equal(count_rows("infinitebench_passkey", 3, 5), 2 * 5 * 3);
    /* ruler_vt has no needle at a depth. */
    assert_int_equal(count_rows("infinitebench_passkey,ruler_vt", 3, 5), 2 * 5 * 3 + 2 * 3);
    assert_int_equal(count_rows("infinitebench_passkey,ruler_vt", 0, 5), 2 * 5 + 2 * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides), cmocka_unit_test(test_sides_stay),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_order),
        cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
