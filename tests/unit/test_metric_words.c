/* test_metric_words.c: Chinese words by a dictionary of ten words (data/jieba_small), whose cuts
 * follow by hand, and by jieba's own where it is installed; Japanese morphemes by MeCab.
 * MNEME_JIEBA may name a folder with jieba's data. */
#include "eval/words.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metric_fixture.h"
#include "mneme/mem.h"
#include "text/unicode.h"

#define SMALL MN_TEST_DIR "/data/jieba_small"

/* The words with a bar between them. */
static void cut(const mn__words *w, const char *text, char *out)
{
    mn__scratch s = {0};
    mn__piece p;
    mn__pieces words;
    mn_diag diag = {""};
    assert_int_equal(mn__piece_read(&s, text, strlen(text), &p), MN_OK);
    if (mn__words_cut(w, &s, p, &words, &diag) != MN_OK) fail_msg("%s", diag.text);
    for (size_t i = 0; i < words.n; i++) {
        if (i > 0) *out++ = '|';
        for (size_t k = 0; k < words.p[i].n; k++) out += mn__unicode_write(words.p[i].c[k], out);
    }
    *out = '\0';
    mn__scratch_free(&s);
}

typedef struct cut_case {
    const char *text, *want;
} cut_case;

static void check_cuts(const mn__words *w, const cut_case *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char out[1024];
        cut(w, c[i].text, out);
        assert_string_equal(out, c[i].want);
    }
}

static mn__words *open_words(mn__words_kind kind, const char *folder)
{
    mn__words *w = NULL;
    mn_diag diag = {""};
    if (mn__words_open(&w, kind, folder, &diag) != MN_OK) fail_msg("%s", diag.text);
    return w;
}

/* Frequencies sum to 595 = T. A cut's weight is the product of frequency / T of its words. */
static void test_dictionary(void **state)
{
    (void)state;
    static const cut_case cases[] = {
        {"北京大学", "北京大学"},      /* 30 / T beats 100 * 80 / T^2 = 13.4 / T */
        {"北京大学生", "北京|大学生"}, /* 100 * 40 beats 30 * 10 (over T^2) */
        {"我北京", "我|北京"},
        {"大学中心", "大学|中心"},
        {"学生学生", "学生|学生"},
        {"我", "我"},
        {"北京，大学。", "北京|，|大学|。"}, /* other characters are words */
        {"北京 大学\n", "北京| |大学|\n"},   /* spaces too */
        {"北京\r\n大学", "北京|\r\n|大学"},
        {"C++中心", "C++|中心"}, /* letters and marks of the dictionary */
        {"c++", "c|++"},         /* case counts; letters apart from what is left */
        {"", ""},
    };
    mn__words *w = open_words(MN__WORDS_ZH, SMALL);
    check_cuts(w, cases, sizeof cases / sizeof cases[0]);
    mn__words_close(w);
}

/* What no word covers goes to the model. A run of two characters costs, as log probabilities,
 * start + emit + trans + emit: for U+6768 U+660E  B E: -0.5 -1 -0.2 -1 = -2.7, S S: -1 -5 -0.7 -5.
 */
static void test_model(void **state)
{
    (void)state;
    static const cut_case cases[] = {
        {"杨明", "杨明"},
        {"杨明来", "杨明|来"},      /* B E S: -2.7 -0.7 -1 = -4.4; B M E: -0.5 -1 -1.7 -9 -0.4 -5 */
        {"来杨明", "来|杨明"},      /* S B E: -1 -1 -0.7 -1 -0.2 -1 = -4.9 */
        {"杨明北京", "杨明|北京"},  /* the dictionary first, the model for the rest */
        {"我来", "我|来"},          /* S S: a known single joins the run of unknown ones */
        {"来", "来"},               /* one alone is a word */
        {"明明", "明明"},           /* B E: -0.5 -5 -0.2 -1 = -6.7; S S: -11.7 */
        {"杨3.5%明", "杨|3.5%|明"}, /* letters and digits with decimals and % stay together */
        {"ab12-x", "ab12|-|x"},
        {"1.2.3", "1.2|.|3"},
        {"中", "中"}, /* frequency 0: no word, a single as any other */
    };
    mn__words *w = open_words(MN__WORDS_ZH, SMALL);
    check_cuts(w, cases, sizeof cases / sizeof cases[0]);
    mn__words_close(w);
}

