/* test_task_data.c: the real data (MNEME_DATA). Every row of it belongs to one task, prompts,
 * lengths and metrics are those of its JSON files, and makers and the cut in the middle do with
 * real tokenizers what they say. Skipped without the data. */
#include <jansson.h>

#include "base/heap.h"
#include "eval/source.h"
#include "base/unpack.h"
#include "eval_fixture.h"
#include "gguf.h"
#include "text/vocab.h"

static const char *data;

static void for_each(void (*check)(const mn__task_ref *ref))
{
    size_t n;
    const mn__task_set *const *sets = mn__task_list(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sets[i]->n_task; j++) {
            const mn__task_ref ref = {.task = &sets[i]->task[j], .set = sets[i]};
            check(&ref);
        }
    }
}

/* ---- files ---- */

static size_t n_file_row; /* of all files but smoke.jsonl, which repeats some */

static void read_file(const char *name, size_t n_row)
{
    char path[1024];
    mn__rows *r;
    mn__row row;
    bool found = true;
    size_t n = 0;
    mn_diag diag = {""};
    snprintf(path, sizeof path, "%s/%s", data, name);
    if (mn__rows_open(&r, path, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
    while (found) {
        if (mn__rows_next(r, &row, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
        if (!found) break;
        mn__row_free(&row);
        n++;
    }
    mn__rows_close(r);
    if (n != n_row) fail_msg("%s: %zu rows, README: %zu", name, n, n_row);
    /* mmlu_dev holds examples for mmlu */
    if (!strstr(name, "smoke") && !strstr(name, "mmlu_dev")) n_file_row += n;
}

static void read_corpus(const char *name, unsigned long long bytes)
{
    char path[1024];
    mn__corpus c;
    mn_diag diag = {""};
    snprintf(path, sizeof path, "%s/%s", data, name);
    if (mn__corpus_read(&c, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_true(c.n_byte <= bytes && c.n_byte > bytes - bytes / 50);
    assert_true(c.n_sentence > bytes / 400);
    mn__corpus_free(&c);
}

/* Lines `| path | rows | unpacked bytes | ...` of the README. */
static void test_files(void **state)
{
    (void)state;
    char path[1024], line[4096], name[256];
    size_t n_file = 0, n_row, n_text = 0;
    unsigned long long bytes;
    n_file_row = 0;
    snprintf(path, sizeof path, "%s/README.md", data);
    FILE *readme = fopen(path, "r");
    assert_non_null(readme);
    while (fgets(line, sizeof line, readme)) {
        if (sscanf(line, "| %255[^ |] | %zu | %llu |", name, &n_row, &bytes) < 2) {
            if (sscanf(line, "| %255[^ |] | | %llu |", name, &bytes) != 2) continue;
            n_row = 0;
        }
        if (strstr(name, ".jsonl")) {
            read_file(name, n_row);
            n_file++;
        } else if (strncmp(name, "corpus/", 7) == 0) {
            read_corpus(name, bytes);
            n_text++;
        }
    }
    fclose(readme);
    assert_true(n_file > 40 && n_text > 6);
}

/* ---- tasks ---- */

static size_t n_task_row, n_read, n_absent;

static void check_prompt(const mn__task *task, const mn__row *row)
{
    mn__prompt p;
    mn_diag diag = {""};
    if (task->asks == MN__ASKS_CHOICE) {
        assert_true(row->n_choice >= 1 && row->gold < row->n_choice);
        return;
    }
    assert_true(row->n_answer > 0);
    if (mn__prompt_fill(&p, task, row, &diag) != MN_OK) fail_msg("%s: %s", task->name, diag.text);
    bool asks = strstr(task->prompt, "{input}") != NULL;
    assert_true(p.split <= p.n_byte);
    assert_true(p.n_byte >= strlen(row->context) + (asks ? strlen(row->input) : 0));
    if (strstr(task->prompt, "{context}"))
        assert_memory_equal(p.text + p.split - strlen(row->context), row->context,
                            strlen(row->context));
    mn__prompt_free(&p);
}

static void read_task(const mn__task_ref *ref)
{
    mn__source *s;
    mn__row row;
    bool found = true;
    mn_diag diag = {""};
    const mn__source_params params = {.data = data};
    if (!ref->task->dir) return;
    if (mn__source_open(&s, *ref, &params, &diag) != MN_OK) {
        assert_non_null(strstr(diag.text, "put the set there"));
        n_absent++;
        return;
    }
    uint64_t n = 0;
    for (;; n++) {
        if (mn__source_get(s, n, &row, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
        if (!found) break;
        check_prompt(ref->task, &row);
        mn__row_free(&row);
    }
    mn__source_close(s);
    assert_true(n > 0);
    n_read++;
    n_task_row += n;
}

/* Each row of each file is read by one task. */
static void test_tasks(void **state)
{
    (void)state;
    n_task_row = n_read = n_absent = 0;
    for_each(read_task);
    print_message("%zu tasks with %zu rows, %zu without data\n", n_read, n_task_row, n_absent);
    assert_true(n_read > 80);
    assert_int_equal(n_task_row, n_file_row);
}

/* ---- what the data says of its sets ---- */

static json_t *facts[3]; /* prompt, maxlen, metric */
static size_t n_known;

/* Where we follow the set's own script, which the data's file makes simpler. */
static const char *our_metric(const char *task, const char *metric)
{
    static const char *const own[][2] = {{"babilong_qa", "babilong"},
                                         {"infinitebench_passkey", "first_number"},
                                         {"infinitebench_number_string", "first_number"},
                                         {"infinitebench_kv_retrieval", "word"}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(task, own[i][0], strlen(own[i][0])) == 0) return own[i][1];
    return metric;
}

static void check_fact(const mn__task *task, const char *dataset)
{
    const char *metric = json_string_value(json_object_get(facts[2], dataset));
    assert_string_equal(task->prompt, json_string_value(json_object_get(facts[0], dataset)));
    assert_int_equal(task->max_new, json_integer_value(json_object_get(facts[1], dataset)));
    assert_string_equal(task->metric, our_metric(task->name, metric));
}

static void check_facts(const mn__task_ref *ref)
{
    const mn__task *task = ref->task;
    const char *dataset = task->dataset ? task->dataset : ref->set->name, *key;
    size_t n = strlen(dataset);
    json_t *value;
    bool open = dataset[n - 1] == '*';
    json_object_foreach(facts[0], key, value)
    {
        if (open ? strncmp(key, dataset, n - 1) != 0 : strcmp(key, dataset) != 0) continue;
        check_fact(task, key);
        n_known++;
    }
}

static void test_facts(void **state)
{
    (void)state;
    static const char *const names[] = {"prompt", "maxlen", "metric"};
    for (size_t i = 0; i < 3; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/longctx/dataset2%s.json", data, names[i]);
        facts[i] = json_load_file(path, 0, NULL);
        assert_true(json_is_object(facts[i]));
    }
    n_known = 0;
    for_each(check_facts);
    /* longbench_v2 has three tasks, simplewiki and qmsum_test ask as LongBench does */
    assert_int_equal(n_known, json_object_size(facts[0]) + 2 + 3);
    for (size_t i = 0; i < 3; i++) json_decref(facts[i]);
}

/* ---- real tokenizers ---- */

static mn__vocab *open_vocab(const char *name)
{
    char path[1024], buf[1 << 15];
    mn__unpack *file;
    mn__draft bytes = {0};
    mn__vocab *v = NULL;
    size_t n = 1;
    mn_diag diag = {""};
    snprintf(path, sizeof path, "%s/tokenizer/ggml-vocab-%s.gguf.xz", data, name);
    assert_int_equal(mn__unpack_open(&file, path, 0, &diag), MN_OK);
    while (n) {
        assert_int_equal(mn__unpack_read(file, buf, sizeof buf, &n, &diag), MN_OK);
        mn__draft_put(&bytes, buf, n);
    }
    mn__unpack_close(file);
    const struct gguf_init_params params = {.no_alloc = true};
    struct gguf_context *meta = gguf_init_from_buffer(bytes.text, bytes.n, params);
    mn__draft_free(&bytes);
    assert_non_null(meta);
    if (mn__vocab_open(&v, meta, &diag) != MN_OK) fail_msg("%s", diag.text);
    gguf_free(meta);
    return v;
}

static mn_status encode(void *ctx, const char *text, size_t n_byte, mn_token_buf *out,
                        mn_diag *diag)
{
    return mn__vocab_tokenize(ctx, text, n_byte, 0, out, diag);
}

static mn_status decode(void *ctx, const int32_t *token, size_t n, mn_text_buf *out, mn_diag *diag)
{
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        mn_text_buf piece = {0};
        if (out->n < out->cap)
            piece = (mn_text_buf){.data = out->data + out->n, .cap = out->cap - out->n};
        mn_status st = mn__vocab_token_text(ctx, token[i], false, &piece, diag);
        if (st != MN_OK) return st;
        out->n += piece.n;
    }
    return MN_OK;
}

static mn__tokens real;

static size_t count(const char *text, size_t n)
{
    size_t n_token;
    assert_int_equal(mn__tokens_count(&real, text, n, &n_token, NULL), MN_OK);
    return n_token;
}

/* Behind the last `before` that stands in front of the answer, in tokens of the context. */
static void check_depth(const mn__task *task, const mn__row *row, double depth)
{
    const char *at = row->context;
    while ((at = strstr(at, row->answers[0])) != NULL) {
        if (at > row->context && strchr(" <\"", at[-1])) break;
        at++;
    }
    assert_non_null(at);
    double found = (double)count(row->context, (size_t)(at - row->context)) /
                   (double)count(row->context, strlen(row->context));
    assert_true(row->depth == depth);
    if (fabs(found - depth) > 0.03) fail_msg("%s: %g asked, %g", task->name, depth, found);
}

enum {
    LENGTH = 8000,
    SLACK = 120
}; /* the longest units: of ruler_niah_multikey_3, and sentences */
static size_t n_made;

static void make_task(const mn__task_ref *ref)
{
    mn__source *s = NULL;
    mn__row row, again;
    bool found;
    mn_diag diag = {""};
    if (!ref->task->maker || strncmp(ref->task->name, "ruler_qa", 8) == 0) return; /* no files */
    bool deep = ref->task->maker->has_depth;
    const mn__source_params params = {.data = data,
                                      .tokens = &real,
                                      .seed = 1,
                                      .length = LENGTH,
                                      .n_made = 3,
                                      .n_depth = deep ? 3 : 0};
    if (mn__source_open(&s, *ref, &params, &diag) != MN_OK) fail_msg("%s", diag.text);
    for (uint64_t i = 0; i < 3; i++) {
        if (mn__source_get(s, i, &row, &found, &diag) != MN_OK || !found)
            fail_msg("%s: %s", ref->task->name, diag.text);
        if (row.length > LENGTH || row.length < LENGTH - SLACK)
            fail_msg("%s: %d tokens", ref->task->name, (int)row.length);
        if (deep) check_depth(ref->task, &row, (double)i / 2);
        assert_int_equal(mn__source_get(s, i, &again, &found, &diag), MN_OK);
        assert_string_equal(row.context, again.context);
        mn__row_free(&again);
        mn__row_free(&row);
    }
    mn__source_close(s);
    n_made++;
}

static void test_made(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "phi-3"};
    for (size_t i = 0; i < 2; i++) {
        mn__vocab *v = open_vocab(names[i]);
        real = (mn__tokens){.encode = encode, .decode = decode, .ctx = v};
        n_made = 0;
        for_each(make_task);
        assert_int_equal(n_made, 29 - 2);
        mn__vocab_close(v);
    }
}

/* A cut prompt begins and ends as the whole one, is as long as asked up to a few tokens, and what
 * the split parts are still context and question. */
static void check_cut(const mn__task_ref *ref, size_t n_max)
{
    mn__source *s;
    mn__row row;
    mn__prompt whole, p;
    bool found;
    mn_diag diag = {""};
    const mn__source_params params = {.data = data};
    assert_int_equal(mn__source_open(&s, *ref, &params, &diag), MN_OK);
    assert_int_equal(mn__source_get(s, 0, &row, &found, &diag), MN_OK);
    assert_int_equal(mn__prompt_fill(&whole, ref->task, &row, &diag), MN_OK);
    assert_int_equal(mn__prompt_fill(&p, ref->task, &row, &diag), MN_OK);
    size_t n_token = count(whole.text, whole.n_byte);
    if (mn__prompt_cut(&p, &real, n_max, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_true(n_token > n_max && p.n_cut == n_token - n_max);
    assert_true(p.n_token >= n_max - 8 && p.n_token <= n_max + 8);
    size_t front = 0, back = 0, question = whole.n_byte - whole.split;
    while (p.text[front] == whole.text[front]) front++;
    while (p.text[p.n_byte - 1 - back] == whole.text[whole.n_byte - 1 - back]) back++;
    assert_true(front + back + 9 >= p.n_byte); /* what lies between: broken characters, a blank */
    assert_int_equal(p.n_byte - p.split, question);
    assert_string_equal(p.text + p.split, whole.text + whole.split);
    mn__prompt_free(&whole);
    mn__prompt_free(&p);
    mn__row_free(&row);
    mn__source_close(s);
}

static void test_cut(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "phi-3", "qwen2"};
    for (size_t i = 0; i < 3; i++) {
        mn__vocab *v = open_vocab(names[i]);
        mn__task_ref *ref;
        size_t n;
        mn_diag diag;
        real = (mn__tokens){.encode = encode, .decode = decode, .ctx = v};
        assert_int_equal(
            mn__task_find(&ref, &n, "narrativeqa,dureader,vcsum,lcc,ja_wiki_qa", &diag), MN_OK);
        for (size_t k = 0; k < n; k++) check_cut(&ref[k], 1000);
        mn__free(ref);
        mn__vocab_close(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_tasks), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_made),  cmocka_unit_test(test_cut),
    };
    data = getenv("MNEME_DATA");
    if (!data || !*data) {
        print_message("MNEME_DATA is not set\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
