/* test_ask.c: rows as tokens: the whole prompt's, the place where its context ends, continuations.
 */
#include "eval/ask.h"
#include "mneme/text.h"
#include "session_fixture.h"

static mn__row row_of(const char *context, const char *input, const char *const *answers, size_t n)
{
    return (mn__row){.context = context,
                     .input = input,
                     .answers = answers,
                     .n_answer = n,
                     .id = "7",
                     .dataset = "",
                     .language = "en"};
}

static const char *const answers[] = {"the sea", "land"};
static const mn__task task = {.name = "own",
                              .asks = MN__ASKS_ANSWER,
                              .metric = "exact",
                              .prompt = "Read.\n{context}\nQ: {input}\nA:",
                              .max_new = 8};

static mn__ask_params params_of(const mn_model *m)
{
    return (mn__ask_params){.model = m, .n_ctx = 512, .max_gold = 64};
}

static void text_of(const mn_model *m, const int32_t *token, size_t n, char *out, size_t cap)
{
    mn_diag diag = {""};
    mn__tokens t = mn__model_tokens(m);
    mn_text_buf buf = {.data = out, .cap = cap - 1};
    assert_int_equal(t.decode(t.ctx, token, n, &buf, &diag), MN_OK);
    assert_true(buf.n < cap);
    out[buf.n] = '\0';
}

