/* test_task.c: the registry of tasks: every entry is whole, names find what they mean, and answers
 * are cut as their tasks say. */
#include "eval/task.h"

#include "base/heap.h"
#include "eval/metric.h"
#include "eval_fixture.h"

static bool is_metric(const char *name)
{
    for (size_t i = 0; i < mn__metric_count(); i++)
        if (!strcmp(mn__metric_at(i)->name, name)) return true;
    return false;
}

static void for_each(void (*check)(const mn__task_set *set, const mn__task *task))
{
    size_t n;
    const mn__task_set *const *sets = mn__task_list(&n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < sets[i]->n_task; j++) check(sets[i], &sets[i]->task[j]);
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) n++;
    return n;
}

static void check_entry(const mn__task_set *set, const mn__task *task)
{
    print_message("%s\n", task->name);
    assert_true(*set->name && *set->about && *set->source);
    assert_true(*task->name && strlen(task->name) < 64 && !strpbrk(task->name, " ,/"));
    assert_true(task->family < MN__FAMILY_COUNT && *mn__family_name(task->family));
    assert_true(task->dir || task->maker);
    assert_true(!task->dir == !task->files);
    assert_true(!task->maker || task->maker->write);
    assert_true(!task->maker || !task->maker->stock || task->dir);
    if (task->asks == MN__ASKS_ANSWER) {
        assert_true(task->max_new > 0);
        assert_true(is_metric(task->metric));
    } else {
        static const char *const measures[] = {
            [MN__ASKS_TEXT] = " nll ", [MN__ASKS_CHOICE] = " accuracy_norm "};
        assert_int_equal(task->max_new, 0);
        assert_non_null(strstr(measures[task->asks], task->metric));
    }
    assert_true(count_of(task->prompt, "{context}") + count_of(task->prompt, "{input}") >= 1);
    assert_true(count_of(task->prompt, "{context}") <= 1);
}

static void test_entries(void **state)
{
    (void)state;
    size_t n;
    mn__task_list(&n);
    assert_int_equal(n, 17);
    for_each(check_entry);
}

static const mn__task *seen[400];
static size_t n_seen;

/* A set may be called as a task of its own, but not of another's: names must say one thing. */
static void check_unique(const mn__task_set *set, const mn__task *task)
{
    size_t n;
    const mn__task_set *const *sets = mn__task_list(&n);
    for (size_t i = 0; i < n_seen; i++) assert_string_not_equal(seen[i]->name, task->name);
    for (size_t i = 0; i < n; i++)
        if (sets[i] != set) assert_string_not_equal(sets[i]->name, task->name);
    seen[n_seen++] = task;
}

static void test_unique(void **state)
{
    (void)state;
    n_seen = 0;
    for_each(check_unique);
    assert_true(n_seen > 100);
}

/* Each template holds what is put into it, once, and what stands around it. */
static void check_fill(const mn__task_set *set, const mn__task *task)
{
    static const char *const classes[] = {"<one>", "<two>", "<three>", "<four>"};
    mn__row row = {
        .context = "<the context>", .input = "<the input>", .classes = classes, .n_class = 4};
    mn__prompt p;
    mn_diag diag = {""};
    (void)set;
    assert_int_equal(mn__prompt_fill(&p, task, &row, &diag), MN_OK);
    size_t context = count_of(task->prompt, "{context}"), input = count_of(task->prompt, "{input}");
    assert_int_equal(count_of(p.text, "<the context>"), context);
    assert_int_equal(count_of(p.text, "<the input>"), input);
    assert_int_equal(count_of(p.text, "<three>"), count_of(task->prompt, "{C}"));
    assert_null(strpbrk(p.text, "{}"));
    if (context) assert_memory_equal(p.text + p.split - 13, "<the context>", 13);
    mn__prompt_free(&p);
}

static void test_templates(void **state)
{
    (void)state;
    for_each(check_fill);
}

/* The numbers of the paper's appendix (spec 9.4). */
static void test_longbench(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t max_new;
    } want[] = {{"narrativeqa", 128},
                {"qasper", 128},
                {"multifieldqa_en", 64},
                {"multifieldqa_zh", 64},
                {"hotpotqa", 32},
                {"2wikimqa", 32},
                {"musique", 32},
                {"dureader", 128},
                {"gov_report", 512},
                {"qmsum", 512},
                {"multi_news", 512},
                {"vcsum", 512},
                {"trec", 64},
                {"triviaqa", 32},
                {"samsum", 128},
                {"lsht", 64},
                {"passage_count", 32},
                {"passage_retrieval_en", 32},
                {"passage_retrieval_zh", 32},
                {"lcc", 64},
                {"repobench-p", 64}};
    mn__task_ref *ref;
    size_t n;
    mn_diag diag = {""};
    assert_int_equal(mn__task_find(&ref, &n, "longbench", &diag), MN_OK);
    assert_int_equal(n, 21);
    for (size_t i = 0; i < n; i++) {
        const mn__task *t = ref[i].task;
        bool line = strstr(" trec triviaqa samsum lsht ", t->name) != NULL;
        assert_string_equal(t->name, want[i].name);
        assert_int_equal(t->max_new, want[i].max_new);
        assert_int_equal((t->rules & MN__RULE_FIRST_LINE) != 0, line);
        assert_int_equal((t->rules & MN__RULE_STOP_LINE) != 0, strcmp(t->name, "samsum") == 0);
        assert_int_equal((t->rules & MN__RULE_RAW) != 0, line || t->family == MN__FAMILY_CODE);
    }
    mn__free(ref);
}