/* Through the metrics: words, not characters. */
static void test_scores(void **state)
{
    (void)state;
    static const struct {
        const char *metric, *output, *answer;
        double want;
    } cases[] = {
        {"qa_f1_zh", "北京大学生", "大学生", 2.0 / 3}, /* p 1/2, r 1 */
        {"qa_f1_zh", "北京大学", "大学", 0},           /* one word, another word */
        {"qa_f1_zh", "大学，北京", "北京大学生", 0.5}, /* the comma goes: 1 of 2 both ways */
        {"qa_f1_zh", "杨明来", "杨明", 2.0 / 3},
        {"qa_f1_zh", "《大学》", "大学", 2.0 / 3}, /* U+300A stays as a word: p 1/2 */
        {"qa_f1_zh", "", "大学", 0},
        {"qa_f1_zh", "。", "。", 0},
        {"qa_f1_zh", "大学\xe5", "大学", 2.0 / 3}, /* a broken character is a word */
        {"rouge_l_zh", "北京大学生", "北京大学生", ROUGE_F(1.0, 1.0)},
        {"rouge_l_zh", "我北京", "北京我", ROUGE_F(0.5, 0.5)},
        {"rouge_l_zh", "大学。", "大学", ROUGE_F(0.5, 1.0)}, /* punctuation is a word here */
        {"rouge_l_zh", "3.5%", "3 5%", ROUGE_F(1.0, 1.0)},   /* sentences end at the ASCII dot */
        {"rouge_l_zh", "", "大学", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mn__metric *m = mf_open(cases[i].metric, SMALL);
        const mn__gold gold = {.answers = &cases[i].answer, .n_answer = 1};
        double score = -1;
        const char *output = cases[i].output;
        assert_int_equal(mn__metric_score(m, &gold, output, strlen(output), &score, NULL), MN_OK);
        if (!(fabs(score - cases[i].want) < 1e-12)) fail_msg("case %zu: %.17g", i, score);
        mn__metric_close(m);
    }
}

/* jieba's own data: the cuts that its documentation shows. */
static void test_jieba(void **state)
{
    (void)state;
    static const cut_case cases[] = {
        {"我来到北京清华大学", "我|来到|北京|清华大学"},
        {"他来到了网易杭研大厦", "他|来到|了|网易|杭研|大厦"},
        {"小明硕士毕业于中国科学院计算所，后在日本京都大学深造",
         "小明|硕士|毕业|于|中国科学院|计算所|，|后|在|日本京都大学|深造"},
    };
    mn__words *w = NULL;
    mn_diag diag = {""};
    mn_status st = mn__words_open(&w, MN__WORDS_ZH, getenv("MNEME_JIEBA"), &diag);
    if (st != MN_OK) {
        assert_int_equal(st, MN_EINPUT);
        assert_non_null(strstr(diag.text, "python3-jieba"));
        print_message("skipped: %s\n", diag.text);
        skip();
    }
    check_cuts(w, cases, sizeof cases / sizeof cases[0]);
    mn__words_close(w);
}

static mn__words *open_mecab(void)
{
    mn__words *w = NULL;
    mn_diag diag = {""};
    mn_status st = mn__words_open(&w, MN__WORDS_JA, NULL, &diag);
    if (st == MN_OK) return w;
    assert_int_equal(st, MN_EINPUT);
    assert_non_null(strstr(diag.text, "mecab-ipadic-utf8"));
    print_message("skipped: %s\n", diag.text);
    skip();
    return NULL;
}

static void test_mecab(void **state)
{
    (void)state;
    static const cut_case cases[] = {
        {"すもももももももものうち", "すもも|も|もも|も|もも|の|うち"}, /* MeCab's own example */
        {"東京 大阪\n", "東京|大阪"},                                   /* spaces are in no word */
        {"", ""},
    };
    mn__words *w = open_mecab();
    check_cuts(w, cases, sizeof cases / sizeof cases[0]);
    mn__words_close(w);
    /* three of five morphemes are the gold answer's two and a comma that goes: p 2/4, r 1 */
    static const mf_case f1[] = {{"東京と、大阪だ", {"東京大阪"}, 2.0 / 3},
                                 {"京都", {"東京都"}, 0}, /* characters would share two */
                                 {"", {"東京"}, 0}};
    MF_TABLE("qa_f1_ja", NULL, f1);
    static const mf_case rouge[] = {{"大阪と東京", {"東京と大阪"}, ROUGE_F(1.0 / 3, 1.0 / 3)},
                                    {"東京", {"東京"}, ROUGE_F(1.0, 1.0)}};
    MF_TABLE("rouge_l_ja", NULL, rouge);
}

/* MeCab's counters would run over: refused. */
static void test_mecab_long(void **state)
{
    (void)state;
    mn__words_close(open_mecab());
    enum { N = 32767 };
    static char text[N + 2];
    const char *answer = "x";
    const mn__gold gold = {.answers = &answer, .n_answer = 1};
    mn__metric *m = mf_open("qa_f1_ja", NULL);
    double score = 7;
    mn_diag diag = {""};
    memset(text, ' ', N);
    text[N - 1] = 'x';
    assert_int_equal(mn__metric_score(m, &gold, text, N, &score, &diag), MN_OK);
    assert_true(score == 1);
    assert_int_equal(mn__metric_score(m, &gold, text, N + 1, &score, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "32767"));
    mn__metric_close(m);
}

/* ---- dictionaries that are not there, or damaged ---- */

static char folder[256];

static void write_part(const char *name, const char *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static const char *const parts[] = {"dict.txt", "finalseg/prob_start.py", "finalseg/prob_trans.py",
                                    "finalseg/prob_emit.py"};
enum { N_PART = sizeof parts / sizeof parts[0], PART_BYTES = 1024 };
static char part[N_PART][PART_BYTES];
static size_t n_part[N_PART];

/* A copy of the small dictionary in a folder for temporary files. */
static int make_folder(void **state)
{
    (void)state;
    char path[512];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mneme-jieba-XXXXXX", tmp ? tmp : P_tmpdir);
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/finalseg", folder);
    if (mkdir(path, 0700) != 0) return -1;
    for (size_t i = 0; i < N_PART; i++) {
        snprintf(path, sizeof path, "%s/%s", SMALL, parts[i]);
        FILE *file = fopen(path, "rb");
        if (!file) return -1;
        n_part[i] = fread(part[i], 1, PART_BYTES, file);
        fclose(file);
        write_part(parts[i], part[i], n_part[i]);
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[512];
    for (size_t i = 0; i < N_PART; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        remove(path);
    }
    snprintf(path, sizeof path, "%s/finalseg", folder);
    return rmdir(path) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void refuse_folder(const char *where, const char *words)
{
    mn__metric *m = (mn__metric *)folder;
    mn_diag diag = {""};
    assert_int_equal(mn__metric_open(&m, "qa_f1_zh", where, &diag), MN_EINPUT);
    assert_null(m);
    if (!strstr(diag.text, words) || !strstr(diag.text, "apt-get install python3-jieba"))
        fail_msg("'%s' and the package in: %s", words, diag.text);
}

static void test_absent(void **state)
{
    (void)state;
    mn_mem_stats before, after;
    char path[512];
    mn_mem_get_stats(&before);
    refuse_folder("/nonexistent/jieba", "/nonexistent/jieba/dict.txt");
    for (size_t i = 0; i < N_PART; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        remove(path);
        refuse_folder(folder, parts[i]);
        write_part(parts[i], part[i], n_part[i]);
    }
    char long_name[5000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    refuse_folder(long_name, "too long");
    mn__metric *m = (mn__metric *)folder;
    mn_diag diag = {""};
    assert_int_equal(mn__metric_open(&m, "rouge_l_ja", "/nonexistent/mecab", &diag), MN_EINPUT);
    assert_null(m);
    assert_non_null(strstr(diag.text, "mecab-ipadic-utf8"));
    mn_mem_get_stats(&after);
    assert_int_equal(before.total_now, after.total_now);
}

static void test_damaged(void **state)
{
    (void)state;
    static const struct {
        size_t part;
        const char *bytes, *words;
    } cases[] = {
        {0, "北京 100 ns\n大学\n", "line 2"},
        {0, "北京 many\n", "line 1"},
        {0, "北京 100x\n", "line 1"},
        {0, " 100 ns\n", "line 1"},
        {0, "北京 99999999999 ns\n", "line 1"},
        {0, "北京 0 ns\n", "no word"},
        {0, "", "dict.txt"},
        {1, "", "prob_start.py"},
        {1, "P={'B': 1, 'E': 2}", "a table of jieba"},
        {2, "P={'B': {'E': x}}", "a table of jieba"},
        {2, "P={'B", "a table of jieba"},
        {3, "P={'B': {'\\u4e0", "a table of jieba"},
        {3, "P={'B': {'\\u4e0g': 1}}", "a table of jieba"},
        {3, "print('hello')", "a table of jieba"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t k = cases[i].part;
        write_part(parts[k], cases[i].bytes, strlen(cases[i].bytes));
        refuse_folder(folder, cases[i].words);
        write_part(parts[k], part[k], n_part[k]);
    }
    mn__words_close(open_words(MN__WORDS_ZH, folder));
}

/* Any damage: opened or refused, and what opens cuts every character once. */
static void test_random_damage(void **state)
{
    (void)state;
    uint32_t x = 3;
    size_t n_open = 0, n_refused = 0;
    for (size_t k = 0; k < 400; k++) {
        char bytes[PART_BYTES];
        size_t which = k % N_PART;
        memcpy(bytes, part[which], n_part[which]);
        for (size_t i = 0; i < 1 + k % 3; i++) {
            x = x * 1664525 + 1013904223;
            bytes[(x >> 8) % n_part[which]] = (char)(x >> 24);
        }
        write_part(parts[which], bytes, n_part[which] - (k % 5 ? 0 : (x >> 8) % 40));
        mn__words *w = NULL;
        mn_diag diag = {""};
        if (mn__words_open(&w, MN__WORDS_ZH, folder, &diag) == MN_OK) {
            char out[256];
            size_t n = 0;
            cut(w, "北京大学生来杨明3.5%中心C++", out);
            for (const char *c = out; *c; c++) n += *c != '|';
            assert_int_equal(n, strlen("北京大学生来杨明3.5%中心C++"));
            mn__words_close(w);
            n_open++;
        } else {
            assert_null(w);
            n_refused++;
        }
        write_part(parts[which], part[which], n_part[which]);
    }
    assert_true(n_open > 50 && n_refused > 50);
}

/* ---- several threads, one metric ---- */

static void *score_often(void *ctx)
{
    const char *answer = "北京大学生東京";
    const mn__gold gold = {.answers = &answer, .n_answer = 1};
    for (size_t i = 0; i < 50; i++) {
        double score = 0;
        if (mn__metric_score(ctx, &gold, answer, strlen(answer), &score, NULL) != MN_OK ||
            score < 0.99)
            return ctx;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"qa_f1_zh", "rouge_l_zh", "qa_f1_ja"};
    for (size_t k = 0; k < 3; k++) {
        pthread_t thread[4];
        mn__metric *m = NULL;
        mn_diag diag = {""};
        if (mn__metric_open(&m, names[k], k < 2 ? SMALL : NULL, &diag) != MN_OK) {
            print_message("%s\n", diag.text); /* without MeCab the first two will do */
            continue;
        }
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, score_often, m), 0);
        for (size_t i = 0; i < 4; i++) {
            void *failed;
            assert_int_equal(pthread_join(thread[i], &failed), 0);
            assert_null(failed);
        }
        mn__metric_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dictionary),    cmocka_unit_test(test_model),
        cmocka_unit_test(test_scores),        cmocka_unit_test(test_jieba),
        cmocka_unit_test(test_mecab),         cmocka_unit_test(test_mecab_long),
        cmocka_unit_test(test_absent),        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_random_damage), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