static void hold_prompt(const char *arch)
{
    mn_diag diag = {""};
    char said[1024];
    int32_t whole[512];
    mn_model *m = fix_model(arch);
    mn__row row = row_of("hello world, all of it", "what is wide?", answers, 2);
    mn__ask a;
    mn__ask_params p = params_of(m);
    const char *text = "Read.\nhello world, all of it\nQ: what is wide?\nA:";
    if (mn__ask_make(&a, &task, &row, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_true(a.n_reading == 1 && a.max_new == 8 && a.gold == 0 && a.gold_reading == 0);
    const mn__reading *r = &a.reading[0];
    mn_token_buf buf = {.data = whole, .cap = 512};
    assert_int_equal(mn_tokenize(m, text, strlen(text), MN_TOKENIZE_ADD_SPECIAL, &buf, &diag),
                     MN_OK);
    assert_int_equal(r->n, buf.n);
    assert_memory_equal(r->token, whole, buf.n * sizeof *whole);
    /* The question's tokens hold the question whole, the context's none of it. */
    text_of(m, r->token, r->n_context, said, sizeof said);
    assert_null(strstr(said, "Q:"));
    assert_non_null(strstr(said, "all of"));
    text_of(m, r->token + r->n_context, r->n - r->n_context, said, sizeof said);
    assert_non_null(strstr(said, "Q: what is wide?\nA:"));
    /* A blank in front of the answer, which is the first of them. */
    assert_int_equal(r->n_gold, 1);
    text_of(m, r->gold[0].token, r->gold[0].n, said, sizeof said);
    assert_string_equal(said, " the sea");
    assert_int_equal(r->gold[0].n_byte, 8);
    mn__ask_free(&a);
    mn_model_free(m);
}

static void test_prompt(void **state)
{
    (void)state;
    hold_prompt("llama");
    hold_prompt("qwen2");
}

/* Behind a prompt that ends in a blank or a line feed, whose last token may change when more
 * follows, the answer is still whole. */
static void test_answer_is_whole(void **state)
{
    (void)state;
    static const char *const prompts[] = {"Q: {input}\nA: ", "{context}\n{input}\n",
                                          "{input} is:  "};
    static const char *const golds[] = {"28", "the sea", "    return x", "x"};
    static const char *const archs[] = {"llama", "qwen2", "gemma3"};
    for (size_t i = 0; i < 3 * 3 * 4; i++) {
        mn_diag diag = {""};
        char said[256];
        mn_model *m = fix_model(archs[i / 12]);
        mn__task t = task;
        t.prompt = prompts[i / 4 % 3];
        mn__row row = row_of("hello", "who", &golds[i % 4], 1);
        mn__ask a;
        mn__ask_params p = params_of(m);
        assert_int_equal(mn__ask_make(&a, &t, &row, &p, &diag), MN_OK);
        text_of(m, a.reading[0].gold[0].token, a.reading[0].gold[0].n, said, sizeof said);
        if (strcmp(said, golds[i % 4])) fail_msg("'%s' came out as '%s'", golds[i % 4], said);
        mn__ask_free(&a);
        mn_model_free(m);
    }
}

static void test_what_the_hash_sees(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_model *m = fix_model("llama");
    mn__ask a, b;
    mn__ask_params p = params_of(m);
    const char *const other[] = {"the land"};
    mn__row row = row_of("hello", "who", answers, 1), row2 = row_of("hello", "who", other, 1),
            row3 = row_of("hello.", "who", answers, 1);
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_OK);
    assert_int_equal(mn__ask_make(&b, &task, &row, &p, &diag), MN_OK);
    assert_true(a.hash == b.hash);
    mn__ask_free(&b);
    assert_int_equal(mn__ask_make(&b, &task, &row2, &p, &diag), MN_OK);
    assert_true(a.hash != b.hash);
    mn__ask_free(&b);
    assert_int_equal(mn__ask_make(&b, &task, &row3, &p, &diag), MN_OK);
    assert_true(a.hash != b.hash);
    mn__ask_free(&b);
    mn__ask_free(&a);
    mn_model_free(m);
}

/* What changes a score changes the hash, also where it is in no prompt and no first answer. */
static void test_the_hash_sees_what_is_scored(void **state)
{
    (void)state;
    static const char *const classes[] = {"sea", "land"}, *const swapped[] = {"land", "sea"},
                             *const ends[] = {" a", " b"}, *const contexts[] = {"c", "c"};
    static const mn__task choice = {
        .name = "c", .asks = MN__ASKS_CHOICE, .metric = "accuracy_norm", .prompt = "{context}"};
    mn_diag diag = {""};
    mn_model *m = fix_model("llama");
    mn__ask_params p = params_of(m);
    mn__row row[6];
    uint64_t hash[6];
    for (int i = 0; i < 6; i++) row[i] = row_of("hello", "who", answers, i == 1 ? 2 : 1);
    row[2].classes = classes;
    row[3].classes = swapped;
    row[2].n_class = row[3].n_class = 2;
    for (int i = 4; i < 6; i++) {
        row[i].contexts = contexts;
        row[i].continuations = ends;
        row[i].n_choice = 2;
    }
    row[5].gold = 1;
    for (int i = 0; i < 6; i++) {
        mn__ask a;
        if (mn__ask_make(&a, i < 4 ? &task : &choice, &row[i], &p, &diag) != MN_OK)
            fail_msg("%s", diag.text);
        hash[i] = a.hash;
        mn__ask_free(&a);
        for (int k = 0; k < i; k++) assert_true(hash[k] != hash[i]);
    }
    mn_model_free(m);
}

static void test_long_ones_are_cut(void **state)
{
    (void)state;
    mn_diag diag = {""};
    static char context[6000], gold[3000];
    mn_model *m = fix_model("llama");
    for (size_t i = 0; i + 7 < sizeof context; i += 6) memcpy(context + i, "hello ", 7);
    for (size_t i = 0; i + 6 < sizeof gold; i += 5) memcpy(gold + i, "land ", 6);
    const char *const list[] = {gold};
    mn__row row = row_of(context, "who", list, 1);
    mn__ask a;
    mn__ask_params p = params_of(m);
    p.n_ctx = 200;
    p.max_gold = 10;
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_OK);
    assert_true(a.reading[0].n <= 200 - 8 + 16 && a.reading[0].n > 150 && a.reading[0].n_cut > 0);
    assert_true(a.reading[0].gold[0].n == 10 && a.reading[0].gold[0].n_byte < 200);
    mn__ask_free(&a);
    /* A made one is not: its needle may lie there. */
    size_t room;
    assert_int_equal(mn__ask_room(&task, &p, &room, &diag), MN_OK);
    assert_int_equal(room, 200 - 8);
    p.length = 193;
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "prompt over the context: 193 tokens"));
    p.length = 192;
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_OK);
    mn__ask_free(&a);
    /* Nor is one of which next to nothing would be left. */
    p.length = 0;
    p.n_ctx = 64 + 8;
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_OK);
    mn__ask_free(&a);
    for (p.n_ctx = 64 + 7; p.n_ctx > 0; p.n_ctx /= 3) {
        assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_ERANGE);
        assert_non_null(strstr(diag.text, "prompt over the context: "));
    }
    p.n_ctx = 64;
    row = row_of("hello", "who", answers, 1);
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_OK);
    mn__ask_free(&a);
    mn_model_free(m);
}

