/* infinitebench.c: InfiniteBench. */
#include "eval/maker.h"

enum { PASSKEY, NUMBER_STRING };
enum { STREAM_DIGIT = MN__STREAM_OWN, STREAM_TWICE, N_DIGIT = 5 };

/* Five digits; in a number string, five of them are said twice, one behind the other. */
static void draw_digits(const mn__recipe *r, char out[2 * N_DIGIT + 1])
{
    size_t n = 0;
    for (; n < N_DIGIT; n++) out[n] = (char)('0' + mn__draw_below(r, STREAM_DIGIT, n, 10));
    for (size_t k = 0; r->task->variant == NUMBER_STRING && k < N_DIGIT; k++, n++) {
        size_t at = (size_t)mn__draw_below(r, STREAM_TWICE, k, n);
        for (size_t i = n; i > at; i--) out[i] = out[i - 1];
    }
    out[n] = '\0';
}

static mn_status write_noise(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    static const char *const what[] = {"pass key", "sequence of digits"};
    char digits[2 * N_DIGIT + 1];
    const char *name = what[r->task->variant];
    size_t place;
    (void)diag;
    draw_digits(r, digits);
    out->depth = mn__place_at(mn__depth(r), n, &place);
    for (size_t i = 0; i <= n; i++) {
        if (i == place)
            mn__draft_fmt(&out->context, "The %s is %s. Remember it. %s is the %s.\n", name, digits,
                          digits, name);
        if (i < n) mn__draft_fmt(&out->context, "%s\n", mn__noise);
    }
    mn__draft_fmt(&out->input, "What is the %s?", name);
    mn__made_answer(out, digits);
    return MN_OK;
}

static mn_status write_pairs(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    char key[MN__UUID_BYTES];
    (void)diag;
    mn__draft_str(&out->context, "JSON data:\n");
    mn__write_pairs(r, n, ", ", out, key);
    mn__draft_fmt(&out->input,
                  "Key: \"%s\"\nThe value associated with the specified key is: ", key);
    return MN_OK;
}

static const mn__maker noise = {.has_depth = true, .write = write_noise},
                       pairs = {.has_depth = true, .n_least = 1, .write = write_pairs};

static const mn__task tasks[] = {
    {.name = "infinitebench_passkey",
     .family = MN__FAMILY_NEEDLES,
     .metric = "first_number",
     .prompt = "There is an important info hidden inside a lot of irrelevant text. Find it and "
               "memorize it. I will quiz you about the important information.\n\n"
               "{context}\n\n{input}\n\nThe pass key is",
     .max_new = 8,
     .dir = "longctx/infinitebench",
     .files = "synth",
     .dataset = "infinitebench_passkey",
     .maker = &noise,
     .variant = PASSKEY},
    {.name = "infinitebench_number_string",
     .family = MN__FAMILY_NEEDLES,
     .metric = "first_number",
     .prompt = "There is an important info hidden inside a lot of irrelevant text. Find it. I will "
               "quiz you about the important information there.\n\n"
               "{context}\n\n{input}\n\nThe sequence of digits is",
     .max_new = 16,
     .dir = "longctx/infinitebench",
     .files = "synth",
     .dataset = "infinitebench_number_string",
     .maker = &noise,
     .variant = NUMBER_STRING},
    {.name = "infinitebench_kv_retrieval",
     .family = MN__FAMILY_NEEDLES,
     .metric = "word",
     .prompt = "Extract the value corresponding to the specified key in the JSON object below.\n\n"
               "{context}\n\n{input}",
     .max_new = 64,
     .dir = "longctx/infinitebench",
     .files = "synth",
     .dataset = "infinitebench_kv_retrieval",
     .maker = &pairs},
    {.name = "infinitebench_longbook_sum_eng",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_lsum",
     .prompt = "Summarize the book below.\n\n{context}\n\n"
               "Summary:",
     .max_new = 1200,
     .dir = "longctx/infinitebench",
     .files = "longbook_sum_eng"},
    {.name = "infinitebench_longbook_qa_eng",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Read the book and answer the question. Be very concise in your answer.\n\n"
               "{context}\n\nQuestion: {input}\n"
               "Answer:",
     .max_new = 40,
     .dir = "longctx/infinitebench",
     .files = "longbook_qa_eng"},
    {.name = "infinitebench_longbook_choice_eng",
     .family = MN__FAMILY_QA,
     .metric = "ib_choice",
     .prompt = "Read the book and answer the question.\n\n"
               "{context}\n\nQuestion: {input}\n"
               "A. {A}\nB. {B}\nC. {C}\nD. {D}\n\n"
               "The letter of the correct answer is",
     .max_new = 40,
     .rules = MN__RULE_LETTER,
     .dir = "longctx/infinitebench",
     .files = "longbook_choice_eng"},
    {.name = "infinitebench_longbook_qa_chn",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_chars",
     .prompt = "阅读以下书籍然后回答问题。\n\n{context}\n\n问题：{input}\n"
               "答案：",
     .max_new = 40,
     .dir = "longctx/infinitebench",
     .files = "longbook_qa_chn"},
    {.name = "infinitebench_longdialogue_qa_eng",
     .family = MN__FAMILY_QA,
     .metric = "speaker",
     .prompt = "Below is a dialogue script where one random occurrence of a character name is "
               "replaced with \"$$MASK$$\", and you should try to guess who that character is.\n\n"
               "{context}\n\nThe name that has been replaced with $$MASK$$ is likely",
     .max_new = 40,
     .dir = "longctx/infinitebench",
     .files = "longdialogue_qa_eng"},
    {.name = "infinitebench_code_debug",
     .family = MN__FAMILY_CODE,
     .metric = "ib_code_debug",
     .prompt = "Following is a Python code where exactly one of the functions/methods has a "
               "deliberate error that makes it crash.\n\n"
               "{context}\n\nOptions:\nA. {A}\n"
               "B. {B}\nC. {C}\nD. {D}\n\nThe correct option is:",
     .max_new = 5,
     .rules = MN__RULE_LETTER,
     .dir = "longctx/infinitebench",
     .files = "code_debug"},
    {.name = "infinitebench_code_run",
     .family = MN__FAMILY_CODE,
     .metric = "last_number",
     .prompt = "Following is a set of Python functions.\n\n"
               "{context}\n\n{input}",
     .max_new = 5,
     .dir = "longctx/infinitebench",
     .files = "code_run"},
    {.name = "infinitebench_math_find",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "math_find",
     .prompt = "{context}\n\n{input}",
     .max_new = 3,
     .dir = "longctx/infinitebench",
     .files = "math_find"},
    {.name = "infinitebench_math_calc",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "math_calc",
     .prompt = "Let us calculate the intermediate values of an expression.\n\n"
               "Expression: 1 + 3 + 4\nValues: [1, 4, 8]\n\n"
               "Expression: 8 - 3 + 2 - 4\nValues: [8, 5, 7, 3]\n\n"
               "Expression: {context}\nValues:",
     .max_new = 30000,
     .dir = "longctx/infinitebench",
     .files = "math_calc"},
};

const mn__task_set mn__tasks_infinitebench = {
    .name = "infinitebench",
    .about = "InfiniteBench: needles at any length, and questions on books, talks and code",
    .source = "arXiv 2402.13718, github.com/OpenBMB/InfiniteBench",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
