/* ruler.c: RULER. */
#include "eval/tasks/ruler.h"

static const char QA_PROMPT[] =
    "Answer the question based on the given documents. Only give me the answer and do not output "
    "any other words.\n\nThe following are given documents.\n\n"
    "{context}\n\nAnswer the question based on the given documents. Only give me the answer and do "
    "not output any other words.\n\n"
    "Question: {input} Answer:";

static const mn__task tasks[] = {
    {.name = "ruler_niah_single_1",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic number is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the number afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_single_1",
     .maker = &mn__ruler_in_noise,
     .variant = MN__RULER_SINGLE_1},
    {.name = "ruler_niah_single_2",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic number is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the number afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_single_2",
     .maker = &mn__ruler_in_essay,
     .variant = MN__RULER_SINGLE_2},
    {.name = "ruler_niah_single_3",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic uuid is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the uuid afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_single_3",
     .maker = &mn__ruler_in_essay,
     .variant = MN__RULER_SINGLE_3},
    {.name = "ruler_niah_multikey_1",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic number is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the number afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_multikey_1",
     .maker = &mn__ruler_in_essay,
     .variant = MN__RULER_MULTIKEY_1},
    {.name = "ruler_niah_multikey_2",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic number is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the number afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_multikey_2",
     .maker = &mn__ruler_in_needles,
     .variant = MN__RULER_MULTIKEY_2},
    {.name = "ruler_niah_multikey_3",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "A special magic uuid is hidden within the following text. Make sure to memorize "
               "it. I will quiz you about the uuid afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth niah_multikey_3_4096_original",
     .dataset = "ruler_niah_multikey_3",
     .maker = &mn__ruler_in_needles,
     .variant = MN__RULER_MULTIKEY_3},
    {.name = "ruler_niah_multivalue",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "Some special magic numbers are hidden within the following text. Make sure to "
               "memorize it. I will quiz you about the numbers afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_multivalue",
     .maker = &mn__ruler_in_essay,
     .variant = MN__RULER_MULTIVALUE},
    {.name = "ruler_niah_multiquery",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains_all",
     .prompt = "Some special magic numbers are hidden within the following text. Make sure to "
               "memorize it. I will quiz you about the numbers afterwards.\n"
               "{context}\n{input}",
     .max_new = 128,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_niah_multiquery",
     .maker = &mn__ruler_in_essay,
     .variant = MN__RULER_MULTIQUERY},
    {.name = "ruler_vt",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "contains_all",
     .prompt = "Memorize and track the chain(s) of variable assignment hidden in the following "
               "text.\n\n{context}\nQuestion: {input} Answer: According to the chain(s) of "
               "variable assignment in the text above, 5 variables are assigned this value, they "
               "are: ",
     .max_new = 48,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_vt",
     .maker = &mn__ruler_chain},
    {.name = "ruler_cwe",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "contains_all",
     .prompt = "Below is a numbered list of words. In these words, some appear more often than "
               "others. Memorize the ones that appear most often.\n"
               "{context}\nQuestion: {input} Answer: The top 10 words that appear most often in "
               "the list are:",
     .max_new = 120,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_cwe",
     .maker = &mn__ruler_common},
    {.name = "ruler_fwe",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "contains_all",
     .prompt = "Read the following coded text and track the frequency of each coded word. Find the "
               "three most frequently appeared coded words. {context}\n"
               "Question: {input} Answer: According to the coded text above, the three most "
               "frequently appeared words are:",
     .max_new = 50,
     .dir = "longctx/ruler",
     .files = "synth",
     .dataset = "ruler_fwe",
     .maker = &mn__ruler_frequent},
    {.name = "ruler_qa_1",
     .family = MN__FAMILY_QA,
     .metric = "contains",
     .prompt = QA_PROMPT,
     .max_new = 32,
     .dir = "longctx/ruler",
     .files = "qa_1",
     .maker = &mn__ruler_qa},
    {.name = "ruler_qa_2",
     .family = MN__FAMILY_QA,
     .metric = "contains",
     .prompt = QA_PROMPT,
     .max_new = 32,
     .dir = "longctx/ruler",
     .files = "qa_2",
     .maker = &mn__ruler_qa},
};

const mn__task_set mn__tasks_ruler = {
    .name = "ruler",
    .about = "RULER: 13 tasks made at any length: needles, chains of variables, counts of words, "
             "questions",
    .source = "arXiv 2404.06654, github.com/NVIDIA/RULER",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