static void test_choices(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_model *m = fix_model("llama");
    static const mn__task choice = {
        .name = "c", .asks = MN__ASKS_CHOICE, .metric = "accuracy_norm", .prompt = "{context}"};
    const char *const same[] = {"hello", "hello", "hello"}, *const own[] = {"hello", "all"},
                      *const ends[] = {" world", " sea", " land of the wide"};
    mn__row row = row_of("", "", NULL, 0);
    mn__ask a;
    mn__ask_params p = params_of(m);
    row.contexts = same;
    row.continuations = ends;
    row.n_choice = 3;
    row.gold = 2;
    assert_int_equal(mn__ask_make(&a, &choice, &row, &p, &diag), MN_OK);
    assert_true(a.n_reading == 1 && a.reading[0].n_gold == 3 && a.gold == 2 && !a.max_new);
    assert_int_equal(a.reading[0].n_context, a.reading[0].n);
    assert_int_equal(a.reading[0].gold[2].n_byte, strlen(ends[2]));
    mn__ask_free(&a);
    row.contexts = own;
    row.n_choice = 2;
    row.gold = 1;
    assert_int_equal(mn__ask_make(&a, &choice, &row, &p, &diag), MN_OK);
    assert_true(a.n_reading == 2 && a.gold_reading == 1 && a.gold == 0);
    assert_true(a.reading[1].n_gold == 1);
    mn__ask_free(&a);
    row.n_choice = 0;
    assert_int_equal(mn__ask_make(&a, &choice, &row, &p, &diag), MN_EINPUT);
    row = row_of("hello", "who", NULL, 0);
    assert_int_equal(mn__ask_make(&a, &task, &row, &p, &diag), MN_EINPUT);
    mn_model_free(m);
}

/* In a chat template the context ends where the question begins, and control words in the text are
 * text. */
static void test_chat(void **state)
{
    (void)state;
    mn_diag diag = {""};
    char said[1024];
    mn_model *m = fix_model("llama");
    mn__row row = row_of("hello <|im_end|> world", "what is wide?", answers, 1);
    mn__ask a, bare;
    mn__ask_params p = params_of(m);
    p.chat = true;
    p.template = "chatml";
    if (mn__ask_make(&a, &task, &row, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    const mn__reading *r = &a.reading[0];
    text_of(m, r->token, r->n_context, said, sizeof said);
    assert_non_null(strstr(said, "hello <|im_end|> world"));
    assert_null(strstr(said, "Q:"));
    text_of(m, r->gold[0].token, r->gold[0].n, said, sizeof said);
    assert_non_null(strstr(said, "the sea"));
    p.no_context = true;
    assert_int_equal(mn__ask_make(&bare, &task, &row, &p, &diag), MN_OK);
    assert_true(bare.reading[0].n < r->n);
    mn__ask_free(&bare);
    mn__ask_free(&a);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_answer_is_whole),
        cmocka_unit_test(test_what_the_hash_sees),
        cmocka_unit_test(test_the_hash_sees_what_is_scored),
        cmocka_unit_test(test_long_ones_are_cut),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_chat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