static void test_find(void **state)
{
    (void)state;
    mn__task_ref *ref;
    size_t n;
    mn_diag diag = {""};
    assert_int_equal(mn__task_find(&ref, &n, "niah,ruler_vt,,ruler,niah", &diag), MN_OK);
    assert_int_equal(n, 14); /* each once, in the order named */
    assert_string_equal(ref[0].task->name, "niah");
    assert_string_equal(ref[1].task->name, "ruler_vt");
    assert_string_equal(ref[1].set->name, "ruler");
    assert_string_equal(ref[2].task->name, "ruler_niah_single_1");
    mn__free(ref);
    assert_int_equal(mn__task_find(&ref, &n, "niah,narativeqa", &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "`narativeqa`; the nearest name is `narrativeqa`"));
    assert_null(ref);
    assert_int_equal(mn__task_find(&ref, &n, "", &diag), MN_EUSAGE);
    assert_int_equal(mn__task_find(&ref, &n, ",", &diag), MN_EUSAGE);
    assert_int_equal(mn__task_find(&ref, &n, "zzzzzzzzzzzzzzz", &diag), MN_EUSAGE);
    assert_null(strstr(diag.text, "nearest"));
}

static void test_own(void **state)
{
    (void)state;
    mn__own_task own;
    mn__own_task_init(&own, "data/my.jsonl.xz", "qa_f1", NULL, 0);
    assert_string_equal(own.task.name, "my");
    assert_string_equal(own.task.metric, "qa_f1");
    assert_string_equal(own.task.prompt, "{context}\n\n{input}");
    assert_int_equal(own.task.max_new, 128);
    assert_int_equal(own.task.family, MN__FAMILY_OWN);
    mn__own_task_init(&own, "b", "count", "{input}", 5);
    assert_string_equal(own.task.name, "b");
    assert_string_equal(own.task.prompt, "{input}");
    assert_int_equal(own.task.max_new, 5);
    assert_int_equal(own.task.asks, MN__ASKS_ANSWER);
    static const struct {
        const char *metric;
        mn__asks asks;
    } cases[] = {{"accuracy_norm", MN__ASKS_CHOICE}, {"nll", MN__ASKS_TEXT}};
    for (size_t i = 0; i < 2; i++) {
        mn__own_task_init(&own, "b", cases[i].metric, NULL, 5);
        assert_int_equal(own.task.asks, cases[i].asks);
        assert_string_equal(own.task.prompt, "{context}");
        assert_int_equal(own.task.max_new, 0);
    }
}

static void test_tidy(void **state)
{
    (void)state;
    static const struct {
        unsigned rules;
        const char *answer, *want;
    } cases[] = {{0, "\na\nb", "\na\nb"},
                 {MN__RULE_RAW, "a\nb", "a\nb"},
                 {MN__RULE_FIRST_LINE, "\n\n a\nb\n", " a"},
                 {MN__RULE_STOP_LINE, "a\nb", "a"},
                 {MN__RULE_FIRST_LINE, "", ""},
                 {MN__RULE_FIRST_LINE, "\n", ""},
                 {MN__RULE_FIRST_LINE, "one", "one"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char answer[32];
        const mn__task task = {.rules = cases[i].rules};
        snprintf(answer, sizeof answer, "%s", cases[i].answer);
        assert_int_equal(mn__task_tidy(&task, answer), strlen(cases[i].want));
        assert_string_equal(answer, cases[i].want);
    }
}

/* The line that docs/data.md has for a task. */
static void say_line(const mn__task_set *set, const mn__task *task, char *out, size_t cap)
{
    char files[200] = "", most[24] = "";
    size_t n = 0;
    for (const char *at = task->dir ? task->files : ""; *at;) {
        int length = (int)strcspn(at, " ");
        n += (size_t)snprintf(files + n, sizeof files - n, "%s`%s/%.*s`", n ? " " : "", task->dir,
                              length, at);
        at += length;
        at += *at == ' ';
    }
    if (task->max_new) snprintf(most, sizeof most, "%zu", task->max_new);
    snprintf(out, cap, "\n| `%s` | %s | %s | `%s` | %s | %s | %s |\n", task->name, set->name,
             mn__family_name(task->family), task->metric, most, files, task->maker ? "yes" : "");
}

static char document[1 << 16];
static size_t n_documented;

static void check_document(const mn__task_set *set, const mn__task *task)
{
    char line[500];
    say_line(set, task, line, sizeof line);
    if (!strstr(document, line)) fail_msg("docs/data.md lacks%s", line);
    n_documented++;
}

static void test_document(void **state)
{
    (void)state;
    FILE *file = fopen(MN_TEST_DIR "/../docs/data.md", "r");
    assert_non_null(file);
    size_t n = fread(document, 1, sizeof document - 1, file);
    fclose(file);
    assert_true(n < sizeof document - 1);
    document[n] = '\0';
    n_documented = 0;
    for_each(check_document);
    const char *table = strstr(document, "| task | set |");
    assert_non_null(table);
    assert_int_equal(count_of(table, "\n| `"), n_documented); /* and no other line */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),   cmocka_unit_test(test_unique),
        cmocka_unit_test(test_templates), cmocka_unit_test(test_longbench),
        cmocka_unit_test(test_find),      cmocka_unit_test(test_own),
        cmocka_unit_test(test_tidy),      cmocka_unit_test(test_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
